//! I7: what is wrong in itself is refused before any database is touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use db_locks::{
    AcquireLockOptionsBuilder, AcquireRequest, Acquired, Capabilities, DefaultLockStore, ErrorKind,
    FairLockStore, LockError, LockId, LockManager, LockManagerImpl, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexLockBuilder, MutexRepository, Registry, ReleaseLockOptionsBuilder, ReleaseRequest,
    RenewRequest, Semaphore, SemaphoreBuilder, SemaphoreRepository, SendHeartbeatOptionsBuilder,
};

/// A database that must not be asked.
#[derive(Debug, Default)]
struct Untouchable {
    touched: AtomicUsize,
}

impl Untouchable {
    fn touch<T>(&self) -> LockResult<T> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Err(LockError::runtime("the database was asked"))
    }
}

#[async_trait]
impl LockRepository for Untouchable {
    fn name(&self) -> &'static str {
        "untouchable"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: false,
            survives_restart: false,
            push: false,
        }
    }
    async fn migrate(&self) -> LockResult<Vec<String>> {
        self.touch()
    }
    async fn ping(&self) -> LockResult<()> {
        self.touch()
    }
    async fn acquire(&self, _: &AcquireRequest) -> LockResult<Acquired> {
        self.touch()
    }
    async fn renew(&self, _: &RenewRequest) -> LockResult<MutexLock> {
        self.touch()
    }
    async fn release(&self, _: &ReleaseRequest) -> LockResult<bool> {
        self.touch()
    }
    async fn abandon(&self, _: &LockId, _: &str) -> LockResult<()> {
        self.touch()
    }
    async fn beat(&self, _: &[LockId]) -> LockResult<()> {
        self.touch()
    }
}

#[async_trait]
impl MutexRepository for Untouchable {
    async fn create_mutex(&self, _: &MutexLock) -> LockResult<usize> {
        self.touch()
    }
    async fn get_mutex(&self, _: &LockId) -> LockResult<MutexLock> {
        self.touch()
    }
    async fn delete_mutex(&self, _: &LockId, _: &str) -> LockResult<usize> {
        self.touch()
    }
}

#[async_trait]
impl SemaphoreRepository for Untouchable {
    async fn create_semaphore(&self, _: &Semaphore) -> LockResult<usize> {
        self.touch()
    }
    async fn get_semaphore(&self, _: &LockId) -> LockResult<Semaphore> {
        self.touch()
    }
    async fn get_semaphore_mutexes(&self, _: &LockId) -> LockResult<Vec<MutexLock>> {
        self.touch()
    }
    async fn delete_semaphore(&self, _: &LockId, _: &str) -> LockResult<usize> {
        self.touch()
    }
}

fn managers() -> (Arc<Untouchable>, Vec<LockManagerImpl>) {
    let database = Arc::new(Untouchable::default());
    let config = LocksConfig::new("tenant");
    let default = DefaultLockStore::new(&config, database.clone(), database.clone());
    let fair = FairLockStore::new(&config, database.clone());
    let managers = vec![
        LockManagerImpl::new(&config, Box::new(default), &Registry::new()).unwrap(),
        LockManagerImpl::new(&config, Box::new(fair), &Registry::new()).unwrap(),
    ];
    (database, managers)
}

fn refused<T: std::fmt::Debug>(what: &str, result: LockResult<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Validation, "{what}");
}

#[tokio::test]
async fn bad_keys_reach_no_database() {
    let long = "k".repeat(10_240);
    let (database, managers) = managers();
    for manager in &managers {
        for key in ["", "a\0b", "line\nbreak", &long] {
            refused("acquire", manager.acquire_lock(&AcquireLockOptionsBuilder::new(key).build()).await);
            let pool = AcquireLockOptionsBuilder::new(key).with_semaphore_max_size(2).build();
            refused("acquire slot", manager.acquire_lock(&pool).await);
            refused(
                "heartbeat",
                manager.send_heartbeat(&SendHeartbeatOptionsBuilder::new(key, "v").build()).await,
            );
            refused(
                "version",
                manager.send_heartbeat(&SendHeartbeatOptionsBuilder::new("k", key).build()).await,
            );
            refused("release", manager.release_lock(&ReleaseLockOptionsBuilder::new(key, "v").build()).await);
            refused("get", manager.get_mutex(key).await);
            refused("create", manager.create_mutex(&MutexLockBuilder::new(key).build()).await);
            refused("delete", manager.delete_mutex(key, "v", None).await);
            refused(
                "create semaphore",
                manager.create_semaphore(&SemaphoreBuilder::new(key, 2).build()).await,
            );
            refused("get semaphore", manager.get_semaphore(key).await);
            refused("list", manager.get_semaphore_mutexes(key).await);
            refused("delete semaphore", manager.delete_semaphore(key, "v").await);
        }
    }
    assert_eq!(database.touched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn bad_leases_sizes_and_data_reach_no_database() {
    let (database, managers) = managers();
    let data = "d".repeat(65_537);
    for manager in &managers {
        for lease in [0, -1, i64::MAX, i64::MIN] {
            let opts = AcquireLockOptionsBuilder::new("k").with_lease_duration_millis(lease).build();
            refused("lease", manager.acquire_lock(&opts).await);
            let opts = SendHeartbeatOptionsBuilder::new("k", "v").with_lease_duration_millis(lease).build();
            refused("lease", manager.send_heartbeat(&opts).await);
            let mutex = MutexLockBuilder::new("k").with_lease_duration_millis(lease).build();
            refused("lease", manager.create_mutex(&mutex).await);
        }
        for size in [0, 1_001, 1_000_000_000] {
            let opts = AcquireLockOptionsBuilder::new("k").with_semaphore_max_size(size).build();
            refused("size", manager.acquire_lock(&opts).await);
            refused("size", manager.create_semaphore(&SemaphoreBuilder::new("k", size).build()).await);
        }
        for data in ["a\0b", &data] {
            refused(
                "data",
                manager.acquire_lock(&AcquireLockOptionsBuilder::new("k").with_data(data).build()).await,
            );
        }
    }
    assert_eq!(database.touched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn bad_tenants_are_refused_when_the_manager_is_made() {
    for tenant in ["", "a\0b", &"t".repeat(129)] {
        let database = Arc::new(Untouchable::default());
        let config = LocksConfig::new(tenant);
        let store = DefaultLockStore::new(&config, database.clone(), database);
        refused("tenant", LockManagerImpl::new(&config, Box::new(store), &Registry::new()).map(|_| ()));
    }
}
