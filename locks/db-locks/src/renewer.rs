//! Renews all the locks that the guards of one process hold, and tells each guard the instant at which its lease can
//! no longer be trusted.
//!
//! One task does both, and never waits for the database itself: renewals run beside it, so the clock that tells of a
//! loss ticks on while a renewal hangs. Each pass renews everything that is due soon in one call to the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use db_locks_core::{ErrorKind, LockError, LockResult, LockStore, MutexLock, SendHeartbeatOptions};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::LockManagerImpl;
use crate::guard::Lost;
use crate::held::HeldLocks;
use crate::metrics::LockMetrics;

/// The most renewals in one call to a store.
const MAX_BATCH: usize = 1_000;

/// Renews for every guard of one [`crate::Locks`].
pub(crate) struct Renewer {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn LockStore>,
    metrics: LockMetrics,
    held: Arc<HeldLocks>,
    /// The longest time between two renewals of one lock.
    longest_period: Duration,
    state: Mutex<State>,
    /// Something changed that the task must look at.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Ordered, so that one seed replays everything.
    entries: BTreeMap<u64, Entry>,
    next_id: u64,
    running: bool,
    /// When the task looks next; what comes later need not wake it.
    next_pass: Option<Instant>,
}

impl State {
    /// Whether the task must be woken to be there at this instant.
    fn is_sooner(&mut self, at: Instant) -> bool {
        let sooner = self.next_pass.is_none_or(|next| at < next);
        if sooner {
            self.next_pass = Some(at);
        }
        sooner
    }
}

/// One held lock.
struct Entry {
    handle: SendHeartbeatOptions,
    lease: Duration,
    /// The instant from which the lease cannot be trusted.
    trusted_until: Instant,
    renew_at: Instant,
    renewing: bool,
    /// The last renewal did not reach the database, or did not come back.
    unanswered: bool,
    trust: watch::Sender<Trust>,
    token: CancellationToken,
}

/// How far a guard's lock can be trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust {
    /// Until then, unless it is renewed.
    pub(crate) until: Instant,
    /// No more, for this reason.
    pub(crate) lost: Option<Lost>,
}

/// What a guard keeps of its entry; dropping it ends the renewals.
pub(crate) struct Renewed {
    shared: Arc<Shared>,
    id: u64,
    pub(crate) trust: watch::Receiver<Trust>,
    pub(crate) token: CancellationToken,
}

impl Drop for Renewed {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.entries.remove(&self.id);
        // With nothing left the task ends.
        if state.entries.is_empty() {
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clocks of two machines run at slightly different speeds; a hundredth of the lease is kept in hand.
fn trusted_until(lock: &MutexLock) -> Instant {
    let ends_at = lock.remaining.ends_at() - lock.remaining.lease / 100;
    Instant::from_std(ends_at)
}

impl Renewer {
    pub(crate) fn new(manager: &LockManagerImpl, metrics: LockMetrics, longest_period: Duration) -> Self {
        let shared = Shared {
            store: manager.shared_store(),
            metrics,
            held: manager.held(),
            longest_period,
            state: Mutex::default(),
            changed: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Renews this lock from now on, at a third of its lease.
    pub(crate) fn watch(&self, lock: &MutexLock) -> Renewed {
        let lease = Duration::from_millis(lock.lease_duration_ms.unsigned_abs());
        let (sender, receiver) = watch::channel(Trust { until: trusted_until(lock), lost: None });
        let token = CancellationToken::new();
        let entry = Entry {
            handle: lock.to_heartbeat_options(),
            lease,
            trusted_until: trusted_until(lock),
            renew_at: Instant::from_std(lock.remaining.since) + self.shared.period(lease),
            renewing: false,
            unanswered: false,
            trust: sender,
            token: token.clone(),
        };
        let mut state = self.shared.state();
        let id = state.next_id;
        state.next_id += 1;
        let wake = state.is_sooner(entry.renew_at.min(entry.trusted_until));
        state.entries.insert(id, entry);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            tokio::spawn(run(Arc::downgrade(&self.shared)));
        } else if wake {
            self.shared.changed.notify_one();
        }
        Renewed { shared: self.shared.clone(), id, trust: receiver, token }
    }
}

/// The task: ends when nothing is held any more, or nobody is left to hold anything.
async fn run(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let Some(next) = strong.pass() else { return };
        let changed = strong.changed.notified();
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

impl Shared {
    fn period(&self, lease: Duration) -> Duration {
        (lease / 3).min(self.longest_period)
    }

    /// Tells of what is lost, starts what is due, and returns when to look again; none when nothing is held.
    fn pass(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        if state.entries.is_empty() {
            state.running = false;
            state.next_pass = None;
            return None;
        }
        let gone: Vec<u64> =
            state.entries.iter().filter(|(_, e)| e.trusted_until <= now).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(entry) = state.entries.remove(&id) {
                let lost = if entry.renewing || entry.unanswered { Lost::Unreachable } else { Lost::Expired };
                self.tell(&entry, lost);
            }
        }
        self.start_renewals(&mut state, now);
        let wake = |entry: &Entry| {
            if entry.renewing { entry.trusted_until } else { entry.renew_at.min(entry.trusted_until) }
        };
        // Without entries the next pass comes at once and ends the task.
        let next = state.entries.values().map(wake).min().unwrap_or(now);
        state.next_pass = Some(next);
        Some(next)
    }

    fn start_renewals(self: &Arc<Self>, state: &mut State, now: Instant) {
        if !state.entries.values().any(|e| !e.renewing && e.renew_at <= now) {
            return;
        }
        // What is due a little later goes along, so that locks taken at different times come to be renewed together.
        let mut due: Vec<(u64, SendHeartbeatOptions)> = Vec::new();
        for (id, entry) in &mut state.entries {
            let soon = self.period(entry.lease) / 4;
            if !entry.renewing && entry.renew_at <= now + soon {
                entry.renewing = true;
                due.push((*id, entry.handle.clone()));
            }
        }
        for batch in due.chunks(MAX_BATCH) {
            let (shared, batch) = (self.clone(), batch.to_vec());
            // Bounded by the store's own request timeout; the entries' clocks do not wait for it.
            tokio::spawn(async move { shared.renew(batch).await });
        }
    }

    async fn renew(self: Arc<Self>, batch: Vec<(u64, SendHeartbeatOptions)>) {
        // The version stays: a release that overtakes this renewal finds its lock, and the renewal then finds none.
        let requests: Vec<_> =
            batch.iter().map(|(_, handle)| (handle.clone(), handle.version.clone())).collect();
        let started = Instant::now();
        let replies = self.store.send_heartbeats(&requests).await;
        let mut state = self.state();
        let mut soonest: Option<Instant> = None;
        for ((id, _), reply) in batch.into_iter().zip(replies) {
            self.metrics.request(self.store.name(), "heartbeat", started.elapsed(), &reply);
            if let Ok(lock) = &reply {
                self.held.renewed(&lock.version, lock);
            }
            let Some(entry) = state.entries.get_mut(&id) else { continue };
            match entry.renewed(reply, self.period(entry.lease)) {
                Some(lost) => {
                    self.tell(entry, lost);
                    state.entries.remove(&id);
                }
                None => soonest = Some(soonest.map_or(entry.renew_at, |at| at.min(entry.renew_at))),
            }
        }
        let wake = state.entries.is_empty() || soonest.is_some_and(|at| state.is_sooner(at));
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    fn tell(&self, entry: &Entry, lost: Lost) {
        tracing::warn!(key = entry.handle.mutex_key, reason = lost.as_str(), "lost a lock");
        self.held.lost(&entry.handle.version, lost.as_str());
        // The token first: whoever hears of the loss finds it cancelled.
        entry.token.cancel();
        entry.trust.send_modify(|trust| trust.lost = Some(lost));
    }
}

impl Entry {
    /// Takes in the answer to a renewal: a loss, if it is one.
    fn renewed(&mut self, reply: LockResult<MutexLock>, period: Duration) -> Option<Lost> {
        self.renewing = false;
        let now = Instant::now();
        match reply {
            Ok(lock) => {
                self.unanswered = false;
                // Answers may come out of order; the lease that ends later is the one in the database.
                self.trusted_until = self.trusted_until.max(trusted_until(&lock));
                self.trust.send_modify(|trust| trust.until = self.trusted_until);
                self.renew_at = Instant::from_std(lock.remaining.since) + period;
                None
            }
            Err(error) if is_refusal(&error) => {
                Some(if self.trusted_until <= now { Lost::Expired } else { Lost::Stolen })
            }
            Err(error) => {
                tracing::debug!(key = self.handle.mutex_key, error = %error.chain(), "a renewal failed; trying again");
                self.unanswered = true;
                self.renew_at = now + (period / 8).max(Duration::from_millis(1));
                None
            }
        }
    }
}

/// The database's word that the lock is not ours, as against no word at all.
fn is_refusal(error: &LockError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Validation)
}
