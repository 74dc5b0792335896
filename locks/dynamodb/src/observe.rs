//! What this process has seen of locks, and since when, by its own monotonic clock.
//!
//! DynamoDB has no clock, and two machines' clocks are never compared here. Whether a holder is dead, each process finds
//! out for itself: the holder's lease was stored with the grant; if the slot's [`Revision`] (which each grant and each
//! renewal changes) has stood still for that long since *we first saw it*, the holder cannot believe in its lease any
//! more, since it counts from before it was written. The takeover is conditional on the same revision. The same holds for
//! waiters: a client whose stamp stands still for [`CLIENT_TTL_MS`] is silent.
//!
//! All of this is memory, and bounded: what is forgotten costs another lease of watching, never safety.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::LockId;
use db_locks_core::protocol::{CLIENT_TTL_MS, WAITER_TTL_MS};

use crate::codec::{Item, Revision, wall_us};

/// Locks remembered in each of two generations; when the young one is full, the old one is forgotten.
const GENERATION: usize = 10_000;
/// A waiter that shows life as late as this does it with its next request.
const SHOW_LIFE: Duration = Duration::from_millis(150);

/// Whether a slot is held, as far as this process can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Dead after that long without a move; `proven` if it has been seen to move, or did so just now.
    Live { for_another: Duration, proven: bool },
    /// Silent; `long` if for so long that its place in the queue is gone.
    Dead { long: bool },
}

/// An item seen through this process's experience.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// How long until each held slot counts as dead; zero: now.
    pub(crate) left: HashMap<u32, Duration>,
    /// Of each client in the queue, whether it lives.
    pub(crate) clients: HashMap<String, Life>,
}

impl Sight {
    /// What is left to the holder of `slot`: zero when it is free or dead.
    pub(crate) fn left(&self, slot: u32) -> Duration {
        self.left.get(&slot).copied().unwrap_or_default()
    }

    pub(crate) fn client(&self, client: &str) -> Life {
        let unknown = Life::Live { for_another: client_ttl(), proven: false };
        self.clients.get(client).copied().unwrap_or(unknown)
    }
}

/// What is known of a semaphore before it is asked: a hint for the first try, never an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hint {
    pub(crate) slot: u32,
    pub(crate) size: Option<u32>,
    pub(crate) fence: Option<u64>,
    pub(crate) held: BTreeSet<u32>,
}

#[derive(Debug)]
struct Seen {
    revision: Revision,
    lease: Duration,
    since: Instant,
}

impl Seen {
    fn left(&self, now: Instant) -> Duration {
        (self.since + self.lease + margin(self.lease)).saturating_duration_since(now)
    }
}

#[derive(Debug)]
struct SeenClient {
    stamp: u64,
    since: Instant,
    moved: bool,
}

#[derive(Debug)]
struct OwnTicket {
    number: u64,
    asked: Instant,
    /// When it was last seen in the queue, by a beat.
    seen: Option<Instant>,
}

#[derive(Debug, Default)]
struct Known {
    slots: HashMap<u32, Seen>,
    clients: HashMap<String, SeenClient>,
    tickets: HashMap<String, OwnTicket>,
    /// Slots of own grants by version, for callers who know their lock by its version only.
    grants: HashMap<String, u32>,
    shown_life: Option<Instant>,
    size: Option<u32>,
    fence: Option<u64>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<LockId, Known>,
    old: HashMap<LockId, Known>,
}

impl Generations {
    fn known(&mut self, lock: &LockId) -> &mut Known {
        if !self.young.contains_key(lock) {
            if self.young.len() >= GENERATION {
                self.old = std::mem::take(&mut self.young);
            }
            let known = self.old.remove(lock).unwrap_or_default();
            self.young.insert(lock.clone(), known);
        }
        self.young.entry(lock.clone()).or_default()
    }

    fn get(&self, lock: &LockId) -> Option<&Known> {
        self.young.get(lock).or_else(|| self.old.get(lock))
    }
}

/// The memory of one repository.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    generations: Mutex<Generations>,
}

/// Clocks of different machines do not run equally fast: a thousandth is ten times what a quartz is off.
fn margin(lease: Duration) -> Duration {
    lease / 1_000 + Duration::from_millis(5)
}

fn client_ttl() -> Duration {
    Duration::from_millis(CLIENT_TTL_MS.unsigned_abs())
}

fn waiter_ttl() -> Duration {
    Duration::from_millis(WAITER_TTL_MS.unsigned_abs())
}

impl Observations {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an item that arrived at `now`, and says what it means to this process, whose name is `me`.
    ///
    /// `now` must not be before the answer came: what was written by then is what the watching may count from.
    pub(crate) fn look(&self, lock: &LockId, item: &Item, me: &str, now: Instant) -> Sight {
        let mut generations = self.generations();
        let known = generations.known(lock);
        known.size = item.size;
        known.fence = item.fence;
        known.see_slots(lock, item, now);
        known.see_clients(item, now);
        let left = known.slots.iter().map(|(number, seen)| (*number, seen.left(now))).collect();
        let life = |(client, seen): (&String, &SeenClient)| (client.clone(), seen.life(client == me, now));
        Sight { left, clients: known.clients.iter().map(life).collect() }
    }

    /// The revision of a slot that this process has watched for longer than its lease.
    pub(crate) fn over(&self, lock: &LockId, slot: u32, now: Instant) -> Option<Revision> {
        let generations = self.generations();
        let seen = generations.get(lock)?.slots.get(&slot)?;
        seen.left(now).is_zero().then_some(seen.revision)
    }

    /// Where a free slot was last seen.
    pub(crate) fn hint(&self, lock: &LockId) -> Hint {
        let generations = self.generations();
        let Some(known) = generations.get(lock) else { return Hint::default() };
        let held: BTreeSet<u32> = known.slots.keys().copied().collect();
        let slot = (0..known.size.unwrap_or(1)).find(|slot| !held.contains(slot)).unwrap_or(0);
        Hint { slot, size: known.size, fence: known.fence, held }
    }

    /// Remembers which slot a version was granted.
    pub(crate) fn granted(&self, lock: &LockId, version: &str, slot: u32) {
        let mut generations = self.generations();
        let known = generations.known(lock);
        known.tickets.remove(version);
        if lock.is_semaphore() {
            known.grants.retain(|_, other| *other != slot);
            known.grants.insert(version.to_string(), slot);
        }
    }

    /// The slot that a version was granted, if it was granted here.
    pub(crate) fn slot_of(&self, lock: &LockId, version: &str) -> Option<u32> {
        self.generations().get(lock)?.grants.get(version).copied()
    }

    /// Forgets a slot that was released.
    pub(crate) fn released(&self, lock: &LockId, slot: u32) {
        let mut generations = self.generations();
        if lock.is_semaphore() {
            let known = generations.known(lock);
            known.slots.remove(&slot);
            known.grants.retain(|_, other| *other != slot);
        } else if generations.get(lock).is_some_and(|known| known.tickets.is_empty()) {
            generations.young.remove(lock);
            generations.old.remove(lock);
        } else {
            generations.known(lock).slots.clear();
        }
    }

    /// Whether this ticket was queued here; notes that it is asked for, and how late it is to show life.
    pub(crate) fn ask_again(&self, lock: &LockId, version: &str, now: Instant) -> Option<bool> {
        let mut generations = self.generations();
        let known = generations.known(lock);
        known.tickets.get_mut(version)?.asked = now;
        Some(known.shown_life.is_none_or(|shown| now.saturating_duration_since(shown) > SHOW_LIFE))
    }

    /// A ticket is about to enter the queue.
    pub(crate) fn queueing(&self, lock: &LockId, version: &str, now: Instant) {
        let mut generations = self.generations();
        let known = generations.known(lock);
        known.tickets.entry(version.to_string()).or_insert(OwnTicket::new(now)).asked = now;
        known.shown_life = Some(now);
    }

    /// The number of a ticket at `place`: as it was learnt when it entered, or else reckoned from the queue's end.
    pub(crate) fn number(&self, lock: &LockId, item: &Item, place: usize, entered_now: bool) -> u64 {
        let Some(ticket) = item.queue.get(place) else { return 0 };
        let behind = u64::try_from(item.queue.len() - 1 - place).unwrap_or(0);
        let entered = item.entered.unwrap_or(0);
        let reckoned = entered.saturating_sub(behind).max(1);
        let mut generations = self.generations();
        let Some(own) = generations.known(lock).tickets.get_mut(&ticket.version) else { return reckoned };
        if entered_now || own.number == 0 {
            own.number = reckoned;
        }
        own.number
    }

    /// Notes that these are still asked for; those that were not in the queue at the last beat are told.
    pub(crate) fn keep(&self, lock: &LockId, versions: &[String], now: Instant) -> Vec<String> {
        let mut generations = self.generations();
        let known = generations.known(lock);
        let mut kept = |version: &str| {
            let Some(own) = known.tickets.get_mut(version) else { return false };
            own.asked = now;
            own.seen.is_some_and(|seen| now.saturating_duration_since(seen) < client_ttl())
        };
        versions.iter().filter(|version| !kept(version)).cloned().collect()
    }

    /// This process has just shown life for `lock`.
    pub(crate) fn showed_life(&self, lock: &LockId, now: Instant) {
        self.generations().known(lock).shown_life = Some(now);
    }

    /// A ticket has left the queue.
    pub(crate) fn left_queue(&self, lock: &LockId, version: &str) {
        self.generations().known(lock).tickets.remove(version);
    }

    /// Places of own tickets that nobody has asked for in a waiter's time: this process lives, but those who waited are gone.
    pub(crate) fn forsaken(&self, lock: &LockId, item: &Item, me: &str, now: Instant) -> Vec<usize> {
        let mut generations = self.generations();
        let known = generations.known(lock);
        let idle = |ticket: &OwnTicket| now.saturating_duration_since(ticket.asked);
        let own = item.queue.iter().enumerate().filter(|(_, ticket)| ticket.client == me);
        let mut places = Vec::new();
        for (place, ticket) in own {
            let own = known.tickets.entry(ticket.version.clone()).or_insert_with(|| OwnTicket::new(now));
            own.seen = Some(now);
            if idle(own) >= waiter_ttl() {
                places.push(place);
            }
        }
        known.tickets.retain(|version, ticket| idle(ticket) < waiter_ttl() || item.place(version).is_some());
        places
    }
}

impl OwnTicket {
    fn new(now: Instant) -> Self {
        Self { number: 0, asked: now, seen: None }
    }
}

impl Known {
    fn see_slots(&mut self, lock: &LockId, item: &Item, now: Instant) {
        self.slots.retain(|number, _| item.slots.get(number).is_some_and(|slot| slot.held));
        for (number, slot) in item.slots_of(lock).filter(|(_, slot)| slot.held) {
            let revision = slot.revision();
            if self.slots.get(&number).is_none_or(|seen| seen.revision != revision) {
                let lease = Duration::from_millis(slot.lease_ms.unsigned_abs());
                self.slots.insert(number, Seen { revision, lease, since: now });
            }
        }
    }

    fn see_clients(&mut self, item: &Item, now: Instant) {
        self.clients.retain(|client, _| item.queue.iter().any(|ticket| ticket.client == *client));
        for ticket in &item.queue {
            let stamp = item.stamps.get(&ticket.client).copied().unwrap_or(0);
            match self.clients.get_mut(&ticket.client) {
                Some(seen) if seen.stamp == stamp => {}
                Some(seen) => *seen = SeenClient { stamp, since: now, moved: true },
                None => {
                    let seen = SeenClient { stamp, since: now, moved: false };
                    self.clients.insert(ticket.client.clone(), seen);
                }
            }
        }
    }
}

impl SeenClient {
    fn life(&self, is_me: bool, now: Instant) -> Life {
        if is_me {
            return Life::Live { for_another: Duration::MAX, proven: true };
        }
        let still = now.saturating_duration_since(self.since);
        // Stamps are wall clocks that only grow. Their age, by a clock that may be wrong, decides nothing but how
        // patient we are: a fresh one spares a caller in a hurry the watching, an old one needs no second watching.
        let age_us = wall_us().saturating_sub(i64::try_from(self.stamp).unwrap_or(i64::MAX));
        if still >= client_ttl() {
            return Life::Dead { long: still >= waiter_ttl() || age_us >= WAITER_TTL_MS * 1_000 };
        }
        let fresh = age_us.abs() <= CLIENT_TTL_MS * 1_000;
        Life::Live { for_another: client_ttl() - still, proven: self.moved || fresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Slot, Ticket};

    fn held(fence: u64, renewals: u64, lease_ms: i64) -> Item {
        let slot = Slot { held: true, fence, renewals, lease_ms, ..Slot::default() };
        Item { slots: [(0, slot)].into(), fence: Some(fence), ..Item::default() }
    }

    fn mutex() -> LockId {
        LockId::mutex("t", "one").unwrap()
    }

    #[test]
    fn a_slot_is_dead_after_its_lease_of_watching_and_no_sooner() {
        let (seen, id, start) = (Observations::default(), mutex(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let left = |item: &Item, ms| seen.look(&id, item, "me", at(ms)).left(0);
        assert_eq!(left(&held(7, 0, 1_000), 0), Duration::from_millis(1_006));
        assert!(!left(&held(7, 0, 1_000), 1_000).is_zero(), "within the margin");
        // A renewal starts the watching anew, and brings its own lease.
        assert_eq!(left(&held(7, 1, 2_000), 1_001), Duration::from_millis(2_007));
        assert!(left(&held(7, 1, 2_000), 3_008).is_zero());
        assert_eq!(seen.over(&id, 0, at(3_008)), Some((7, 1)));
        // A stale answer cannot bring an old observation back.
        assert!(!left(&held(7, 0, 1_000), 3_010).is_zero());
    }

    #[test]
    fn a_client_lives_while_its_stamp_moves() {
        let (seen, id, start) = (Observations::default(), mutex(), Instant::now());
        let look = |stamp: u64, ms| {
            let ticket = Ticket { client: "c".into(), version: "v".into() };
            let item = Item { queue: vec![ticket], stamps: [("c".into(), stamp)].into(), ..Item::default() };
            seen.look(&id, &item, "me", start + Duration::from_millis(ms)).client("c")
        };
        let ttl = CLIENT_TTL_MS.unsigned_abs();
        assert_eq!(look(1, 0), Life::Live { for_another: client_ttl(), proven: false });
        assert_eq!(look(2, ttl - 1), Life::Live { for_another: client_ttl(), proven: true });
        // By the wall clock the stamp is fifty years old: nobody needs to keep its place.
        assert_eq!(look(2, 2 * ttl), Life::Dead { long: true });
        assert!(matches!(look(3, 2 * ttl + 1), Life::Live { .. }));
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let (seen, start) = (Observations::default(), Instant::now());
        let often = mutex();
        for number in 0..3 * GENERATION {
            let id = LockId::mutex("t", &format!("k{number}")).unwrap();
            seen.look(&id, &held(1, 0, 60_000), "me", start);
            seen.look(&often, &held(1, 0, 1), "me", start);
        }
        let generations = seen.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        drop(generations);
        assert_eq!(seen.over(&often, 0, start + Duration::from_secs(1)), Some((1, 0)));
    }

    #[test]
    fn tickets_keep_their_numbers_while_others_leave() {
        let (seen, id, now) = (Observations::default(), mutex(), Instant::now());
        let ticket = |version: &str| Ticket { client: "me".into(), version: version.into() };
        let queue = |versions: &[&str]| Item {
            queue: versions.iter().map(|version| ticket(version)).collect(),
            entered: Some(5),
            ..Item::default()
        };
        seen.queueing(&id, "a", now);
        assert_eq!(seen.number(&id, &queue(&["x", "y", "a"]), 2, true), 5);
        assert_eq!(seen.number(&id, &queue(&["a", "z"]), 0, false), 5);
        assert_eq!(seen.number(&id, &queue(&["a", "z"]), 1, false), 5, "not asked here: reckoned");
    }
}
