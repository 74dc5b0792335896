//! What one round trip a call and kept connections are worth: acquire + release pairs a second of db-locks, one client, beside
//! the usual design (a connection a call, and a read before each write) on the same database in the same run.
//!
//! `cargo xtask servers up` starts private servers and prints the variables that name them; with these set, run
//! `cargo run --release -p db-locks-bench`. Databases without a variable are left out, and said to be.
#![forbid(unsafe_code)]

mod naive;
mod tls;

use std::time::{Duration, Instant};

use db_locks::{AcquireLockOptionsBuilder, LockManager, Locks, LocksConfig, Registry, RepositoryProvider};
use naive::Naive;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long each side runs in each round, and how many rounds.
const LASTS: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Outcome {
    // On a worker thread, as the callers of a program are.
    tokio::spawn(compare_all()).await?
}

async fn compare_all() -> Outcome {
    if std::env::args().nth(1).is_some_and(|argument| argument == tls::COPY) {
        let url = std::env::var("DB_LOCKS_TEST_DYNAMODB_URL")?;
        return compare(
            "dynamodb over TLS",
            RepositoryProvider::Ddb,
            &url,
            &naive::dynamodb::Dynamo::new(&url),
        )
        .await;
    }
    let folder = tempfile::tempdir()?;
    println!("{:<18} {:>14} {:>14} {:>9}", "database", "db-locks /s", "usual /s", "times");
    let file = folder.path().join("locks.sqlite").display().to_string();
    compare(
        "sqlite",
        RepositoryProvider::Rdb,
        &format!("sqlite:{file}"),
        &naive::sqlite::Sqlite::new(file + ".usual"),
    )
    .await?;
    if let Some(url) = server("postgres", "DB_LOCKS_TEST_POSTGRES_URL") {
        compare("postgres", RepositoryProvider::Rdb, &url, &naive::postgres::Postgres::new(&url)).await?;
    }
    if let Some(url) = server("mysql", "DB_LOCKS_TEST_MYSQL_URL") {
        compare("mysql", RepositoryProvider::Rdb, &url, &naive::mysql::Mysql::new(&url)).await?;
    }
    if let Some(url) = server("redis", "DB_LOCKS_TEST_REDIS_URL") {
        compare("redis", RepositoryProvider::Redis, &url, &naive::redis::Redis::new(&url)).await?;
    }
    if let Some(url) = server("dynamodb", "DB_LOCKS_TEST_DYNAMODB_URL") {
        compare("dynamodb", RepositoryProvider::Ddb, &url, &naive::dynamodb::Dynamo::new(&url)).await?;
        tls::measure(&url, folder.path())?;
    }
    Ok(())
}

fn server(name: &str, variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("{name:<18} left out: {variable} is not set");
    }
    url
}

async fn compare(name: &str, provider: RepositoryProvider, url: &str, usual: &dyn Naive) -> Outcome {
    let mut config = LocksConfig::new("bench");
    match provider {
        RepositoryProvider::Rdb => config.database_url = Some(url.to_string()),
        RepositoryProvider::Redis => config.redis_url = Some(url.to_string()),
        RepositoryProvider::Ddb => config.ddb_endpoint_url = Some(url.to_string()),
    }
    let locks = Locks::build(provider, &config, &Registry::new()).await?;
    usual.prepare().await?;
    let mut rows: Vec<(f64, f64)> = Vec::new();
    for _ in 0..ROUNDS {
        let ours = ours(&locks).await?;
        rows.push((ours, theirs(usual).await?));
    }
    rows.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, theirs) = rows[ROUNDS / 2];
    println!("{name:<18} {ours:>14.0} {theirs:>14.0} {:>9.1}", ours / theirs);
    Ok(())
}

/// Pairs a second through the manager, as users call it.
async fn ours(locks: &Locks) -> Outcome<f64> {
    let opts = AcquireLockOptionsBuilder::new("pairs").build();
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < LASTS {
        let lock = locks.manager().acquire_lock(&opts).await?;
        locks.manager().release_lock(&lock.to_release_options()).await?;
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

async fn theirs(usual: &dyn Naive) -> Outcome<f64> {
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < LASTS {
        let version = pairs.to_string();
        if !usual.acquire(&version).await? || !usual.release(&version).await? {
            return Err("the usual design lost its lock to nobody".into());
        }
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}
