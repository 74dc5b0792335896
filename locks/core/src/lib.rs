//! The ground floor of db-locks: what a lock *is*, apart from any database.
//!
//! | module | what it holds |
//! |---|---|
//! | [`models`] | [`MutexLock`] and [`Semaphore`], the shapes that users and the JSON output see |
//! | [`options`] | what a caller may ask for, with builders |
//! | [`config`] | [`LocksConfig`], one value that configures everything |
//! | [`error`] | [`LockError`]: kind, retry advice, context and cause |
//! | [`combine`] | group commit: many calls of one process in one statement |
//! | [`fenced`] | [`FencedRepository`]: values that take no write with an older fencing token |
//! | [`lock_id`] | [`LockId`]: a validated tenant + kind + key |
//! | [`protocol`] | the requests and replies between this library and a database: the lock protocol itself |
//! | [`repository`] | the traits that a database implements |
//! | [`manager`] | [`LockManager`] and [`LockStore`], the traits that users call |
//!
//! This crate does no IO, starts no task and knows no driver; `cargo xtask tidy` checks that.
#![forbid(unsafe_code)]

pub mod combine;
pub mod config;
pub mod eager;
pub mod error;
pub mod fenced;
pub mod lock_id;
pub mod manager;
pub mod models;
pub mod options;
pub mod protocol;
pub mod repository;

pub use config::{LocksConfig, RepositoryProvider};
pub use error::{ErrorKind, LockError, LockResult};
pub use fenced::{FencedRepository, FencedValue, FencedWrite, RegisterId};
pub use lock_id::{LockId, LockKind};
pub use manager::{LockManager, LockStore};
pub use models::{MutexLock, MutexLockBuilder, Semaphore, SemaphoreBuilder};
pub use options::{
    AcquireLockOptions, AcquireLockOptionsBuilder, ReleaseLockOptions, ReleaseLockOptionsBuilder,
    SendHeartbeatOptions, SendHeartbeatOptionsBuilder,
};
pub use protocol::{AcquireRequest, Acquired, Busy, LockRecord, ReleaseRequest, RenewRequest, Waiting};
pub use repository::{
    Capabilities, FairSemaphoreRepository, LockRepository, MutexRepository, SemaphoreRepository,
};
