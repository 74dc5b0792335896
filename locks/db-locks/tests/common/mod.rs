//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use db_locks::traits::Attempt;
use db_locks::{
    AcquireLockOptions, Acquired, Capabilities, DefaultLockStore, LockId, LockManagerImpl, LockResult,
    LockStore, Locks, LocksConfig, MutexLock, Registry, ReleaseLockOptions, RepositoryProvider, Semaphore,
    SendHeartbeatOptions, factory,
};

/// A configuration for a private in-memory SQLite database, shared by all who ask with the same one.
pub fn config() -> LocksConfig {
    let mut config = LocksConfig::new("tenant");
    config.database_url = Some("sqlite::memory:".into());
    config
}

pub async fn store(config: &LocksConfig) -> Box<dyn LockStore> {
    let mutexes = factory::build_mutex_repository(RepositoryProvider::Rdb, config).await.unwrap();
    let semaphores = factory::build_semaphore_repository(RepositoryProvider::Rdb, config).await.unwrap();
    Box::new(DefaultLockStore::new(config, mutexes, semaphores))
}

pub async fn manager(config: &LocksConfig) -> Arc<LockManagerImpl> {
    Arc::new(LockManagerImpl::new(config, store(config).await, &Registry::new()).unwrap())
}

/// Managers in one process that share one database, as two processes would.
pub async fn two_managers() -> (Arc<LockManagerImpl>, Arc<LockManagerImpl>) {
    two_managers_of(config()).await
}

pub async fn two_managers_of(config: LocksConfig) -> (Arc<LockManagerImpl>, Arc<LockManagerImpl>) {
    let repository = factory::build_repository(RepositoryProvider::Rdb, &config).await.unwrap();
    let manager = || {
        let store = DefaultLockStore::new(&config, repository.clone(), repository.clone());
        Arc::new(LockManagerImpl::new(&config, Box::new(store), &Registry::new()).unwrap())
    };
    (manager(), manager())
}

/// A real store whose heartbeats can be made to hang, as a database that stopped answering does.
pub struct Hanging {
    pub inner: Box<dyn LockStore>,
    pub hang: Arc<AtomicBool>,
    pub heartbeats: Arc<AtomicUsize>,
    /// The answer to the next acquire comes late.
    pub slow_answer: Arc<AtomicBool>,
}

pub async fn hanging_locks() -> (Locks, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let config = config();
    let (hang, heartbeats) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (inner, slow_answer) = (store(&config).await, Arc::default());
    let store = Hanging { inner, hang: hang.clone(), heartbeats: heartbeats.clone(), slow_answer };
    let registry = Registry::new();
    let manager = Arc::new(LockManagerImpl::new(&config, Box::new(store), &registry).unwrap());
    (Locks::over(manager, &config, &registry).unwrap(), hang, heartbeats)
}

#[async_trait]
impl LockStore for Hanging {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn poll_ms(&self) -> (u64, u64) {
        self.inner.poll_ms()
    }
    fn lock_id(&self, opts: &AcquireLockOptions) -> LockResult<LockId> {
        self.inner.lock_id(opts)
    }
    async fn try_acquire(&self, opts: &AcquireLockOptions, attempt: &Attempt) -> LockResult<Acquired> {
        let answer = self.inner.try_acquire(opts, attempt).await;
        if self.slow_answer.swap(false, Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        answer
    }
    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.inner.abandon(lock, version).await
    }
    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        self.inner.beat(locks).await
    }
    async fn rung(&self, lock: &LockId, version: &str) {
        self.inner.rung(lock, version).await;
    }
    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool> {
        self.inner.release_lock(opts).await
    }
    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions, new_version: &str) -> LockResult<MutexLock> {
        self.inner.send_heartbeat(opts, new_version).await
    }
    async fn send_heartbeats(&self, opts: &[(SendHeartbeatOptions, String)]) -> Vec<LockResult<MutexLock>> {
        self.heartbeats.fetch_add(1, Ordering::SeqCst);
        if self.hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.send_heartbeats(opts).await
    }
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        self.inner.create_mutex(mutex).await
    }
    async fn delete_mutex(&self, key: &str, version: &str, semaphore_key: Option<&str>) -> LockResult<usize> {
        self.inner.delete_mutex(key, version, semaphore_key).await
    }
    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock> {
        self.inner.get_mutex(mutex_key).await
    }
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        self.inner.create_semaphore(semaphore).await
    }
    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore> {
        self.inner.get_semaphore(semaphore_key).await
    }
    async fn get_semaphore_mutexes(&self, semaphore_key: &str) -> LockResult<Vec<MutexLock>> {
        self.inner.get_semaphore_mutexes(semaphore_key).await
    }
    async fn delete_semaphore(&self, key: &str, version: &str) -> LockResult<usize> {
        self.inner.delete_semaphore(key, version).await
    }
}
