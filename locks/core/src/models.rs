//! [`MutexLock`] and [`Semaphore`]: what users see of a lock, in Rust and as JSON.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lock_id::{self, LockId};
use crate::options::{ReleaseLockOptions, SendHeartbeatOptions};
use crate::{LockError, LockResult};

/// The default lease: 15 seconds.
pub const DEFAULT_LEASE_MS: i64 = 15_000;

/// A mutex, or one slot of a semaphore, as the database knew it when it answered.
///
/// The JSON form leaves out what is not set:
/// ```
/// use db_locks_core::MutexLockBuilder;
/// let lock = MutexLockBuilder::new("one").with_version("v1").with_tenant("t").build();
/// assert_eq!(
///     serde_json::to_string(&lock).unwrap(),
///     r#"{"mutex_key":"one","tenant_id":"t","version":"v1","lease_duration_ms":15000,"locked":false}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutexLock {
    /// The key; for a slot of a semaphore `one_0000000003`, for a fair semaphore `one_<version>`.
    pub mutex_key: String,
    /// The tenant that the lock belongs to.
    pub tenant_id: String,
    /// Changes with each grant and (except on a fair semaphore) with each renewal; needed to renew, release or delete.
    pub version: String,
    /// The lease in milliseconds.
    pub lease_duration_ms: i64,
    /// The semaphore that this is a slot of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semaphore_key: Option<String>,
    /// Held, and its lease not yet over by the database's clock, when the database answered.
    pub locked: bool,
    /// When the lease ends by the database's clock (UTC, microseconds), while `locked`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "naive_utc")]
    pub expires_at: Option<Timestamp>,
    /// Strictly greater than the token of every earlier grant of this key (of the whole semaphore, for a slot).
    /// Give it to the resource that the lock guards, and let that refuse smaller ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// What a holder left with the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Who holds it, in the holder's own words (`host:pid:…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The row goes away at release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_on_release: bool,
    /// What was left of the lease by the database's clock, and when we heard of it by our monotonic one.
    #[serde(skip)]
    pub remaining: Remaining,
}

/// How long a lease still lasted when the database answered, measured against this process's monotonic clock:
/// two machines' wall clocks are never compared.
#[derive(Debug, Clone, Copy)]
pub struct Remaining {
    /// What was left of the lease.
    pub lease: Duration,
    /// When the request that learnt of it was *sent*, so that [`Self::is_over`] errs on the safe side.
    pub since: Instant,
}

impl Default for Remaining {
    fn default() -> Self {
        Self { lease: Duration::ZERO, since: Instant::now() }
    }
}

/// Not part of what a lock *is*: two answers about the same lock are equal whenever they came.
impl PartialEq for Remaining {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Remaining {
    /// The instant at which the lease can no longer be trusted.
    pub fn ends_at(&self) -> Instant {
        self.since + self.lease
    }

    /// Whether that instant has passed.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.ends_at()
    }
}

impl MutexLock {
    /// What is needed to renew this lock for another lease of the same length.
    pub fn to_heartbeat_options(&self) -> SendHeartbeatOptions {
        SendHeartbeatOptions {
            mutex_key: self.mutex_key.clone(),
            version: self.version.clone(),
            lease_duration_ms: self.lease_duration_ms,
            semaphore_key: self.semaphore_key.clone(),
            data: None,
        }
    }

    /// What is needed to release this lock.
    pub fn to_release_options(&self) -> ReleaseLockOptions {
        ReleaseLockOptions {
            mutex_key: self.mutex_key.clone(),
            version: self.version.clone(),
            semaphore_key: self.semaphore_key.clone(),
            delete_lock: self.delete_on_release,
            data: None,
        }
    }

    /// True when the lock was free when the database answered, or when what was then left of the lease has
    /// gone by on this process's monotonic clock.
    pub fn expired(&self) -> bool {
        !self.locked || self.remaining.is_over()
    }

    /// The [`LockId`] that this lock is stored under.
    ///
    /// # Errors
    /// [`LockError::Validation`] for names that no lock can have.
    pub fn lock_id(&self) -> LockResult<LockId> {
        match &self.semaphore_key {
            Some(semaphore) => LockId::semaphore(&self.tenant_id, semaphore),
            None => LockId::mutex(&self.tenant_id, &self.mutex_key),
        }
    }
}

/// Builds a [`MutexLock`] to be created in the database, unlocked.
///
/// ```
/// use db_locks_core::MutexLockBuilder;
/// let mutex = MutexLockBuilder::new("nightly").with_lease_duration_secs(60).with_data("notes").build();
/// assert_eq!(mutex.lease_duration_ms, 60_000);
/// assert!(!mutex.locked);
/// ```
#[derive(Debug, Clone)]
pub struct MutexLockBuilder {
    lock: MutexLock,
}

impl MutexLockBuilder {
    /// A free mutex `key` with a lease of 15 s and a new version; the manager fills in its tenant.
    pub fn new(key: &str) -> Self {
        Self {
            lock: MutexLock {
                mutex_key: key.to_string(),
                tenant_id: String::new(),
                version: new_version(),
                lease_duration_ms: DEFAULT_LEASE_MS,
                semaphore_key: None,
                locked: false,
                expires_at: None,
                fencing_token: None,
                data: None,
                owner: None,
                delete_on_release: false,
                remaining: Remaining::default(),
            },
        }
    }

    /// Belongs to this tenant (default: the manager's).
    pub fn with_tenant(mut self, tenant_id: &str) -> Self {
        self.lock.tenant_id = tenant_id.to_string();
        self
    }

    /// Has this version instead of a new one.
    pub fn with_version(mut self, version: &str) -> Self {
        self.lock.version = version.to_string();
        self
    }

    /// The lease in milliseconds.
    pub fn with_lease_duration_millis(mut self, millis: i64) -> Self {
        self.lock.lease_duration_ms = millis;
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

    /// Data to keep with the mutex.
    pub fn with_data(mut self, data: &str) -> Self {
        self.lock.data = Some(data.to_string());
        self
    }

    /// The row goes away when the lock is released.
    pub fn with_delete_on_release(mut self, delete: bool) -> Self {
        self.lock.delete_on_release = delete;
        self
    }

    /// The mutex.
    pub fn build(self) -> MutexLock {
        self.lock
    }
}

/// A semaphore as the database knew it when it answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Semaphore {
    /// The key.
    pub semaphore_key: String,
    /// The tenant that the semaphore belongs to.
    pub tenant_id: String,
    /// Changes when the semaphore is created or resized; needed to delete it.
    pub version: String,
    /// How many may hold at once.
    pub max_size: u32,
    /// The default lease of its slots in milliseconds.
    pub lease_duration_ms: i64,
    /// How many hold now (filled in by `get_semaphore`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_count: Option<u32>,
    /// Made by a fair store, which names its locks `one_<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fair_semaphore: Option<bool>,
}

impl Semaphore {
    /// The [`LockId`] that this semaphore is stored under.
    ///
    /// # Errors
    /// [`LockError::Validation`] for names that no semaphore can have.
    pub fn lock_id(&self) -> LockResult<LockId> {
        LockId::semaphore(&self.tenant_id, &self.semaphore_key)
    }
}

/// Builds a [`Semaphore`] to be created or resized.
///
/// ```
/// use db_locks_core::SemaphoreBuilder;
/// let pool = SemaphoreBuilder::new("my_pool", 10).with_lease_duration_secs(15).build();
/// assert_eq!((pool.max_size, pool.lease_duration_ms), (10, 15_000));
/// ```
#[derive(Debug, Clone)]
pub struct SemaphoreBuilder {
    semaphore: Semaphore,
}

impl SemaphoreBuilder {
    /// A semaphore `key` with `max_size` slots, a lease of 15 s and a new version; the manager fills in its tenant.
    pub fn new(key: &str, max_size: u32) -> Self {
        Self {
            semaphore: Semaphore {
                semaphore_key: key.to_string(),
                tenant_id: String::new(),
                version: new_version(),
                max_size,
                lease_duration_ms: DEFAULT_LEASE_MS,
                busy_count: None,
                fair_semaphore: None,
            },
        }
    }

    /// Belongs to this tenant (default: the manager's).
    pub fn with_tenant(mut self, tenant_id: &str) -> Self {
        self.semaphore.tenant_id = tenant_id.to_string();
        self
    }

    /// Has this version instead of a new one.
    pub fn with_version(mut self, version: &str) -> Self {
        self.semaphore.version = version.to_string();
        self
    }

    /// How many may hold at once.
    pub fn with_max_size(mut self, max_size: u32) -> Self {
        self.semaphore.max_size = max_size;
        self
    }

    /// The slots' default lease in milliseconds.
    pub fn with_lease_duration_millis(mut self, millis: i64) -> Self {
        self.semaphore.lease_duration_ms = millis;
        self
    }

    /// The slots' default lease in seconds.
    pub fn with_lease_duration_secs(self, secs: i64) -> Self {
        self.with_lease_duration_millis(secs.saturating_mul(1_000))
    }

    /// The slots' default lease in minutes.
    pub fn with_lease_duration_minutes(self, minutes: i64) -> Self {
        self.with_lease_duration_millis(minutes.saturating_mul(60_000))
    }

    /// Shown as a fair semaphore.
    pub fn with_fair_semaphore(mut self, fair: bool) -> Self {
        self.semaphore.fair_semaphore = Some(fair);
        self
    }

    /// The semaphore.
    pub fn build(self) -> Semaphore {
        self.semaphore
    }
}

/// A new random version (UUID v4).
pub fn new_version() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Checks what a caller wants created.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_mutex(mutex: &MutexLock) -> LockResult<()> {
    mutex.lock_id()?;
    lock_id::validate_version(&mutex.version)?;
    lock_id::validate_lease_ms(mutex.lease_duration_ms)?;
    lock_id::validate_data(mutex.data.as_deref())?;
    if mutex.locked {
        return Err(LockError::validation("locked", "a mutex is created unlocked; acquire it instead"));
    }
    Ok(())
}

/// Checks what a caller wants created or resized.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_semaphore(semaphore: &Semaphore, max_semaphore_size: u32) -> LockResult<()> {
    semaphore.lock_id()?;
    lock_id::validate_version(&semaphore.version)?;
    lock_id::validate_lease_ms(semaphore.lease_duration_ms)?;
    lock_id::validate_size(semaphore.max_size, max_semaphore_size)
}

/// Timestamps as the seed shows them: UTC without a zone, `2022-10-11T03:04:43.126542`.
mod naive_utc {
    use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            // Six digits always, so that the column is as wide in every row.
            Some(at) => to.collect_str(&format_args!("{:.6}", TimeZone::UTC.to_datetime(*at))),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let Some(civil) = Option::<DateTime>::deserialize(from)? else { return Ok(None) };
        TimeZone::UTC.to_timestamp(civil).map(Some).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_at_reads_and_writes_the_seeds_form() {
        let json = r#"{"mutex_key":"one","tenant_id":"t","version":"v","lease_duration_ms":15000,"semaphore_key":"p","locked":true,"expires_at":"2022-10-11T03:04:43.126542"}"#;
        let lock: MutexLock = serde_json::from_str(json).unwrap();
        assert_eq!(lock.expires_at.unwrap().as_microsecond(), 1_665_457_483_126_542);
        assert_eq!(serde_json::to_string(&lock).unwrap(), json);
    }

    #[test]
    fn locks_with_one_key_but_other_versions_differ() {
        let a = MutexLockBuilder::new("one").with_version("a").build();
        let b = MutexLockBuilder::new("one").with_version("b").build();
        assert_ne!(a, b);
    }
}
