//! What PostgreSQL and its driver say, as [`LockError`]s.

use std::error::Error as _;

use db_locks_core::LockError;
use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::Error;

/// What is known of the place of a failure: the URL without its password, and the limits that applied.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) shown: String,
    pub(crate) pool_size: u32,
}

impl Place {
    /// A statement or connection that failed while `doing` something.
    pub(crate) fn failed(&self, doing: &str, error: Error) -> LockError {
        let Some(db) = error.as_db_error() else { return self.without_sqlstate(doing, error) };
        let code = db.code().code().to_string();
        let message = format!(
            "cannot {doing} on {}: {db_words} (SQLSTATE {code})",
            self.shown,
            db_words = one_line(db)
        );
        let hint = hint(&code);
        let message = if hint.is_empty() { message } else { format!("{message}; {hint}") };
        let cause = error.into_source().unwrap_or_else(|| "database error".into());
        match code.as_str() {
            "42501" | "25006" => LockError::access_denied(message, cause),
            "40001" | "40P01" | "55P03" | "23505" => LockError::database_retryable(message, cause),
            "57014" => LockError::unavailable(message, cause),
            // An old plan of a function that has just been replaced; another connection makes a new one.
            "0A000" => LockError::database_retryable(message, cause),
            _ => match code.get(..2).unwrap_or_default() {
                "28" => LockError::access_denied(message, cause),
                "08" | "53" | "57" | "58" => LockError::unavailable(message, cause),
                _ => LockError::database(message, cause),
            },
        }
    }

    /// The network, TLS, or this program itself.
    fn without_sqlstate(&self, doing: &str, error: Error) -> LockError {
        let words = error.to_string();
        let message = format!("cannot {doing} on {}: {words}", self.shown);
        if is_bad_certificate(&error) {
            LockError::access_denied(format!("{message}: the server's certificate is not trusted"), error)
        } else if ["authentication error", "invalid configuration"].contains(&words.as_str()) {
            LockError::access_denied(message, error)
        } else if words.starts_with("error serializing") || words.starts_with("error deserializing") {
            LockError::serialization(message, error)
        } else {
            LockError::unavailable(message, error)
        }
    }

    /// No connection could be had.
    pub(crate) fn no_connection(&self, doing: &str, error: PoolError) -> LockError {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                self.failed(doing, error)
            }
            PoolError::Timeout(TimeoutType::Wait) => LockError::unavailable(
                format!("cannot {doing} on {}: all {} connections are in use", self.shown, self.pool_size),
                error,
            ),
            PoolError::Timeout(_) => LockError::unavailable(
                format!("cannot {doing} on {}: no connection in time", self.shown),
                error,
            ),
            error => LockError::runtime_from(format!("cannot {doing} on {}", self.shown), error),
        }
    }

    /// No answer in time. Whether the statement took effect is unknown.
    pub(crate) fn too_late(&self, doing: &str, elapsed: tokio::time::error::Elapsed) -> LockError {
        LockError::unavailable(format!("cannot {doing} on {}: no answer in time", self.shown), elapsed)
    }
}

/// `ERROR: relation "mutexes" does not exist`, without details, which may repeat what users stored.
fn one_line(db: &tokio_postgres::error::DbError) -> String {
    format!("{}: {}", db.severity(), db.message())
}

/// What the user can do about it.
fn hint(code: &str) -> &'static str {
    match code {
        "42P01" | "42883" => {
            "are the tables and functions missing or of an older version? Run `db-locks migrate`"
        }
        "26000" | "42P05" => {
            "is there a transaction pooler in between? Add prepare=false to the URL's parameters"
        }
        "25006" => {
            "is this a standby? Name the primary, or add target_session_attrs=read-write to the URL's parameters"
        }
        _ => "",
    }
}

fn is_bad_certificate(error: &Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        // The TLS layer wraps its error in an io::Error, whose source() skips the error that it wraps.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .or_else(|| cause.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = tls {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Whether the connection, and with it probably the other idle ones, should not be used again.
pub(crate) fn spoils_connection(error: &Error) -> bool {
    match error.code() {
        Some(code) => {
            let code = code.code();
            matches!(code, "25006" | "0A000" | "26000" | "42P05")
                || code.starts_with("57P")
                || code.starts_with("08")
        }
        None => true,
    }
}
