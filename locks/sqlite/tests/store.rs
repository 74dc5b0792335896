//! What is SQLite's own: files, clocks, group commit, faults of the disk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, ErrorKind, LockError, LockId, LockRepository, LockResult, LocksConfig,
    MutexLock, MutexRepository, ReleaseRequest, RenewRequest,
};
use db_locks_sqlite::{Clock, SqliteOptions, SqliteRepository, SystemClock};
use rusqlite::Connection;
use tempfile::TempDir;

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("locks.db")
    }

    fn config(&self) -> LocksConfig {
        config(&format!("sqlite:{}", self.path().display()))
    }

    async fn open(&self) -> Arc<SqliteRepository> {
        SqliteRepository::connect(&self.config()).await.unwrap()
    }

    /// Another process that keeps the file locked until this is dropped.
    fn locked(&self) -> Connection {
        let other = Connection::open(self.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }
}

fn config(url: &str) -> LocksConfig {
    let mut config = LocksConfig::new("tenant");
    config.database_url = Some(url.to_string());
    config
}

async fn connect(url: &str) -> LockResult<Arc<SqliteRepository>> {
    SqliteRepository::connect(&config(url)).await
}

fn ask(key: &str) -> AcquireRequest {
    AcquireRequest { owner: "me".to_string(), ..AcquireRequest::new(LockId::mutex("tenant", key).unwrap()) }
}

async fn granted(store: &SqliteRepository, ask: &AcquireRequest) -> MutexLock {
    match store.acquire(ask).await.unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("{} was refused: {busy:?}", ask.lock),
    }
}

async fn is_busy(store: &SqliteRepository, key: &str) -> bool {
    matches!(store.acquire(&ask(key)).await.unwrap(), Acquired::Busy(_))
}

fn renewal(lock: &MutexLock) -> RenewRequest {
    RenewRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 15_000,
        data: None,
    }
}

fn release(lock: &MutexLock) -> ReleaseRequest {
    ReleaseRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: false,
        data: None,
    }
}

fn says(error: &LockError, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind(), kind, "{}", error.chain());
    assert!(error.chain().contains(words), "{words:?} is not in {:?}", error.chain());
}

#[tokio::test]
async fn two_repositories_share_a_file() {
    let file = File::new();
    let (one, two) = (file.open().await, file.open().await);
    let lock = granted(&one, &ask("key")).await;
    assert!(is_busy(&two, "key").await);
    assert!(two.release(&release(&lock)).await.unwrap());
    let next = granted(&two, &ask("key")).await;
    assert!(next.fencing_token > lock.fencing_token);
}

#[tokio::test]
async fn memory_is_private() {
    let (one, two) = (connect(":memory:").await.unwrap(), connect("sqlite::memory:").await.unwrap());
    granted(&one, &ask("key")).await;
    granted(&two, &ask("key")).await;
}

#[tokio::test]
async fn a_locked_file_is_a_retryable_error_in_bounded_time() {
    let file = File::new();
    let mut config = file.config();
    config.request_timeout_ms = Some(300);
    let store = SqliteRepository::connect(&config).await.unwrap();
    granted(&store, &ask("before")).await;
    let other = file.locked();
    let begun = Instant::now();
    let error = store.acquire(&ask("key")).await.unwrap_err();
    says(&error, ErrorKind::Database, "locked");
    assert!(error.retryable());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // Reading needs no lock on the file.
    store.get_mutex(&ask("before").lock).await.unwrap();
    drop(other);
    granted(&store, &ask("key")).await;
}

#[tokio::test]
async fn an_acquire_whose_caller_left_before_its_turn_takes_nothing() {
    let file = File::new();
    let store = file.open().await;
    granted(&store, &ask("before")).await;
    let other = file.locked();
    let left = tokio::time::timeout(Duration::from_millis(100), store.acquire(&ask("key"))).await;
    assert!(left.is_err(), "the file was not locked");
    drop(other);
    granted(&store, &ask("key")).await;
}

#[tokio::test]
async fn the_file_is_closed_when_the_repository_is_dropped() {
    let file = File::new();
    let store = file.open().await;
    granted(&store, &ask("key")).await;
    let log = file.path().with_extension("db-wal");
    assert!(log.exists());
    drop(store);
    // SQLite removes its log when the last connection closes.
    let begun = Instant::now();
    while log.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_deleted_file_is_noticed() {
    let file = File::new();
    let old = file.open().await;
    let lost = granted(&old, &ask("key")).await;
    for end in ["db", "db-wal", "db-shm"] {
        std::fs::remove_file(file.path().with_extension(end)).unwrap();
    }
    let new = file.open().await;
    granted(&new, &ask("key")).await;
    assert!(is_busy(&old, "key").await, "two hold one lock, each in a file of its own");
    says(&old.renew(&renewal(&lost)).await.unwrap_err(), ErrorKind::NotFound, "does not hold it");
}

#[tokio::test]
async fn a_read_only_database_denies_access() {
    let file = File::new();
    let lock = granted(&*file.open().await, &ask("key")).await;
    let reader = connect(&format!("sqlite:{}?mode=ro", file.path().display())).await.unwrap();
    for error in [
        reader.acquire(&ask("other")).await.unwrap_err(),
        reader.release(&release(&lock)).await.unwrap_err(),
        reader.renew(&renewal(&lock)).await.unwrap_err(),
    ] {
        says(&error, ErrorKind::AccessDenied, "read-only");
        assert!(!error.retryable());
    }
    let read = reader.get_mutex(&ask("key").lock).await.unwrap();
    assert!(read.locked);
    // A reader is not disturbed by writers who are refused beside it.
    let (other, key) = (ask("other"), ask("key").lock);
    let (written, read) = tokio::join!(reader.acquire(&other), reader.get_mutex(&key));
    assert!(written.is_err() && read.is_ok());
}

#[tokio::test]
async fn files_that_are_no_databases_are_refused() {
    let file = File::new();
    std::fs::write(
        file.path(),
        "this is not a database, and it is long enough to be told from one".repeat(20),
    )
    .unwrap();
    let error = SqliteRepository::connect(&file.config()).await.unwrap_err();
    says(&error, ErrorKind::Database, "not a SQLite database");

    for (url, kind, words) in [
        (
            "sqlite:/no/such/folder/locks.db".to_string(),
            ErrorKind::CurrentlyUnavailable,
            "/no/such/folder/locks.db",
        ),
        (format!("sqlite:{}", file.folder.path().display()), ErrorKind::CurrentlyUnavailable, "folder"),
        (
            format!("sqlite:{}.absent?mode=rw", file.path().display()),
            ErrorKind::CurrentlyUnavailable,
            "cannot open",
        ),
        ("postgres://h/d".to_string(), ErrorKind::Validation, "SQLite"),
    ] {
        says(&connect(&url).await.unwrap_err(), kind, words);
    }
}

#[tokio::test]
async fn a_damaged_file_is_a_database_error() {
    let file = File::new();
    let store = file.open().await;
    for n in 0..50 {
        granted(&store, &AcquireRequest { data: Some("x".repeat(2_000)), ..ask(&format!("key {n}")) }).await;
    }
    let checkpoint = Connection::open(file.path()).unwrap();
    checkpoint.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop((checkpoint, store));
    while file.path().with_extension("db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut bytes = std::fs::read(file.path()).unwrap();
    bytes[8_192..].fill(0xa5);
    std::fs::write(file.path(), bytes).unwrap();
    let error = match SqliteRepository::connect(&file.config()).await {
        Err(error) => error,
        Ok(store) => store.acquire(&ask("key 7")).await.unwrap_err(),
    };
    says(&error, ErrorKind::Database, "damaged");
}

#[tokio::test]
async fn missing_tables_are_named_and_can_be_made() {
    let file = File::new();
    let mut config = file.config();
    config.run_database_migrations = Some(false);
    let store = SqliteRepository::connect(&config).await.unwrap();
    let error = store.acquire(&ask("key")).await.unwrap_err();
    says(&error, ErrorKind::Database, "db-locks migrate");
    let applied = store.migrate().await.unwrap();
    assert_eq!(applied, ["00000000000001_create_locks", "00000000000002_create_fenced"]);
    assert!(store.migrate().await.unwrap().is_empty());
    granted(&store, &ask("key")).await;
}

/// One that cannot hold more than its tables and a little.
async fn nearly_full(file: &File) -> Arc<SqliteRepository> {
    let options = SqliteOptions { max_page_count: Some(30), ..SqliteOptions::default() };
    SqliteRepository::connect_with(&file.config(), options).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_is_said_plainly_and_costs_nobody_his_lock() {
    let file = File::new();
    let store = nearly_full(&file).await;
    let mut held = Vec::new();
    for n in 0..16 {
        held.push(granted(&store, &ask(&format!("key {n}"))).await);
    }
    let large = || AcquireRequest { data: Some("x".repeat(60_000)), ..ask(&new_version()) };
    let error = loop {
        if let Err(error) = store.acquire(&large()).await {
            break error;
        }
    };
    says(&error, ErrorKind::CurrentlyUnavailable, "full");

    // Gathered in the same transactions: whoever needs no room is not harmed by those who do.
    let mut tasks = tokio::task::JoinSet::new();
    for lock in held.clone() {
        let (store, ask) = (Arc::clone(&store), large());
        tasks.spawn(async move {
            let renewal = renewal(&lock);
            let (renewed, refused) = tokio::join!(store.renew(&renewal), store.acquire(&ask));
            says(&refused.unwrap_err(), ErrorKind::CurrentlyUnavailable, "full");
            renewed.unwrap()
        });
    }
    for lock in tasks.join_all().await {
        assert!(store.release(&release(&lock)).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_come_together_share_a_transaction() {
    let file = File::new();
    let store = file.open().await;
    let before = store.stats();
    let mut tasks = tokio::task::JoinSet::new();
    // While another process keeps the file, everybody gathers.
    let other = file.locked();
    for n in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let lock = granted(&store, &ask(&format!("key {}", n / 2 * 2 + n % 2))).await;
            assert!(store.release(&release(&lock)).await.unwrap());
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(other);
    tasks.join_all().await;
    let (requests, transactions) =
        (store.stats().requests - before.requests, store.stats().transactions - before.transactions);
    assert_eq!(requests, 128);
    assert!(transactions <= 80, "{requests} requests took {transactions} transactions");

    // A lone caller has his to himself.
    let before = store.stats();
    for n in 0..10 {
        granted(&store, &ask(&format!("lone {n}"))).await;
    }
    assert_eq!(store.stats().transactions - before.transactions, 10);
}

#[tokio::test]
async fn refusals_in_a_shared_transaction_are_each_callers_own() {
    let file = File::new();
    let store = file.open().await;
    let held = granted(&store, &ask("held")).await;
    let stale = RenewRequest { version: "stale".into(), ..renewal(&held) };
    let (other_key, taken) = (ask("other"), ask("held"));
    let unknown = AcquireRequest { only_if_exists: true, ..ask("unknown") };
    let other = file.locked();
    let unlock = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(other);
    };
    let (other_key, busy, stale, unknown, ()) = tokio::join!(
        store.acquire(&other_key),
        store.acquire(&taken),
        store.renew(&stale),
        store.acquire(&unknown),
        unlock
    );
    assert!(matches!(other_key.unwrap(), Acquired::Granted(_)));
    assert!(matches!(busy.unwrap(), Acquired::Busy(_)));
    says(&stale.unwrap_err(), ErrorKind::NotFound, "does not hold it");
    says(&unknown.unwrap_err(), ErrorKind::NotFound, "does not exist");
    assert!(is_busy(&store, "other").await);
}

#[tokio::test]
async fn many_renewals_are_one_transaction_and_share_a_fault() {
    let file = File::new();
    let mut config = file.config();
    config.request_timeout_ms = Some(300);
    let store = SqliteRepository::connect(&config).await.unwrap();
    let mut requests = Vec::new();
    for n in 0..100 {
        requests.push(renewal(&granted(&store, &ask(&format!("key {n}"))).await));
    }
    let before = store.stats().transactions;
    assert!(store.renew_many(&requests).await.iter().all(Result::is_ok));
    assert_eq!(store.stats().transactions - before, 1);

    let other = file.locked();
    let answers = store.renew_many(&requests).await;
    assert_eq!(answers.len(), 100);
    for error in answers.into_iter().map(Result::unwrap_err) {
        says(&error, ErrorKind::Database, "locked");
        assert!(error.retryable());
    }
    drop(other);
    assert!(store.renew_many(&requests).await.iter().all(Result::is_ok), "a renewal can be sent again");
}

/// A machine whose clocks the test turns.
#[derive(Debug)]
struct Turned {
    boot_id: &'static str,
    since_boot_us: AtomicI64,
    wall_us: AtomicI64,
}

const YEAR_2026_US: i64 = 1_767_225_600_000_000;

impl Turned {
    fn new(boot_id: &'static str, wall_us: i64) -> Arc<Self> {
        Arc::new(Self { boot_id, since_boot_us: AtomicI64::new(1_000_000), wall_us: AtomicI64::new(wall_us) })
    }

    fn pass_ms(&self, ms: i64) {
        self.since_boot_us.fetch_add(ms * 1_000, Ordering::SeqCst);
        self.wall_us.fetch_add(ms * 1_000, Ordering::SeqCst);
    }

    fn step_wall_ms(&self, ms: i64) {
        self.wall_us.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for Turned {
    fn boot_id(&self) -> String {
        self.boot_id.to_string()
    }

    fn since_boot_us(&self) -> i64 {
        self.since_boot_us.load(Ordering::SeqCst)
    }

    fn wall_us(&self) -> i64 {
        self.wall_us.load(Ordering::SeqCst)
    }
}

async fn open_at(path: &Path, clock: Arc<Turned>) -> Arc<SqliteRepository> {
    let options = SqliteOptions { clock, ..SqliteOptions::default() };
    SqliteRepository::connect_with(&config(&format!("sqlite:{}", path.display())), options).await.unwrap()
}

#[tokio::test]
async fn steps_of_the_wall_clock_move_no_lease() {
    let file = File::new();
    let clock = Turned::new("boot", YEAR_2026_US);
    let store = open_at(&file.path(), Arc::clone(&clock)).await;
    let lock = granted(&store, &ask("key")).await;
    let expires_at = lock.expires_at.unwrap().as_microsecond();
    assert_eq!(expires_at, YEAR_2026_US + 15_000_000, "timestamps are of the wall clock as it was at first");

    for step_ms in [3_600_000, -7_200_000] {
        clock.step_wall_ms(step_ms);
        assert!(is_busy(&store, "key").await, "the lease ended by a step of {step_ms} ms");
        // A process that starts after the step reckons as the others do.
        let late = open_at(&file.path(), Turned::new("boot", clock.wall_us())).await;
        assert!(is_busy(&late, "key").await);
    }
    clock.pass_ms(14_999);
    assert!(is_busy(&store, "key").await);
    clock.pass_ms(1);
    let next = granted(&store, &ask("key")).await;
    assert!(next.fencing_token > lock.fencing_token);
    assert!(store.renew(&renewal(&lock)).await.is_err());
}

#[tokio::test]
async fn a_boot_of_the_machine_frees_every_lock_and_tokens_go_on() {
    let file = File::new();
    let before = open_at(&file.path(), Turned::new("first boot", YEAR_2026_US)).await;
    let lock = granted(&before, &ask("key")).await;
    before.acquire(&AcquireRequest { wait: true, ..ask("key") }).await.unwrap();
    let deleted = granted(&before, &AcquireRequest { delete_on_release: true, ..ask("deleted") }).await;
    assert!(before.release(&release(&deleted)).await.unwrap());
    drop(before);

    // The machine comes up with a wall clock of a year ago.
    let year_us = 365 * 24 * 3_600 * 1_000_000;
    let after = open_at(&file.path(), Turned::new("second boot", YEAR_2026_US - year_us)).await;
    assert!(!after.get_mutex(&lock.lock_id().unwrap()).await.unwrap().locked);
    let next = granted(&after, &ask("key")).await;
    assert!(next.fencing_token > lock.fencing_token);
    let again = granted(&after, &ask("deleted")).await;
    assert!(again.fencing_token > deleted.fencing_token);
    assert!(after.renew(&renewal(&lock)).await.is_err());
}

#[tokio::test]
async fn the_real_clock_is_that_of_the_machine() {
    let file = File::new();
    let store = file.open().await;
    let lock = granted(&store, &ask("key")).await;
    let off_us = lock.expires_at.unwrap().as_microsecond() - 15_000_000 - SystemClock::new().wall_us();
    assert!(off_us.abs() < 5_000_000, "timestamps are off by {off_us} us");
}
