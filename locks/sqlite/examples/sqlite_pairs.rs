//! Prints how many acquire + release pairs a second SQLite does here, for 256 tasks, for one caller and for some, beside what the
//! engine itself does on one thread: with the very statements of such a pair, and with one plain update a transaction. And how much
//! longer an acquire takes among 100,000 keys than among 100, beside the engine's update of one row in the same tables.
//! `cargo run --release -p db-locks-sqlite --example sqlite_pairs [FOLDER [keys]]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest,
};
use db_locks_sqlite::{SqliteOptions, SqliteRepository};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How much of what is confirmed is on disk, and as the option of the store: all, and all but what power loss undoes.
const SETTINGS: [(&str, bool); 2] = [("FULL", true), ("NORMAL", false)];
const LASTS: Duration = Duration::from_secs(3);
/// A lone caller and the driver take so many turns of this length.
const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Outcome {
    let folder = std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let folder = tempfile::tempdir_in(folder)?;
    for (synchronous, synced) in SETTINGS {
        keys(folder.path(), synchronous, synced).await?;
    }
    if std::env::args().nth(2).as_deref() == Some("keys") {
        return Ok(());
    }
    many(folder.path()).await?;

    for url in [format!("sqlite:{}", folder.path().join("locks.db").display()), ":memory:".to_string()] {
        let in_memory = url == ":memory:";
        println!("{}", if in_memory { "in memory" } else { "file" });
        let mut config = LocksConfig::new("bench");
        config.database_url = Some(url);
        let repository = SqliteRepository::connect(&config).await?;
        let file = folder.path().join("locks.db");
        let place = if in_memory { Path::new(":memory:") } else { &file };
        alone_and_beside(&repository, place).await?;
        for callers in [8, 64, 256] {
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

/// 256 tasks with keys of their own beside the engine alone, which has one connection too (SQLite has one writer), in turns:
/// with each commit on disk for both, and with the usual setting for both.
async fn many(folder: &Path) -> Outcome {
    for (synchronous, synced) in SETTINGS {
        let mut config = LocksConfig::new("bench");
        config.database_url = Some(format!("sqlite:{}", folder.join(format!("{synchronous}.db")).display()));
        let options = SqliteOptions { synced, ..SqliteOptions::default() };
        let repository = SqliteRepository::connect_with(&config, options).await?;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (begun, mut tasks) = (Instant::now(), tokio::task::JoinSet::new());
            for number in 0..256 {
                let ask = request(LockId::mutex("bench", &format!("key-{number}"))?, None);
                tasks.spawn(pairs(Arc::clone(&repository), ask, begun + TURN));
            }
            let mut done = 0;
            while let Some(pairs) = tasks.join_next().await {
                done += pairs??;
            }
            let rate = f64::from(done) / begun.elapsed().as_secs_f64();
            let file = folder.join(format!("engine-{synchronous}.db"));
            let engine = tokio::task::spawn_blocking(move || engine_limit(&file, synchronous)).await??;
            ours.push(rate);
            theirs.push(engine);
            ratios.push(rate / engine);
        }
        println!(
            "synchronous={synchronous}: 256 tasks {:.0} pairs/s; the engine alone, one update a transaction {:.0}/s, ratio {:.2}",
            median(ours),
            median(theirs),
            median(ratios)
        );
    }
    Ok(())
}

/// An acquire by one caller among few and among many keys, and an update of one row by the engine alone. Each has a file of its own: what one
/// connection writes makes the page caches of the others cold. Medians in microseconds; the releases are not timed.
async fn keys(folder: &Path, synchronous: &str, synced: bool) -> Outcome {
    const SIZES: [u32; 2] = [100, 100_000];
    let rounds = if synced { 10 } else { 40 };
    let options = SqliteOptions { synced, ..SqliteOptions::default() };
    const CALLS: u32 = 250;
    let (mut stores, mut engines) = (Vec::new(), Vec::new());
    for keys in SIZES {
        let mut config = LocksConfig::new("bench");
        for file in [format!("engine-{synchronous}-{keys}.db"), format!("ours-{synchronous}-{keys}.db")] {
            let file = folder.join(file);
            config.database_url = Some(format!("sqlite:{}", file.display()));
            drop(SqliteRepository::connect_with(&config, options.clone()).await?);
            let mut filler = rusqlite::Connection::open(&file)?;
            let all = filler.transaction()?;
            for number in 0..keys {
                all.prepare_cached(
                    "INSERT INTO mutexes (tenant_id, mutex_key, version, lease_duration_ms, owner)
                     VALUES ('bench', ?, ?, 60000, 'bench')",
                )?
                .execute([key(number), new_version()])?;
            }
            all.commit()?;
        }
        stores.push(SqliteRepository::connect_with(&config, options.clone()).await?);
        let engine = rusqlite::Connection::open(folder.join(format!("engine-{synchronous}-{keys}.db")))?;
        engine.pragma_update(None, "synchronous", synchronous)?;
        engine.pragma_update(None, "cache_size", -65_536)?;
        engines.push(engine);
    }
    let update = "UPDATE mutexes SET expires_at_us = expires_at_us + 1, version = ?
        WHERE tenant_id = 'bench' AND semaphore_key = '' AND mutex_key = ?";
    let mut times: [[Vec<f64>; 2]; 2] = Default::default();
    let mut random = 1_u32;
    for round in 0..=rounds {
        for (place, keys) in SIZES.into_iter().enumerate() {
            for _ in 0..CALLS {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = key(random / 64 % keys);
                let ask = request(LockId::mutex("bench", &key)?, None);
                let begun = Instant::now();
                let Acquired::Granted(lock) = stores[place].acquire(&ask).await? else {
                    return Err("refused".into());
                };
                let ours = begun.elapsed();
                stores[place].release(&release(&lock)?).await?;
                let version = new_version();
                let begun = Instant::now();
                engines[place].prepare_cached(update)?.execute([&version, &key])?;
                let engines = begun.elapsed();
                // The first rounds make the caches warm.
                if round > rounds / 4 {
                    times[0][place].push(ours.as_secs_f64() * 1e6);
                    times[1][place].push(engines.as_secs_f64() * 1e6);
                }
            }
        }
    }
    for (who, [few, many]) in ["an acquire", "the engine's update of one row"].into_iter().zip(times) {
        let (few, many) = (median(few), median(many));
        println!(
            "synchronous={synchronous}: {who}: {few:.1} us among 100 keys, {many:.1} us among 100,000, ratio {:.2}",
            many / few
        );
    }
    Ok(())
}

fn key(number: u32) -> String {
    format!("order {number:08}")
}

/// A lone caller and the driver that sends the same statements on one thread, in turns.
async fn alone_and_beside(repository: &Arc<SqliteRepository>, place: &Path) -> Outcome {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let ask = request(LockId::mutex("bench", "key-0")?, None);
    for _ in 0..TURNS {
        let (begun, place) = (Instant::now(), place.to_path_buf());
        let done = tokio::spawn(pairs(Arc::clone(repository), ask.clone(), begun + TURN)).await??;
        let rate = f64::from(done) / begun.elapsed().as_secs_f64();
        let bare = tokio::task::spawn_blocking(move || bare_pairs(&place)).await??;
        ours.push(rate);
        theirs.push(bare);
        ratios.push(rate / bare);
    }
    println!(
        "  mutexes, 1 caller                    {:>9.0} pairs/s; the driver with the same statements {:.0}, ratio {:.2}",
        median(ours),
        median(theirs),
        median(ratios)
    );
    Ok(())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Pairs a second of the driver: the statements of an acquire and a release, each in a transaction, and nothing else.
fn bare_pairs(place: &Path) -> Outcome<f64> {
    let connection = rusqlite::Connection::open(place)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(include_str!("../migrations/00000000000001_create_locks/up.sql"))?;
    let columns = "slot, version, fence, lease_duration_ms, expires_at_us, owner, delete_on_release, named_by_version, data";
    let key = "tenant_id = ?1 AND semaphore_key = ?2 AND mutex_key = ?3";
    let read = format!("SELECT {columns} FROM mutexes WHERE {key}");
    let waits = format!("SELECT EXISTS (SELECT 1 FROM lock_waiters WHERE {key})");
    let write = "INSERT INTO mutexes (tenant_id, semaphore_key, mutex_key, slot, version, fence, lease_duration_ms,
            expires_at_us, data, owner, delete_on_release, named_by_version, deleted_at_us, created_at_us, updated_at_us)
        VALUES (?1, ?2, ?3, 0, ?4, ?5, 60000, ?6, NULL, 'bench', 0, 0, 0, ?7, ?7)
        ON CONFLICT (tenant_id, semaphore_key, mutex_key) DO UPDATE SET
            version = excluded.version, fence = excluded.fence, lease_duration_ms = excluded.lease_duration_ms,
            expires_at_us = excluded.expires_at_us, data = excluded.data, owner = excluded.owner,
            delete_on_release = excluded.delete_on_release, named_by_version = excluded.named_by_version,
            deleted_at_us = excluded.deleted_at_us, updated_at_us = excluded.updated_at_us";
    let run = |acquire: bool, version: &str, time_us: i64| -> rusqlite::Result<()> {
        let key = ["bench", "", "bare"];
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let found = connection.prepare_cached(&read)?.query_row(key, |row| row.get::<_, String>(1));
        if let Err(error) = found
            && error != rusqlite::Error::QueryReturnedNoRows
        {
            return Err(error);
        }
        if acquire {
            connection.prepare_cached(&waits)?.query_row(key, |row| row.get::<_, bool>(0))?;
        }
        let end_us = if acquire { time_us + 60_000_000 } else { 0 };
        let values = rusqlite::params![key[0], key[1], key[2], version, time_us, end_us, time_us];
        connection.prepare_cached(write)?.execute(values)?;
        connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    };
    let (begun, mut done) = (Instant::now(), 0_u32);
    while begun.elapsed() < TURN {
        let (version, time_us) = (new_version(), i64::from(done));
        run(true, &version, time_us)?;
        run(false, &version, time_us)?;
        done += 1;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

/// What the driver does with the smallest statement that could be an acquire.
fn engine_limit(path: &Path, synchronous: &str) -> Outcome<f64> {
    let connection = rusqlite::Connection::open(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, fence INTEGER, owner TEXT) WITHOUT ROWID;
         INSERT OR IGNORE INTO t VALUES ('one', 0, '')",
    )?;
    let mut update = connection.prepare("UPDATE t SET fence = fence + 1, owner = ?2 WHERE k = ?1")?;
    let (begun, mut done) = (Instant::now(), 0_u32);
    while begun.elapsed() < TURN {
        update.execute(["one", &new_version()])?;
        done += 1;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

fn request(lock: LockId, max_size: Option<u32>) -> AcquireRequest {
    AcquireRequest { owner: "bench".to_string(), lease_ms: 60_000, max_size, ..AcquireRequest::new(lock) }
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
