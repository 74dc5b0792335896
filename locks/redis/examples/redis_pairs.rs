//! How close a client comes to what the server can do, in one run: pairs of acquire and release a second beside
//! redis-benchmark and beside the driver in blocking mode, which send the very same two commands (caught with MONITOR).
//! And how long a handover takes: from the call of release in one client to the grant in another.
//!
//! All take turns in short slices and medians are printed, so that it means something on a busy machine too.
//!
//! `cargo run --release -p db-locks-redis --example redis_pairs -- redis://127.0.0.1:6379 [rounds]`

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockId, LockRepository, LockResult, LocksConfig, MutexLock,
    ReleaseRequest,
};
use db_locks_redis::RedisRepository;
use futures_util::StreamExt;

/// As it is sent.
const LEASE_MS: &str = "15000";
/// How long each of the compared sends at a time.
const SLICE: Duration = Duration::from_millis(200);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "bench:1:1".into(),
        max_size: lock.is_semaphore().then_some(100),
        wait: true,
        ..AcquireRequest::new(lock.clone())
    }
}

async fn pair(store: &RedisRepository, lock: &LockId) -> LockResult<()> {
    let Acquired::Granted(held) = store.acquire(&request(lock)).await? else {
        return Err(LockError::runtime("somebody else holds the benchmark's lock"));
    };
    store.release(&release(lock, held)).await.map(drop)
}

fn release(lock: &LockId, held: MutexLock) -> ReleaseRequest {
    ReleaseRequest {
        lock: lock.clone(),
        mutex_key: held.mutex_key,
        version: held.version,
        delete: false,
        data: None,
    }
}

/// Pairs a second of this many tasks, each with a lock of its own.
async fn pairs(store: &Arc<RedisRepository>, tasks: usize, lock: &LockId) -> Outcome<f64> {
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let lock = LockId::new(lock.tenant(), lock.kind(), &format!("{}{task}", lock.key()))?;
        let store = Arc::clone(store);
        running.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < SLICE {
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

/// The benchmark sends the acquire without releases in between: with a lease of nothing each one is a new grant.
fn without_lease(command: &[String]) -> Vec<String> {
    command.iter().map(|arg| if arg == LEASE_MS { "0".to_string() } else { arg.clone() }).collect()
}

/// The benchmark sends the same release over and over, and all but the first would change nothing: nothing to be written to the log,
/// nothing to be synced. With data it writes each time, as a release does that frees something.
fn with_data(release: &[String]) -> Outcome<Vec<String>> {
    let mut release = release.to_vec();
    let keys: usize = release.get(2).ok_or("no number of keys")?.parse()?;
    // After the keys: version, flags, data, slot.
    for (place, value) in [(keys + 4, "p"), (keys + 5, "data")] {
        *release.get_mut(place).ok_or("a release with fewer arguments")? = value.to_string();
    }
    Ok(release)
}

/// Requests a second of redis-benchmark, without pipelining.
fn benchmark(url: &redis::ConnectionInfo, command: &[String], connections: u32) -> Outcome<f64> {
    let address = url.addr().to_string();
    let (host, port) = address.rsplit_once(':').ok_or("an address without a port")?;
    let output = Command::new("redis-benchmark")
        .args(["-h", host, "-p", port, "-c", &connections.to_string(), "-n", "4000", "--csv"])
        .args(without_lease(command))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    // "the command","23456.78",…: seven numbers, after a command that may hold anything.
    let numbers: Vec<f64> = line.split('"').filter_map(|part| part.parse().ok()).collect();
    let from_end = numbers.len().checked_sub(7).ok_or("redis-benchmark printed no rate")?;
    Ok(numbers[from_end])
}

/// Pairs a second of redis-benchmark: it sends the two commands one after the other. Both write; and, second, with releases that
/// change nothing.
fn benchmark_pairs(
    url: &redis::ConnectionInfo,
    pair: &[Vec<String>],
    connections: u32,
) -> Outcome<(f64, f64)> {
    let [acquire, release] = pair else { return Err("not two commands for a pair".into()) };
    let acquires = benchmark(url, acquire, connections)?;
    let (vain, releases) =
        (benchmark(url, release, connections)?, benchmark(url, &with_data(release)?, connections)?);
    let pairs = |releases: f64| 1.0 / (1.0 / acquires + 1.0 / releases);
    Ok((pairs(releases), pairs(vain)))
}

/// Pairs a second of the driver in blocking mode, sending ready-made bytes.
fn blocking_pairs(url: &str, pair: &[Vec<String>]) -> Outcome<f64> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    let packed: Vec<Vec<u8>> =
        pair.iter().map(|command| redis::cmd(&command[0]).arg(&command[1..]).get_packed_command()).collect();
    let (begun, mut done) = (Instant::now(), 0_u32);
    while begun.elapsed() < SLICE {
        for bytes in &packed {
            redis::ConnectionLike::req_packed_command(&mut connection, bytes)?;
        }
        done += 1;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

/// Median and longest handover of so many, in milliseconds.
async fn handovers(
    one: &RedisRepository,
    other: &Arc<RedisRepository>,
    lock: &LockId,
    count: usize,
) -> Outcome<(f64, f64)> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let Acquired::Granted(held) = one.acquire(&request(lock)).await? else {
            return Err("not free".into());
        };
        let (waiting, waiter) = (request(lock), Arc::clone(other));
        let granted = tokio::spawn(async move {
            loop {
                if let Acquired::Granted(held) = waiter.acquire(&waiting).await? {
                    return LockResult::Ok((Instant::now(), held));
                }
                let long = Duration::from_millis(100);
                let _ = tokio::time::timeout(long, waiter.rung(&waiting.version)).await;
                waiter.beat(std::slice::from_ref(&waiting.lock)).await?;
            }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = Instant::now();
        one.release(&release(lock, held)).await?;
        let (at, held) = granted.await??;
        took.push(at.duration_since(begun).as_secs_f64() * 1_000.0);
        other.release(&release(lock, held)).await?;
    }
    took.sort_by(f64::total_cmp);
    Ok((took[count / 2], took[count - 1]))
}

/// What was measured, by name, one number a round.
#[derive(Default)]
struct Rates(Vec<(&'static str, Vec<f64>)>);

impl Rates {
    fn add(&mut self, name: &'static str, rate: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rates)) => rates.push(rate),
            None => self.0.push((name, vec![rate])),
        }
    }

    fn of(&self, name: &str) -> &[f64] {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, rates)| rates.as_slice()).unwrap_or_default()
    }

    fn print(&self) {
        for (name, rates) in &self.0 {
            println!("  {name}: {:.0} pairs/s", median(rates.clone()));
        }
    }

    /// The median of the rounds' ratios: both sides of each were measured at nearly the same time.
    fn ratio(&self, ours: &str, theirs: &str) -> f64 {
        median(self.of(ours).iter().zip(self.of(theirs)).map(|(ours, theirs)| ours / theirs).collect())
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[tokio::main]
async fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_string());
    let rounds: usize = args.next().map_or(Ok(15), |text| text.parse())?;
    let mut config = LocksConfig::new("bench");
    config.redis_url = Some(url.clone());
    let store = RedisRepository::connect(&config).await?;
    // The same without group commit, to see what that does and what a lone caller pays for it.
    let more = if url.contains('?') { "&" } else { "?" };
    config.redis_url = Some(format!("{url}{more}group_commit=false"));
    let apart = RedisRepository::connect(&config).await?;
    config.redis_url = Some(url.clone());
    let info = redis::IntoConnectionInfo::into_connection_info(url.as_str())?;
    for lock in [LockId::mutex("bench", "pairs")?, LockId::semaphore("bench", "pairs")?] {
        let pair = commands_of_a_pair(&url, &store, &lock).await?;
        println!("{lock}: {} commands for a pair", pair.len());
        let mut rates = Rates::default();
        for _ in 0..rounds {
            rates.add("one task", pairs(&store, 1, &lock).await?);
            rates.add("one task, without group commit", pairs(&apart, 1, &lock).await?);
            let (one, one_vain) = benchmark_pairs(&info, &pair, 1)?;
            rates.add("redis-benchmark, 1 connection", one);
            rates.add("redis-benchmark, 1 connection, releases in vain", one_vain);
            rates.add("driver in blocking mode", blocking_pairs(&url, &pair)?);
            let (fifty, fifty_vain) = benchmark_pairs(&info, &pair, 50)?;
            rates.add("redis-benchmark, 50 connections", fifty);
            rates.add("redis-benchmark, 50 connections, releases in vain", fifty_vain);
            rates.add("256 tasks, without group commit", pairs(&apart, 256, &lock).await?);
            for (name, tasks) in [("16 tasks", 16), ("64 tasks", 64), ("256 tasks", 256)] {
                rates.add(name, pairs(&store, tasks, &lock).await?);
            }
        }
        rates.print();
        for (ours, theirs) in [
            ("one task", "redis-benchmark, 1 connection"),
            ("one task", "redis-benchmark, 1 connection, releases in vain"),
            ("one task", "driver in blocking mode"),
            ("256 tasks", "redis-benchmark, 50 connections"),
            ("256 tasks", "redis-benchmark, 50 connections, releases in vain"),
            ("256 tasks", "256 tasks, without group commit"),
            ("one task", "one task, without group commit"),
        ] {
            println!("  {ours} / {theirs}: {:.2}", rates.ratio(ours, theirs));
        }
    }
    let other = RedisRepository::connect(&config).await?;
    let (median, longest) = handovers(&store, &other, &LockId::mutex("bench", "handover")?, 300).await?;
    println!("handover between two clients: median {median:.2} ms, longest {longest:.2} ms");
    Ok(())
}
