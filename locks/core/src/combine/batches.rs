//! What a store makes of it: acquires, renewals and releases that go together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Combiner, Gather, Lane, Limits, Reply, Work};
use crate::error::LockResult;
use crate::lock_id::LockId;
use crate::models::MutexLock;
use crate::protocol::{AcquireRequest, Acquired, ReleaseRequest, RenewRequest};

/// How a store sends many of a kind in one statement: a reply for each, in their order, within a bounded time.
pub trait SendTogether: Send + Sync + 'static {
    /// Many acquires, no two for one lock.
    fn acquire(
        &self,
        asks: &[AcquireRequest],
    ) -> impl Future<Output = Vec<Reply<LockResult<Acquired>>>> + Send;

    /// Many renewals, no two for one lock.
    fn renew(&self, asks: &[RenewRequest]) -> impl Future<Output = Vec<Reply<LockResult<MutexLock>>>> + Send;

    /// Many releases, no two for one lock.
    fn release(&self, asks: &[ReleaseRequest]) -> impl Future<Output = Vec<Reply<LockResult<bool>>>> + Send;

    /// Ends an acquisition whose caller went away while it was on its way with others. Whoever gives up says so by himself too,
    /// but that may have come before the acquisition.
    fn abandon(&self, lock: &LockId, version: &str) -> impl Future<Output = ()> + Send;
}

/// A lane to be run.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of one store that can go together.
#[derive(Debug)]
pub struct Batches {
    /// Acquires.
    pub acquires: Combiner<AcquireRequest, LockResult<Acquired>>,
    /// Renewals.
    pub renewals: Combiner<RenewRequest, LockResult<MutexLock>>,
    /// Releases.
    pub releases: Combiner<ReleaseRequest, LockResult<bool>>,
}

impl Batches {
    /// `spawn` runs a task that the store owns; `yield_now` is the runtime's.
    pub fn new<S, Y>(
        limits: Limits,
        store: S,
        spawn: impl Fn(Task) + Clone + Send + Sync + 'static,
        yield_now: impl Fn() -> Y + Copy + Send + Sync + 'static,
    ) -> Self
    where
        S: SendTogether,
        Y: Future<Output = ()> + Send + 'static,
    {
        let store = Arc::new(store);
        Self {
            acquires: combiner(limits, Acquires(Arc::clone(&store)), spawn.clone(), yield_now),
            renewals: combiner(limits, Renewals(Arc::clone(&store)), spawn.clone(), yield_now),
            releases: combiner(limits, Releases(store), spawn, yield_now),
        }
    }
}

fn combiner<Q: Gather, A: Send + 'static, Y: Future<Output = ()> + Send + 'static>(
    limits: Limits,
    work: impl Work<Ask = Q, Answer = A>,
    spawn: impl Fn(Task) + Send + Sync + 'static,
    yield_now: impl Fn() -> Y + Copy + Send + Sync + 'static,
) -> Combiner<Q, A> {
    let work = Arc::new(work);
    Combiner::new(limits, move |lane: Lane<Q, A>| spawn(Box::pin(lane.run(Arc::clone(&work), yield_now))))
}

struct Acquires<S>(Arc<S>);

impl<S: SendTogether> Work for Acquires<S> {
    type Ask = AcquireRequest;
    type Answer = LockResult<Acquired>;

    fn send(&self, asks: &[AcquireRequest]) -> impl Future<Output = Vec<Reply<Self::Answer>>> + Send {
        self.0.acquire(asks)
    }

    async fn orphaned(&self, orphans: Vec<(AcquireRequest, Self::Answer)>) {
        for (ask, answer) in orphans {
            // What is unknown may have been a grant.
            if ask.wait || !matches!(answer, Ok(Acquired::Busy(_))) {
                self.0.abandon(&ask.lock, &ask.version).await;
            }
        }
    }
}

struct Renewals<S>(Arc<S>);

impl<S: SendTogether> Work for Renewals<S> {
    type Ask = RenewRequest;
    type Answer = LockResult<MutexLock>;

    fn send(&self, asks: &[RenewRequest]) -> impl Future<Output = Vec<Reply<Self::Answer>>> + Send {
        self.0.renew(asks)
    }
}

struct Releases<S>(Arc<S>);

impl<S: SendTogether> Work for Releases<S> {
    type Ask = ReleaseRequest;
    type Answer = LockResult<bool>;

    fn send(&self, asks: &[ReleaseRequest]) -> impl Future<Output = Vec<Reply<Self::Answer>>> + Send {
        self.0.release(asks)
    }
}
