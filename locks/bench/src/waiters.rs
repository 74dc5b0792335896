//! Very many waiters for one lock: what each takes in memory, and what all of them cost the server while nothing happens.

use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::contest::Contestant;
use crate::database::{Database, Kind};
use crate::machine::Processes;
use crate::meter::{Meter, or_dash};

const WAITERS: u64 = 2_000;
/// DynamoDB's queue lies in the lock's item, and takes 500.
const WAITERS_DYNAMODB: u64 = 500;
const WINDOW: Duration = Duration::from_secs(15);
const WINDOWS: usize = 2;

pub(crate) async fn measure(databases: &[Database], number: Option<u64>) -> Outcome {
    println!(
        "Waiters for one held lock; {WINDOWS} windows of {} s while nothing happens. CPU in hundredths of a core, all clients together.",
        WINDOW.as_secs()
    );
    println!(
        "{:<10} {:>8} {:>10} {:>7} {:>14} {:>12} {:>12} {:>16} {:>16}",
        "database",
        "waiters",
        "processes",
        "window",
        "statements/s",
        "CPU clients",
        "CPU server",
        "bytes a waiter",
        "server, a waiter"
    );
    for database in databases {
        let many = if database.kind == Kind::Dynamodb { WAITERS_DYNAMODB } else { WAITERS };
        let scenes = match number {
            None => vec![(1, 1), (many / 10, 1), (many, 1), (many, 8)],
            Some(many) => vec![(many, 1), (many, 8)],
        };
        for (waiters, processes) in scenes {
            wait(database, waiters, processes).await?;
        }
    }
    Ok(())
}

async fn wait(database: &Database, waiters: u64, processes: usize) -> Outcome {
    let mut meter = Meter::new(database).await?;
    let contestant = Contestant::ours(&meter.database)?;
    let key = format!("waited for by {waiters} in {processes}");
    let mut holder = contestant.start(&key).await?;
    // By a guard, which renews.
    holder.do_it("acquire").await?;
    let mut players = contestant.start_many(&key, processes).await?;
    let ids = players.iter().map(|player| player.id()).collect::<Outcome<Vec<u32>>>()?;
    let clients = Processes::of(&ids);
    let (memory, server) = (clients.memory(), meter.read().await?);
    for player in &mut players {
        player.tell(&json!({"do": "wait", "count": waiters / processes as u64})).await?;
    }
    for player in &mut players {
        player.answer().await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for window in 1..=WINDOWS {
        let (before, busy) = (meter.read().await?, clients.processor_time());
        tokio::time::sleep(WINDOW).await;
        let (after, busy_after) = (meter.read().await?, clients.processor_time());
        let used = before.until(&after);
        let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / waiters as f64;
        let of_server = after.memory.zip(server.memory).map(|(now, then)| each(now, then));
        println!(
            "{:<10} {:>8} {:>10} {:>7} {:>14} {:>12.1} {:>12} {:>16.0} {:>16}",
            database.name(),
            waiters,
            processes,
            window,
            or_dash(used.statements_a_second, 1),
            (busy_after - busy).as_secs_f64() / WINDOW.as_secs_f64() * 100.0,
            or_dash(used.processor, 1),
            each(clients.memory(), memory),
            or_dash(of_server, 0),
        );
    }
    for player in &mut players {
        player.do_it("give up").await?;
    }
    holder.do_it("release").await?;
    Ok(())
}
