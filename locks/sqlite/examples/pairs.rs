//! Prints how many acquire + release pairs a second SQLite does here, for one caller and for many, beside what the
//! engine itself does with one update a transaction. `cargo run --release -p db-locks-sqlite --example pairs [FOLDER]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest,
};
use db_locks_sqlite::SqliteRepository;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const LASTS: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Outcome {
    let folder = std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let folder = tempfile::tempdir_in(folder)?;
    let engine = engine_limit(&folder.path().join("engine.db"))?;
    println!("engine alone: {engine:>9.0} updates/s of one row, each a transaction, on one thread");

    for url in [format!("sqlite:{}", folder.path().join("locks.db").display()), ":memory:".to_string()] {
        println!("{}", if url == ":memory:" { "in memory" } else { "file" });
        let mut config = LocksConfig::new("bench");
        config.database_url = Some(url);
        let repository = SqliteRepository::connect(&config).await?;
        for callers in [1, 8, 64, 256] {
            report(&repository, &format!("mutexes, {callers} callers"), callers, |n| {
                LockId::mutex("bench", &format!("key-{n}")).map(|lock| request(lock, None))
            })
            .await?;
        }
        for (size, held) in [(10, 0), (1_000, 900)] {
            let lock = LockId::semaphore("bench", &format!("pool-{size}"))?;
            for _ in 0..held {
                repository.acquire(&request(lock.clone(), Some(size))).await?;
            }
            report(&repository, &format!("slots of {size}, {held} held, 1 caller"), 1, |_| {
                Ok(request(lock.clone(), Some(size)))
            })
            .await?;
        }
    }
    Ok(())
}

/// What the driver does with the smallest statement that could be an acquire.
fn engine_limit(path: &Path) -> Outcome<f64> {
    let connection = rusqlite::Connection::open(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection
        .execute_batch("CREATE TABLE t (k TEXT PRIMARY KEY, fence INTEGER, owner TEXT) WITHOUT ROWID")?;
    connection.execute("INSERT INTO t VALUES ('one', 0, '')", [])?;
    let mut update = connection.prepare("UPDATE t SET fence = fence + 1, owner = ?2 WHERE k = ?1")?;
    let (begun, mut done) = (Instant::now(), 0_u32);
    while begun.elapsed() < LASTS {
        update.execute(["one", &new_version()])?;
        done += 1;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

fn request(lock: LockId, max_size: Option<u32>) -> AcquireRequest {
    AcquireRequest {
        lock,
        version: new_version(),
        owner: "bench".to_string(),
        lease_ms: 60_000,
        max_size,
        named_by_version: false,
        data: None,
        replace_data: true,
        delete_on_release: false,
        reentrant: false,
        only_if_exists: false,
        fair: true,
        wait: false,
    }
}

async fn report(
    repository: &Arc<SqliteRepository>,
    what: &str,
    callers: u32,
    ask: impl Fn(u32) -> db_locks_core::LockResult<AcquireRequest>,
) -> Outcome {
    let before = repository.stats();
    let mut tasks = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for n in 0..callers {
        tasks.spawn(pairs(Arc::clone(repository), ask(n)?, begun + LASTS));
    }
    let mut pairs = 0;
    while let Some(done) = tasks.join_next().await {
        pairs += done??;
    }
    let rate = f64::from(pairs) / begun.elapsed().as_secs_f64();
    let after = repository.stats();
    let batch = (after.requests - before.requests) as f64 / (after.transactions - before.transactions) as f64;
    println!("  {what:<36} {rate:>9.0} pairs/s, {batch:>5.1} requests a transaction");
    Ok(())
}

async fn pairs(repository: Arc<SqliteRepository>, mut ask: AcquireRequest, until: Instant) -> Outcome<u32> {
    let mut pairs = 0;
    while Instant::now() < until {
        ask.version = new_version();
        let Acquired::Granted(lock) = repository.acquire(&ask).await? else { return Err("refused".into()) };
        repository.release(&release(&lock)?).await?;
        pairs += 1;
    }
    Ok(pairs)
}

fn release(lock: &MutexLock) -> db_locks_core::LockResult<ReleaseRequest> {
    Ok(ReleaseRequest {
        lock: lock.lock_id()?,
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: false,
        data: None,
    })
}
