//! Group commit over the store in memory, by the combiner that the real stores use.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::combine::{self, Batches, Limits, Reply as Member, SendTogether, Task};
use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest,
};

use super::repository::Wire;
use super::{Op, Reply};
use crate::defect::Defect;

/// Sends what goes together.
struct Sender {
    wire: Arc<dyn Wire>,
    defect: Defect,
}

/// The calls of one client that go together; `spawn` runs a task that ends with the client.
pub(super) fn batches(
    wire: &Arc<dyn Wire>,
    limits: Limits,
    defect: Defect,
    spawn: impl Fn(Task) + Clone + Send + Sync + 'static,
) -> Batches {
    Batches::new(limits, Sender { wire: wire.clone(), defect }, spawn, tokio::task::yield_now)
}

/// Whether an acquire may be part of a batch.
pub(super) fn can_gather(request: &AcquireRequest) -> bool {
    !request.only_if_exists && !request.reentrant
}

/// Waits for others' batch, for longer than any of its requests may take.
pub(super) async fn within<A>(answer: combine::Answer<A>) -> Option<Option<Member<A>>> {
    tokio::time::timeout(Duration::from_secs(5), answer).await.ok()
}

impl Sender {
    /// The answers that there are; none for what was not done.
    async fn send<T>(
        &self,
        ops: Vec<Op>,
        read: impl Fn(usize, Reply, std::time::Instant) -> Option<T>,
    ) -> Vec<Member<LockResult<T>>> {
        let members = ops.len();
        let outcome = self.wire.call(Op::Together(ops)).await.map(|(reply, sent)| match reply {
            Reply::Together(replies) => {
                let answered = |(place, reply): (usize, Option<Reply>)| read(place, reply?, sent);
                replies.into_iter().enumerate().map(answered).collect()
            }
            _ => Vec::new(),
        });
        let failed = matches!(&outcome, Ok(done) if done.iter().any(Option::is_none));
        let mut told = combine::told(members, outcome);
        match self.defect {
            Defect::BatchAnswersMixedUp => told.rotate_left(1),
            Defect::OneFailsItsBatch if failed => {
                let lost = || Member::Answer(Err(LockError::not_found("one of the batch is not there")));
                return (0..members).map(|_| lost()).collect();
            }
            _ => {}
        }
        told
    }

    async fn acquire_once(&self, asks: &[AcquireRequest]) -> Vec<Member<LockResult<Acquired>>> {
        self.send(asks.iter().cloned().map(Op::Acquire).collect(), |place, reply, sent| match reply {
            Reply::Granted(record) => Some(Acquired::Granted(record.into_lock(&asks.get(place)?.lock, sent))),
            _ => None,
        })
        .await
    }
}

impl SendTogether for Sender {
    async fn acquire(&self, asks: &[AcquireRequest]) -> Vec<Member<LockResult<Acquired>>> {
        let told = self.acquire_once(asks).await;
        let lost = told.iter().any(|reply| matches!(reply, Member::Answer(Err(error)) if error.retryable()));
        if !lost || self.defect != Defect::BatchSentAgainAsNew {
            return told;
        }
        let anew = |ask: &AcquireRequest| AcquireRequest {
            version: format!("{}-again", ask.version),
            ..ask.clone()
        };
        self.acquire_once(&asks.iter().map(anew).collect::<Vec<_>>()).await
    }

    async fn renew(&self, asks: &[RenewRequest]) -> Vec<Member<LockResult<MutexLock>>> {
        let ops = asks.iter().map(|ask| Op::Renew(vec![ask.clone()])).collect();
        self.send(ops, |place, reply, sent| match reply {
            Reply::Renewed(renewed) => {
                Some(renewed.into_iter().next()?.ok()?.into_lock(&asks.get(place)?.lock, sent))
            }
            _ => None,
        })
        .await
    }

    async fn release(&self, asks: &[ReleaseRequest]) -> Vec<Member<LockResult<bool>>> {
        self.send(asks.iter().cloned().map(Op::Release).collect(), |_, reply, _| match reply {
            Reply::Released(released) => Some(released),
            _ => None,
        })
        .await
    }

    async fn abandon(&self, lock: &LockId, version: &str) {
        if self.defect != Defect::OrphansAreKept {
            // Who gave up says so by himself too, so there is nothing to do about a failure.
            let _ = self.wire.call(Op::Abandon(lock.clone(), version.to_string())).await;
        }
    }
}
