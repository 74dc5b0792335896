//! The thread that owns the connection. It answers whatever has gathered while it worked in one transaction (group
//! commit); a lone caller waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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
pub(crate) fn serve(mut session: Session, jobs: &mut mpsc::Receiver<Box<dyn Job>>, counters: &Arc<Counters>) {
    let spin = Spin::default();
    loop {
        let Some(first) = spin.wait(|| jobs.try_recv().ok()).or_else(|| jobs.blocking_recv()) else { return };
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            let Ok(next) = jobs.try_recv() else { break };
            batch.push(next);
        }
        if session.lost_its_file() {
            tracing::warn!(place = %session.settings.place, "the file was deleted or replaced: its locks are gone");
            match Session::open(Arc::clone(&session.settings)) {
                Ok(reopened) => session = reopened,
                Err(error) => {
                    fail(batch, error, &session.settings.place);
                    continue;
                }
            }
        }
        run_batch(&session, batch, counters);
    }
}

/// Runs the requests in one transaction; if that fails for the sake of one of them, each in its own.
fn run_batch(session: &Session, mut batch: Vec<Box<dyn Job>>, counters: &Counters) {
    batch.retain(|job| job.wanted());
    let Some(give_up_at) = batch.iter().map(|job| job.give_up_at()).max() else { return };
    let requests = u64::try_from(batch.len()).unwrap_or(0);
    let mut outcome = transact(session, &mut batch, give_up_at);
    if outcome.as_ref().is_err_and(is_full) && session.recycle_log() {
        // On a full disk the room in the log is what is left: holders shall still renew and release.
        outcome = transact(session, &mut batch, give_up_at);
    }
    match outcome {
        Ok(()) => {
            counters.transactions.fetch_add(1, Ordering::Relaxed);
            counters.requests.fetch_add(requests, Ordering::Relaxed);
            batch.into_iter().for_each(Job::answer);
        }
        // The file is as busy for each alone as it was for all.
        Err(error) if batch.len() == 1 || is_busy(&error) => fail(batch, error, &session.settings.place),
        Err(_) => batch.into_iter().for_each(|job| run_batch(session, vec![job], counters)),
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
