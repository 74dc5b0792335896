//! Prints how many acquire + release pairs a second MySQL or MariaDB does here: for this store, for the bare driver that
//! sends the same statements, for the bare driver with the smallest statement that could be an acquire, and for a design
//! that connects for each call and reads before it writes.
//! `cargo run --release -p db-locks-mysql --example mysql_pairs [SECONDS [many]]`, with `DB_LOCKS_TEST_MYSQL_URL` or `DATABASE_URL` set.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest, RenewRequest,
};
use db_locks_mysql::MysqlRepository;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// So many keys take turns.
const KEYS: u32 = 100;

#[tokio::main]
async fn main() -> Outcome {
    let (seconds, only_many) = (std::env::args().nth(1), std::env::args().nth(2).as_deref() == Some("many"));
    let seconds = seconds.map_or(Ok(3.0), |text| text.parse())?;
    let lasts = Duration::from_secs_f64(seconds);
    let url = std::env::var("DB_LOCKS_TEST_MYSQL_URL").or_else(|_| std::env::var("DATABASE_URL"))?;
    let mut config = LocksConfig::new("bench");
    config.database_url = Some(url.clone());
    let repository = MysqlRepository::connect(&config).await?;

    many(&url, lasts).await?;
    if only_many {
        return Ok(());
    }
    // The first grant of a key makes its row, by another way.
    store_pairs(&repository, mutex, 1, lasts / 4).await?;
    // Twice, so that one can see what the machine's own unrest is.
    for _ in 0..2 {
        let same = alone(bare_pairs(connect(&url).await?, lasts)).await?;
        let ours = store_pairs(&repository, mutex, 1, lasts).await?;
        println!("driver, same statements  {same:>9.0} pairs/s");
        println!("db-locks                 {ours:>9.0} pairs/s   {:.2} of the driver", ours / same);
        let least = alone(smallest_pairs(connect(&url).await?, lasts)).await?;
        println!("driver, plain UPDATE     {least:>9.0} pairs/s   db-locks: {:.2} of it", ours / least);
        let naive = alone(naive_pairs(url.clone(), lasts)).await?;
        println!(
            "connect, read, write     {naive:>9.0} pairs/s   db-locks: {:.1} times as many",
            ours / naive
        );
        let slot = store_pairs(&repository, semaphore, 1, lasts).await?;
        println!("slots of 10              {slot:>9.0} pairs/s");
        for callers in [4, 16, 64] {
            let many = store_pairs(&repository, mutex, callers, lasts).await?;
            println!("{callers:>2} callers, own keys     {many:>9.0} pairs/s");
        }
    }
    renewals(&repository, lasts).await
}

/// 256 tasks with keys of their own, beside the driver updating one row a transaction on as many connections as the tasks used and
/// on 32, and beside the store without group commit; a lone caller with and without it. In turns; medians of the ratios.
async fn many(url: &str, lasts: Duration) -> Outcome {
    const TURNS: usize = 5;
    let more = if url.contains('?') { "&" } else { "?" };
    let mut config = LocksConfig::new("bench");
    config.database_url = Some(format!("{url}{more}group_commit=false"));
    let apart = MysqlRepository::connect(&config).await?;
    // The first grant of a key makes its row, by another way, on more connections.
    store_pairs(&apart, task, 256, lasts / 4).await?;
    store_pairs(&apart, slot, 256, lasts / 4).await?;
    config.database_url = Some(url.to_string());
    let before = sessions(url).await?;
    let together = MysqlRepository::connect(&config).await?;
    store_pairs(&together, task, 256, lasts).await?;
    let used = sessions(url).await? - before;
    store_pairs(&together, task, 1, lasts / 4).await?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push([
            store_pairs(&together, task, 256, lasts).await?,
            updates(url, used, lasts).await?,
            updates(url, 32, lasts).await?,
            store_pairs(&apart, task, 256, lasts).await?,
            store_pairs(&together, task, 1, lasts).await?,
            store_pairs(&apart, task, 1, lasts).await?,
            store_pairs(&together, slot, 256, lasts).await?,
            store_pairs(&apart, slot, 256, lasts).await?,
        ]);
    }
    let rate = |place: usize| median(turns.iter().map(|turn| turn[place]).collect());
    let ratio = |one: usize, other: usize| median(turns.iter().map(|turn| turn[one] / turn[other]).collect());
    println!(
        "256 tasks: {:.0} pairs/s on {used} connections; the driver, one update a transaction: {:.0}/s on {used}, ratio {:.2}; \
         {:.0}/s on 32, ratio {:.2}; without group commit {:.0} pairs/s, ratio {:.2}",
        rate(0),
        rate(1),
        ratio(0, 1),
        rate(2),
        ratio(0, 2),
        rate(3),
        ratio(0, 3)
    );
    println!(
        "a lone caller: {:.0} pairs/s, without group commit {:.0}, ratio {:.2}",
        rate(4),
        rate(5),
        ratio(4, 5)
    );
    println!(
        "256 tasks with a slot each: {:.0} pairs/s, to the driver on {used} connections {:.2}; without group commit {:.0}, ratio {:.2}",
        rate(6),
        ratio(6, 1),
        rate(7),
        ratio(6, 7)
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One key for each task.
fn task(caller: u32, _: u32) -> db_locks_core::LockResult<AcquireRequest> {
    request(LockId::mutex("bench", &format!("task-{caller}"))?, None)
}

/// A slot of a semaphore of its own for each task.
fn slot(caller: u32, _: u32) -> db_locks_core::LockResult<AcquireRequest> {
    request(LockId::semaphore("bench", &format!("pool-{caller}"))?, Some(10))
}

/// Connections of this user.
async fn sessions(url: &str) -> Outcome<u32> {
    let mut conn = connect(url).await?;
    let count = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)";
    let count: Option<u32> = conn.query_first(count).await?;
    conn.disconnect().await?;
    Ok(count.unwrap_or(0))
}

/// The engine's own limit: updates a second of one row each, each a transaction, on so many connections.
async fn updates(url: &str, connections: u32, lasts: Duration) -> Outcome<f64> {
    let mut working = tokio::task::JoinSet::<Outcome<u32>>::new();
    let mut opened = Vec::new();
    for _ in 0..connections {
        let mut conn = connect(url).await?;
        let sql = "UPDATE mutexes SET expires_at_us = 0, updated_at_us = updated_at_us + 1 \
            WHERE tenant_id = 'bench' AND semaphore_key = '' AND mutex_key = ?";
        let update = conn.prep(sql).await?;
        opened.push((conn, update));
    }
    let begun = Instant::now();
    for (number, (mut conn, update)) in opened.into_iter().enumerate() {
        working.spawn(async move {
            let (key, mut done) = (format!("task-{number}"), 0);
            while begun.elapsed() < lasts {
                conn.exec_drop(&update, (&key,)).await?;
                done += 1;
            }
            conn.disconnect().await?;
            Ok(done)
        });
    }
    let mut all = 0;
    while let Some(done) = working.join_next().await {
        all += done??;
    }
    Ok(f64::from(all) / begun.elapsed().as_secs_f64())
}

/// On a worker thread, as the store's callers are.
async fn alone(work: impl Future<Output = Outcome<f64>> + Send + 'static) -> Outcome<f64> {
    tokio::spawn(work).await?
}

async fn connect(url: &str) -> Outcome<Conn> {
    let setup = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET time_zone = '+00:00'";
    let opts = OptsBuilder::from_opts(Opts::from_url(url)?).prefer_socket(false).setup(vec![setup]);
    Ok(Conn::new(opts).await?)
}

/// The statements that the store sends, over one connection, without the store.
async fn bare_pairs(mut conn: Conn, lasts: Duration) -> Outcome<f64> {
    let take = conn.prep("CALL `mutexes_take_v1`(?, ?, ?, ?, ?, ?, ?, ?)").await?;
    let release = conn.prep("CALL `mutexes_release_v1`(?, ?, ?, ?, ?, ?)").await?;
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        let (key, version) = (format!("key-{}", pairs % KEYS), new_version());
        let params: Vec<mysql_async::Value> = vec![
            "bench".into(),
            key.as_str().into(),
            version.as_str().into(),
            "bench".into(),
            60_000.into(),
            mysql_async::Value::NULL,
            // Fair; data replaces data.
            17.into(),
            "bench".into(),
        ];
        let token: Option<Row> = conn.exec_first(&take, params).await?;
        conn.exec_drop(&release, ("bench", "", &key, &version, false, None::<String>)).await?;
        if token.is_none_or(|row| row.len() != 1) || conn.affected_rows() != 1 {
            return Err("refused".into());
        }
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

/// Less than a lock needs: no queue, no creation, nothing read back but the token.
async fn smallest_pairs(mut conn: Conn, lasts: Duration) -> Outcome<f64> {
    let now = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";
    let key = "tenant_id = ? AND semaphore_key = '' AND mutex_key = ?";
    let take = conn
        .prep(format!(
            "UPDATE mutexes SET fence = LAST_INSERT_ID(GREATEST(fence + 1, {now})), version = ?, expires_at_us = {now} + ? \
             WHERE {key} AND expires_at_us <= {now}"
        ))
        .await?;
    let release =
        conn.prep(format!("UPDATE mutexes SET expires_at_us = 0 WHERE {key} AND version = ?")).await?;
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        let (key, version) = (format!("key-{}", pairs % KEYS), new_version());
        conn.exec_drop(&take, (&version, 60_000_000, "bench", &key)).await?;
        conn.exec_drop(&release, ("bench", &key, &version)).await?;
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

/// A connection a call, and a read before each write.
async fn naive_pairs(url: String, lasts: Duration) -> Outcome<f64> {
    let key = "tenant_id = ? AND semaphore_key = '' AND mutex_key = ?";
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        let (name, version) = (format!("key-{}", pairs % KEYS), new_version());
        for sql in [
            format!("UPDATE mutexes SET version = ?, expires_at_us = 1 WHERE {key}"),
            format!("UPDATE mutexes SET version = ?, expires_at_us = 0 WHERE {key}"),
        ] {
            let mut conn = connect(&url).await?;
            let read = format!("SELECT version, expires_at_us FROM mutexes WHERE {key}");
            conn.exec_drop(read, ("bench", &name)).await?;
            conn.exec_drop(sql, (&version, "bench", &name)).await?;
            conn.disconnect().await?;
        }
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

fn mutex(caller: u32, round: u32) -> db_locks_core::LockResult<AcquireRequest> {
    request(LockId::mutex("bench", &format!("key-{}", caller * KEYS + round % KEYS))?, None)
}

fn semaphore(_: u32, _: u32) -> db_locks_core::LockResult<AcquireRequest> {
    request(LockId::semaphore("bench", "pool")?, Some(10))
}

fn request(lock: LockId, max_size: Option<u32>) -> db_locks_core::LockResult<AcquireRequest> {
    Ok(AcquireRequest { owner: "bench".to_string(), lease_ms: 60_000, max_size, ..AcquireRequest::new(lock) })
}

type Ask = fn(u32, u32) -> db_locks_core::LockResult<AcquireRequest>;

async fn store_pairs(
    repository: &Arc<MysqlRepository>,
    ask: Ask,
    callers: u32,
    lasts: Duration,
) -> Outcome<f64> {
    let mut working = tokio::task::JoinSet::<Outcome<u32>>::new();
    let begun = Instant::now();
    for caller in 0..callers {
        let repository = Arc::clone(repository);
        working.spawn(async move {
            let mut pairs = 0;
            while begun.elapsed() < lasts {
                let asked = ask(caller, pairs)?;
                let Acquired::Granted(lock) = repository.acquire(&asked).await? else {
                    return Err("refused".into());
                };
                repository.release(&release(&lock)?).await?;
                pairs += 1;
            }
            Ok(pairs)
        });
    }
    let mut pairs = 0;
    while let Some(done) = working.join_next().await {
        pairs += done??;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
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

/// One process that holds many locks.
async fn renewals(repository: &Arc<MysqlRepository>, lasts: Duration) -> Outcome {
    let mut held = Vec::new();
    for number in 0..1_000 {
        let asked = request(LockId::mutex("bench", &format!("held-{number}"))?, None)?;
        match repository.acquire(&AcquireRequest { lease_ms: 600_000, ..asked }).await? {
            Acquired::Granted(lock) => held.push(lock),
            Acquired::Busy(_) => return Err("refused".into()),
        }
    }
    let (begun, mut renewed) = (Instant::now(), 0_usize);
    while begun.elapsed() < lasts {
        let requests = held.iter().map(renewal).collect::<db_locks_core::LockResult<Vec<_>>>()?;
        held = repository.renew_many(&requests).await.into_iter().collect::<Result<_, _>>()?;
        renewed += held.len();
    }
    println!("1,000 held locks         {:>9.0} renewals/s", renewed as f64 / begun.elapsed().as_secs_f64());
    for lock in &held {
        repository.release(&release(lock)?).await?;
    }
    Ok(())
}

fn renewal(lock: &MutexLock) -> db_locks_core::LockResult<RenewRequest> {
    Ok(RenewRequest {
        lock: lock.lock_id()?,
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 600_000,
        data: None,
    })
}
