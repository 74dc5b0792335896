//! How a trial says no: a sentence with the place in the source that says it.

use std::fmt::{self, Debug, Display};
use std::panic::Location;

use db_locks_core::LockError;

/// What a trial returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a trial failed, and where.
pub(crate) struct Failure {
    message: String,
    place: &'static Location<'static>,
    inconclusive: bool,
}

impl Failure {
    /// Fails at the caller's line.
    #[track_caller]
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Location::caller(), inconclusive: false }
    }

    /// The machine was too slow to tell right from wrong: a lease or a sign of life was over before the question that
    /// depends on it was answered. The trial is run again.
    #[track_caller]
    pub(crate) fn inconclusive(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Location::caller(), inconclusive: true }
    }

    /// Whether the trial could not tell.
    pub(crate) fn is_inconclusive(&self) -> bool {
        self.inconclusive
    }

    /// The same failure with words about what was going on.
    pub(crate) fn during(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}", self.message, self.place)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl From<LockError> for Failure {
    #[track_caller]
    fn from(error: LockError) -> Self {
        Self::new(format!("{:?}: {}", error.kind(), error.chain()))
    }
}

/// Errors of everything that is not a lock.
macro_rules! from_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            #[track_caller]
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        }
    )*};
}
from_errors!(std::io::Error, serde_json::Error, tokio::task::JoinError, std::num::ParseIntError);
from_errors!(tokio::sync::AcquireError, std::str::Utf8Error, tokio::time::error::Elapsed);

impl From<String> for Failure {
    #[track_caller]
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// Fails the trial unless the condition holds.
macro_rules! check {
    ($condition:expr) => {
        check!($condition, "not so: {}", stringify!($condition))
    };
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::failure::Failure::new(format!($($words)+)));
        }
    };
}

/// Fails the trial unless both sides are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr) => {
        check_eq!($left, $right, "{}", stringify!($left))
    };
    ($left:expr, $right:expr, $($words:tt)+) => {
        // A match keeps temporaries of both sides alive.
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => {
                let words = format!($($words)+);
                let message = format!("{words}: {left:?} instead of {right:?}");
                return Err($crate::failure::Failure::new(message));
            }
        }
    };
}

/// Fails the trial unless the result is an error of this kind.
macro_rules! check_err {
    ($result:expr, $kind:ident) => {{
        match &$result {
            Err(error) if error.kind() == db_locks_core::ErrorKind::$kind => {}
            other => {
                return Err($crate::failure::Failure::new(format!(
                    "{}: {other:?} instead of {}",
                    stringify!($result),
                    stringify!($kind)
                )));
            }
        }
    }};
}

pub(crate) use {check, check_eq, check_err};
