//! Group commit: what gathers while others are on their way goes in one transaction, see [`db_locks_core::combine`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{self, Answer, Batches, Limits, Reply, SendTogether};
use db_locks_core::eager::Worth;
use db_locks_core::{AcquireRequest, Acquired, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest};
use futures_util::future::join;
use mysql_async::Row;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::codec;
use crate::error::Task;
use crate::server::Server;
use crate::together::queue_of;

/// The most in one transaction. (Their places, written one after the other, fit into MySQL's usual `group_concat_max_len`.)
pub(crate) const MOST: usize = 128;

/// The tasks that send; ended with the repository.
struct Tasks {
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    fn spawn(&self, task: combine::Task) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.runtime);
    }
}

/// To be called in a runtime.
pub(crate) fn batches(server: &Arc<Server>, client_id: &str) -> Batches {
    let limits = Limits { batch: MOST, ..Limits::default() };
    let limits = if server.settings.group_commit { limits } else { Limits::none() };
    let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
    let sender = Sender { server: Arc::clone(server), client_id: client_id.to_string() };
    Batches::new(limits, sender, move |task| tasks.spawn(task), yield_now)
}

/// Waits for others' batch, for so long at most.
pub(crate) async fn within<A>(longest: Duration, answer: Answer<A>) -> Option<Option<Reply<A>>> {
    timeout(longest, answer).await.ok()
}

/// Whether an acquire may be part of a batch: one that is granted, if it is, without looking at anything but the lock's own rows.
pub(crate) fn can_gather(request: &AcquireRequest) -> bool {
    !request.only_if_exists && !request.reentrant
}

struct Sender {
    server: Arc<Server>,
    /// Names the process among those that wait.
    client_id: String,
}

impl SendTogether for Sender {
    async fn acquire(&self, asks: &[AcquireRequest]) -> Vec<Reply<LockResult<Acquired>>> {
        let (mutexes, slots) = combine::kinds(asks);
        let (granted, slots_granted) =
            join(acquire(&self.server, &mutexes), acquire_slots(&self.server, &slots, &self.client_id)).await;
        let (mutexes, slots) =
            (combine::told(mutexes.len(), granted), combine::told(slots.len(), slots_granted));
        combine::of_both(asks, mutexes, slots)
    }

    async fn renew(&self, asks: &[RenewRequest]) -> Vec<Reply<LockResult<MutexLock>>> {
        combine::told(asks.len(), renew(&self.server, asks).await)
    }

    async fn release(&self, asks: &[ReleaseRequest]) -> Vec<Reply<LockResult<bool>>> {
        combine::told(asks.len(), release(&self.server, asks).await)
    }

    async fn abandon(&self, lock: &LockId, version: &str) {
        let [semaphore, mutex] = queue_of(lock);
        let params = vec![lock.tenant().into(), semaphore.into(), mutex.into(), version.into()];
        let ended = self.server.execute(Task::on("abandoning", lock), &self.server.sql.abandon, params).await;
        if let Err(error) = ended {
            tracing::warn!(%lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
        }
    }
}

/// Tries to do all in one statement; answers when. None: nothing was done, for one of them at least is not of the usual kind.
async fn all(
    server: &Server,
    task: Task<'_>,
    worth: &Worth,
    sql: impl FnOnce() -> Option<String>,
) -> LockResult<Option<u64>> {
    if !server.knows_blocks.load(Ordering::Relaxed) || !worth.is_worth_a_try() {
        return Ok(None);
    }
    let Some(sql) = sql() else { return Ok(None) };
    let now_us = codec::number(server.batch(task, &sql).await?.into_iter().next().unwrap_or_default())?;
    if now_us == 0 {
        worth.was_in_vain();
        return Ok(None);
    }
    worth.paid_off();
    Ok(Some(now_us))
}

async fn acquire(server: &Server, asks: &[&AcquireRequest]) -> LockResult<Vec<Option<Acquired>>> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let sent = Instant::now();
    let task = Task::general("acquiring");
    if let Some(now_us) = all(server, task, &server.usual_acquires, || server.sql.usual.acquire(asks)).await?
    {
        let granted = |ask: &&AcquireRequest| codec::granted_anew(ask, now_us).into_lock(&ask.lock, sent);
        return Ok(asks.iter().map(|ask| Some(Acquired::Granted(granted(ask)))).collect());
    }
    let results = server.batch(task, &server.sql.together.acquire(asks)).await?;
    let (done, now_us) = codec::done(results.into_iter().next_back().unwrap_or_default(), asks.len())?;
    let granted = |(ask, done): (&&AcquireRequest, bool)| {
        done.then(|| Acquired::Granted(codec::granted_anew(ask, now_us).into_lock(&ask.lock, sent)))
    };
    Ok(asks.iter().zip(done).map(granted).collect())
}

/// Takes slots; those that could not be taken on the spot are none.
async fn acquire_slots(
    server: &Server,
    asks: &[&AcquireRequest],
    client_id: &str,
) -> LockResult<Vec<Option<Acquired>>> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let sent = Instant::now();
    let sql = server.sql.together.acquire_slots(asks, client_id);
    let mut results = server.batch(Task::general("acquiring"), &sql).await?.into_iter();
    let taken = |ask: &&AcquireRequest| codec::slot_taken(results.next().unwrap_or_default(), ask, sent);
    asks.iter().map(taken).collect()
}

/// Renews what names its row; those that could not be renewed on the spot are none.
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

async fn release(server: &Server, asks: &[ReleaseRequest]) -> LockResult<Vec<Option<bool>>> {
    let task = Task::general("releasing");
    let usual = || Some(server.sql.usual.release(asks));
    if all(server, task, &server.usual_releases, usual).await?.is_some() {
        return Ok(asks.iter().map(|_| Some(true)).collect());
    }
    let results = server.batch(task, &server.sql.together.release(asks)).await?;
    let (done, _) = codec::done(results.into_iter().next_back().unwrap_or_default(), asks.len())?;
    Ok(done.into_iter().map(|done| done.then_some(true)).collect())
}

/// Keeps these places; the versions of those that have none.
pub(crate) async fn keep_places(server: &Server, places: &[(&LockId, &str)]) -> LockResult<Vec<String>> {
    let results =
        server.batch(Task::general("keeping places"), &server.sql.together.keep_places(places)).await?;
    let (kept, _) = codec::done(results.into_iter().next_back().unwrap_or_default(), places.len())?;
    let lost = places.iter().zip(kept).filter(|(_, kept)| !kept);
    Ok(lost.map(|((_, version), _)| version.to_string()).collect())
}
