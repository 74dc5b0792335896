//! What a caller may ask of a [`crate::LockManager`], with builders. Building never fails;
//! the manager checks every value before it touches a database.

use crate::models::DEFAULT_LEASE_MS;

/// How to acquire a mutex (no `semaphore_max_size`) or a slot of a semaphore.
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireLockOptions {
    /// The key of the mutex or semaphore.
    pub key: String,
    /// The lease in milliseconds (15,000).
    pub lease_duration_ms: i64,
    /// Set: a slot of a semaphore, which is created with this size if it is absent. An existing
    /// semaphore keeps its size; `create_semaphore` changes it.
    pub semaphore_max_size: Option<u32>,
    /// Data to leave with the lock.
    pub data: Option<String>,
    /// Whether `data` replaces what an earlier holder left (yes), or is only set where nothing is.
    pub replace_data: bool,
    /// Delete the row at release.
    pub delete_on_release: bool,
    /// If this very manager holds the lock already, hand that lock back instead of waiting for it.
    pub reentrant: bool,
    /// Refuse with `NotFound` instead of creating what is absent.
    pub acquire_only_if_already_exists: bool,
    /// The longest time between two looks at the database while waiting, in milliseconds (500).
    pub refresh_period_ms: Option<i64>,
    /// Waiting time on top of the lease, in milliseconds (100).
    pub additional_time_to_wait_for_lock_ms: Option<i64>,
    /// The waiting time in milliseconds, instead of lease + additional time; 0 means: do not wait.
    pub override_time_to_wait_for_lock_ms: Option<i64>,
    /// First come, first served (yes). Without it this caller may pass those who wait, for throughput's sake.
    pub fair: bool,
}

impl AcquireLockOptions {
    /// How long to wait in all, in milliseconds.
    pub fn time_to_wait_ms(&self) -> i64 {
        match self.override_time_to_wait_for_lock_ms {
            Some(ms) => ms.max(0),
            None => self
                .lease_duration_ms
                .saturating_add(self.additional_time_to_wait_for_lock_ms.unwrap_or(100).max(0)),
        }
    }
}

/// Builds [`AcquireLockOptions`].
///
/// ```
/// use db_locks_core::AcquireLockOptionsBuilder;
/// let opts = AcquireLockOptionsBuilder::new("mylock").with_lease_duration_secs(10).build();
/// assert_eq!(opts.lease_duration_ms, 10_000);
/// assert_eq!(opts.time_to_wait_ms(), 10_100);
/// let pool = AcquireLockOptionsBuilder::new("my_pool").with_semaphore_max_size(10).build();
/// assert_eq!(pool.semaphore_max_size, Some(10));
/// ```
#[derive(Debug, Clone)]
pub struct AcquireLockOptionsBuilder {
    opts: AcquireLockOptions,
}

impl AcquireLockOptionsBuilder {
    /// The mutex or semaphore `key`, with every default.
    pub fn new(key: &str) -> Self {
        Self {
            opts: AcquireLockOptions {
                key: key.to_string(),
                lease_duration_ms: DEFAULT_LEASE_MS,
                semaphore_max_size: None,
                data: None,
                replace_data: true,
                delete_on_release: false,
                reentrant: false,
                acquire_only_if_already_exists: false,
                refresh_period_ms: None,
                additional_time_to_wait_for_lock_ms: None,
                override_time_to_wait_for_lock_ms: None,
                fair: true,
            },
        }
    }

    /// The lease in milliseconds.
    pub fn with_lease_duration_millis(mut self, millis: i64) -> Self {
        self.opts.lease_duration_ms = millis;
        self
    }

    /// The lease in seconds.
    pub fn with_lease_duration_secs(self, secs: i64) -> Self {
        self.with_lease_duration_millis(secs.saturating_mul(1_000))
    }

    /// The lease in minutes.
    pub fn with_lease_duration_minutes(self, minutes: i64) -> Self {
        self.with_lease_duration_millis(minutes.saturating_mul(60_000))
    }

    /// A slot of a semaphore, created with this size if it is absent.
    pub fn with_semaphore_max_size(mut self, max_size: u32) -> Self {
        self.opts.semaphore_max_size = Some(max_size);
        self
    }

    /// Data to leave with the lock.
    pub fn with_data(mut self, data: &str) -> Self {
        self.opts.data = Some(data.to_string());
        self
    }

    /// Whether the data replaces what an earlier holder left (default: yes).
    pub fn with_replace_data(mut self, replace: bool) -> Self {
        self.opts.replace_data = replace;
        self
    }

    /// Delete the row at release.
    pub fn with_delete_on_release(mut self, delete: bool) -> Self {
        self.opts.delete_on_release = delete;
        self
    }

    /// If this manager holds the lock already, hand that lock back.
    pub fn with_reentrant(mut self, reentrant: bool) -> Self {
        self.opts.reentrant = reentrant;
        self
    }

    /// Refuse with `NotFound` instead of creating what is absent.
    pub fn with_acquire_only_if_already_exists(mut self, only: bool) -> Self {
        self.opts.acquire_only_if_already_exists = only;
        self
    }

    /// The longest time between two looks while waiting, in milliseconds.
    pub fn with_refresh_period_ms(mut self, millis: i64) -> Self {
        self.opts.refresh_period_ms = Some(millis);
        self
    }

    /// Waiting time on top of the lease, in milliseconds.
    pub fn with_additional_time_to_wait_for_lock_ms(mut self, millis: i64) -> Self {
        self.opts.additional_time_to_wait_for_lock_ms = Some(millis);
        self
    }

    /// The whole waiting time in milliseconds; 0 means: do not wait.
    pub fn with_override_time_to_wait_for_lock_ms(mut self, millis: i64) -> Self {
        self.opts.override_time_to_wait_for_lock_ms = Some(millis);
        self
    }

    /// First come, first served (default: yes).
    pub fn with_fair(mut self, fair: bool) -> Self {
        self.opts.fair = fair;
        self
    }

    /// The options.
    pub fn build(self) -> AcquireLockOptions {
        self.opts
    }
}

/// How to renew a lock.
#[derive(Debug, Clone, PartialEq)]
pub struct SendHeartbeatOptions {
    /// The lock's `mutex_key`.
    pub mutex_key: String,
    /// Its current version.
    pub version: String,
    /// The new lease, from now, in milliseconds.
    pub lease_duration_ms: i64,
    /// The semaphore that it is a slot of.
    pub semaphore_key: Option<String>,
    /// New data; none leaves what is there.
    pub data: Option<String>,
}

/// Builds [`SendHeartbeatOptions`].
///
/// ```
/// use db_locks_core::SendHeartbeatOptionsBuilder;
/// let opts = SendHeartbeatOptionsBuilder::new("one_0000000000", "749b4ded-e356-4ef5-a23b-73a4984130c8")
///     .with_lease_duration_secs(15)
///     .with_opt_semaphore_key("one")
///     .build();
/// assert_eq!(opts.semaphore_key.as_deref(), Some("one"));
/// ```
#[derive(Debug, Clone)]
pub struct SendHeartbeatOptionsBuilder {
    opts: SendHeartbeatOptions,
}

impl SendHeartbeatOptionsBuilder {
    /// The lock `mutex_key` at `version`, with a lease of 15 s.
    pub fn new(mutex_key: &str, version: &str) -> Self {
        Self {
            opts: SendHeartbeatOptions {
                mutex_key: mutex_key.to_string(),
                version: version.to_string(),
                lease_duration_ms: DEFAULT_LEASE_MS,
                semaphore_key: None,
                data: None,
            },
        }
    }

    /// The lease in milliseconds.
    pub fn with_lease_duration_millis(mut self, millis: i64) -> Self {
        self.opts.lease_duration_ms = millis;
        self
    }

    /// The lease in seconds.
    pub fn with_lease_duration_secs(self, secs: i64) -> Self {
        self.with_lease_duration_millis(secs.saturating_mul(1_000))
    }

    /// The lease in minutes.
    pub fn with_lease_duration_minutes(self, minutes: i64) -> Self {
        self.with_lease_duration_millis(minutes.saturating_mul(60_000))
    }

    /// The lock is a slot of this semaphore.
    pub fn with_semaphore_key(mut self, semaphore_key: &str) -> Self {
        self.opts.semaphore_key = Some(semaphore_key.to_string());
        self
    }

    /// The seeds' name for [`Self::with_semaphore_key`]; takes a key or an `Option` of one.
    pub fn with_opt_semaphore_key<'a>(mut self, semaphore_key: impl Into<Option<&'a str>>) -> Self {
        self.opts.semaphore_key = semaphore_key.into().map(str::to_string);
        self
    }

    /// New data to leave with the lock.
    pub fn with_data(mut self, data: &str) -> Self {
        self.opts.data = Some(data.to_string());
        self
    }

    /// The options.
    pub fn build(self) -> SendHeartbeatOptions {
        self.opts
    }
}

/// How to release a lock.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseLockOptions {
    /// The lock's `mutex_key`.
    pub mutex_key: String,
    /// Its current version.
    pub version: String,
    /// The semaphore that it is a slot of.
    pub semaphore_key: Option<String>,
    /// Delete the row too (also when the lock was acquired with `delete_on_release`).
    pub delete_lock: bool,
    /// New data; none leaves what is there.
    pub data: Option<String>,
}

/// Builds [`ReleaseLockOptions`].
///
/// ```
/// use db_locks_core::ReleaseLockOptionsBuilder;
/// let opts = ReleaseLockOptionsBuilder::new("one", "258d513e-bae4-4d91-8608-5d500be27593").build();
/// assert!(!opts.delete_lock);
/// ```
#[derive(Debug, Clone)]
pub struct ReleaseLockOptionsBuilder {
    opts: ReleaseLockOptions,
}

impl ReleaseLockOptionsBuilder {
    /// The lock `mutex_key` at `version`.
    pub fn new(mutex_key: &str, version: &str) -> Self {
        Self {
            opts: ReleaseLockOptions {
                mutex_key: mutex_key.to_string(),
                version: version.to_string(),
                semaphore_key: None,
                delete_lock: false,
                data: None,
            },
        }
    }

    /// The lock is a slot of this semaphore.
    pub fn with_semaphore_key(mut self, semaphore_key: &str) -> Self {
        self.opts.semaphore_key = Some(semaphore_key.to_string());
        self
    }

    /// The seeds' name for [`Self::with_semaphore_key`]; takes a key or an `Option` of one.
    pub fn with_opt_semaphore_key<'a>(mut self, semaphore_key: impl Into<Option<&'a str>>) -> Self {
        self.opts.semaphore_key = semaphore_key.into().map(str::to_string);
        self
    }

    /// Delete the row too.
    pub fn with_delete_lock(mut self, delete: bool) -> Self {
        self.opts.delete_lock = delete;
        self
    }

    /// New data to leave with the lock.
    pub fn with_data(mut self, data: &str) -> Self {
        self.opts.data = Some(data.to_string());
        self
    }

    /// The options.
    pub fn build(self) -> ReleaseLockOptions {
        self.opts
    }
}
