//! Why a scenario cannot be rendered.

use api_mock_scenario::ScenarioError;
use api_mock_template::{ParseError, RenderError};

/// Why a scenario cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderProblem {
    /// The text is not a template.
    #[error(transparent)]
    Template(#[from] Box<ParseError>),
    /// The rendering ended early.
    #[error(transparent)]
    Render(#[from] Box<RenderError>),
    /// What was rendered is not a scenario; lines are those of the rendered text.
    #[error("rendered, it is not a scenario: {0}")]
    Scenario(#[from] Box<ScenarioError>),
    /// A directive printed directives where a number or a duration is wanted.
    #[error("{field}: rendered, it is neither a number nor a duration")]
    Unreadable {
        /// The field.
        field: &'static str,
    },
    /// The fixture that should be the body is not there.
    #[error("there is no fixture {0:?}")]
    NoFixture(String),
    /// A header cannot be sent.
    #[error("header {0:?} has a name or value that HTTP does not know")]
    Header(String),
}

impl RenderProblem {
    /// The line in the file, the first is 1; in the rendered text if that is what is wrong.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            RenderProblem::Template(error) => Some(error.location().line),
            RenderProblem::Render(error) => Some(error.location().line),
            RenderProblem::Scenario(error) => error.line(),
            RenderProblem::Unreadable { .. } | RenderProblem::NoFixture(_) | RenderProblem::Header(_) => None,
        }
    }

    /// The column in characters, the first is 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match self {
            RenderProblem::Template(error) => Some(error.location().column),
            RenderProblem::Render(error) => Some(error.location().column),
            _ => None,
        }
    }
}
