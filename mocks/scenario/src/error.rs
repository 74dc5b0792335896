//! What is wrong with a file, and where.

use std::fmt;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A file that is not a scenario: names the file (if told), the line (if known), the field, and
/// what was expected.
///
/// ```
/// use api_mock_scenario::{Format, Scenario};
/// let text = "method: GET\nname: a\npath: /a\nresponse:\n  status_code: many\n";
/// let error = Scenario::parse(text, Format::Yaml).unwrap_err().in_file("a.scr");
/// assert_eq!(error.to_string(), "a.scr:5: response.status_code: expected a status from 200 to 599, found \"many\"");
/// ```
#[derive(Debug)]
pub struct ScenarioError {
    file: Option<String>,
    line: Option<usize>,
    field: String,
    problem: Problem,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not YAML or JSON.
    Syntax(Cause),
    /// A field that must be there is not.
    Missing {
        /// What would do.
        expected: &'static str,
    },
    /// A field has a value that does not do.
    Unexpected {
        /// What would do.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A key stands twice in one map.
    Duplicate,
}

impl ScenarioError {
    pub(crate) fn new(line: Option<usize>, field: impl Into<String>, problem: Problem) -> Self {
        ScenarioError { file: None, line, field: field.into(), problem }
    }

    pub(crate) fn syntax(line: Option<usize>, cause: impl Into<Cause>) -> Self {
        ScenarioError::new(line, "", Problem::Syntax(cause.into()))
    }

    pub(crate) fn unexpected(
        line: Option<usize>,
        field: impl Into<String>,
        expected: &'static str,
        found: impl Into<String>,
    ) -> Self {
        ScenarioError::new(line, field, Problem::Unexpected { expected, found: found.into() })
    }

    /// The same, with the name of the file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The file, if it was told.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, the first is 1; `None` where it is not known, as in JSON.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The field, for example `response.status_code`; empty if the whole text is meant.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        match &self.problem {
            Problem::Syntax(cause) => write!(f, "{cause}"),
            Problem::Missing { expected } => write!(f, "missing; expected {expected}"),
            Problem::Unexpected { expected, found } => write!(f, "expected {expected}, found {found}"),
            Problem::Duplicate => f.write_str("stands twice"),
        }
    }
}

impl std::error::Error for ScenarioError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Syntax(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}
