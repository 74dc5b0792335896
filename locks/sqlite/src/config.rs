//! Where the database is and what its tables are called.

use std::fmt;
use std::path::PathBuf;

use db_locks_core::config::validate_distinct_tables;
use db_locks_core::{LockError, LockResult, LocksConfig};

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A private one in this repository's memory.
    Memory,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// What may be done to it.
        mode: Mode,
    },
}

/// What may be done to a file, in the words of SQLite's own URLs (`?mode=ro`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `rwc`: read, write, create if absent. The default.
    Create,
    /// `rw`: read and write.
    Write,
    /// `ro`: read.
    Read,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::File { path, .. } => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl Place {
    /// Reads `sqlite:path`, `sqlite://path`, `sqlite:///abs`, `sqlite::memory:`, `:memory:`, or a path that ends in `.db`,
    /// `.sqlite` or `.sqlite3`; each with an optional `?mode=ro|rw|rwc`.
    ///
    /// # Errors
    /// `Validation`, which does not repeat the URL: it may be another database's, with a password.
    pub(crate) fn parse(url: &str) -> LockResult<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mode = parse_mode(query)?;
        let path = match place.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if place == ":memory:" => place,
            None if [".db", ".sqlite", ".sqlite3"].iter().any(|end| place.ends_with(end)) => place,
            None => return Err(invalid("is not a SQLite database; write sqlite:PATH or sqlite::memory:")),
        };
        match path {
            "" => Err(invalid("names no file; write sqlite:PATH or sqlite::memory:")),
            ":memory:" => Ok(Self::Memory),
            path if path.chars().any(char::is_control) => Err(invalid("holds a control character")),
            path => Ok(Self::File { path: PathBuf::from(path), mode }),
        }
    }
}

fn parse_mode(query: &str) -> LockResult<Mode> {
    match query {
        "" | "mode=rwc" => Ok(Mode::Create),
        "mode=rw" => Ok(Mode::Write),
        "mode=ro" => Ok(Mode::Read),
        _ => Err(invalid(
            "has a parameter that SQLite does not know here; there is only mode=ro, mode=rw and mode=rwc",
        )),
    }
}

fn invalid(message: &str) -> LockError {
    LockError::validation("database_url", message)
}

/// The names of the tables: plain identifiers, checked by [`LocksConfig::validate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) mutexes: String,
    pub(crate) semaphores: String,
    pub(crate) waiters: String,
    pub(crate) clients: String,
    pub(crate) clock: String,
    pub(crate) fenced: String,
}

impl Tables {
    /// The names that the configuration gives, and those made from them.
    ///
    /// # Errors
    /// `Validation` when one is no plain identifier, or two are the same.
    pub(crate) fn new(config: &LocksConfig) -> LockResult<Self> {
        config.validate()?;
        let tables = Self {
            mutexes: config.mutexes_table_name().to_string(),
            semaphores: config.semaphores_table_name().to_string(),
            waiters: config.waiters_table_name().to_string(),
            clients: format!("{}_clients", config.waiters_table_name()),
            clock: format!("{}_clock", config.mutexes_table_name()),
            fenced: format!("{}_fenced", config.mutexes_table_name()),
        };
        let Self { mutexes, semaphores, waiters, clients, clock, fenced } = &tables;
        let names = [mutexes, semaphores, waiters, clients, clock, fenced, "db_locks_migrations"];
        validate_distinct_tables(&names.map(|name| ("mutexes_table_name", name)))?;
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(url: &str) -> (String, Mode) {
        match Place::parse(url).unwrap() {
            Place::File { path, mode } => (path.display().to_string(), mode),
            Place::Memory => panic!("{url} was taken as in-memory"),
        }
    }

    #[test]
    fn every_form_of_the_url_is_read() {
        for (url, path) in [
            ("sqlite:locks.db", "locks.db"),
            ("sqlite://locks.db", "locks.db"),
            ("sqlite://dir/locks", "dir/locks"),
            ("sqlite:///var/lib/locks.db", "/var/lib/locks.db"),
            ("sqlite:/var/lib/locks.db", "/var/lib/locks.db"),
            ("locks.db", "locks.db"),
            ("/var/lib/locks.sqlite", "/var/lib/locks.sqlite"),
        ] {
            assert_eq!(file(url), (path.to_string(), Mode::Create), "{url}");
        }
        assert_eq!(file("sqlite:x?mode=ro").1, Mode::Read);
        assert_eq!(file("sqlite:x?mode=rw").1, Mode::Write);
        for url in ["sqlite::memory:", ":memory:", "sqlite://:memory:"] {
            assert_eq!(Place::parse(url).unwrap(), Place::Memory, "{url}");
        }
    }

    #[test]
    fn other_databases_are_refused_without_their_password() {
        for url in
            ["postgres://u:s3cret@h/d", "", "sqlite:", "sqlite://", "sqlite:a\0b", "sqlite:x?password=s3cret"]
        {
            let error = Place::parse(url).unwrap_err();
            assert!(!error.chain().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn tables_must_differ() {
        let mut config = LocksConfig::new("t");
        config.semaphores_table_name = Some("Mutexes".to_string());
        assert!(Tables::new(&config).is_err());
        config.semaphores_table_name = Some("mutexes_clock".to_string());
        assert!(Tables::new(&config).is_err());
        config.semaphores_table_name = Some("other".to_string());
        assert_eq!(Tables::new(&config).unwrap().clients, "lock_waiters_clients");
    }
}
