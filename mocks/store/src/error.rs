//! Why the store did not do what it was asked.

use std::path::PathBuf;

use api_mock_scenario::ScenarioError;

/// What kind of failure it is; each has its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The caller's input does not do: 400.
    Invalid,
    /// There is no such thing: 404.
    NotFound,
    /// Something else is in the way: 409.
    Conflict,
    /// More than a limit allows: 413.
    TooLarge,
    /// The file system failed: 500.
    Io,
}

impl StoreErrorKind {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            StoreErrorKind::Invalid => 400,
            StoreErrorKind::NotFound => 404,
            StoreErrorKind::Conflict => 409,
            StoreErrorKind::TooLarge => 413,
            StoreErrorKind::Io => 500,
        }
    }
}

/// Why the store did not do what it was asked. Its text names no place on disk outside the data
/// folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text is not a scenario.
    #[error(transparent)]
    Scenario(#[from] Box<ScenarioError>),
    /// The check of the store's options did not find the scenario good.
    #[error("{source}")]
    Rejected {
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A method, name or path that nothing can have.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// There is no such scenario or fixture.
    #[error("there is no {0}")]
    NotFound(String),
    /// Something else is in the way, for example a symbolic link out of the data folder.
    #[error("{0}")]
    Conflict(String),
    /// More than a limit allows.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// More scenarios or fixtures than the limit allows.
    #[error("there are {0} already, which is the limit")]
    TooMany(usize),
    /// The file system failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            StoreError::Scenario(_) | StoreError::Rejected { .. } | StoreError::Invalid { .. } => {
                StoreErrorKind::Invalid
            }
            StoreError::NotFound(_) => StoreErrorKind::NotFound,
            StoreError::Conflict(_) => StoreErrorKind::Conflict,
            StoreError::TooLarge { .. } | StoreError::TooMany(_) => StoreErrorKind::TooLarge,
            StoreError::Io { .. } => StoreErrorKind::Io,
        }
    }

    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
        move |source| StoreError::Io { action, source }
    }
}

/// A file that was skipped, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProblem {
    /// The file, relative to the data folder.
    pub file: PathBuf,
    /// What is wrong with it; names file, line and field where they are known.
    pub message: String,
}

impl std::fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
