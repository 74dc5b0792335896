//! Rust libraries as players: `db-locks-bench-peers PEER URL KEY`. What a player is asked and answers is written in
//! `locks/bench/src/process.rs`.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use distributed_lock_core::traits::{DistributedLock, LockHandle, LockProvider};
use distributed_lock_mysql::MySqlLockProvider;
use distributed_lock_postgres::PostgresLockProvider;
use distributed_lock_redis::RedisLockProvider;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const LEASE: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [peer, url, key] = &arguments[..] else { return Err("usage: PEER URL KEY".into()) };
    match peer.as_str() {
        "rslock" => {
            let manager = rslock::LockManager::new(vec![url.as_str()]);
            // It gives up after three tries; whoever wants the lock tries again.
            let acquire = async || {
                let begun = Instant::now();
                loop {
                    match manager.acquire(key.as_str(), LEASE).await {
                        Ok(guard) => return Ok(guard),
                        Err(error) if begun.elapsed() > WAIT => return Err(error.to_string().into()),
                        Err(_) => {}
                    }
                }
            };
            let release = async |guard: rslock::LockGuard| {
                guard.release().await;
                Ok(())
            };
            play(acquire, release).await
        }
        "distributed-lock-redis" => play_lock(RedisLockProvider::new(url.as_str()).await?, key).await,
        "distributed-lock-postgres" => play_lock(PostgresLockProvider::new(url.as_str()).await?, key).await,
        "distributed-lock-mysql" => play_lock(MySqlLockProvider::new(url.as_str()).await?, key).await,
        _ => Err(format!("no peer {peer}").into()),
    }
}

async fn play_lock<P: LockProvider>(provider: P, key: &str) -> Outcome {
    let lock = provider.create_lock(key);
    let acquire = async || Ok(lock.acquire(Some(WAIT)).await?);
    play(acquire, async |handle: <P::Lock as DistributedLock>::Handle| Ok(handle.release().await?)).await
}

fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

async fn play<G>(acquire: impl AsyncFn() -> Outcome<G>, release: impl AsyncFn(G) -> Outcome) -> Outcome {
    let (mut commands, mut held) = (BufReader::new(stdin()).lines(), None);
    println!("{}", json!({"ready": true}));
    while let Some(line) = commands.next_line().await? {
        let command: Value = serde_json::from_str(&line)?;
        let answer = obey(&command, &mut held, &acquire, &release).await;
        println!("{}", answer.unwrap_or_else(|error| json!({"error": error.to_string()})));
    }
    Ok(())
}

async fn obey<G>(
    command: &Value,
    held: &mut Option<G>,
    acquire: &impl AsyncFn() -> Outcome<G>,
    release: &impl AsyncFn(G) -> Outcome,
) -> Outcome<Value> {
    let lasts = Duration::from_millis(command["ms"].as_u64().unwrap_or(0));
    match command["do"].as_str() {
        Some("acquire") => {
            *held = Some(acquire().await?);
            Ok(json!({"granted": now_ns()}))
        }
        Some("release") => {
            let guard = held.take().ok_or("nothing is held")?;
            let called = now_ns();
            release(guard).await?;
            Ok(json!({"called": called, "returned": now_ns()}))
        }
        Some("pairs") => {
            let (begun, mut pairs) = (Instant::now(), 0_u64);
            while begun.elapsed() < lasts {
                release(acquire().await?).await?;
                pairs += 1;
            }
            Ok(json!({"pairs": pairs, "ns": begun.elapsed().as_nanos() as u64}))
        }
        Some("contend") => {
            let early = u64::try_from(command["start"].as_i64().unwrap_or(0) - now_ns()).unwrap_or(0);
            tokio::time::sleep(Duration::from_nanos(early)).await;
            let (begun, mut grants) = (Instant::now(), Vec::new());
            while begun.elapsed() < lasts {
                let called = now_ns();
                let guard = acquire().await?;
                grants.push([called, now_ns()]);
                tokio::time::sleep(Duration::from_millis(command["hold_ms"].as_u64().unwrap_or(1))).await;
                release(guard).await?;
            }
            Ok(json!({"grants": grants}))
        }
        _ => Err(format!("no command {command}").into()),
    }
}
