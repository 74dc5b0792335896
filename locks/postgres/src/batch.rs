//! Group commit: what gathers while others are on their way goes in one statement, see [`db_locks_core::combine`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::combine::{self, Answer, Batches, Limits, Reply, SendTogether, Task};
use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockId, LockRecord, LockResult, MutexLock, ReleaseRequest,
    RenewRequest,
};
use futures_util::future::join;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::codec::{self, record};
use crate::pool::{Connections, Param};
use crate::repository::{named_slot, signed};
use crate::statements::{Statement, Statements};

/// What a batch is sent with.
pub(crate) struct Sender {
    pub(crate) connections: Arc<Connections>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) durable_release: bool,
    pub(crate) client_id: String,
}

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
pub(crate) fn batches(limits: Limits, sender: Sender) -> Batches {
    let tasks = Arc::new(Tasks { runtime: Handle::current(), running: Mutex::default() });
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

/// What acquires of mutexes and of slots both say, a column each.
struct Columns<'a> {
    tenants: Vec<&'a str>,
    keys: Vec<&'a str>,
    versions: Vec<&'a str>,
    owners: Vec<&'a str>,
    leases: Vec<i64>,
    data: Vec<Option<&'a str>>,
    replace: Vec<bool>,
    delete: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(asks: &[&'a AcquireRequest]) -> Self {
        Self {
            tenants: asks.iter().map(|r| r.lock.tenant()).collect(),
            keys: asks.iter().map(|r| r.lock.key()).collect(),
            versions: asks.iter().map(|r| r.version.as_str()).collect(),
            owners: asks.iter().map(|r| r.owner.as_str()).collect(),
            leases: asks.iter().map(|r| r.lease_ms).collect(),
            data: asks.iter().map(|r| r.data.as_deref()).collect(),
            replace: asks.iter().map(|r| r.replace_data).collect(),
            delete: asks.iter().map(|r| r.delete_on_release).collect(),
        }
    }
}

impl Sender {
    async fn rows(&self, doing: &str, of: &Statement, params: &[Param<'_>]) -> LockResult<Vec<Row>> {
        self.connections.query_asleep(doing, of, params).await
    }

    /// Renews many; those that could not be renewed on the spot are none.
    pub(crate) async fn renewed(&self, asks: &[RenewRequest]) -> LockResult<Vec<Option<MutexLock>>> {
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
            row.map(|row| Ok(record(&row, 1)?.into_lock(&ask.lock, sent))).transpose()
        };
        asks.iter().zip(rows).map(renewed).collect()
    }

    async fn granted(&self, asks: &[&AcquireRequest]) -> LockResult<Vec<Option<Acquired>>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let sent = Instant::now();
        let Columns { tenants, keys, versions, owners, leases, data, replace, delete } = &Columns::of(asks);
        let params: [Param<'_>; 8] = [tenants, keys, versions, owners, leases, data, replace, delete];
        let rows = self.rows("acquire", &self.statements.acquire_many, &params).await?;
        let rows = by_place(asks.len(), rows)?;
        let granted = |(ask, row): (&&AcquireRequest, Option<Row>)| {
            row.map(|row| Ok(Acquired::Granted(grant(ask, &row)?.into_lock(&ask.lock, sent)))).transpose()
        };
        asks.iter().zip(rows).map(granted).collect()
    }

    async fn slots_granted(&self, asks: &[&AcquireRequest]) -> LockResult<Vec<Option<Acquired>>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let sent = Instant::now();
        let Columns { tenants, keys, versions, owners, leases, data, replace, delete } = &Columns::of(asks);
        let sizes: Vec<Option<i32>> = asks.iter().map(|r| r.max_size.map(signed)).collect();
        let named: Vec<bool> = asks.iter().map(|r| r.named_by_version).collect();
        let fair: Vec<bool> = asks.iter().map(|r| r.fair).collect();
        let head: [Param<'_>; 6] = [tenants, keys, versions, owners, leases, &sizes];
        let tail: [Param<'_>; 6] = [&named, data, replace, delete, &fair, &self.client_id];
        let params = [head, tail].concat();
        let rows = self.rows("acquire", &self.statements.slot_acquire_many, &params).await?;
        let rows = by_place(asks.len(), rows)?;
        let granted = |(ask, row): (&&AcquireRequest, Option<Row>)| {
            row.map(|row| Ok(Acquired::Granted(record(&row, 1)?.into_lock(&ask.lock, sent)))).transpose()
        };
        asks.iter().zip(rows).map(granted).collect()
    }

    async fn released(&self, asks: &[&ReleaseRequest]) -> LockResult<Vec<Option<bool>>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let all = |field: fn(&ReleaseRequest) -> &str| asks.iter().map(|r| field(r)).collect::<Vec<&str>>();
        let (tenants, keys) = (all(|r| r.lock.tenant()), all(|r| r.lock.key()));
        let versions = all(|r| &r.version);
        let delete: Vec<bool> = asks.iter().map(|r| r.delete).collect();
        let data: Vec<Option<&str>> = asks.iter().map(|r| r.data.as_deref()).collect();
        let params: [Param<'_>; 6] = [&tenants, &keys, &versions, &delete, &data, &self.durable_release];
        let rows = self.rows("release", &self.statements.release_many, &params).await?;
        let done = by_place(asks.len(), rows)?;
        Ok(done.into_iter().map(|row| row.map(|_| true)).collect())
    }

    async fn slots_released(&self, asks: &[&ReleaseRequest]) -> LockResult<Vec<Option<bool>>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let all = |field: fn(&ReleaseRequest) -> &str| asks.iter().map(|r| field(r)).collect::<Vec<&str>>();
        let (tenants, keys) = (all(|r| r.lock.tenant()), all(|r| r.lock.key()));
        let slots: Vec<i32> = asks.iter().map(|r| named_slot(&r.lock, &r.mutex_key, &r.version)).collect();
        let versions = all(|r| &r.version);
        let delete: Vec<bool> = asks.iter().map(|r| r.delete).collect();
        let data: Vec<Option<&str>> = asks.iter().map(|r| r.data.as_deref()).collect();
        let params: [Param<'_>; 7] =
            [&tenants, &keys, &slots, &versions, &delete, &data, &self.durable_release];
        let rows = self.rows("release", &self.statements.slot_release_many, &params).await?;
        let done = by_place(asks.len(), rows)?;
        Ok(done.into_iter().map(|row| row.map(|_| true)).collect())
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

impl SendTogether for Sender {
    async fn acquire(&self, asks: &[AcquireRequest]) -> Vec<Reply<LockResult<Acquired>>> {
        let (mutexes, slots) = combine::kinds(asks);
        let (granted, slots_granted) = join(self.granted(&mutexes), self.slots_granted(&slots)).await;
        combine::of_both(
            asks,
            combine::told(mutexes.len(), granted),
            combine::told(slots.len(), slots_granted),
        )
    }

    async fn renew(&self, asks: &[RenewRequest]) -> Vec<Reply<LockResult<MutexLock>>> {
        combine::told(asks.len(), self.renewed(asks).await)
    }

    async fn release(&self, asks: &[ReleaseRequest]) -> Vec<Reply<LockResult<bool>>> {
        let (mutexes, slots) = combine::kinds(asks);
        let (released, slots_released) = join(self.released(&mutexes), self.slots_released(&slots)).await;
        combine::of_both(
            asks,
            combine::told(mutexes.len(), released),
            combine::told(slots.len(), slots_released),
        )
    }

    async fn abandon(&self, lock: &LockId, version: &str) {
        let params: [Param<'_>; 3] = [&lock.tenant(), &lock.key(), &version];
        let statement =
            if lock.is_semaphore() { &self.statements.slot_abandon } else { &self.statements.abandon };
        if let Err(error) = self.rows("abandon", statement, &params).await {
            tracing::warn!(%lock, error = error.chain(), "a grant that nobody waits for lasts until its lease ends");
        }
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

/// An answer that never came, in words.
pub(crate) fn left_out() -> LockError {
    LockError::runtime("a renewal was left unanswered")
}
