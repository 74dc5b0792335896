//! Parsing and rendering: the parts that callers use.

use std::str::FromStr;
use std::sync::Arc;

use crate::error::RenderErrorKind;
use crate::fmt::Sink;
use crate::parse::{Input, parse};
use crate::program::{Program, Source};
use crate::vm;
use crate::{Context, Functions, ParseError, RenderError, Value};

/// What a missing key of a map gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// No value, printed as `<no value>`; fields of it are missing too.
    #[default]
    Default,
    /// Nil, printed as `<no value>`; a field of it is an error.
    Zero,
    /// An error.
    Error,
}

/// Reads `default`, `invalid` (the same), `zero` or `error`, as Go's option `missingkey=` takes them.
impl FromStr for MissingKey {
    type Err = UnknownMissingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" | "invalid" => Ok(MissingKey::Default),
            "zero" => Ok(MissingKey::Zero),
            "error" => Ok(MissingKey::Error),
            _ => Err(UnknownMissingKey(text.to_owned())),
        }
    }
}

/// The text is none of the words for [`MissingKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of default, zero and error")]
pub struct UnknownMissingKey(String);

/// How to parse templates, if the defaults of [`Template::parse`] do not fit.
///
/// ```
/// use api_mock_template::{Functions, MissingKey, TemplateOptions, Value};
///
/// let template = TemplateOptions::new()
///     .delimiters("<<", ">>")
///     .missing_key(MissingKey::Error)
///     .parse("t", "<<.name>>", &Functions::new())?;
/// let error = template.render(&Value::from([("age", 3)].into_iter().collect::<api_mock_template::Map>()));
/// assert!(error.is_err());
/// # Ok::<(), api_mock_template::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    open: Box<str>,
    close: Box<str>,
    missing_key: MissingKey,
    no_value: Box<str>,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        TemplateOptions {
            open: "{{".into(),
            close: "}}".into(),
            missing_key: MissingKey::Default,
            no_value: "<no value>".into(),
        }
    }
}

impl TemplateOptions {
    /// Go's defaults.
    #[must_use]
    pub fn new() -> Self {
        TemplateOptions::default()
    }

    /// The marks around actions; an empty one stands for the default.
    #[must_use]
    pub fn delimiters(mut self, open: &str, close: &str) -> Self {
        self.open = if open.is_empty() { "{{" } else { open }.into();
        self.close = if close.is_empty() { "}}" } else { close }.into();
        self
    }

    /// What a missing key gives.
    #[must_use]
    pub fn missing_key(mut self, missing_key: MissingKey) -> Self {
        self.missing_key = missing_key;
        self
    }

    /// What is printed for no value, instead of `<no value>`.
    ///
    /// ```
    /// use api_mock_template::{Functions, TemplateOptions, Value};
    /// let template = TemplateOptions::new().no_value("").parse("t", "[{{.x}}]", &Functions::new())?;
    /// assert_eq!(template.render(&Value::Nil).unwrap(), "[]");
    /// # Ok::<(), api_mock_template::ParseError>(())
    /// ```
    #[must_use]
    pub fn no_value(mut self, text: &str) -> Self {
        self.no_value = text.into();
        self
    }

    /// Parses one text; the templates it defines can be had by [`Template::lookup`].
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(&self, name: &str, text: &str, functions: &Functions) -> Result<Template, ParseError> {
        self.parse_all([(name, text)], functions)
    }

    /// Parses several texts, each under its name, into templates that can call each other. Of
    /// several templates of one name the last one counts, so later texts can replace the blocks
    /// of earlier ones. The result is the template named like the first text.
    ///
    /// ```
    /// use api_mock_template::{Functions, TemplateOptions, Value};
    /// let page = TemplateOptions::new().parse_all(
    ///     [("layout", r#"<{{block "body" .}}empty{{end}}>"#), ("page", r#"{{define "body"}}hi{{end}}"#)],
    ///     &Functions::new(),
    /// )?;
    /// assert_eq!(page.render(&Value::Nil).unwrap(), "<hi>");
    /// # Ok::<(), api_mock_template::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the first faulty text, and where.
    pub fn parse_all<'t>(
        &self,
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
        functions: &Functions,
    ) -> Result<Template, ParseError> {
        let mut program =
            Program { missing_key: self.missing_key, no_value: self.no_value.clone(), ..Program::default() };
        for (name, text) in texts {
            let input = Input {
                name,
                text,
                source: program.sources.len(),
                functions,
                open: &self.open,
                close: &self.close,
            };
            parse(&input)?.into_iter().for_each(|unit| program.add(unit));
            program.sources.push(Source { name: name.into(), text: text.into() });
        }
        program.link();
        let first = program.sources.first().and_then(|source| program.by_name.get(&source.name));
        let unit = first.copied().unwrap_or(0);
        Ok(Template { program: Arc::new(program), unit })
    }
}

/// A parsed template, ready to be rendered any number of times, by several threads at once.
/// Clones share everything.
///
/// ```
/// use api_mock_template::{Functions, Map, Template, Value};
///
/// let template = Template::parse("greeting", "Hello, {{.name}}!", &Functions::new())?;
/// let data: Map = [("name", "world")].into_iter().collect();
/// assert_eq!(template.render(&data.into())?, "Hello, world!");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    program: Arc<Program>,
    unit: usize,
}

impl Template {
    /// Parses a template with Go's defaults. `name` is for errors and for `{{template}}`.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(name: &str, text: &str, functions: &Functions) -> Result<Self, ParseError> {
        TemplateOptions::new().parse(name, text, functions)
    }

    /// The name of this template.
    #[must_use]
    pub fn name(&self) -> &str {
        self.program.units.get(self.unit).map_or("", |unit| &unit.name)
    }

    /// The names of all templates that this one can call, itself included, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.program.units.iter().map(|unit| &*unit.name)
    }

    /// Another template that was parsed together with this one.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Template> {
        let unit = *self.program.by_name.get(name)?;
        Some(Template { program: self.program.clone(), unit })
    }

    /// Renders with default limits and without state for the functions.
    ///
    /// # Errors
    /// Where and why the rendering ended early.
    pub fn render(&self, data: &Value) -> Result<String, RenderError> {
        self.render_with(data, &mut Context::new())
    }

    /// Renders with limits and state.
    ///
    /// # Errors
    /// Where and why the rendering ended early.
    pub fn render_with(&self, data: &Value, context: &mut Context<'_>) -> Result<String, RenderError> {
        let mut output = Vec::new();
        self.render_into(data, context, &mut output)?;
        String::from_utf8(output).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            vm::error_without_place(self.name(), format!("byte {at}"), RenderErrorKind::NotUtf8)
        })
    }

    /// Renders to the end of `output`. After an error it holds what was rendered before it.
    ///
    /// # Errors
    /// Where and why the rendering ended early.
    pub fn render_into(
        &self,
        data: &Value,
        context: &mut Context<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let sink = Sink::append_to(std::mem::take(output), context.current_limits().output_bytes);
        let (sink, result) = vm::render(&self.program, self.unit, data, context, sink);
        *output = sink.into_bytes();
        result
    }
}
