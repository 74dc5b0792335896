//! Repositories by provider and URL. Which SQL database it is, the scheme of the URL says.
//!
//! Repositories of one configuration, built in one runtime, share their connections.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use db_locks_core::{
    FairSemaphoreRepository, FencedRepository, LockError, LockResult, LocksConfig, MutexRepository,
    RepositoryProvider, SemaphoreRepository,
};

/// Everything that a database offers, in one object.
pub trait Repository: MutexRepository + FairSemaphoreRepository + FencedRepository {}

impl<T: MutexRepository + FairSemaphoreRepository + FencedRepository> Repository for T {}

/// Mutexes in the provider's database.
///
/// # Errors
/// `Validation` for a URL of an unknown scheme or of a database that is not compiled in; `CurrentlyUnavailable`;
/// `AccessDenied`; what the database says.
pub async fn build_mutex_repository(
    provider: RepositoryProvider,
    config: &LocksConfig,
) -> LockResult<Arc<dyn MutexRepository>> {
    Ok(build_repository(provider, config).await?)
}

/// Semaphores in the provider's database.
///
/// # Errors
/// As [`build_mutex_repository`].
pub async fn build_semaphore_repository(
    provider: RepositoryProvider,
    config: &LocksConfig,
) -> LockResult<Arc<dyn SemaphoreRepository>> {
    Ok(build_repository(provider, config).await?)
}

/// Semaphores for a [`crate::FairLockStore`], on every provider.
///
/// # Errors
/// As [`build_mutex_repository`].
pub async fn build_fair_semaphore_repository(
    provider: RepositoryProvider,
    config: &LocksConfig,
) -> LockResult<Arc<dyn FairSemaphoreRepository>> {
    Ok(build_repository(provider, config).await?)
}

/// Values guarded by fencing tokens, for a [`crate::FencedRegister`].
///
/// # Errors
/// As [`build_mutex_repository`].
pub async fn build_fenced_repository(
    provider: RepositoryProvider,
    config: &LocksConfig,
) -> LockResult<Arc<dyn FencedRepository>> {
    Ok(build_repository(provider, config).await?)
}

/// Everything, for those who need more than one of the above.
///
/// # Errors
/// As [`build_mutex_repository`].
pub async fn build_repository(
    provider: RepositoryProvider,
    config: &LocksConfig,
) -> LockResult<Arc<dyn Repository>> {
    config.validate()?;
    let key = cache_key(provider, config);
    if let Some(known) = lookup(&key) {
        return Ok(known);
    }
    let built = connect(provider, config).await?;
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    cache.retain(|_, repository| repository.strong_count() > 0);
    // Somebody else may have connected meanwhile; then theirs is shared and ours is closed.
    if let Some(known) = cache.get(&key).and_then(Weak::upgrade) {
        return Ok(known);
    }
    cache.insert(key, Arc::downgrade(&built));
    Ok(built)
}

/// Live repositories. Connections belong to the runtime that they were opened in, so that is part of the key.
static CACHE: LazyLock<Mutex<HashMap<String, Weak<dyn Repository>>>> = LazyLock::new(Mutex::default);

fn lookup(key: &str) -> Option<Arc<dyn Repository>> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Weak::upgrade)
}

/// All that makes a difference to a connection. The URL's password is part of it, so the key stays in here.
fn cache_key(provider: RepositoryProvider, config: &LocksConfig) -> String {
    let runtime = tokio::runtime::Handle::try_current().map(|handle| handle.id().to_string());
    let place = match provider {
        RepositoryProvider::Rdb => config.database_url(),
        RepositoryProvider::Redis => config.redis_url(),
        RepositoryProvider::Ddb => format!(
            "{:?} {:?} {} {}",
            config.ddb_endpoint_url,
            config.aws_region,
            config.ddb_read_consistency(),
            config.server_error_retries_limit()
        ),
    };
    let tables =
        [config.mutexes_table_name(), config.semaphores_table_name(), config.waiters_table_name()].join(" ");
    format!(
        "{runtime:?} {provider:?} {place} {tables} {} {} {:?} {:?}",
        config.database_pool_size(),
        config.run_database_migrations(),
        config.connect_timeout(),
        config.request_timeout()
    )
}

async fn connect(provider: RepositoryProvider, config: &LocksConfig) -> LockResult<Arc<dyn Repository>> {
    match provider {
        RepositoryProvider::Rdb => connect_rdb(config).await,
        #[cfg(feature = "redis")]
        RepositoryProvider::Redis => Ok(db_locks_redis::RedisRepository::connect(config).await?),
        #[cfg(not(feature = "redis"))]
        RepositoryProvider::Redis => Err(not_compiled_in("redis")),
        #[cfg(feature = "dynamodb")]
        RepositoryProvider::Ddb => Ok(db_locks_dynamodb::DynamoRepository::connect(config).await?),
        #[cfg(not(feature = "dynamodb"))]
        RepositoryProvider::Ddb => Err(not_compiled_in("dynamodb")),
    }
}

/// The SQL databases by the scheme of their URL.
async fn connect_rdb(config: &LocksConfig) -> LockResult<Arc<dyn Repository>> {
    let url = config.database_url();
    match sql_engine(&url)? {
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(db_locks_sqlite::SqliteRepository::connect(config).await?),
        #[cfg(feature = "postgres")]
        "postgres" => Ok(db_locks_postgres::PostgresRepository::connect(config).await?),
        #[cfg(feature = "mysql")]
        "mysql" => Ok(db_locks_mysql::MysqlRepository::connect(config).await?),
        engine => Err(not_compiled_in(engine)),
    }
}

/// `sqlite`, `postgres` or `mysql`.
fn sql_engine(url: &str) -> LockResult<&'static str> {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "sqlite" => Ok("sqlite"),
        "postgres" | "postgresql" => Ok("postgres"),
        "mysql" | "mariadb" => Ok("mysql"),
        _ if url == ":memory:" || url.ends_with(".sqlite") || url.ends_with(".db") => Ok("sqlite"),
        // The URL itself is not repeated: it may be a mistyped one with a password.
        _ => Err(LockError::validation(
            "database_url",
            "must begin with sqlite:, postgres://, postgresql://, mysql:// or mariadb://",
        )),
    }
}

fn not_compiled_in(engine: &str) -> LockError {
    LockError::validation(
        "provider",
        format!("this program was built without the feature {engine:?} of db-locks"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_1_the_scheme_chooses_the_engine_at_run_time() {
        let engine = |url| sql_engine(url).unwrap();
        assert_eq!(engine("sqlite:x.db"), "sqlite");
        assert_eq!(engine("locks.sqlite"), "sqlite");
        assert_eq!(engine("PostgreSQL://h/d"), "postgres");
        assert_eq!(engine("mariadb://h/d"), "mysql");
        let error = sql_engine("oracle://u:s3cret@h").unwrap_err();
        assert!(!error.to_string().contains("s3cret"));
    }
}
