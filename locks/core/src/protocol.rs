//! The lock protocol: what is asked of a database and what it answers, the same for every store.
//!
//! # State of one lock
//! A lock ([`LockId`]) has `max_size` **slots** (a mutex: one), a **fence** (the last fencing token given), and a
//! **queue** of waiters. A slot is *held* when it was granted, not released, and `expires_at > now`.
//! `now` is the database's own clock, read **after** the lock's row is locked (DynamoDB has none: see its crate).
//!
//! # Rules
//! - **R1 one step.** Each operation is one round trip and atomic.
//! - **R2 own grant.** An acquire whose `version` already holds a slot is a retry: it gets the same slot and the same token
//!   again, and its lease starts anew. So an acquire with an unknown outcome is simply sent again.
//! - **R3 reentrant.** With `reentrant`, a slot held by the same `owner` is handed back with its own version, token and a
//!   new lease. Never another owner's.
//! - **R4 fairness.** Let `free` be the slots not held, and `rank` the number of *live* waiters with an earlier ticket (for a
//!   newcomer: all live waiters). A fair acquire is granted iff `rank < free`. An unfair one (`fair: false`) iff `free > 0`.
//! - **R5 queueing.** A fair acquire that is refused and has `wait` set enters the queue (or stays in its place) under its
//!   version, with a deadline of [`WAITER_TTL_MS`]. Its grant, its [`abandon`](crate::LockRepository::abandon) or the deadline takes it out.
//!   [`keep_places`](crate::LockRepository::keep_places) puts the deadlines of many off; who has lost his place enters anew, at the end.
//! - **R6 liveness.** A waiter is live while its deadline has not passed **and** its process has shown life within
//!   [`CLIENT_TTL_MS`]: by queueing, or by [`beat`](crate::LockRepository::beat). A waiter that is not live is skipped, not removed: if its
//!   process comes back it has its old place. So all waiters of a crashed process together cost one `CLIENT_TTL_MS`.
//! - **R7 slot.** The slot granted is the lowest-numbered free one.
//! - **R8 token.** `fence = max(fence + 1, now in microseconds)`, of the mutex or of the whole semaphore, at each new grant.
//! - **R9 renewal.** Only for the current `version` of a slot that is held (`expires_at > now`); sets version to `new_version` and
//!   `expires_at = now + lease`. If `new_version` is already current the renewal is a retry and succeeds. Else `NotFound`. The token stays.
//! - **R10 release.** Only for the current `version`: frees the slot (also one whose lease is over but which nobody took): `true`.
//!   A slot that is free and whose last version is this one was released by an earlier try: `true`. Held by, or last held by, another version: `false`.
//!   No such lock: `NotFound`. The data stays, or becomes the request's. Then it wakes the first `free` live waiters, where the store can push.
//! - **R11 deletion.** A deleted lock leaves a tombstone of its fence for [`TOMBSTONE_TTL_MS`], invisible to every read, so that tokens grow across
//!   delete and re-create even if the server's clock steps back. A mutex is deleted at release when the acquire or the release asked for it;
//!   a slot of a semaphore is only emptied (its data goes).
//! - **R12 refusals change nothing**, but for R5.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::LockResult;
use crate::lock_id::LockId;
use crate::models::{DEFAULT_LEASE_MS, MutexLock, Remaining, new_version};

/// How long a waiter keeps its place without being seen, in milliseconds. At least every third of it a waiter asks again, or its process
/// [keeps its place](crate::LockRepository::keep_places).
pub const WAITER_TTL_MS: i64 = 15_000;
/// How long the waiters of a process count as live after its last sign of life, in milliseconds: what a crash can cost the queue.
pub const CLIENT_TTL_MS: i64 = 400;
/// How often a process with waiters shows life, in milliseconds.
pub const CLIENT_BEAT_MS: i64 = 100;
/// How long a deleted lock's fence is kept, in milliseconds: one day.
pub const TOMBSTONE_TTL_MS: i64 = 24 * 3_600 * 1_000;
/// The most waiters on one lock; one more is refused with `CurrentlyUnavailable` instead of queued.
pub const MAX_WAITERS: usize = 10_000;
/// [`Busy::position`] is counted no further than this.
pub const MAX_POSITION: u64 = 100;

/// Asks for one slot of a lock. The manager has validated every field.
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireRequest {
    /// Which lock.
    pub lock: LockId,
    /// Minted by the client for this acquisition: its ticket in the queue, then the version of its grant.
    pub version: String,
    /// Who asks (`host:pid:…`), stored with the grant; see R3.
    pub owner: String,
    /// The lease in milliseconds.
    pub lease_ms: i64,
    /// Semaphores: create with this many slots if absent. None: `NotFound` if absent. An existing one keeps its size.
    pub max_size: Option<u32>,
    /// Semaphores: create it as a fair semaphore, and show this grant as `one_<version>` instead of `one_0000000003`.
    pub named_by_version: bool,
    /// Data to leave with the slot; none keeps what is there.
    pub data: Option<String>,
    /// Whether `data` replaces what is there, or only fills an empty place.
    pub replace_data: bool,
    /// Delete the mutex at release.
    pub delete_on_release: bool,
    /// See R3.
    pub reentrant: bool,
    /// `NotFound` instead of creating what is absent.
    pub only_if_exists: bool,
    /// See R4.
    pub fair: bool,
    /// See R5.
    pub wait: bool,
}

impl AcquireRequest {
    /// Asks for `lock` as most do: under a new version, for 15 s, first come, first served, without waiting; data that is given replaces what is there. A semaphore must exist.
    ///
    /// ```
    /// use db_locks_core::{AcquireRequest, LockId};
    /// let request = AcquireRequest::new(LockId::semaphore("tenant", "printers")?).max_size(3).lease_ms(5_000).waiting();
    /// assert!(request.fair && request.wait && !request.version.is_empty());
    /// # Ok::<(), db_locks_core::LockError>(())
    /// ```
    pub fn new(lock: LockId) -> Self {
        Self {
            lock,
            version: new_version(),
            owner: String::new(),
            lease_ms: DEFAULT_LEASE_MS,
            max_size: None,
            named_by_version: false,
            data: None,
            replace_data: true,
            delete_on_release: false,
            reentrant: false,
            only_if_exists: false,
            fair: true,
            wait: false,
        }
    }

    /// As [`Self::new`], for a mutex of a tenant.
    ///
    /// # Errors
    /// `Validation` for names that no lock can have.
    pub fn mutex(tenant: &str, key: &str) -> LockResult<Self> {
        LockId::mutex(tenant, key).map(Self::new)
    }

    /// As [`Self::new`], for a slot of a semaphore that is created with this many if it is absent.
    ///
    /// # Errors
    /// As [`Self::mutex`].
    pub fn semaphore(tenant: &str, key: &str, max_size: u32) -> LockResult<Self> {
        Ok(Self::new(LockId::semaphore(tenant, key)?).max_size(max_size))
    }

    /// Under this version.
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// On behalf of this owner.
    pub fn owner(self, owner: impl Into<String>) -> Self {
        Self { owner: owner.into(), ..self }
    }

    /// For so many milliseconds.
    pub fn lease_ms(self, lease_ms: i64) -> Self {
        Self { lease_ms, ..self }
    }

    /// Creates a semaphore of this size if it is absent.
    pub fn max_size(self, max_size: u32) -> Self {
        Self { max_size: Some(max_size), ..self }
    }

    /// Leaves this with the slot.
    pub fn data(self, data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..self }
    }

    /// Enters the queue when it is refused.
    pub fn waiting(self) -> Self {
        Self { wait: true, ..self }
    }

    /// Passes whoever waits.
    pub fn unfair(self) -> Self {
        Self { fair: false, ..self }
    }

    /// Is handed back what the same owner holds.
    pub fn reentrant(self) -> Self {
        Self { reentrant: true, ..self }
    }
}

/// Waiters of one process for one lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which lock.
    pub lock: LockId,
    /// What they wait under.
    pub versions: Vec<String>,
}

/// The answer to an [`AcquireRequest`]. "No" is an answer, not an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// The slot is the caller's until its lease ends.
    Granted(MutexLock),
    /// Others hold it, or stand ahead in the queue.
    Busy(Busy),
}

/// Why a lock was not granted, as far as the database knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Busy {
    /// Live waiters ahead of this one, counted up to [`MAX_POSITION`]: 0 for the head of the queue.
    pub position: u64,
    /// This waiter's number in the queue of this lock: who came earlier has a smaller one. 0 when it is not in the queue.
    pub queue_number: u64,
    /// The earliest time from now, in milliseconds, at which the answer can change without anybody's doing: a lease ends.
    pub retry_after_ms: Option<i64>,
    /// A holder (the one whose lease ends first), in its own words.
    pub holder: Option<String>,
}

/// Asks for a new lease for a held slot (R9).
#[derive(Debug, Clone, PartialEq)]
pub struct RenewRequest {
    /// Which lock.
    pub lock: LockId,
    /// The `mutex_key` as the caller knows it: `one`, `one_0000000003` or `one_<version>`. The version alone decides;
    /// a slot key that names another slot than the version's is a stale handle: `NotFound`.
    pub mutex_key: String,
    /// The current version.
    pub version: String,
    /// The version after the renewal; the same one for locks named by version.
    pub new_version: String,
    /// The lease from now, in milliseconds.
    pub lease_ms: i64,
    /// New data; none leaves what is there.
    pub data: Option<String>,
}

/// Gives a slot back (R10).
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRequest {
    /// Which lock.
    pub lock: LockId,
    /// The `mutex_key` as the caller knows it; see [`RenewRequest::mutex_key`].
    pub mutex_key: String,
    /// The current version.
    pub version: String,
    /// Delete the mutex too.
    pub delete: bool,
    /// New data; none leaves what is there.
    pub data: Option<String>,
}

/// One slot as a database row, in plain integers: every store reads its rows into this.
#[derive(Debug, Clone, PartialEq)]
pub struct LockRecord {
    /// Slot number; 0 for a mutex.
    pub slot: u32,
    /// Last version granted (empty if never).
    pub version: String,
    /// Token of the last grant (0 if never).
    pub fence: u64,
    /// Its lease in milliseconds.
    pub lease_ms: i64,
    /// When the lease ends or ended, microseconds since 1970 by the database's clock; 0 when released or never granted.
    pub expires_at_us: i64,
    /// The database's clock when it answered, microseconds since 1970.
    pub now_us: i64,
    /// Data left with the slot.
    pub data: Option<String>,
    /// Who was granted it last.
    pub owner: Option<String>,
    /// The row goes away at release.
    pub delete_on_release: bool,
    /// Shown as `one_<version>` instead of by slot number.
    pub named_by_version: bool,
}

impl LockRecord {
    /// Held by the database's clock at the time of the answer.
    pub fn is_held(&self) -> bool {
        self.expires_at_us > self.now_us
    }

    /// The row as users see it. `sent` is when the request that read the row was sent.
    pub fn into_lock(self, id: &LockId, sent: Instant) -> MutexLock {
        let held = self.is_held();
        let mutex_key = if id.is_semaphore() && self.named_by_version && held {
            format!("{}_{}", id.key(), self.version)
        } else {
            id.slot_key(self.slot)
        };
        let left_us = u64::try_from(self.expires_at_us - self.now_us).unwrap_or(0);
        MutexLock {
            mutex_key,
            tenant_id: id.tenant().to_string(),
            version: self.version,
            lease_duration_ms: self.lease_ms,
            semaphore_key: id.semaphore_key().map(str::to_string),
            locked: held,
            expires_at: if held { Timestamp::from_microsecond(self.expires_at_us).ok() } else { None },
            fencing_token: (self.fence > 0).then_some(self.fence),
            data: self.data,
            owner: if held { self.owner.filter(|owner| !owner.is_empty()) } else { None },
            delete_on_release: self.delete_on_release,
            remaining: Remaining { lease: Duration::from_micros(left_us), since: sent },
        }
    }

    /// A slot that was never granted.
    pub fn free(slot: u32, lease_ms: i64, now_us: i64) -> Self {
        Self {
            slot,
            version: String::new(),
            fence: 0,
            lease_ms,
            expires_at_us: 0,
            now_us,
            data: None,
            owner: None,
            delete_on_release: false,
            named_by_version: false,
        }
    }
}

/// Whether `mutex_key`, as a caller gave it, can mean slot `slot` of `id` at `version`: the slot's own key, the key
/// by version, or (for the seeds' fair command lines) the bare semaphore key.
pub fn key_means_slot(id: &LockId, mutex_key: &str, slot: u32, version: &str) -> bool {
    if mutex_key == id.key() || mutex_key == id.slot_key(slot) {
        return true;
    }
    // `one_<version>`: the version is checked against the row by itself, so any such name passes here.
    mutex_key.strip_prefix(id.key()).and_then(|rest| rest.strip_prefix('_')) == Some(version)
}
