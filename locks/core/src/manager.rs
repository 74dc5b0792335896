//! The traits that users call: [`LockManager`] above [`LockStore`] above the repositories above the database.

use async_trait::async_trait;

use crate::error::LockResult;
use crate::lock_id::LockId;
use crate::models::{MutexLock, Semaphore};
use crate::options::{AcquireLockOptions, ReleaseLockOptions, SendHeartbeatOptions};
use crate::protocol::{Acquired, Waiting};
use crate::repository::Capabilities;

/// Acquires, renews and releases locks, and manages mutexes and semaphores, for one tenant.
#[async_trait]
pub trait LockManager: Send + Sync {
    /// Acquires a mutex, or a slot of a semaphore when `semaphore_max_size` is set, creating it if it is absent, and
    /// waits for it first come, first served: by default for the lease plus 100 ms.
    ///
    /// # Errors
    /// `NotGranted` when others held it all that time; `NotFound` with `acquire_only_if_already_exists`; `Validation`;
    /// what the database says.
    async fn acquire_lock(&self, opts: &AcquireLockOptions) -> LockResult<MutexLock>;

    /// Releases the lock: true if it was still the caller's, false if its lease ran out and somebody else has (had) it.
    ///
    /// # Errors
    /// `NotFound` when there is no such lock; `Validation`; what the database says.
    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool>;

    /// Renews the lease, counted from now; returns the lock with its new version (fair semaphores keep theirs).
    ///
    /// # Errors
    /// `NotFound` when the version is stale: the lease ran out, or the lock was released; `Validation`; what the database says.
    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions) -> LockResult<MutexLock>;

    /// Creates a free mutex: 1, or 0 if it exists already.
    ///
    /// # Errors
    /// `Validation`; what the database says.
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize>;

    /// Deletes a mutex that nobody holds.
    ///
    /// # Errors
    /// `NotFound` when absent or of another version; `CurrentlyUnavailable` while it is held; `Validation` for a slot of a semaphore.
    async fn delete_mutex(
        &self,
        other_key: &str,
        other_version: &str,
        other_semaphore_key: Option<String>,
    ) -> LockResult<usize>;

    /// Tells who holds a lock, without acquiring it. Finds slots of semaphores by their full key too.
    ///
    /// # Errors
    /// `NotFound`; `Validation`; what the database says.
    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock>;

    /// Creates a semaphore or changes its size.
    ///
    /// # Errors
    /// `CurrentlyUnavailable` when it shall shrink below a slot that is held; `Validation`; what the database says.
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize>;

    /// Reads a semaphore with its `busy_count`.
    ///
    /// # Errors
    /// `NotFound`; `Validation`; what the database says.
    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore>;

    /// Lists the slots of a semaphore, held and free.
    ///
    /// # Errors
    /// `NotFound`; `Validation`; what the database says.
    async fn get_semaphore_mutexes(&self, other_semaphore_key: &str) -> LockResult<Vec<MutexLock>>;

    /// Deletes a semaphore none of whose slots is held.
    ///
    /// # Errors
    /// `NotFound` when absent or of another version; `CurrentlyUnavailable` while a slot is held; `Validation`.
    async fn delete_semaphore(&self, other_key: &str, other_version: &str) -> LockResult<usize>;
}

/// One acquisition in progress: the same `version` is sent again and again until it is granted or abandoned.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The ticket, and the version once granted.
    pub version: String,
    /// Who asks.
    pub owner: String,
    /// Enter the queue when refused.
    pub wait: bool,
}

/// What a [`LockManager`] needs of the layer below: single steps, for one tenant, without waiting.
#[async_trait]
pub trait LockStore: Send + Sync {
    /// A short name of the database, for messages and metrics.
    fn name(&self) -> &'static str;

    /// What the database can do.
    fn capabilities(&self) -> Capabilities;

    /// See [`crate::LockRepository::poll_ms`].
    fn poll_ms(&self) -> (u64, u64);

    /// The lock that these options ask for.
    ///
    /// # Errors
    /// `Validation`.
    fn lock_id(&self, opts: &AcquireLockOptions) -> LockResult<LockId>;

    /// One step of an acquisition.
    ///
    /// # Errors
    /// As [`crate::LockRepository::acquire`], and `Validation`.
    async fn try_acquire(&self, opts: &AcquireLockOptions, attempt: &Attempt) -> LockResult<Acquired>;

    /// Ends an acquisition that was not granted, or whose caller went away.
    ///
    /// # Errors
    /// What the database says.
    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()>;

    /// Shows that this process still waits for these locks.
    ///
    /// # Errors
    /// What the database says.
    async fn beat(&self, locks: &[LockId]) -> LockResult<()>;

    /// Keeps the places of many waiters; see [`crate::LockRepository::keep_places`].
    ///
    /// # Errors
    /// What the database says.
    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        Ok(waiting.iter().flat_map(|waiting| waiting.versions.iter().cloned()).collect())
    }

    /// Returns when it may be the turn of `version`; see [`crate::LockRepository::rung`].
    async fn rung(&self, lock: &LockId, version: &str);

    /// See [`LockManager::release_lock`].
    ///
    /// # Errors
    /// As there.
    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool>;

    /// See [`LockManager::send_heartbeat`]; `new_version` is the version after the renewal where versions change.
    ///
    /// # Errors
    /// As there.
    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions, new_version: &str) -> LockResult<MutexLock>;

    /// Renews many locks at once, in one round trip where the database can; answers in the same order.
    async fn send_heartbeats(&self, opts: &[(SendHeartbeatOptions, String)]) -> Vec<LockResult<MutexLock>>;

    /// See [`LockManager::create_mutex`].
    ///
    /// # Errors
    /// As there.
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize>;

    /// See [`LockManager::delete_mutex`].
    ///
    /// # Errors
    /// As there.
    async fn delete_mutex(&self, key: &str, version: &str, semaphore_key: Option<&str>) -> LockResult<usize>;

    /// See [`LockManager::get_mutex`].
    ///
    /// # Errors
    /// As there.
    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock>;

    /// See [`LockManager::create_semaphore`].
    ///
    /// # Errors
    /// As there.
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize>;

    /// See [`LockManager::get_semaphore`].
    ///
    /// # Errors
    /// As there.
    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore>;

    /// See [`LockManager::get_semaphore_mutexes`].
    ///
    /// # Errors
    /// As there.
    async fn get_semaphore_mutexes(&self, semaphore_key: &str) -> LockResult<Vec<MutexLock>>;

    /// See [`LockManager::delete_semaphore`].
    ///
    /// # Errors
    /// As there.
    async fn delete_semaphore(&self, key: &str, version: &str) -> LockResult<usize>;
}
