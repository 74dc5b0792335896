//! Other processes: the test program starts itself again, with a part to play in the environment.
//!
//! A *puppet* does what it is told on its standard input, one JSON line a command, and answers each with one line. A
//! *worker* acquires, counts and releases until it is done, a *chronicler* does so under faults. All end when their standard input does, so none outlives its trial.

use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{Acquired, LockError, LockId, LocksConfig, MutexLock};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::backend::{Backend, Store};
use crate::failure::{Failure, Outcome};
use crate::fixture::{Ask, Heart, ask, release, renewal, sleep_ms};
use crate::history::{self, History};
use crate::witness::Witness;
use crate::work::{self, Job};

/// Names the part to play, as JSON.
pub(crate) const VARIABLE: &str = "DB_LOCKS_CONFORMANCE_ROLE";

/// The configuration as JSON that reads back as the same configuration.
fn config_json(config: &LocksConfig) -> Value {
    // Every field, so that a new one is not forgotten here.
    let LocksConfig {
        tenant_id,
        heartbeat_period_ms,
        mutexes_table_name,
        semaphores_table_name,
        waiters_table_name,
        fair_semaphore,
        cache_enabled,
        max_semaphore_size,
        database_url,
        redis_url,
        database_pool_size,
        run_database_migrations,
        aws_region,
        ddb_endpoint_url,
        ddb_read_consistency,
        server_error_retries_limit,
        wait_before_server_error_retries_ms,
        connect_timeout_ms,
        request_timeout_ms,
        owner,
    } = config;
    json!({
        "tenant_id": tenant_id,
        "heartbeat_period_ms": heartbeat_period_ms,
        "mutexes_table_name": mutexes_table_name,
        "semaphores_table_name": semaphores_table_name,
        "waiters_table_name": waiters_table_name,
        "fair_semaphore": fair_semaphore,
        "cache_enabled": cache_enabled,
        "max_semaphore_size": max_semaphore_size,
        "database_url": database_url,
        "redis_url": redis_url,
        "database_pool_size": database_pool_size,
        "run_database_migrations": run_database_migrations,
        "aws_region": aws_region,
        "ddb_endpoint_url": ddb_endpoint_url,
        "ddb_read_consistency": ddb_read_consistency,
        "server_error_retries_limit": server_error_retries_limit,
        "wait_before_server_error_retries_ms": wait_before_server_error_retries_ms,
        "connect_timeout_ms": connect_timeout_ms,
        "request_timeout_ms": request_timeout_ms,
        "owner": owner,
    })
}

/// What a started process needs to know: its part, the database and the lock.
pub(crate) fn part(role: &str, backend: &dyn Backend, config: &LocksConfig, asked: &Ask) -> Value {
    json!({
        "role": role,
        "backend": backend.name(),
        "config": config_json(config),
        "key": asked.0.lock.key(),
        "size": asked.0.max_size,
        "lease_ms": asked.0.lease_ms,
    })
}

/// Plays the part that the environment names; none if it names none.
pub(crate) fn play(backends: &[Arc<dyn Backend>]) -> Option<ExitCode> {
    let part = std::env::var(VARIABLE).ok()?;
    let played =
        serde_json::from_str(&part).map_err(Failure::from).and_then(|part| play_part(backends, &part));
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    })
}

fn play_part(backends: &[Arc<dyn Backend>], part: &Value) -> Outcome {
    let backend = backends.iter().find(|backend| part["backend"] == backend.name());
    let backend = backend.ok_or_else(|| Failure::new(format!("no backend {}", part["backend"])))?;
    let config: LocksConfig = serde_json::from_value(part["config"].clone())?;
    let asked = asked_in(part, &config.tenant_id)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let commands = commands();
        // The network may be out of order just now: a trial may mean it to be.
        let store = work::patiently(|| backend.connect(&config)).await?;
        match part["role"].as_str() {
            Some("puppet") => puppet(store, asked, commands).await,
            Some("worker") => worker(store, asked, part, commands).await,
            Some("chronicler") => chronicler(store, asked, part, commands).await,
            _ => Err(Failure::new(format!("no role {}", part["role"]))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn asked_in(part: &Value, tenant: &str) -> Outcome<Ask> {
    let key = part["key"].as_str().unwrap_or_default();
    let lease_ms = part["lease_ms"].as_i64().unwrap_or_default();
    let asked = match part["size"].as_u64() {
        None => ask(&LockId::mutex(tenant, key)?),
        Some(size) => ask(&LockId::semaphore(tenant, key)?).size(size as u32),
    };
    Ok(asked.lease_ms(lease_ms).owner(&format!("process {}", std::process::id())))
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

/// What a puppet holds, shared with its renewing task.
type Held = Arc<Mutex<Option<MutexLock>>>;

/// How long at most passed from the sending of one renewal to the answer to the next, in milliseconds.
#[derive(Default)]
struct Pace(AtomicU64);

async fn puppet(store: Arc<dyn Store>, asked: Ask, mut commands: mpsc::Receiver<String>) -> Outcome {
    let held = Held::default();
    let pace = Arc::new(Pace::default());
    let mut heart = None;
    println!("{}", json!({"answer": "ready"}));
    while let Some(line) = commands.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        let answer = match command["do"].as_str() {
            Some("acquire") => acquire(&store, asked.anew(), &held).await,
            Some("wait") => {
                heart.get_or_insert_with(|| Heart::of(&store, std::slice::from_ref(&asked.0.lock)));
                acquire(&store, asked.clone().waiting(), &held).await
            }
            Some("renew") => renew(&store, &held).await,
            Some("release") => give(&store, &held).await,
            Some("keep renewing") => {
                tokio::spawn(keep_renewing(Arc::clone(&store), Arc::clone(&held), Arc::clone(&pace)));
                Ok(json!({"answer": "renewing"}))
            }
            Some("how slow") => Ok(json!({"answer": "pace", "slowest_ms": pace.0.load(Ordering::SeqCst)})),
            _ => return Err(Failure::new(format!("no command {line}"))),
        };
        // A puppet whose database is gone is still a puppet.
        let answer = answer.unwrap_or_else(|error: LockError| {
            json!({"answer": "error", "kind": error.kind().as_str(), "message": error.chain()})
        });
        println!("{answer}");
    }
    Ok(())
}

async fn acquire(store: &Arc<dyn Store>, asked: Ask, held: &Held) -> Result<Value, LockError> {
    Ok(match asked.on(store).await? {
        Acquired::Busy(busy) => json!({"answer": "busy", "position": busy.position}),
        Acquired::Granted(lock) => {
            let answer = json!({"answer": "granted", "token": lock.fencing_token, "version": lock.version});
            *held.lock().await = Some(lock);
            answer
        }
    })
}

fn nothing_held() -> LockError {
    LockError::runtime("this process holds nothing")
}

async fn renew(store: &Arc<dyn Store>, held: &Held) -> Result<Value, LockError> {
    let mut held = held.lock().await;
    let lock = held.as_ref().ok_or_else(nothing_held)?;
    let renewed = store.renew(&renewal(lock)?).await?;
    let answer = json!({"answer": "renewed", "token": renewed.fencing_token, "version": renewed.version});
    *held = Some(renewed);
    Ok(answer)
}

async fn give(store: &Arc<dyn Store>, held: &Held) -> Result<Value, LockError> {
    let held = held.lock().await;
    let lock = held.as_ref().ok_or_else(nothing_held)?;
    Ok(json!({"answer": "released", "freed": store.release(&release(lock)?).await?}))
}

async fn keep_renewing(store: Arc<dyn Store>, held: Held, pace: Arc<Pace>) {
    let mut last = Instant::now();
    loop {
        let lease_ms = held.lock().await.as_ref().map_or(300, |lock| lock.lease_duration_ms);
        sleep_ms(lease_ms as u64 / 4).await;
        let sent = Instant::now();
        // A renewal that fails is tried again; the trial sees by itself whether the lock was kept.
        let renewed = renew(&store, &held).await;
        pace.0.fetch_max(last.elapsed().as_millis() as u64, Ordering::SeqCst);
        if renewed.is_ok() {
            last = sent;
        }
    }
}

async fn worker(
    store: Arc<dyn Store>,
    asked: Ask,
    part: &Value,
    mut stdin: mpsc::Receiver<String>,
) -> Outcome {
    let witness = Witness::open(part["witness"].as_str().unwrap_or_default().as_ref())?;
    let rounds = part["rounds"].as_u64().unwrap_or(u64::MAX);
    let _heart = Heart::of(&store, std::slice::from_ref(&asked.0.lock));
    let job =
        Job { store, asked, witness: Arc::new(witness), hold_ms: part["hold_ms"].as_u64().unwrap_or(0) };
    let work = async {
        for _ in 0..rounds {
            work::count_once(&job).await?;
        }
        Ok(())
    };
    tokio::select! {
        worked = work => worked,
        // Nobody writes to a worker: this is the end of the trial.
        _ = stdin.recv() => Ok(()),
    }
}

/// A worker that also writes down what a history is checked for, and tries what must be refused.
async fn chronicler(
    store: Arc<dyn Store>,
    asked: Ask,
    part: &Value,
    mut stdin: mpsc::Receiver<String>,
) -> Outcome {
    let witness = Witness::open(part["witness"].as_str().unwrap_or_default().as_ref())?;
    let history = Arc::new(History::open(part["history"].as_str().unwrap_or_default().as_ref())?);
    let _pulse = history::Pulse::of(&store, &asked.0.lock, &history);
    let job = Job { store, asked, witness: Arc::new(witness), hold_ms: 4 };
    let work = async {
        loop {
            history::round(&job, &history).await?;
        }
    };
    tokio::select! {
        worked = work => worked,
        _ = stdin.recv() => Ok(()),
    }
}

/// A number below `end` that nobody can foresee.
pub(crate) fn random_below(end: u64) -> u64 {
    let digits = new_version().replace('-', "");
    u64::from_str_radix(&digits[16..], 16).map_or(0, |number| number % end.max(1))
}
