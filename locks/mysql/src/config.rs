//! Which server, how it is spoken to, and what the tables are called.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use db_locks_core::config::validate_distinct_tables;
use db_locks_core::{LockError, LockResult, LocksConfig, error::redact_url};
use mysql_async::{Opts, OptsBuilder, SslOpts};

/// Idle connections are kept alive through routers that forget silent ones.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// More than any request needs: names, and 64 KiB of data twice over as hexadecimal digits.
const MAX_PACKET_BYTES: usize = 16 * 1024 * 1024;
/// Statements that a connection keeps prepared; there are fewer.
const STATEMENT_CACHE: usize = 32;
/// The server's longest wait for a row, in seconds, however patient the client is.
const MAX_LOCK_WAIT_SECS: u64 = 50;

/// Everything that the configuration says about this store.
#[derive(Clone)]
pub(crate) struct Settings {
    /// How to connect. Holds the password.
    pub(crate) opts: Opts,
    /// A file of certificates to trust, to be read before the first connection.
    ca: Option<PathBuf>,
    /// The server's URL without a password, for messages.
    pub(crate) place: String,
    pub(crate) tables: Tables,
    /// The most connections.
    pub(crate) pool_size: usize,
    pub(crate) migrate: bool,
    /// Calls that come while others are on their way go together.
    pub(crate) group_commit: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

impl Settings {
    /// Reads the configuration.
    ///
    /// # Errors
    /// `Validation` for a URL that is none of MySQL's, or bad table names. The password is not repeated.
    pub(crate) fn new(config: &LocksConfig) -> LockResult<Self> {
        let url = config.database_url();
        let tables = Tables::new(config)?;
        let Target { opts, tls, ca, group_commit } = Target::parse(&url)?;
        let opts = OptsBuilder::from_opts(opts)
            .ssl_opts(tls)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .stmt_cache_size(STATEMENT_CACHE)
            .client_found_rows(false)
            // Told here, they need not be asked for.
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            .wait_timeout(Some(28_800))
            .setup(vec![session_setup(config.request_timeout())]);
        Ok(Self {
            opts: opts.into(),
            ca,
            place: redact_url(&url),
            tables,
            pool_size: usize::try_from(config.database_pool_size()).unwrap_or(usize::MAX),
            migrate: config.run_database_migrations(),
            group_commit,
            connect_timeout: config.connect_timeout(),
            request_timeout: config.request_timeout(),
        })
    }
}

impl Settings {
    /// Reads the file of certificates, if one was named. The driver would read it for each connection anew, and not say which
    /// file it was that could not be read.
    pub(crate) async fn read_files(&mut self) -> LockResult<()> {
        let Some(path) = self.ca.take() else { return Ok(()) };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        let certificates = read
            .map_err(std::io::Error::other)
            .and_then(|read| read)
            .map_err(|error| invalid(&format!("names ssl-ca={shown}, which cannot be read: {error}")))?;
        let tls = self.opts.ssl_opts().cloned().unwrap_or_default();
        let tls = tls.with_root_certs(vec![certificates.into()]).with_disable_built_in_roots(true);
        self.opts = OptsBuilder::from_opts(self.opts.clone()).ssl_opts(tls).into();
        Ok(())
    }
}

/// What each connection says first, in one message. The server gives up on a locked row before the client gives up on
/// the server, so that the reason is known.
fn session_setup(request_timeout: Duration) -> String {
    let lock_wait_secs = (request_timeout.as_secs() / 2).clamp(1, MAX_LOCK_WAIT_SECS);
    format!(
        "SET NAMES utf8mb4; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION autocommit = 1, time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
         innodb_lock_wait_timeout = {lock_wait_secs}, lock_wait_timeout = {lock_wait_secs}"
    )
}

/// A URL taken apart.
struct Target {
    opts: Opts,
    tls: Option<SslOpts>,
    ca: Option<PathBuf>,
    group_commit: bool,
}

impl Target {
    /// Reads `mysql://user:password@host:3306/database?parameters`, or the same with `mariadb://`.
    fn parse(url: &str) -> LockResult<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let rest = place.strip_prefix("mysql://").or_else(|| place.strip_prefix("mariadb://"));
        let rest = rest
            .ok_or_else(|| invalid("is not a MySQL URL; write mysql://user:password@host:3306/database"))?;
        let mut ours = Tls::default();
        let (mut drivers, mut group_commit) = (Vec::new(), true);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "group_commit" {
                group_commit = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(invalid("has a parameter group_commit that is neither true nor false")),
                };
            } else if !ours.take(name, value)? {
                drivers.push(pair);
            }
        }
        // Locks are asked for at the address that the URL names: the driver must not look for a shorter way by itself.
        if !drivers.iter().any(|pair| pair.starts_with("prefer_socket=")) {
            drivers.push("prefer_socket=false");
        }
        let url = format!("mysql://{rest}?{}", drivers.join("&"));
        // The driver's error would repeat parts of the URL.
        let opts = Opts::from_url(&url).map_err(|error| invalid(&explain(&error)))?;
        if opts.db_name().is_none() {
            return Err(invalid("names no database; write mysql://user:password@host:3306/database"));
        }
        let ca = ours.ca.clone();
        let tls = ours.apply(opts.ssl_opts().cloned())?;
        Ok(Self { opts, tls, ca, group_commit })
    }
}

/// What is wrong with the URL, without any of its values.
fn explain(error: &mysql_async::UrlError) -> String {
    use mysql_async::UrlError;
    match error {
        UrlError::UnknownParameter { param } => format!("has a parameter {param:?} that is not known here"),
        UrlError::InvalidParamValue { param, .. } => format!("has a bad value for the parameter {param:?}"),
        UrlError::FeatureRequired { param, .. } => {
            format!("has a parameter {param:?} that is not supported here")
        }
        UrlError::InvalidPoolConstraints { .. } => "has a pool_min above its pool_max".to_string(),
        _ => "cannot be read; write mysql://user:password@host:3306/database, \
              with % before the hexadecimal code of each special character in user and password"
            .to_string(),
    }
}

/// The parameters of MySQL's own command line, beside the driver's `require_ssl`, `verify_ca` and `verify_identity`.
#[derive(Debug, Default)]
struct Tls {
    mode: Option<Mode>,
    ca: Option<PathBuf>,
    /// The name that the server's certificate is for, if it is another than the URL's.
    host: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disabled,
    Required,
    VerifyCa,
    VerifyIdentity,
}

impl Tls {
    /// Takes a parameter if it is one of ours.
    fn take(&mut self, name: &str, value: &str) -> LockResult<bool> {
        match name {
            "ssl-mode" | "ssl_mode" => self.mode = Some(Mode::parse(value)?),
            "ssl-ca" | "ssl_ca" => self.ca = Some(PathBuf::from(percent_decoded(value)?)),
            "ssl-host" | "ssl_host" => self.host = Some(percent_decoded(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The driver's options: its own parameters say, unless ours do.
    fn apply(self, drivers: Option<SslOpts>) -> LockResult<Option<SslOpts>> {
        // Somebody who names a certificate authority wants the server checked against it.
        let mode =
            self.mode.or_else(|| (self.ca.is_some() && drivers.is_none()).then_some(Mode::VerifyIdentity));
        let tls = match mode {
            None => drivers,
            Some(Mode::Disabled) => None,
            Some(mode) => Some(
                drivers
                    .unwrap_or_default()
                    .with_danger_accept_invalid_certs(mode == Mode::Required)
                    .with_danger_skip_domain_validation(mode != Mode::VerifyIdentity),
            ),
        };
        if tls.is_none() && (self.ca.is_some() || self.host.is_some()) {
            return Err(invalid("has ssl-ca or ssl-host, but TLS is not asked for"));
        }
        Ok(tls.map(|tls| match self.host {
            Some(host) => tls.with_danger_tls_hostname_override(Some(Cow::Owned(host))),
            None => tls,
        }))
    }
}

impl Mode {
    fn parse(value: &str) -> LockResult<Self> {
        match value.to_ascii_uppercase().replace('-', "_").as_str() {
            "DISABLED" => Ok(Self::Disabled),
            "REQUIRED" => Ok(Self::Required),
            "VERIFY_CA" => Ok(Self::VerifyCa),
            "VERIFY_IDENTITY" => Ok(Self::VerifyIdentity),
            "PREFERRED" => Err(invalid(
                "has ssl-mode=PREFERRED, which protects nothing: whoever can listen can also switch it off",
            )),
            _ => Err(invalid("has a bad ssl-mode: DISABLED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY")),
        }
    }
}

fn percent_decoded(text: &str) -> LockResult<String> {
    let bad = || invalid("has a parameter with a bad % code");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| bad())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| bad())
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
        };
        // Whether case matters depends on the server's file system.
        let names = tables.names().into_iter().chain(["db_locks_migrations"]);
        let names: Vec<_> = names.map(|name| ("mutexes_table_name", name)).collect();
        validate_distinct_tables(&names)?;
        Ok(tables)
    }

    /// All of them.
    pub(crate) fn names(&self) -> [&str; 4] {
        [&self.mutexes, &self.semaphores, &self.waiters, &self.clients]
    }
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
    fn both_schemes_name_a_server() {
        for url in ["mysql://app:p%40ss@db.example:3307/locks", "mariadb://app:p%40ss@db.example:3307/locks"]
        {
            let settings = settings(url).unwrap();
            let opts = &settings.opts;
            assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), ("db.example", 3307));
            assert_eq!(
                (opts.user(), opts.pass(), opts.db_name()),
                (Some("app"), Some("p@ss"), Some("locks"))
            );
            assert!(!opts.prefer_socket() && opts.ssl_opts().is_none());
            assert!(!settings.place.contains("ss@db"), "{}", settings.place);
        }
        assert_eq!(settings("mysql://app@[::1]/locks").unwrap().opts.tcp_port(), 3306);
    }

    #[test]
    fn bad_urls_are_refused_without_their_password() {
        for url in [
            "",
            "mysql://",
            "mysql://app:s3cret@db",
            "mysql://app:s3cret@db/",
            "mysql:app:s3cret@db/locks",
            "postgres://app:s3cret@db/locks",
            "mysql://app:s3cret@db:99999/locks",
            "mysql://app:s3/cret@db/locks",
            "mysql://app:s3cret@db/locks?password=s3cret",
            "mysql://app:s3cret@db/locks?require_ssl=s3cret",
            "mysql://app:s3cret@db/locks?ssl-mode=s3cret",
            "mysql://app:s3cret@db/locks?ssl-mode=PREFERRED",
            "mysql://app:s3cret@db/locks?ssl-mode=DISABLED&ssl-ca=ca.pem",
            "mysql://app:s3cret@db/locks?ssl-ca=%zz",
            "mysql://app:s3cret@db/locks?ssl-host=db",
        ] {
            let Err(error) = settings(url) else { panic!("{url} was taken") };
            assert_eq!(error.kind(), db_locks_core::ErrorKind::Validation, "{url}");
            assert!(!error.chain().contains("cret"), "{error}");
        }
    }

    #[test]
    fn tls_has_two_spellings() {
        let tls = |query: &str| {
            let opts = settings(&format!("mysql://app@db/locks?{query}")).unwrap().opts;
            opts.ssl_opts().map(|tls| (!tls.accept_invalid_certs(), !tls.skip_domain_validation()))
        };
        assert_eq!(tls("require_ssl=true"), Some((true, true)));
        assert_eq!(tls("require_ssl=true&verify_identity=false"), Some((true, false)));
        assert_eq!(tls("ssl-mode=DISABLED"), None);
        assert_eq!(tls("ssl-mode=required"), Some((false, false)));
        assert_eq!(tls("ssl-mode=VERIFY_CA&ssl-ca=/etc/ca.pem"), Some((true, false)));
        assert_eq!(tls("ssl-mode=verify-identity"), Some((true, true)));
        assert_eq!(tls("ssl-ca=%2Fetc%2Fca.pem"), Some((true, true)));
    }

    #[test]
    fn tables_must_differ() {
        let mut config = LocksConfig::new("t");
        config.semaphores_table_name = Some("Mutexes".to_string());
        assert!(Tables::new(&config).is_err());
        config.semaphores_table_name = Some("lock_waiters_clients".to_string());
        assert!(Tables::new(&config).is_err());
        config.semaphores_table_name = Some("other".to_string());
        assert_eq!(
            Tables::new(&config).unwrap().names(),
            ["mutexes", "other", "lock_waiters", "lock_waiters_clients"]
        );
    }
}
