//! What the server and the driver say, as [`LockError`].

use std::fmt;
use std::time::Duration;

use db_locks_core::{LockError, LockId};
use mysql_async::Error;

/// What was being done, for messages: `acquiring mutex "one" of tenant "t"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    doing: &'static str,
    lock: Option<&'a LockId>,
}

impl<'a> Task<'a> {
    /// Something about one lock.
    pub(crate) fn on(doing: &'static str, lock: &'a LockId) -> Self {
        Self { doing, lock: Some(lock) }
    }

    /// Something about the database.
    pub(crate) fn general(doing: &'static str) -> Self {
        Self { doing, lock: None }
    }
}

impl fmt::Display for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lock {
            Some(lock) => write!(f, "{} {lock}", self.doing),
            None => f.write_str(self.doing),
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The driver or the server said no.
    Driver(Error),
    /// No connection within this time.
    Connect(Duration),
    /// No answer within this time.
    Answer(Duration),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// The codes of server errors that are told apart here: <https://dev.mysql.com/doc/mysql-errors/8.0/en/>.
mod code {
    pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub(super) const DEADLOCK: u16 = 1213;
    /// Wrong user, password, database or right; the server or the transaction is read-only.
    pub(super) const DENIED: [u16; 17] = [
        1044, 1045, 1095, 1130, 1142, 1143, 1227, 1251, 1290, 1370, 1410, 1524, 1698, 1792, 1820, 1836, 3118,
    ];
    /// Too many connections, server going down, connection or statement killed, cluster node not ready.
    pub(super) const UNAVAILABLE: [u16; 21] = [
        1040, 1042, 1047, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1317, 1927,
        1969, 3024, 3032, 4031,
    ];
    /// A table or a procedure is not there.
    pub(super) const MISSING: [u16; 2] = [1146, 1305];
    /// A prepared statement that the server (or a proxy in between) does not know any more.
    pub(super) const STALE_STATEMENT: [u16; 2] = [1243, 1615];
    /// A row changed under a snapshot.
    pub(super) const CHANGED: u16 = 1020;
}

impl Fault {
    /// A deadlock's victim: rolled back, and safe to send again.
    pub(crate) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Driver(Error::Server(error)) if error.code == code::DEADLOCK)
    }

    /// The connection was closed while it was idle (a restarted server, an idle time-out), or a proxy has put us on another server.
    pub(crate) fn is_stale_connection(&self) -> bool {
        match self {
            Self::Driver(Error::Io(_)) => true,
            Self::Driver(Error::Driver(error)) => {
                matches!(
                    error,
                    mysql_async::DriverError::ConnectionClosed | mysql_async::DriverError::PacketOutOfOrder
                )
            }
            Self::Driver(Error::Server(error)) => {
                code::STALE_STATEMENT.contains(&error.code) || matches!(error.code, 1053 | 1927 | 4031)
            }
            _ => false,
        }
    }

    /// A table or procedure is not there.
    pub(crate) fn is_missing_table(&self) -> bool {
        matches!(self, Self::Driver(Error::Server(error)) if code::MISSING.contains(&error.code))
    }

    /// As the callers of the library see it.
    pub(crate) fn into_lock_error(self, place: &str, task: Task<'_>) -> LockError {
        let error = match self {
            Self::Connect(timeout) => {
                return LockError::timed_out(format!("{place}: no connection within {timeout:?}"));
            }
            Self::Answer(timeout) => {
                return LockError::timed_out(format!("{place}: {task}: no answer within {timeout:?}"));
            }
            Self::Driver(error) => error,
        };
        match error {
            Error::Server(ref server) => {
                let message = format!("{place}: {task}: {}", server.message);
                match server.code {
                    code::DEADLOCK | code::LOCK_WAIT_TIMEOUT | code::CHANGED => {
                        LockError::database_retryable(message, error)
                    }
                    n if code::DENIED.contains(&n) => LockError::access_denied(message, error),
                    n if code::UNAVAILABLE.contains(&n) => LockError::unavailable(message, error),
                    n if code::MISSING.contains(&n) => LockError::database(
                        format!("{message}; `db-locks migrate` makes the tables and procedures"),
                        error,
                    ),
                    _ => LockError::database(message, error),
                }
            }
            error if is_certificate_fault(&error) => {
                LockError::access_denied(format!("{place}: the server's certificate is not trusted"), error)
            }
            Error::Io(mysql_async::IoError::Tls(_)) => {
                LockError::unavailable(format!("{place}: {task}: no secure connection"), error)
            }
            Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => LockError::access_denied(
                format!("{place}: the server does not support TLS, which was asked for"),
                error,
            ),
            Error::Io(_) => LockError::unavailable(format!("{place}: {task}: the connection failed"), error),
            Error::Driver(_) => LockError::unavailable(format!("{place}: {task}: the driver failed"), error),
            Error::Url(_) | Error::Other(_) => {
                LockError::runtime_from(format!("{place}: {task}: the driver failed"), error)
            }
        }
    }
}

/// Not even a retry helps, as long as nobody changes a certificate.
fn is_certificate_fault(error: &Error) -> bool {
    let Error::Io(mysql_async::IoError::Io(error)) = error else { return false };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use db_locks_core::ErrorKind;
    use mysql_async::ServerError;

    use super::*;

    fn of(code: u16) -> LockError {
        let server = ServerError { code, message: "words".to_string(), state: "HY000".to_string() };
        let task = Task::general("asking");
        Fault::Driver(Error::Server(server)).into_lock_error("mysql://app:***@db/locks", task)
    }

    #[test]
    fn codes_become_kinds() {
        for (codes, kind) in [
            (&[1044, 1045, 1142, 1290, 1792, 1836, 1370][..], ErrorKind::AccessDenied),
            (&[1040, 1053, 1317, 1927], ErrorKind::CurrentlyUnavailable),
            (&[1205, 1213, 1146, 1305, 1064, 1114], ErrorKind::Database),
        ] {
            for code in codes {
                assert_eq!(of(*code).kind(), kind, "{code}");
            }
        }
        // Without a cause it would be taken for a lock that is in use.
        let silent = Fault::Answer(Duration::from_secs(1)).into_lock_error("db", Task::general("asking"));
        assert!(std::error::Error::source(&silent).is_some());
        assert!(of(1205).retryable() && of(1213).retryable() && !of(1064).retryable());
        assert!(of(1146).to_string().contains("db-locks migrate"));
    }
}
