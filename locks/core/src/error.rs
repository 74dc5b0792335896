//! Errors with a kind, retry advice, a sentence and the cause kept as `source`.
//!
//! Contention is not an error below [`crate::LockManager`]: a store answers
//! [`crate::Acquired::Busy`]. Only the manager, whose caller asked to *have* the lock, turns a
//! refusal into [`LockError::NotGranted`].

use std::error::Error as StdError;

/// The result of every fallible operation of this library.
pub type LockResult<T> = Result<T, LockError>;

/// The cause of an error, kept whole so that callers can walk the chain.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, why, and whether the same call may work when it is made again.
///
/// A message never holds a password, a token or a whole connection URL.
///
/// ```
/// use db_locks_core::{ErrorKind, LockError};
/// let error = LockError::validation("key", "must not be empty");
/// assert_eq!(error.kind(), ErrorKind::Validation);
/// assert!(!error.retryable());
/// assert_eq!(error.to_string(), "key: must not be empty");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The database refused or failed a statement.
    #[error("{message}")]
    Database {
        /// What was being done and what the database said.
        message: String,
        /// True for failures that pass by themselves (deadlock victim, serialization failure).
        retryable: bool,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// The credentials or rights do not suffice (also: the database is read-only).
    #[error("{message}")]
    AccessDenied {
        /// What was refused.
        message: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// A row exists that this call wanted to be the first to write.
    #[error("{message}")]
    DuplicateKey {
        /// Which key.
        message: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// There is no such lock, or the version given is not (or no longer) the current one.
    #[error("{message}")]
    NotFound {
        /// Which lock, and what about it does not exist.
        message: String,
    },
    /// The database cannot be reached or answers too late, or the thing is in use just now. A later try can work.
    #[error("{message}")]
    CurrentlyUnavailable {
        /// What could not be done.
        message: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// The lock was held by others for as long as the caller was ready to wait.
    #[error("{message}")]
    NotGranted {
        /// Which lock, how long was waited, and who holds it as far as is known.
        message: String,
    },
    /// The request is wrong in itself; no database was asked.
    #[error("{field}: {message}")]
    Validation {
        /// The option or argument at fault.
        field: &'static str,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// Something stored or read is not of the form that it should have.
    #[error("{message}")]
    Serialization {
        /// What could not be read or written.
        message: String,
        /// The parser's error.
        #[source]
        source: Option<Cause>,
    },
    /// Anything else: a store was shut down, a task was cancelled, a file is missing.
    #[error("{message}")]
    Runtime {
        /// What happened.
        message: String,
        /// Its cause.
        #[source]
        source: Option<Cause>,
    },
}

/// The kind of a [`LockError`] without its context: for matching, metrics labels and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named after the variants of LockError, which are documented")]
pub enum ErrorKind {
    Database,
    AccessDenied,
    DuplicateKey,
    NotFound,
    CurrentlyUnavailable,
    NotGranted,
    Validation,
    Serialization,
    Runtime,
}

impl ErrorKind {
    /// A stable snake_case name, used as a metrics label and in JSON errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::AccessDenied => "access_denied",
            Self::DuplicateKey => "duplicate_key",
            Self::NotFound => "not_found",
            Self::CurrentlyUnavailable => "currently_unavailable",
            Self::NotGranted => "not_granted",
            Self::Validation => "validation",
            Self::Serialization => "serialization",
            Self::Runtime => "runtime",
        }
    }
}

impl LockError {
    /// The database failed a statement for good.
    pub fn database(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Database { message: message.into(), retryable: false, source: Some(source.into()) }
    }

    /// The database failed a statement in a way that passes (deadlock, serialization failure, busy file).
    pub fn database_retryable(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Database { message: message.into(), retryable: true, source: Some(source.into()) }
    }

    /// Rights or credentials do not suffice.
    pub fn access_denied(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::AccessDenied { message: message.into(), source: Some(source.into()) }
    }

    /// No such lock, or not with that version.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into() }
    }

    /// The database cannot be reached now.
    pub fn unavailable(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::CurrentlyUnavailable { message: message.into(), source: Some(source.into()) }
    }

    /// There was no answer in time: nobody knows what came of it.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::unavailable(message, std::io::Error::from(std::io::ErrorKind::TimedOut))
    }

    /// What was to be deleted or shrunk is held just now.
    pub fn in_use(message: impl Into<String>) -> Self {
        Self::CurrentlyUnavailable { message: message.into(), source: None }
    }

    /// Nobody could be given the lock in time.
    pub fn not_granted(message: impl Into<String>) -> Self {
        Self::NotGranted { message: message.into() }
    }

    /// The request is wrong in itself.
    pub fn validation(field: &'static str, message: impl Into<String>) -> Self {
        Self::Validation { field, message: message.into() }
    }

    /// A stored value is malformed.
    pub fn serialization(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Serialization { message: message.into(), source: Some(source.into()) }
    }

    /// Anything that fits nowhere else.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::Runtime { message: message.into(), source: None }
    }

    /// Anything that fits nowhere else, with its cause.
    pub fn runtime_from(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Runtime { message: message.into(), source: Some(source.into()) }
    }

    /// The kind, without the context.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database { .. } => ErrorKind::Database,
            Self::AccessDenied { .. } => ErrorKind::AccessDenied,
            Self::DuplicateKey { .. } => ErrorKind::DuplicateKey,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::CurrentlyUnavailable { .. } => ErrorKind::CurrentlyUnavailable,
            Self::NotGranted { .. } => ErrorKind::NotGranted,
            Self::Validation { .. } => ErrorKind::Validation,
            Self::Serialization { .. } => ErrorKind::Serialization,
            Self::Runtime { .. } => ErrorKind::Runtime,
        }
    }

    /// Whether the same call, made again later, can work. Every call of this library is safe to
    /// make again: an acquisition is recognised by its version, a renewal and a release by theirs.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database { retryable, .. } => *retryable,
            Self::CurrentlyUnavailable { .. } | Self::NotGranted { .. } => true,
            _ => false,
        }
    }

    /// The same failure for another of the requests that went together: its kind, and its causes in words.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let message = self.chain();
        let source = self.source().map(|cause| Cause::from(cause.to_string()));
        match self {
            Self::AccessDenied { .. } => Self::AccessDenied { message, source },
            Self::CurrentlyUnavailable { .. } => Self::CurrentlyUnavailable { message, source },
            Self::Database { retryable, .. } => Self::Database { message, retryable: *retryable, source },
            Self::Serialization { .. } => Self::Serialization { message, source },
            _ => Self::Runtime { message, source },
        }
    }

    /// The message followed by each cause, for logs and command lines: `a: b: c`.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let part = cause.to_string();
            // Drivers often repeat their cause's words in their own message.
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            next = cause.source();
        }
        text
    }
}

/// A connection URL without its password, for messages: `postgres://app:***@host:5432/db`.
///
/// ```
/// use db_locks_core::error::redact_url;
/// assert_eq!(redact_url("postgres://app:s3cret@db:5432/x?sslmode=require"), "postgres://app:***@db:5432/x");
/// assert_eq!(redact_url("sqlite:locks.db"), "sqlite:locks.db");
/// ```
pub fn redact_url(url: &str) -> String {
    // The query string may hold passwords too (`?password=`), so it is cut off whole.
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_string() };
    // A password may itself hold '/' or '@' when it was not percent-encoded: the last '@' ends it.
    let Some((userinfo, host)) = rest.rsplit_once('@') else { return url.to_string() };
    let user = userinfo.split(':').next().unwrap_or_default();
    if userinfo.contains(':') {
        format!("{scheme}://{user}:***@{host}")
    } else {
        format!("{scheme}://{user}@{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redact_url_hides_passwords_that_hold_separators() {
        assert_eq!(redact_url("redis://:p@ss/w@h:1/0"), "redis://:***@h:1/0");
        assert_eq!(redact_url("mysql://u:p@h/d?password=x"), "mysql://u:***@h/d");
        assert_eq!(redact_url("mysql://u@h/d"), "mysql://u@h/d");
    }

    /// With a cause it is the database that cannot be reached; without, something is in use.
    #[test]
    fn duplicates_and_time_outs_have_a_cause() {
        let copy = LockError::unavailable("cannot reach the database", "refused").duplicate();
        assert_eq!(
            (copy.kind(), copy.chain()),
            (ErrorKind::CurrentlyUnavailable, "cannot reach the database: refused".into())
        );
        assert!(copy.source().is_some() && LockError::timed_out("no answer").source().is_some());
        assert!(LockError::in_use("held").duplicate().source().is_none());
    }

    #[test]
    fn chain_keeps_every_cause_once() {
        let io = std::io::Error::other("connection reset");
        let error = LockError::unavailable("cannot reach the database", io);
        assert_eq!(error.chain(), "cannot reach the database: connection reset");
    }
}
