//! Sixteen processes for one lock: who gets how much, how long the slowest waits, and whether anybody passes anybody.

use std::time::Duration;

use crate::Outcome;
use crate::contest::{self, Contestant};
use crate::database::Database;
use crate::stats::millis;

const PROCESSES: usize = 16;
const LASTS: Duration = Duration::from_secs(5);

pub(crate) async fn measure(databases: &[Database]) -> Outcome {
    println!(
        "{PROCESSES} processes contend for one lock for {} s; each holds it for 1 ms. Inversions: grants to a later place in the \
         database's queue before an earlier one / newcomers who passed somebody who had been told that he waits.",
        LASTS.as_secs()
    );
    println!(
        "{:<10} {:>8} {:>12} {:>8} {:>12} {:>12} {:>12}",
        "database", "grants/s", "min/max", "min:max", "wait p99 ms", "wait max ms", "inversions"
    );
    for database in databases {
        let seen = contest::contenders(&Contestant::ours(database)?, PROCESSES, LASTS).await?;
        let (least, most) = seen.spread();
        let (p99, longest) = seen.waits();
        println!(
            "{:<10} {:>8.0} {:>12} {:>8.3} {:>12.1} {:>12.1} {:>12}",
            database.name(),
            seen.a_second(),
            format!("{least}/{most}"),
            least as f64 / most.max(1) as f64,
            millis(p99),
            millis(longest),
            format!("{} / {}", seen.out_of_order(), seen.barged()),
        );
    }
    Ok(())
}
