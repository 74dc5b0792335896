//! [`LocksConfig`]: one value that configures everything, from code, a YAML file or the environment.

use std::fmt;

use serde::Deserialize;

use crate::error::{LockError, LockResult, redact_url};
use crate::lock_id::{MAX_TENANT_BYTES, validate_name};

/// The database used when neither the configuration nor `DATABASE_URL` names one: a SQLite file in the working directory.
pub const DEFAULT_DATABASE_URL: &str = "sqlite:db-locks.sqlite";
/// The Redis server used when neither the configuration nor `REDIS_URL` names one.
pub const DEFAULT_REDIS_URL: &str = "redis://127.0.0.1:6379";

/// Which kind of database. Which SQL database it is, the URL's scheme says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryProvider {
    /// A relational database: `sqlite:`, `postgres:` (`postgresql:`) or `mysql:` (`mariadb:`).
    Rdb,
    /// AWS DynamoDB.
    Ddb,
    /// Redis or Valkey, single or cluster.
    Redis,
}

/// Everything that can be configured. Unset fields mean their default.
///
/// ```
/// use db_locks_core::LocksConfig;
/// let mut config = LocksConfig::new("test_tenant");
/// config.fair_semaphore = Some(true);
/// config.database_url = Some("postgres://app:s3cret@db/locks".into());
/// assert_eq!(config.heartbeat_period_ms(), 5_000);
/// assert!(!format!("{config:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocksConfig {
    /// Whose locks these are; tenants never see each other's.
    #[serde(default = "LocksConfig::default_tenant")]
    pub tenant_id: String,
    /// How often a guard renews at the latest, in milliseconds (5000).
    pub heartbeat_period_ms: Option<i64>,
    /// Table of mutexes and slots (`mutexes`); prefix of the keys on Redis.
    pub mutexes_table_name: Option<String>,
    /// Table of semaphores (`semaphores`).
    pub semaphores_table_name: Option<String>,
    /// Table of waiters and of the processes that they live in (`lock_waiters`; `lock_waiters_clients`).
    pub waiters_table_name: Option<String>,
    /// Use the fair store, whose locks are named by version (false).
    pub fair_semaphore: Option<bool>,
    /// Accepted for the seeds' sake. Ownership is never answered from memory, so there is nothing that it could switch on.
    pub cache_enabled: Option<bool>,
    /// The largest semaphore that may be made (1000).
    pub max_semaphore_size: Option<u32>,
    /// SQL database; else the environment's `DATABASE_URL`; else a SQLite file.
    pub database_url: Option<String>,
    /// Redis; else the environment's `REDIS_URL`. Several nodes of a cluster are separated by commas.
    pub redis_url: Option<String>,
    /// The most connections to the SQL database (32).
    pub database_pool_size: Option<u32>,
    /// Create and update tables at start (true).
    pub run_database_migrations: Option<bool>,
    /// AWS region; else the environment's.
    pub aws_region: Option<String>,
    /// DynamoDB endpoint, for local engines; else the environment's `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
    pub ddb_endpoint_url: Option<String>,
    /// Strongly consistent reads on DynamoDB (true). Ownership is decided by conditional writes either way.
    pub ddb_read_consistency: Option<bool>,
    /// How often a call is made again after a failure that may pass (5).
    pub server_error_retries_limit: Option<u32>,
    /// The pause before the first of these, in milliseconds; it doubles each time, to at most 5 s (100).
    pub wait_before_server_error_retries_ms: Option<i64>,
    /// The longest time to connect, in milliseconds (5000).
    pub connect_timeout_ms: Option<i64>,
    /// The longest time for one call to the database, in milliseconds (10000).
    pub request_timeout_ms: Option<i64>,
    /// Who this process is, for those who wait for its locks and for `reentrant`; default `host:pid:random`.
    pub owner: Option<String>,
}

impl LocksConfig {
    /// The tenant when none is named: `local-host-name`, as the seeds have it.
    pub fn default_tenant() -> String {
        "local-host-name".to_string()
    }

    /// A configuration for `tenant_id` with every default.
    pub fn new(tenant_id: &str) -> Self {
        Self {
            tenant_id: tenant_id.to_string(),
            heartbeat_period_ms: None,
            mutexes_table_name: None,
            semaphores_table_name: None,
            waiters_table_name: None,
            fair_semaphore: None,
            cache_enabled: None,
            max_semaphore_size: None,
            database_url: None,
            redis_url: None,
            database_pool_size: None,
            run_database_migrations: None,
            aws_region: None,
            ddb_endpoint_url: None,
            ddb_read_consistency: None,
            server_error_retries_limit: None,
            wait_before_server_error_retries_ms: None,
            connect_timeout_ms: None,
            request_timeout_ms: None,
            owner: None,
        }
    }

    /// Renewal period in milliseconds.
    pub fn heartbeat_period_ms(&self) -> i64 {
        self.heartbeat_period_ms.unwrap_or(5_000)
    }

    /// Table of mutexes and slots.
    pub fn mutexes_table_name(&self) -> &str {
        self.mutexes_table_name.as_deref().unwrap_or("mutexes")
    }

    /// Table of semaphores.
    pub fn semaphores_table_name(&self) -> &str {
        self.semaphores_table_name.as_deref().unwrap_or("semaphores")
    }

    /// Table of waiters.
    pub fn waiters_table_name(&self) -> &str {
        self.waiters_table_name.as_deref().unwrap_or("lock_waiters")
    }

    /// Whether the fair store is asked for.
    pub fn fair_semaphore(&self) -> bool {
        self.fair_semaphore.unwrap_or(false)
    }

    /// The largest semaphore that may be made.
    pub fn max_semaphore_size(&self) -> u32 {
        self.max_semaphore_size.unwrap_or(1_000)
    }

    /// The SQL database: from the configuration, the environment, or the default file. May hold a password.
    pub fn database_url(&self) -> String {
        self.database_url
            .clone()
            .or_else(|| non_empty_env("DATABASE_URL"))
            .unwrap_or_else(|| DEFAULT_DATABASE_URL.to_string())
    }

    /// Redis: from the configuration, the environment, or the local default. May hold a password.
    pub fn redis_url(&self) -> String {
        self.redis_url
            .clone()
            .or_else(|| non_empty_env("REDIS_URL"))
            .unwrap_or_else(|| DEFAULT_REDIS_URL.to_string())
    }

    /// The most connections to the SQL database.
    pub fn database_pool_size(&self) -> u32 {
        self.database_pool_size.unwrap_or(32).max(1)
    }

    /// Whether tables are created and updated at start.
    pub fn run_database_migrations(&self) -> bool {
        self.run_database_migrations.unwrap_or(true)
    }

    /// Strongly consistent reads on DynamoDB.
    pub fn ddb_read_consistency(&self) -> bool {
        self.ddb_read_consistency.unwrap_or(true)
    }

    /// How often a call is made again after a failure that may pass.
    pub fn server_error_retries_limit(&self) -> u32 {
        self.server_error_retries_limit.unwrap_or(5)
    }

    /// The pause before the first of these, in milliseconds.
    pub fn wait_before_server_error_retries_ms(&self) -> u64 {
        u64::try_from(self.wait_before_server_error_retries_ms.unwrap_or(100)).unwrap_or(0)
    }

    /// The longest time to connect.
    pub fn connect_timeout(&self) -> std::time::Duration {
        millis(self.connect_timeout_ms, 5_000)
    }

    /// The longest time for one call to the database.
    pub fn request_timeout(&self) -> std::time::Duration {
        millis(self.request_timeout_ms, 10_000)
    }

    /// Checks the fields that end up in statements: the tenant and the table names.
    ///
    /// # Errors
    /// [`LockError::Validation`].
    pub fn validate(&self) -> LockResult<()> {
        validate_name("tenant_id", &self.tenant_id, MAX_TENANT_BYTES)?;
        validate_table("mutexes_table_name", self.mutexes_table_name())?;
        validate_table("semaphores_table_name", self.semaphores_table_name())?;
        validate_table("waiters_table_name", self.waiters_table_name())?;
        validate_distinct_tables(&[
            ("mutexes_table_name", self.mutexes_table_name()),
            ("semaphores_table_name", self.semaphores_table_name()),
            ("waiters_table_name", self.waiters_table_name()),
        ])
    }
}

fn millis(configured: Option<i64>, default: u64) -> std::time::Duration {
    let ms = configured.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0).unwrap_or(default);
    std::time::Duration::from_millis(ms)
}

fn non_empty_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Table names go into statements as they are, so only plain identifiers pass: letters, digits and `_`, at most
/// 48, not starting with a digit. (DynamoDB's three characters at least are checked there.)
fn validate_table(field: &'static str, name: &str) -> LockResult<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let starts_well = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if plain && starts_well && name.len() <= 48 {
        return Ok(());
    }
    Err(LockError::validation(
        field,
        "must be 1 to 48 letters, digits and underscores, not starting with a digit",
    ))
}

/// Checks that all tables have names of their own, whatever their case: each with the field that it comes from. A store has more of them than
/// the configuration names.
///
/// # Errors
/// [`LockError::Validation`] that names the field of the first whose name an earlier one has.
pub fn validate_distinct_tables(tables: &[(&'static str, &str)]) -> LockResult<()> {
    let is_taken = |(number, (_, name)): &(usize, &(&str, &str))| {
        tables.iter().take(*number).any(|(_, other)| other.eq_ignore_ascii_case(name))
    };
    match tables.iter().enumerate().find(is_taken) {
        Some((_, (field, _))) => {
            Err(LockError::validation(field, "must differ from the names of the other tables"))
        }
        None => Ok(()),
    }
}

/// Passwords in URLs are not shown.
impl fmt::Debug for LocksConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocksConfig")
            .field("tenant_id", &self.tenant_id)
            .field("database_url", &self.database_url.as_deref().map(redact_url))
            .field("redis_url", &self.redis_url.as_deref().map(redact_url))
            .field("mutexes_table_name", &self.mutexes_table_name())
            .field("semaphores_table_name", &self.semaphores_table_name())
            .field("waiters_table_name", &self.waiters_table_name())
            .field("fair_semaphore", &self.fair_semaphore())
            .field("max_semaphore_size", &self.max_semaphore_size())
            .field("database_pool_size", &self.database_pool_size())
            .field("run_database_migrations", &self.run_database_migrations())
            .field("aws_region", &self.aws_region)
            .field("ddb_endpoint_url", &self.ddb_endpoint_url.as_deref().map(redact_url))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_a_name_of_its_own() {
        for names in [["x", "X", "w"], ["x", "y", "x"], ["x", "y", "y"]] {
            let [mutexes, semaphores, waiters] = names.map(|name| Some(name.to_string()));
            let config = LocksConfig {
                mutexes_table_name: mutexes,
                semaphores_table_name: semaphores,
                waiters_table_name: waiters,
                ..LocksConfig::new("t")
            };
            assert!(config.validate().is_err(), "{names:?}");
        }
    }

    #[test]
    fn table_names_cannot_carry_sql() {
        for bad in ["", "1a", "a b", "a;drop", "a-b", &"t".repeat(49)] {
            let mut config = LocksConfig::new("t");
            config.mutexes_table_name = Some(bad.to_string());
            assert!(config.validate().is_err(), "{bad:?} was taken");
        }
        assert!(LocksConfig::new("t").validate().is_ok());
    }
}
