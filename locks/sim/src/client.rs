//! What the processes of a schedule do: take locks in every way that the library offers, hold them, write under them,
//! give them back or not, and change their minds.

use std::sync::Arc;
use std::time::Duration;

use db_locks::{
    AcquireLockOptions, AcquireLockOptionsBuilder, FencedRepository, LockManager, Locks, MutexLock,
    RegisterId, SemaphoreBuilder, SendHeartbeatOptions,
};
use db_locks_core::combine::Limits;
use db_locks_core::{AcquireRequest, Acquired, LockRepository, ReleaseRequest};
use tokio::time::Instant;

use crate::history::Fact;
use crate::memory::MemoryRepository;
use crate::network::World;
use crate::rng::Rng;
use crate::schedule::TENANT;

/// One process.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    pub(crate) client: u32,
    pub(crate) locks: Locks,
    pub(crate) store: Arc<MemoryRepository>,
    pub(crate) habits: Habits,
}

/// What all the processes of a schedule have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) lease_ms: u64,
    /// The size of the semaphore, if there is one.
    pub(crate) semaphore_size: Option<u32>,
    /// Some acquisitions pass the queue.
    pub(crate) unfair_percent: u64,
    pub(crate) longest_wait_ms: u64,
    /// How many mutexes there are.
    pub(crate) mutexes: u64,
    /// Of group commit, if there is any.
    pub(crate) limits: Option<Limits>,
    /// The semaphore is given other sizes.
    pub(crate) resizes: bool,
    /// Holders ask again for what they hold.
    pub(crate) reentrant: bool,
}

/// The mutexes' names.
pub(crate) fn mutex_name(number: u64) -> &'static str {
    ["a", "b", "c", "d"].get(usize::try_from(number).unwrap_or(0)).copied().unwrap_or("a")
}

/// One acquisition, as planned.
struct Wish {
    key: &'static str,
    size: Option<u32>,
    wait_ms: u64,
    hold: Duration,
    fair: bool,
    delete: bool,
    change_of_mind: Option<Duration>,
}

/// What came of asking for what one holds.
enum Again {
    Same(Box<MutexLock>),
    Nothing,
    /// The lease was over first.
    Over,
}

impl Process {
    /// One task: some acquisitions, one after the other.
    pub(crate) async fn work(self, mut rng: Rng) {
        for _ in 0..rng.between(1, 4) {
            tokio::time::sleep(Duration::from_millis(rng.between(0, 400))).await;
            if self.habits.resizes && rng.percent(30) {
                self.resize(&mut rng).await;
            }
            let wish = self.wish(&mut rng);
            if self.habits.limits.is_some() && rng.percent(20) {
                self.without_a_manager(wish, &mut rng).await;
                continue;
            }
            if rng.percent(60) {
                self.with_a_guard(wish, &mut rng).await
            } else {
                self.by_hand(wish, &mut rng).await
            }
        }
    }

    fn wish(&self, rng: &mut Rng) -> Wish {
        let lease_ms = self.habits.lease_ms;
        let size = self.habits.semaphore_size.filter(|_| rng.percent(40));
        // Requests that go together last as long as a round trip.
        let longest_mind = if self.habits.limits.is_some() && rng.percent(50) { 8 } else { 1_500 };
        Wish {
            key: if size.is_some() { "s" } else { mutex_name(rng.between(0, self.habits.mutexes - 1)) },
            size,
            wait_ms: if rng.percent(15) { 0 } else { rng.between(100, self.habits.longest_wait_ms) },
            hold: Duration::from_millis(rng.between(1, lease_ms * 2)),
            fair: !rng.percent(self.habits.unfair_percent),
            delete: rng.percent(15),
            change_of_mind: rng.percent(15).then(|| Duration::from_millis(rng.between(1, longest_mind))),
        }
    }

    fn note(&self, what: &'static str, answer: &dyn std::fmt::Debug) {
        self.world.note(self.client, Fact::Ended { what, answer: format!("{answer:?}") });
    }

    fn trusts(&self, lock: &MutexLock) -> Option<u64> {
        let id = lock.lock_id().ok()?;
        // A handle of a fair store is named after its version; its lock is the semaphore.
        let (version, token) = (lock.version.clone(), lock.fencing_token.unwrap_or(0));
        Some(self.world.trusts(self.client, |hold| Fact::Trusts { hold, lock: id, version, token }))
    }

    /// Runs something unless the mind is changed before it is done.
    async fn unless_changed<T>(wish: &Wish, future: impl Future<Output = T>) -> Option<T> {
        match wish.change_of_mind {
            Some(after) => tokio::time::timeout(after, future).await.ok(),
            None => Some(future.await),
        }
    }

    async fn with_a_guard(&self, wish: Wish, rng: &mut Rng) {
        let acquire = match wish.size {
            Some(size) => self.locks.semaphore(wish.key, size),
            None => self.locks.mutex(wish.key),
        };
        let acquire = acquire
            .lease(Duration::from_millis(self.habits.lease_ms))
            .wait(Duration::from_millis(wish.wait_ms))
            .fair(wish.fair)
            .delete_on_release(wish.delete);
        let guard = match Self::unless_changed(&wish, acquire.acquire()).await {
            None => return self.note("acquire", &"given up"),
            Some(Err(error)) => return self.note("acquire", &error.kind()),
            Some(Ok(guard)) => guard,
        };
        let Some(hold) = self.trusts(guard.lock()) else { return };
        let token = guard.fencing_token();
        let key = guard.lock().semaphore_key.as_deref().unwrap_or(wish.key);
        let Ok(register) = RegisterId::new(&guard.lock().tenant_id, key) else { return };
        let work = async {
            // The clock is the guard's own judge, at any moment.
            if guard.is_held() {
                let _ = self.store.write_fenced(&register, token, "first").await;
            }
            tokio::time::sleep(wish.hold).await;
            let _ = self.store.write_fenced(&register, token, "last").await;
        };
        let lost = tokio::select! {
            biased;
            lost = guard.lost() => Some(lost),
            () = work => guard.lost_now(),
        };
        match lost {
            Some(lost) => self.world.stops(self.client, hold, lost.as_str()),
            None => self.world.stops(self.client, hold, "released"),
        }
        if rng.percent(70) {
            let released = guard.release().await.map_err(|error| error.kind());
            self.note("release", &released);
        }
    }

    /// As those do who use a store as it is: nobody brings what they dropped to its end.
    async fn without_a_manager(&self, wish: Wish, rng: &mut Rng) {
        let version = format!("{:08x}-bare-{:016x}", self.client, rng.between(0, u64::MAX - 1));
        let lease_ms = i64::try_from(self.habits.lease_ms).unwrap_or(i64::MAX);
        let request = match wish.size {
            Some(size) => AcquireRequest::semaphore(TENANT, wish.key, size),
            None => AcquireRequest::mutex(TENANT, wish.key),
        };
        let Ok(request) = request.map(|request| request.version(version).lease_ms(lease_ms)) else { return };
        let patience = Duration::from_millis(rng.between(1, 8));
        match tokio::time::timeout(patience, self.store.acquire(&request)).await {
            Ok(Ok(Acquired::Granted(lock))) => {
                let release = ReleaseRequest {
                    lock: request.lock,
                    mutex_key: lock.mutex_key,
                    version: lock.version,
                    delete: false,
                    data: None,
                };
                let _ = self.store.release(&release).await;
            }
            Ok(_) => {}
            Err(_) => {
                let _ = self.store.abandon(&request.lock, &request.version).await;
            }
        }
    }

    async fn by_hand(&self, wish: Wish, rng: &mut Rng) {
        let manager = self.locks.manager().clone();
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let mut options = AcquireLockOptionsBuilder::new(wish.key)
            .with_lease_duration_millis(millis(self.habits.lease_ms))
            .with_override_time_to_wait_for_lock_ms(millis(wish.wait_ms))
            .with_fair(wish.fair)
            .with_delete_on_release(wish.delete)
            .with_reentrant(self.habits.reentrant);
        if let Some(size) = wish.size {
            options = options.with_semaphore_max_size(size);
        }
        let options = options.build();
        let mut lock = match Self::unless_changed(&wish, manager.acquire_lock(&options)).await {
            None => return self.note("acquire", &"given up"),
            Some(Err(error)) => return self.note("acquire", &error.kind()),
            Some(Ok(lock)) => lock,
        };
        let Some(hold) = self.trusts(&lock) else { return };
        for _ in 0..rng.between(0, 2) {
            let pause = Duration::from_millis(rng.between(1, self.habits.lease_ms));
            if !self.sleep_while_trusted(&lock, pause).await {
                return self.world.stops(self.client, hold, "expired");
            }
            match self.heartbeat(&lock).await {
                Some(renewed) => lock = renewed,
                None => return self.world.stops(self.client, hold, "not renewed"),
            }
            self.world.note(self.client, Fact::Renewed { hold, version: lock.version.clone() });
        }
        if self.habits.reentrant && rng.percent(60) {
            match self.again(&lock, &options).await {
                Again::Same(renewed) => lock = *renewed,
                Again::Nothing => {}
                Again::Over => return self.world.stops(self.client, hold, "expired"),
            }
        }
        self.sleep_while_trusted(&lock, wish.hold / 4).await;
        self.world.stops(self.client, hold, "released");
        if rng.percent(90) {
            let released =
                manager.release_lock(&lock.to_release_options()).await.map_err(|error| error.kind());
            self.note("release", &released);
        }
    }

    /// Asks for what it holds.
    async fn again(&self, lock: &MutexLock, options: &AcquireLockOptions) -> Again {
        let ends_at = Instant::from_std(lock.remaining.ends_at());
        let acquire = self.locks.manager().acquire_lock(options);
        match tokio::time::timeout_at(ends_at, acquire).await {
            Ok(Ok(same)) if same.version == lock.version => Again::Same(Box::new(same)),
            // A late copy of an earlier request may have brought another slot of a semaphore. It is given back by its lease.
            Ok(_) => Again::Nothing,
            Err(_) => Again::Over,
        }
    }

    /// Gives the semaphore another size.
    async fn resize(&self, rng: &mut Rng) {
        if self.habits.semaphore_size.is_none() {
            return;
        }
        let size = u32::try_from(rng.between(1, 4)).unwrap_or(1);
        let version = format!("size-{}-{}", self.client, rng.between(0, u64::MAX - 1));
        let semaphore = SemaphoreBuilder::new("s", size)
            .with_version(&version)
            .with_lease_duration_millis(i64::try_from(self.habits.lease_ms).unwrap_or(i64::MAX))
            .build();
        let resized = self.locks.manager().create_semaphore(&semaphore).await.map_err(|error| error.kind());
        self.note("resize", &resized);
    }

    /// False when the lease was over first.
    async fn sleep_while_trusted(&self, lock: &MutexLock, pause: Duration) -> bool {
        let ends_at = Instant::from_std(lock.remaining.ends_at());
        tokio::time::timeout_at(ends_at, tokio::time::sleep(pause)).await.is_ok()
    }

    /// The renewed lock, if that was known before the lease was over.
    async fn heartbeat(&self, lock: &MutexLock) -> Option<MutexLock> {
        let options: SendHeartbeatOptions = lock.to_heartbeat_options();
        let ends_at = Instant::from_std(lock.remaining.ends_at());
        let renewal = tokio::time::timeout_at(ends_at, self.locks.manager().send_heartbeat(&options));
        let renewed = renewal.await.ok()?.ok()?;
        // An answer can be so late that the new lease is over too.
        (Instant::from_std(renewed.remaining.ends_at()) > Instant::now()).then_some(renewed)
    }
}
