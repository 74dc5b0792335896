//! What every trial starts with: a tenant, a client, and short ways to ask for things.

use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::protocol::CLIENT_BEAT_MS;
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
    /// By how much leases that must last for a few calls are longer than on a machine that is quick enough.
    pub(crate) slowness: u32,
}

impl Fixture {
    /// Connects with a new tenant.
    pub(crate) async fn new(backend: Arc<dyn Backend>, slowness: u32) -> Outcome<Self> {
        let tenant = format!("t-{}", new_version());
        let mut config = backend.config(&tenant)?;
        // Trials that are not about time-outs shall not fail by them on a machine that does much else.
        config.connect_timeout_ms.get_or_insert(25_000);
        config.request_timeout_ms.get_or_insert(25_000);
        let store = backend.connect(&config).await?;
        Ok(Self { backend, config, store, slowness })
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

    /// Asks for a mutex and for a semaphore of one slot: what holds for one must hold for the other.
    pub(crate) fn both(&self, key: &str) -> LockResult<[Ask; 2]> {
        Ok([ask(&self.mutex(key)?), ask(&self.semaphore(key)?).size(1)])
    }

    /// Holds as many slots as asked for, each under a version of its own.
    pub(crate) async fn hold(&self, asked: &Ask, count: usize) -> Outcome<Vec<MutexLock>> {
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            held.push(asked.anew().granted(&self.store).await?);
        }
        Ok(held)
    }

    /// Releases, which must free the slot.
    pub(crate) async fn release(&self, lock: &MutexLock) -> Outcome {
        match self.store.release(&release(lock)?).await? {
            true => Ok(()),
            false => Err(Failure::new(format!("the release of {} was refused", lock.mutex_key))),
        }
    }

    /// A lease that a few calls shall fit into: `ms`, or longer when that was too short for this machine.
    pub(crate) fn lease(&self, ms: i64) -> i64 {
        ms * i64::from(self.slowness)
    }

    /// How much later than it must an expired lock may be granted to one who asks all the time: generous, since the
    /// machine may be busy. Without a clock in the database the asker has to watch for a whole lease first.
    pub(crate) fn patience(&self, lease_ms: i64) -> Duration {
        let lease_ms = lease_ms.unsigned_abs();
        let watched = if self.backend.capabilities().server_clock { 0 } else { 2 * lease_ms };
        Duration::from_millis(lease_ms + watched + 10_000)
    }
}

/// The lease of what must not expire during a trial, however slow the machine.
pub(crate) const LONG_LEASE_MS: i64 = 180_000;

/// Builds one [`AcquireRequest`]: by default fair, not waiting, under a new version, for [`LONG_LEASE_MS`].
#[derive(Clone)]
pub(crate) struct Ask(pub(crate) AcquireRequest);

/// Asks for `lock`.
pub(crate) fn ask(lock: &LockId) -> Ask {
    Ask(AcquireRequest {
        owner: "suite".to_string(),
        lease_ms: LONG_LEASE_MS,
        ..AcquireRequest::new(lock.clone())
    })
}

impl Ask {
    /// The same under a new version.
    pub(crate) fn anew(&self) -> Self {
        self.clone().version(&new_version())
    }

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

impl Ask {
    /// Sends the request, which must be refused because of something that lasts `ms` from `since` on. A grant that comes
    /// later than that tells nothing.
    pub(crate) async fn busy_for(&self, store: &Arc<dyn Store>, since: Instant, ms: i64) -> Outcome<Busy> {
        match self.on(store).await? {
            Acquired::Busy(busy) => Ok(busy),
            Acquired::Granted(lock) => {
                Err(too_late_or(since, ms, format!("{} was granted: {lock:?}", self.0.lock)))
            }
        }
    }

    /// Asks again and again, under the same version, until granted or `within` is over; through outages too.
    pub(crate) async fn until_granted(&self, store: &Arc<dyn Store>, within: Duration) -> Outcome<MutexLock> {
        self.until_granted_told(store, within, || Ok(())).await
    }

    /// The same; `refused` is called at each refusal.
    pub(crate) async fn until_granted_told(
        &self,
        store: &Arc<dyn Store>,
        within: Duration,
        mut refused: impl FnMut() -> Outcome,
    ) -> Outcome<MutexLock> {
        let begun = Instant::now();
        loop {
            let late = begun.elapsed() > within;
            match self.on(store).await {
                Ok(Acquired::Granted(lock)) => return Ok(lock),
                Ok(Acquired::Busy(busy)) if late => {
                    let words = format!("{} not granted within {within:?}: {busy:?}", self.0.lock);
                    return Err(Failure::new(words));
                }
                Ok(Acquired::Busy(busy)) => {
                    refused()?;
                    self.pause(store, &busy).await;
                }
                // An acquire with an unknown outcome is sent again (I6).
                Err(error) if error.retryable() && !late => sleep_ms(30).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The head of the queue asks often, the others seldom; all of them listen.
    async fn pause(&self, store: &Arc<dyn Store>, busy: &Busy) {
        let (first, last) = store.poll_ms();
        let pause = sleep_ms(((first + last) / 2 + 40 * busy.position).min(2_000));
        if self.0.wait {
            tokio::select! { () = pause => {}, () = store.rung(&self.0.version) => {} }
        } else {
            pause.await;
        }
    }
}

/// A failure, unless `ms` have passed since `since`: then it may be right.
#[track_caller]
pub(crate) fn too_late_or(since: Instant, ms: i64, words: impl Into<String>) -> Failure {
    if since.elapsed() >= Duration::from_millis(ms as u64) {
        Failure::inconclusive(words)
    } else {
        Failure::new(words)
    }
}

/// Shows that a client lives and waits, as the manager does for its waiters, until dropped.
pub(crate) struct Heart(tokio::task::JoinHandle<()>);

impl Heart {
    /// Beats for `locks` from now on.
    pub(crate) fn of(store: &Arc<dyn Store>, locks: &[LockId]) -> Self {
        let (store, locks) = (Arc::clone(store), locks.to_vec());
        Self(tokio::spawn(async move {
            loop {
                // A beat that fails is made good by the next one.
                let _ = store.beat(&locks).await;
                tokio::time::sleep(Duration::from_millis(CLIENT_BEAT_MS as u64)).await;
            }
        }))
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The fencing token, which every grant has.
pub(crate) fn token(lock: &MutexLock) -> Outcome<u64> {
    lock.fencing_token.ok_or_else(|| Failure::new(format!("no fencing token in {lock:?}")))
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
