//! The same for plain threads: no `async`, no runtime of your own.
//!
//! ```
//! use std::time::Duration;
//!
//! let locks = db_locks::blocking::Locks::connect("sqlite::memory:")?;
//! let guard = locks.mutex("k").lease(Duration::from_secs(10)).wait(Duration::from_secs(30)).acquire()?;
//! assert!(guard.is_held());
//! guard.release()?;
//! # Ok::<(), db_locks::LockError>(())
//! ```
//!
//! Renewal goes on in a thread of the [`Locks`]. Called from within an async runtime these functions return an error
//! instead of blocking it: use the crate's own [`crate::Locks`] there.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{LockError, LockResult};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::guard::Lost;

/// As [`crate::Locks`], for plain threads. Clones share one connection and one renewing thread.
#[derive(Debug, Clone)]
pub struct Locks {
    inner: crate::Locks,
    runtime: Arc<Thread>,
}

/// The runtime of the renewing thread. A runtime must not be waited for from within another, wherever it is dropped.
#[derive(Debug)]
struct Thread(Option<Runtime>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Thread {
    fn start() -> LockResult<Self> {
        outside_of_a_runtime()?;
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("db-locks").enable_all().build();
        let failed = |e| LockError::runtime_from("cannot start the thread that renews locks", e);
        Ok(Self(Some(runtime.map_err(failed)?)))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> LockResult<T> {
        outside_of_a_runtime()?;
        let runtime = self.0.as_ref().ok_or_else(|| LockError::runtime("the renewing thread has ended"))?;
        Ok(runtime.block_on(future))
    }
}

fn outside_of_a_runtime() -> LockResult<()> {
    match Handle::try_current() {
        Ok(_) => Err(LockError::runtime(
            "a blocking call was made from within an async runtime: use db_locks::Locks there",
        )),
        Err(_) => Ok(()),
    }
}

/// Time for what dropped guards left behind, when the last [`Locks`] goes.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

impl Locks {
    /// Connects; see [`crate::Locks::connect`] for the URLs.
    ///
    /// # Errors
    /// As there; `Runtime` when called from within an async runtime.
    pub fn connect(url: &str) -> LockResult<Self> {
        Self::over(crate::Locks::connect(url))
    }

    /// As [`Self::connect`], for a tenant.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_as(url: &str, tenant: &str) -> LockResult<Self> {
        Self::over(crate::Locks::connect_as(url, tenant))
    }

    fn over(connected: impl Future<Output = LockResult<crate::Locks>>) -> LockResult<Self> {
        let runtime = Thread::start()?;
        let inner = runtime.block_on(connected)??;
        Ok(Self { inner, runtime: Arc::new(runtime) })
    }

    /// The mutex `key`.
    pub fn mutex(&self, key: &str) -> Acquire {
        Acquire { locks: self.clone(), inner: self.inner.mutex(key) }
    }

    /// One of the `max_size` locks of the semaphore `key`.
    pub fn semaphore(&self, key: &str, max_size: u32) -> Acquire {
        Acquire { locks: self.clone(), inner: self.inner.semaphore(key, max_size) }
    }

    /// Returns when what dropped guards left behind has been cleared up, at most after 5 s.
    ///
    /// # Errors
    /// `Runtime` when called from within an async runtime.
    pub fn settle(&self) -> LockResult<()> {
        // Whether it was in time makes no difference to the caller: leases end by themselves.
        let settled = async {
            let _ = tokio::time::timeout(SETTLE_LIMIT, self.inner.settled()).await;
        };
        self.runtime.block_on(settled)
    }
}

/// As [`crate::Acquire`].
#[derive(Debug, Clone)]
#[must_use = "nothing is acquired until acquire() or try_acquire() is called"]
pub struct Acquire {
    locks: Locks,
    inner: crate::Acquire,
}

impl Acquire {
    /// How long the lock outlives its holder (15 s).
    pub fn lease(mut self, lease: Duration) -> Self {
        self.inner = self.inner.lease(lease);
        self
    }

    /// How long to wait for the lock (the lease and 100 ms).
    pub fn wait(mut self, wait: Duration) -> Self {
        self.inner = self.inner.wait(wait);
        self
    }

    /// First come, first served (yes).
    pub fn fair(mut self, fair: bool) -> Self {
        self.inner = self.inner.fair(fair);
        self
    }

    /// Data to leave with the lock.
    pub fn data(mut self, data: &str) -> Self {
        self.inner = self.inner.data(data);
        self
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// As [`crate::Acquire::acquire`]; `Runtime` when called from within an async runtime.
    pub fn acquire(self) -> LockResult<LockGuard> {
        let inner = self.locks.runtime.block_on(self.inner.acquire())??;
        Ok(LockGuard { inner: Some(inner), locks: self.locks })
    }

    /// The lock if it is free, without waiting.
    ///
    /// # Errors
    /// As [`crate::Acquire::try_acquire`]; `Runtime` when called from within an async runtime.
    pub fn try_acquire(self) -> LockResult<Option<LockGuard>> {
        let inner = self.locks.runtime.block_on(self.inner.try_acquire())??;
        Ok(inner.map(|inner| LockGuard { inner: Some(inner), locks: self.locks }))
    }
}

/// As [`crate::LockGuard`].
#[derive(Debug)]
#[must_use = "the lock is released when its guard is dropped"]
pub struct LockGuard {
    /// None once it was released.
    inner: Option<crate::LockGuard>,
    locks: Locks,
}

impl LockGuard {
    /// The lock's key.
    pub fn key(&self) -> &str {
        self.inner.as_ref().map_or("", crate::LockGuard::key)
    }

    /// Strictly greater than the token of every earlier grant of this key.
    pub fn fencing_token(&self) -> u64 {
        self.inner.as_ref().map_or(0, crate::LockGuard::fencing_token)
    }

    /// Whether the lease can still be trusted. Ask before each step that must not be taken twice.
    pub fn is_held(&self) -> bool {
        self.inner.as_ref().is_some_and(crate::LockGuard::is_held)
    }

    /// The reason, if the lock is lost.
    pub fn lost_now(&self) -> Option<Lost> {
        self.inner.as_ref().and_then(crate::LockGuard::lost_now)
    }

    /// Waits until the lock is lost, at most `limit`: the reason, or none when it is still held then.
    ///
    /// # Errors
    /// `Runtime` when called from within an async runtime.
    pub fn wait_lost(&self, limit: Duration) -> LockResult<Option<Lost>> {
        let Some(inner) = &self.inner else { return Ok(None) };
        self.locks.runtime.block_on(async { tokio::time::timeout(limit, inner.lost()).await.ok() })
    }

    /// Releases the lock: true if it was held until now.
    ///
    /// # Errors
    /// What the database says; `Runtime` when called from within an async runtime.
    pub fn release(mut self) -> LockResult<bool> {
        let Some(inner) = self.inner.take() else { return Ok(false) };
        self.locks.runtime.block_on(inner.release())?
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // The release runs in the background, on our runtime's thread.
        if let Some(runtime) = &self.locks.runtime.0 {
            let _entered = runtime.enter();
            self.inner = None;
        }
    }
}
