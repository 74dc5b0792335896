//! One schedule: all that happens in it follows from its seed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use db_locks::{DefaultLockStore, FairLockStore, LockManagerImpl, LockStore, Locks, LocksConfig, Registry};
use db_locks_core::combine::{Limits, Task};
use db_locks_core::{AcquireRequest, LockId, LockResult};

use crate::check::{self, Scene, Violation};
use crate::client::{Habits, Process, mutex_name};
use crate::defect::Defect;
use crate::history::{Event, Fact};
use crate::memory::{MemoryRepository, Op, Reply};
use crate::network::{Fault, StoreKind, Weather, World};
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

pub(crate) const TENANT: &str = "sim";

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
    let (history, scene, end) = runtime.block_on(play(seed, defect))?;
    let violation = check::check(&history, scene).or(end);
    Ok(Outcome { seed, violation, history })
}

async fn play(seed: u64, defect: Defect) -> LockResult<(Vec<Event>, Scene, Option<Violation>)> {
    let mut rng = Rng::new(seed);
    let faulty = rng.percent(80);
    let weather = weather(&mut rng, faulty);
    let clockless = rng.percent(20);
    let kind = StoreKind { push: rng.percent(50) && !clockless, clockless };
    let world = World::new(defect, kind, weather, rng.fork());
    let patient = rng.percent(8);
    let together = rng.percent(30);
    let habits = Habits {
        lease_ms: if patient { rng.between(1_000, 6_000) } else { rng.between(200, 1_500) },
        semaphore_size: rng.percent(50).then(|| u32::try_from(rng.between(1, 3)).unwrap_or(1)),
        unfair_percent: if rng.percent(20) { 30 } else { 0 },
        longest_wait_ms: if patient { 60_000 } else { 8_000 },
        mutexes: if together { rng.between(2, 4) } else { 1 },
        limits: together.then(|| limits(&mut rng)),
        resizes: rng.percent(25),
        reentrant: rng.percent(15),
    };
    let most_tasks = match (habits.reentrant, patient, together) {
        // What one of its tasks holds would be handed to another.
        (true, ..) => 1,
        (_, true, _) => 4,
        (.., true) => 6,
        _ => 2,
    };
    let network = tokio::spawn(world.clone().carry());
    let mut processes = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..rng.between(2, 4) {
        let process = process(&world, habits, &mut rng)?;
        for _ in 0..rng.between(1, most_tasks) {
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
    Ok((world.take_history(), Scene { calm: !faulty, clockless }, end))
}

/// Few enough that a handful of tasks fill batches and queues.
fn limits(rng: &mut Rng) -> Limits {
    let mut upto = |low, high| usize::try_from(rng.between(low, high)).unwrap_or(1);
    let (direct, lanes, batch, queue) = (upto(0, 1), upto(1, 2), upto(2, 6), upto(1, 6));
    Limits { direct, lanes, batch, queue, ..Limits::default() }
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
    let store = match habits.limits {
        Some(limits) => {
            let owner = world.clone();
            let spawn = move |task: Task| owner.owns(client, tokio::spawn(task).abort_handle());
            MemoryRepository::together(world.link(client), limits, world.defect, spawn)
        }
        None => MemoryRepository::over(world.link(client)),
    };
    let store = Arc::new(if world.clockless { store.watching(world.defect) } else { store });
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
    let mut sizes = Vec::new();
    for number in 0..habits.mutexes {
        let name = mutex_name(number);
        // The fair store's mutex is a semaphore.
        sizes.extend([(LockId::mutex(TENANT, name).ok()?, 1), (LockId::semaphore(TENANT, name).ok()?, 1)]);
    }
    if let Some(usual) = habits.semaphore_size {
        let lock = LockId::semaphore(TENANT, "s").ok()?;
        let size = match world.probe(prober, Op::GetSemaphore(lock.clone())) {
            Reply::Semaphore(semaphore) => semaphore.max_size,
            _ => usual,
        };
        sizes.push((lock, size));
    }
    for (lock, size) in sizes {
        for slot in 0..size {
            let request = probe(&lock, size, slot);
            if !is_free(world, prober, &request) {
                return Some(Violation::new(
                    "I5",
                    format!("{lock} is not free though nobody is left to hold it"),
                ));
            }
        }
    }
    None
}

/// Whether this is granted; where there is no clock, after everybody has been watched.
fn is_free(world: &World, prober: u32, request: &AcquireRequest) -> bool {
    if !world.clockless {
        return matches!(world.probe(prober, Op::Acquire(request.clone())), Reply::Granted(_));
    }
    match world.probe(prober, Op::Takeover(request.clone(), Vec::new())) {
        Reply::Granted(_) => true,
        // Longer than any lease has gone by in quiet.
        Reply::Watch(_, held) => {
            let dead = held.into_iter().filter(|held| !held.revision.0.starts_with("probe"));
            let dead = dead.map(|held| (held.slot, held.revision)).collect();
            matches!(world.probe(prober, Op::Takeover(request.clone(), dead)), Reply::Granted(_))
        }
        _ => false,
    }
}

fn probe(lock: &LockId, size: u32, slot: u32) -> AcquireRequest {
    AcquireRequest {
        version: format!("probe-{slot}"),
        owner: "probe".into(),
        lease_ms: 60_000,
        max_size: lock.is_semaphore().then_some(size),
        replace_data: false,
        ..AcquireRequest::new(lock.clone())
    }
}
