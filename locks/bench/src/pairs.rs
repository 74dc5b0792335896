//! What one round trip a call and kept connections are worth: acquire + release pairs a second of db-locks, one client, beside
//! the usual design (a connection a call, and a read before each write) on the same database in the same run, and beside a
//! kinder form of it that reads and writes on one connection.

use std::time::{Duration, Instant};

use db_locks::{AcquireLockOptionsBuilder, LockManager, Locks, Registry};

use crate::database::{Database, Kind};
use crate::naive::{self, Connections, Naive};
use crate::{Outcome, tls};

/// How long each side runs in each round, and how many rounds.
const LASTS: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

/// With `network_us`, behind a network whose round trip takes so many microseconds; what needs no server is left out then.
pub(crate) async fn measure(
    databases: &[Database],
    folder: &std::path::Path,
    network_us: Option<u64>,
) -> Outcome {
    println!(
        "{:<18} {:>12} {:>12} {:>7} {:>18} {:>7}",
        "database", "db-locks /s", "usual /s", "times", "one connection /s", "times"
    );
    for database in databases {
        if let Some(round_trip_us) = network_us {
            if let Some(database) = database.behind_a_network(Duration::from_micros(round_trip_us))? {
                compare(database.name(), &database).await?;
            }
            continue;
        }
        compare(database.name(), database).await?;
        if database.kind == Kind::Dynamodb && database.address().starts_with("http:") {
            tls::measure(database.address(), folder)?;
        }
    }
    Ok(())
}

/// What the copy of this program does, whose DynamoDB is behind TLS.
pub(crate) async fn over_tls(url: &str) -> Outcome {
    let database = Database { kind: Kind::Dynamodb, url: format!("dynamodb+{url}") };
    compare("dynamodb over TLS", &database).await
}

async fn compare(name: &str, database: &Database) -> Outcome {
    let locks = Locks::build(database.provider(), &database.config(), &Registry::new()).await?;
    let usual = naive::usual(database, Connections::EachCall);
    let kinder = naive::usual(database, Connections::EachOperation);
    usual.prepare().await?;
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push([ours(&locks).await?, theirs(&*usual).await?, theirs(&*kinder).await?]);
    }
    // The median of each ratio, with the figures of the round that it is from.
    let times = |which: usize| {
        let mut rounds: Vec<_> = rows.iter().map(|row| (row[0] / row[which], *row)).collect();
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        rounds[ROUNDS / 2]
    };
    let ((more, round), (less, kinder)) = (times(1), times(2));
    println!("{name:<18} {:>12.0} {:>12.0} {more:>7.1} {:>18.0} {less:>7.1}", round[0], round[1], kinder[2]);
    Ok(())
}

/// Pairs a second through the manager, as users call it.
async fn ours(locks: &Locks) -> Outcome<f64> {
    let opts = AcquireLockOptionsBuilder::new("pairs").build();
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < LASTS {
        let lock = locks.manager().acquire_lock(&opts).await?;
        locks.manager().release_lock(&lock.to_release_options()).await?;
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

async fn theirs(usual: &dyn Naive) -> Outcome<f64> {
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < LASTS {
        let version = pairs.to_string();
        if !usual.acquire(&version).await? || !usual.release(&version).await? {
            return Err("the usual design lost its lock to nobody".into());
        }
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}
