//! Mutexes, and semaphores whose locks are named by slot number.

use std::sync::Arc;

use async_trait::async_trait;
use db_locks_core::manager::Attempt;
use db_locks_core::models::{validate_mutex, validate_semaphore};
use db_locks_core::{
    AcquireLockOptions, Acquired, Capabilities, ErrorKind, LockId, LockKind, LockRepository, LockResult,
    LockStore, LocksConfig, MutexLock, MutexRepository, ReleaseLockOptions, Semaphore, SemaphoreRepository,
    SendHeartbeatOptions, Waiting,
};

use super::{Settings, find_slot, release_request, renew_request, semaphore_of_slot, slot_is_no_mutex};

/// The usual store: `acquire` without a size takes a mutex, with one a slot `one_0000000003` of a semaphore.
#[derive(Debug, Clone)]
pub struct DefaultLockStore {
    settings: Settings,
    mutexes: Arc<dyn MutexRepository>,
    semaphores: Arc<dyn SemaphoreRepository>,
}

impl DefaultLockStore {
    /// A store over these repositories, for the configuration's tenant.
    pub fn new(
        config: &LocksConfig,
        mutex_repository: Arc<dyn MutexRepository>,
        semaphore_repository: Arc<dyn SemaphoreRepository>,
    ) -> Self {
        Self { settings: Settings::new(config), mutexes: mutex_repository, semaphores: semaphore_repository }
    }

    fn repository(&self, kind: LockKind) -> &dyn LockRepository {
        match kind {
            LockKind::Mutex => self.mutexes.as_ref(),
            LockKind::Semaphore => self.semaphores.as_ref(),
        }
    }

    /// The lock that a handle belongs to, and whether its key could also be that of a slot whose semaphore was not named.
    fn handle(&self, mutex_key: &str, semaphore_key: Option<&str>) -> LockResult<(LockId, Option<LockId>)> {
        if let Some(semaphore) = semaphore_key {
            return Ok((self.settings.semaphore(semaphore)?, None));
        }
        let slot_of = semaphore_of_slot(mutex_key).map(|key| self.settings.semaphore(key)).transpose()?;
        match (self.settings.mutex(mutex_key), slot_of) {
            (Ok(mutex), slot_of) => Ok((mutex, slot_of)),
            // A slot's key may be longer than any mutex's.
            (Err(_), Some(semaphore)) => Ok((semaphore, None)),
            (Err(error), None) => Err(error),
        }
    }

    async fn renew(
        &self,
        lock: LockId,
        opts: &SendHeartbeatOptions,
        new_version: &str,
    ) -> LockResult<MutexLock> {
        let kind = lock.kind();
        self.repository(kind).renew(&renew_request(lock, opts, &version_after(opts, new_version))?).await
    }

    async fn release(&self, lock: LockId, opts: &ReleaseLockOptions) -> LockResult<bool> {
        let kind = lock.kind();
        self.repository(kind).release(&release_request(lock, opts)?).await
    }
}

/// A lock that is named by its version keeps it, whichever store renews it.
fn version_after(opts: &SendHeartbeatOptions, new_version: &str) -> String {
    let named_by_version = opts.mutex_key.ends_with(&format!("_{}", opts.version));
    if named_by_version { opts.version.clone() } else { new_version.to_string() }
}

#[async_trait]
impl LockStore for DefaultLockStore {
    fn name(&self) -> &'static str {
        self.mutexes.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.mutexes.capabilities()
    }

    fn poll_ms(&self) -> (u64, u64) {
        self.mutexes.poll_ms()
    }

    fn lock_id(&self, opts: &AcquireLockOptions) -> LockResult<LockId> {
        match opts.semaphore_max_size {
            Some(_) => self.settings.semaphore(&opts.key),
            None => self.settings.mutex(&opts.key),
        }
    }

    async fn try_acquire(&self, opts: &AcquireLockOptions, attempt: &Attempt) -> LockResult<Acquired> {
        let lock = self.lock_id(opts)?;
        let kind = lock.kind();
        let request = self.settings.acquire_request(lock, opts, attempt, opts.semaphore_max_size, false)?;
        self.repository(kind).acquire(&request).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.repository(lock.kind()).abandon(lock, version).await
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        let (mutexes, semaphores): (Vec<_>, Vec<_>) =
            locks.iter().cloned().partition(|lock| lock.kind() == LockKind::Mutex);
        if !mutexes.is_empty() {
            self.mutexes.beat(&mutexes).await?;
        }
        if !semaphores.is_empty() {
            self.semaphores.beat(&semaphores).await?;
        }
        Ok(())
    }

    async fn keep_places(&self, waiting: &[Waiting]) -> LockResult<Vec<String>> {
        let (mutexes, semaphores): (Vec<_>, Vec<_>) =
            waiting.iter().cloned().partition(|waiting| waiting.lock.kind() == LockKind::Mutex);
        let mut lost = Vec::new();
        if !mutexes.is_empty() {
            lost.extend(self.mutexes.keep_places(&mutexes).await?);
        }
        if !semaphores.is_empty() {
            lost.extend(self.semaphores.keep_places(&semaphores).await?);
        }
        Ok(lost)
    }

    async fn rung(&self, lock: &LockId, version: &str) {
        self.repository(lock.kind()).rung(version).await;
    }

    async fn release_lock(&self, opts: &ReleaseLockOptions) -> LockResult<bool> {
        let (lock, or_slot_of) = self.handle(&opts.mutex_key, opts.semaphore_key.as_deref())?;
        match (self.release(lock, opts).await, or_slot_of) {
            (Err(error), Some(semaphore)) if error.kind() == ErrorKind::NotFound => {
                self.release(semaphore, opts).await.map_err(|e| prefer(error, e))
            }
            (done, _) => done,
        }
    }

    async fn send_heartbeat(&self, opts: &SendHeartbeatOptions, new_version: &str) -> LockResult<MutexLock> {
        let (lock, or_slot_of) = self.handle(&opts.mutex_key, opts.semaphore_key.as_deref())?;
        match (self.renew(lock, opts, new_version).await, or_slot_of) {
            (Err(error), Some(semaphore)) if error.kind() == ErrorKind::NotFound => {
                self.renew(semaphore, opts, new_version).await.map_err(|e| prefer(error, e))
            }
            (done, _) => done,
        }
    }

    async fn send_heartbeats(&self, opts: &[(SendHeartbeatOptions, String)]) -> Vec<LockResult<MutexLock>> {
        let mut replies: Vec<Option<LockResult<MutexLock>>> = opts.iter().map(|_| None).collect();
        for kind in [LockKind::Mutex, LockKind::Semaphore] {
            let mut places = Vec::new();
            let mut requests = Vec::new();
            for (place, (opts, new_version)) in opts.iter().enumerate() {
                let request = match self.handle(&opts.mutex_key, opts.semaphore_key.as_deref()) {
                    Ok((lock, _)) if lock.kind() == kind => {
                        renew_request(lock, opts, &version_after(opts, new_version))
                    }
                    Ok(_) => continue,
                    Err(error) => Err(error),
                };
                match request {
                    Ok(request) => {
                        places.push(place);
                        requests.push(request);
                    }
                    Err(error) => replies[place] = Some(Err(error)),
                }
            }
            if requests.is_empty() {
                continue;
            }
            let done = self.repository(kind).renew_many(&requests).await;
            for (place, reply) in places.into_iter().zip(done) {
                replies[place] = Some(reply);
            }
        }
        let unanswered = || Err(db_locks_core::LockError::runtime("the store left a renewal unanswered"));
        replies.into_iter().map(|reply| reply.unwrap_or_else(unanswered)).collect()
    }

    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let mut mutex = mutex.clone();
        mutex.tenant_id = self.settings.own_tenant(&mutex.tenant_id)?;
        if mutex.semaphore_key.is_some() {
            return Err(slot_is_no_mutex());
        }
        validate_mutex(&mutex)?;
        self.mutexes.create_mutex(&mutex).await
    }

    async fn delete_mutex(&self, key: &str, version: &str, semaphore_key: Option<&str>) -> LockResult<usize> {
        if semaphore_key.is_some() {
            return Err(slot_is_no_mutex());
        }
        let lock = self.settings.mutex(key)?;
        db_locks_core::lock_id::validate_version(version)?;
        self.mutexes.delete_mutex(&lock, version).await
    }

    async fn get_mutex(&self, mutex_key: &str) -> LockResult<MutexLock> {
        let (lock, or_slot_of) = self.handle(mutex_key, None)?;
        let (not_found, semaphore) = match lock.kind() {
            LockKind::Semaphore => (None, Some(lock)),
            LockKind::Mutex => match self.mutexes.get_mutex(&lock).await {
                Err(error) if error.kind() == ErrorKind::NotFound => (Some(error), or_slot_of),
                done => return done,
            },
        };
        let absent = || db_locks_core::LockError::not_found(format!("there is no mutex {mutex_key:?}"));
        let Some(semaphore) = semaphore else { return Err(not_found.unwrap_or_else(absent)) };
        let slots = match self.semaphores.get_semaphore_mutexes(&semaphore).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_found.unwrap_or(error)),
            slots => slots?,
        };
        find_slot(slots, mutex_key).ok_or_else(|| not_found.unwrap_or_else(absent))
    }

    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let mut semaphore = semaphore.clone();
        semaphore.tenant_id = self.settings.own_tenant(&semaphore.tenant_id)?;
        semaphore.fair_semaphore = semaphore.fair_semaphore.or(Some(false));
        validate_semaphore(&semaphore, self.settings.max_semaphore_size)?;
        self.semaphores.create_semaphore(&semaphore).await
    }

    async fn get_semaphore(&self, semaphore_key: &str) -> LockResult<Semaphore> {
        self.semaphores.get_semaphore(&self.settings.semaphore(semaphore_key)?).await
    }

    async fn get_semaphore_mutexes(&self, semaphore_key: &str) -> LockResult<Vec<MutexLock>> {
        self.semaphores.get_semaphore_mutexes(&self.settings.semaphore(semaphore_key)?).await
    }

    async fn delete_semaphore(&self, key: &str, version: &str) -> LockResult<usize> {
        let lock = self.settings.semaphore(key)?;
        db_locks_core::lock_id::validate_version(version)?;
        self.semaphores.delete_semaphore(&lock, version).await
    }
}

/// Of "no such mutex" and what trying it as a slot said, the second only when it says more.
fn prefer(no_mutex: db_locks_core::LockError, as_slot: db_locks_core::LockError) -> db_locks_core::LockError {
    if as_slot.kind() == ErrorKind::NotFound { no_mutex } else { as_slot }
}
