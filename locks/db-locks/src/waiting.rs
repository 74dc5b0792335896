//! Waiting for a lock: who of this process waits for what, in which order, and when each asks again.
//!
//! Of all the waiters that a process has for one lock only the first asks the database regularly; the others sleep
//! until they are first. One task does what they would have to say: that the process lives (R6), and that they still wait (R5).
//! It runs only while somebody waits. Who was not mentioned for long asks for himself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use db_locks_core::protocol::{CLIENT_BEAT_MS, WAITER_TTL_MS};
use db_locks_core::{Busy, LockId, LockStore, Waiting};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often at least a waiter that is not next asks again on behalf of its process: those ahead of it may be dead.
const NOT_NEXT_MS: u64 = 100;

/// How often the places of those who sleep are looked after.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// A place is kept again when that much of its time is over.
const KEEP_AFTER: Duration = waiter_ttl(4);
/// Whose place was not kept for that long asks for himself.
const ASK_AFTER: Duration = waiter_ttl(2);

/// A part of the time for which a place is kept.
const fn waiter_ttl(part: u64) -> Duration {
    Duration::from_millis(WAITER_TTL_MS.unsigned_abs() / part)
}

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
    version: String,
    queue_number: Mutex<u64>,
    /// When the database was last told that this one waits.
    kept: Mutex<Instant>,
    wake: Notify,
    /// Set when the wake-up means "ask now"; without it, only the pace has changed.
    ask_now: AtomicBool,
}

impl Seat {
    fn number(&self) -> u64 {
        *self.queue_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> Instant {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, at: Instant) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = at;
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

    /// Those who do not ask for themselves, and whose places should be kept anew.
    fn due(&self) -> BTreeMap<LockId, Vec<Arc<Seat>>> {
        let now = Instant::now();
        let due = |seat: &&Arc<Seat>| now.saturating_duration_since(seat.kept()) >= KEEP_AFTER;
        let of_lock = |(lock, seats): (&LockId, &Vec<Arc<Seat>>)| {
            let due: Vec<_> = seats.iter().skip(1).filter(due).cloned().collect();
            (!due.is_empty()).then(|| (lock.clone(), due))
        };
        self.room().seats.iter().filter_map(of_lock).collect()
    }
}

impl WaitRoom {
    pub(crate) fn new(store: Arc<dyn LockStore>) -> Self {
        Self { shared: Arc::new(Shared { store, room: Mutex::default() }) }
    }

    /// Takes a seat among those who wait for `lock`; dropping it leaves.
    pub(crate) fn enter(&self, lock: &LockId, version: &str, busy: &Busy) -> WaitSeat {
        let seat = Arc::new(Seat {
            version: version.to_string(),
            kept: Mutex::new(Instant::now()),
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
            tokio::spawn(speak_for_all(Arc::downgrade(&self.shared)));
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

/// What all who wait have to say, said once.
async fn speak_for_all(shared: Weak<Shared>) {
    tokio::select! {
        // In the order written, not by chance: one seed replays everything.
        biased;
        () = beat_while_waiting(shared.clone()) => {}
        // Beside it: no long list of places shall hold up the next beat.
        () = keep_places(shared) => {}
    }
}

/// Keeps the places of those who do not ask for themselves.
async fn keep_places(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        let due = shared.due();
        if due.is_empty() {
            continue;
        }
        let asked = Instant::now();
        let waiting = due.iter().map(|(lock, seats)| Waiting {
            lock: lock.clone(),
            versions: seats.iter().map(|seat| seat.version.clone()).collect(),
        });
        match shared.store.keep_places(&waiting.collect::<Vec<_>>()).await {
            Ok(lost) => {
                let lost: BTreeSet<String> = lost.into_iter().collect();
                for seat in due.values().flatten() {
                    match lost.contains(&seat.version) {
                        true => seat.wake(true),
                        false => seat.keep(asked),
                    }
                }
            }
            // They ask for themselves when it has gone on for too long.
            Err(error) => {
                tracing::debug!(error = %error.chain(), "could not keep the places of those who wait")
            }
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
        self.seat.keep(Instant::now());
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
    pub(crate) async fn until_next_look(&self, busy: &Busy, pace: &mut Pace, at_most: Duration) {
        let started = Instant::now();
        let rung = self.shared.store.rung(&self.lock, &self.seat.version);
        tokio::pin!(rung);
        loop {
            let look_at = match self.is_first() {
                true => started + pace.pause(busy),
                false => self.seat.kept() + ASK_AFTER,
            };
            let look_at = look_at.min(started + at_most);
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
                () = tokio::time::sleep_until(look_at) => {
                    let was_kept = !self.is_first() && self.seat.kept() + ASK_AFTER > look_at;
                    if !was_kept || look_at >= started + at_most {
                        return;
                    }
                }
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

    /// The pause of who is first here.
    fn pause(&self, busy: &Busy) -> Duration {
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
            pauses.push(pace.pause(&at(0)).as_millis());
        }
        assert_eq!(pauses, [2, 2, 10, 25]);
        pace.reset();
        assert_eq!(pace.pause(&at(0)).as_millis(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_next_looks_when_it_should_be_half_way() {
        let mut pace = pace(false);
        pace.looked(&at(15));
        assert_eq!(pace.pause(&at(15)).as_millis(), 15);
        passes(30).await;
        // Five steps in 30 ms: ten more take 60.
        pace.looked(&at(10));
        assert_eq!(pace.pause(&at(10)).as_millis(), 30);
        passes(1_000).await;
        // It stands still.
        pace.looked(&at(10));
        assert_eq!(pace.pause(&at(10)).as_millis(), u128::from(NOT_NEXT_MS));
    }

    #[tokio::test(start_paused = true)]
    async fn where_bells_ring_looks_are_rare_but_for_the_end_of_a_lease() {
        let mut pace = pace(true);
        pace.looked(&at(0));
        assert_eq!(pace.pause(&at(0)).as_millis(), 500);
        let busy = Busy { retry_after_ms: Some(40), ..Busy::default() };
        assert_eq!(pace.pause(&busy).as_millis(), 41);
        assert_eq!(pace.pause(&at(3)).as_millis(), u128::from(NOT_NEXT_MS));
    }
}
