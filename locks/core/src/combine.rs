//! Group commit: many calls of one process in one statement.
//!
//! While nobody else is on the way a call goes straight through ([`Turn::Direct`]), exactly as if there were no combiner. What comes while
//! others are on their way gathers, and the next statement takes along all that is there ([`Turn::Gathered`]): no timer, nobody waits for
//! company. So a batch is as large as what came during the round trip before it.
//!
//! - **A batch never waits for one lock.** What cannot be done at once (somebody else is at the row, somebody waits in a queue) is not part of
//!   its guarantee: [`Reply::Alone`] sends that caller on by itself. So one stuck lock does not hold the others up.
//! - **One request a lock.** Two requests for one lock are never in one batch, so the order within a batch does not matter.
//! - **A caller that goes away** leaves the batch as long as it has not been sent, and is handed to [`Work::orphaned`] after that.
//! - **An unknown outcome** of a batch is that of each of its members: each knows its version, and sends its request again.
//!
//! This module starts no task: the store is given each [`Lane`] to run as a task that it owns.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::{LockError, LockResult};
use crate::lock_id::LockId;
use crate::protocol::{AcquireRequest, ReleaseRequest, RenewRequest};

mod batches;
mod waiters;

pub use batches::{Batches, SendTogether, Task};
pub use waiters::Waiters;

/// How many may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many calls at once go straight through before others gather.
    pub direct: usize,
    /// So many batches are on their way at once.
    pub lanes: usize,
    /// The most requests in a batch.
    pub batch: usize,
    /// The most bytes of names and data in a batch (one request may be larger).
    pub bytes: usize,
    /// The most requests that gather; one more goes straight through.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { direct: 2, lanes: 2, batch: 256, bytes: 512 * 1024, queue: 4_096 }
    }
}

impl Limits {
    /// Nothing gathers: every call goes straight through.
    pub fn none() -> Self {
        Self { direct: usize::MAX, ..Self::default() }
    }
}

/// A request that can be part of a batch.
pub trait Gather: Send + Sync + 'static {
    /// The lock that it is about.
    fn lock(&self) -> &LockId;
    /// Bytes of names and data.
    fn bytes(&self) -> usize;
    /// Whether it is to be sent even if its caller went away while it was gathering.
    const OUTLIVES_CALLER: bool;
}

impl Gather for AcquireRequest {
    fn lock(&self) -> &LockId {
        &self.lock
    }
    fn bytes(&self) -> usize {
        let texts = self.lock.tenant().len() + self.lock.key().len() + self.version.len() + self.owner.len();
        texts + self.data.as_ref().map_or(0, String::len)
    }
    const OUTLIVES_CALLER: bool = false;
}

impl Gather for RenewRequest {
    fn lock(&self) -> &LockId {
        &self.lock
    }
    fn bytes(&self) -> usize {
        let texts =
            self.lock.tenant().len() + self.lock.key().len() + self.version.len() + self.new_version.len();
        texts + self.data.as_ref().map_or(0, String::len)
    }
    const OUTLIVES_CALLER: bool = false;
}

impl Gather for ReleaseRequest {
    fn lock(&self) -> &LockId {
        &self.lock
    }
    fn bytes(&self) -> usize {
        let texts = self.lock.tenant().len() + self.lock.key().len() + self.version.len();
        texts + self.data.as_ref().map_or(0, String::len)
    }
    // Nobody waits for the answer, but others wait for the lock.
    const OUTLIVES_CALLER: bool = true;
}

/// What a member of a batch is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<A> {
    /// The database's answer to this request.
    Answer(A),
    /// It was not done with the others, and nothing came of it: send it by itself.
    Alone,
}

/// How a store sends a batch.
pub trait Work: Send + Sync + 'static {
    /// What is asked.
    type Ask: Gather;
    /// What is answered.
    type Answer: Send + 'static;

    /// Sends these as one; one reply for each, in their order. Must be bounded in time.
    fn send(&self, asks: &[Self::Ask]) -> impl Future<Output = Vec<Reply<Self::Answer>>> + Send;

    /// These were answered after their callers had gone away.
    fn orphaned(&self, orphans: Vec<(Self::Ask, Self::Answer)>) -> impl Future<Output = ()> + Send {
        drop(orphans);
        std::future::ready(())
    }
}

/// Gathers the requests of one kind.
pub struct Combiner<Q, A> {
    shared: Arc<Shared<Q, A>>,
    start: Box<dyn Fn(Lane<Q, A>) + Send + Sync>,
}

struct Shared<Q, A> {
    limits: Limits,
    /// Calls that go straight through just now.
    direct: AtomicUsize,
    state: Mutex<State<Q, A>>,
}

struct State<Q, A> {
    lanes: usize,
    /// A lane is about to take what has gathered.
    gathering: bool,
    queue: VecDeque<Member<Q, A>>,
}

struct Member<Q, A> {
    ask: Q,
    reply: Sender<A>,
}

impl<Q, A> Shared<Q, A> {
    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a call goes on.
pub enum Turn<'a, A> {
    /// By itself. Keep what is inside until the call has ended.
    Direct(Direct<'a>),
    /// With others; the reply comes of itself.
    Gathered(Answer<A>),
}

/// A call that goes straight through, counted until this is dropped.
#[derive(Debug)]
pub struct Direct<'a>(&'a AtomicUsize);

impl Drop for Direct<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<Q: Gather, A: Send + 'static> Combiner<Q, A> {
    /// `start` runs a lane as a task: [`Lane::run`].
    pub fn new(limits: Limits, start: impl Fn(Lane<Q, A>) + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { lanes: 0, gathering: false, queue: VecDeque::new() });
        let shared = Arc::new(Shared { limits, direct: AtomicUsize::new(0), state });
        Self { shared, start: Box::new(start) }
    }

    /// Whether this call goes by itself or with others. `ask` is made only for the latter.
    pub fn enter(&self, ask: impl FnOnce() -> Q) -> Turn<'_, A> {
        let (shared, limits) = (&self.shared, self.shared.limits);
        let mut state = shared.state();
        let few = state.lanes == 0 && shared.direct.load(Ordering::Relaxed) < limits.direct;
        if few || state.queue.len() >= limits.queue {
            shared.direct.fetch_add(1, Ordering::Relaxed);
            return Turn::Direct(Direct(&shared.direct));
        }
        let (reply, answer) = channel();
        state.queue.push_back(Member { ask: ask(), reply });
        if state.lanes < limits.lanes && !state.gathering {
            state.lanes += 1;
            state.gathering = true;
            drop(state);
            (self.start)(Lane { shared: Arc::clone(shared), open: true });
        }
        Turn::Gathered(answer)
    }
}

impl<Q, A> fmt::Debug for Combiner<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Combiner").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

/// Sends one batch after the other, until nothing gathers any more.
pub struct Lane<Q, A> {
    shared: Arc<Shared<Q, A>>,
    /// It is still one of [`State::lanes`].
    open: bool,
}

impl<Q: Gather, A: Send + 'static> Lane<Q, A> {
    /// To be run as a task. `yield_now` lets the runtime run whoever is ready, who may have something to add.
    pub async fn run<W, Y>(mut self, work: Arc<W>, yield_now: impl Fn() -> Y + Send)
    where
        W: Work<Ask = Q, Answer = A>,
        Y: Future<Output = ()> + Send,
    {
        loop {
            yield_now().await;
            let Some((asks, replies)) = self.take() else { return };
            let answers = work.send(&asks).await;
            let mut orphans = Vec::new();
            for ((ask, reply), answer) in asks.into_iter().zip(replies).zip(answers) {
                if let Some(Reply::Answer(answer)) = reply.send(answer) {
                    orphans.push((ask, answer));
                }
            }
            if !orphans.is_empty() {
                work.orphaned(orphans).await;
            }
            self.shared.state().gathering = true;
        }
    }

    /// The next batch; none when nothing has gathered, which ends the lane.
    fn take(&mut self) -> Option<(Vec<Q>, Vec<Sender<A>>)> {
        let limits = self.shared.limits;
        let (mut asks, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (hasher, mut locks) = (RandomState::new(), HashSet::new());
        let mut state = self.shared.state();
        state.gathering = false;
        while let Some(next) = state.queue.front() {
            let size = next.ask.bytes();
            if asks.len() >= limits.batch || (bytes + size > limits.bytes && !asks.is_empty()) {
                break;
            }
            let Some(Member { ask, reply }) = state.queue.pop_front() else { break };
            if !Q::OUTLIVES_CALLER && reply.is_gone() {
                continue;
            }
            // Not left for the next batch, lest many for one lock keep everybody waiting. (Two locks with one hash: no harm.)
            if !locks.insert(hasher.hash_one(ask.lock())) {
                reply.send(Reply::Alone);
                continue;
            }
            bytes += size;
            asks.push(ask);
            replies.push(reply);
        }
        if asks.is_empty() {
            // While the queue is locked: so whoever comes next knows that he has to start another.
            state.lanes -= 1;
            self.open = false;
            return None;
        }
        Some((asks, replies))
    }
}

/// A lane that ends with something left (a task that was aborted, a store that panicked) leaves nobody waiting for ever.
impl<Q, A> Drop for Lane<Q, A> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let mut state = self.shared.state();
        state.lanes -= 1;
        if state.lanes == 0 {
            state.gathering = false;
            let left = std::mem::take(&mut state.queue);
            drop(state);
            drop(left);
        }
    }
}

/// The one place through which one reply goes.
struct Slot<A> {
    reply: Option<Reply<A>>,
    waker: Option<Waker>,
    sender_gone: bool,
    receiver_gone: bool,
}

struct Sender<A> {
    slot: Arc<Mutex<Slot<A>>>,
}

/// The reply to a gathered request: none if the batch ended without one, so that its outcome is unknown.
pub struct Answer<A> {
    slot: Arc<Mutex<Slot<A>>>,
}

fn channel<A>() -> (Sender<A>, Answer<A>) {
    let slot = Slot { reply: None, waker: None, sender_gone: false, receiver_gone: false };
    let slot = Arc::new(Mutex::new(slot));
    (Sender { slot: Arc::clone(&slot) }, Answer { slot })
}

fn locked<A>(slot: &Mutex<Slot<A>>) -> MutexGuard<'_, Slot<A>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A> Sender<A> {
    /// Gives the reply back if nobody waits for it any more.
    fn send(self, reply: Reply<A>) -> Option<Reply<A>> {
        let mut slot = locked(&self.slot);
        if slot.receiver_gone {
            return Some(reply);
        }
        slot.reply = Some(reply);
        None
    }

    fn is_gone(&self) -> bool {
        locked(&self.slot).receiver_gone
    }
}

impl<A> Drop for Sender<A> {
    fn drop(&mut self) {
        let mut slot = locked(&self.slot);
        slot.sender_gone = true;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<A> Future for Answer<A> {
    type Output = Option<Reply<A>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = locked(&self.slot);
        if slot.reply.is_some() || slot.sender_gone {
            return Poll::Ready(slot.reply.take());
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<A> Drop for Answer<A> {
    fn drop(&mut self) {
        locked(&self.slot).receiver_gone = true;
    }
}

impl<Q: Gather + Clone, T: Send + 'static> Combiner<Q, LockResult<T>> {
    /// One call, by itself or with others. `bound` limits the wait for the others: none when it took too long.
    ///
    /// # Errors
    /// What the database says; `CurrentlyUnavailable` when the outcome is unknown.
    pub async fn call<F>(
        &self,
        ask: &Q,
        bound: impl FnOnce(Answer<LockResult<T>>) -> F,
        alone: impl Future<Output = LockResult<T>>,
    ) -> LockResult<T>
    where
        F: Future<Output = Option<Option<Reply<LockResult<T>>>>>,
    {
        let _counted = match self.enter(|| ask.clone()) {
            Turn::Direct(direct) => Some(direct),
            Turn::Gathered(answer) => match bound(answer).await.flatten() {
                Some(Reply::Answer(answer)) => return answer,
                Some(Reply::Alone) => None,
                None => {
                    let message = format!("{}: no answer in time to what was sent with others", ask.lock());
                    return Err(LockError::timed_out(message));
                }
            },
        };
        alone.await
    }
}

/// What each member of a batch is told of the failure of the whole. A database that refused it has done nothing, for the
/// sake of one member perhaps: each tries by itself. Otherwise nobody knows what came of it.
pub fn failed<T>(members: usize, error: &LockError) -> Vec<Reply<LockResult<T>>> {
    let reply = || match error {
        LockError::Database { .. } => Reply::Alone,
        _ => Reply::Answer(Err(error.duplicate())),
    };
    (0..members).map(|_| reply()).collect()
}

/// What each member is told of a batch that did what it could: none for those that are to go on by themselves.
pub fn told<T>(members: usize, outcome: LockResult<Vec<Option<T>>>) -> Vec<Reply<LockResult<T>>> {
    match outcome {
        Ok(done) => {
            done.into_iter().map(|done| done.map_or(Reply::Alone, |done| Reply::Answer(Ok(done)))).collect()
        }
        Err(error) => failed(members, &error),
    }
}

/// The mutexes among these, and the slots, for stores where each kind goes in a statement of its own.
pub fn kinds<Q: Gather>(asks: &[Q]) -> (Vec<&Q>, Vec<&Q>) {
    asks.iter().partition(|ask| !ask.lock().is_semaphore())
}

/// What each is told of both [`kinds`], in their order.
pub fn of_both<Q: Gather, T>(
    asks: &[Q],
    mutexes: Vec<Reply<LockResult<T>>>,
    slots: Vec<Reply<LockResult<T>>>,
) -> Vec<Reply<LockResult<T>>> {
    let (mut mutexes, mut slots) = (mutexes.into_iter(), slots.into_iter());
    let next = |ask: &Q| if ask.lock().is_semaphore() { slots.next() } else { mutexes.next() };
    asks.iter().map(next).map(|reply| reply.unwrap_or(Reply::Alone)).collect()
}

/// How long many renewals' answers wait for one that could not be made with the others: while it waits for a stranger's lock on
/// its row, the others, which are renewed, shall not seem lost.
pub fn patience(renewals: &[RenewRequest]) -> Duration {
    let shortest_ms = renewals.iter().map(|renewal| renewal.lease_ms).min().unwrap_or(0);
    Duration::from_millis(shortest_ms.unsigned_abs() / 6).max(Duration::from_millis(50))
}

/// The answer to a renewal that took longer than [`patience`]. It may be sent again.
pub fn too_late(lock: &LockId) -> LockError {
    let message = format!("{lock}: no answer in time to its renewal; is its row locked by somebody?");
    LockError::timed_out(message)
}

#[cfg(test)]
mod tests;
