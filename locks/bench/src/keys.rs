//! Does an acquire take longer in a table of very many keys than in a small one?

use std::sync::Arc;
use std::time::Instant;

use db_locks::{AcquireLockOptionsBuilder, LockManager, Locks, MutexLockBuilder, Registry};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::database::{Database, Kind};
use crate::stats::{Dice, median, millis, percentile};

const FEW: u64 = 100;
const MANY: u64 = 100_000;
const ROUNDS: usize = 20;
const CALLS: usize = 100;

pub(crate) async fn measure(databases: &[Database]) -> Outcome {
    println!(
        "Acquire of a free mutex in a table of {FEW} and in one of {MANY} keys, by one client, in turns: {ROUNDS} rounds of {CALLS}, ms."
    );
    println!(
        "{:<10} {:>12} {:>12} {:>8} {:>12} {:>12}",
        "database", "median, few", "median, many", "ratio", "p99, few", "p99, many"
    );
    for database in databases {
        let few = table(database, "few", FEW).await?;
        let many = table(database, "many", MANY).await?;
        let (mut of_few, mut of_many, mut dice) = (Vec::new(), Vec::new(), Dice::new());
        // The first round is not counted.
        for round in 0..=ROUNDS {
            let (few, many) =
                (acquires(&few, FEW, &mut dice).await?, acquires(&many, MANY, &mut dice).await?);
            if round > 0 {
                of_few.extend(few);
                of_many.extend(many);
            }
        }
        println!(
            "{:<10} {:>12.3} {:>12.3} {:>8.2} {:>12.2} {:>12.2}",
            database.name(),
            millis(median(&of_few)),
            millis(median(&of_many)),
            median(&of_many) as f64 / median(&of_few).max(1) as f64,
            millis(percentile(&of_few, 0.99)),
            millis(percentile(&of_many, 0.99)),
        );
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("order {number:08}")
}

/// A table of its own with so many keys.
async fn table(database: &Database, name: &str, keys: u64) -> Outcome<Locks> {
    let mut config = database.config();
    config.mutexes_table_name = Some(format!("bench_{name}"));
    config.semaphores_table_name = Some(format!("bench_{name}_semaphores"));
    config.waiters_table_name = Some(format!("bench_{name}_waiters"));
    if database.kind == Kind::Sqlite {
        // In a file of its own: what one connection writes to a file makes the other's page cache cold.
        config.database_url = Some(format!("{}-{name}", database.url));
    }
    let locks = Locks::build(database.provider(), &config, &Registry::new()).await?;
    // Present from an earlier run, if the last one is.
    if locks.manager().get_mutex(&key(keys - 1)).await.is_ok() {
        return Ok(locks);
    }
    let manager = Arc::clone(locks.manager());
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let manager = Arc::clone(&manager);
        tasks.spawn(async move {
            for number in (task..keys).step_by(64) {
                manager.create_mutex(&MutexLockBuilder::new(&key(number)).build()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(locks)
}

/// Times of acquires in nanoseconds; the releases are not timed.
async fn acquires(locks: &Locks, keys: u64, dice: &mut Dice) -> Outcome<Vec<i64>> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let opts = AcquireLockOptionsBuilder::new(&key(dice.between(0, keys - 1))).build();
        let begun = Instant::now();
        let lock = locks.manager().acquire_lock(&opts).await?;
        times.push(begun.elapsed().as_nanos() as i64);
        locks.manager().release_lock(&lock.to_release_options()).await?;
    }
    Ok(times)
}
