//! What SQLite says, as `LockError`.

use std::sync::Arc;

use db_locks_core::LockError;
use rusqlite::ErrorCode;

use crate::config::Place;

const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why a step of the protocol gave no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The protocol says no, before anything was written: the requests of the same transaction are not touched by it.
    Refused(LockError),
    /// SQLite says no: the whole transaction is undone.
    Sql(rusqlite::Error),
}

/// The result of one step of the protocol.
pub(crate) type Step<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<LockError> for Fault {
    fn from(error: LockError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// The error that a caller sees.
    pub(crate) fn into_lock_error(self, place: &Place) -> LockError {
        match self {
            Self::Refused(error) => error,
            Self::Sql(error) => lock_error(&Arc::new(error), place),
        }
    }
}

/// The error that each caller of a failed transaction sees; all of them share the cause.
pub(crate) fn lock_error(error: &Arc<rusqlite::Error>, place: &Place) -> LockError {
    use ErrorCode as Code;
    let cause = Arc::clone(error);
    let Some(code) = error.sqlite_error_code() else {
        return LockError::serialization(
            format!("{place}: a row does not have the form that it should have"),
            cause,
        );
    };
    match code {
        Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed => {
            LockError::database_retryable(
                format!("{place}: other processes kept the file locked for too long"),
                cause,
            )
        }
        Code::ReadOnly => LockError::access_denied(format!("{place}: the database is read-only"), cause),
        Code::PermissionDenied | Code::AuthorizationForStatementDenied => {
            LockError::access_denied(format!("{place}: access was denied"), cause)
        }
        Code::DiskFull => LockError::unavailable(format!("{place}: the disk is full"), cause),
        // SQLite found no room for the index of its log.
        Code::SystemIoFailure if error.sqlite_extended_error_code() == Some(IOERR_SHMSIZE) => {
            LockError::unavailable(format!("{place}: the disk is full"), cause)
        }
        Code::SystemIoFailure => {
            LockError::unavailable(format!("{place}: the disk failed to read or write"), cause)
        }
        Code::CannotOpen => cannot_open(cause, place),
        Code::NotADatabase => {
            LockError::database(format!("{place}: the file is not a SQLite database"), cause)
        }
        Code::DatabaseCorrupt => LockError::database(format!("{place}: the file is damaged"), cause),
        _ if cause.to_string().contains("no such table") => LockError::database(
            format!("{place}: tables are missing; `db-locks migrate` creates them"),
            cause,
        ),
        _ => LockError::database(format!("{place}: SQLite failed a statement"), cause),
    }
}

/// SQLite does not say why it could not open a file, so we ask the system.
fn cannot_open(cause: Arc<rusqlite::Error>, place: &Place) -> LockError {
    let Place::File { path, .. } = place else {
        return LockError::unavailable(format!("{place}: cannot open the database"), cause);
    };
    let probe = std::fs::File::open(path);
    let denied = matches!(&probe, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied);
    match probe {
        Err(_) if denied => LockError::access_denied(format!("{place}: the file may not be opened"), cause),
        Err(error) => LockError::unavailable(format!("{place}: cannot open the file: {error}"), cause),
        Ok(_) if path.is_dir() => LockError::unavailable(format!("{place}: is a folder, not a file"), cause),
        Ok(_) => LockError::unavailable(
            format!("{place}: cannot open the file, or those that SQLite keeps beside it"),
            cause,
        ),
    }
}
