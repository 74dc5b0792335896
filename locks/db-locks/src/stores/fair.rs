//! Semaphores whose locks are named by version, as the seeds' fair semaphores are. A mutex is one of size 1.

use std::sync::Arc;

use async_trait::async_trait;
use db_locks_core::manager::Attempt;
use db_locks_core::models::{validate_mutex, validate_semaphore};
use db_locks_core::{
    AcquireLockOptions, Acquired, Capabilities, ErrorKind, FairSemaphoreRepository, LockError, LockId,
    LockResult, LockStore, LocksConfig, MutexLock, ReleaseLockOptions, Semaphore, SendHeartbeatOptions,
    Waiting,
};

use super::{Settings, release_request, renew_request, semaphore_of_slot};

/// Every lock is a slot of a semaphore (of size 1 when no size is given), shows itself as `one_<version>`, and keeps
/// its version when it is renewed.
#[derive(Debug, Clone)]
pub struct FairLockStore {
    settings: Settings,
    semaphores: Arc<dyn FairSemaphoreRepository>,
}

impl FairLockStore {
    /// A store over this repository, for the configuration's tenant.
    pub fn new(config: &LocksConfig, fair_semaphore_repository: Arc<dyn FairSemaphoreRepository>) -> Self {
        Self { settings: Settings::new(config), semaphores: fair_semaphore_repository }
    }

    /// The semaphore of a handle: named, or `one` of `one_<version>`, or (as the seeds' command lines have it) the key itself.
    fn handle(&self, mutex_key: &str, version: &str, semaphore_key: Option<&str>) -> LockResult<LockId> {
        let by_version = || mutex_key.strip_suffix(version).and_then(|key| key.strip_suffix('_'));
        self.settings.semaphore(semaphore_key.or_else(by_version).unwrap_or(mutex_key))
    }

    fn renewal(&self, opts: &SendHeartbeatOptions) -> LockResult<db_locks_core::RenewRequest> {
        let lock = self.handle(&opts.mutex_key, &opts.version, opts.semaphore_key.as_deref())?;
        renew_request(lock, opts, &opts.version)
    }

    async fn slots(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let mut slots = self.semaphores.get_semaphore_mutexes(lock).await?;
        for slot in slots.iter_mut().filter(|slot| !slot.locked) {
            slot.version.clear();
        }
        Ok(slots)
    }
}

#[async_trait]
impl LockStore for FairLockStore {
    fn name(&self) -> &'static str {
        self.semaphores.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.semaphores.capabilities()
    }

    fn poll_ms(&self) -> (u64, u64) {
        self.semaphores.poll_ms()
    }

    fn lock_id(&self, opts: &AcquireLockOptions) -> LockResult<LockId> {
        self.settings.semaphore(&opts.key)
    }

    async fn try_acquire(&self, opts: &AcquireLockOptions, attempt: &Attempt) -> LockResult<Acquired> {
        let lock = self.lock_id(opts)?;
        let size = Some(opts.semaphore_max_size.unwrap_or(1));
        let request = self.settings.acquire_request(lock, opts, attempt, size, true)?;
        self.semaphores.acquire(&request).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.semaphores.abandon(lock, version).await
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        self.semaphores.beat(locks).await
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        self.semaphores.keep_places(waiting).await
    }

    async fn rung(&self, _: &LockId, version: &str) {
        self.semaphores.rung(version).await;
    }

    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool> {
        let lock = self.handle(&opts.mutex_key, &opts.version, opts.semaphore_key.as_deref())?;
        self.semaphores.release(&release_request(lock, opts)?).await
    }

    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions, _: &str) -> LockResult<MutexLock> {
        self.semaphores.renew(&self.renewal(opts)?).await
    }

    async fn send_heartbeats(&self, opts: &[(SendHeartbeatOptions, String)]) -> Vec<LockResult<MutexLock>> {
        let requests: LockResult<Vec<_>> = opts.iter().map(|(opts, _)| self.renewal(opts)).collect();
        match requests {
            Ok(requests) => self.semaphores.renew_many(&requests).await,
            // One bad handle must not keep the others from being renewed.
            Err(_) => {
                let mut replies = Vec::with_capacity(opts.len());
                for (opts, new_version) in opts {
                    replies.push(self.send_heartbeat(opts, new_version).await);
                }
                replies
            }
        }
    }

    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let mut mutex = mutex.clone();
        mutex.tenant_id = self.settings.own_tenant(&mutex.tenant_id)?;
        validate_mutex(&mutex)?;
        let lock = self.settings.semaphore(&mutex.mutex_key)?;
        if self.semaphores.get_semaphore(&lock).await.is_ok() {
            return Ok(0);
        }
        let semaphore = Semaphore {
            semaphore_key: mutex.mutex_key,
            tenant_id: mutex.tenant_id,
            version: mutex.version,
            max_size: 1,
            lease_duration_ms: mutex.lease_duration_ms,
            busy_count: None,
            fair_semaphore: Some(true),
        };
        self.create_semaphore(&semaphore).await
    }

    /// Deletes a semaphore of size 1 made by [`Self::create_mutex`] or an acquire without a size.
    async fn delete_mutex(&self, key: &str, version: &str, semaphore_key: Option<&str>) -> LockResult<usize> {
        let lock = self.handle(key, version, semaphore_key)?;
        db_locks_core::lock_id::validate_version(version)?;
        let semaphore = self.semaphores.get_semaphore(&lock).await?;
        if semaphore.max_size != 1 {
            return Err(super::slot_is_no_mutex());
        }
        let slots = self.semaphores.get_semaphore_mutexes(&lock).await?;
        if semaphore.version != version && !slots.iter().any(|slot| slot.version == version) {
            return Err(LockError::not_found(format!("{lock} does not have version {version:?}")));
        }
        self.semaphores.delete_semaphore(&lock, &semaphore.version).await
    }

    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock> {
        let absent = || LockError::not_found(format!("there is no lock {mutex_key:?}"));
        if let Some(semaphore) = semaphore_of_slot(mutex_key) {
            match self.slots(&self.settings.semaphore(semaphore)?).await {
                Ok(slots) => return super::find_slot(slots, mutex_key).ok_or_else(absent),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut slots = self.slots(&self.settings.semaphore(mutex_key)?).await?;
        // The bare key means the one slot of a semaphore of size 1, else the first that is held.
        let place = slots.iter().position(|slot| slot.locked).unwrap_or(0);
        if slots.is_empty() { Err(absent()) } else { Ok(slots.swap_remove(place)) }
    }

    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let mut semaphore = semaphore.clone();
        semaphore.tenant_id = self.settings.own_tenant(&semaphore.tenant_id)?;
        semaphore.fair_semaphore = Some(true);
        validate_semaphore(&semaphore, self.settings.max_semaphore_size)?;
        self.semaphores.create_semaphore(&semaphore).await
    }

    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore> {
        self.semaphores.get_semaphore(&self.settings.semaphore(semaphore_key)?).await
    }

    async fn get_semaphore_mutexes(&self, semaphore_key: &str) -> LockResult<Vec<MutexLock>> {
        self.slots(&self.settings.semaphore(semaphore_key)?).await
    }

    async fn delete_semaphore(&self, key: &str, version: &str) -> LockResult<usize> {
        let lock = self.settings.semaphore(key)?;
        db_locks_core::lock_id::validate_version(version)?;
        self.semaphores.delete_semaphore(&lock, version).await
    }
}
