//! Group commit: what gathers while others are on their way goes in one script, see [`db_locks_core::combine`].
//!
//! One server only: the keys of a cluster's script must lie in one slot, and locks of one slot hardly ever meet.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{Answer, Combiner, Gather, Lane, Limits, Reply, Work, failed};
use db_locks_core::{AcquireRequest, Acquired, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest};
use futures_util::future::{join_all, try_join};
use redis::Value;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::calls::{self, Call};
use crate::statements::{Pair, statements};
use crate::wire::Wire;

/// The most in one script, so that other clients of the server do not wait for long.
const MOST: usize = 128;

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
    /// To be called in a runtime. No call waits longer than `longest` for the others' batches.
    pub(crate) fn new(wire: &Arc<Wire>, together: bool, longest: Duration) -> Self {
        let limits = Limits { batch: MOST, ..Limits::default() };
        let limits = if together && wire.link.is_single() { limits } else { Limits::none() };
        let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
        Self {
            acquires: gathering(&tasks, limits, Acquires(Arc::clone(wire))),
            renewals: gathering(&tasks, limits, Renewals(Arc::clone(wire))),
            releases: gathering(&tasks, limits, Releases(Arc::clone(wire))),
            longest,
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

/// One script for the mutexes and one for the semaphores, both on their way at once; the replies in the order of the calls.
pub(crate) async fn send_all(
    wire: &Wire,
    doing: &str,
    scripts: &Pair,
    calls: Vec<(&LockId, Call)>,
) -> LockResult<Vec<Reply<Value>>> {
    let of_kind = |semaphore: bool| -> Vec<&Call> {
        calls.iter().filter(|(lock, _)| lock.is_semaphore() == semaphore).map(|(_, call)| call).collect()
    };
    let (mutexes, semaphores) = (of_kind(false), of_kind(true));
    let mutexes = wire.run_many(doing, &scripts.mutexes, &mutexes);
    let semaphores = wire.run_many(doing, &scripts.semaphores, &semaphores);
    let (mutexes, semaphores) = try_join(mutexes, semaphores).await?;
    let (mut mutexes, mut semaphores) = (mutexes.into_iter(), semaphores.into_iter());
    let next = |(lock, _): &(&LockId, Call)| {
        if lock.is_semaphore() { semaphores.next() } else { mutexes.next() }.unwrap_or(Reply::Alone)
    };
    Ok(calls.iter().map(next).collect())
}

/// What each member is told, of the script's replies.
fn told<Q, T>(
    asks: &[Q],
    outcome: LockResult<Vec<Reply<Value>>>,
    read: impl Fn(&Q, Value) -> LockResult<T>,
) -> Vec<Reply<LockResult<T>>> {
    match outcome {
        Ok(replies) => asks
            .iter()
            .zip(replies)
            .map(|(ask, reply)| match reply {
                Reply::Answer(value) => Reply::Answer(read(ask, value)),
                Reply::Alone => Reply::Alone,
            })
            .collect(),
        Err(error) => failed(asks.len(), &error),
    }
}

struct Acquires(Arc<Wire>);

impl Work for Acquires {
    type Ask = AcquireRequest;
    type Answer = LockResult<Acquired>;

    async fn send(&self, asks: &[AcquireRequest]) -> Vec<Reply<Self::Answer>> {
        let (wire, sent) = (&self.0, Instant::now());
        let calls = asks.iter().map(|ask| (&ask.lock, calls::acquire(wire, ask))).collect();
        let outcome = send_all(wire, "acquire", &statements().acquire_many, calls).await;
        told(asks, outcome, |ask, value| calls::acquired(ask, value, sent))
    }

    /// Whoever gives up while its request is on the way says so, but that may have come before the request itself.
    async fn orphaned(&self, orphans: Vec<(AcquireRequest, Self::Answer)>) {
        let wire = &self.0;
        let ends = orphans.iter().filter(|(_, answer)| answer.is_ok()).map(|(ask, _)| async {
            if let Err(error) = wire.abandon(&ask.lock, &ask.version).await {
                tracing::warn!(lock = %ask.lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
            }
        });
        join_all(ends).await;
    }
}

struct Renewals(Arc<Wire>);

impl Work for Renewals {
    type Ask = RenewRequest;
    type Answer = LockResult<MutexLock>;

    async fn send(&self, asks: &[RenewRequest]) -> Vec<Reply<Self::Answer>> {
        let (wire, sent) = (&self.0, Instant::now());
        let calls = asks.iter().map(|ask| (&ask.lock, calls::renew(wire, ask))).collect();
        let outcome = send_all(wire, "renew", &statements().renew_many, calls).await;
        told(asks, outcome, |ask, value| calls::renewed(ask, value, sent))
    }
}

struct Releases(Arc<Wire>);

impl Work for Releases {
    type Ask = ReleaseRequest;
    type Answer = LockResult<bool>;

    async fn send(&self, asks: &[ReleaseRequest]) -> Vec<Reply<Self::Answer>> {
        let wire = &self.0;
        let calls = asks.iter().map(|ask| (&ask.lock, calls::release(wire, ask))).collect();
        let outcome = send_all(wire, "release", &statements().release_many, calls).await;
        told(asks, outcome, calls::released)
    }
}
