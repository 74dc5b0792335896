//! Group commit: what gathers while others are on their way goes in one transaction, see [`db_locks_core::combine`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{self, Answer, Batches, Limits, Reply, SendTogether};
use db_locks_core::eager::Worth;
use db_locks_core::{AcquireRequest, Acquired, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest};
use mysql_async::Row;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::codec;
use crate::error::Task;
use crate::server::Server;

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
pub(crate) fn batches(server: &Arc<Server>) -> Batches {
    let limits = Limits { batch: MOST, ..Limits::default() };
    let limits = if server.settings.group_commit { limits } else { Limits::none() };
    let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
    Batches::new(limits, Sender(Arc::clone(server)), move |task| tasks.spawn(task), yield_now)
}

/// Waits for others' batch, for so long at most.
pub(crate) async fn within<A>(longest: Duration, answer: Answer<A>) -> Option<Option<Reply<A>>> {
    timeout(longest, answer).await.ok()
}

/// Whether an acquire may be part of a batch: one that is granted, if it is, on the strength of the mutex's own row.
pub(crate) fn can_gather(request: &AcquireRequest) -> bool {
    !request.lock.is_semaphore() && !request.only_if_exists && !request.reentrant
}

struct Sender(Arc<Server>);

impl SendTogether for Sender {
    async fn acquire(&self, asks: &[AcquireRequest]) -> Vec<Reply<LockResult<Acquired>>> {
        combine::told(asks.len(), acquire(&self.0, asks).await)
    }

    async fn renew(&self, asks: &[RenewRequest]) -> Vec<Reply<LockResult<MutexLock>>> {
        combine::told(asks.len(), renew(&self.0, asks).await)
    }

    async fn release(&self, asks: &[ReleaseRequest]) -> Vec<Reply<LockResult<bool>>> {
        combine::told(asks.len(), release(&self.0, asks).await)
    }

    async fn abandon(&self, lock: &LockId, version: &str) {
        let params = vec![lock.tenant().into(), "".into(), lock.key().into(), version.into()];
        let ended = self.0.execute(Task::on("abandoning", lock), &self.0.sql.abandon, params).await;
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

async fn acquire(server: &Server, asks: &[AcquireRequest]) -> LockResult<Vec<Option<Acquired>>> {
    let sent = Instant::now();
    let task = Task::general("acquiring");
    if let Some(now_us) = all(server, task, &server.usual_acquires, || server.sql.usual.acquire(asks)).await?
    {
        let granted = |ask: &AcquireRequest| codec::granted_anew(ask, now_us).into_lock(&ask.lock, sent);
        return Ok(asks.iter().map(|ask| Some(Acquired::Granted(granted(ask)))).collect());
    }
    let results = server.batch(task, &server.sql.together.acquire(asks)).await?;
    let (done, now_us) = codec::done(results.into_iter().next_back().unwrap_or_default(), asks.len())?;
    let granted = |(ask, done): (&AcquireRequest, bool)| {
        done.then(|| Acquired::Granted(codec::granted_anew(ask, now_us).into_lock(&ask.lock, sent)))
    };
    Ok(asks.iter().zip(done).map(granted).collect())
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
