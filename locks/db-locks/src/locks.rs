//! [`Locks`]: the short way, from a URL to a guard.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{
    AcquireLockOptions, AcquireLockOptionsBuilder, LockError, LockManager, LockResult, LocksConfig,
    RepositoryProvider,
};
use prometheus::{Registry, default_registry};

use crate::guard::LockGuard;
use crate::metrics::LockMetrics;
use crate::renewer::Renewer;
use crate::{DefaultLockStore, LockManagerImpl, factory};

/// Mutexes and semaphores in one database, as guards that renew themselves.
///
/// ```
/// use std::time::Duration;
/// use db_locks::Locks;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), db_locks::LockError> {
/// let locks = Locks::connect("sqlite::memory:").await?;
/// let guard = locks.mutex("k").lease(Duration::from_secs(10)).wait(Duration::from_secs(30)).acquire().await?;
/// tokio::select! {
///     reason = guard.lost() => eprintln!("stop: {reason}"),
///     () = async { /* the work, giving guard.fencing_token() to what it writes to */ } => {}
/// }
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Locks {
    inner: Arc<Inner>,
}

struct Inner {
    manager: Arc<LockManagerImpl>,
    renewer: Renewer,
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").field("manager", &self.inner.manager).finish_non_exhaustive()
    }
}

impl Locks {
    /// Connects to `sqlite:…`, `postgres://…`, `mysql://…`, `redis://…`, `rediss://…`, `dynamodb:` (configured by the AWS
    /// environment), `dynamodb://REGION` or `dynamodb+http://HOST:PORT` (a local engine), as the default tenant.
    ///
    /// # Errors
    /// `Validation` for another URL; `CurrentlyUnavailable`; `AccessDenied`; what the database says.
    pub async fn connect(url: &str) -> LockResult<Self> {
        Self::connect_as(url, LocksConfig::default_tenant().as_str()).await
    }

    /// As [`Self::connect`], for a tenant.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(url: &str, tenant: &str) -> LockResult<Self> {
        let mut config = LocksConfig::new(tenant);
        let provider = provider_of(url, &mut config)?;
        Self::build(provider, &config, default_registry()).await
    }

    /// Connects as the configuration says, with metrics in `registry`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn build(
        provider: RepositoryProvider,
        config: &LocksConfig,
        registry: &Registry,
    ) -> LockResult<Self> {
        let mutexes = factory::build_mutex_repository(provider, config).await?;
        let semaphores = factory::build_semaphore_repository(provider, config).await?;
        let store = Box::new(DefaultLockStore::new(config, mutexes, semaphores));
        Self::over(Arc::new(LockManagerImpl::new(config, store, registry)?), config, registry)
    }

    /// Guards over a manager of your own making.
    ///
    /// # Errors
    /// `Runtime` when the metrics cannot be registered.
    pub fn over(
        manager: Arc<LockManagerImpl>,
        config: &LocksConfig,
        registry: &Registry,
    ) -> LockResult<Self> {
        let longest_period = Duration::from_millis(config.heartbeat_period_ms().unsigned_abs().max(1));
        let renewer = Renewer::new(&manager, LockMetrics::register(registry)?, longest_period);
        Ok(Self { inner: Arc::new(Inner { manager, renewer }) })
    }

    /// The mutex `key`.
    pub fn mutex(&self, key: &str) -> Acquire {
        Acquire { locks: self.clone(), opts: AcquireLockOptionsBuilder::new(key).build() }
    }

    /// One of the `max_size` locks of the semaphore `key`.
    pub fn semaphore(&self, key: &str, max_size: u32) -> Acquire {
        let opts = AcquireLockOptionsBuilder::new(key).with_semaphore_max_size(max_size).build();
        Acquire { locks: self.clone(), opts }
    }

    /// The manager below, for everything that guards do not offer.
    pub fn manager(&self) -> &Arc<LockManagerImpl> {
        &self.inner.manager
    }

    /// Returns when what dropped guards and dropped acquisitions left behind has been cleared up.
    pub async fn settled(&self) {
        self.inner.manager.settled().await;
    }
}

/// How to acquire one lock.
#[derive(Debug, Clone)]
#[must_use = "nothing is acquired until acquire() or try_acquire() is awaited"]
pub struct Acquire {
    locks: Locks,
    opts: AcquireLockOptions,
}

impl Acquire {
    /// How long the lock outlives its holder (15 s). It is renewed at a third of this.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.opts.lease_duration_ms = millis(lease);
        self
    }

    /// As [`Self::lease`], in milliseconds as a number that may be out of range: `acquire` then says so.
    pub fn lease_millis(mut self, lease_ms: i64) -> Self {
        self.opts.lease_duration_ms = lease_ms;
        self
    }

    /// How long to wait for the lock (the lease and 100 ms).
    pub fn wait(mut self, wait: Duration) -> Self {
        self.opts.override_time_to_wait_for_lock_ms = Some(millis(wait));
        self
    }

    /// First come, first served (yes); without it this caller may pass those who wait.
    pub fn fair(mut self, fair: bool) -> Self {
        self.opts.fair = fair;
        self
    }

    /// Data to leave with the lock.
    pub fn data(mut self, data: &str) -> Self {
        self.opts.data = Some(data.to_string());
        self
    }

    /// Delete the row at release.
    pub fn delete_on_release(mut self, delete: bool) -> Self {
        self.opts.delete_on_release = delete;
        self
    }

    /// Waits for the lock. Dropping the future gives up its place in the queue.
    ///
    /// # Errors
    /// `NotGranted` when others held it all that time; `Validation`; what the database says.
    pub async fn acquire(self) -> LockResult<LockGuard> {
        let lock = self.locks.inner.manager.acquire_lock(&self.opts).await?;
        let renewed = self.locks.inner.renewer.watch(&lock);
        Ok(LockGuard::new(lock, self.locks.inner.manager.clone(), renewed))
    }

    /// The lock if it is free, without waiting.
    ///
    /// # Errors
    /// `Validation`; what the database says. That the lock is held is none.
    pub async fn try_acquire(self) -> LockResult<Option<LockGuard>> {
        match self.wait(Duration::ZERO).acquire().await {
            Ok(guard) => Ok(Some(guard)),
            Err(LockError::NotGranted { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the lock until an instant.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_until(self, deadline: std::time::Instant) -> LockResult<LockGuard> {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        self.wait(left).acquire().await
    }
}

/// Whole milliseconds, rounded up so that a short time does not become none; what is too long is refused later.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// Sets the place that a URL names, and says whose it is.
pub(crate) fn provider_of(url: &str, config: &mut LocksConfig) -> LockResult<RepositoryProvider> {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "redis" | "rediss" | "valkey" | "valkeys" => {
            config.redis_url = Some(url.to_string());
            Ok(RepositoryProvider::Redis)
        }
        "dynamodb" => {
            let region = url.trim_start_matches("dynamodb:").trim_start_matches("//");
            config.aws_region = (!region.is_empty()).then(|| region.to_string());
            Ok(RepositoryProvider::Ddb)
        }
        "dynamodb+http" | "dynamodb+https" => {
            config.ddb_endpoint_url = url.split_once('+').map(|(_, endpoint)| endpoint.to_string());
            Ok(RepositoryProvider::Ddb)
        }
        _ => {
            config.database_url = Some(url.to_string());
            Ok(RepositoryProvider::Rdb)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_their_provider() {
        let mut config = LocksConfig::new("t");
        assert_eq!(provider_of("rediss://h:1", &mut config).unwrap(), RepositoryProvider::Redis);
        assert_eq!(provider_of("dynamodb://eu-west-1", &mut config).unwrap(), RepositoryProvider::Ddb);
        assert_eq!(config.aws_region.as_deref(), Some("eu-west-1"));
        assert_eq!(
            provider_of("dynamodb+http://127.0.0.1:8000", &mut config).unwrap(),
            RepositoryProvider::Ddb
        );
        assert_eq!(config.ddb_endpoint_url.as_deref(), Some("http://127.0.0.1:8000"));
        assert_eq!(provider_of("postgres://h/d", &mut config).unwrap(), RepositoryProvider::Rdb);
    }
}
