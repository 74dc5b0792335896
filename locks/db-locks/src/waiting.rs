//! Waiting for a lock: who of this process waits for what, in which order, and when each asks again.
//!
//! Of all the waiters that a process has for one lock only the first asks the database regularly; the others sleep
//! until they are first, or until their place in the queue must be confirmed. One task shows for all of them
//! together that the process lives (R6); it runs only while somebody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use db_locks_core::protocol::{CLIENT_BEAT_MS, WAITER_TTL_MS};
use db_locks_core::{Busy, LockId, LockStore};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often at least a waiter that is not next asks again on behalf of its process: those ahead of it may be dead.
const NOT_NEXT_MS: u64 = 100;

/// All the waiters of one manager.
#[derive(Clone)]
pub(crate) struct WaitRoom {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn LockStore>,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    /// The waiters of each lock, by their number in the database's queue. Ordered, so that one seed replays everything.
    seats: BTreeMap<LockId, Vec<Arc<Seat>>>,
    beating: bool,
}

struct Seat {
    queue_number: Mutex<u64>,
    wake: Notify,
    /// Set when the wake-up means "ask now"; without it, only the pace has changed.
    ask_now: AtomicBool,
}

impl Seat {
    fn number(&self) -> u64 {
        *self.queue_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, ask_now: bool) {
        if ask_now {
            self.ask_now.store(true, Ordering::Release);
        }
        self.wake.notify_one();
    }
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitRoom {
    pub(crate) fn new(store: Arc<dyn LockStore>) -> Self {
        Self { shared: Arc::new(Shared { store, room: Mutex::default() }) }
    }

    /// Takes a seat among those who wait for `lock`; dropping it leaves.
    pub(crate) fn enter(&self, lock: &LockId, busy: &Busy) -> WaitSeat {
        let seat = Arc::new(Seat {
            queue_number: Mutex::new(busy.queue_number),
            wake: Notify::new(),
            ask_now: AtomicBool::new(false),
        });
        let mut room = self.shared.room();
        let seats = room.seats.entry(lock.clone()).or_default();
        seats.push(seat.clone());
        seats.sort_by_key(|seat| seat.number());
        if !room.beating {
            room.beating = true;
            tokio::spawn(beat_while_waiting(Arc::downgrade(&self.shared)));
        }
        drop(room);
        WaitSeat { shared: self.shared.clone(), lock: lock.clone(), seat }
    }

    /// The locks that somebody here waits for and that fit.
    pub(crate) fn waited_for(&self, fits: impl Fn(&LockId) -> bool) -> Vec<LockId> {
        self.shared.room().seats.keys().filter(|lock| fits(lock)).cloned().collect()
    }

    /// A lock was released by this process: its first waiter here need not wait for its next look.
    pub(crate) fn released(&self, lock: &LockId) {
        let room = self.shared.room();
        // Stores with push ring the right waiter themselves, wherever it is.
        if self.shared.store.capabilities().push {
            return;
        }
        if let Some(first) = room.seats.get(lock).and_then(|seats| seats.first()) {
            first.wake(true);
        }
    }
}

/// Shows life for all the locks that are waited for, until nobody waits or the manager is gone.
async fn beat_while_waiting(shared: Weak<Shared>) {
    let period = Duration::from_millis(CLIENT_BEAT_MS.unsigned_abs());
    loop {
        // Queueing has shown life already, so the first beat comes after a period.
        tokio::time::sleep(period).await;
        let Some(shared) = shared.upgrade() else { return };
        let locks: Vec<LockId> = {
            let mut room = shared.room();
            if room.seats.is_empty() {
                room.beating = false;
                return;
            }
            room.seats.keys().cloned().collect()
        };
        if let Err(error) = shared.store.beat(&locks).await {
            tracing::debug!(error = %error.chain(), "could not show that this process still waits");
        }
    }
}

/// One waiter's seat.
pub(crate) struct WaitSeat {
    shared: Arc<Shared>,
    lock: LockId,
    seat: Arc<Seat>,
}

impl WaitSeat {
    /// Notes what the database said of this waiter's place.
    pub(crate) fn seated(&self, busy: &Busy) {
        let mut number = self.seat.queue_number.lock().unwrap_or_else(PoisonError::into_inner);
        if *number == busy.queue_number {
            return;
        }
        *number = busy.queue_number;
        drop(number);
        if let Some(seats) = self.shared.room().seats.get_mut(&self.lock) {
            seats.sort_by_key(|seat| seat.number());
        }
    }

    fn is_first(&self) -> bool {
        let room = self.shared.room();
        room.seats
            .get(&self.lock)
            .and_then(|seats| seats.first())
            .is_some_and(|first| Arc::ptr_eq(first, &self.seat))
    }

    /// Sleeps until it is time to ask again, at most `at_most`.
    pub(crate) async fn until_next_look(
        &self,
        version: &str,
        busy: &Busy,
        pace: &mut Pace,
        at_most: Duration,
    ) {
        let started = Instant::now();
        let rung = self.shared.store.rung(&self.lock, version);
        tokio::pin!(rung);
        loop {
            let pause = pace.pause(busy, self.is_first()).min(at_most);
            tokio::select! {
                // In the order written, not by chance: one seed replays everything.
                biased;
                () = &mut rung => {
                    pace.reset();
                    return;
                }
                () = self.seat.wake.notified() => {
                    if self.seat.ask_now.swap(false, Ordering::AcqRel) {
                        pace.reset();
                        return;
                    }
                }
                () = tokio::time::sleep_until(started + pause) => return,
            }
        }
    }
}

impl Drop for WaitSeat {
    fn drop(&mut self) {
        let push = self.shared.store.capabilities().push;
        let mut room = self.shared.room();
        let Some(seats) = room.seats.get_mut(&self.lock) else { return };
        let was_first = seats.first().is_some_and(|first| Arc::ptr_eq(first, &self.seat));
        seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        match seats.first() {
            None => {
                room.seats.remove(&self.lock);
            }
            // The next one of this process takes over the asking.
            Some(next) if was_first => next.wake(!push),
            Some(_) => {}
        }
    }
}

/// When a waiter asks again.
///
/// Where the database cannot push, who is next loses at most about a hundredth of the time that it has been next, and who is not
/// asks again when it is expected to be half-way, by how fast the queue has moved so far.
#[derive(Debug)]
pub(crate) struct Pace {
    push: bool,
    first: Duration,
    last: Duration,
    refresh: Duration,
    /// Since when this waiter is next.
    next_since: Option<Instant>,
    /// The place where it stood at its last step forward, and when it took it.
    stood: Option<(u64, Instant)>,
    /// How long one step took then.
    step: Duration,
}

/// Of the time for which it has been next, a waiter lets this part pass between two looks.
const PART_OF_WAIT: u32 = 100;

impl Pace {
    pub(crate) fn new(store: &dyn LockStore, refresh_ms: u64) -> Self {
        let (first_ms, last_ms) = store.poll_ms();
        let first = Duration::from_millis(first_ms.max(1));
        Self {
            push: store.capabilities().push,
            first,
            last: Duration::from_millis(last_ms).max(first),
            refresh: Duration::from_millis(refresh_ms.max(1)),
            next_since: None,
            stood: None,
            // A guess, until the queue has been seen to move.
            step: first,
        }
    }

    /// Something has changed: look often again.
    fn reset(&mut self) {
        self.next_since = None;
    }

    /// A look has been made without success.
    pub(crate) fn looked(&mut self, busy: &Busy) {
        let now = Instant::now();
        if busy.position == 0 {
            self.next_since.get_or_insert(now);
            return;
        }
        self.next_since = None;
        match self.stood {
            // It goes on as slowly as it has by now, or more slowly.
            Some((place, since)) if place <= busy.position => self.step = self.step.max(now - since),
            stood => {
                if let Some((place, since)) = stood {
                    let steps = u32::try_from(place - busy.position).unwrap_or(u32::MAX);
                    self.step = (now - since) / steps;
                }
                self.stood = Some((busy.position, now));
            }
        }
    }

    fn pause(&self, busy: &Busy, first_here: bool) -> Duration {
        if !first_here {
            // Often enough for the database to keep our place.
            return Duration::from_millis(WAITER_TTL_MS.unsigned_abs() / 3);
        }
        let pause = if busy.position > 0 {
            self.while_not_next(busy.position).min(self.refresh)
        } else if self.push {
            self.refresh
        } else {
            let been_next = self.next_since.map(|since| since.elapsed()).unwrap_or_default();
            (been_next / PART_OF_WAIT).clamp(self.first, self.last).min(self.refresh)
        };
        // A lease that ends by itself rings no bell. Plus one, so that it is over when we look.
        let lease_ends = busy.retry_after_ms.and_then(|ms| u64::try_from(ms).ok()).map(|ms| ms + 1);
        lease_ends.map_or(pause, |ms| pause.min(Duration::from_millis(ms)))
    }

    fn while_not_next(&self, places: u64) -> Duration {
        let longest = Duration::from_millis(NOT_NEXT_MS);
        if self.push {
            return longest;
        }
        let half_way = self.step.saturating_mul(u32::try_from(places).unwrap_or(u32::MAX)) / 2;
        half_way.max(self.first).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(push: bool) -> Pace {
        Pace {
            push,
            first: Duration::from_millis(2),
            last: Duration::from_millis(25),
            refresh: Duration::from_millis(500),
            next_since: None,
            stood: None,
            step: Duration::from_millis(2),
        }
    }

    fn at(position: u64) -> Busy {
        Busy { position, ..Busy::default() }
    }

    async fn passes(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_next_looks_often_at_first_and_then_by_how_long_it_waits() {
        let mut pace = pace(false);
        pace.looked(&at(0));
        let mut pauses = Vec::new();
        for ms in [0, 100, 900, 9_000] {
            passes(ms).await;
            pace.looked(&at(0));
            pauses.push(pace.pause(&at(0), true).as_millis());
        }
        assert_eq!(pauses, [2, 2, 10, 25]);
        pace.reset();
        assert_eq!(pace.pause(&at(0), true).as_millis(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_next_looks_when_it_should_be_half_way() {
        let mut pace = pace(false);
        pace.looked(&at(15));
        assert_eq!(pace.pause(&at(15), true).as_millis(), 15);
        passes(30).await;
        // Five steps in 30 ms: ten more take 60.
        pace.looked(&at(10));
        assert_eq!(pace.pause(&at(10), true).as_millis(), 30);
        passes(1_000).await;
        // It stands still.
        pace.looked(&at(10));
        assert_eq!(pace.pause(&at(10), true).as_millis(), u128::from(NOT_NEXT_MS));
    }

    #[tokio::test(start_paused = true)]
    async fn where_bells_ring_looks_are_rare_but_for_the_end_of_a_lease() {
        let mut pace = pace(true);
        pace.looked(&at(0));
        assert_eq!(pace.pause(&at(0), true).as_millis(), 500);
        let busy = Busy { retry_after_ms: Some(40), ..Busy::default() };
        assert_eq!(pace.pause(&busy, true).as_millis(), 41);
        assert_eq!(pace.pause(&at(3), true).as_millis(), u128::from(NOT_NEXT_MS));
        assert_eq!(pace.pause(&busy, false).as_millis(), 5_000);
    }
}
