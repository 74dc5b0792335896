//! What one round trip a call and kept connections are worth: acquire + release pairs a second of db-locks, one client, beside
//! the usual design (a connection a call, and a read before each write) on the same database in the same run, and beside a
//! kinder form of it that reads and writes on one connection.
//!
//! `cargo xtask servers up` starts private servers and prints the variables that name them; with these set, run
//! `cargo run --release -p db-locks-bench`. Databases without a variable are left out, and said to be.
#![forbid(unsafe_code)]

mod naive;
mod tls;

use std::time::{Duration, Instant};

use db_locks::{AcquireLockOptionsBuilder, LockManager, Locks, LocksConfig, Registry, RepositoryProvider};
use naive::{Connections, Naive};

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
        return compare("dynamodb over TLS", RepositoryProvider::Ddb, &url, |connections| {
            Box::new(naive::dynamodb::Dynamo::new(&url, connections))
        })
        .await;
    }
    let folder = tempfile::tempdir()?;
    println!(
        "{:<18} {:>12} {:>12} {:>7} {:>18} {:>7}",
        "database", "db-locks /s", "usual /s", "times", "one connection /s", "times"
    );
    let file = folder.path().join("locks.sqlite").display().to_string();
    compare("sqlite", RepositoryProvider::Rdb, &format!("sqlite:{file}"), |connections| {
        Box::new(naive::sqlite::Sqlite::new(format!("{file}.usual"), connections))
    })
    .await?;
    if let Some(url) = server("postgres", "DB_LOCKS_TEST_POSTGRES_URL") {
        compare("postgres", RepositoryProvider::Rdb, &url, |connections| {
            Box::new(naive::postgres::Postgres::new(&url, connections))
        })
        .await?;
    }
    if let Some(url) = server("mysql", "DB_LOCKS_TEST_MYSQL_URL") {
        compare("mysql", RepositoryProvider::Rdb, &url, |connections| {
            Box::new(naive::mysql::Mysql::new(&url, connections))
        })
        .await?;
    }
    if let Some(url) = server("redis", "DB_LOCKS_TEST_REDIS_URL") {
        compare("redis", RepositoryProvider::Redis, &url, |connections| {
            Box::new(naive::redis::Redis::new(&url, connections))
        })
        .await?;
    }
    if let Some(url) = server("dynamodb", "DB_LOCKS_TEST_DYNAMODB_URL") {
        compare("dynamodb", RepositoryProvider::Ddb, &url, |connections| {
            Box::new(naive::dynamodb::Dynamo::new(&url, connections))
        })
        .await?;
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

async fn compare(
    name: &str,
    provider: RepositoryProvider,
    url: &str,
    usual: impl Fn(Connections) -> Box<dyn Naive>,
) -> Outcome {
    let mut config = LocksConfig::new("bench");
    match provider {
        RepositoryProvider::Rdb => config.database_url = Some(url.to_string()),
        RepositoryProvider::Redis => config.redis_url = Some(url.to_string()),
        RepositoryProvider::Ddb => config.ddb_endpoint_url = Some(url.to_string()),
    }
    let locks = Locks::build(provider, &config, &Registry::new()).await?;
    let (usual, kinder) = (usual(Connections::EachCall), usual(Connections::EachOperation));
    usual.prepare().await?;
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push([ours(&locks).await?, theirs(&*usual).await?, theirs(&*kinder).await?]);
    }
    // The median of each ratio, with the figures of the round that it is from.
    let times = |which: usize| {
        let mut rounds: Vec<_> = rows.iter().map(|row| (row[0] / row[which], *row)).collect();
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        rounds[ROUNDS / 2]
    };
    let ((more, round), (less, kinder)) = (times(1), times(2));
    println!("{name:<18} {:>12.0} {:>12.0} {more:>7.1} {:>18.0} {less:>7.1}", round[0], round[1], kinder[2]);
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
