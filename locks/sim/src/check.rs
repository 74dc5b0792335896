//! Holds a history to the invariants. It believes no store: it keeps its own account of who holds what and who waits,
//! made of the requests and of what was answered.

use std::collections::BTreeMap;
use std::fmt;

use db_locks_core::protocol::{CLIENT_TTL_MS, WAITER_TTL_MS, key_means_slot};
use db_locks_core::{AcquireRequest, LockId, LockRecord, RegisterId, ReleaseRequest, RenewRequest};

use crate::history::{Event, Fact};
use crate::memory::{Op, Refusal, Reply};

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
pub(crate) fn check(history: &[Event]) -> Option<Violation> {
    let mut account = Account::default();
    for event in history {
        if let Err(Violation { invariant, seen }) = account.take(event) {
            return Some(Violation::new(invariant, format!("{seen}\n  at: {event}")));
        }
    }
    // When the server's clock steps forward, leases end before their time, and clients cannot know.
    let jumped = |event: &Event| matches!(&event.fact, Fact::Server { what, .. } if what.contains("clock"));
    if history.iter().any(jumped) { None } else { trust_overlaps(history, &account.sizes).err() }
}

#[derive(Default)]
struct Account {
    locks: BTreeMap<LockId, Lock>,
    sizes: BTreeMap<LockId, usize>,
    /// When each process last showed life.
    seen_us: BTreeMap<u32, i64>,
    /// The tokens of each version: one, unless its lease ended and a late copy of its request got it anew.
    tokens: BTreeMap<String, Vec<u64>>,
    registers: BTreeMap<RegisterId, u64>,
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
            Fact::Trusts { version, token, .. } => match self.tokens.get(version) {
                Some(given) if given.contains(token) => Ok(()),
                given => broken("I2", format!("a client has token {token}, the store gave {given:?}")),
            },
            _ => Ok(()),
        }
    }

    fn applied(&mut self, client: u32, now_us: i64, op: &Op, reply: &Reply) -> Verdict {
        match (op, reply) {
            (Op::Acquire(request), reply) => self.acquired(client, now_us, request, reply),
            (Op::Renew(requests), Reply::Renewed(replies)) => requests
                .iter()
                .zip(replies)
                .try_for_each(|(request, reply)| self.renewed(now_us, request, reply)),
            (Op::Release(request), reply) => self.released(now_us, request, reply),
            (Op::Abandon(lock, version), _) => {
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
        self.sizes.entry(request.lock.clone()).or_insert(size);
        let lock = self.locks.entry(request.lock.clone()).or_default();
        if !lock.exists {
            (lock.exists, lock.size) = (true, size);
        }
        let own = lock.held_by(&request.version, now_us);
        let free = lock.size.saturating_sub(lock.held(now_us).count());
        let ahead = lock.ahead(&request.version, &self.seen_us, now_us);
        match reply {
            Reply::Granted(record) => {
                if record.version != request.version {
                    return broken(
                        "I3",
                        format!("{} was given the version {}", request.version, record.version),
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
                    None => lock.may_be_granted(request, record, now_us, free, ahead)?,
                }
                lock.grant(request, record, now_us)?;
                self.tokens.entry(record.version.clone()).or_default().push(record.fence);
                Ok(())
            }
            Reply::Busy(_) => {
                let turn = if request.fair { ahead < free } else { free > 0 };
                if own.is_some() {
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

    fn renewed(
        &mut self,
        now_us: i64,
        request: &RenewRequest,
        reply: &Result<LockRecord, Refusal>,
    ) -> Verdict {
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
                let renewed =
                    Slot { version: request.new_version.clone(), until_us: record.expires_at_us, ..slot };
                lock.slots.insert(number, renewed);
                Ok(())
            }
        }
    }

    fn released(&mut self, now_us: i64, request: &ReleaseRequest, reply: &Reply) -> Verdict {
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

    fn grant(&mut self, request: &AcquireRequest, record: &LockRecord, now_us: i64) -> Verdict {
        lease_is_right(now_us, request.lease_ms, record)?;
        self.queue.retain(|waiter| waiter.version != request.version);
        self.last_token = self.last_token.max(record.fence);
        let slot = Slot {
            version: record.version.clone(),
            until_us: record.expires_at_us,
            token: record.fence,
            delete: record.delete_on_release,
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
fn trust_overlaps(history: &[Event], sizes: &BTreeMap<LockId, usize>) -> Verdict {
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
        let size = sizes.get(lock).copied().unwrap_or(1);
        if at_once > size {
            return broken(
                "trust",
                format!("{at_once} believe to hold {lock} at {from} ms, when hold {hold} begins"),
            );
        }
    }
    Ok(())
}
