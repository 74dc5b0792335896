//! [`LockManagerImpl`]: waiting, retrying and measuring above a [`LockStore`].

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use db_locks_core::manager::Attempt;
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireLockOptions, Acquired, Busy, ErrorKind, LockError, LockId, LockManager, LockResult, LockStore,
    LocksConfig, MutexLock, ReleaseLockOptions, Semaphore, SendHeartbeatOptions,
};
use prometheus::Registry;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::held::HeldLocks;
use crate::leftover::Leftover;
use crate::metrics::LockMetrics;
use crate::retry::RetryPolicy;
use crate::waiting::{Pace, WaitRoom, WaitSeat};

/// The [`LockManager`] over any [`LockStore`]: waits first come, first served, makes failed calls again, measures.
pub struct LockManagerImpl {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn LockStore>,
    metrics: LockMetrics,
    retry: RetryPolicy,
    owner: String,
    room: WaitRoom,
    held: Arc<HeldLocks>,
    observer: Option<WaitObserver>,
    versions: VersionSource,
    /// The last versions that were released or given up: a reentrant acquire must not be handed one, since it is about to be freed.
    given_up: Mutex<VecDeque<String>>,
    /// Clean-ups behind callers that went away.
    cleanups: TaskTracker,
}

/// Gives a version that was never given before, for each acquisition and renewal: random UUIDs, unless a simulation
/// that must replay says otherwise.
pub type VersionSource = Arc<dyn Fn() -> String + Send + Sync>;

/// Told what an acquisition waits for, each time the database has said it is still busy.
pub type WaitObserver = Arc<dyn Fn(&WaitEvent) + Send + Sync>;

/// What an acquisition waits for.
#[derive(Debug, Clone)]
pub struct WaitEvent {
    /// The lock.
    pub lock: LockId,
    /// Who is in the way, as far as the database knows.
    pub busy: Busy,
    /// How long it has been waited for.
    pub waited: Duration,
    /// How long it will be waited for at most.
    pub limit: Duration,
}

/// Time left for clearing up behind a caller's back.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(15);

impl std::fmt::Debug for LockManagerImpl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockManagerImpl")
            .field("store", &self.inner.store.name())
            .field("owner", &self.inner.owner)
            .finish_non_exhaustive()
    }
}

impl LockManagerImpl {
    /// A manager over this store that registers its metrics in `registry`; several managers may share one.
    ///
    /// # Errors
    /// `Validation` for a bad tenant or owner; `Runtime` when the metrics' names are taken by somebody else's.
    pub fn new(config: &LocksConfig, store: Box<dyn LockStore>, registry: &Registry) -> LockResult<Self> {
        Self::with_wait_observer(config, store, registry, None)
    }

    /// As [`Self::new`], with somebody to be told what is waited for.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_wait_observer(
        config: &LocksConfig,
        store: Box<dyn LockStore>,
        registry: &Registry,
        observer: Option<WaitObserver>,
    ) -> LockResult<Self> {
        Self::build(config, store, registry, observer, Arc::new(new_version))
    }

    /// As [`Self::new`], with versions from elsewhere. They must differ from all others, other processes' too.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_version_source(
        config: &LocksConfig,
        store: Box<dyn LockStore>,
        registry: &Registry,
        versions: VersionSource,
    ) -> LockResult<Self> {
        Self::build(config, store, registry, None, versions)
    }

    fn build(
        config: &LocksConfig,
        store: Box<dyn LockStore>,
        registry: &Registry,
        observer: Option<WaitObserver>,
        versions: VersionSource,
    ) -> LockResult<Self> {
        config.validate()?;
        let owner = config.owner.clone().unwrap_or_else(default_owner);
        db_locks_core::lock_id::validate_name("owner", &owner, MAX_OWNER_BYTES)?;
        let store: Arc<dyn LockStore> = Arc::from(store);
        let metrics = LockMetrics::register(registry)?;
        Ok(Self {
            inner: Arc::new(Inner {
                held: Arc::new(HeldLocks::new(metrics.clone(), store.name())),
                room: WaitRoom::new(store.clone()),
                retry: RetryPolicy::new(config),
                store,
                metrics,
                owner,
                observer,
                versions,
                given_up: Mutex::default(),
                cleanups: TaskTracker::new(),
            }),
        })
    }

    /// Who this manager is to those who wait for its locks.
    pub fn owner(&self) -> &str {
        &self.inner.owner
    }

    /// Returns when every acquisition whose future was dropped has been cleared up in the database (each is given up
    /// after 15 s). For programs that end: what is still open then ends with its lease, or with its place in the queue.
    pub async fn settled(&self) {
        self.inner.cleanups.close();
        self.inner.cleanups.wait().await;
        self.inner.cleanups.reopen();
    }

    /// The store, for those who renew beside the manager.
    pub(crate) fn shared_store(&self) -> Arc<dyn LockStore> {
        self.inner.store.clone()
    }

    /// The locks that this process believes it holds.
    pub(crate) fn held(&self) -> Arc<HeldLocks> {
        self.inner.held.clone()
    }

    /// Runs something behind the caller's back, bounded in time; [`Self::settled`] waits for it.
    pub(crate) fn clean_up(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime nothing can be sent; then leases and places in queues end by themselves.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let bounded = async move {
            if tokio::time::timeout(CLEAN_UP_LIMIT, task).await.is_err() {
                tracing::warn!("could not clear up in time");
            }
        };
        self.inner.cleanups.spawn_on(bounded, &runtime);
    }

    /// This version is going to be released.
    pub(crate) fn give_up(&self, version: &str) {
        self.inner.give_up(version);
    }

    /// The store below.
    pub fn store(&self) -> &dyn LockStore {
        self.inner.store.as_ref()
    }
}

/// How many versions that were given up are remembered: more than are on their way at once.
const GIVEN_UP: usize = 1_024;

/// The longest owner, in bytes.
const MAX_OWNER_BYTES: usize = 255;

/// `host:pid:random`: says where to look, and differs between managers of one process.
fn default_owner() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().chars().filter(|c| !c.is_control()).take(64).collect::<String>())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "localhost".to_string());
    let random = new_version();
    format!("{host}:{}:{}", std::process::id(), random.get(..8).unwrap_or_default())
}

impl Inner {
    /// One operation, made again after failures that may pass, and measured.
    async fn call<T, F, Fut>(&self, operation: &'static str, call: F) -> LockResult<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = LockResult<T>>,
    {
        let started = Instant::now();
        let result = self.retry.run(call).await;
        self.metrics.request(self.store.name(), operation, started.elapsed(), &result);
        result
    }

    async fn try_acquire(&self, asked: &Asked, retry: RetryPolicy) -> LockResult<Acquired> {
        let started = Instant::now();
        let send = || {
            let (store, asked) = (self.store.clone(), asked.request.clone());
            async move { store.try_acquire(&asked.0, &asked.1).await }
        };
        let result = retry.run(|| asked.leftover.keep(send())).await;
        let outcome = match &result {
            Ok(Acquired::Granted(_)) => "ok",
            Ok(Acquired::Busy(_)) => "busy",
            Err(error) => error.kind().as_str(),
        };
        self.metrics.request_outcome(self.store.name(), "acquire", started.elapsed(), outcome);
        result
    }

    fn give_up(&self, version: &str) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if given_up.len() >= GIVEN_UP {
            given_up.pop_front();
        }
        given_up.push_back(version.to_string());
    }

    fn is_given_up(&self, version: &str) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|other| other == version)
    }

    /// Asks until the lock is granted or the time to wait is over.
    async fn acquire_within(
        self: &Arc<Self>,
        asked: &Asked,
        lock: &LockId,
        limit: Duration,
    ) -> LockResult<MutexLock> {
        let (opts, attempt) = &*asked.request;
        let started = Instant::now();
        let refresh_ms = u64::try_from(opts.refresh_period_ms.unwrap_or(500)).unwrap_or(1);
        let mut pace = Pace::new(self.store.as_ref(), refresh_ms);
        let mut seat: Option<WaitSeat> = None;
        loop {
            // Who stands in the queue outlasts a restart of the database, if there is time.
            let retry = if seat.is_some() { self.retry.until(started + limit) } else { self.retry };
            let busy = match self.try_acquire(asked, retry).await? {
                // Handed back (R3), but on its way to be freed by this very process: it is nobody's to have.
                Acquired::Granted(granted)
                    if granted.version != attempt.version && self.is_given_up(&granted.version) =>
                {
                    Busy::default()
                }
                Acquired::Granted(granted) if is_trusted(&granted) => return Ok(granted),
                // The answer took longer than the lease: it is worth nothing now. Ask again, under the same version.
                Acquired::Granted(_) => Busy::default(),
                Acquired::Busy(busy) => busy,
            };
            asked.queued.store(attempt.wait, Ordering::Relaxed);
            let waited = started.elapsed();
            if waited >= limit {
                return Err(not_granted(lock, &busy, waited, limit));
            }
            if let Some(observer) = &self.observer {
                observer(&WaitEvent { lock: lock.clone(), busy: busy.clone(), waited, limit });
            }
            let seat = seat.get_or_insert_with(|| self.room.enter(lock, &attempt.version, &busy));
            seat.seated(&busy);
            pace.looked(&busy);
            seat.until_next_look(&busy, &mut pace, limit - waited).await;
        }
    }
}

/// Whether the lease was not over when its grant arrived.
fn is_trusted(granted: &MutexLock) -> bool {
    Instant::from_std(granted.remaining.ends_at()) > Instant::now()
}

fn not_granted(lock: &LockId, busy: &Busy, waited: Duration, limit: Duration) -> LockError {
    let holder = busy.holder.as_deref().map(|holder| format!(", held by {holder}")).unwrap_or_default();
    let ahead = match busy.position {
        0 => String::new(),
        n => format!(", {n} waiting ahead"),
    };
    let waited =
        if limit.is_zero() { "at once".to_string() } else { format!("within {} ms", waited.as_millis()) };
    LockError::not_granted(format!("{lock} was not granted {waited}{holder}{ahead}"))
}

/// What is asked for, and what is left of asking when the caller has gone.
struct Asked {
    request: Arc<(AcquireLockOptions, Attempt)>,
    leftover: Leftover,
    /// Whether it may stand in the queue.
    queued: AtomicBool,
}

/// Clears up an acquisition that ended without its caller getting the lock: also when the caller's future was dropped.
struct Ticket {
    inner: Arc<Inner>,
    lock: LockId,
    version: String,
    leftover: Leftover,
    /// Whether the database may know of this ticket.
    open: bool,
}

impl Ticket {
    fn close(&mut self) {
        self.open = false;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let manager = LockManagerImpl { inner: self.inner.clone() };
        self.inner.give_up(&self.version);
        let (inner, lock, version) =
            (self.inner.clone(), self.lock.clone(), std::mem::take(&mut self.version));
        let leftover = self.leftover.take();
        manager.clean_up(async move {
            if let Some(leftover) = leftover {
                leftover.await;
            }
            match inner.call("abandon", || inner.store.abandon(&lock, &version)).await {
                Ok(()) => inner.room.released(&lock),
                Err(error) => {
                    tracing::warn!(%lock, error = %error.chain(), "could not clear up a given-up wait")
                }
            }
        });
    }
}

#[async_trait]
impl LockManager for LockManagerImpl {
    async fn acquire_lock(&self, opts: &AcquireLockOptions) -> LockResult<MutexLock> {
        let inner = &self.inner;
        let lock = inner.store.lock_id(opts)?;
        let limit = Duration::from_millis(opts.time_to_wait_ms().unsigned_abs());
        let attempt =
            Attempt { version: (inner.versions)(), owner: inner.owner.clone(), wait: !limit.is_zero() };
        let asked = Asked {
            request: Arc::new((opts.clone(), attempt.clone())),
            leftover: Leftover::default(),
            queued: AtomicBool::new(false),
        };
        let mut ticket = Ticket {
            inner: inner.clone(),
            lock: lock.clone(),
            version: attempt.version.clone(),
            leftover: asked.leftover.clone(),
            open: true,
        };
        let started = Instant::now();
        let waiting = WaitingGauge::new(inner);
        let result = inner.acquire_within(&asked, &lock, limit).await;
        drop(waiting);
        inner.metrics.waited(inner.store.name(), started.elapsed(), &result);
        match &result {
            Ok(lock) => {
                // Who was handed back what the same owner holds (R3) leaves no place behind that he had meanwhile.
                if lock.version == attempt.version || !asked.queued.load(Ordering::Relaxed) {
                    ticket.close();
                }
                inner.held.granted(lock);
            }
            // The database was never asked, or said for good that there is nothing.
            Err(LockError::Validation { .. } | LockError::NotFound { .. }) => ticket.close(),
            // A refusal without waiting leaves nothing behind.
            Err(LockError::NotGranted { .. }) if !attempt.wait => ticket.close(),
            Err(LockError::NotGranted { .. }) => {
                // Leave the queue before the caller goes on, so that its process may end right after.
                if inner.call("abandon", || inner.store.abandon(&lock, &attempt.version)).await.is_ok() {
                    ticket.close();
                }
            }
            Err(_) => {}
        }
        result
    }

    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool> {
        let inner = &self.inner;
        inner.give_up(&opts.version);
        let released = inner.call("release", || inner.store.release_lock(opts)).await?;
        match released {
            true => inner.held.released(&opts.version),
            false => inner.held.lost(&opts.version, "stolen"),
        }
        for lock in self.locks_of(&opts.mutex_key, opts.semaphore_key.as_deref()) {
            inner.room.released(&lock);
        }
        Ok(released)
    }

    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions) -> LockResult<MutexLock> {
        let inner = &self.inner;
        // Minted once, so that a renewal whose answer was lost is recognised when it is sent again (R9).
        let new_version = (inner.versions)();
        let result = inner.call("heartbeat", || inner.store.send_heartbeat(opts, &new_version)).await;
        match &result {
            Ok(lock) => inner.held.renewed(&opts.version, lock),
            Err(error) if error.kind() == ErrorKind::NotFound => inner.held.lost(&opts.version, "refused"),
            Err(_) => {}
        }
        result
    }

    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        self.inner.call("create_mutex", || self.inner.store.create_mutex(mutex)).await
    }

    async fn delete_mutex(
        &self,
        other_key: &str,
        other_version: &str,
        other_semaphore_key: Option<String>,
    ) -> LockResult<usize> {
        let semaphore = other_semaphore_key.as_deref();
        self.inner
            .call("delete_mutex", || self.inner.store.delete_mutex(other_key, other_version, semaphore))
            .await
    }

    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock> {
        self.inner.call("get_mutex", || self.inner.store.get_mutex(mutex_key)).await
    }

    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        self.inner.call("create_semaphore", || self.inner.store.create_semaphore(semaphore)).await
    }

    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore> {
        self.inner.call("get_semaphore", || self.inner.store.get_semaphore(semaphore_key)).await
    }

    async fn get_semaphore_mutexes(&self, other_semaphore_key: &str) -> LockResult<Vec<MutexLock>> {
        self.inner
            .call("get_semaphore_mutexes", || self.inner.store.get_semaphore_mutexes(other_semaphore_key))
            .await
    }

    async fn delete_semaphore(&self, other_key: &str, other_version: &str) -> LockResult<usize> {
        self.inner
            .call("delete_semaphore", || self.inner.store.delete_semaphore(other_key, other_version))
            .await
    }
}

impl LockManagerImpl {
    /// The locks that a handle may belong to, to wake those who wait for them in this process.
    fn locks_of(&self, mutex_key: &str, semaphore_key: Option<&str>) -> Vec<LockId> {
        self.inner.room.waited_for(|lock| match semaphore_key {
            Some(semaphore) => lock.is_semaphore() && lock.key() == semaphore,
            None => lock.key() == mutex_key || (lock.is_semaphore() && mutex_key.starts_with(lock.key())),
        })
    }
}

/// Counts a caller as waiting for as long as it lives.
struct WaitingGauge(prometheus::IntGauge);

impl WaitingGauge {
    fn new(inner: &Inner) -> Self {
        let gauge = inner.metrics.waiting(inner.store.name());
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for WaitingGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}
