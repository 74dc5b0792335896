//! Errors: where in which template, and what.

use std::fmt;

use crate::functions::FuncError;

/// A place in the text of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The name given to the text when it was parsed.
    pub template: String,
    /// Line, the first is 1.
    pub line: usize,
    /// Column in characters, the first is 1.
    pub column: usize,
}

impl Location {
    /// The place of byte `offset` of `text`.
    pub(crate) fn find(template: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Location {
            template: template.to_owned(),
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + before.get(line_start..).unwrap_or("").chars().count(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.template, self.line, self.column)
    }
}

/// The text is not a template.
///
/// ```
/// use api_mock_template::{Functions, ParseErrorKind, Template};
/// let error = Template::parse("page", "one\ntwo {{if .x}}", &Functions::new()).unwrap_err();
/// assert_eq!(error.to_string(), "template page:2:5: {{if}} has no {{end}}");
/// assert_eq!((error.location().line, error.location().column), (2, 5));
/// assert!(matches!(error.kind(), ParseErrorKind::Unclosed { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("template {location}: {kind}")]
pub struct ParseError {
    location: Location,
    kind: ParseErrorKind,
}

impl ParseError {
    pub(crate) fn new(location: Location, kind: ParseErrorKind) -> Self {
        ParseError { location, kind }
    }

    /// Where.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What.
    #[must_use]
    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }
}

/// What is wrong with the text of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// An action without its closing delimiter.
    #[error("action is not closed")]
    UnclosedAction,
    /// A comment without its end.
    #[error("comment is not closed")]
    UnclosedComment,
    /// Something stands between the end of a comment and the closing delimiter.
    #[error("a comment must end right before the closing delimiter")]
    CommentEnd,
    /// A string, raw string or character constant without its closing quote.
    #[error("{0} is not closed")]
    UnclosedQuote(&'static str),
    /// A string or character constant that is not one.
    #[error("malformed constant {0}")]
    BadConstant(String),
    /// A number that is not one, or does not fit.
    #[error("malformed number {0:?}")]
    BadNumber(String),
    /// An integer too large for 64 bits.
    #[error("integer {0} is too large")]
    IntegerOverflow(String),
    /// A character that has no meaning here.
    #[error("unexpected character {0:?}")]
    BadCharacter(char),
    /// A colon that is not part of `:=`.
    #[error("expected := after the colon")]
    ExpectedDeclare,
    /// A parenthesis that is not closed.
    #[error("parenthesis is not closed")]
    UnclosedParenthesis,
    /// A closing parenthesis too many.
    #[error("closing parenthesis without an opening one")]
    UnopenedParenthesis,
    /// Something that may not stand here.
    #[error("unexpected {found} in {context}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// In what.
        context: &'static str,
    },
    /// A field chain after a constant.
    #[error("a field cannot be taken of the constant {0}")]
    FieldOfConstant(String),
    /// A function that nobody registered.
    #[error("function {0:?} is not defined")]
    UnknownFunction(String),
    /// A variable that is not declared, or no longer in scope.
    #[error("variable {0:?} is not defined")]
    UndefinedVariable(String),
    /// An action or clause without a value.
    #[error("missing value for {0}")]
    MissingValue(&'static str),
    /// Nothing stands between two pipes or parentheses.
    #[error("empty command")]
    EmptyCommand,
    /// A constant receives a value through a pipe.
    #[error("command {0} of the pipeline is no function")]
    NotExecutable(usize),
    /// More variables declared than the action takes.
    #[error("too many variables declared in {0}")]
    TooManyDeclarations(&'static str),
    /// `{{end}}` or `{{else}}` without its beginning.
    #[error("unexpected {{{{{0}}}}}")]
    Unopened(&'static str),
    /// `{{if}}`, `{{range}}`, `{{with}}`, `{{define}}` or `{{block}}` without its end.
    #[error("{{{{{0}}}}} has no {{{{end}}}}", action)]
    Unclosed {
        /// Which of them.
        action: &'static str,
    },
    /// A second `{{else}}`.
    #[error("{{{{else}}}} after the last {{{{else}}}}")]
    SecondElse,
    /// `{{break}}` or `{{continue}}` outside of `{{range}}`.
    #[error("{{{{{0}}}}} outside of {{{{range}}}}")]
    OutsideRange(&'static str),
    /// `{{define}}` inside of another action.
    #[error("{{{{define}}}} must not stand inside of another action")]
    NestedDefine,
    /// Two templates of one name in one text.
    #[error("template {0:?} is defined twice")]
    DefinedTwice(String),
    /// Actions or parentheses stand too deep inside one another.
    #[error("nested too deeply")]
    TooDeep,
    /// The text is larger than 4 GiB or has too many parts.
    #[error("template is too large")]
    TooLarge,
}

/// A rendering that ended early.
///
/// ```
/// use api_mock_template::{Functions, Template, Value};
/// let template = Template::parse("page", "one\ntwo {{len 3}}", &Functions::new())?;
/// let error = template.render(&Value::Nil).unwrap_err();
/// assert_eq!(error.to_string(), "template page:2:7 at <len 3>: len: an int has no length");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RenderError(Box<Failed>);

#[derive(Debug)]
struct Failed {
    location: Location,
    snippet: String,
    kind: Box<RenderErrorKind>,
}

impl RenderError {
    pub(crate) fn new(location: Location, snippet: String, kind: Box<RenderErrorKind>) -> Self {
        RenderError(Box::new(Failed { location, snippet, kind }))
    }

    /// Where.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// The part of the template that failed, shortened.
    #[must_use]
    pub fn snippet(&self) -> &str {
        &self.0.snippet
    }

    /// What.
    #[must_use]
    pub fn kind(&self) -> &RenderErrorKind {
        &self.0.kind
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { location, snippet, kind } = &*self.0;
        write!(f, "template {location} at <{snippet}>: {kind}")
    }
}

impl std::error::Error for RenderError {
    /// What a function of the caller gave as its own cause; its message is part of this error's.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0.kind {
            RenderErrorKind::Function { source, .. } => source.source(),
            _ => None,
        }
    }
}

/// Which limit a rendering ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// [`crate::Limits::steps`].
    #[error("too many steps")]
    Steps,
    /// [`crate::Limits::depth`].
    #[error("templates call each other too deeply")]
    Depth,
    /// [`crate::Limits::output_bytes`].
    #[error("too much output")]
    Output,
    /// Lists and maps stand too deep inside one another.
    #[error("value is nested too deeply")]
    ValueDepth,
}

/// Errors travel boxed inside the machine: a large error makes every result large.
impl From<Limit> for Box<RenderErrorKind> {
    fn from(limit: Limit) -> Self {
        Box::new(RenderErrorKind::Limit(limit))
    }
}

/// Why a rendering ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderErrorKind {
    /// A field of something that has no fields.
    #[error("cannot take field {field} of {type_name}")]
    NoField {
        /// The field.
        field: String,
        /// The type that it was taken of.
        type_name: &'static str,
    },
    /// A key that is missing, with [`crate::MissingKey::Error`].
    #[error("no entry for key {0:?}")]
    MissingKey(String),
    /// A value, not a function, was given arguments.
    #[error("this is no function but has arguments")]
    NotAFunction,
    /// A function was given too few or too many arguments.
    #[error("{function} wants {want} arguments, got {got}")]
    ArgumentCount {
        /// The function.
        function: String,
        /// How many it takes.
        want: String,
        /// How many it was given.
        got: usize,
    },
    /// A function of the caller failed.
    #[error("{name}: {source}")]
    Function {
        /// Its name in the template.
        name: String,
        /// What it said.
        source: FuncError,
    },
    /// A built-in function failed.
    #[error("{name}: {message}")]
    Builtin {
        /// The function.
        name: &'static str,
        /// Why.
        message: String,
    },
    /// `{{template}}` names a template that nobody defined.
    #[error("template {0:?} is not defined")]
    UndefinedTemplate(String),
    /// A variable is used in its own first declaration, or assigned without one.
    #[error("variable {0:?} is not defined")]
    UndefinedVariable(String),
    /// `{{range}}` over something that has no elements.
    #[error("cannot range over {0}")]
    NotIterable(&'static str),
    /// `{{range $index, $element}}` over an integer.
    #[error("range over an integer takes one variable only")]
    TwoVariables,
    /// A value that has no text, that is, a function.
    #[error("cannot print a value of type {0}")]
    NotPrintable(&'static str),
    /// An integer constant that does not fit 64 bits.
    #[error("{0} does not fit an integer")]
    IntegerOverflow(String),
    /// `nil` where a command is wanted.
    #[error("nil is not a command")]
    NilCommand,
    /// A limit of the caller was reached.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The output is not UTF-8, though the caller asked for a `String`.
    #[error("output is not UTF-8")]
    NotUtf8,
}
