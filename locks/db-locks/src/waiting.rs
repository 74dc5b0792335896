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

/// How often a waiter that is not next asks again on behalf of its process: those ahead of it may be dead.
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
        let started = tokio::time::Instant::now();
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
#[derive(Debug)]
pub(crate) struct Pace {
    push: bool,
    first_ms: u64,
    last_ms: u64,
    current_ms: u64,
    refresh_ms: u64,
}

impl Pace {
    pub(crate) fn new(store: &dyn LockStore, refresh_ms: u64) -> Self {
        let (first_ms, last_ms) = store.poll_ms();
        Self {
            push: store.capabilities().push,
            first_ms,
            last_ms,
            current_ms: first_ms,
            refresh_ms: refresh_ms.max(1),
        }
    }

    fn reset(&mut self) {
        self.current_ms = self.first_ms;
    }

    /// A look has been made without success: the next comes a little later.
    pub(crate) fn slow_down(&mut self) {
        self.current_ms = (self.current_ms * 3 / 2 + 1).min(self.last_ms);
    }

    fn pause(&self, busy: &Busy, first_here: bool) -> Duration {
        let ms = if !first_here {
            // Often enough for the database to keep our place.
            WAITER_TTL_MS.unsigned_abs() / 3
        } else if busy.position > 0 {
            NOT_NEXT_MS.min(self.refresh_ms)
        } else if self.push {
            self.refresh_ms
        } else {
            self.current_ms.min(self.refresh_ms)
        };
        // A lease that ends by itself rings no bell. Plus one, so that it is over when we look.
        let lease_ends = busy.retry_after_ms.and_then(|ms| u64::try_from(ms).ok()).map(|ms| ms + 1);
        let ms = if first_here { lease_ends.map_or(ms, |ends| ms.min(ends)) } else { ms };
        Duration::from_millis(ms.max(1))
    }
}
