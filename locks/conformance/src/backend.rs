//! What a store tells the suite about itself.

use std::sync::Arc;

use async_trait::async_trait;
use db_locks_core::{
    Capabilities, FencedRepository, LockResult, LocksConfig, MutexRepository, SemaphoreRepository,
};

/// Mutexes, semaphores and registers of one database in one object.
pub trait Store: MutexRepository + SemaphoreRepository + FencedRepository {}

impl<T: MutexRepository + SemaphoreRepository + FencedRepository> Store for T {}

/// One database, as the suite sees it: how to reach it and what it claims to be able to do.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The first part of each trial's name: `postgres`, `redis_cluster`, `sqlite_memory`.
    fn name(&self) -> &'static str;

    /// A configuration for `tenant`: URL or endpoint, and small enough pools for many processes at once.
    /// A store in a file gives each call a new file, unless the environment names one.
    ///
    /// # Errors
    /// A sentence, with the words "run `cargo xtask test`", when the environment names no server. Each trial fails with it.
    fn config(&self, tenant: &str) -> Result<LocksConfig, String>;

    /// A new client with its tables in place, sharing neither connections nor identity with other clients of this
    /// process: to the database it is another process. Clients with the same URL see the same locks, in memory too.
    ///
    /// # Errors
    /// What the store says.
    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>>;

    /// What the store claims; must be what its clients claim.
    fn capabilities(&self) -> Capabilities;

    /// Whether [`Self::connect`] gives clients of their own. False where one client is the whole database: the trials of
    /// dead and returning clients are then listed as ignored.
    fn separate_clients(&self) -> bool {
        true
    }

    /// Trials that cannot hold here, as (name without the backend: `faults::killed_server`, reason). They are
    /// listed as ignored with the reason.
    fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// The kind of server that `xtask server start KIND` gives: `postgres`, `mysql`, `redis`, `redis-cluster`, `dynamodb`.
    /// None where there is nothing to start.
    fn server_kind(&self) -> Option<&'static str> {
        None
    }

    /// Whether the URL of [`Self::config`] names one `host:port` through which everything goes, so that a proxy can stand
    /// before it. Where there is one server it does.
    fn single_address(&self) -> bool {
        self.server_kind().is_some_and(|kind| kind != "redis-cluster")
    }

    /// A configuration for `tenant` on the database at `url`, which the suite has started.
    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig;
}
