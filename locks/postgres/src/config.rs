//! The configuration taken apart: table names, our own URL parameters, and what is the driver's.

use std::time::Duration;

use db_locks_core::error::redact_url;
use db_locks_core::{LockError, LockResult, LocksConfig};
use tokio_postgres::config::SslMode;

/// The URL's field in validation errors.
const FIELD: &str = "database_url";
/// A dead peer is noticed on an idle connection after this long, and not after the driver's two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// The names of this installation's tables; its functions and indexes begin with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) mutexes: String,
    pub(crate) semaphores: String,
    pub(crate) waiters: String,
}

/// How the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Not at all: encryption against eavesdroppers only (`prefer`, `require`).
    Anybody,
    /// It was signed by a trusted root (`verify-ca`).
    Signed,
    /// And it is for the host of the URL (`verify-full`).
    SignedForHost,
}

/// Everything that a connection needs.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The driver's part of the URL. Holds the password.
    pub(crate) driver: tokio_postgres::Config,
    /// The URL without password and parameters, for messages.
    pub(crate) shown: String,
    pub(crate) names: Names,
    pub(crate) trust: Trust,
    /// A PEM file of trusted roots instead of the built-in ones.
    pub(crate) root_cert: Option<String>,
    /// Use named prepared statements. Transaction poolers that do not know them need `?prepare=false`.
    pub(crate) prepare: bool,
    /// Wake waiters through LISTEN/NOTIFY. Transaction poolers do not pass these on.
    pub(crate) listen: bool,
    /// A release is answered when it is on disk. Without it a crash of the server may forget one, until the lease ends.
    pub(crate) durable_release: bool,
    /// Calls that come while others are on their way go together.
    pub(crate) group_commit: bool,
    pub(crate) pool_size: u32,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.shown)
            .field("names", &self.names)
            .field("trust", &self.trust)
            .field("prepare", &self.prepare)
            .field("listen", &self.listen)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the configuration and its URL.
    ///
    /// # Errors
    /// `Validation`. The URL is not repeated in it.
    pub(crate) fn new(config: &LocksConfig) -> LockResult<Self> {
        config.validate()?;
        let url = config.database_url();
        let (base, query) = url.split_once('?').unwrap_or((&url, ""));
        let mut own = OwnParameters::default();
        let mut theirs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !own.take(name, value)? {
                theirs.push(pair);
            }
        }
        let mut driver: tokio_postgres::Config = format!("{}?{}", lowercase_scheme(base), theirs.join("&"))
            .parse()
            .map_err(|error| invalid_url(&error))?;
        driver.ssl_mode(own.ssl_mode);
        driver.connect_timeout(config.connect_timeout());
        if !query.contains("keepalives_idle") {
            driver.keepalives_idle(KEEPALIVE_IDLE);
        }
        if driver.get_application_name().is_none() {
            driver.application_name("db-locks");
        }
        let trust = match (own.trust, &own.root_cert) {
            // As libpq does: who names a root wants it used.
            (Trust::Anybody, Some(_)) if own.ssl_mode == SslMode::Require => Trust::Signed,
            (trust, _) => trust,
        };
        Ok(Self {
            driver,
            shown: redact_url(&url),
            names: Names {
                mutexes: config.mutexes_table_name().to_string(),
                semaphores: config.semaphores_table_name().to_string(),
                waiters: config.waiters_table_name().to_string(),
            },
            trust,
            root_cert: own.root_cert,
            prepare: own.prepare,
            listen: own.listen.unwrap_or(own.prepare),
            durable_release: own.durable_release,
            group_commit: own.group_commit,
            pool_size: config.database_pool_size(),
            connect_timeout: config.connect_timeout(),
            request_timeout: config.request_timeout(),
        })
    }
}

/// The parameters of the URL that the driver does not know, or knows less of.
struct OwnParameters {
    ssl_mode: SslMode,
    trust: Trust,
    root_cert: Option<String>,
    prepare: bool,
    listen: Option<bool>,
    durable_release: bool,
    group_commit: bool,
}

impl Default for OwnParameters {
    fn default() -> Self {
        Self {
            ssl_mode: SslMode::Prefer,
            trust: Trust::Anybody,
            root_cert: None,
            prepare: true,
            listen: None,
            durable_release: true,
            group_commit: true,
        }
    }
}

impl OwnParameters {
    /// Notes the parameter if it is one of ours.
    fn take(&mut self, name: &str, value: &str) -> LockResult<bool> {
        match name {
            "sslmode" => (self.ssl_mode, self.trust) = ssl_mode(value)?,
            "sslrootcert" => self.root_cert = Some(percent_decoded(value)?),
            "prepare" => self.prepare = boolean(name, value)?,
            "durable_release" => self.durable_release = boolean(name, value)?,
            "group_commit" => self.group_commit = boolean(name, value)?,
            "listen" => self.listen = Some(boolean(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn ssl_mode(value: &str) -> LockResult<(SslMode, Trust)> {
    Ok(match value {
        "disable" => (SslMode::Disable, Trust::Anybody),
        "allow" | "prefer" => (SslMode::Prefer, Trust::Anybody),
        "require" => (SslMode::Require, Trust::Anybody),
        "verify-ca" => (SslMode::Require, Trust::Signed),
        "verify-full" => (SslMode::Require, Trust::SignedForHost),
        _ => {
            return Err(LockError::validation(
                FIELD,
                "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full",
            ));
        }
    })
}

fn boolean(name: &str, value: &str) -> LockResult<bool> {
    match value {
        "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" => Ok(false),
        _ => Err(LockError::validation(FIELD, format!("{name} must be true or false"))),
    }
}

/// The driver's scheme is case-sensitive; URLs are not.
fn lowercase_scheme(base: &str) -> String {
    match base.split_once(':') {
        Some((scheme, rest)) => format!("{}:{rest}", scheme.to_ascii_lowercase()),
        None => base.to_string(),
    }
}

/// `%2Fetc%2Fca.pem` is `/etc/ca.pem`.
fn percent_decoded(value: &str) -> LockResult<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex =
            || tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| LockError::validation(FIELD, "sslrootcert is not a path in UTF-8"))
}

/// The driver's words name the option at fault and never its value.
fn invalid_url(error: &tokio_postgres::Error) -> LockError {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    LockError::validation(FIELD, format!("is not a PostgreSQL URL: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> LockResult<Settings> {
        let mut config = LocksConfig::new("t");
        config.database_url = Some(url.to_string());
        Settings::new(&config)
    }

    #[test]
    fn sslmode_is_understood_as_libpq_does() {
        let mode = |query: &str| {
            let settings = settings(&format!("postgres://h/d?{query}")).unwrap();
            (settings.driver.get_ssl_mode(), settings.trust)
        };
        assert_eq!(mode(""), (SslMode::Prefer, Trust::Anybody));
        assert_eq!(mode("sslmode=disable"), (SslMode::Disable, Trust::Anybody));
        assert_eq!(mode("sslmode=require"), (SslMode::Require, Trust::Anybody));
        assert_eq!(mode("sslmode=require&sslrootcert=/ca.pem"), (SslMode::Require, Trust::Signed));
        assert_eq!(mode("sslmode=verify-ca"), (SslMode::Require, Trust::Signed));
        assert_eq!(mode("sslmode=verify-full"), (SslMode::Require, Trust::SignedForHost));
        assert!(settings("postgres://h/d?sslmode=sometimes").is_err());
    }

    #[test]
    fn our_parameters_do_not_reach_the_driver() {
        let settings = settings(
            "PostgreSQL://u:p@h:6432/d?prepare=false&connect_timeout=3&sslrootcert=%2Fa%20b.pem&sslmode=require",
        )
        .unwrap();
        assert!(!settings.prepare && !settings.listen);
        assert_eq!(settings.root_cert.as_deref(), Some("/a b.pem"));
        assert_eq!(settings.driver.get_ports(), [6432]);
        assert_eq!(settings.driver.get_dbname(), Some("d"));
        assert!(settings_listen("prepare=false&listen=true"));
        assert!(settings_listen(""));
    }

    fn settings_listen(query: &str) -> bool {
        settings(&format!("postgres://h/d?{query}")).unwrap().listen
    }

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        for url in
            ["postgres://u:s3cret@h:port/d", "postgres://u:s3cret@h/d?colour=s3cret", "postgres//s3cret"]
        {
            let error = settings(url).unwrap_err();
            assert_eq!(error.kind(), db_locks_core::ErrorKind::Validation);
            assert!(!error.chain().contains("s3cret"), "{}", error.chain());
        }
    }

    #[test]
    fn debug_hides_the_password() {
        let settings = settings("postgres://u:s3cret@h/d?password=s3cret").unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
