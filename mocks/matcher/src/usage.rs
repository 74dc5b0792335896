//! How often and when a scenario was used.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often and when a scenario was used. Shared by all who read and count.
#[derive(Debug, Default)]
pub struct Usage {
    count: AtomicU64,
    turn: AtomicU64,
    last_used_ms: AtomicU64,
}

impl Usage {
    /// How often.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// When last, in milliseconds since 1970; 0 for never.
    #[must_use]
    pub fn last_used_ms(&self) -> u64 {
        self.last_used_ms.load(Ordering::Relaxed)
    }

    /// The number of its last use among all uses of all scenarios; 0 for never.
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Counts a use, and gives the new count.
    pub(crate) fn use_once(&self, turn: u64, now_ms: u64) -> u64 {
        // Several at once are either held apart by whoever chooses among scenarios, or are of one that is alone: then
        // a number or a time that is a little too old does no harm.
        self.turn.store(turn, Ordering::Relaxed);
        if self.last_used_ms.load(Ordering::Relaxed) < now_ms {
            self.last_used_ms.store(now_ms, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }
}
