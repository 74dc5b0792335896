//! Holds a history to the invariants. It believes no store: it keeps its own account of who holds what and who waits,
//! made of the requests and of what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use db_locks_core::protocol::{CLIENT_TTL_MS, WAITER_TTL_MS, key_means_slot};
use db_locks_core::{
    AcquireRequest, ErrorKind, LockId, LockRecord, RegisterId, ReleaseRequest, RenewRequest, Semaphore,
    Waiting,
};

use crate::history::{Event, Fact};
use crate::memory::{Op, Refusal, Reply, Revision, Told};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I6`, `trust` (two clients believed to hold at once), `register`, `progress`.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, seen: String) -> Self {
        Self { invariant, seen }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken: {}", self.invariant, self.seen)
    }
}

type Verdict = Result<(), Violation>;

fn broken<T>(invariant: &'static str, seen: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::new(invariant, seen.into()))
}

/// The first thing that is wrong with this history.
pub(crate) fn check(history: &[Event], scene: Scene) -> Option<Violation> {
    let mut account = Account { scene, ..Account::default() };
    for event in history {
        if let Err(Violation { invariant, seen }) = account.take(event) {
            return Some(Violation::new(invariant, format!("{seen}\n  at: {event}")));
        }
    }
    if let Some((version, _)) = account.in_batch.first_key_value().filter(|_| scene.calm) {
        let words =
            format!("{version} was granted in a batch after its caller had gone away, and never given back");
        return Some(Violation::new("I5", words));
    }
    // When the server's clock steps forward, leases end before their time, and clients cannot know.
    let jumped = |event: &Event| matches!(&event.fact, Fact::Server { what, .. } if what.contains("clock"));
    if history.iter().any(jumped) { None } else { trust_overlaps(history, &account.sizes_at).err() }
}

/// What can be expected of a schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scene {
    /// No faults were planned, so nothing may fail.
    pub(crate) calm: bool,
    /// Leases do not end by themselves: a holder may be passed when its lease is over.
    pub(crate) clockless: bool,
}

#[derive(Default)]
struct Account {
    locks: BTreeMap<LockId, Lock>,
    scene: Scene,
    /// How many holders the last acquire passed whose leases are over.
    passed: usize,
    /// How many could hold when each hold began.
    sizes_at: BTreeMap<u64, usize>,
    /// Granted in a batch, and not told to anybody yet.
    in_batch: BTreeMap<String, u64>,
    /// New versions of renewals that were refused.
    not_renewed: BTreeSet<String>,
    /// What releases of each version were answered; none: there is no such lock.
    releases: BTreeSet<(String, Option<bool>)>,
    /// When each process last showed life.
    seen_us: BTreeMap<u32, i64>,
    /// The tokens of each version: one, unless its lease ended and a late copy of its request got it anew.
    tokens: BTreeMap<String, Vec<u64>>,
    registers: BTreeMap<RegisterId, u64>,
    /// Which version was handed to a reentrant acquire under which.
    handed_back: BTreeSet<(String, String)>,
}

#[derive(Default)]
struct Lock {
    size: usize,
    slots: BTreeMap<u32, Slot>,
    last_token: u64,
    queue: Vec<Waiter>,
    exists: bool,
}

#[derive(Clone)]
struct Slot {
    version: String,
    until_us: i64,
    token: u64,
    delete: bool,
    owner: String,
    /// When its lease is over, also where nobody but those who watch it knows.
    lease_ends_us: i64,
}

struct Waiter {
    version: String,
    client: u32,
    deadline_us: i64,
}

impl Lock {
    fn held(&self, now_us: i64) -> impl Iterator<Item = (&u32, &Slot)> {
        self.slots.iter().filter(move |(_, slot)| slot.until_us > now_us)
    }

    fn held_by(&self, version: &str, now_us: i64) -> Option<(u32, Slot)> {
        self.held(now_us)
            .find(|(_, slot)| slot.version == version)
            .map(|(number, slot)| (*number, slot.clone()))
    }

    /// Live waiters before this one; for a newcomer all.
    fn ahead(&self, version: &str, seen_us: &BTreeMap<u32, i64>, now_us: i64) -> usize {
        let live = |waiter: &&Waiter| {
            let seen_us = seen_us.get(&waiter.client).copied().unwrap_or(0);
            waiter.deadline_us > now_us && seen_us + CLIENT_TTL_MS * 1_000 > now_us
        };
        let waiting = self.queue.iter().filter(|waiter| waiter.deadline_us > now_us);
        waiting.take_while(|waiter| waiter.version != version).filter(live).count()
    }
}

impl Account {
    fn take(&mut self, event: &Event) -> Verdict {
        match &event.fact {
            Fact::Applied { server_us, op, reply } => self.applied(event.client, *server_us, op, reply),
            Fact::Trusts { hold, version, token, lock } => {
                self.sizes_at.insert(*hold, self.locks.get(lock).map_or(1, |lock| lock.size));
                self.is_token(version, *token)
            }
            Fact::Told(told) => self.told(told),
            _ => Ok(()),
        }
    }

    fn is_token(&self, version: &str, token: u64) -> Verdict {
        match self.tokens.get(version) {
            Some(given) if given.contains(&token) => Ok(()),
            given => broken("I2", format!("a client has token {token}, the store gave {given:?}")),
        }
    }

    /// Each caller gets the answer to what it asked.
    fn told(&mut self, told: &Told) -> Verdict {
        match told {
            Told::Granted { asked, version, token } => {
                self.in_batch.remove(version);
                if asked != version && !self.handed_back.contains(&(asked.clone(), version.clone())) {
                    return broken("told", format!("asked under {asked}, it is told of {version}"));
                }
                self.is_token(version, *token)
            }
            Told::NotRenewed { new_version } if !self.not_renewed.contains(new_version) => {
                broken("told", format!("the renewal to {new_version} was not refused"))
            }
            Told::Released { version, released }
                if !self.releases.contains(&(version.clone(), Some(*released))) =>
            {
                broken("told", format!("the release of {version} was not answered {released}"))
            }
            Told::Failed { what, version, kind: ErrorKind::NotFound }
                if *what == "acquire" || !self.releases.contains(&(version.clone(), None)) =>
            {
                broken("told", format!("{what} {version}: it was there"))
            }
            Told::Failed { what, version, kind } if self.scene.calm && *kind != ErrorKind::NotFound => {
                broken("told", format!("{what} {version} failed though nothing happened"))
            }
            _ => Ok(()),
        }
    }

    fn applied(&mut self, client: u32, now_us: i64, op: &Op, reply: &Reply) -> Verdict {
        match (op, reply) {
            (Op::Acquire(request), reply) => self.acquired(client, now_us, request, reply),
            (Op::Takeover(request, _), Reply::Watch(busy, _)) => {
                self.acquired(client, now_us, request, &Reply::Busy(busy.clone()))
            }
            (Op::Takeover(request, dead), reply) => {
                self.take_over(now_us, request, dead, reply);
                let verdict = self.acquired(client, now_us, request, reply);
                self.passed = 0;
                verdict
            }
            (Op::Renew(requests), Reply::Renewed(replies)) => requests
                .iter()
                .zip(replies)
                .try_for_each(|(request, reply)| self.renewed(now_us, request, reply)),
            (Op::Release(request), reply) => self.released(now_us, request, reply),
            (Op::Together(ops), Reply::Together(replies)) => {
                let done = ops.iter().zip(replies).filter_map(|(op, reply)| Some((op, reply.as_ref()?)));
                for (op, reply) in done {
                    self.applied(client, now_us, op, reply)?;
                    if let Reply::Granted(record) = reply {
                        self.in_batch.insert(record.version.clone(), record.fence);
                    }
                }
                Ok(())
            }
            (Op::Keep(waiting), Reply::Lost(lost)) => self.kept(now_us, waiting, lost),
            (Op::CreateSemaphore(semaphore), reply) => self.resized(now_us, semaphore, reply),
            (Op::Abandon(lock, version), _) => {
                self.in_batch.remove(version);
                self.abandoned(now_us, lock, version);
                Ok(())
            }
            (Op::Beat, _) => {
                self.seen_us.insert(client, now_us);
                Ok(())
            }
            (Op::Write { register, token, .. }, Reply::Written(answer)) => {
                self.written(register, *token, answer.is_accepted())
            }
            _ => Ok(()),
        }
    }

    fn acquired(&mut self, client: u32, now_us: i64, request: &AcquireRequest, reply: &Reply) -> Verdict {
        let size = request.max_size.unwrap_or(1) as usize;
        let lock = self.locks.entry(request.lock.clone()).or_default();
        if !lock.exists {
            (lock.exists, lock.size) = (true, size);
        }
        let own = lock.held_by(&request.version, now_us);
        let owners = lock.held(now_us).find(|(_, slot)| slot.owner == request.owner && request.reentrant);
        let owners = owners.map(|(_, slot)| slot.lease_ends_us > now_us).filter(|_| own.is_none());
        // Where nothing ends by itself, who has watched its own lease to its end may take it for nobody's.
        let owed = owners == Some(true);
        let free = lock.size.saturating_sub(lock.held(now_us).count());
        let ahead = lock.ahead(&request.version, &self.seen_us, now_us);
        match reply {
            Reply::Granted(record) => {
                if owed || record.version != request.version {
                    let same = |(slot, held): (u32, Slot)| {
                        slot == record.slot && held.token == record.fence && held.owner == request.owner
                    };
                    if owners.is_some() && lock.held_by(&record.version, now_us).is_some_and(same) {
                        let handed_back = (request.version.clone(), record.version.clone());
                        self.handed_back.insert(handed_back);
                        return lock.grant(request, record, now_us, self.scene.clockless);
                    }
                    return broken(
                        "I3",
                        format!(
                            "{} was given {} with token {}",
                            request.version, record.version, record.fence
                        ),
                    );
                }
                match own {
                    Some((slot, own)) if slot == record.slot && own.token == record.fence => {}
                    Some((slot, own)) => {
                        return broken(
                            "I6",
                            format!("asked again, it had slot {slot} and token {}", own.token),
                        );
                    }
                    None => lock.may_be_granted(request, record, now_us, free + self.passed, ahead)?,
                }
                lock.grant(request, record, now_us, self.scene.clockless)?;
                self.tokens.entry(record.version.clone()).or_default().push(record.fence);
                Ok(())
            }
            Reply::Busy(_) => {
                let turn = if request.fair { ahead < free } else { free > 0 };
                if own.is_some() || owed {
                    return broken("I6", "it holds the lock already, asked again, and is refused");
                }
                if turn {
                    return broken(
                        "I5",
                        format!("refused though {free} are free and {ahead} live waiters ahead"),
                    );
                }
                if request.fair && request.wait {
                    lock.wait(&request.version, client, now_us);
                    self.seen_us.insert(client, now_us);
                }
                Ok(())
            }
            other => broken("I5", format!("an acquire was answered {other:?}")),
        }
    }

    /// Where there is no clock: a holder whose lease is over may be passed, and no other.
    fn take_over(&mut self, now_us: i64, request: &AcquireRequest, dead: &[(u32, Revision)], reply: &Reply) {
        let Reply::Granted(record) = reply else { return };
        let Some(lock) = self.locks.get_mut(&request.lock) else { return };
        let over = |slot: &Slot| slot.version != record.version && slot.lease_ends_us <= now_us;
        let others = dead.iter().filter(|(number, _)| *number != record.slot);
        let others = others.filter_map(|(number, _)| lock.slots.get(number));
        self.passed = others.filter(|slot| slot.until_us > now_us && over(slot)).count();
        if let Some(slot) = lock.slots.get_mut(&record.slot).filter(|slot| over(slot)) {
            slot.until_us = 0;
        }
    }

    fn kept(&mut self, now_us: i64, waiting: &[Waiting], lost: &[String]) -> Verdict {
        for Waiting { lock, versions } in waiting {
            let lock = self.locks.entry(lock.clone()).or_default();
            for version in versions {
                let mut living = lock.queue.iter_mut().filter(|waiter| waiter.deadline_us > now_us);
                match (living.find(|waiter| waiter.version == *version), lost.contains(version)) {
                    (Some(waiter), false) => waiter.deadline_us = now_us + WAITER_TTL_MS * 1_000,
                    (None, true) => {}
                    (found, _) => {
                        let words = format!("{version} is told wrongly that it is in the queue, or not");
                        return broken("I4", format!("{words}: {}", found.is_some()));
                    }
                }
            }
        }
        Ok(())
    }

    fn resized(&mut self, now_us: i64, semaphore: &Semaphore, reply: &Reply) -> Verdict {
        let Ok(id) = semaphore.lock_id() else { return Ok(()) };
        let lock = self.locks.entry(id).or_default();
        let above = lock.held(now_us).filter(|(slot, _)| **slot >= semaphore.max_size).count();
        match (reply, above) {
            (Reply::Count(1), 0) => {
                (lock.exists, lock.size) = (true, semaphore.max_size as usize);
                lock.slots.retain(|slot, _| *slot < semaphore.max_size);
                Ok(())
            }
            (Reply::Refused(Refusal::InUse), 1..) => Ok(()),
            (reply, above) => broken("I1", format!("{above} slots above are held, and it answers {reply:?}")),
        }
    }

    fn renewed(
        &mut self,
        now_us: i64,
        request: &RenewRequest,
        reply: &Result<LockRecord, Refusal>,
    ) -> Verdict {
        if reply.is_err() {
            self.not_renewed.insert(request.new_version.clone());
        }
        let lock = self.locks.entry(request.lock.clone()).or_default();
        // A handle that names another slot is stale.
        let current = lock
            .held_by(&request.version, now_us)
            .filter(|(slot, _)| key_means_slot(&request.lock, &request.mutex_key, *slot, &request.version));
        let retried = lock.held_by(&request.new_version, now_us);
        match (reply, current.clone().or(retried)) {
            (Err(_), None) => Ok(()),
            (Err(_), Some(_)) if current.is_none() => {
                broken("I6", "a renewal that was sent again is refused")
            }
            (Err(_), Some(_)) => broken("I3", "the holder's renewal is refused"),
            (Ok(_), None) => broken("I3", "a renewal by a version that does not hold succeeds"),
            (Ok(record), Some((number, slot))) => {
                if record.slot != number || record.fence != slot.token {
                    return broken("I2", "a renewal changed the slot or the token");
                }
                lease_is_right(now_us, request.lease_ms, record)?;
                self.tokens.entry(request.new_version.clone()).or_default().push(slot.token);
                let renewed = Slot {
                    version: request.new_version.clone(),
                    until_us: if self.scene.clockless { i64::MAX } else { record.expires_at_us },
                    lease_ends_us: record.expires_at_us,
                    ..slot
                };
                lock.slots.insert(number, renewed);
                Ok(())
            }
        }
    }

    fn released(&mut self, now_us: i64, request: &ReleaseRequest, reply: &Reply) -> Verdict {
        self.in_batch.remove(&request.version);
        let told = match reply {
            Reply::Released(released) => Some(*released),
            _ => None,
        };
        self.releases.insert((request.version.clone(), told));
        let lock = self.locks.entry(request.lock.clone()).or_default();
        let slot = lock.slots.iter().find(|(number, slot)| {
            slot.version == request.version
                && key_means_slot(&request.lock, &request.mutex_key, **number, &request.version)
        });
        let slot = slot.map(|(number, slot)| (*number, slot.clone()));
        match (reply, slot) {
            (Reply::Released(true), Some((number, slot))) => {
                if (request.delete || slot.delete) && !request.lock.is_semaphore() {
                    (lock.exists, lock.slots) = (false, BTreeMap::new());
                } else {
                    lock.slots.insert(number, Slot { until_us: 0, ..slot });
                }
                Ok(())
            }
            (Reply::Released(true), None) => broken("I3", "a version that is not the last one released"),
            (Reply::Released(false), Some((_, slot))) if slot.until_us > now_us => {
                broken("I3", "the holder's release is refused")
            }
            (Reply::Released(false), Some(_)) => broken("I6", "a release that was sent again is refused"),
            (Reply::Released(false), None) => Ok(()),
            (Reply::Refused(Refusal::NotFound), _) if !lock.exists => Ok(()),
            (other, _) => broken("I3", format!("a release was answered {other:?}")),
        }
    }

    fn abandoned(&mut self, now_us: i64, id: &LockId, version: &str) {
        let Some(lock) = self.locks.get_mut(id) else { return };
        lock.queue.retain(|waiter| waiter.version != version);
        let Some((number, slot)) = lock.held_by(version, now_us) else { return };
        if slot.delete && !id.is_semaphore() {
            (lock.exists, lock.slots) = (false, BTreeMap::new());
        } else {
            lock.slots.insert(number, Slot { until_us: 0, ..slot });
        }
    }

    fn written(&mut self, register: &RegisterId, token: u64, taken: bool) -> Verdict {
        let newest = self.registers.entry(register.clone()).or_default();
        match (taken, token >= *newest) {
            (true, true) => *newest = token,
            (false, false) => {}
            (true, false) => return broken("register", format!("took token {token} after {newest}")),
            (false, true) => return broken("register", format!("refused token {token} after {newest}")),
        }
        Ok(())
    }
}

impl Lock {
    fn may_be_granted(
        &self,
        request: &AcquireRequest,
        record: &LockRecord,
        now_us: i64,
        free: usize,
        ahead: usize,
    ) -> Verdict {
        if free == 0 || self.held(now_us).any(|(slot, _)| *slot == record.slot) {
            let holders: Vec<&str> = self.held(now_us).map(|(_, slot)| slot.version.as_str()).collect();
            return broken("I1", format!("granted though {holders:?} hold it"));
        }
        if record.fence <= self.last_token {
            return broken("I2", format!("token {} after token {}", record.fence, self.last_token));
        }
        if request.fair && ahead >= free {
            return broken("I4", format!("granted before {ahead} live waiters, with {free} free"));
        }
        Ok(())
    }

    fn grant(
        &mut self,
        request: &AcquireRequest,
        record: &LockRecord,
        now_us: i64,
        clockless: bool,
    ) -> Verdict {
        lease_is_right(now_us, request.lease_ms, record)?;
        self.queue.retain(|waiter| waiter.version != request.version);
        self.last_token = self.last_token.max(record.fence);
        let slot = Slot {
            version: record.version.clone(),
            until_us: if clockless { i64::MAX } else { record.expires_at_us },
            token: record.fence,
            delete: record.delete_on_release,
            owner: request.owner.clone(),
            lease_ends_us: record.expires_at_us,
        };
        self.slots.insert(record.slot, slot);
        Ok(())
    }

    fn wait(&mut self, version: &str, client: u32, now_us: i64) {
        let deadline_us = now_us + WAITER_TTL_MS * 1_000;
        // A place that was given up by its deadline is lost.
        self.queue.retain(|waiter| waiter.deadline_us > now_us);
        match self.queue.iter_mut().find(|waiter| waiter.version == version) {
            Some(waiter) => waiter.deadline_us = deadline_us,
            None => self.queue.push(Waiter { version: version.to_string(), client, deadline_us }),
        }
    }
}

/// A lease lasts as long as was asked for, by the server's clock.
fn lease_is_right(now_us: i64, lease_ms: i64, record: &LockRecord) -> Verdict {
    let right_us = now_us + lease_ms * 1_000;
    if record.expires_at_us == right_us {
        return Ok(());
    }
    broken("I5", format!("the lease ends {} us off its time", record.expires_at_us - right_us))
}

/// At no moment do more clients believe to hold a lock than may.
fn trust_overlaps(history: &[Event], sizes: &BTreeMap<u64, usize>) -> Verdict {
    let mut spans: BTreeMap<u64, (&LockId, u64, u64)> = BTreeMap::new();
    for event in history {
        match &event.fact {
            Fact::Trusts { hold, lock, .. } => {
                spans.insert(*hold, (lock, event.at_ms, u64::MAX));
            }
            Fact::Stops { hold, .. } => {
                if let Some(span) = spans.get_mut(hold) {
                    span.2 = event.at_ms;
                }
            }
            _ => {}
        }
    }
    for (hold, (lock, from, _)) in &spans {
        // Whoever believes so when another begins to.
        let at_once =
            spans.values().filter(|(other, begin, end)| other == lock && begin <= from && end > from).count();
        let size = sizes.get(hold).copied().unwrap_or(1);
        if at_once > size {
            return broken(
                "trust",
                format!("{at_once} believe to hold {lock} at {from} ms, when hold {hold} begins"),
            );
        }
    }
    Ok(())
}
