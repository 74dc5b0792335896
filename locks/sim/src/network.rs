//! The world of one schedule: a server with a clock of its own, and a network that delays, loses and repeats what it
//! carries, by the numbers of one seed. All waiting is on the runtime's virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use db_locks_core::{LockError, LockResult};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::defect::Defect;
use crate::history::{Event, Fact};
use crate::memory::{Asker, EPOCH_US, MemoryStore, Op, Reply, Told, Wire};
use crate::rng::Rng;

/// How bad the network is, in percent of the requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) slow: u64,
    /// How long a client waits for an answer.
    pub(crate) timeout_ms: u64,
}

/// What the store can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreKind {
    /// It wakes who waits.
    pub(crate) push: bool,
    /// It has no clock of its own for leases.
    pub(crate) clockless: bool,
}

/// What happens to clients and the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Crash(u32),
    Pause(u32, u64),
    /// Killed, and back after this many milliseconds.
    Restart(u64),
    /// The server's clock is put forward by this many milliseconds.
    Jump(u64),
}

pub(crate) struct World {
    start: Instant,
    push: bool,
    pub(crate) clockless: bool,
    pub(crate) defect: Defect,
    state: Mutex<State>,
    posted: Notify,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

struct State {
    store: MemoryStore,
    rng: Rng,
    weather: Weather,
    history: Vec<Event>,
    parcels: BinaryHeap<Reverse<Parcel>>,
    /// Parcels of one moment arrive in the order in which they were posted.
    posted: u64,
    clients: Vec<Client>,
    jump_us: i64,
    down_until: Instant,
    holds: u64,
}

/// One process, as the world sees it.
struct Client {
    paused_until: Instant,
    dead: bool,
    skew_us: i64,
    bells: BTreeMap<String, Arc<Notify>>,
    tasks: Vec<AbortHandle>,
    /// What it believes to hold.
    holds: Vec<u64>,
}

/// Something under way.
struct Parcel {
    at: Instant,
    number: u64,
    load: Load,
}

enum Load {
    Request { client: u32, op: Arc<Op>, reply: Option<oneshot::Sender<Option<Reply>>> },
    Bell { client: u32, version: String },
    Fault(Fault),
}

impl Parcel {
    fn order(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Parcel {}

impl PartialOrd for Parcel {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Parcel {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl World {
    pub(crate) fn new(defect: Defect, kind: StoreKind, weather: Weather, rng: Rng) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            store: MemoryStore::new(defect, kind.clockless),
            rng,
            weather,
            history: Vec::with_capacity(512),
            parcels: BinaryHeap::new(),
            posted: 0,
            clients: Vec::new(),
            jump_us: 0,
            down_until: now,
            holds: 0,
        };
        Arc::new(Self {
            start: now,
            push: kind.push,
            clockless: kind.clockless,
            defect,
            state: Mutex::new(state),
            posted: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process; its clock is wrong by this much.
    pub(crate) fn client(&self, skew_us: i64) -> u32 {
        let mut state = self.state();
        state.clients.push(Client {
            paused_until: self.start,
            dead: false,
            skew_us,
            bells: BTreeMap::new(),
            tasks: Vec::new(),
            holds: Vec::new(),
        });
        u32::try_from(state.clients.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn link(self: &Arc<Self>, client: u32) -> Arc<dyn Wire> {
        Arc::new(Link { world: self.clone(), client })
    }

    pub(crate) fn owns(&self, client: u32, task: AbortHandle) {
        self.state().clients[client as usize].tasks.push(task);
    }

    pub(crate) fn note(&self, client: u32, fact: Fact) {
        let at_ms = self.at_ms();
        self.state().history.push(Event { at_ms, client, fact });
    }

    /// Notes that a client believes to hold something, and numbers it.
    pub(crate) fn trusts(&self, client: u32, fact: impl FnOnce(u64) -> Fact) -> u64 {
        let at_ms = self.at_ms();
        let mut state = self.state();
        state.holds += 1;
        let hold = state.holds;
        state.history.push(Event { at_ms, client, fact: fact(hold) });
        state.clients[client as usize].holds.push(hold);
        hold
    }

    pub(crate) fn stops(&self, client: u32, hold: u64, why: &'static str) {
        let at_ms = self.at_ms();
        let mut state = self.state();
        let holds = &mut state.clients[client as usize].holds;
        let before = holds.len();
        holds.retain(|known| *known != hold);
        if holds.len() < before {
            state.history.push(Event { at_ms, client, fact: Fact::Stops { hold, why } });
        }
    }

    pub(crate) fn is_dead(&self, client: u32) -> bool {
        self.state().clients[client as usize].dead
    }

    pub(crate) fn plan(&self, after_ms: u64, fault: Fault) {
        let at = Instant::now() + Duration::from_millis(after_ms);
        self.state().post(at, Load::Fault(fault));
    }

    /// From now on nothing is lost or late.
    pub(crate) fn calm(&self) {
        self.state().weather = Weather { timeout_ms: 1_000, ..Weather::default() };
    }

    /// Asks the store on the spot.
    pub(crate) fn probe(&self, client: u32, op: Op) -> Reply {
        self.apply(&mut self.state(), client, Arc::new(op))
    }

    pub(crate) fn take_history(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().history)
    }

    pub(crate) fn at_ms(&self) -> u64 {
        u64::try_from(Instant::now().duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn apply(&self, state: &mut State, client: u32, op: Arc<Op>) -> Reply {
        let at_ms = self.at_ms();
        let server_us = EPOCH_US + i64::try_from(at_ms * 1_000).unwrap_or(0) + state.jump_us;
        let skew_us = state.clients[client as usize].skew_us;
        let reply = state.store.apply(&op, Asker { client, skew_us }, server_us);
        state.history.push(Event {
            at_ms,
            client,
            fact: Fact::Applied { server_us, op, reply: reply.clone() },
        });
        for (client, version) in state.store.bells(server_us) {
            state.send_bell(client, version);
        }
        reply
    }

    /// Carries parcels until it is dropped.
    pub(crate) async fn carry(self: Arc<Self>) {
        loop {
            let next = self.deliver_due();
            tokio::select! {
                biased;
                () = self.posted.notified() => {}
                () = until(next) => {}
            }
        }
    }

    /// Delivers what has arrived; when the next does.
    fn deliver_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        while state.parcels.peek().is_some_and(|Reverse(parcel)| parcel.at <= now) {
            let Some(Reverse(parcel)) = state.parcels.pop() else { break };
            self.deliver(&mut state, now, parcel.load);
        }
        state.parcels.peek().map(|Reverse(parcel)| parcel.at)
    }

    fn deliver(&self, state: &mut State, now: Instant, load: Load) {
        match load {
            Load::Request { client, op, reply } => {
                // None: the server is away.
                let answer = (state.down_until <= now).then(|| self.apply(state, client, op));
                if let Some(reply) = reply {
                    let _ = reply.send(answer);
                }
            }
            Load::Bell { client, version } => {
                if let Some(bell) = state.clients[client as usize].bells.get(&version) {
                    bell.notify_one();
                }
            }
            Load::Fault(fault) => self.strike(state, now, fault),
        }
    }

    fn strike(&self, state: &mut State, now: Instant, fault: Fault) {
        let at_ms = self.at_ms();
        let (client, fact) = match fault {
            Fault::Crash(client) => (client, Fact::Crashed),
            Fault::Pause(client, ms) => {
                state.clients[client as usize].paused_until = now + Duration::from_millis(ms);
                (client, Fact::Paused { ms })
            }
            Fault::Restart(ms) => {
                state.down_until = now + Duration::from_millis(ms);
                state.store.restart();
                (0, Fact::Server { what: "is killed, and back after", ms })
            }
            // Nobody looks at the clock of a store that has none.
            Fault::Jump(_) if self.clockless => return,
            Fault::Jump(ms) => {
                state.jump_us += i64::try_from(ms * 1_000).unwrap_or(0);
                (0, Fact::Server { what: "puts its clock forward by", ms })
            }
        };
        state.history.push(Event { at_ms, client, fact });
        if let Fault::Crash(client) = fault {
            let process = &mut state.clients[client as usize];
            process.dead = true;
            process.bells.clear();
            process.tasks.drain(..).for_each(|task| task.abort());
            for hold in std::mem::take(&mut process.holds) {
                state.history.push(Event { at_ms, client, fact: Fact::Stops { hold, why: "crash" } });
            }
        }
    }
}

impl State {
    fn post(&mut self, at: Instant, load: Load) {
        self.posted += 1;
        self.parcels.push(Reverse(Parcel { at, number: self.posted, load }));
    }

    fn delay(&mut self) -> Duration {
        let slow = self.rng.percent(self.weather.slow);
        Duration::from_millis(if slow { self.rng.between(1, 700) } else { self.rng.between(0, 3) })
    }

    fn send_bell(&mut self, client: u32, version: String) {
        let (lost, delay) = (self.rng.percent(self.weather.lost), self.delay());
        if !lost {
            self.post(Instant::now() + delay, Load::Bell { client, version });
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One process's way to the server.
#[derive(Debug)]
struct Link {
    world: Arc<World>,
    client: u32,
}

/// A request under way, and what will become of its answer.
struct Posted {
    answer: oneshot::Receiver<Option<Reply>>,
    give_up_at: Instant,
    answer_delay: Duration,
    answer_lost: bool,
    reset: bool,
}

impl Link {
    /// None from a dead process.
    fn post(&self, op: Op) -> Option<Posted> {
        let now = Instant::now();
        let mut state = self.world.state();
        let process = &state.clients[self.client as usize];
        if process.dead {
            return None;
        }
        let departs = process.paused_until.max(now);
        let (lost, repeated) = (state.weather.lost, state.weather.repeated);
        let (request_lost, answer_lost) = (state.rng.percent(lost), state.rng.percent(lost));
        let (there, back) = (state.delay(), state.delay());
        let (client, op) = (self.client, Arc::new(op));
        let (sender, answer) = oneshot::channel();
        if state.rng.percent(repeated) {
            let later = there + Duration::from_millis(state.rng.between(0, 900));
            state.post(departs + later, Load::Request { client, op: op.clone(), reply: None });
        }
        // Half of the losses are noticed: the connection is reset. The others are silence.
        let reset = state.rng.percent(50);
        if !request_lost {
            state.post(departs + there, Load::Request { client, op, reply: Some(sender) });
        }
        let give_up_at = departs + Duration::from_millis(state.weather.timeout_ms);
        drop(state);
        self.world.posted.notify_one();
        Some(Posted { answer, give_up_at, answer_delay: back, answer_lost, reset })
    }

    async fn answer(posted: Posted) -> LockResult<Reply> {
        let answer = match tokio::time::timeout_at(posted.give_up_at, posted.answer).await {
            Ok(Ok(answer)) if !posted.answer_lost => answer,
            // The request was lost, or its answer.
            Ok(_) if posted.reset => {
                return Err(LockError::unavailable("the connection was lost", "reset by peer"));
            }
            _ => {
                tokio::time::sleep_until(posted.give_up_at).await;
                return Err(LockError::unavailable("the store does not answer", "timed out"));
            }
        };
        let arrives = tokio::time::sleep(posted.answer_delay);
        if tokio::time::timeout_at(posted.give_up_at, arrives).await.is_err() {
            return Err(LockError::unavailable("the store does not answer", "timed out"));
        }
        answer.ok_or_else(|| LockError::unavailable("the store is away", "connection refused"))
    }

    /// A paused process hears nothing until it goes on.
    async fn go_on(&self) {
        loop {
            let paused_until = self.world.state().clients[self.client as usize].paused_until;
            if paused_until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(paused_until).await;
        }
    }
}

#[async_trait]
impl Wire for Link {
    async fn call(&self, op: Op) -> LockResult<(Reply, std::time::Instant)> {
        let sent = Instant::now();
        let Some(posted) = self.post(op) else { return std::future::pending().await };
        let answer = Self::answer(posted).await;
        self.go_on().await;
        let since = if self.world.defect == Defect::LeaseCountedFromAnswer { Instant::now() } else { sent };
        Ok((answer?, since.into_std()))
    }

    async fn rung(&self, version: &str) {
        if !self.world.push {
            return std::future::pending().await;
        }
        let bell = {
            let mut state = self.world.state();
            let bells = &mut state.clients[self.client as usize].bells;
            bells.entry(version.to_string()).or_default().clone()
        };
        bell.notified().await;
        self.go_on().await;
    }

    fn push(&self) -> bool {
        self.world.push
    }

    fn told(&self, told: Told) {
        self.world.note(self.client, Fact::Told(told));
    }
}
