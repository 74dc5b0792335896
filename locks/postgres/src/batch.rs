//! Group commit: what gathers while others are on their way goes in one statement, see [`db_locks_core::combine`].

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{self, Answer, Combiner, Gather, Lane, Limits, Reply, Work};
use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockRecord, LockResult, MutexLock, ReleaseRequest, RenewRequest,
};
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::codec::{self, record};
use crate::pool::{Connections, Param};
use crate::repository::named_slot;
use crate::statements::Statements;

/// What one kind of call is asked and answers.
type Gathering<Q, T> = Combiner<Q, LockResult<T>>;

/// The calls of one repository that can go together.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) acquires: Gathering<AcquireRequest, Acquired>,
    pub(crate) renewals: Gathering<RenewRequest, MutexLock>,
    pub(crate) releases: Gathering<ReleaseRequest, bool>,
    longest: Duration,
}

/// What a batch is sent with.
pub(crate) struct Sender {
    pub(crate) connections: Arc<Connections>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) durable_release: bool,
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
    pub(crate) fn new(sender: Sender, limits: Limits, longest: Duration) -> Self {
        let sender = Arc::new(sender);
        let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
        Self {
            acquires: gathering(&tasks, limits, Acquires(Arc::clone(&sender))),
            renewals: gathering(&tasks, limits, Renewals(Arc::clone(&sender))),
            releases: gathering(&tasks, limits, Releases(sender)),
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

/// Whether an acquire may be part of a batch: one that is granted, if it is, without looking at anything but the mutex's own row.
pub(crate) fn can_gather(request: &AcquireRequest) -> bool {
    !request.lock.is_semaphore() && !request.only_if_exists && !request.reentrant
}

impl Sender {
    async fn rows(
        &self,
        doing: &str,
        of: &crate::statements::Statement,
        params: &[Param<'_>],
    ) -> LockResult<Vec<Row>> {
        self.connections.query(doing, of, params).await
    }

    /// Renews many; those that could not be renewed on the spot are none.
    pub(crate) async fn renew(
        &self,
        asks: &[RenewRequest],
    ) -> LockResult<Vec<Option<LockResult<MutexLock>>>> {
        let sent = Instant::now();
        let all = |field: fn(&RenewRequest) -> &str| asks.iter().map(field).collect::<Vec<&str>>();
        let semaphores: Vec<bool> = asks.iter().map(|r| r.lock.is_semaphore()).collect();
        let slots: Vec<i32> = asks.iter().map(|r| named_slot(&r.lock, &r.mutex_key, &r.version)).collect();
        let leases: Vec<i64> = asks.iter().map(|r| r.lease_ms).collect();
        let data: Vec<Option<&str>> = asks.iter().map(|r| r.data.as_deref()).collect();
        let (tenants, keys) = (all(|r| r.lock.tenant()), all(|r| r.lock.key()));
        let (versions, new_versions) = (all(|r| &r.version), all(|r| &r.new_version));
        let params: [Param<'_>; 8] =
            [&semaphores, &tenants, &keys, &slots, &versions, &new_versions, &leases, &data];
        let rows = self.rows("renew", &self.statements.renew_free, &params).await?;
        let rows = by_place(asks.len(), rows)?;
        let renewed = |(ask, row): (&RenewRequest, Option<Row>)| {
            row.map(|row| Ok(record(&row, 1)?.into_lock(&ask.lock, sent)))
        };
        Ok(asks.iter().zip(rows).map(renewed).collect())
    }
}

/// The rows of an answer, each at the place of the request that it answers: its number, from 1, is in the first column.
fn by_place(requests: usize, rows: Vec<Row>) -> LockResult<Vec<Option<Row>>> {
    let mut places: Vec<Option<Row>> = (0..requests).map(|_| None).collect();
    for row in rows {
        let index = usize::try_from(codec::read::<i64>(&row, 0)?).unwrap_or(0);
        if let Some(place) = index.checked_sub(1).and_then(|index| places.get_mut(index)) {
            *place = Some(row);
        }
    }
    Ok(places)
}

/// What was done, and what was not.
fn replies<T>(members: usize, outcome: LockResult<Vec<Option<LockResult<T>>>>) -> Vec<Reply<LockResult<T>>> {
    match outcome {
        Ok(done) => done.into_iter().map(|done| done.map_or(Reply::Alone, Reply::Answer)).collect(),
        Err(error) => combine::failed(members, &error),
    }
}

struct Acquires(Arc<Sender>);

impl Work for Acquires {
    type Ask = AcquireRequest;
    type Answer = LockResult<Acquired>;

    async fn send(&self, asks: &[AcquireRequest]) -> Vec<Reply<Self::Answer>> {
        replies(asks.len(), self.grants(asks).await)
    }

    /// Whoever gives up while its request is on the way says so, but that may have come before the request itself.
    async fn orphaned(&self, orphans: Vec<(AcquireRequest, Self::Answer)>) {
        let sender = &self.0;
        let granted = orphans.iter().filter(|(_, answer)| matches!(answer, Ok(Acquired::Granted(_))));
        let ends = granted.map(|(ask, _)| async {
            let params: [Param<'_>; 3] = [&ask.lock.tenant(), &ask.lock.key(), &ask.version];
            if let Err(error) = sender.rows("abandon", &sender.statements.abandon, &params).await {
                tracing::warn!(lock = %ask.lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
            }
        });
        join_all(ends).await;
    }
}

impl Acquires {
    async fn grants(&self, asks: &[AcquireRequest]) -> LockResult<Vec<Option<LockResult<Acquired>>>> {
        let sent = Instant::now();
        let all = |field: fn(&AcquireRequest) -> &str| asks.iter().map(field).collect::<Vec<&str>>();
        let flags = |field: fn(&AcquireRequest) -> bool| asks.iter().map(field).collect::<Vec<bool>>();
        let (tenants, keys) = (all(|r| r.lock.tenant()), all(|r| r.lock.key()));
        let (versions, owners) = (all(|r| &r.version), all(|r| &r.owner));
        let leases: Vec<i64> = asks.iter().map(|r| r.lease_ms).collect();
        let data: Vec<Option<&str>> = asks.iter().map(|r| r.data.as_deref()).collect();
        let (replace, delete) = (flags(|r| r.replace_data), flags(|r| r.delete_on_release));
        let params: [Param<'_>; 8] = [&tenants, &keys, &versions, &owners, &leases, &data, &replace, &delete];
        let rows = self.0.rows("acquire", &self.0.statements.acquire_many, &params).await?;
        let rows = by_place(asks.len(), rows)?;
        let granted = |(ask, row): (&AcquireRequest, Option<Row>)| {
            row.map(|row| Ok(Acquired::Granted(grant(ask, &row)?.into_lock(&ask.lock, sent))))
        };
        Ok(asks.iter().zip(rows).map(granted).collect())
    }
}

/// Of a new grant the database says what the request does not.
fn grant(ask: &AcquireRequest, row: &Row) -> LockResult<LockRecord> {
    let now_us: i64 = codec::read(row, 2)?;
    Ok(LockRecord {
        slot: 0,
        version: ask.version.clone(),
        fence: u64::try_from(codec::read::<i64>(row, 1)?).unwrap_or(0),
        lease_ms: ask.lease_ms,
        expires_at_us: now_us.saturating_add(ask.lease_ms.saturating_mul(1_000)),
        now_us,
        data: codec::read(row, 3)?,
        owner: Some(ask.owner.clone()),
        delete_on_release: ask.delete_on_release,
        named_by_version: false,
    })
}

struct Renewals(Arc<Sender>);

impl Work for Renewals {
    type Ask = RenewRequest;
    type Answer = LockResult<MutexLock>;

    async fn send(&self, asks: &[RenewRequest]) -> Vec<Reply<Self::Answer>> {
        replies(asks.len(), self.0.renew(asks).await)
    }
}

struct Releases(Arc<Sender>);

impl Work for Releases {
    type Ask = ReleaseRequest;
    type Answer = LockResult<bool>;

    async fn send(&self, asks: &[ReleaseRequest]) -> Vec<Reply<Self::Answer>> {
        replies(asks.len(), self.released(asks).await)
    }
}

impl Releases {
    async fn released(&self, asks: &[ReleaseRequest]) -> LockResult<Vec<Option<LockResult<bool>>>> {
        let all = |field: fn(&ReleaseRequest) -> &str| asks.iter().map(field).collect::<Vec<&str>>();
        let (tenants, keys) = (all(|r| r.lock.tenant()), all(|r| r.lock.key()));
        let versions = all(|r| &r.version);
        let delete: Vec<bool> = asks.iter().map(|r| r.delete).collect();
        let data: Vec<Option<&str>> = asks.iter().map(|r| r.data.as_deref()).collect();
        let params: [Param<'_>; 6] = [&tenants, &keys, &versions, &delete, &data, &self.0.durable_release];
        let rows = self.0.rows("release", &self.0.statements.release_many, &params).await?;
        let done = by_place(asks.len(), rows)?;
        Ok(done.into_iter().map(|row| row.map(|_| Ok(true))).collect())
    }
}

/// An answer that never came, in words.
pub(crate) fn left_out() -> LockError {
    LockError::runtime("a renewal was left unanswered")
}
