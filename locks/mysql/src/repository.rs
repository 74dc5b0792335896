//! [`MysqlRepository`]: the traits of `db-locks-core`, one statement a call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use db_locks_core::combine::{self, Batches, Waiters};
use db_locks_core::protocol::CLIENT_TTL_MS;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, ErrorKind, LockError, LockId, LockKind, LockRepository,
    LockResult, LocksConfig, MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Semaphore,
    SemaphoreRepository, Waiting,
};
use mysql_async::{Row, Value};

use crate::batch::{self, can_gather, within};
use crate::codec;
use crate::config::Settings;
use crate::error::Task;
use crate::handle::{is_handle_of, mutex_key_param, row_of};
use crate::migrations;
use crate::pool::Answer;
use crate::server::Server;
use crate::statements::{Statements, append_call};
use crate::together::queue_of;

/// The most renewals in one transaction, so that others are not kept waiting for long.
const RENEWALS: usize = 256;
/// The most bytes of SQL in one message.
const BATCH_BYTES: usize = 1024 * 1024;

/// Mutexes and semaphores in MySQL or MariaDB.
///
/// Connections are opened when they are needed and closed when the repository is dropped. It belongs to the runtime that
/// it was made in.
pub struct MysqlRepository {
    server: Arc<Server>,
    batches: Batches,
    waiters: Waiters,
    /// Names this repository among the processes that wait.
    client_id: String,
}

impl fmt::Debug for MysqlRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlRepository")
            .field("place", &self.server.settings.place)
            .field("tables", &self.server.settings.tables)
            .finish_non_exhaustive()
    }
}

impl MysqlRepository {
    /// Connects to the server that [`LocksConfig::database_url`] names (`mysql://user:password@host:3306/database`, or
    /// `mariadb://`), and makes tables and procedures if the configuration allows it.
    ///
    /// # Errors
    /// `Validation` for another URL or bad table names; `CurrentlyUnavailable` when the server cannot be reached in time;
    /// `AccessDenied` for a wrong password or without rights. Tables that are missing and must not be made are an error of the first call.
    pub async fn connect(config: &LocksConfig) -> LockResult<Arc<Self>> {
        let mut settings = Settings::new(config)?;
        settings.read_files().await?;
        if settings.opts.ssl_opts().is_some() {
            // Without a choice of ours the driver's TLS panics when somebody else has compiled in a second provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let server = Arc::new(Server::new(settings));
        let client_id = db_locks_core::models::new_version();
        let repository = Arc::new(Self {
            batches: batch::batches(&server, &client_id),
            waiters: Waiters::default(),
            server,
            client_id,
        });
        if repository.server.settings.migrate {
            repository.migrate().await?;
        }
        repository.check().await?;
        Ok(repository)
    }

    /// No call waits longer for others' batches: the one that is on its way, and its own.
    fn longest(&self) -> Duration {
        2 * self.server.settings.request_timeout
    }

    pub(crate) fn sql(&self) -> &Statements {
        &self.server.sql
    }

    /// That the tables are there and the clock is one, and that what the dead left is swept away.
    async fn check(&self) -> LockResult<()> {
        let task = Task::general("looking at the tables");
        for sql in &self.sql().purge {
            match self.execute(task, sql, vec![]).await {
                // Locks work without: somebody else can sweep. Tables that are not there yet may still be made, by `migrate`.
                Err(error) if matches!(error.kind(), ErrorKind::AccessDenied | ErrorKind::Database) => {
                    tracing::debug!(error = error.chain(), "what the dead left was not swept away");
                }
                swept => drop(swept?),
            }
        }
        let look = "SELECT SLEEP(0.001), SYSDATE(6) > NOW(6), VERSION() LIKE '%MariaDB%'";
        let mut look = self.execute(task, look, vec![]).await?.rows.pop();
        let mut say = |column: usize| look.as_mut().and_then(|row| row.take::<i64, _>(column));
        self.server.knows_blocks.store(say(2) == Some(1), Ordering::Relaxed);
        if say(1) == Some(0) {
            return Err(LockError::runtime(format!(
                "{}: the server runs with sysdate-is-now, so it cannot tell what time it is once it has waited for a row",
                self.server.settings.place
            )));
        }
        Ok(())
    }

    pub(crate) async fn execute(&self, task: Task<'_>, sql: &str, params: Vec<Value>) -> LockResult<Answer> {
        self.server.execute(task, sql, params).await
    }

    async fn acquire_alone(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let lock = &request.lock;
        let sql = if lock.is_semaphore() { &self.sql().take_slot } else { &self.sql().take };
        let params = take_params(request, flags(request), &self.client_id);
        let answer = self.execute(Task::on("acquiring", lock), sql, params).await?;
        codec::taken(answer.rows, request, answer.sent)
    }

    async fn renew_alone(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        if !is_handle_of(&request.lock, &request.mutex_key, &request.version) {
            return renewed(request, vec![], Instant::now());
        }
        let task = Task::on("renewing", &request.lock);
        let answer = self.execute(task, &self.sql().renew, renew_params(request).into()).await?;
        renewed(request, answer.rows, answer.sent)
    }

    async fn release_alone(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let lock = &request.lock;
        let params = vec![
            lock.tenant().into(),
            lock.semaphore_key().unwrap_or_default().into(),
            mutex_key_param(lock, &request.mutex_key, &request.version),
            request.version.as_str().into(),
            request.delete.into(),
            request.data.as_deref().into(),
        ];
        let answer = self.execute(Task::on("releasing", lock), &self.sql().release, params).await?;
        if answer.rows.is_empty() && answer.affected == 1 {
            return Ok(true);
        }
        match codec::status(answer.rows)? {
            1 => Ok(true),
            0 => Ok(false),
            _ => Err(absent(lock)),
        }
    }

    /// Renews in one transaction, which is one message. What could not be renewed on the spot is none.
    async fn renew_batch(&self, requests: &[&RenewRequest]) -> LockResult<Vec<Option<MutexLock>>> {
        if requests.iter().all(|request| can_renew_together(request)) {
            let requests: Vec<RenewRequest> = requests.iter().map(|request| (*request).clone()).collect();
            return batch::renew(&self.server, &requests).await;
        }
        let mut sql = String::from("START TRANSACTION;");
        for request in requests {
            append_call(&mut sql, &self.sql().renew_procedure, &renew_params(request));
            sql.push(';');
        }
        sql.push_str("COMMIT");
        let sent = Instant::now();
        let mut results = self.server.batch(Task::general("renewing many"), &sql).await?.into_iter();
        let renewed =
            |request: &&RenewRequest| renewed(request, results.next().unwrap_or_default(), sent).ok();
        Ok(requests.iter().map(renewed).collect())
    }
}

/// Whether this names its row.
fn can_renew_together(request: &RenewRequest) -> bool {
    row_of(&request.lock, &request.mutex_key, &request.version).is_some()
}

/// What the procedures for acquires are called with.
pub(crate) fn take_params(request: &AcquireRequest, flags: i32, client_id: &str) -> Vec<Value> {
    let lock = &request.lock;
    let mut params: Vec<Value> = vec![
        lock.tenant().into(),
        lock.key().into(),
        request.version.as_str().into(),
        request.owner.as_str().into(),
        request.lease_ms.into(),
    ];
    if lock.is_semaphore() {
        params.push(request.max_size.into());
    }
    params.extend([request.data.as_deref().into(), flags.into(), client_id.into()]);
    params
}

/// The flag of a request that waits.
const WAIT: i32 = 32;
/// The flag of a call within a transaction of the caller's.
const WITHIN: i32 = 64;

/// What a call in a batch is told: who is refused asks again by himself, and takes his place in the queue then.
pub(crate) fn flags_in_batch(request: &AcquireRequest) -> i32 {
    flags(request) & !WAIT | WITHIN
}

/// The yes and no of a request, as the procedures know it.
fn flags(request: &AcquireRequest) -> i32 {
    let bits = [
        (request.replace_data, 1),
        (request.delete_on_release, 2),
        (request.reentrant, 4),
        (request.only_if_exists, 8),
        (request.fair, 16),
        (request.wait, WAIT),
        (request.named_by_version, 128),
    ];
    bits.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()
}

fn renew_params(request: &RenewRequest) -> [Value; 7] {
    let lock = &request.lock;
    [
        lock.tenant().into(),
        lock.semaphore_key().unwrap_or_default().into(),
        mutex_key_param(lock, &request.mutex_key, &request.version),
        request.version.as_str().into(),
        request.new_version.as_str().into(),
        request.lease_ms.into(),
        request.data.as_deref().into(),
    ]
}

/// The row after a renewal: renewed, if it has the new version and is held.
fn renewed(request: &RenewRequest, rows: Vec<Row>, sent: Instant) -> LockResult<MutexLock> {
    match codec::slot(rows)? {
        Some(slot) if slot.version == request.new_version && slot.is_held() => {
            Ok(slot.into_lock(&request.lock, sent))
        }
        _ => Err(LockError::not_found(format!("{}: this version does not hold it (any more)", request.lock))),
    }
}

fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("{lock} does not exist"))
}

/// Refuses, before the database is asked, what was meant for the other kind.
fn expect(lock: &LockId, kind: LockKind) -> LockResult<()> {
    if lock.kind() == kind {
        return Ok(());
    }
    Err(LockError::validation("key", format!("{lock} is not of the kind that was asked for")))
}

#[async_trait]
impl LockRepository for MysqlRepository {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: false,
        }
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        migrations::apply(&self.server.pool, &self.server.settings).await
    }

    async fn ping(&self) -> LockResult<()> {
        self.execute(Task::general("asking for a sign of life"), "DO 1", vec![]).await.map(drop)
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let alone = async {
            let answer = self.acquire_alone(request).await;
            self.waiters.answered(request, &answer);
            answer
        };
        match can_gather(request) && !self.waiters.knows(request) {
            true => self.batches.acquires.call(request, |answer| within(self.longest(), answer), alone).await,
            false => alone.await,
        }
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let alone = self.renew_alone(request);
        match can_renew_together(request) {
            true => self.batches.renewals.call(request, |answer| within(self.longest(), answer), alone).await,
            false => alone.await,
        }
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let alone = self.release_alone(request);
        let usual = !request.delete && row_of(&request.lock, &request.mutex_key, &request.version).is_some();
        match usual {
            true => self.batches.releases.call(request, |answer| within(self.longest(), answer), alone).await,
            false => alone.await,
        }
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.waiters.gone(version);
        let [semaphore, mutex] = queue_of(lock);
        let params = vec![lock.tenant().into(), semaphore.into(), mutex.into(), version.into()];
        self.execute(Task::on("abandoning", lock), &self.sql().abandon, params).await.map(drop)
    }

    async fn beat(&self, _locks: &[LockId]) -> LockResult<()> {
        // All waiters of this process share one row.
        let ttl_us = Value::Int(CLIENT_TTL_MS * 1_000);
        let params = vec![self.client_id.as_str().into(), ttl_us.clone(), ttl_us];
        self.execute(Task::general("showing life"), &self.sql().beat, params).await.map(drop)
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let mut places: Vec<(&LockId, &str)> = Vec::new();
        for Waiting { lock, versions } in waiting {
            places.extend(versions.iter().map(|version| (lock, version.as_str())));
        }
        let mut lost = Vec::new();
        for some in places.chunks(batch::MOST) {
            lost.extend(batch::keep_places(&self.server, some).await?);
        }
        Ok(lost)
    }

    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        // Those that are looked for by their versions come last, in the order of the table: so two processes that do this cannot deadlock.
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|place| {
            let request = &requests[*place];
            (!can_renew_together(request), &request.lock, &request.mutex_key)
        });
        let named = order.partition_point(|place| can_renew_together(&requests[*place]));
        let (named, looked_for) = order.split_at(named);
        let mut replies: Vec<Option<LockResult<MutexLock>>> = requests.iter().map(|_| None).collect();
        for places in batches(requests, named).into_iter().chain(batches(requests, looked_for)) {
            let batch: Vec<&RenewRequest> = places.iter().map(|place| &requests[*place]).collect();
            let outcome = match batch.len() {
                0 | 1 => Ok(Vec::new()),
                _ => self.renew_batch(&batch).await,
            };
            let renewed: Vec<_> = match outcome {
                Ok(renewed) => renewed.into_iter().map(|renewed| renewed.map(Ok)).collect(),
                // It may be for the sake of one of them, and must not keep the others from being renewed.
                Err(LockError::Database { .. }) => Vec::new(),
                Err(error) => places.iter().map(|_| Some(Err(error.duplicate()))).collect(),
            };
            for (place, reply) in places.iter().zip(renewed) {
                replies[*place] = reply;
            }
        }
        for (place, request) in requests.iter().enumerate() {
            if replies[place].is_none() {
                // The others' answers wait for this one: not for long.
                let alone = tokio::time::timeout(combine::patience(requests), self.renew_alone(request));
                replies[place] = Some(alone.await.unwrap_or_else(|_| Err(combine::too_late(&request.lock))));
            }
        }
        let unanswered = || Err(LockError::runtime("a renewal was left unanswered"));
        replies.into_iter().map(|reply| reply.unwrap_or_else(unanswered)).collect()
    }

    fn poll_ms(&self) -> (u64, u64) {
        // A look that finds nothing new writes nothing.
        (2, 10)
    }
}

/// Cuts `order` so that no batch has too many requests or too much data.
fn batches<'a>(requests: &[RenewRequest], order: &'a [usize]) -> Vec<&'a [usize]> {
    let mut batches = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (end, place) in order.iter().enumerate() {
        // Hexadecimal digits: two for a byte.
        let size = 1_024 + 2 * requests[*place].data.as_ref().map_or(0, String::len);
        if end > begin && (end - begin >= RENEWALS || bytes + size > BATCH_BYTES) {
            batches.push(&order[begin..end]);
            (begin, bytes) = (end, 0);
        }
        bytes += size;
    }
    if begin < order.len() {
        batches.push(&order[begin..]);
    }
    batches
}

#[async_trait]
impl MutexRepository for MysqlRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let lock = mutex.lock_id()?;
        expect(&lock, LockKind::Mutex)?;
        let values: [Value; 4] = [
            mutex.version.as_str().into(),
            mutex.lease_duration_ms.into(),
            mutex.data.as_deref().into(),
            mutex.delete_on_release.into(),
        ];
        let mut params = vec![lock.tenant().into(), lock.key().into()];
        params.extend(values.clone());
        params.extend(values);
        let answer = self.execute(Task::on("creating", &lock), &self.sql().create_mutex, params).await?;
        // 1: a new row; 2: a tombstone that came to life; 0: nothing was changed.
        Ok(usize::from(answer.affected > 0))
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        expect(lock, LockKind::Mutex)?;
        let params = vec![lock.tenant().into(), lock.key().into()];
        let answer = self.execute(Task::on("reading", lock), &self.sql().get_mutex, params).await?;
        codec::slot(answer.rows)?.map(|slot| slot.into_lock(lock, answer.sent)).ok_or_else(|| absent(lock))
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        expect(lock, LockKind::Mutex)?;
        self.delete(lock, &self.sql().delete_mutex, version).await
    }
}

#[async_trait]
impl SemaphoreRepository for MysqlRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let lock = semaphore.lock_id()?;
        let params = vec![
            lock.tenant().into(),
            lock.key().into(),
            semaphore.version.as_str().into(),
            semaphore.max_size.into(),
            semaphore.lease_duration_ms.into(),
            semaphore.fair_semaphore.into(),
        ];
        let answer = self.execute(Task::on("creating", &lock), &self.sql().put_semaphore, params).await?;
        match codec::status(answer.rows)? {
            1 => Ok(1),
            _ => Err(LockError::in_use(format!(
                "{lock}: a slot numbered {} or above is held",
                semaphore.max_size
            ))),
        }
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        expect(lock, LockKind::Semaphore)?;
        let params = vec![lock.tenant().into(), lock.key().into()];
        let answer = self.execute(Task::on("reading", lock), &self.sql().get_semaphore, params).await?;
        codec::semaphore(answer.rows, lock)?.ok_or_else(|| absent(lock))
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        expect(lock, LockKind::Semaphore)?;
        let params = vec![lock.tenant().into(), lock.key().into()];
        let answer = self.execute(Task::on("reading", lock), &self.sql().get_slots, params).await?;
        codec::slots(answer.rows, lock, answer.sent)?.ok_or_else(|| absent(lock))
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        expect(lock, LockKind::Semaphore)?;
        self.delete(lock, &self.sql().delete_semaphore, version).await
    }
}

impl MysqlRepository {
    async fn delete(&self, lock: &LockId, sql: &str, version: &str) -> LockResult<usize> {
        let params = vec![lock.tenant().into(), lock.key().into(), version.into()];
        let answer = self.execute(Task::on("deleting", lock), sql, params).await?;
        match codec::status(answer.rows)? {
            1 => Ok(1),
            0 => Err(LockError::in_use(format!("{lock} is held"))),
            _ => Err(LockError::not_found(format!("{lock} does not exist, or not at this version"))),
        }
    }
}
