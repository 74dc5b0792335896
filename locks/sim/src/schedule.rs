//! One schedule: all that happens in it follows from its seed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use db_locks::{DefaultLockStore, FairLockStore, LockManagerImpl, LockStore, Locks, LocksConfig, Registry};
use db_locks_core::{AcquireRequest, LockId, LockResult};

use crate::check::{self, Violation};
use crate::client::{Habits, Process};
use crate::defect::Defect;
use crate::history::{Event, Fact};
use crate::memory::{MemoryRepository, Op, Reply};
use crate::network::{Fault, Weather, World};
use crate::rng::Rng;

/// What came of a schedule.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What it broke, if anything.
    pub violation: Option<Violation>,
    history: Vec<Event>,
}

impl Outcome {
    /// All that happened, a line each.
    pub fn trace(&self) -> String {
        let mut lines: String = self.history.iter().map(|event| format!("{event}\n")).collect();
        if let Some(violation) = &self.violation {
            lines.push_str(&format!("{violation}\n"));
        }
        lines
    }

    /// How many things happened.
    pub fn events(&self) -> usize {
        self.history.len()
    }
}

/// Registering metrics is slow, and nobody looks at a simulation's.
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

const TENANT: &str = "sim";

/// Longer than any lease and any place in a queue can last without its owner.
const QUIET: Duration = Duration::from_secs(25);

/// The most time that a schedule may take on its own clock.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the schedule of this seed, with a planted defect or none.
///
/// # Errors
/// `Runtime` when the simulation itself cannot be set up.
pub fn run(seed: u64, defect: Defect) -> LockResult<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| db_locks_core::LockError::runtime_from("cannot make a runtime", error))?;
    let (history, end) = runtime.block_on(play(seed, defect))?;
    let violation = check::check(&history).or(end);
    Ok(Outcome { seed, violation, history })
}

async fn play(seed: u64, defect: Defect) -> LockResult<(Vec<Event>, Option<Violation>)> {
    let mut rng = Rng::new(seed);
    let faulty = rng.percent(80);
    let weather = weather(&mut rng, faulty);
    let push = rng.percent(50);
    let world = World::new(defect, push, weather, rng.fork());
    let habits = Habits {
        lease_ms: rng.between(200, 1_500),
        semaphore_size: rng.percent(50).then(|| u32::try_from(rng.between(1, 3)).unwrap_or(1)),
        unfair_percent: if rng.percent(20) { 30 } else { 0 },
    };
    let network = tokio::spawn(world.clone().carry());
    let mut processes = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..rng.between(2, 4) {
        let process = process(&world, habits, &mut rng)?;
        for _ in 0..rng.between(1, 2) {
            let starts = Duration::from_millis(rng.between(0, 1_000));
            let (worker, rng) = (process.clone(), rng.fork());
            let task = tokio::spawn(async move {
                tokio::time::sleep(starts).await;
                worker.work(rng).await;
            });
            world.owns(process.client, task.abort_handle());
            tasks.push(task);
        }
        processes.push(process);
    }
    if faulty {
        plan_faults(&world, &mut rng, processes.len() as u64);
    }
    let end = finish(&world, habits, processes, tasks).await;
    network.abort();
    Ok((world.take_history(), end))
}

fn weather(rng: &mut Rng, faulty: bool) -> Weather {
    let mut most = |percent: u64| if faulty { rng.between(0, percent) } else { 0 };
    let (lost, repeated, slow) = (most(12), most(12), most(20));
    Weather { lost, repeated, slow, timeout_ms: rng.between(50, 400) }
}

fn plan_faults(world: &World, rng: &mut Rng, clients: u64) {
    let one = |rng: &mut Rng| u32::try_from(rng.between(0, clients - 1)).unwrap_or(0);
    if rng.percent(35) {
        let client = one(rng);
        world.plan(rng.between(50, 3_000), Fault::Crash(client));
    }
    for _ in 0..rng.between(0, 2) {
        let client = one(rng);
        world.plan(rng.between(50, 4_000), Fault::Pause(client, rng.between(50, 3_000)));
    }
    if rng.percent(35) {
        world.plan(rng.between(50, 4_000), Fault::Restart(rng.between(0, 1_000)));
    }
    if rng.percent(20) {
        world.plan(rng.between(50, 4_000), Fault::Jump(rng.between(100, 5_000)));
    }
}

fn process(world: &Arc<World>, habits: Habits, rng: &mut Rng) -> LockResult<Process> {
    let skew_us = i64::try_from(rng.between(0, 8_000_000)).unwrap_or(0) - 4_000_000;
    let client = world.client(skew_us);
    let store = Arc::new(MemoryRepository::over(world.link(client)));
    let config = LocksConfig {
        owner: Some(format!("process-{client}")),
        server_error_retries_limit: Some(u32::try_from(rng.between(0, 5)).unwrap_or(0)),
        wait_before_server_error_retries_ms: Some(10),
        ..LocksConfig::new(TENANT)
    };
    let lock_store: Box<dyn LockStore> = match rng.percent(25) {
        true => Box::new(FairLockStore::new(&config, store.clone())),
        false => Box::new(DefaultLockStore::new(&config, store.clone(), store.clone())),
    };
    let minted = std::sync::atomic::AtomicU64::new(0);
    let versions = move || {
        let number = minted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // In the form of a UUID, which some keys are recognised by.
        format!("{client:08x}-0000-4000-8000-{number:012x}")
    };
    let manager = LockManagerImpl::with_version_source(&config, lock_store, &REGISTRY, Arc::new(versions))?;
    let locks = Locks::over(Arc::new(manager), &config, &REGISTRY)?;
    Ok(Process { world: world.clone(), client, locks, store, habits })
}

/// Waits until all is done and quiet; then every lock must be free (I5).
async fn finish(
    world: &Arc<World>,
    habits: Habits,
    processes: Vec<Process>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
) -> Option<Violation> {
    let done = async {
        for task in tasks {
            // A crashed process's tasks were ended.
            let _ = task.await;
        }
    };
    if tokio::time::timeout(LIMIT, done).await.is_err() {
        return Some(Violation::new("progress", "some task never came to an end".into()));
    }
    world.calm();
    for process in processes.iter().filter(|process| !world.is_dead(process.client)) {
        if tokio::time::timeout(LIMIT, process.locks.settled()).await.is_err() {
            return Some(Violation::new("progress", "clearing up never came to an end".into()));
        }
    }
    tokio::time::sleep(QUIET).await;
    let prober = world.client(0);
    world.note(prober, Fact::Probing);
    let mutex = LockId::mutex(TENANT, "a").ok()?;
    let fair_mutex = LockId::semaphore(TENANT, "a").ok()?;
    let semaphore = LockId::semaphore(TENANT, "s").ok()?;
    let sizes = [(mutex, 1), (fair_mutex, 1), (semaphore, habits.semaphore_size.unwrap_or(0))];
    for (lock, size) in sizes {
        for slot in 0..size {
            let request = probe(&lock, size, slot);
            if !matches!(world.probe(prober, Op::Acquire(request)), Reply::Granted(_)) {
                return Some(Violation::new(
                    "I5",
                    format!("{lock} is not free though nobody is left to hold it"),
                ));
            }
        }
    }
    None
}

fn probe(lock: &LockId, size: u32, slot: u32) -> AcquireRequest {
    AcquireRequest {
        lock: lock.clone(),
        version: format!("probe-{slot}"),
        owner: "probe".into(),
        lease_ms: 60_000,
        max_size: lock.is_semaphore().then_some(size),
        named_by_version: false,
        data: None,
        replace_data: false,
        delete_on_release: false,
        reentrant: false,
        only_if_exists: false,
        fair: true,
        wait: false,
    }
}
