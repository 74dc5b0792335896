//! One error type: what failed in a sentence, its cause, and the exit code that it becomes.

use std::error::Error;
use std::fmt;

/// The result of a chore.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a chore failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    code: u8,
}

impl Failure {
    /// The chore failed (exit code 1).
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, code: 1 }
    }

    /// The command line was wrong (exit code 2).
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {}

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    /// Turns the error into a [`Failure`] with this sentence in front.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure { message: what(), source: Some(Box::new(error)), code: 1 })
    }
}
