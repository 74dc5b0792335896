//! Acquire + release pairs a second of one client, beside pgbench sending the same two statements in the same run.
//!
//! `DB_LOCKS_TEST_POSTGRES_URL=postgres://… cargo run --release -p db-locks-postgres --example postgres_pairs [turns] [parameters]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, WAITER_TTL_MS};
use db_locks_core::{AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, ReleaseRequest};
use db_locks_postgres::PostgresRepository;

fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        lock: lock.clone(),
        version: new_version(),
        owner: "pairs".into(),
        lease_ms: 15_000,
        max_size: lock.is_semaphore().then_some(10),
        named_by_version: false,
        data: None,
        replace_data: true,
        delete_on_release: false,
        reentrant: false,
        only_if_exists: false,
        fair: true,
        wait: true,
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
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", "1", "-T", &time.as_secs().to_string(), "-f"])
        .arg(script.path())
        .args(["-D", "tenant=pairs", "-D", "key=pgbench", "-D", "owner=pairs"])
        .args([
            "-D",
            &format!("version={}", new_version()),
            "-D",
            "client=dbl_00000000000000000000000000000000",
        ])
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
        let median = |of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "{lock}: {:.0} pairs/s, pgbench {:.0}, ratio {:.2} (medians of {seconds} turns)",
            median(|turn| turn.0),
            median(|turn| turn.1),
            median(|turn| turn.0 / turn.1)
        );
    }
}
