//! The traits that a database implements. They hold only what must be atomic in the database; waiting,
//! retrying, naming and metrics are built once, above them.

use async_trait::async_trait;

use crate::error::LockResult;
use crate::lock_id::LockId;
use crate::models::{MutexLock, Semaphore};
use crate::protocol::{AcquireRequest, Acquired, ReleaseRequest, RenewRequest, Waiting};

/// What a store can do beyond the protocol. The conformance suite makes it keep its word, and lists what it
/// does not offer as ignored, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Expiry goes by the database's own clock, so a dead holder's lock is free the moment its lease ends for
    /// whoever asks. Without it (DynamoDB) a waiter must itself have watched the lock for a whole lease.
    pub server_clock: bool,
    /// Other processes see the same locks (not so for in-memory SQLite).
    pub shared_between_processes: bool,
    /// Locks survive a restart of the database server.
    pub survives_restart: bool,
    /// Waiters are woken by the database ([`LockRepository::rung`] can return).
    pub push: bool,
}

/// What every database offers: the protocol of [`crate::protocol`] for mutexes and semaphores alike.
///
/// Every method is one round trip, is atomic, can be sent again after an unknown outcome, never blocks a runtime thread,
/// and is bounded by the configured timeouts. Errors keep the driver's error as source and never show a password.
#[async_trait]
pub trait LockRepository: Send + Sync + std::fmt::Debug {
    /// A short name for messages and metrics: `sqlite`, `postgres`, `mysql`, `redis`, `dynamodb`.
    fn name(&self) -> &'static str;

    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Brings tables (functions, indexes) to the newest version. Returns the names of what was applied now;
    /// empty when all was in place. Safe to run from many processes at once.
    ///
    /// # Errors
    /// `AccessDenied` without the right to create tables; `CurrentlyUnavailable`; `Database`.
    async fn migrate(&self) -> LockResult<Vec<String>>;

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// `CurrentlyUnavailable`, `AccessDenied`.
    async fn ping(&self) -> LockResult<()>;

    /// Takes a slot, or a place in the queue (R1 to R8).
    ///
    /// # Errors
    /// `NotFound` when the lock is absent and may not be created; else what the database says.
    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired>;

    /// Gives a held slot a new lease (R9).
    ///
    /// # Errors
    /// `NotFound` when the version is not (or no longer) the holder's.
    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock>;

    /// Gives a slot back (R10): true when it is now free and was this version's.
    ///
    /// # Errors
    /// `NotFound` when there is no such mutex or semaphore at all.
    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool>;

    /// Ends an acquisition whose caller went away: takes `version` out of the queue, and frees its slot if it was granted
    /// meanwhile. Unknown versions are no error.
    ///
    /// # Errors
    /// What the database says.
    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()>;

    /// Shows that this process lives and waits for these locks (R6). Called every
    /// [`CLIENT_BEAT_MS`](crate::protocol::CLIENT_BEAT_MS) while it has waiters.
    ///
    /// # Errors
    /// What the database says.
    async fn beat(&self, locks: &[LockId]) -> LockResult<()>;

    /// Keeps the places of these waiters of this process for another [`WAITER_TTL_MS`](crate::protocol::WAITER_TTL_MS) (R5), in as few
    /// round trips as the store can. Returns the versions whose places were not kept, for whatever reason: they ask for themselves.
    ///
    /// # Errors
    /// What the database says; then nobody's place may have been kept.
    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        Ok(waiting.iter().flat_map(|waiting| waiting.versions.iter().cloned()).collect())
    }

    /// Renews many locks; answers in the same order. Stores that can do it in one round trip override this.
    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(self.renew(request).await);
        }
        replies
    }

    /// How often the head of a queue asks again in stores without push, in milliseconds: at first and, as it backs
    /// off, at last.
    fn poll_ms(&self) -> (u64, u64) {
        (2, 25)
    }

    /// Returns when the database has said that it may be the turn of `version`, which has been sent in a waiting
    /// [`Self::acquire`] before. May return without cause. Never returns in stores without push.
    async fn rung(&self, version: &str) {
        let _ = version;
        std::future::pending::<()>().await;
    }
}

/// Mutexes in one database.
#[async_trait]
pub trait MutexRepository: LockRepository {
    /// Creates a free mutex: 1 if it was absent, 0 if it exists (and is left as it is).
    ///
    /// # Errors
    /// What the database says.
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize>;

    /// Reads a mutex, or `NotFound`.
    ///
    /// # Errors
    /// `NotFound`; what the database says.
    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock>;

    /// Deletes a free mutex whose last version is `version` (R11): 1.
    ///
    /// # Errors
    /// `NotFound` when absent or of another version; `CurrentlyUnavailable` while it is held.
    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize>;
}

/// Semaphores in one database.
#[async_trait]
pub trait SemaphoreRepository: LockRepository {
    /// Creates a semaphore, or gives an existing one this size, lease and version: 1 either way.
    ///
    /// # Errors
    /// `CurrentlyUnavailable`, changing nothing, when it shall shrink and a slot numbered `max_size` or above is held.
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize>;

    /// Reads a semaphore with its `busy_count`, or `NotFound`.
    ///
    /// # Errors
    /// `NotFound`; what the database says.
    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore>;

    /// Every slot, held and free, by slot number: always `max_size` of them.
    ///
    /// # Errors
    /// `NotFound`; what the database says.
    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>>;

    /// Deletes a semaphore at `version` with all its slots (R11): 1.
    ///
    /// # Errors
    /// `NotFound` when absent or of another version; `CurrentlyUnavailable` while a slot is held.
    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize>;
}

/// Semaphores that are granted first come, first served: all of them, on every store (R4). The name is the seeds';
/// what it adds is only how a [`crate::LockStore`] uses it: its locks are named by version.
pub trait FairSemaphoreRepository: SemaphoreRepository {}

impl<T: SemaphoreRepository + ?Sized> FairSemaphoreRepository for T {}
