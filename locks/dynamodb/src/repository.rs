//! [`DynamoRepository`]: the calls to DynamoDB that everything else is made of, and the traits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use db_locks_core::eager::Eager;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Semaphore, SemaphoreRepository, Waiting,
};
use futures_util::{FutureExt, StreamExt};

use crate::codec::{self, CLIENT_DIGITS, Item, Ticket, wall_us};
use crate::error::from_sdk;
use crate::migrations;
use crate::observe::{Observations, Sight};
use crate::reads::SharedReads;
use crate::renewals::Batches;
use crate::statements::{Burial, Update, s};

/// Requests of one call that are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// Mutexes and semaphores in two DynamoDB tables.
///
/// To DynamoDB each repository is a client of its own, with its own observations of who is dead; so make one and share it.
pub struct DynamoRepository {
    pub(crate) client: Client,
    pub(crate) mutexes: String,
    semaphores: String,
    consistent_reads: bool,
    /// No call makes new requests after that long; each request has this limit too.
    pub(crate) call_limit: Duration,
    /// The name of this client in queues.
    pub(crate) me: String,
    pub(crate) seen: Observations,
    pub(crate) reads: SharedReads,
    last_stamp: AtomicU64,
    pub(crate) eager: Eager,
    pub(crate) batches: Batches,
}

impl std::fmt::Debug for DynamoRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoRepository")
            .field("mutexes", &self.mutexes)
            .field("semaphores", &self.semaphores)
            .field("consistent_reads", &self.consistent_reads)
            .finish_non_exhaustive()
    }
}

/// What came of a conditional write.
pub(crate) enum Answer {
    /// Written; the item as it is now (empty for quiet updates), and when the request was sent.
    Done(Item, Instant),
    /// The condition did not hold; the item as it is.
    Refused(Item),
}

impl Answer {
    /// The item as it is, either way.
    pub(crate) fn item(self) -> Item {
        match self {
            Self::Done(item, _) | Self::Refused(item) => item,
        }
    }
}

impl DynamoRepository {
    /// Connects as `config` and the environment say, and creates missing tables unless the configuration forbids it.
    ///
    /// # Errors
    /// `Validation` for bad names, endpoints or a missing region; `CurrentlyUnavailable`; `AccessDenied`; `Database`.
    pub async fn connect(config: &LocksConfig) -> LockResult<Arc<Self>> {
        let mut me = uuid::Uuid::new_v4().simple().to_string();
        me.truncate(CLIENT_DIGITS);
        let repository = Self {
            client: crate::config::client(config).await?,
            mutexes: config.mutexes_table_name().to_string(),
            semaphores: config.semaphores_table_name().to_string(),
            consistent_reads: config.ddb_read_consistency(),
            call_limit: config.request_timeout(),
            me,
            seen: Observations::default(),
            reads: SharedReads::default(),
            last_stamp: AtomicU64::new(0),
            eager: Eager::default(),
            batches: Batches::default(),
        };
        if config.run_database_migrations() {
            repository.migrate().await?;
        }
        Ok(Arc::new(repository))
    }

    pub(crate) fn table(&self, lock: &LockId) -> &str {
        if lock.is_semaphore() { &self.semaphores } else { &self.mutexes }
    }

    /// A sign of life: this machine's clock, but always greater than the last.
    pub(crate) fn stamp(&self) -> u64 {
        let now = u64::try_from(wall_us()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last_stamp.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(now, |last| now.max(last + 1))
    }

    /// This client's ticket for an acquisition.
    pub(crate) fn ticket(&self, version: &str) -> Ticket {
        Ticket { client: self.me.clone(), version: version.to_string() }
    }

    /// What an item that has just arrived means to this process.
    pub(crate) fn look(&self, lock: &LockId, item: &Item) -> Sight {
        self.seen.look(lock, item, &self.me, Instant::now())
    }

    /// Reads a lock's item; an absent one is empty.
    pub(crate) async fn read(&self, lock: &LockId) -> LockResult<(Item, Instant)> {
        let (table, sent) = (self.table(lock), Instant::now());
        let request = self.client.get_item().table_name(table).key("pk", s(lock.encoded()));
        let request = request.consistent_read(self.consistent_reads);
        let reply = self.eager.wait(request.send(), tokio::task::yield_now).await;
        let output = reply.map_err(|error| from_sdk(&format!("read the {lock}"), table, error))?;
        Ok((codec::item(output.item)?, sent))
    }

    /// Sends a conditional update.
    pub(crate) async fn update(&self, lock: &LockId, update: Update) -> LockResult<Answer> {
        let (table, sent) = (self.table(lock), Instant::now());
        let request = self
            .client
            .update_item()
            .table_name(table)
            .key("pk", s(lock.encoded()))
            .update_expression(update.action())
            .condition_expression(update.condition())
            .return_values(update.returns())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_expression_attribute_values(Some(update.values));
        match self.eager.wait(request.send(), tokio::task::yield_now).await {
            Ok(output) => Ok(Answer::Done(codec::item(output.attributes)?, sent)),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = error.into_err() else {
                    return Ok(Answer::Refused(Item::default()));
                };
                Ok(Answer::Refused(codec::item(refusal.item)?))
            }
            Err(error) => Err(from_sdk(&format!("change the {lock}"), table, error)),
        }
    }

    /// Replaces a semaphore by its tombstone.
    pub(crate) async fn bury(&self, lock: &LockId, burial: Burial) -> LockResult<Answer> {
        let (table, sent) = (self.table(lock), Instant::now());
        let request = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(burial.tombstone))
            .condition_expression(burial.guard.condition())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_expression_attribute_values(Some(burial.guard.values));
        match request.send().await {
            Ok(_) => Ok(Answer::Done(Item::default(), sent)),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refusal) = error.into_err() else {
                    return Ok(Answer::Refused(Item::default()));
                };
                Ok(Answer::Refused(codec::item(refusal.item)?))
            }
            Err(error) => Err(from_sdk(&format!("delete the {lock}"), table, error)),
        }
    }

    /// What to say of a lock that others change faster than this process can decide.
    pub(crate) fn too_busy(&self, lock: &LockId) -> LockError {
        LockError::in_use(format!("the {lock} changes too fast: every try lost a race"))
    }
}

#[async_trait]
impl LockRepository for DynamoRepository {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: false,
            shared_between_processes: true,
            survives_restart: true,
            push: false,
        }
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        if self.mutexes == self.semaphores {
            // Keys of both kinds never meet, so one table will do.
            let created = migrations::migrate(&self.client, &[&self.mutexes]).await?;
            return Ok(created);
        }
        migrations::migrate(&self.client, &[&self.mutexes, &self.semaphores]).await
    }

    async fn ping(&self) -> LockResult<()> {
        let request = self.client.get_item().table_name(&self.mutexes).key("pk", s("ping"));
        match request.projection_expression("pk").send().await {
            Ok(_) => Ok(()),
            // An answer, and a sign of life.
            Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => Ok(()),
            Err(error) => Err(from_sdk("reach it", &self.mutexes, error)),
        }
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        self.acquire_slot(request).await
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        self.renew_slot(request).await
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        self.release_slot(request).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.abandon_ticket(lock, version).await
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        // Boxed, since the compiler cannot name the lifetime of such a closure's future.
        let beats: Vec<_> = locks.iter().map(|lock| self.show_life(lock).boxed()).collect();
        let mut beats = futures_util::stream::iter(beats).buffer_unordered(AT_ONCE);
        let mut outcome = Ok(());
        while let Some(beat) = beats.next().await {
            // The others shall live, whatever became of one.
            outcome = outcome.and(beat);
        }
        outcome
    }

    /// Costs no request: a beat brings the whole item, and so tells who is in the queue.
    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let now = Instant::now();
        Ok(waiting.iter().flat_map(|waiting| self.seen.keep(&waiting.lock, &waiting.versions, now)).collect())
    }

    /// Batches of statements; what a batch does not answer is renewed by itself.
    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        self.renew_all(requests).await
    }
}

#[async_trait]
impl MutexRepository for DynamoRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        self.create_free_mutex(mutex).await
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        self.read_mutex(lock).await
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        self.delete_free_mutex(lock, version).await
    }
}

#[async_trait]
impl SemaphoreRepository for DynamoRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        self.create_or_resize(semaphore).await
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        self.read_semaphore(lock).await
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        self.read_slots(lock).await
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        self.delete_free_semaphore(lock, version).await
    }
}
