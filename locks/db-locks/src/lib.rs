//! Lease-based distributed mutexes and semaphores, kept in the database that you already run: SQLite, PostgreSQL,
//! MySQL/MariaDB, Redis or DynamoDB.
//!
//! ```
//! use db_locks::{
//!     AcquireLockOptionsBuilder, DefaultLockStore, LockManager, LockManagerImpl, LocksConfig, RepositoryProvider,
//!     default_registry, factory,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), db_locks::LockError> {
//! let mut config = LocksConfig::new("test_tenant");
//! config.database_url = Some("sqlite::memory:".into()); // default: a file; or postgres://…, mysql://…
//! let mutex_repo = factory::build_mutex_repository(RepositoryProvider::Rdb, &config).await?;
//! let semaphore_repo = factory::build_semaphore_repository(RepositoryProvider::Rdb, &config).await?;
//! let store = Box::new(DefaultLockStore::new(&config, mutex_repo, semaphore_repo));
//! let locks = LockManagerImpl::new(&config, store, &default_registry())?;
//!
//! let opts = AcquireLockOptionsBuilder::new("nightly-report").with_lease_duration_secs(10).build();
//! let lock = locks.acquire_lock(&opts).await?;
//! println!("mine until {:?}, token {:?}", lock.expires_at, lock.fencing_token);
//! assert!(locks.release_lock(&lock.to_release_options()).await?);
//! # Ok(())
//! # }
//! ```
//!
//! Each database is a feature that only adds: `sqlite` (default), `postgres`, `mysql`, `redis`, `dynamodb`; `all`.
#![forbid(unsafe_code)]

pub mod blocking;
pub mod config_file;
pub mod factory;
mod fenced;
mod guard;
mod held;
mod leftover;
mod locks;
mod manager;
mod metrics;
mod renewer;
mod retry;
mod stores;
mod waiting;

pub use db_locks_core::{
    AcquireLockOptions, AcquireLockOptionsBuilder, AcquireRequest, Acquired, Busy, Capabilities, ErrorKind,
    FairSemaphoreRepository, FencedRepository, FencedValue, FencedWrite, LockError, LockId, LockKind,
    LockManager, LockRecord, LockRepository, LockResult, LockStore, LocksConfig, MutexLock, MutexLockBuilder,
    MutexRepository, RegisterId, ReleaseLockOptions, ReleaseLockOptionsBuilder, ReleaseRequest, RenewRequest,
    RepositoryProvider, Semaphore, SemaphoreBuilder, SemaphoreRepository, SendHeartbeatOptions,
    SendHeartbeatOptionsBuilder, error, lock_id, manager as traits, models, options, protocol,
};
pub use fenced::FencedRegister;
pub use guard::{LockGuard, Lost};
pub use locks::{Acquire, Locks};
pub use manager::{LockManagerImpl, VersionSource, WaitEvent, WaitObserver};
/// The process-wide Prometheus registry, and the type of any other.
pub use prometheus::{Registry, default_registry};
pub use stores::{DefaultLockStore, FairLockStore};
