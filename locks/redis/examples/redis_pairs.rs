//! How close one client comes to what the server can do: pairs of acquire and release a second, beside redis-benchmark with
//! one connection sending the very same two commands (caught with MONITOR) in the same run.
//!
//! `cargo run --release -p db-locks-redis --example redis_pairs -- redis://127.0.0.1:6379 [seconds]`

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockId, LockRepository, LockResult, LocksConfig, ReleaseRequest,
};
use db_locks_redis::RedisRepository;
use futures_util::StreamExt;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        lock: lock.clone(),
        version: new_version(),
        owner: "bench:1:1".into(),
        lease_ms: 15_000,
        max_size: lock.is_semaphore().then_some(100),
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

async fn pair(store: &RedisRepository, lock: &LockId) -> LockResult<()> {
    let Acquired::Granted(held) = store.acquire(&request(lock)).await? else {
        return Err(LockError::runtime("somebody else holds the benchmark's lock"));
    };
    let mutex_key = held.mutex_key;
    let release =
        ReleaseRequest { lock: lock.clone(), mutex_key, version: held.version, delete: false, data: None };
    store.release(&release).await.map(drop)
}

/// Pairs a second of this many tasks, each with a lock of its own.
async fn pairs(store: &Arc<RedisRepository>, tasks: usize, lock: &LockId, long: Duration) -> Outcome<f64> {
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let lock = LockId::new(lock.tenant(), lock.kind(), &format!("{}{task}", lock.key()))?;
        let store = Arc::clone(store);
        running.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < long {
                pair(&store, &lock).await?;
                done += 1;
            }
            LockResult::Ok(done)
        });
    }
    let mut all = 0.0;
    while let Some(done) = running.join_next().await {
        all += f64::from(done??);
    }
    Ok(all / begun.elapsed().as_secs_f64())
}

/// The commands of one pair as the server gets them: what MONITOR shows between two marks.
async fn commands_of_a_pair(url: &str, store: &RedisRepository, lock: &LockId) -> Outcome<Vec<Vec<String>>> {
    pair(store, lock).await?; // by now the server knows the scripts
    let mut monitor = redis::Client::open(url)?.get_async_monitor().await?;
    let mut lines = monitor.on_message::<String>();
    pair(store, lock).await?;
    let mut seen = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(300), lines.next()).await {
        // 1339518083.107412 [0 127.0.0.1:60866] "evalsha" "…"; what scripts call says [0 lua].
        if !line.contains(" lua] ") {
            seen.push(line.split('"').skip(1).step_by(2).map(str::to_string).collect());
        }
    }
    Ok(seen)
}

/// Requests a second of redis-benchmark, one connection, no pipelining.
fn benchmark(url: &redis::ConnectionInfo, command: &[String], seconds: u64) -> Outcome<f64> {
    let (host, port) = url
        .addr()
        .to_string()
        .rsplit_once(':')
        .map_or_else(Default::default, |(host, port)| (host.to_string(), port.to_string()));
    let requests = (seconds * 20_000).to_string();
    let output = Command::new("redis-benchmark")
        .args(["-h", &host, "-p", &port, "-c", "1", "-n", &requests, "--csv"])
        .args(command)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    // "the command","23456.78",…: the command itself may hold quotes and commas.
    let numbers: Vec<f64> = line.split('"').filter_map(|part| part.parse().ok()).collect();
    let from_end = numbers.len().checked_sub(7).ok_or("redis-benchmark printed no rate")?;
    Ok(numbers[from_end])
}

#[tokio::main]
async fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_string());
    let seconds: u64 = args.next().map_or(Ok(3), |text| text.parse())?;
    let mut config = LocksConfig::new("bench");
    config.redis_url = Some(url.clone());
    let store = RedisRepository::connect(&config).await?;
    let info = redis::IntoConnectionInfo::into_connection_info(url.as_str())?;
    for lock in [LockId::mutex("bench", "pairs")?, LockId::semaphore("bench", "pairs")?] {
        let commands = commands_of_a_pair(&url, &store, &lock).await?;
        println!("{lock}: {} commands for a pair", commands.len());
        for round in 1..=3 {
            let ours = pairs(&store, 1, &lock, Duration::from_secs(seconds)).await?;
            let mut time = 0.0;
            for command in &commands {
                time += 1.0 / benchmark(&info, command, seconds)?;
            }
            println!(
                "  round {round}: {ours:.0} pairs/s, redis-benchmark {:.0}, ratio {:.2}",
                1.0 / time,
                ours * time
            );
        }
        for tasks in [16, 64, 256] {
            let rate = pairs(&store, tasks, &lock, Duration::from_secs(seconds)).await?;
            println!("  {tasks} tasks on keys of their own: {rate:.0} pairs/s");
        }
    }
    Ok(())
}
