//! The locks that this process believes it holds: for the gauge and the count of losses, never for an answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db_locks_core::MutexLock;
use tokio::time::Instant;

use crate::metrics::LockMetrics;

/// How often leases that ran out unnoticed are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct HeldLocks {
    metrics: LockMetrics,
    store: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Version to the instant at which its lease can no longer be trusted.
    ends_at: HashMap<String, Instant>,
    swept: Instant,
}

impl HeldLocks {
    pub(crate) fn new(metrics: LockMetrics, store: &'static str) -> Self {
        let state = State { ends_at: HashMap::new(), swept: Instant::now() };
        Self { metrics, store, state: Mutex::new(state) }
    }

    pub(crate) fn granted(&self, lock: &MutexLock) {
        self.change(|held| held.insert(lock.version.clone(), Instant::from_std(lock.remaining.ends_at())));
    }

    /// A renewal that comes back after the release does not count the lock as held again.
    pub(crate) fn renewed(&self, old_version: &str, lock: &MutexLock) {
        self.change(|held| {
            if held.remove(old_version).is_some() {
                held.insert(lock.version.clone(), Instant::from_std(lock.remaining.ends_at()));
            }
        });
    }

    pub(crate) fn released(&self, version: &str) {
        self.change(|held| held.remove(version));
    }

    /// The database said that this version is not the holder's any more.
    pub(crate) fn lost(&self, version: &str, reason: &'static str) {
        if self.change(|held| held.remove(version)).is_some() {
            self.metrics.lost(self.store, reason, 1);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<String, Instant>) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.ends_at.len();
        let result = change(&mut state.ends_at);
        let after = state.ends_at.len();
        let now = Instant::now();
        let mut expired = 0;
        if now.duration_since(state.swept) >= SWEEP_EVERY {
            state.swept = now;
            state.ends_at.retain(|_, ends_at| *ends_at > now);
            expired = after - state.ends_at.len();
        }
        let left = state.ends_at.len();
        drop(state);
        if expired > 0 {
            self.metrics.lost(self.store, "expired", expired as u64);
        }
        // Several managers add up in one gauge, so it moves by differences.
        self.metrics.held(self.store).add(left as i64 - before as i64);
        result
    }
}

impl Drop for HeldLocks {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.metrics.held(self.store).sub(state.ends_at.len() as i64);
    }
}
