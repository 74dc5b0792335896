//! Who uses the connection. A lone caller does so itself, which takes some tens of microseconds and no wake-up of another thread.
//! Whatever may take longer is the work of a thread: waiting for other processes, syncing the log to the disk, and
//! answering whatever has gathered meanwhile in one transaction (group commit).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use db_locks_core::{LockError, LockResult};
use tokio::sync::{mpsc, oneshot};

use crate::config::Place;
use crate::error::{Fault, Step, lock_error};
use crate::session::{Session, is_busy, is_full};
use crate::spin::Spin;

/// The most requests that wait for the thread; whoever asks more waits for room.
pub(crate) const BACKLOG: usize = 1_024;
/// The most requests in one transaction: bounds how long the first of them waits for its answer.
const MAX_BATCH: usize = 128;

/// After so many transactions of one request the log is moved into the file, some 4 MB by then.
const CHECKPOINT_EVERY: u32 = 1_000;
/// So many requests in one transaction write a page more than one does: many rows share a page.
const REQUESTS_A_PAGE: u32 = 8;
/// A lone caller's request shall not take longer than this in the caller's own thread.
const QUICK: Duration = Duration::from_millis(1);
/// After so many in a row that took longer the disk is thought to be slow,
const STRIKES: u32 = 3;
/// and so many requests are left to the thread.
const PATIENCE: u32 = 1_000;

/// The connection, for one at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    session: Mutex<Session>,
    /// How much was written to the log, roughly in pages, since it was moved into the file.
    since_checkpoint: AtomicU32,
    /// How many requests in a row were not quick.
    strikes: AtomicU32,
    /// How many requests are still left to the thread.
    slow: AtomicU32,
    counters: Arc<Counters>,
}

impl Shared {
    /// `checkpoint_in` spreads the checkpoints of processes that make a few requests each.
    pub(crate) fn new(session: Session, counters: Arc<Counters>, checkpoint_in: u32) -> Self {
        let since_checkpoint = AtomicU32::new(CHECKPOINT_EVERY - 1 - checkpoint_in % CHECKPOINT_EVERY);
        Self {
            session: Mutex::new(session),
            since_checkpoint,
            strikes: AtomicU32::new(0),
            slow: AtomicU32::new(0),
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a lone request in the calling thread, if nobody is in the way and nothing has to be waited for. Gives it back otherwise.
    pub(crate) fn run_now(&self, job: Box<dyn Job>) -> Option<Box<dyn Job>> {
        if self.slow.load(Ordering::Relaxed) > 0 {
            self.slow.fetch_sub(1, Ordering::Relaxed);
            return Some(job);
        }
        let session = match self.session.try_lock() {
            Ok(session) => session,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(job),
        };
        if !session.is_quick() || session.lost_its_file() {
            return Some(job);
        }
        let (begun, mut batch) = (Instant::now(), vec![job]);
        // Another process in the way, a full disk: the thread tries again, and has the time.
        let outcome = transact(&session, &mut batch, begun);
        drop(session);
        self.watch(begun.elapsed());
        if outcome.is_err() {
            return batch.pop();
        }
        self.count(batch.len());
        batch.into_iter().for_each(Job::answer);
        None
    }

    fn watch(&self, took: Duration) {
        if took <= QUICK {
            self.strikes.store(0, Ordering::Relaxed);
        } else if self.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES {
            self.strikes.store(0, Ordering::Relaxed);
            self.slow.store(PATIENCE, Ordering::Relaxed);
        }
    }

    /// Whether the log has grown, and the thread should be woken.
    pub(crate) fn checkpoint_is_due(&self) -> bool {
        self.since_checkpoint.load(Ordering::Relaxed) >= CHECKPOINT_EVERY
    }

    fn count(&self, requests: usize) {
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters.requests.fetch_add(u64::try_from(requests).unwrap_or(0), Ordering::Relaxed);
        let pages = 1 + u32::try_from(requests).unwrap_or(0) / REQUESTS_A_PAGE;
        self.since_checkpoint.fetch_add(pages, Ordering::Relaxed);
    }
}

/// What a request does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only reads.
    Read,
    /// Takes something that is worth nothing to a caller who went away.
    Take,
    /// Writes, also for a caller who went away.
    Write,
}

/// How many requests were answered in how many transactions.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) transactions: AtomicU64,
}

/// A request on its way. It can be run again if the transaction was undone.
pub(crate) trait Job: Send {
    /// Runs it, and keeps its answer.
    fn run(&mut self, session: &Session) -> Result<(), rusqlite::Error>;

    /// Sends the answer, which is true since the transaction was committed.
    fn answer(self: Box<Self>);

    /// Sends an error instead.
    fn fail(self: Box<Self>, error: LockError);

    /// Whether somebody still wants it done.
    fn wanted(&self) -> bool;

    /// Whether it needs a write transaction.
    fn writes(&self) -> bool;

    /// When its caller stops waiting for the file.
    fn give_up_at(&self) -> Instant;
}

/// A request made of a closure.
pub(crate) struct Request<T, F> {
    pub(crate) access: Access,
    pub(crate) work: F,
    pub(crate) done: Option<LockResult<T>>,
    pub(crate) reply: oneshot::Sender<LockResult<T>>,
    pub(crate) give_up_at: Instant,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnMut(&Session) -> Step<T> + Send,
{
    fn run(&mut self, session: &Session) -> Result<(), rusqlite::Error> {
        self.done = Some(match (self.work)(session) {
            Ok(answer) => Ok(answer),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Sql(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>) {
        if let Some(done) = self.done {
            // The caller may have gone: then nobody needs the answer.
            let _ = self.reply.send(done);
        }
    }

    fn fail(self: Box<Self>, error: LockError) {
        let _ = self.reply.send(Err(error));
    }

    fn wanted(&self) -> bool {
        self.access == Access::Write || !self.reply.is_closed()
    }

    fn writes(&self) -> bool {
        self.access != Access::Read
    }

    fn give_up_at(&self) -> Instant {
        self.give_up_at
    }
}

/// Answers requests until the repository is dropped and the last of them is answered.
pub(crate) fn serve(shared: &Shared, jobs: &mut mpsc::Receiver<Box<dyn Job>>) {
    let spin = Spin::default();
    loop {
        let Some(first) = spin.wait(|| jobs.try_recv().ok()).or_else(|| jobs.blocking_recv()) else { return };
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            let Ok(next) = jobs.try_recv() else { break };
            batch.push(next);
        }
        let mut session = shared.lock();
        if session.lost_its_file() {
            tracing::warn!(place = %session.settings.place, "the file was deleted or replaced: its locks are gone");
            match Session::open(Arc::clone(&session.settings)) {
                Ok(reopened) => *session = reopened,
                Err(error) => {
                    fail(batch, error, &session.settings.place);
                    continue;
                }
            }
        }
        run_batch(shared, &session, batch);
        if shared.checkpoint_is_due() {
            shared.since_checkpoint.store(0, Ordering::Relaxed);
            session.checkpoint();
        }
    }
}

/// Runs the requests in one transaction; if that fails for the sake of one of them, each in its own.
fn run_batch(shared: &Shared, session: &Session, mut batch: Vec<Box<dyn Job>>) {
    batch.retain(|job| job.wanted());
    let Some(give_up_at) = batch.iter().map(|job| job.give_up_at()).max() else { return };
    let requests = batch.len();
    let mut outcome = transact(session, &mut batch, give_up_at);
    if outcome.as_ref().is_err_and(is_full) && session.recycle_log() {
        // On a full disk the room in the log is what is left: holders shall still renew and release.
        outcome = transact(session, &mut batch, give_up_at);
    }
    match outcome {
        Ok(()) => {
            shared.count(requests);
            batch.into_iter().for_each(Job::answer);
        }
        // The file is as busy for each alone as it was for all.
        Err(error) if batch.len() == 1 || is_busy(&error) => fail(batch, error, &session.settings.place),
        Err(_) => batch.into_iter().for_each(|job| run_batch(shared, session, vec![job])),
    }
}

fn transact(session: &Session, batch: &mut Vec<Box<dyn Job>>, give_up_at: Instant) -> rusqlite::Result<()> {
    session.begin(batch.iter().any(|job| job.writes()), give_up_at)?;
    // Whoever stopped waiting while we waited for the file is not given a lock any more.
    batch.retain(|job| job.wanted());
    let outcome = batch.iter_mut().try_for_each(|job| job.run(session)).and_then(|()| session.commit());
    if outcome.is_err() {
        session.rollback();
    }
    outcome
}

fn fail(batch: Vec<Box<dyn Job>>, error: rusqlite::Error, place: &Place) {
    let error = Arc::new(error);
    batch.into_iter().for_each(|job| job.fail(lock_error(&error, place)));
}
