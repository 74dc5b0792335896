//! Group commit: what gathers while others are on their way goes in one script, see [`db_locks_core::combine`].
//!
//! One server only: the keys of a cluster's script must lie in one slot, and locks of one slot hardly ever meet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{Answer, Batches, Limits, Reply, SendTogether, Task, failed};
use db_locks_core::{AcquireRequest, Acquired, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest};
use futures_util::future::try_join;
use redis::Value;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::calls::{self, Call};
use crate::statements::{Pair, statements};
use crate::wire::Wire;

/// The most in one script, so that other clients of the server do not wait for long.
const MOST: usize = 128;

/// The tasks that send; ended with the repository.
struct Tasks {
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    fn spawn(&self, task: Task) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.runtime);
    }
}

/// To be called in a runtime.
pub(crate) fn batches(wire: &Arc<Wire>, together: bool) -> Batches {
    let limits = Limits { batch: MOST, ..Limits::default() };
    let limits = if together && wire.link.is_single() { limits } else { Limits::none() };
    let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
    Batches::new(limits, Sender(Arc::clone(wire)), move |task| tasks.spawn(task), yield_now)
}

/// Waits for others' batch, for so long at most.
pub(crate) async fn within<A>(longest: Duration, answer: Answer<A>) -> Option<Option<Reply<A>>> {
    timeout(longest, answer).await.ok()
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

struct Sender(Arc<Wire>);

impl SendTogether for Sender {
    async fn acquire(&self, asks: &[AcquireRequest]) -> Vec<Reply<LockResult<Acquired>>> {
        let (wire, sent) = (&self.0, Instant::now());
        let calls = asks.iter().map(|ask| (&ask.lock, calls::acquire(wire, ask))).collect();
        let outcome = send_all(wire, "acquire", &statements().acquire_many, calls).await;
        told(asks, outcome, |ask, value| calls::acquired(ask, value, sent))
    }

    async fn renew(&self, asks: &[RenewRequest]) -> Vec<Reply<LockResult<MutexLock>>> {
        let (wire, sent) = (&self.0, Instant::now());
        let calls = asks.iter().map(|ask| (&ask.lock, calls::renew(wire, ask))).collect();
        let outcome = send_all(wire, "renew", &statements().renew_many, calls).await;
        told(asks, outcome, |ask, value| calls::renewed(ask, value, sent))
    }

    async fn release(&self, asks: &[ReleaseRequest]) -> Vec<Reply<LockResult<bool>>> {
        let wire = &self.0;
        let calls = asks.iter().map(|ask| (&ask.lock, calls::release(wire, ask))).collect();
        let outcome = send_all(wire, "release", &statements().release_many, calls).await;
        told(asks, outcome, calls::released)
    }

    async fn abandon(&self, lock: &LockId, version: &str) {
        if let Err(error) = self.0.abandon(lock, version).await {
            tracing::warn!(%lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
        }
    }
}
