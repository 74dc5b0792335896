//! The queue of one lock (R4 to R6).

use std::collections::BTreeMap;

use db_locks_core::Busy;
use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, WAITER_TTL_MS};

use super::Lock;

/// Waiters by their number.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    waiters: Vec<Waiter>,
    last_number: u64,
}

#[derive(Debug, Clone)]
struct Waiter {
    number: u64,
    version: String,
    client: u32,
    deadline_us: i64,
}

/// When each process last showed life.
type Seen = BTreeMap<u32, i64>;

impl Waiter {
    /// Until when it is live, if nothing is heard of it.
    fn live_until_us(&self, seen: &Seen) -> i64 {
        let seen_us = seen.get(&self.client).copied().unwrap_or(0);
        self.deadline_us.min(seen_us + CLIENT_TTL_MS * 1_000)
    }

    fn is_live(&self, seen: &Seen, now_us: i64) -> bool {
        self.live_until_us(seen) > now_us
    }
}

impl Queue {
    pub(super) fn has(&self, version: &str) -> bool {
        self.waiters.iter().any(|waiter| waiter.version == version)
    }

    fn before<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Waiter> {
        self.waiters.iter().take_while(move |waiter| waiter.version != version)
    }

    /// Live waiters before this one; for a newcomer all of them.
    pub(super) fn ahead(&mut self, version: &str, seen: &Seen, now_us: i64) -> usize {
        self.waiters.retain(|waiter| waiter.deadline_us > now_us);
        self.before(version).filter(|waiter| waiter.is_live(seen, now_us)).count()
    }

    pub(super) fn ahead_dead_or_alive(&self, version: &str) -> usize {
        self.before(version).count()
    }

    /// Live waiters that came after this one.
    pub(super) fn behind(&self, version: &str, seen: &Seen, now_us: i64) -> usize {
        let live = self.waiters.iter().filter(|waiter| waiter.is_live(seen, now_us));
        live.rev().take_while(|waiter| waiter.version != version).count()
    }

    /// Enters, or stays where it is until a new deadline. False when the queue is full.
    pub(super) fn enter(&mut self, version: &str, client: u32, now_us: i64) -> bool {
        let deadline_us = now_us + WAITER_TTL_MS * 1_000;
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.version == version) {
            waiter.deadline_us = deadline_us;
            return true;
        }
        if self.waiters.len() >= MAX_WAITERS {
            return false;
        }
        self.last_number += 1;
        self.waiters.push(Waiter {
            number: self.last_number,
            version: version.to_string(),
            client,
            deadline_us,
        });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Puts the deadlines of all waiters of a process off.
    pub(super) fn keep_all(&mut self, client: u32, now_us: i64) {
        let all = self.waiters.iter_mut().filter(|waiter| waiter.client == client);
        all.for_each(|waiter| waiter.deadline_us = now_us + WAITER_TTL_MS * 1_000);
    }

    /// Puts the deadline off; false for who has no place.
    pub(super) fn keep(&mut self, version: &str, now_us: i64) -> bool {
        let mut living = self.waiters.iter_mut().filter(|waiter| waiter.deadline_us > now_us);
        let Some(waiter) = living.find(|waiter| waiter.version == version) else { return false };
        waiter.deadline_us = now_us + WAITER_TTL_MS * 1_000;
        true
    }

    pub(super) fn leave(&mut self, version: &str) {
        self.waiters.retain(|waiter| waiter.version != version);
    }

    /// The first `count` live waiters.
    pub(super) fn first_live(&self, count: usize, seen: &Seen, now_us: i64) -> Vec<(u32, String)> {
        let live = self.waiters.iter().filter(|waiter| waiter.is_live(seen, now_us));
        live.take(count).map(|waiter| (waiter.client, waiter.version.clone())).collect()
    }
}

impl Lock {
    /// Why it was not granted.
    pub(super) fn busy(&self, version: &str, ahead: usize, seen: &Seen, now_us: i64) -> Busy {
        let held = self.slots.iter().filter(|slot| slot.expires_at_us > now_us);
        let first = held.min_by_key(|slot| slot.expires_at_us);
        // A waiter ahead that falls silent lets this one pass, if a slot is free.
        let silent = self
            .queue
            .before(version)
            .map(|waiter| waiter.live_until_us(seen))
            .filter(|us| *us > now_us)
            .min();
        let changes_us = first.map(|slot| slot.expires_at_us).into_iter().chain(silent).min();
        let number =
            self.queue.waiters.iter().find(|waiter| waiter.version == version).map(|waiter| waiter.number);
        Busy {
            position: u64::try_from(ahead).unwrap_or(u64::MAX).min(MAX_POSITION),
            queue_number: number.unwrap_or(0),
            retry_after_ms: changes_us.map(|us| ((us - now_us) + 999) / 1_000),
            holder: first.and_then(|slot| slot.owner.clone()),
        }
    }
}
