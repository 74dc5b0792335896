//! Acquire + release pairs a second of one client, beside pgbench sending the same two statements in the same run; and of 256 tasks
//! with keys of their own, beside pgbench updating one row a transaction on as many connections as they used.
//!
//! Of a server that syncs to its disk (`fsync`, `synchronous_commit` as they come) unless you want to know something else.
//!
//! `DB_LOCKS_TEST_POSTGRES_URL=postgres://… cargo run --release -p db-locks-postgres --example postgres_pairs [turns] [parameters]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, WAITER_TTL_MS};
use db_locks_core::{AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, ReleaseRequest};
use db_locks_postgres::PostgresRepository;

fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "pairs".into(),
        max_size: lock.is_semaphore().then_some(10),
        wait: true,
        ..AcquireRequest::new(lock.clone())
    }
}

async fn pairs_per_second(store: &PostgresRepository, lock: &LockId, time: Duration) -> f64 {
    let started = Instant::now();
    let mut pairs = 0_u32;
    while started.elapsed() < time {
        let request = request(lock);
        let Acquired::Granted(granted) = store.acquire(&request).await.unwrap() else { continue };
        let release = ReleaseRequest {
            lock: lock.clone(),
            mutex_key: granted.mutex_key,
            version: granted.version,
            delete: false,
            data: None,
        };
        assert!(store.release(&release).await.unwrap());
        pairs += 1;
    }
    f64::from(pairs) / started.elapsed().as_secs_f64()
}

/// Pairs a second of so many tasks, each with a key of its own.
async fn pairs_of_many(store: &Arc<PostgresRepository>, tasks: usize, time: Duration) -> f64 {
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let store = Arc::clone(store);
        let lock = LockId::mutex("pairs", &format!("task {task}")).unwrap();
        running.spawn(async move { pairs_per_second(&store, &lock, time).await });
    }
    let mut pairs = 0.0;
    while let Some(rate) = running.join_next().await {
        pairs += rate.unwrap() * time.as_secs_f64();
    }
    pairs / started.elapsed().as_secs_f64()
}

/// The engine's own limit: transactions a second of one update of one row each, with rows enough for every connection.
fn pgbench_updates(url: &str, connections: i64, time: Duration) -> f64 {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        script,
        "UPDATE mutexes SET expires_at_us = 0, updated_at_us = updated_at_us + 1 \
         WHERE tenant_id = 'pairs' AND semaphore_key = '' AND mutex_key = 'task ' || :client_id;"
    )
    .unwrap();
    run_pgbench(url, connections, time, script.path(), &[])
}

/// Connections of this program's stores, by the name that they give.
async fn connections(url: &str, name: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    client.query_one(count, &[&name]).await.unwrap().get(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// 256 tasks, with and without group commit, and a lone caller the same; in turns.
async fn many(url: &str, parameters: &str, turns: u32) {
    const TASKS: usize = 256;
    let connect = async |name: &str, more: &str| {
        let mut config = LocksConfig::new("pairs");
        config.database_url = Some(format!("{url}?application_name={name}{more}&{parameters}"));
        PostgresRepository::connect(&config).await.unwrap()
    };
    let apart = connect("pairs_apart", "&group_commit=false").await;
    let second = Duration::from_secs(1);
    // The first grant of a key makes its row, by another way, on more connections.
    pairs_of_many(&apart, TASKS, second / 2).await;
    let together = connect("pairs_together", "").await;
    pairs_of_many(&together, TASKS, second).await;
    let used = connections(url, "pairs_together").await;
    let lone = LockId::mutex("pairs", "lone").unwrap();
    let mut rounds = Vec::new();
    for _ in 0..turns {
        rounds.push([
            pairs_of_many(&together, TASKS, second).await,
            pgbench_updates(url, used, second),
            pairs_of_many(&apart, TASKS, second).await,
            pgbench_updates(url, 32, second),
            pairs_per_second(&together, &lone, second / 2).await,
            pairs_per_second(&apart, &lone, second / 2).await,
        ]);
    }
    let rate = |place: usize| median(rounds.iter().map(|round| round[place]).collect());
    let ratio =
        |one: usize, other: usize| median(rounds.iter().map(|round| round[one] / round[other]).collect());
    println!(
        "256 tasks: {:.0} pairs/s on {used} connections; pgbench, one update a transaction: {:.0}/s on {used}, ratio {:.2}; \
         {:.0}/s on 32, ratio {:.2}; without group commit {:.0} pairs/s, ratio {:.2}",
        rate(0),
        rate(1),
        ratio(0, 1),
        rate(3),
        ratio(0, 3),
        rate(2),
        ratio(0, 2)
    );
    println!(
        "a lone caller: {:.0} pairs/s, without group commit {:.0}, ratio {:.2}",
        rate(4),
        rate(5),
        ratio(4, 5)
    );
}

/// The same two statements with the same kinds of parameters, by PostgreSQL's own client.
fn pgbench(url: &str, semaphore: bool, durable: bool, time: Duration) -> f64 {
    let limits = format!("{WAITER_TTL_MS}, {CLIENT_TTL_MS}, {MAX_WAITERS}, {MAX_POSITION}");
    let (acquire, release, size) =
        if semaphore { ("slot_acquire", "slot_release", "10, false, ") } else { ("acquire", "release", "") };
    let mut script = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        script,
        "SELECT * FROM \"mutexes_{acquire}\"(:tenant, :key, :version, :owner, 15000, {size}NULL, true, false, false, false, \
         true, true, :client, {limits});\n\
         SELECT * FROM \"mutexes_{release}\"(:tenant, :key, -1, :version, false, NULL, {durable});"
    )
    .unwrap();
    let version = format!("version={}", new_version());
    let client = "client=dbl_00000000000000000000000000000000";
    let variables =
        ["-D", "tenant=pairs", "-D", "key=pgbench", "-D", "owner=pairs", "-D", &version, "-D", client];
    run_pgbench(url, 1, time, script.path(), &variables)
}

/// Transactions a second of a script.
fn run_pgbench(url: &str, clients: i64, time: Duration, script: &Path, variables: &[&str]) -> f64 {
    let (clients, seconds) = (clients.to_string(), time.as_secs().to_string());
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", &clients, "-T", &seconds, "-f"])
        .arg(script)
        .args(variables)
        .arg(url)
        .output()
        .expect("pgbench is needed");
    let words = String::from_utf8_lossy(&output.stdout);
    let tps = words.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = tps.unwrap_or_else(|| panic!("{words}{}", String::from_utf8_lossy(&output.stderr)));
    tps.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(5_u32, |seconds| seconds.parse::<u32>().unwrap().max(1));
    let parameters = arguments.next().unwrap_or_default();
    let url = std::env::var("DB_LOCKS_TEST_POSTGRES_URL").expect("DB_LOCKS_TEST_POSTGRES_URL");
    let durable = !parameters.contains("durable_release=false");
    let mut config = LocksConfig::new("pairs");
    config.database_url = Some(format!("{url}?{parameters}"));
    let store = PostgresRepository::connect(&config).await.unwrap();
    let second = Duration::from_secs(1);
    for lock in [LockId::mutex("pairs", "ours").unwrap(), LockId::semaphore("pairs", "ours").unwrap()] {
        pairs_per_second(&store, &lock, second / 2).await;
        // In turns of a second, and the median of them, so that a busy moment of the machine decides nothing.
        let mut rounds = Vec::new();
        for _ in 0..seconds {
            let ours = pairs_per_second(&store, &lock, second).await;
            rounds.push((ours, pgbench(&url, lock.is_semaphore(), durable, second)));
        }
        let median = |of: fn(&(f64, f64)) -> f64| median(rounds.iter().map(of).collect());
        println!(
            "{lock}: {:.0} pairs/s, pgbench {:.0}, ratio {:.2} (medians of {seconds} turns)",
            median(|turn| turn.0),
            median(|turn| turn.1),
            median(|turn| turn.0 / turn.1)
        );
    }
    many(&url, &parameters, seconds).await;
}
