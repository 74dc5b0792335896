//! [`LockGuard`]: a lock that renews itself, says when it is lost, and is released when it goes.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{LockManager, LockResult, MutexLock, ReleaseLockOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::LockManagerImpl;
use crate::renewer::Renewed;

/// Why a guard's lock is not its holder's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The database says that the lock is somebody else's, or was released by force, though its lease was not over.
    Stolen,
    /// The lease ended before it was renewed: this process was stopped, or too busy.
    Expired,
    /// The lease ended while the database could not be reached or did not answer. Perhaps nobody else has the lock yet,
    /// but anybody may.
    Unreachable,
}

impl Lost {
    /// `stolen`, `expired` or `unreachable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stolen => "stolen",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
        }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stolen => "the lock was taken away by somebody else",
            Self::Expired => "the lease ended before it could be renewed",
            Self::Unreachable => "the lease ended while the database did not answer",
        })
    }
}

/// A held lock. It is renewed at a third of its lease until it is released or dropped.
///
/// Stop working when [`Self::lost`] returns (or its [`CancellationToken`] is cancelled): from that instant on, by this
/// process's monotonic clock, somebody else may hold the lock. Since no process can be sure to stop in time (it may be
/// paused right before it writes), give [`Self::fencing_token`] to what the lock guards.
///
/// Dropping the guard releases the lock in the background as well as it can; [`Self::release`] does it surely.
#[must_use = "the lock is released when its guard is dropped"]
pub struct LockGuard {
    lock: MutexLock,
    manager: Arc<LockManagerImpl>,
    renewed: Option<Renewed>,
    released: bool,
}

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockGuard")
            .field("lock", &self.lock)
            .field("lost", &self.lost_now())
            .finish_non_exhaustive()
    }
}

impl LockGuard {
    pub(crate) fn new(lock: MutexLock, manager: Arc<LockManagerImpl>, renewed: Renewed) -> Self {
        Self { lock, manager, renewed: Some(renewed), released: false }
    }

    /// The lock as it was granted.
    pub fn lock(&self) -> &MutexLock {
        &self.lock
    }

    /// The lock's key: `one`, or `one_0000000003` for a slot of a semaphore.
    pub fn key(&self) -> &str {
        &self.lock.mutex_key
    }

    /// The version of the grant; it stays the same for as long as the guard renews.
    pub fn version(&self) -> &str {
        &self.lock.version
    }

    /// Strictly greater than the token of every earlier grant of this key.
    pub fn fencing_token(&self) -> u64 {
        self.lock.fencing_token.unwrap_or(0)
    }

    /// Returns when the lock is lost, with the reason. Can be awaited many times, and dropped at any time.
    pub async fn lost(&self) -> Lost {
        let Some(renewed) = &self.renewed else { return std::future::pending().await };
        let mut trust = renewed.trust.clone();
        let reason = trust.wait_for(|trust| trust.lost.is_some()).await.ok().and_then(|trust| trust.lost);
        // Without a sender nobody renews any more, so the lease runs out.
        reason.unwrap_or(Lost::Expired)
    }

    /// Returns when the lock will be lost within `margin` unless a renewal comes through before then: time to finish what
    /// takes long. Returns at once when it is lost already.
    pub async fn at_risk(&self, margin: Duration) {
        let Some(renewed) = &self.renewed else { return std::future::pending().await };
        let mut trust = renewed.trust.clone();
        loop {
            let now = *trust.borrow_and_update();
            if now.lost.is_some() {
                return;
            }
            tokio::select! {
                biased;
                changed = trust.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(now.until - margin) => return,
            }
        }
    }

    /// The instant, by this process's monotonic clock, until which the lock is surely held unless it is renewed.
    pub fn trusted_until(&self) -> Instant {
        self.renewed.as_ref().map_or_else(Instant::now, |renewed| renewed.trust.borrow().until)
    }

    /// The reason, if the lock is lost already. Looks at the clock itself: in a process that was stopped and goes on, this
    /// may be asked before the task that tells of losses has run again.
    pub fn lost_now(&self) -> Option<Lost> {
        let trust = *self.renewed.as_ref()?.trust.borrow();
        trust.lost.or_else(|| (trust.until <= Instant::now()).then_some(Lost::Expired))
    }

    /// Whether the lease can still be trusted.
    pub fn is_held(&self) -> bool {
        self.lost_now().is_none()
    }

    /// Cancelled the moment the lock is lost; hand it to what works under the lock.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.renewed.as_ref().map(|renewed| renewed.token.clone()).unwrap_or_default()
    }

    /// Releases the lock: true if it was held until now, false if it had been lost.
    ///
    /// When the future is dropped before it is done, the release goes on in the background.
    ///
    /// # Errors
    /// What the database says; the lease then ends by itself.
    pub async fn release(mut self) -> LockResult<bool> {
        self.renewed = None;
        let opts = self.lock.to_release_options();
        // From here on this releases in the background if the future is dropped, and the guard's own drop does nothing.
        let mut unfinished = ReleaseOnDrop { manager: self.manager.clone(), opts: Some(opts.clone()) };
        self.released = true;
        let result = self.manager.release_lock(&opts).await;
        unfinished.opts = None;
        result
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.renewed = None;
        if !self.released {
            release_in_background(&self.manager, self.lock.to_release_options());
        }
    }
}

/// Goes on with a release whose future was dropped.
struct ReleaseOnDrop {
    manager: Arc<LockManagerImpl>,
    opts: Option<ReleaseLockOptions>,
}

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        if let Some(opts) = self.opts.take() {
            release_in_background(&self.manager, opts);
        }
    }
}

fn release_in_background(manager: &Arc<LockManagerImpl>, opts: ReleaseLockOptions) {
    // Now, not when the task begins.
    manager.give_up(&opts.version);
    let manager_then = manager.clone();
    manager.clean_up(async move {
        if let Err(error) = manager_then.release_lock(&opts).await {
            tracing::warn!(key = opts.mutex_key, error = %error.chain(), "could not release a dropped lock");
        }
    });
}
