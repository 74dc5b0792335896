//! Very many locks that one process holds for five leases: is any lost, and what does it take to renew them?

use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::contest::Contestant;
use crate::database::Database;
use crate::machine::Processes;
use crate::meter::{Meter, or_dash};
use crate::process::number;

const LOCKS: u64 = 50_000;
const LEASE: Duration = Duration::from_secs(15);
const LEASES: u32 = 5;

pub(crate) async fn measure(databases: &[Database], locks: Option<u64>) -> Outcome {
    let locks = locks.unwrap_or(LOCKS);
    println!(
        "One process holds {locks} locks with a lease of {} s, for {LEASES} leases. One line a lease; CPU in hundredths of a core.",
        LEASE.as_secs()
    );
    println!(
        "{:<10} {:>6} {:>14} {:>12} {:>12} {:>12} {:>6}",
        "database", "lease", "statements/s", "CPU client", "CPU server", "client MB", "lost"
    );
    for database in databases {
        hold(database, locks).await?;
    }
    Ok(())
}

async fn hold(database: &Database, locks: u64) -> Outcome {
    let mut meter = Meter::new(database).await?;
    let mut player = Contestant::ours(&meter.database)?.start("held").await?;
    let client = Processes::of(&[player.id()?]);
    let empty = client.memory();
    let taken =
        player.ask(json!({"do": "hold", "count": locks, "lease_ms": LEASE.as_millis() as u64})).await?;
    let (mut before, mut busy) = (meter.read().await?, client.processor_time());
    for lease in 1..=LEASES {
        tokio::time::sleep(LEASE).await;
        let (after, busy_after) = (meter.read().await?, client.processor_time());
        let used = before.until(&after);
        let lost = number(&player.do_it("lost").await?, "lost")?;
        println!(
            "{:<10} {:>6} {:>14} {:>12.1} {:>12} {:>12.0} {:>6}",
            database.name(),
            lease,
            or_dash(used.statements_a_second, 1),
            (busy_after - busy).as_secs_f64() / LEASE.as_secs_f64() * 100.0,
            or_dash(used.processor, 1),
            client.memory() as f64 / 1e6,
            lost
        );
        (before, busy) = (after, busy_after);
    }
    let bytes = client.memory().saturating_sub(empty) / locks.max(1);
    let refused = number(&player.do_it("let go").await?, "refused")?;
    println!(
        "{:<10} taken in {:.1} s, {bytes} bytes of memory each; at its release the database said of {} that it was not held any more",
        database.name(),
        number(&taken, "ns")? as f64 / 1e9,
        refused
    );
    Ok(())
}
