//! Group commit: what gathers while others are on their way goes in one transaction, see [`db_locks_core::combine`].

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{Answer, Combiner, Gather, Lane, Limits, Reply, Work, failed};
use db_locks_core::{AcquireRequest, Acquired, LockResult, MutexLock, ReleaseRequest, RenewRequest};
use mysql_async::Row;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::codec;
use crate::error::Task;
use crate::server::Server;

/// The most in one transaction. (Their places, written one after the other, fit into MySQL's usual `group_concat_max_len`.)
pub(crate) const MOST: usize = 128;

type Gathering<Q, T> = Combiner<Q, LockResult<T>>;

/// The calls of one repository that can go together.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) acquires: Gathering<AcquireRequest, Acquired>,
    pub(crate) renewals: Gathering<RenewRequest, MutexLock>,
    pub(crate) releases: Gathering<ReleaseRequest, bool>,
    longest: Duration,
}

/// The tasks that send; ended with the repository.
struct Tasks {
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.runtime);
    }
}

impl Batches {
    /// To be called in a runtime.
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        let settings = &server.settings;
        let limits = Limits { batch: MOST, ..Limits::default() };
        let limits = if settings.group_commit { limits } else { Limits::none() };
        let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
        Self {
            acquires: gathering(&tasks, limits, Acquires(Arc::clone(server))),
            renewals: gathering(&tasks, limits, Renewals(Arc::clone(server))),
            releases: gathering(&tasks, limits, Releases(Arc::clone(server))),
            // Two batches: the one that is on its way, and its own.
            longest: 2 * settings.request_timeout,
        }
    }

    /// One call: by itself as `alone` makes it, or with others.
    pub(crate) async fn call<Q: Gather + Clone, T: Send + 'static>(
        &self,
        gathering: &Gathering<Q, T>,
        ask: &Q,
        alone: impl Future<Output = LockResult<T>>,
    ) -> LockResult<T> {
        let bound = async |answer: Answer<LockResult<T>>| timeout(self.longest, answer).await.ok();
        gathering.call(ask, bound, alone).await
    }
}

fn gathering<Q: Gather, T: Send + 'static>(
    tasks: &Arc<Tasks>,
    limits: Limits,
    work: impl Work<Ask = Q, Answer = LockResult<T>>,
) -> Gathering<Q, T> {
    let (tasks, work) = (Arc::clone(tasks), Arc::new(work));
    Combiner::new(limits, move |lane: Lane<Q, LockResult<T>>| {
        tasks.spawn(lane.run(Arc::clone(&work), yield_now));
    })
}

/// Whether an acquire may be part of a batch: one that is granted, if it is, on the strength of the mutex's own row.
pub(crate) fn can_gather(request: &AcquireRequest) -> bool {
    !request.lock.is_semaphore() && !request.only_if_exists && !request.reentrant
}

/// What was done, and what was not.
fn replies<T>(members: usize, outcome: LockResult<Vec<Option<T>>>) -> Vec<Reply<LockResult<T>>> {
    match outcome {
        Ok(done) => {
            done.into_iter().map(|done| done.map_or(Reply::Alone, |done| Reply::Answer(Ok(done)))).collect()
        }
        Err(error) => failed(members, &error),
    }
}

struct Acquires(Arc<Server>);

impl Work for Acquires {
    type Ask = AcquireRequest;
    type Answer = LockResult<Acquired>;

    async fn send(&self, asks: &[AcquireRequest]) -> Vec<Reply<Self::Answer>> {
        replies(asks.len(), self.grants(asks).await)
    }

    /// Whoever gives up while its request is on the way says so, but that may have come before the request itself.
    async fn orphaned(&self, orphans: Vec<(AcquireRequest, Self::Answer)>) {
        for (ask, answer) in &orphans {
            if !matches!(answer, Ok(Acquired::Granted(_))) {
                continue;
            }
            let lock = &ask.lock;
            let params =
                vec![lock.tenant().into(), "".into(), lock.key().into(), ask.version.as_str().into()];
            let ended = self.0.execute(Task::on("abandoning", lock), &self.0.sql.abandon, params).await;
            if let Err(error) = ended {
                tracing::warn!(%lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
            }
        }
    }
}

impl Acquires {
    async fn grants(&self, asks: &[AcquireRequest]) -> LockResult<Vec<Option<Acquired>>> {
        let sent = Instant::now();
        let results = self.0.batch(Task::general("acquiring"), &self.0.sql.together.acquire(asks)).await?;
        let (done, now_us) = codec::done(results.into_iter().next_back().unwrap_or_default(), asks.len())?;
        let granted = |(ask, done): (&AcquireRequest, bool)| {
            done.then(|| Acquired::Granted(codec::granted_anew(ask, now_us).into_lock(&ask.lock, sent)))
        };
        Ok(asks.iter().zip(done).map(granted).collect())
    }
}

struct Renewals(Arc<Server>);

impl Work for Renewals {
    type Ask = RenewRequest;
    type Answer = LockResult<MutexLock>;

    async fn send(&self, asks: &[RenewRequest]) -> Vec<Reply<Self::Answer>> {
        replies(asks.len(), renew(&self.0, asks).await)
    }
}

/// Renews mutexes; those that could not be renewed on the spot are none.
pub(crate) async fn renew(server: &Server, asks: &[RenewRequest]) -> LockResult<Vec<Option<MutexLock>>> {
    let sent = Instant::now();
    let results = server.batch(Task::general("renewing"), &server.sql.together.renew(asks)).await?;
    let rows: Vec<Row> = results.into_iter().next().unwrap_or_default();
    let mut renewed: Vec<Option<MutexLock>> = asks.iter().map(|_| None).collect();
    for row in rows {
        let (place, slot) = codec::placed_slot(row)?;
        if let (Some(ask), Some(renewed)) = (asks.get(place), renewed.get_mut(place)) {
            *renewed = Some(slot.into_lock(&ask.lock, sent));
        }
    }
    Ok(renewed)
}

struct Releases(Arc<Server>);

impl Work for Releases {
    type Ask = ReleaseRequest;
    type Answer = LockResult<bool>;

    async fn send(&self, asks: &[ReleaseRequest]) -> Vec<Reply<Self::Answer>> {
        let sql = self.0.sql.together.release(asks);
        let done = match self.0.batch(Task::general("releasing"), &sql).await {
            Ok(results) => codec::done(results.into_iter().next_back().unwrap_or_default(), asks.len()),
            Err(error) => Err(error),
        };
        let released = |done: (Vec<bool>, u64)| done.0.into_iter().map(|done| done.then_some(true)).collect();
        replies(asks.len(), done.map(released))
    }
}
