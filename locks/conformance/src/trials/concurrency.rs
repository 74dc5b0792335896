//! Many at once: tasks of one client, clients of one process, processes that die.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::protocol::CLIENT_TTL_MS;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinSet;

use crate::failure::{Outcome, check, check_eq};
use crate::fixture::{Ask, Fixture, Heart, ask, sleep_ms};
use crate::harness::suite;
use crate::process;
use crate::roles::{self, random_below};
use crate::witness::{Report, Witness};
use crate::work::{Job, count_once, counter};

suite![
    counter_of_64_tasks_ends_exact,
    semaphore_of_five_never_holds_six,
    one_of_many_gets_a_new_lock,
    distinct_keys_do_not_disturb_each_other,
    counter_of_8_processes_ends_exact: needs(Processes),
    processes_killed_at_random_never_hold_together: needs(Processes) seconds(340),
    killed_processes_of_a_semaphore_never_exceed_it: needs(Processes) seconds(340),
];

/// A new witness, and the folder that it goes away with.
fn witness() -> Outcome<(Arc<Witness>, TempDir)> {
    let folder = tempfile::tempdir()?;
    Ok((Arc::new(Witness::open(&folder.path().join("witness"))?), folder))
}

/// Turns in tasks: `tasks` at once, over four clients, `rounds` for each.
async fn take_turns(f: &Fixture, asked: &Ask, tasks: usize, rounds: usize) -> Outcome<Report> {
    let (witness, _folder) = witness()?;
    let mut stores = vec![f.store.clone()];
    while stores.len() < 4 {
        stores.push(f.another().await?);
    }
    let lock = std::slice::from_ref(&asked.0.lock);
    let _hearts: Vec<Heart> = stores.iter().map(|store| Heart::of(store, lock)).collect();
    let mut working = JoinSet::<Outcome>::new();
    for task in 0..tasks {
        let store = stores[task % stores.len()].clone();
        let job = Job { store, asked: asked.clone(), witness: witness.clone(), hold_ms: 2 };
        working.spawn(async move {
            for _ in 0..rounds {
                count_once(&job).await?;
            }
            Ok(())
        });
    }
    while let Some(worked) = working.join_next().await {
        worked??;
    }
    let report = witness.report()?;
    check_eq!(report.count(), tasks * rounds);
    check_eq!(report.releases(), (tasks * rounds, tasks * rounds));
    Ok(report)
}

async fn counter_of_64_tasks_ends_exact(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    take_turns(&f, &ask(&id), 64, 2).await?.check(1)?;
    check_eq!(counter(&f.store.get_mutex(&id).await?)?, 64 * 2);
    Ok(())
}

async fn semaphore_of_five_never_holds_six(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    take_turns(&f, &ask(&id).size(5), 64, 2).await?.check(5)?;
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    check_eq!(slots.len(), 5);
    // Each slot counts for itself.
    let counts = slots.iter().map(counter).collect::<Outcome<Vec<_>>>()?;
    check_eq!(counts.iter().sum::<u64>(), 64 * 2);
    check!(counts[4] > 0, "no more than four ever held at once: {counts:?}");
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(0));
    Ok(())
}

/// The rows do not exist yet: all create, one wins.
async fn one_of_many_gets_a_new_lock(f: Fixture) -> Outcome {
    let stores = [f.store.clone(), f.another().await?, f.another().await?];
    for round in 0..5 {
        for asked in f.both(&format!("key {round}"))? {
            let mut asking = JoinSet::new();
            for task in 0..24 {
                let (asked, store) = (asked.anew(), stores[task % 3].clone());
                asking.spawn(async move { crate::work::patiently(|| asked.on(&store)).await });
            }
            let mut granted = 0;
            while let Some(answer) = asking.join_next().await {
                granted += usize::from(matches!(answer??, db_locks_core::Acquired::Granted(_)));
            }
            check_eq!(granted, 1, "of 24 who asked at once");
        }
    }
    Ok(())
}

async fn distinct_keys_do_not_disturb_each_other(f: Fixture) -> Outcome {
    let mut working = JoinSet::new();
    for task in 0..64 {
        let (witness, folder) = witness()?;
        let asked = ask(&f.mutex(&format!("key {task}"))?);
        let job = Job { store: f.store.clone(), asked, witness, hold_ms: 0 };
        working.spawn(async move {
            for _ in 0..4 {
                count_once(&job).await?;
            }
            drop(folder);
            counter(&job.store.get_mutex(&job.asked.0.lock).await?)
        });
    }
    while let Some(counted) = working.join_next().await {
        let counted: Outcome<u64> = counted?;
        check_eq!(counted?, 4);
    }
    Ok(())
}

/// Processes that take turns before one witness.
struct Workers {
    part: serde_json::Value,
    /// Their standard inputs are kept open apart: waiting for a child would close its own.
    running: Vec<(Child, Option<ChildStdin>)>,
    witness: Arc<Witness>,
    _folder: TempDir,
}

impl Workers {
    fn start(f: &Fixture, asked: &Ask, processes: usize, rounds: Option<usize>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("witness");
        let mut part = roles::part("worker", f.backend.as_ref(), &f.config, asked);
        part["witness"] = path.to_string_lossy().into();
        part["rounds"] = rounds.into();
        part["hold_ms"] = 4.into();
        let witness = Arc::new(Witness::open(&path)?);
        let mut workers = Self { part, running: Vec::new(), witness, _folder: folder };
        for _ in 0..processes {
            workers.running.push(workers.new_one()?);
        }
        Ok(workers)
    }

    fn new_one(&self) -> Outcome<(Child, Option<ChildStdin>)> {
        let mut child = process::start(&self.part, None)?;
        let stdin = child.stdin.take();
        Ok((child, stdin))
    }

    /// Waits for all of them to have done their rounds.
    async fn finish(&mut self) -> Outcome {
        for (worker, _) in &mut self.running {
            let status = worker.wait().await?;
            check!(status.success(), "a worker ended with {status}");
        }
        Ok(())
    }

    /// Kills one at random and starts another in its place.
    async fn replace_one(&mut self) -> Outcome {
        let place = random_below(self.running.len() as u64) as usize;
        if let Some(status) = self.running[place].0.try_wait()? {
            return Err(crate::failure::Failure::new(format!("a worker ended by itself, with {status}")));
        }
        self.running[place].0.kill().await?;
        self.running[place] = self.new_one()?;
        Ok(())
    }

    async fn kill_all(&mut self) -> Outcome {
        for (worker, _) in &mut self.running {
            worker.kill().await?;
        }
        Ok(())
    }
}

async fn counter_of_8_processes_ends_exact(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let mut workers = Workers::start(&f, &ask(&id), 8, Some(10))?;
    workers.finish().await?;
    let report = workers.witness.report()?;
    report.check(1)?;
    check_eq!(report.count(), 80);
    check_eq!(counter(&f.store.get_mutex(&id).await?)?, 80);
    Ok(())
}

/// How many acquisitions each of the eight processes makes on average before the killing stops.
fn acquisitions() -> Outcome<usize> {
    match std::env::var("DB_LOCKS_TEST_ACQUISITIONS") {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(40),
    }
}

/// The lease of processes that may be killed: short, since each death of a holder costs one.
const MORTAL_LEASE_MS: i64 = 800;

/// Lets eight processes take turns and kills some, until there were turns and deaths enough.
async fn live_and_die(f: &Fixture, asked: &Ask, size: usize) -> Outcome<Workers> {
    let enough = 8 * acquisitions()?;
    let mut workers = Workers::start(f, asked, 8, None)?;
    let mut deaths = 0;
    while workers.witness.report()?.count() < enough || deaths < 5 {
        sleep_ms(500 + random_below(1_000)).await;
        // Violations are looked for while they are fresh.
        workers.witness.report()?.check(size)?;
        workers.replace_one().await?;
        deaths += 1;
    }
    workers.kill_all().await?;
    Ok(workers)
}

/// I5: nothing is stuck after one lease, though its holder and all who waited are dead.
async fn check_not_stuck(f: &Fixture, asked: &Ask) -> Outcome<db_locks_core::MutexLock> {
    let patience = f.patience(MORTAL_LEASE_MS) + Duration::from_millis(CLIENT_TTL_MS as u64);
    asked.anew().waiting().until_granted(&f.store, patience).await
}

async fn processes_killed_at_random_never_hold_together(f: Fixture) -> Outcome {
    let asked = ask(&f.mutex("one")?).lease_ms(MORTAL_LEASE_MS);
    let workers = live_and_die(&f, &asked, 1).await?;
    let counted = counter(&check_not_stuck(&f, &asked).await?)? as usize;
    let report = workers.witness.report()?;
    report.check(1)?;
    let (sent, confirmed) = report.releases();
    check!((confirmed..=sent).contains(&counted), "{counted} counted, {sent} sent, {confirmed} confirmed");
    Ok(())
}

async fn killed_processes_of_a_semaphore_never_exceed_it(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(3).lease_ms(MORTAL_LEASE_MS);
    let workers = live_and_die(&f, &asked, 3).await?;
    for _ in 0..3 {
        check_not_stuck(&f, &asked).await?;
    }
    let report = workers.witness.report()?;
    report.check(3)?;
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    let counted = slots.iter().map(counter).sum::<Outcome<u64>>()? as usize;
    let (sent, confirmed) = report.releases();
    check!((confirmed..=sent).contains(&counted), "{counted} counted, {sent} sent, {confirmed} confirmed");
    Ok(())
}
