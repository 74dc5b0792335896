//! db-locks as a player: what a process does that is started by a measurement. The words are listed in [`crate::process`]; those
//! that only our own measurements need are here: `hold`, `lost`, `let go` (many locks), `wait`, `give up` (many waiters).

use std::collections::HashSet;
use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db_locks::{
    DefaultLockStore, LockGuard, LockManagerImpl, Locks, LocksConfig, Registry, RepositoryProvider,
    WaitEvent, factory,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::stats::now_ns;

/// The argument that makes this program a player; the database's URL and the key follow.
pub(crate) const ROLE: &str = "player";

const LEASE: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(3_600);

/// What the database said of this process's waiters.
#[derive(Default)]
struct Watched {
    /// When the database first said that the current acquisition waits, and its number in the queue.
    queued_at: AtomicU64,
    queue_number: AtomicU64,
    /// The places in the queue that this process's waiters were told.
    places: Mutex<HashSet<u64>>,
}

impl Watched {
    fn note(&self, event: &WaitEvent) {
        if self.queued_at.load(Ordering::Acquire) == 0 {
            self.queue_number.store(event.busy.queue_number, Ordering::Release);
            self.queued_at.store(now_ns().unsigned_abs(), Ordering::Release);
        }
        if event.busy.queue_number > 0 {
            self.places().insert(event.busy.queue_number);
        }
    }

    fn places(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        self.queued_at.store(0, Ordering::Release);
        self.queue_number.store(0, Ordering::Release);
    }
}

struct Actor {
    locks: Locks,
    key: String,
    watched: Arc<Watched>,
    guard: Option<LockGuard>,
    many: Vec<LockGuard>,
    waiters: JoinSet<()>,
}

/// Plays until its standard input ends.
pub(crate) async fn play(url: &str, key: &str) -> Outcome {
    let watched = Arc::new(Watched::default());
    let mut actor = Actor {
        locks: connect(url, watched.clone()).await?,
        key: key.to_string(),
        watched,
        guard: None,
        many: Vec::new(),
        waiters: JoinSet::new(),
    };
    let mut commands = commands();
    println!("{}", json!({"ready": true}));
    while let Some(line) = commands.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        let answer = actor.obey(&command).await.unwrap_or_else(|error| json!({"error": error.to_string()}));
        println!("{answer}");
    }
    Ok(())
}

/// As `Locks::connect`, with somebody who notes what is waited for.
async fn connect(url: &str, watched: Arc<Watched>) -> Outcome<Locks> {
    let mut config = LocksConfig::new("bench");
    let provider = if url.starts_with("redis") {
        config.redis_url = Some(url.to_string());
        RepositoryProvider::Redis
    } else if let Some(endpoint) = url.strip_prefix("dynamodb+") {
        config.ddb_endpoint_url = Some(endpoint.to_string());
        RepositoryProvider::Ddb
    } else {
        config.database_url = Some(url.to_string());
        RepositoryProvider::Rdb
    };
    let registry = Registry::new();
    let mutexes = factory::build_mutex_repository(provider, &config).await?;
    let semaphores = factory::build_semaphore_repository(provider, &config).await?;
    let store = Box::new(DefaultLockStore::new(&config, mutexes, semaphores));
    let observer = Arc::new(move |event: &WaitEvent| watched.note(event));
    let manager = LockManagerImpl::with_wait_observer(&config, store, &registry, Some(observer))?;
    Ok(Locks::over(Arc::new(manager), &config, &registry)?)
}

/// The lines of standard input, read by a thread of their own: the runtime's threads never block.
fn commands() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

impl Actor {
    async fn obey(&mut self, command: &Value) -> Outcome<Value> {
        let count = command["count"].as_u64().unwrap_or(0);
        let lasts = Duration::from_millis(command["ms"].as_u64().unwrap_or(0));
        match command["do"].as_str() {
            Some("pairs") => self.pairs(lasts).await,
            Some("acquire") => {
                self.guard = Some(self.acquire().await?);
                Ok(json!({"granted": now_ns()}))
            }
            Some("release") => {
                let guard = self.guard.take().ok_or("nothing is held")?;
                let called = now_ns();
                guard.release().await?;
                Ok(json!({"called": called, "returned": now_ns()}))
            }
            Some("contend") => {
                let start = command["start"].as_i64().unwrap_or(0);
                let hold = Duration::from_millis(command["hold_ms"].as_u64().unwrap_or(1));
                self.contend(start, lasts, hold).await
            }
            Some("hold") => {
                let lease = Duration::from_millis(command["lease_ms"].as_u64().unwrap_or(15_000));
                self.hold(count, lease).await
            }
            Some("lost") => {
                let lost = self.many.iter().filter(|guard| !guard.is_held()).count();
                Ok(json!({"lost": lost, "held": self.many.len() - lost}))
            }
            Some("let go") => self.let_go().await,
            Some("wait") => self.wait(count).await,
            Some("give up") => {
                self.waiters.shutdown().await;
                self.locks.settled().await;
                Ok(json!({"gone": true}))
            }
            _ => Err(format!("no command {command}").into()),
        }
    }

    async fn acquire(&self) -> Outcome<LockGuard> {
        Ok(self.locks.mutex(&self.key).lease(LEASE).wait(LONG).acquire().await?)
    }

    async fn pairs(&self, lasts: Duration) -> Outcome<Value> {
        let (begun, mut pairs) = (Instant::now(), 0_u64);
        while begun.elapsed() < lasts {
            self.acquire().await?.release().await?;
            pairs += 1;
        }
        Ok(json!({"pairs": pairs, "ns": begun.elapsed().as_nanos() as u64}))
    }

    /// Each grant as `[called, granted, queued, token, queue number]`; the two about the queue are 0 when there was no wait.
    async fn contend(&self, start: i64, lasts: Duration, hold: Duration) -> Outcome<Value> {
        let early = u64::try_from(start - now_ns()).unwrap_or(0);
        tokio::time::sleep(Duration::from_nanos(early)).await;
        let (begun, mut grants) = (Instant::now(), Vec::new());
        while begun.elapsed() < lasts {
            self.watched.forget();
            let called = now_ns();
            let guard = self.acquire().await?;
            let granted = now_ns();
            grants.push([
                called,
                granted,
                self.watched.queued_at.load(Ordering::Acquire) as i64,
                guard.fencing_token() as i64,
                self.watched.queue_number.load(Ordering::Acquire) as i64,
            ]);
            tokio::time::sleep(hold).await;
            guard.release().await?;
        }
        Ok(json!({"grants": grants}))
    }

    /// Takes so many locks, `key 0` and on, with 64 tasks.
    async fn hold(&mut self, count: u64, lease: Duration) -> Outcome<Value> {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..64 {
            let (locks, key) = (self.locks.clone(), self.key.clone());
            tasks.spawn(async move {
                let mut guards = Vec::new();
                for number in (task..count).step_by(64) {
                    let acquire = locks.mutex(&format!("{key} {number}")).lease(lease).wait(LONG);
                    guards.push(acquire.acquire().await?);
                }
                Outcome::Ok(guards)
            });
        }
        while let Some(guards) = tasks.join_next().await {
            self.many.append(&mut guards??);
        }
        Ok(json!({"held": self.many.len(), "ns": begun.elapsed().as_nanos() as u64}))
    }

    /// Releases them all. The database itself says of each whether it was held until now.
    async fn let_go(&mut self) -> Outcome<Value> {
        let mut shares: Vec<Vec<LockGuard>> = (0..64).map(|_| Vec::new()).collect();
        for (number, guard) in std::mem::take(&mut self.many).into_iter().enumerate() {
            shares[number % 64].push(guard);
        }
        let mut tasks = JoinSet::new();
        for guards in shares {
            tasks.spawn(async move {
                let mut refused = 0_u64;
                for guard in guards {
                    refused += u64::from(!guard.release().await?);
                }
                Outcome::Ok(refused)
            });
        }
        let mut refused = 0;
        while let Some(more) = tasks.join_next().await {
            refused += more??;
        }
        Ok(json!({"refused": refused}))
    }

    /// Starts so many waiters, and returns when the last one has its place in the queue.
    async fn wait(&mut self, count: u64) -> Outcome<Value> {
        self.watched.places().clear();
        for _ in 0..count {
            let acquire = self.locks.mutex(&self.key).lease(LEASE).wait(LONG);
            self.waiters.spawn(async move {
                if let Err(error) = acquire.acquire().await {
                    eprintln!("a waiter failed: {error}");
                }
            });
        }
        while (self.watched.places().len() as u64) < count {
            if self.waiters.try_join_next().is_some() {
                return Err("a waiter did not wait".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(json!({"waiting": count}))
    }
}
