//! What every trial starts with: a tenant, a client, and short ways to ask for things.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::models::{DEFAULT_LEASE_MS, new_version};
use db_locks_core::{
    AcquireRequest, Acquired, Busy, LockId, LockResult, LocksConfig, MutexLock, ReleaseRequest, RenewRequest,
};

use crate::backend::{Backend, Store};
use crate::failure::{Failure, Outcome};

/// A client of the backend and a tenant that nobody else uses.
pub(crate) struct Fixture {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: LocksConfig,
    pub(crate) store: Arc<dyn Store>,
}

impl Fixture {
    /// Connects with a new tenant.
    pub(crate) async fn new(backend: Arc<dyn Backend>) -> Outcome<Self> {
        let tenant = format!("t-{}", new_version());
        let config = backend.config(&tenant)?;
        let store = backend.connect(&config).await?;
        Ok(Self { backend, config, store })
    }

    /// A client of its own, as another process would be.
    pub(crate) async fn another(&self) -> LockResult<Arc<dyn Store>> {
        self.backend.connect(&self.config).await
    }

    /// A mutex of this trial's tenant.
    pub(crate) fn mutex(&self, key: &str) -> LockResult<LockId> {
        LockId::mutex(&self.config.tenant_id, key)
    }

    /// A semaphore of this trial's tenant.
    pub(crate) fn semaphore(&self, key: &str) -> LockResult<LockId> {
        LockId::semaphore(&self.config.tenant_id, key)
    }
}

/// Builds one [`AcquireRequest`]: by default fair, not waiting, under a new version, for 15 s.
#[derive(Clone)]
pub(crate) struct Ask(pub(crate) AcquireRequest);

/// Asks for `lock`.
pub(crate) fn ask(lock: &LockId) -> Ask {
    Ask(AcquireRequest {
        lock: lock.clone(),
        version: new_version(),
        owner: "suite".to_string(),
        lease_ms: DEFAULT_LEASE_MS,
        max_size: None,
        named_by_version: false,
        data: None,
        replace_data: true,
        delete_on_release: false,
        reentrant: false,
        only_if_exists: false,
        fair: true,
        wait: false,
    })
}

impl Ask {
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.0.version = version.to_string();
        self
    }

    pub(crate) fn owner(mut self, owner: &str) -> Self {
        self.0.owner = owner.to_string();
        self
    }

    pub(crate) fn lease_ms(mut self, lease_ms: i64) -> Self {
        self.0.lease_ms = lease_ms;
        self
    }

    pub(crate) fn size(mut self, max_size: u32) -> Self {
        self.0.max_size = Some(max_size);
        self
    }

    pub(crate) fn data(mut self, data: &str) -> Self {
        self.0.data = Some(data.to_string());
        self
    }

    /// Changes fields that have no method.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut AcquireRequest)) -> Self {
        change(&mut self.0);
        self
    }

    /// Enters the queue when refused.
    pub(crate) fn waiting(mut self) -> Self {
        self.0.wait = true;
        self
    }

    /// Sends the request.
    pub(crate) async fn on(&self, store: &Arc<dyn Store>) -> LockResult<Acquired> {
        store.acquire(&self.0).await
    }

    /// Sends the request, which must be granted.
    pub(crate) async fn granted(&self, store: &Arc<dyn Store>) -> Outcome<MutexLock> {
        match self.on(store).await? {
            Acquired::Granted(lock) => Ok(lock),
            Acquired::Busy(busy) => Err(Failure::new(format!("{} was refused: {busy:?}", self.0.lock))),
        }
    }

    /// Sends the request, which must be refused.
    pub(crate) async fn busy(&self, store: &Arc<dyn Store>) -> Outcome<Busy> {
        match self.on(store).await? {
            Acquired::Busy(busy) => Ok(busy),
            Acquired::Granted(lock) => Err(Failure::new(format!("{} was granted: {lock:?}", self.0.lock))),
        }
    }
}

/// The renewal of `lock` to a new version, for its own lease again.
pub(crate) fn renewal(lock: &MutexLock) -> LockResult<RenewRequest> {
    Ok(RenewRequest {
        lock: lock.lock_id()?,
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: lock.lease_duration_ms,
        data: None,
    })
}

/// The release of `lock`.
pub(crate) fn release(lock: &MutexLock) -> LockResult<ReleaseRequest> {
    Ok(ReleaseRequest {
        lock: lock.lock_id()?,
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: false,
        data: None,
    })
}

/// Sleeps.
pub(crate) async fn sleep_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
