//! The driver's errors as [`LockError`]s.

use db_locks_core::LockError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Words of the server that pass by themselves: it starts, fails over, is busy, lacks replicas, is full of clients.
const PASSING: [&str; 10] = [
    "READONLY",
    "LOADING",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MASTERDOWN",
    "BUSY",
    "NOREPLICAS",
    "UNBLOCKED",
    "UNKILLABLE",
    "ERR max number of clients reached",
];
/// Words about credentials and rights.
const DENIED: [&str; 4] = ["WRONGPASS", "NOAUTH", "NOPERM", "DENIED"];
/// How servers say, in a sentence, that a script may not do something: Redis 6 and 7.0; later ones and Valkey.
const DENIED_IN_SCRIPT: [&str; 2] = ["The user executing the script can't", "ACL failure in script"];

/// What went wrong while doing something (`acquire`), with the driver's error as source.
pub(crate) fn failed(doing: &str, error: RedisError) -> LockError {
    if error.is_timeout() {
        return LockError::unavailable(format!("Redis did not answer in time to {doing}"), error);
    }
    let words = server_words(&error);
    let says = |known: &[&str]| known.iter().any(|known| words.starts_with(known));
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => {
            LockError::unavailable(format!("cannot reach Redis to {doing}"), error)
        }
        ErrorKind::AuthenticationFailed => {
            LockError::access_denied(format!("Redis refuses the credentials to {doing}"), error)
        }
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => LockError::runtime_from(
            format!("cannot {doing}: this Redis is part of a cluster; add ?cluster=true to its URL"),
            error,
        ),
        ErrorKind::InvalidClientConfig => LockError::runtime_from(format!("cannot {doing}"), error),
        ErrorKind::RESP3NotSupported => {
            LockError::runtime_from(format!("cannot {doing}: Redis 6.2 or newer is needed"), error)
        }
        _ if says(&DENIED) || DENIED_IN_SCRIPT.iter().any(|known| words.contains(known)) => {
            LockError::access_denied(format!("Redis does not allow this user to {doing}"), error)
        }
        _ if says(&PASSING) => LockError::unavailable(format!("Redis cannot {doing} just now"), error),
        _ => LockError::database(format!("Redis failed to {doing}"), error),
    }
}

/// Whether the server does not know the script (any more).
pub(crate) fn is_no_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether the connection cannot be used any more: lost, or silent for so long that it is not trusted.
pub(crate) fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_io_error()
}

/// Code and sentence of the server. Redis 6 wraps what happens inside a script:
/// `ERR Error running script (call to f_…): @user_script:12: -OOM command not allowed …`.
fn server_words(error: &RedisError) -> String {
    let words = format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default());
    match words.split_once("@user_script").and_then(|(_, inner)| inner.split_once(" -")) {
        Some((_, inner)) if words.starts_with("ERR Error running script") => inner.to_string(),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, detail: &str) -> db_locks_core::ErrorKind {
        failed("test", redis::make_extension_error(code.into(), Some(detail.into()))).kind()
    }

    #[test]
    fn codes_have_kinds() {
        use db_locks_core::ErrorKind as K;
        for (code, expected) in [
            ("READONLY", K::CurrentlyUnavailable),
            ("LOADING", K::CurrentlyUnavailable),
            ("BUSY", K::CurrentlyUnavailable),
            ("WRONGPASS", K::AccessDenied),
            ("NOAUTH", K::AccessDenied),
            ("NOPERM", K::AccessDenied),
            ("OOM", K::Database),
            ("MISCONF", K::Database),
            ("WRONGTYPE", K::Database),
        ] {
            assert_eq!(kind(code, "in so many words"), expected, "{code}");
        }
        assert_eq!(kind("ERR", "max number of clients reached"), K::CurrentlyUnavailable);
        let wrapped =
            "Error running script (call to f_1): @user_script:7: @user_script: 7: -READONLY You can't write";
        assert_eq!(kind("ERR", wrapped), K::CurrentlyUnavailable);
        let wrapped =
            "Error running script (call to f_1): @user_script:7: -NOPERM The user executing the script";
        assert_eq!(kind("ERR", wrapped), K::AccessDenied);
    }
}
