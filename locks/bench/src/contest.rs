//! What is measured of everybody alike, of db-locks on each database and of the peers: pairs of one client, the handover between two
//! processes, and many contenders for one lock.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::Outcome;
use crate::database::Database;
use crate::player;
use crate::process::{Player, number};
use crate::stats::{Dice, now_ns, percentile};

/// Somebody who is measured: how to start a process of it. The key is added as the last argument.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

impl Contestant {
    pub(crate) fn new(program: impl Into<OsString>, args: &[&str]) -> Self {
        Self { program: program.into(), args: args.iter().map(OsString::from).collect(), env: Vec::new() }
    }

    pub(crate) fn with_arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn with_env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// db-locks itself.
    pub(crate) fn ours(database: &Database) -> Outcome<Self> {
        Ok(Self::new(std::env::current_exe()?, &[player::ROLE, &database.url]))
    }

    fn command(&self, key: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(key).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) async fn start(&self, key: &str) -> Outcome<Player> {
        Player::start(self.command(key)).await
    }

    pub(crate) async fn start_many(&self, key: &str, count: usize) -> Outcome<Vec<Player>> {
        Player::start_many((0..count).map(|_| self.command(key)).collect()).await
    }
}

/// Acquire + release pairs a second of one process.
pub(crate) async fn pairs(contestant: &Contestant, lasts: Duration) -> Outcome<f64> {
    let mut player = contestant.start("pairs").await?;
    // The first connects, makes, prepares.
    player.ask(json!({"do": "pairs", "ms": 200})).await?;
    let answer = player.ask(json!({"do": "pairs", "ms": lasts.as_millis() as u64})).await?;
    Ok(number(&answer, "pairs")? as f64 / (number(&answer, "ns")? as f64 / 1e9))
}

/// Times in nanoseconds until the waiter knew that the lock is its own.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// From the holder's call of release.
    pub(crate) from_call: Vec<i64>,
    /// From the end of that call.
    pub(crate) from_return: Vec<i64>,
}

/// Two processes hand one lock to and fro. The waiter has waited for 0.1 to 0.4 s when the holder releases.
pub(crate) async fn handover(contestant: &Contestant, rounds: usize) -> Outcome<Handover> {
    let mut players = contestant.start_many("handover", 2).await?;
    let (mut dice, mut seen) = (Dice::new(), Handover::default());
    players[0].do_it("acquire").await?;
    // Two more, uncounted: connections of the waiting side are opened in the first.
    for round in 0..rounds + 2 {
        let (holder, waiter) = (round % 2, 1 - round % 2);
        players[waiter].tell(&json!({"do": "acquire"})).await?;
        tokio::time::sleep(Duration::from_millis(dice.between(100, 400))).await;
        let released = players[holder].do_it("release").await?;
        let granted = number(&players[waiter].answer().await?, "granted")?;
        if round >= 2 {
            seen.from_call.push(granted - number(&released, "called")?);
            seen.from_return.push(granted - number(&released, "returned")?);
        }
    }
    Ok(seen)
}

/// One grant to a contender; instants in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    pub(crate) called: i64,
    pub(crate) granted: i64,
    /// When it was first told that it waits; 0 if it did not wait, or does not know.
    pub(crate) queued: i64,
    /// Fencing token and number in the database's queue; 0 where there is none.
    pub(crate) token: i64,
    pub(crate) place: i64,
}

impl Grant {
    fn read(fields: &Value) -> Self {
        let field = |at: usize| fields[at].as_i64().unwrap_or(0);
        Self { called: field(0), granted: field(1), queued: field(2), token: field(3), place: field(4) }
    }
}

/// What many contenders got.
#[derive(Debug)]
pub(crate) struct Contention {
    seconds: f64,
    /// The grants of each process.
    pub(crate) shares: Vec<Vec<Grant>>,
}

/// A call must have waited for so long, by the clock of the machine, before a later one counts as having passed it:
/// the order of calls that are closer together is not known outside of the database.
const CLEARLY_NS: i64 = 5_000_000;

impl Contention {
    fn all(&self) -> impl Iterator<Item = Grant> {
        self.shares.iter().flatten().copied()
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.all().count() as f64 / self.seconds
    }

    /// The fewest and the most grants of a process.
    pub(crate) fn spread(&self) -> (usize, usize) {
        let counts = || self.shares.iter().map(Vec::len);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// Waits at the 99th hundredth, and at the most.
    pub(crate) fn waits(&self) -> (i64, i64) {
        let waits: Vec<i64> = self.all().map(|grant| grant.granted - grant.called).collect();
        (percentile(&waits, 0.99), percentile(&waits, 1.0))
    }

    /// Grants to somebody who called clearly later than another, who was granted later.
    pub(crate) fn passed(&self) -> usize {
        inversions(self.all().map(|grant| (grant.called + CLEARLY_NS, grant.called, grant.granted)).collect())
    }

    /// By the database's own order: grants (by token) to a later place in the queue before an earlier one.
    pub(crate) fn out_of_order(&self) -> usize {
        inversions(
            self.all()
                .filter(|grant| grant.place > 0)
                .map(|grant| (grant.place, grant.place, grant.token))
                .collect(),
        )
    }

    /// Newcomers who called after another was told that it waits, and were granted (by token) before it.
    pub(crate) fn barged(&self) -> usize {
        let queued: Vec<Grant> = self.all().filter(|grant| grant.queued > 0).collect();
        let passed = |late: Grant| queued.iter().any(|q| q.queued < late.called && late.token < q.token);
        self.all().filter(|late| passed(*late)).count()
    }
}

/// How many of (known to wait since, came at, was served at) were served before another that waited when they came.
fn inversions(mut served: Vec<(i64, i64, i64)>) -> usize {
    served.sort_by_key(|(_, _, at)| *at);
    // The earliest "waits since" among those that were served later.
    let mut earliest = i64::MAX;
    let mut count = 0;
    for (since, came, _) in served.into_iter().rev() {
        count += usize::from(earliest < came);
        earliest = earliest.min(since);
    }
    count
}

/// So many processes take one lock, hold it for a millisecond and give it back, again and again.
pub(crate) async fn contenders(
    contestant: &Contestant,
    processes: usize,
    lasts: Duration,
) -> Outcome<Contention> {
    let mut players = contestant.start_many("contend", processes).await?;
    // Connects and makes what must be made.
    for player in &mut players {
        player.do_it("acquire").await?;
        player.do_it("release").await?;
    }
    let start = now_ns() + 300_000_000;
    for player in &mut players {
        player
            .tell(&json!({"do": "contend", "start": start, "ms": lasts.as_millis() as u64, "hold_ms": 1}))
            .await?;
    }
    let mut shares = Vec::new();
    for player in &mut players {
        let answer = player.answer().await?;
        let grants = answer["grants"].as_array().ok_or("no grants in the answer")?;
        shares.push(grants.iter().map(Grant::read).collect());
    }
    Ok(Contention { seconds: lasts.as_secs_f64(), shares })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_served_before_an_earlier_one_is_an_inversion() {
        assert_eq!(inversions(vec![(1, 1, 10), (2, 2, 20), (3, 3, 30)]), 0);
        assert_eq!(inversions(vec![(1, 1, 30), (2, 2, 20), (3, 3, 10)]), 2);
        // The first is only known to wait since 5, when the second had come.
        assert_eq!(inversions(vec![(5, 1, 30), (2, 2, 20)]), 0);
    }

    #[test]
    fn newcomers_who_pass_are_counted() {
        let grant = |called, queued, token| Grant { called, granted: token, queued, token, place: 0 };
        let contention = |grants: Vec<Grant>| Contention {
            seconds: 1.0,
            shares: grants.into_iter().map(|g| vec![g]).collect(),
        };
        assert_eq!(contention(vec![grant(1, 2, 10), grant(3, 4, 11)]).barged(), 0);
        assert_eq!(contention(vec![grant(1, 2, 12), grant(3, 0, 11)]).barged(), 1);
    }
}
