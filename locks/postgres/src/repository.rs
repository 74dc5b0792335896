//! [`PostgresRepository`]: the protocol of [`db_locks_core::protocol`], each operation one call of one function.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use db_locks_core::combine::{self, Batches, Limits, Waiters};
use db_locks_core::lock_id::slot_number;
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Waiting,
};
use futures_util::{FutureExt, StreamExt};
use tokio_postgres::Row;

use crate::batch::{self, Sender, can_gather, left_out, within};
use crate::bells::Doorbell;
use crate::codec::{self, Outcome, outcome, record};
use crate::config::{Names, Settings};
use crate::migrations;
use crate::pool::{Connections, Param};
use crate::statements::{Statement, Statements};
use crate::tls;

/// The most renewals in one statement: it holds their rows for its whole length.
const RENEWALS_AT_ONCE: usize = 1_000;
/// The most places that one statement keeps: it holds their rows for its whole length, and a grant deletes one.
const PLACES_AT_ONCE: usize = 250;
/// Of those that could not be renewed with the others so many are asked for at once.
const AT_ONCE: usize = 8;

/// Locks in PostgreSQL 13 or later.
///
/// Parameters of the URL beside the driver's: `sslmode`, `sslrootcert` as in libpq; `prepare=false` behind a transaction
/// pooler that knows no prepared statements (then waiters poll, unless `listen=true`); `durable_release=false` for releases
/// that do not wait for the server's disk; `group_commit=false` for a transaction of its own for every call.
pub struct PostgresRepository {
    connections: Arc<Connections>,
    names: Names,
    pub(crate) statements: Arc<Statements>,
    batches: Batches,
    sender: Sender,
    waiters: Waiters,
    /// No call waits longer for others' batch.
    longest: Duration,
    doorbell: Option<Doorbell>,
    durable_release: bool,
    /// Who this repository is in the table of clients; its channel, if it listens.
    client_id: String,
}

impl std::fmt::Debug for PostgresRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresRepository")
            .field("connections", &self.connections)
            .field("names", &self.names)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl PostgresRepository {
    /// Connects to `config.database_url()` and, unless the configuration forbids it, brings the tables to the newest version.
    ///
    /// Where it is forbidden and they are missing, the first operation says so.
    ///
    /// # Errors
    /// `Validation` for a bad URL or table name; `CurrentlyUnavailable`; `AccessDenied`; what the database says.
    pub async fn connect(config: &LocksConfig) -> LockResult<Arc<Self>> {
        let settings = Settings::new(config)?;
        let tls = tls::connector(&settings).await?;
        let connections = Arc::new(Connections::new(&settings, tls.clone())?);
        let statements = Arc::new(Statements::new(&settings.names));
        let random = new_version().replace('-', "");
        let client_id = format!("{}_{random}", if settings.listen { "dbl" } else { "poll" });
        let sender = || Sender {
            connections: Arc::clone(&connections),
            statements: Arc::clone(&statements),
            durable_release: settings.durable_release,
            client_id: client_id.clone(),
        };
        let limits = if settings.group_commit { Limits::default() } else { Limits::none() };
        let repository = Self {
            batches: batch::batches(limits, sender()),
            sender: sender(),
            waiters: Waiters::default(),
            longest: settings.connect_timeout + 2 * settings.request_timeout,
            connections,
            statements,
            names: settings.names.clone(),
            durable_release: settings.durable_release,
            doorbell: settings.listen.then(|| Doorbell::new(settings, tls, client_id.clone())),
            client_id,
        };
        if config.run_database_migrations() {
            repository.migrate().await?;
        } else {
            repository.ping().await?;
        }
        Ok(Arc::new(repository))
    }

    /// All rows of a statement.
    pub(crate) async fn rows(
        &self,
        doing: &str,
        statement: &Statement,
        params: &[Param<'_>],
    ) -> LockResult<Vec<Row>> {
        self.connections.query(doing, statement, params).await
    }

    /// The one row that a function answers.
    pub(crate) async fn row(
        &self,
        doing: &str,
        statement: &Statement,
        params: &[Param<'_>],
    ) -> LockResult<Row> {
        let rows = self.rows(doing, statement, params).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| LockError::runtime(format!("cannot {doing}: the database answered nothing")))
    }

    async fn send_acquire(&self, request: &AcquireRequest) -> LockResult<Row> {
        let AcquireRequest { lock, version, owner, data, .. } = request;
        let (tenant, key, lease_ms) = (lock.tenant(), lock.key(), request.lease_ms);
        let head: [Param<'_>; 5] = [&tenant, &key, version, owner, &lease_ms];
        let tail: [Param<'_>; 8] = [
            data,
            &request.replace_data,
            &request.delete_on_release,
            &request.reentrant,
            &request.only_if_exists,
            &request.fair,
            &request.wait,
            &self.client_id,
        ];
        if lock.is_semaphore() {
            let max_size = request.max_size.map(signed);
            let middle: [Param<'_>; 2] = [&max_size, &request.named_by_version];
            let params = [&head[..], &middle[..], &tail[..]].concat();
            self.row("acquire", &self.statements.slot_acquire, &params).await
        } else {
            self.row("acquire", &self.statements.acquire, &[&head[..], &tail[..]].concat()).await
        }
    }

    async fn acquire_alone(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let sent = Instant::now();
        let bell = self.doorbell.as_ref().filter(|_| request.wait && request.fair);
        if let Some(bell) = bell {
            bell.hang(&request.version);
        }
        let row = self.send_acquire(request).await?;
        let outcome = outcome(&row)?;
        if let Some(bell) = bell {
            match outcome {
                Outcome::Refused => bell.listen(),
                _ => bell.take_down(&request.version),
            }
        }
        match outcome {
            Outcome::Done => Ok(Acquired::Granted(record(&row, 1)?.into_lock(&request.lock, sent))),
            Outcome::Refused => Ok(Acquired::Busy(codec::busy(&row)?)),
            Outcome::QueueFull => {
                Err(LockError::in_use(format!("too many wait for {} already", request.lock)))
            }
            _ => Err(absent(&request.lock)),
        }
    }

    async fn renew_alone(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let sent = Instant::now();
        let RenewRequest { lock, version, new_version, lease_ms, data, .. } = request;
        let (tenant, key) = (lock.tenant(), lock.key());
        let slot = named_slot(lock, &request.mutex_key, version);
        let statement =
            if lock.is_semaphore() { &self.statements.slot_renew } else { &self.statements.renew };
        let params: [Param<'_>; 7] = [&tenant, &key, &slot, version, new_version, lease_ms, data];
        renewed(request, &self.row("renew", statement, &params).await?, sent)
    }

    async fn release_alone(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let ReleaseRequest { lock, version, delete, data, .. } = request;
        let (tenant, key) = (lock.tenant(), lock.key());
        let slot = named_slot(lock, &request.mutex_key, version);
        let statement =
            if lock.is_semaphore() { &self.statements.slot_release } else { &self.statements.release };
        let params: [Param<'_>; 7] = [&tenant, &key, &slot, version, delete, data, &self.durable_release];
        match outcome(&self.row("release", statement, &params).await?)? {
            Outcome::Done => Ok(true),
            Outcome::Refused => Ok(false),
            _ => Err(absent(lock)),
        }
    }
}

/// What a renew function answered.
fn renewed(request: &RenewRequest, row: &Row, sent: Instant) -> LockResult<MutexLock> {
    match outcome(row)? {
        Outcome::Done => Ok(record(row, 1)?.into_lock(&request.lock, sent)),
        _ => Err(not_current(&request.lock, &request.version)),
    }
}

pub(crate) fn not_current(lock: &LockId, version: &str) -> LockError {
    LockError::not_found(format!("{lock} is not held under the version {version:?}"))
}

pub(crate) fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("there is no {lock}"))
}

/// The answer of a function that deletes.
pub(crate) fn deleted(lock: &LockId, version: &str, row: &Row) -> LockResult<usize> {
    match outcome(row)? {
        Outcome::Done => Ok(1),
        Outcome::InUse => Err(LockError::in_use(format!("{lock} is held and cannot be deleted"))),
        _ => Err(LockError::not_found(format!("there is no {lock} at version {version:?}"))),
    }
}

/// Sizes and slots are far below the limit of either type.
pub(crate) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The slot that a caller's key names: its number, -1 when it names none (the bare key, the key by version), and -2 when
/// it cannot be a key of this lock. See [`db_locks_core::protocol::key_means_slot`].
pub(crate) fn named_slot(lock: &LockId, mutex_key: &str, version: &str) -> i32 {
    if mutex_key == lock.key() {
        return -1;
    }
    if mutex_key.strip_prefix(lock.key()).and_then(|rest| rest.strip_prefix('_')) == Some(version) {
        return -1;
    }
    match lock.semaphore_key().and_then(|key| slot_number(mutex_key, key)) {
        Some(slot) => signed(slot),
        None => -2,
    }
}

#[async_trait]
impl LockRepository for PostgresRepository {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: self.doorbell.is_some(),
        }
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        migrations::run(&self.connections, &self.names).await
    }

    async fn ping(&self) -> LockResult<()> {
        self.connections.ping().await
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let alone = async {
            let answer = self.acquire_alone(request).await;
            self.waiters.answered(request, &answer);
            answer
        };
        if !can_gather(request) || self.waiters.knows(request) {
            return alone.await;
        }
        self.batches.acquires.call(request, |answer| within(self.longest, answer), alone).await
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let alone = self.renew_alone(request);
        self.batches.renewals.call(request, |answer| within(self.longest, answer), alone).await
    }

    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let mut replies = Vec::with_capacity(requests.len());
        for some in requests.chunks(RENEWALS_AT_ONCE) {
            match self.sender.renewed(some).await {
                Ok(renewed) => replies.extend(renewed.into_iter().map(|renewed| renewed.map(Ok))),
                // It may be for the sake of one of them.
                Err(LockError::Database { .. }) => replies.extend(some.iter().map(|_| None)),
                Err(error) => replies.extend(some.iter().map(|_| Some(Err(error.duplicate())))),
            }
        }
        // What is gone, or somebody else is at, is asked for by itself, so that it holds nobody up.
        let missing = replies.iter().zip(requests).enumerate().filter(|(_, (reply, _))| reply.is_none());
        // Boxed, since the compiler cannot name the lifetime of such a closure's future.
        let again: Vec<_> = missing
            .map(|(place, (_, request))| {
                // The others' answers wait for this one: not for long.
                let alone = tokio::time::timeout(combine::patience(requests), self.renew_alone(request));
                async move { (place, alone.await.unwrap_or_else(|_| Err(combine::too_late(&request.lock)))) }
                    .boxed()
            })
            .collect();
        let mut again = futures_util::stream::iter(again).buffer_unordered(AT_ONCE);
        while let Some((place, reply)) = again.next().await {
            replies[place] = Some(reply);
        }
        drop(again);
        replies.into_iter().map(|reply| reply.unwrap_or_else(|| Err(left_out()))).collect()
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let alone = self.release_alone(request);
        let slot = named_slot(&request.lock, &request.mutex_key, &request.version);
        // What names no slot of this lock, or a slot of a mutex, is refused.
        if slot == -2 || (slot != -1 && !request.lock.is_semaphore()) {
            return alone.await;
        }
        self.batches.releases.call(request, |answer| within(self.longest, answer), alone).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.waiters.gone(version);
        if let Some(bell) = &self.doorbell {
            bell.take_down(version);
        }
        let statement =
            if lock.is_semaphore() { &self.statements.slot_abandon } else { &self.statements.abandon };
        self.rows("abandon", statement, &[&lock.tenant(), &lock.key(), &version]).await?;
        Ok(())
    }

    async fn beat(&self, _: &[LockId]) -> LockResult<()> {
        self.rows("show life", &self.statements.beat, &[&self.client_id]).await?;
        Ok(())
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let mut all: Vec<(&str, &str, &str, &str)> = Vec::new();
        for Waiting { lock, versions } in waiting {
            let (semaphore, mutex) = if lock.is_semaphore() { (lock.key(), "") } else { ("", lock.key()) };
            all.extend(versions.iter().map(|version| (lock.tenant(), semaphore, mutex, version.as_str())));
        }
        let mut lost = Vec::new();
        for some in all.chunks(PLACES_AT_ONCE) {
            let tenants: Vec<&str> = some.iter().map(|place| place.0).collect();
            let semaphores: Vec<&str> = some.iter().map(|place| place.1).collect();
            let mutexes: Vec<&str> = some.iter().map(|place| place.2).collect();
            let tickets: Vec<&str> = some.iter().map(|place| place.3).collect();
            let params: [Param<'_>; 4] = [&tenants, &semaphores, &mutexes, &tickets];
            for row in self.rows("keep places", &self.statements.keep_places, &params).await? {
                lost.push(codec::read(&row, 0)?);
            }
        }
        Ok(lost)
    }

    async fn rung(&self, version: &str) {
        match &self.doorbell {
            Some(bell) => bell.rung(version).await,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl MutexRepository for PostgresRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let id = LockId::mutex(&mutex.tenant_id, &mutex.mutex_key)?;
        if mutex.semaphore_key.is_some() {
            return Err(LockError::validation("semaphore_key", "slots are created with their semaphore"));
        }
        let (tenant, key) = (id.tenant(), id.key());
        let MutexLock { version, lease_duration_ms, data, delete_on_release, .. } = mutex;
        let params: [Param<'_>; 6] = [&tenant, &key, version, lease_duration_ms, data, delete_on_release];
        Ok(self.rows("create the mutex", &self.statements.create_mutex, &params).await?.len())
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        let sent = Instant::now();
        let rows =
            self.rows("read the mutex", &self.statements.get_mutex, &[&lock.tenant(), &lock.key()]).await?;
        let row = rows.first().ok_or_else(|| absent(lock))?;
        Ok(record(row, 0)?.into_lock(lock, sent))
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let params: [Param<'_>; 3] = [&lock.tenant(), &lock.key(), &version];
        deleted(lock, version, &self.row("delete the mutex", &self.statements.delete_mutex, &params).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_slots() {
        let pool = LockId::semaphore("t", "one").unwrap();
        assert_eq!(named_slot(&pool, "one", "v"), -1);
        assert_eq!(named_slot(&pool, "one_v", "v"), -1);
        assert_eq!(named_slot(&pool, "one_0000000003", "v"), 3);
        assert_eq!(named_slot(&pool, "one_w", "v"), -2);
        assert_eq!(named_slot(&pool, "two_0000000003", "v"), -2);
        let mutex = LockId::mutex("t", "one").unwrap();
        assert_eq!(named_slot(&mutex, "one", "v"), -1);
        assert_eq!(named_slot(&mutex, "one_0000000003", "v"), -2);
    }
}
