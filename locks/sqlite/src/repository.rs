//! [`SqliteRepository`]: the traits of `db-locks-core`, each call handed to the writer's thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use db_locks_core::eager::Callers;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest, Semaphore, SemaphoreRepository, Waiting,
};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, SystemClock};
use crate::config::{Place, Tables};
use crate::error::{Fault, Step};
use crate::session::{Session, Settings};
use crate::spin::Spin;
use crate::writer::{self, Access, BACKLOG, Counters, Job, Request, Shared};
use crate::{acquire, admin, keep, queue};

/// The most renewals in one transaction, so that others are not kept waiting for long.
const RENEWALS: usize = 256;
/// The most places that one request keeps, so that others are not kept waiting for long.
const PLACES: usize = 256;

/// What tests and measurements turn: everybody else takes the defaults.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The clocks of the machine. All processes that share a file must have the same.
    pub clock: Arc<dyn Clock>,
    /// The most pages (4 KiB) that the file may have: one more is a full disk.
    pub max_page_count: Option<u32>,
    /// Whether every commit waits for the disk. Leases need it not (see the README); what else is in the file may.
    pub synced: bool,
    /// Texts that are replaced in every statement, to see that tests notice it.
    pub replace_in_sql: Vec<(String, String)>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            max_page_count: None,
            synced: false,
            replace_in_sql: Vec::new(),
        }
    }
}

/// How well group commit works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered.
    pub requests: u64,
    /// Transactions that they took.
    pub transactions: u64,
}

/// Mutexes and semaphores in a SQLite file, or in memory.
///
/// A clone of the `Arc` shares the connection. The thread behind it ends, and closes the file, when the last is dropped.
///
/// ```
/// use db_locks_core::{LockRepository, LocksConfig};
/// use db_locks_sqlite::SqliteRepository;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> db_locks_core::LockResult<()> {
/// let mut config = LocksConfig::new("test_tenant");
/// config.database_url = Some("sqlite::memory:".to_string());
/// let repository = SqliteRepository::connect(&config).await?;
/// repository.ping().await?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteRepository {
    place: Place,
    // Dropped before the queue: so the thread is the last who has it, and closes the file.
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Box<dyn Job>>,
    counters: Arc<Counters>,
    request_timeout: Duration,
    spin: Spin,
    callers: Callers,
}

impl fmt::Debug for SqliteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRepository")
            .field("place", &self.place.to_string())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl SqliteRepository {
    /// Opens the database that [`LocksConfig::database_url`] names (`sqlite:path`, `sqlite:///abs/path`,
    /// `sqlite::memory:`, a path that ends in `.db` or `.sqlite`), and creates the file and the tables if it may.
    /// Each in-memory database is private to its repository.
    ///
    /// # Errors
    /// `Validation` for another URL or bad table names; `CurrentlyUnavailable` when the file cannot be opened, or is
    /// locked by others for all of the connect timeout; `AccessDenied` without rights; `Database` for a file that is no database.
    pub async fn connect(config: &LocksConfig) -> LockResult<Arc<Self>> {
        Self::connect_with(config, SqliteOptions::default()).await
    }

    /// As [`Self::connect`], with other clocks or limits.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_with(config: &LocksConfig, options: SqliteOptions) -> LockResult<Arc<Self>> {
        let settings = Arc::new(Settings {
            place: Place::parse(&config.database_url())?,
            tables: Tables::new(config)?,
            migrate: config.run_database_migrations(),
            connect_timeout: config.connect_timeout(),
            max_page_count: options.max_page_count,
            synced: options.synced,
            replace_in_sql: options.replace_in_sql,
            clock: options.clock,
            client_id: db_locks_core::models::new_version(),
        });
        let place = settings.place.clone();
        let counters = Arc::new(Counters::default());
        let (shared, jobs) = start(settings, Arc::clone(&counters)).await?;
        Ok(Arc::new(Self {
            place,
            shared,
            jobs,
            counters,
            request_timeout: config.request_timeout(),
            spin: Spin::default(),
            callers: Callers::default(),
        }))
    }

    /// How many requests were answered in how many transactions.
    pub fn stats(&self) -> Stats {
        Stats {
            requests: self.counters.requests.load(Ordering::Relaxed),
            transactions: self.counters.transactions.load(Ordering::Relaxed),
        }
    }

    /// Runs and commits `work`, here and now if nobody is in the way, or else by the thread; bounded by the request timeout.
    pub(crate) async fn call<T, F>(&self, access: Access, work: F) -> LockResult<T>
    where
        T: Send + 'static,
        F: FnMut(&Session) -> Step<T> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        // The thread gives up on a locked file a little earlier than the caller on the thread, to say why.
        let give_up_at = Instant::now() + self.request_timeout.mul_f32(0.9);
        let mut job: Box<dyn Job> = Box::new(Request { access, work, done: None, reply, give_up_at });
        let caller = self.callers.enter();
        if caller.alone && self.jobs.capacity() == BACKLOG {
            match self.shared.run_now(job) {
                Some(refused) => job = refused,
                None => {
                    if self.shared.checkpoint_is_due() {
                        self.wake_thread(give_up_at);
                    }
                    return answer.try_recv().map_err(|_| self.ended())?;
                }
            }
        }
        let exchange = async {
            // With others before it the answer is not worth watching for.
            self.jobs.send(job).await.map_err(|_| self.ended())?;
            if caller.alone
                && let Some(answer) = self.spin.wait(|| answer.try_recv().ok())
            {
                return answer;
            }
            answer.await.map_err(|_| self.ended())?
        };
        tokio::time::timeout(self.request_timeout, exchange).await.map_err(|elapsed| {
            LockError::unavailable(
                format!("{}: no answer within {:?}", self.place, self.request_timeout),
                elapsed,
            )
        })?
    }

    /// It looks at the log after every request, also after one that does nothing. (If it has too much to do, it looks anyway.)
    fn wake_thread(&self, give_up_at: Instant) {
        let (reply, _nobody) = oneshot::channel();
        let work = |_: &Session| Ok(());
        let _ = self.jobs.try_send(Box::new(Request {
            access: Access::Read,
            work,
            done: None,
            reply,
            give_up_at,
        }));
    }

    fn ended(&self) -> LockError {
        LockError::runtime(format!("{}: the thread that serves it has ended", self.place))
    }
}

/// Starts the thread; returns when the database is open.
async fn start(
    settings: Arc<Settings>,
    counters: Arc<Counters>,
) -> LockResult<(Arc<Shared>, mpsc::Sender<Box<dyn Job>>)> {
    let (jobs, mut queue) = mpsc::channel::<Box<dyn Job>>(BACKLOG);
    let (ready, opened) = oneshot::channel();
    let (place, timeout) = (settings.place.clone(), settings.connect_timeout);
    thread::Builder::new()
        .name("db-locks-sqlite".to_string())
        .spawn(move || match Session::open(Arc::clone(&settings)) {
            Ok(session) => {
                let spread = uuid_bits(&settings.client_id);
                let shared = Arc::new(Shared::new(session, counters, spread));
                // If nobody waits for us any more, the queue is closed too.
                let _ = ready.send(Ok(Arc::clone(&shared)));
                writer::serve(&shared, &mut queue);
            }
            Err(error) => {
                let _ = ready.send(Err(Fault::Sql(error).into_lock_error(&settings.place)));
            }
        })
        .map_err(|error| LockError::runtime_from("cannot start a thread for SQLite", error))?;
    // The thread gives up on a locked file after `timeout` by itself, and can then say why.
    match tokio::time::timeout(timeout + Duration::from_millis(250), opened).await {
        Ok(Ok(outcome)) => outcome.map(|shared| (shared, jobs)),
        Ok(Err(_)) => Err(LockError::runtime(format!("{place}: the thread that serves it has ended"))),
        Err(elapsed) => Err(LockError::unavailable(format!("{place}: not open within {timeout:?}"), elapsed)),
    }
}

/// Some bits of a version-4 UUID.
fn uuid_bits(uuid: &str) -> u32 {
    uuid.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// A refusal is one request's own; a fault of the database is everybody's.
fn one_of_many<T>(step: Step<T>) -> Step<LockResult<T>> {
    match step {
        Ok(answer) => Ok(Ok(answer)),
        Err(Fault::Refused(error)) => Ok(Err(error)),
        Err(Fault::Sql(error)) => Err(Fault::Sql(error)),
    }
}

/// One error for many requests: the same kind and words, with the original as source.
fn shared(error: &Arc<LockError>) -> LockError {
    let (message, source) = (error.to_string(), Arc::clone(error));
    match error.as_ref() {
        LockError::Database { retryable, .. } => {
            LockError::Database { message, retryable: *retryable, source: Some(source.into()) }
        }
        LockError::AccessDenied { .. } => LockError::access_denied(message, source),
        LockError::Serialization { .. } => LockError::serialization(message, source),
        LockError::Runtime { .. } => LockError::runtime_from(message, source),
        _ => LockError::unavailable(message, source),
    }
}

#[async_trait]
impl LockRepository for SqliteRepository {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let in_a_file = self.place != Place::Memory;
        Capabilities {
            server_clock: true,
            shared_between_processes: in_a_file,
            survives_restart: in_a_file,
            push: false,
        }
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        self.call(Access::Write, |session| Ok(session.migrate()?)).await
    }

    async fn ping(&self) -> LockResult<()> {
        // Reads a page of the file: an open connection alone says nothing.
        self.call(Access::Read, |session| {
            Ok(session.one("PRAGMA schema_version", [], |_| Ok(())).map(drop)?)
        })
        .await
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let (request, sent) = (request.clone(), Instant::now());
        self.call(Access::Take, move |session| acquire::acquire(session, &request, sent)).await
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let (request, sent) = (request.clone(), Instant::now());
        self.call(Access::Take, move |session| keep::renew(session, &request, sent)).await
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let request = request.clone();
        self.call(Access::Write, move |session| keep::release(session, &request)).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        let (lock, version) = (lock.clone(), version.to_string());
        self.call(Access::Write, move |session| keep::abandon(session, &lock, &version)).await
    }

    async fn renew_many(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        let mut answers = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(RENEWALS) {
            let (asked, sent) = (chunk.to_vec(), Instant::now());
            let renewed = self.call(Access::Take, move |session| {
                asked
                    .iter()
                    .map(|request| one_of_many(keep::renew(session, request, sent)))
                    .collect::<Step<Vec<_>>>()
            });
            match renewed.await {
                Ok(renewed) => answers.extend(renewed),
                Err(error) => {
                    let error = Arc::new(error);
                    answers.extend(chunk.iter().map(|_| Err(shared(&error))));
                }
            }
        }
        answers
    }

    fn poll_ms(&self) -> (u64, u64) {
        // A look that finds nothing new takes some tens of microseconds and writes nothing.
        (1, 4)
    }

    async fn beat(&self, _locks: &[LockId]) -> LockResult<()> {
        // All waiters of this process share one row.
        self.call(Access::Take, |session| queue::show_life(session, session.now_us()?)).await
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let mut lost = Vec::new();
        for Waiting { lock, versions } in waiting {
            for some in versions.chunks(PLACES) {
                let some = [Waiting { lock: lock.clone(), versions: some.to_vec() }];
                let kept =
                    self.call(Access::Take, move |session| queue::keep(session, &some, session.now_us()?));
                lost.extend(kept.await?);
            }
        }
        Ok(lost)
    }
}

#[async_trait]
impl MutexRepository for SqliteRepository {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let mutex = mutex.clone();
        self.call(Access::Write, move |session| admin::create_mutex(session, &mutex)).await
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        let (lock, sent) = (lock.clone(), Instant::now());
        self.call(Access::Read, move |session| admin::get_mutex(session, &lock, sent)).await
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let (lock, version) = (lock.clone(), version.to_string());
        self.call(Access::Write, move |session| admin::delete_mutex(session, &lock, &version)).await
    }
}

#[async_trait]
impl SemaphoreRepository for SqliteRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let semaphore = semaphore.clone();
        self.call(Access::Write, move |session| admin::create_semaphore(session, &semaphore)).await
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        let lock = lock.clone();
        self.call(Access::Read, move |session| admin::get_semaphore(session, &lock)).await
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let (lock, sent) = (lock.clone(), Instant::now());
        self.call(Access::Read, move |session| admin::get_slots(session, &lock, sent)).await
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let (lock, version) = (lock.clone(), version.to_string());
        self.call(Access::Write, move |session| admin::delete_semaphore(session, &lock, &version)).await
    }
}
