//! Everything at once: processes that are killed and stopped, a network that delays, cuts and loses, a server that is killed. What
//! the clients saw meanwhile is one history, which must fit the invariants I1 to I6.
//!
//! The faults come from a seed, which a failure names; `DB_LOCKS_TEST_SEED` repeats them. (What the machine does between them is its own.)

use std::sync::Arc;

use db_locks_core::LocksConfig;
use db_locks_core::protocol::CLIENT_TTL_MS;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin};

use crate::failure::{Failure, Outcome, check};
use crate::fixture::{Fixture, ask, sleep_ms};
use crate::harness::{Need, suite};
use crate::history::History;
use crate::process;
use crate::proxy::{Mode, Proxy, address_of};
use crate::roles::{self, random_below};
use crate::trials::outages;
use crate::witness::{Witness, wall_us};
use crate::work::counter;

suite![
    faults_of_all_kinds_break_no_invariant: needs(Processes) seconds(240),
];

/// How many processes take turns, how long their leases are, and how many faults meet them.
const CLIENTS: usize = 5;
const LEASE_MS: i64 = 1_200;
const FAULTS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `kill -9` of a client; another takes its place.
    KillClient,
    /// SIGSTOP, and SIGCONT after longer than a lease.
    StopClient,
    /// The network does this for a while.
    Network(Mode),
    /// `kill -9` of the server, and a restart with the same data.
    KillServer,
}

/// Numbers that follow from a seed (SplitMix64, Steele et al. 2014).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

/// Every kind that is possible here once, the rest by chance, in an order by chance.
fn plan(possible: &[Fault], chance: &mut Seeded) -> Vec<Fault> {
    let mut faults = possible.to_vec();
    while faults.len() < FAULTS {
        faults.push(possible[chance.below(possible.len())]);
    }
    for at in (1..faults.len()).rev() {
        faults.swap(at, chance.below(at + 1));
    }
    faults
}

/// What is tormented: the clients, and what lies between them and their server.
struct World {
    server: Option<crate::server::PrivateServer>,
    proxy: Option<Proxy>,
    part: serde_json::Value,
    clients: Vec<(Child, Option<ChildStdin>)>,
    history: History,
    witness: Witness,
    _folder: TempDir,
}

impl World {
    fn possible(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::KillClient, Fault::StopClient];
        if self.proxy.is_some() {
            let modes = [Mode::Cut, Mode::Silent, Mode::HalfOpen, Mode::LoseReply, Mode::Delay(60)];
            faults.extend(modes.map(Fault::Network));
        }
        if self.server.is_some() {
            faults.push(Fault::KillServer);
        }
        faults
    }

    fn new_client(&self) -> Outcome<(Child, Option<ChildStdin>)> {
        let mut child = process::start(&self.part, None)?;
        let stdin = child.stdin.take();
        Ok((child, stdin))
    }

    /// Lets one fault happen, and waits until it is over.
    async fn suffer(&mut self, fault: Fault, chance: &mut Seeded) -> Outcome {
        let client = chance.below(self.clients.len());
        match fault {
            Fault::KillClient => {
                self.clients[client].0.kill().await?;
                self.clients[client] = self.new_client()?;
            }
            Fault::StopClient => {
                process::signal(&self.clients[client].0, "STOP").await?;
                sleep_ms(LEASE_MS as u64 * 3 / 2).await;
                process::signal(&self.clients[client].0, "CONT").await?;
            }
            Fault::Network(mode) => {
                let proxy = self.proxy.as_ref().ok_or_else(|| Failure::new("no proxy"))?;
                proxy.set(mode);
                sleep_ms(100 + chance.below(400) as u64).await;
                proxy.set(Mode::Pass);
            }
            Fault::KillServer => {
                let server = self.server.as_ref().ok_or_else(|| Failure::new("no server"))?;
                server.kill().await?;
                server.restart().await?;
            }
        }
        Ok(())
    }

    /// One fault, with a calm before it, written into the history.
    async fn next(&mut self, fault: Fault, chance: &mut Seeded) -> Outcome {
        sleep_ms(400 + chance.below(700) as u64).await;
        let begun = wall_us();
        self.suffer(fault, chance).await?;
        // Whoever was cut off shows again that it lives, after the time-out of the call that hangs at the latest.
        let aftermath = (REQUEST_TIMEOUT_MS + 2 * CLIENT_TTL_MS) as u64 * 1_000;
        self.history.disturbed(begun, wall_us() + aftermath)?;
        for (client, _) in &mut self.clients {
            if let Some(status) = client.try_wait()? {
                return Err(Failure::new(format!("a client ended by itself after {fault:?}, with {status}")));
            }
        }
        // While it is fresh.
        self.witness.report()?.check(1)
    }
}

/// Shorter than the leases, so that one lost answer is not yet a lost lease.
const REQUEST_TIMEOUT_MS: i64 = 500;

/// A fixture past all faults, and the configuration of those who meet them.
async fn ground(
    f: Fixture,
) -> Outcome<(Fixture, LocksConfig, Option<crate::server::PrivateServer>, Option<Proxy>)> {
    let (server, f) = if Need::Restart.missing(f.backend.as_ref()).is_none() {
        let (server, f) = outages::private(&f).await?;
        (Some(server), f)
    } else {
        (None, f)
    };
    let (proxy, config) = if Need::Proxy.missing(f.backend.as_ref()).is_none() {
        let url = outages::url_of(&f.config)?;
        let proxy = Proxy::before(address_of(&url)?).await?;
        let config = f.backend.config_for_url(&f.config.tenant_id, &proxy.url(&url)?);
        let patience = Some(REQUEST_TIMEOUT_MS);
        let config = LocksConfig { connect_timeout_ms: patience, request_timeout_ms: patience, ..config };
        (Some(proxy), LocksConfig { server_error_retries_limit: Some(1), ..config })
    } else {
        (None, f.config.clone())
    };
    Ok((f, config, server, proxy))
}

async fn faults_of_all_kinds_break_no_invariant(f: Fixture) -> Outcome {
    let seed = match std::env::var("DB_LOCKS_TEST_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => random_below(u64::MAX),
    };
    torment(f, Seeded(seed)).await.map_err(|failure| failure.during(&format!("DB_LOCKS_TEST_SEED={seed}")))
}

async fn torment(f: Fixture, mut chance: Seeded) -> Outcome {
    let asked = ask(&f.mutex("one")?).lease_ms(f.lease(LEASE_MS));
    let (f, config, server, proxy) = ground(f).await?;
    let folder = tempfile::tempdir()?;
    let (witness, history) = (folder.path().join("witness"), folder.path().join("history"));
    let mut part = roles::part("chronicler", f.backend.as_ref(), &config, &asked);
    part["witness"] = witness.to_string_lossy().into();
    part["history"] = history.to_string_lossy().into();
    let (witness, history) = (Witness::open(&witness)?, History::open(&history)?);
    let mut world = World { server, proxy, part, clients: Vec::new(), history, witness, _folder: folder };
    for _ in 0..CLIENTS {
        world.clients.push(world.new_client()?);
    }
    for fault in plan(&world.possible(), &mut chance) {
        world.next(fault, &mut chance).await?;
    }
    // It goes on after all that, without anybody's help.
    let before = world.witness.report()?.count();
    let patience = f.patience(asked.0.lease_ms);
    let back = std::time::Instant::now();
    while world.witness.report()?.count() < before + 10 * CLIENTS {
        check!(back.elapsed() < 2 * patience, "no more grants after the last fault");
        sleep_ms(50).await;
    }
    for (client, _) in &mut world.clients {
        client.kill().await?;
    }
    judge(&f, &world, &asked).await
}

/// I1 and I2 by the witness, I4 by the history, I5 by one more grant, I6 by the count; I3 was tried by each client all the time.
async fn judge(f: &Fixture, world: &World, asked: &crate::fixture::Ask) -> Outcome {
    let patience = f.patience(asked.0.lease_ms);
    let store: &Arc<dyn crate::backend::Store> = &crate::work::patiently(|| f.another()).await?;
    let counted = counter(&asked.anew().waiting().until_granted(store, patience).await?)? as usize;
    let report = world.witness.report()?;
    report.check(1)?;
    let (sent, confirmed) = report.releases();
    check!((confirmed..=sent).contains(&counted), "{counted} counted, {sent} sent, {confirmed} confirmed");
    if world.history.order()?.check()? == 0 {
        return Err(Failure::inconclusive("no two waiters could be compared"));
    }
    Ok(())
}
