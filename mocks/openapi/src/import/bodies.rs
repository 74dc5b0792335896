//! Bodies and headers of answers, as templates.

use std::rc::Rc;
use std::sync::Arc;

use api_mock_scenario::literal;
use serde_json::Value;

use super::example::{separator, written};
use super::{ImportOptions, SharedPlanner};
use crate::plan::{
    Escape, Flat, Plan, form_template, json_template, list_template, text_template, xml_template,
};
use crate::schema::{Direction, SchemaId, Schemas};
use crate::spec::{Header, Media, essence, is_xml};

/// A body of an answer.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What it is called among the bodies of its response, if there are several.
    pub(super) variant: Option<String>,
    pub(super) template: Rc<str>,
    /// The patterns of its members, as they stand in a file.
    pub(super) patterns: Rc<str>,
}

/// Makes the bodies of answers.
pub(super) struct Bodies<'s> {
    schemas: &'s Schemas,
    planner: SharedPlanner<'s>,
    flat: Flat<'s>,
    options: &'s ImportOptions,
    /// Bodies that were made already: many responses share their schemas.
    known: std::collections::HashMap<(SchemaId, Kind), Vec<Result<Made, String>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Json,
    Xml,
    Form,
    Text,
}

impl Kind {
    fn of(media: &Media) -> Kind {
        let name = essence(&media.name);
        if name == "application/x-www-form-urlencoded" {
            Kind::Form
        } else if media.is_json() || name.contains("form") {
            Kind::Json
        } else if is_xml(&name) {
            Kind::Xml
        } else {
            Kind::Text
        }
    }
}

impl<'s> Bodies<'s> {
    pub(super) fn new(schemas: &'s Schemas, options: &'s ImportOptions, planner: SharedPlanner<'s>) -> Self {
        let flat = Flat::new(schemas, Direction::Response);
        Bodies { schemas, planner, flat, options, known: std::collections::HashMap::new() }
    }

    /// The bodies of a media type: several if its schema has alternatives, or if there are only
    /// examples.
    pub(super) fn of(&mut self, media: &Media) -> Vec<Result<Made, String>> {
        let kind = Kind::of(media);
        let Some(schema) = media.schema else { return without_schema(media, kind) };
        if self.options.body_examples {
            let examples = self.valid_examples(media, schema, kind);
            if !examples.is_empty() {
                return examples;
            }
        }
        if let Some(known) = self.known.get(&(schema, kind)) {
            return known.clone();
        }
        let variants = self.planner.borrow_mut().variants(schema);
        let made: Vec<Result<Made, String>> = variants
            .into_iter()
            .enumerate()
            .map(|(at, (variant, plan))| {
                let plan = plan.map_err(|error| error.why().to_owned())?;
                let branch = variant.is_some().then_some(at);
                let patterns = match kind {
                    Kind::Json => self.flat.of(schema, branch),
                    Kind::Xml | Kind::Form | Kind::Text => String::new(),
                };
                Ok(Made {
                    variant,
                    template: template(&plan, kind).into(),
                    patterns: literal(&patterns).into(),
                })
            })
            .collect();
        self.known.insert((schema, kind), made.clone());
        made
    }

    fn valid_examples(&self, media: &Media, schema: SchemaId, kind: Kind) -> Vec<Result<Made, String>> {
        let valid =
            |(_, value): &&(Option<String>, Value)| self.schemas.is_valid(schema, value, Direction::Response);
        media.examples.iter().filter(valid).map(|example| Ok(from_example(example, kind))).collect()
    }

    /// What a header of the answer says.
    pub(super) fn header(&mut self, header: &Header) -> Result<String, String> {
        let valid = |value: &&Value| self.schemas.is_valid(header.schema, value, Direction::Response);
        let given = header.examples.iter().find(valid);
        if let (Some(value), true) = (given, self.options.value_examples) {
            return Ok(one_line(&literal(&written_header(header, value))));
        }
        let plan = self.planner.borrow_mut().body(header.schema).map_err(|error| error.why().to_owned())?;
        Ok(one_line(&header_template(header, &plan)))
    }
}

/// A value in the style of a header.
fn written_header(header: &Header, value: &Value) -> String {
    let pairs = written(&header.as_parameter(), value);
    pairs.into_iter().map(|(_, text)| text).next().unwrap_or_default()
}

/// A template that prints values in the style of a header.
fn header_template(header: &Header, plan: &Plan) -> String {
    use crate::plan::PlanNode::{Choice, Literal};
    if header.media.is_some() {
        return json_template(plan);
    }
    let is_nested = |value: &Value| value.is_array() || value.is_object();
    match &plan.node {
        Literal(value) => literal(&written_header(header, value)),
        // Those are not so many that all of them would be needed.
        Choice(values) if values.iter().any(is_nested) => {
            values.first().map(|value| literal(&written_header(header, value))).unwrap_or_default()
        }
        _ => {
            let between = if header.explode { "=" } else { "," };
            list_template(plan, separator(header.style, false), between)
        }
    }
}

/// Headers have no line breaks.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ").trim().to_owned()
}

fn template(plan: &Arc<Plan>, kind: Kind) -> String {
    use crate::plan::PlanNode::{Array, FreeObject, Object};
    match kind {
        Kind::Xml => xml_template(plan),
        Kind::Form => form_template(plan),
        // Objects in a media type that is unknown here are shown as JSON.
        Kind::Text if !matches!(plan.node, Array { .. } | Object(_) | FreeObject) => {
            text_template(plan, Escape::None)
        }
        Kind::Json | Kind::Text => json_template(plan),
    }
}

fn without_schema(media: &Media, kind: Kind) -> Vec<Result<Made, String>> {
    if !media.examples.is_empty() {
        return media.examples.iter().map(|example| Ok(from_example(example, kind))).collect();
    }
    let template = match kind {
        Kind::Json => "{{RandDict}}",
        Kind::Xml => "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<root>{{RandWord 3 9}}</root>",
        Kind::Form => "{{RandWord 3 9}}={{RandWord 3 9}}",
        Kind::Text => "{{RandSentence 3 9}}",
    };
    vec![Ok(Made { variant: None, template: template.into(), patterns: Rc::default() })]
}

fn from_example((name, value): &(Option<String>, Value), kind: Kind) -> Made {
    let template = match (value, kind) {
        // Texts of other media types stand in the specification as texts.
        (Value::String(text), Kind::Xml | Kind::Form | Kind::Text) => literal(text),
        // And so does JSON, in some.
        (Value::String(text), Kind::Json)
            if serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()) =>
        {
            literal(text)
        }
        (value, _) => literal(&serde_json::to_string_pretty(value).unwrap_or_default()),
    };
    Made { variant: name.clone(), template: template.into(), patterns: Rc::default() }
}
