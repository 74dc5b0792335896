//! The check of the check: a store that works, spoilt in one way at a time, must fail the trial that is there to notice.
//!
//! The store is SQLite's, in a file. Each defect sits between the suite and it, and is one that a real store could
//! have. Tests are named `DEFECT::TRIAL`; `Nothing::TRIAL` passes through the same layer, to show that it is the defect
//! that is noticed.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, FencedRepository, FencedValue, FencedWrite, LockId,
    LockRepository, LockResult, LocksConfig, MutexLock, MutexRepository, RegisterId, ReleaseRequest,
    RenewRequest, Semaphore, SemaphoreRepository,
};
use db_locks_sqlite::SqliteRepository;
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    Nothing,
    AnyVersionReleases,
    AnyVersionRenews,
    RetriedAcquireIsANewOne,
    RetriedRenewalIsANewOne,
    EveryoneIsTheSameOwner,
    QueueIsIgnored,
    UnfairIsIgnored,
    RefusedAlwaysQueue,
    BeatsAreLost,
    TheDeadAreKeptAlive,
    AbandonDoesNothing,
    LeasesAreWholeSeconds,
    LeasesEndEarly,
    LeasesNeverEnd,
    AskersLeaseIsImposed,
    TokensFallAfterDeletion,
    TokensRepeat,
    TenantsAreOne,
    KeysIgnoreCase,
    KeysAreTrimmed,
    KindsShareNames,
    DataIsDroppedAtRenewal,
    DataAlwaysReplaces,
    HeldCanBeDeleted,
    HeldSlotsAreCutOff,
    AskedSizeWins,
    NamesAreForgotten,
    HeldIsGrantedAtTimes,
    SemaphoreHasOneMore,
    RegisterTakesAnyToken,
}

use Defect::*;

/// Which trial must notice which defect. Others may too; these are the ones that are meant to.
const CAUGHT_BY: &[(Defect, &[&str])] = &[
    (AnyVersionReleases, &["mutex::release_by_another_version_changes_nothing"]),
    (AnyVersionReleases, &["leases::expired_holder_is_refused_after_takeover"]),
    (AnyVersionRenews, &["mutex::renewal_changes_the_version", "semaphore::key_of_another_slot_is_refused"]),
    (RetriedAcquireIsANewOne, &["mutex::acquire_retried_gets_the_same_grant"]),
    (RetriedRenewalIsANewOne, &["mutex::renewal_retried_succeeds"]),
    (EveryoneIsTheSameOwner, &["mutex::reentrant_never_hands_over_another_owners_lock"]),
    (QueueIsIgnored, &["fairness::newcomer_never_passes_a_live_waiter"]),
    (QueueIsIgnored, &["fairness::ten_waiters_of_a_semaphore_are_served_in_order"]),
    (UnfairIsIgnored, &["fairness::unfair_acquire_barges_and_never_queues"]),
    (RefusedAlwaysQueue, &["fairness::refusal_without_waiting_leaves_no_ticket"]),
    (BeatsAreLost, &["fairness::returning_client_has_its_old_place"]),
    (TheDeadAreKeptAlive, &["fairness::dead_waiter_is_skipped_when_its_client_is_silent"]),
    (AbandonDoesNothing, &["fairness::abandoned_waiter_is_skipped_at_once"]),
    (AbandonDoesNothing, &["mutex::abandon_frees_what_was_granted"]),
    (LeasesAreWholeSeconds, &["leases::short_leases_count_in_milliseconds"]),
    (LeasesEndEarly, &["leases::lock_is_free_at_the_end_of_its_lease"]),
    (LeasesNeverEnd, &["leases::lock_is_free_at_the_end_of_its_lease"]),
    (AskersLeaseIsImposed, &["leases::the_holders_lease_counts_not_the_askers"]),
    (
        TokensFallAfterDeletion,
        &["mutex::tokens_grow_across_deletion", "semaphore::tokens_grow_across_deletion"],
    ),
    (TokensRepeat, &["mutex::tokens_grow", "concurrency::counter_of_64_tasks_ends_exact"]),
    (TenantsAreOne, &["input::tenants_cannot_touch_each_others_mutexes"]),
    (TenantsAreOne, &["input::tenant_and_key_never_run_together"]),
    (KeysIgnoreCase, &["input::odd_keys_are_distinct_mutexes"]),
    (KeysAreTrimmed, &["input::odd_keys_are_distinct_semaphores"]),
    (KindsShareNames, &["input::mutexes_and_semaphores_have_their_own_names"]),
    (DataIsDroppedAtRenewal, &["data::renewal_keeps_or_replaces_data"]),
    (DataAlwaysReplaces, &["data::acquire_replaces_data_or_only_fills"]),
    (HeldCanBeDeleted, &["mutex::delete_is_refused_while_held"]),
    (HeldCanBeDeleted, &["semaphore::delete_is_refused_while_a_slot_is_held"]),
    (HeldSlotsAreCutOff, &["semaphore::resize_refuses_held_slot"]),
    (AskedSizeWins, &["semaphore::existing_size_wins_over_the_asked_one"]),
    (NamesAreForgotten, &["semaphore::named_by_version_keeps_its_name"]),
    (HeldIsGrantedAtTimes, &["concurrency::counter_of_64_tasks_ends_exact"]),
    (HeldIsGrantedAtTimes, &["concurrency::one_of_many_gets_a_new_lock"]),
    (SemaphoreHasOneMore, &["concurrency::semaphore_of_five_never_holds_six"]),
    (SemaphoreHasOneMore, &["semaphore::slots_are_granted_in_order_until_full"]),
    (RegisterTakesAnyToken, &["fenced::older_tokens_are_refused", "fenced::the_tokens_of_grants_guard_it"]),
];

/// The spoilt store.
#[derive(Debug)]
struct Spoilt {
    defect: Defect,
    store: Arc<SqliteRepository>,
}

impl Spoilt {
    /// Names that run together.
    fn id(&self, lock: &LockId) -> LockId {
        let (tenant, key) = (lock.tenant(), lock.key());
        let changed = match self.defect {
            TenantsAreOne => LockId::new("everybody", lock.kind(), key),
            KeysIgnoreCase => LockId::new(tenant, lock.kind(), &key.to_lowercase()),
            KeysAreTrimmed => LockId::new(tenant, lock.kind(), key.trim()),
            KindsShareNames => LockId::semaphore(tenant, key),
            _ => Ok(lock.clone()),
        };
        changed.unwrap_or_else(|_| lock.clone())
    }

    fn lease(&self, lease_ms: i64) -> i64 {
        match self.defect {
            LeasesAreWholeSeconds => (lease_ms + 999) / 1_000 * 1_000,
            LeasesEndEarly => lease_ms / 2,
            LeasesNeverEnd => lease_ms.max(3_600_000),
            _ => lease_ms,
        }
    }

    /// The held slots.
    async fn held(&self, lock: &LockId) -> Vec<MutexLock> {
        let read = if lock.is_semaphore() {
            self.store.get_semaphore_mutexes(lock).await
        } else {
            self.store.get_mutex(lock).await.map(|lock| vec![lock])
        };
        read.unwrap_or_default().into_iter().filter(|lock| lock.locked).collect()
    }

    async fn free_all(&self, lock: &LockId) {
        for held in self.held(lock).await {
            let _ = self.store.abandon(lock, &held.version).await;
        }
    }

    fn spoil_acquire(&self, request: &mut AcquireRequest) {
        request.lock = self.id(&request.lock);
        request.lease_ms = self.lease(request.lease_ms);
        match self.defect {
            RetriedAcquireIsANewOne => request.version = new_version(),
            EveryoneIsTheSameOwner => request.owner = "somebody".into(),
            QueueIsIgnored => request.fair = false,
            UnfairIsIgnored => request.fair = true,
            RefusedAlwaysQueue => request.wait = true,
            DataAlwaysReplaces => request.replace_data = true,
            NamesAreForgotten => request.named_by_version = false,
            KindsShareNames => request.max_size = request.max_size.or(Some(1)),
            HeldIsGrantedAtTimes if request.version.starts_with(['a', 'b', 'c', 'd']) => request.fair = false,
            SemaphoreHasOneMore => request.max_size = request.max_size.map(|size| size + 1),
            _ => {}
        }
    }

    async fn before_acquire(&self, request: &AcquireRequest) {
        match self.defect {
            AskersLeaseIsImposed if request.lease_ms < 1_000 => self.free_all(&request.lock).await,
            AskedSizeWins => {
                let known = self.store.get_semaphore(&request.lock).await;
                if let (Some(max_size), Ok(known)) = (request.max_size, known) {
                    let _ = self.store.create_semaphore(&Semaphore { max_size, ..known }).await;
                }
            }
            // One in four does not look whether it is held.
            HeldIsGrantedAtTimes if request.version.starts_with(['a', 'b', 'c', 'd']) => {
                self.free_all(&request.lock).await
            }
            _ => {}
        }
    }

    fn token(&self, mut lock: MutexLock) -> MutexLock {
        lock.fencing_token = lock.fencing_token.map(|token| match self.defect {
            // So coarse that quick grants have the same one.
            TokensRepeat => token / 10_000_000,
            TokensFallAfterDeletion => u64::MAX / 2 - token,
            _ => token,
        });
        lock
    }
}

#[async_trait]
impl LockRepository for Spoilt {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn migrate(&self) -> LockResult<Vec<String>> {
        self.store.migrate().await
    }

    async fn ping(&self) -> LockResult<()> {
        self.store.ping().await
    }

    async fn acquire(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let mut request = request.clone();
        self.spoil_acquire(&mut request);
        self.before_acquire(&request).await;
        Ok(match self.store.acquire(&request).await? {
            Acquired::Granted(lock) => Acquired::Granted(self.token(lock)),
            busy => busy,
        })
    }

    async fn renew(&self, request: &RenewRequest) -> LockResult<MutexLock> {
        let mut request = request.clone();
        request.lock = self.id(&request.lock);
        request.lease_ms = self.lease(request.lease_ms);
        let held = self.held(&request.lock).await;
        match (self.defect, held.first()) {
            (AnyVersionRenews, Some(held)) => {
                request.version.clone_from(&held.version);
                request.mutex_key.clone_from(&held.mutex_key);
            }
            (RetriedRenewalIsANewOne, Some(held)) if held.version == request.new_version => {
                request.new_version = new_version();
            }
            (DataIsDroppedAtRenewal, _) => request.data = Some(request.data.unwrap_or_default()),
            _ => {}
        }
        self.store.renew(&request).await.map(|lock| self.token(lock))
    }

    async fn release(&self, request: &ReleaseRequest) -> LockResult<bool> {
        let mut request = request.clone();
        request.lock = self.id(&request.lock);
        if let (AnyVersionReleases, Some(held)) = (self.defect, self.held(&request.lock).await.first()) {
            request.version.clone_from(&held.version);
            request.mutex_key.clone_from(&held.mutex_key);
        }
        self.store.release(&request).await
    }

    async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        match self.defect {
            AbandonDoesNothing => Ok(()),
            _ => self.store.abandon(&self.id(lock), version).await,
        }
    }

    async fn beat(&self, locks: &[LockId]) -> LockResult<()> {
        let locks: Vec<LockId> = locks.iter().map(|lock| self.id(lock)).collect();
        match self.defect {
            BeatsAreLost => Ok(()),
            _ => self.store.beat(&locks).await,
        }
    }
}

#[async_trait]
impl MutexRepository for Spoilt {
    async fn create_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let id = self.id(&mutex.lock_id()?);
        let (tenant_id, mutex_key) = (id.tenant().into(), id.key().into());
        self.store.create_mutex(&MutexLock { tenant_id, mutex_key, ..mutex.clone() }).await
    }

    async fn get_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        match self.defect {
            KindsShareNames => {
                let slots = self.store.get_semaphore_mutexes(&self.id(lock)).await?;
                slots.into_iter().next().ok_or_else(|| db_locks_core::LockError::not_found("no slot"))
            }
            _ => self.store.get_mutex(&self.id(lock)).await.map(|lock| self.token(lock)),
        }
    }

    async fn delete_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let lock = self.id(lock);
        if self.defect == HeldCanBeDeleted {
            self.free_all(&lock).await;
        }
        self.store.delete_mutex(&lock, version).await
    }
}

#[async_trait]
impl SemaphoreRepository for Spoilt {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let id = self.id(&semaphore.lock_id()?);
        if self.defect == HeldSlotsAreCutOff {
            self.free_all(&id).await;
        }
        let (tenant_id, semaphore_key) = (id.tenant().into(), id.key().into());
        self.store.create_semaphore(&Semaphore { tenant_id, semaphore_key, ..semaphore.clone() }).await
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        self.store.get_semaphore(&self.id(lock)).await
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let slots = self.store.get_semaphore_mutexes(&self.id(lock)).await?;
        Ok(slots.into_iter().map(|slot| self.token(slot)).collect())
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let lock = self.id(lock);
        if self.defect == HeldCanBeDeleted {
            self.free_all(&lock).await;
        }
        self.store.delete_semaphore(&lock, version).await
    }
}

#[async_trait]
impl FencedRepository for Spoilt {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        match self.store.write_fenced(register, token, value).await? {
            FencedWrite::Stale { seen } if self.defect == RegisterTakesAnyToken => {
                self.store.write_fenced(register, seen, value).await
            }
            answer => Ok(answer),
        }
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        self.store.read_fenced(register).await
    }
}

const OF_A_FILE: Capabilities =
    Capabilities { server_clock: true, shared_between_processes: true, survives_restart: true, push: false };

/// Clients of the spoilt store, on a file that goes away with it.
struct SpoiltFile {
    defect: Defect,
    folder: TempDir,
}

#[async_trait]
impl Backend for SpoiltFile {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(self.config_for_url(tenant, &format!("sqlite:{}", self.folder.path().join("locks").display())))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        let store = Arc::new(Spoilt { defect: self.defect, store: SqliteRepository::connect(config).await? });
        if self.defect == TheDeadAreKeptAlive {
            let (undead, tenant) = (Arc::clone(&store), config.tenant_id.clone());
            let locks = [LockId::mutex(&tenant, "one")?, LockId::semaphore(&tenant, "one")?];
            // Ends with the trial's runtime.
            tokio::spawn(async move {
                while undead.store.beat(&locks).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
        Ok(store)
    }

    fn capabilities(&self) -> Capabilities {
        OF_A_FILE
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        LocksConfig { database_url: Some(url.to_string()), ..LocksConfig::new(tenant) }
    }
}

/// A database whose server is not there.
struct Absent;

#[async_trait]
impl Backend for Absent {
    fn name(&self) -> &'static str {
        "absent"
    }

    fn config(&self, _: &str) -> Result<LocksConfig, String> {
        Err("no server is named: run `cargo xtask test`".to_string())
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(SqliteRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        OF_A_FILE
    }

    fn config_for_url(&self, tenant: &str, _: &str) -> LocksConfig {
        LocksConfig::new(tenant)
    }
}

/// The reference's tests skipped a database that was down, and passed with none.
fn absent_fails() -> Result<(), Failed> {
    for trial in ["mutex::acquire_creates", "fairness::newcomer_never_passes_a_live_waiter"] {
        match db_locks_conformance::run_one(Arc::new(Absent), trial)? {
            Err(why) if why.contains("cargo xtask test") => {}
            other => return Err(format!("{trial} without a server: {other:?}").into()),
        }
    }
    Ok(())
}

/// Runs one trial on a store with this defect.
fn outcome(defect: Defect, trial: &str) -> Result<Result<(), String>, Failed> {
    let folder = tempfile::tempdir()?;
    Ok(db_locks_conformance::run_one(Arc::new(SpoiltFile { defect, folder }), trial)?)
}

fn must_fail(defect: Defect, trial: &str) -> Result<(), Failed> {
    match outcome(defect, trial)? {
        Err(noticed) => {
            println!("{noticed}");
            Ok(())
        }
        Ok(()) => Err(format!("{trial} passes on a store with the defect {defect:?}").into()),
    }
}

fn must_pass(trial: &str) -> Result<(), Failed> {
    outcome(Nothing, trial)?.map_err(|failure| format!("fails without any defect: {failure}").into())
}

fn main() -> ExitCode {
    let mut all = Vec::new();
    for (defect, trials) in CAUGHT_BY {
        all.extend(
            trials
                .iter()
                .map(|trial| Trial::test(format!("{defect:?}::{trial}"), || must_fail(*defect, trial))),
        );
    }
    let trials: BTreeSet<&str> = CAUGHT_BY.iter().flat_map(|(_, trials)| trials.iter().copied()).collect();
    all.extend(
        trials.into_iter().map(|trial| Trial::test(format!("{Nothing:?}::{trial}"), || must_pass(trial))),
    );
    all.push(Trial::test("defect_11_of_the_reference::an_absent_server_fails", absent_fails));
    libtest_mimic::run(&Arguments::from_args(), all).exit_code()
}
