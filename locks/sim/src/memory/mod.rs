//! A store in memory that obeys the rules R1 to R12 of the lock protocol, as a plain state machine: what time it is
//! and who asks are arguments, so that the same requests give the same answers.

mod admin;
mod batch;
mod op;
mod queue;
mod repository;
mod watch;

use std::collections::BTreeMap;

use db_locks_core::protocol::{TOMBSTONE_TTL_MS, key_means_slot};
use db_locks_core::{
    AcquireRequest, Busy, FencedValue, FencedWrite, LockId, LockRecord, RegisterId, ReleaseRequest,
    RenewRequest, Waiting,
};

pub(crate) use op::{Held, Op, Refusal, Reply, Revision};
pub(crate) use repository::{EPOCH_US, Told, Wire};
pub use repository::{MemoryRepository, SharedMemory};

use crate::defect::Defect;
use queue::Queue;

/// Which process asks, and what its clock shows beside the server's (for the defect that believes it).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) client: u32,
    pub(crate) skew_us: i64,
}

/// One database.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    pub(crate) defect: Defect,
    /// No lease ends by itself: whoever waits watches.
    pub(crate) clockless: bool,
    locks: BTreeMap<LockId, Lock>,
    /// When each process last showed life (R6).
    seen_us: BTreeMap<u32, i64>,
    registers: BTreeMap<RegisterId, FencedValue>,
    /// Counts requests, for defects that strike at times.
    applied: u64,
}

/// Added to the end of a lease that does not end by itself.
const FOREVER_US: i64 = 10_000_000_000_000_000;

/// One lock.
#[derive(Debug, Clone)]
struct Lock {
    slots: Vec<LockRecord>,
    fence: u64,
    queue: Queue,
    /// The semaphore's own version and fields; empty for a mutex.
    version: String,
    lease_ms: i64,
    named_by_version: bool,
    /// A tombstone until then (R11); none while it exists.
    buried_until_us: Option<i64>,
    /// Wakes, after this operation, those who may be next.
    ring: bool,
}

impl Lock {
    fn new(size: u32, lease_ms: i64) -> Self {
        let slots = (0..size).map(|slot| LockRecord::free(slot, lease_ms, 0)).collect();
        Self {
            slots,
            fence: 0,
            queue: Queue::default(),
            version: String::new(),
            lease_ms,
            named_by_version: false,
            buried_until_us: None,
            ring: false,
        }
    }

    fn free(&self, now_us: i64) -> usize {
        self.slots.iter().filter(|slot| slot.expires_at_us <= now_us).count()
    }

    /// Deletes it, but for its fence.
    fn bury(&mut self, now_us: i64) {
        let queue = std::mem::take(&mut self.queue);
        *self = Self {
            fence: self.fence,
            queue,
            buried_until_us: Some(now_us + TOMBSTONE_TTL_MS * 1_000),
            ..Self::new(0, self.lease_ms)
        };
    }
}

impl MemoryStore {
    pub(crate) fn new(defect: Defect, clockless: bool) -> Self {
        Self { defect, clockless, ..Self::default() }
    }

    /// Answers one request at `now_us`.
    pub(crate) fn apply(&mut self, op: &Op, asker: Asker, now_us: i64) -> Reply {
        self.applied += 1;
        // A write that is answered and then lost.
        let torn = self.defect == Defect::ReplyBeforeCommit && self.applied.is_multiple_of(10);
        let before = torn.then(|| self.locks.clone());
        let reply = match op {
            Op::Acquire(request) => self.acquire(request, asker, now_us),
            Op::Takeover(request, dead) => self.take_over(request, dead, asker, now_us),
            Op::Renew(requests) => {
                Reply::Renewed(requests.iter().map(|request| self.renew(request, now_us)).collect())
            }
            Op::Release(request) => self.release(request, now_us),
            Op::Abandon(lock, version) => self.abandon(lock, version, now_us),
            Op::Beat if self.defect == Defect::BeatsForgotten => Reply::Done,
            Op::Beat => {
                self.seen_us.insert(asker.client, now_us);
                Reply::Done
            }
            Op::Keep(waiting) => Reply::Lost(self.keep(waiting, asker, now_us)),
            Op::Write { register, token, value } => Reply::Written(self.write(register, *token, value)),
            Op::Read(register) => Reply::Register(self.registers.get(register).cloned()),
            Op::Together(ops) => self.together(ops, asker, now_us),
            admin => self.admin(admin, now_us),
        };
        if let Some(before) = before {
            self.locks = before;
        }
        if !self.clockless {
            return reply;
        }
        for slot in self.locks.values_mut().flat_map(|lock| &mut lock.slots) {
            if (1..FOREVER_US).contains(&slot.expires_at_us) {
                slot.expires_at_us += FOREVER_US;
            }
        }
        with_leases_as_asked(reply, now_us)
    }

    /// Takes a slot, also one of these holders' if they are as they were.
    fn take_over(
        &mut self,
        request: &AcquireRequest,
        dead: &[(u32, Revision)],
        asker: Asker,
        now_us: i64,
    ) -> Reply {
        let mut watched = Vec::new();
        let defect = self.defect;
        if let Some(lock) = self.locks.get_mut(&request.lock) {
            let own = |slot: &LockRecord| slot.version == request.version;
            for (place, slot) in lock.slots.iter_mut().enumerate().filter(|(_, slot)| !own(slot)) {
                let dead = dead.iter().find(|(number, _)| *number == slot.slot);
                let still = |(_, seen): &(u32, Revision)| {
                    *seen == revision(slot, defect) || defect == Defect::TakeoverWithoutLooking
                };
                if slot.expires_at_us > 0 && dead.is_some_and(still) {
                    watched.push((place, std::mem::take(&mut slot.expires_at_us)));
                }
            }
        }
        let reply = self.acquire(request, asker, now_us);
        let Some(lock) = self.locks.get_mut(&request.lock) else { return reply };
        for (place, until_us) in watched {
            // Whoever was not passed holds on.
            match lock.slots.get_mut(place) {
                Some(slot) if slot.expires_at_us == 0 => slot.expires_at_us = until_us,
                _ => {}
            }
        }
        let Reply::Busy(busy) = reply else { return reply };
        let held = lock.slots.iter().filter(|slot| slot.expires_at_us > 0);
        let held = held.map(|slot| Held {
            slot: slot.slot,
            revision: revision(slot, defect),
            lease_ms: slot.lease_ms,
        });
        Reply::Watch(Busy { retry_after_ms: None, ..busy }, held.collect())
    }

    /// The versions of the waiters that the last operation gave reason to wake.
    pub(crate) fn bells(&mut self, now_us: i64) -> Vec<(u32, String)> {
        let mut bells = Vec::new();
        for lock in self.locks.values_mut() {
            if std::mem::take(&mut lock.ring) {
                bells.extend(lock.queue.first_live(lock.free(now_us), &self.seen_us, now_us));
            }
        }
        bells
    }

    /// The server was killed and started again: all is as it was, unless a defect is planted.
    pub(crate) fn restart(&mut self) {
        for lock in self.locks.values_mut() {
            match self.defect {
                Defect::RestartForgetsLeases => lock.slots.iter_mut().for_each(|slot| slot.expires_at_us = 0),
                Defect::RestartForgetsTokens => lock.fence = 0,
                _ => {}
            }
        }
    }

    fn write(&mut self, register: &RegisterId, token: u64, value: &str) -> FencedWrite {
        let seen = self.registers.get(register).map_or(0, |kept| kept.token);
        if seen > token && self.defect != Defect::RegisterTakesAnyToken {
            return FencedWrite::Stale { seen };
        }
        self.registers.insert(register.clone(), FencedValue { token, value: value.to_string() });
        FencedWrite::Accepted
    }

    /// The lock, made if it may be.
    fn lock_for(&mut self, request: &AcquireRequest, now_us: i64) -> Option<&mut Lock> {
        let absent = self.locks.get(&request.lock).is_none_or(|lock| lock.buried_until_us.is_some());
        if absent {
            let size = match (request.lock.is_semaphore(), request.max_size) {
                _ if request.only_if_exists => return None,
                (true, size) => size? + u32::from(self.defect == Defect::SemaphoreHasOneMore),
                (false, _) => 1,
            };
            let mut lock = Lock::new(size, request.lease_ms);
            lock.version = request.version.clone();
            lock.named_by_version = request.named_by_version;
            if let Some(tombstone) = self.locks.remove(&request.lock) {
                let kept = tombstone.buried_until_us.is_some_and(|until_us| until_us > now_us);
                lock.fence =
                    if kept && self.defect != Defect::TokenResetAtDeletion { tombstone.fence } else { 0 };
                lock.queue = tombstone.queue;
            }
            self.locks.insert(request.lock.clone(), lock);
        }
        self.locks.get_mut(&request.lock)
    }

    fn acquire(&mut self, request: &AcquireRequest, asker: Asker, server_us: i64) -> Reply {
        let defect = self.defect;
        let now_us = server_us + if defect == Defect::ExpiryByClientClock { asker.skew_us } else { 0 };
        if self.lock_for(request, now_us).is_none() {
            return Reply::Refused(Refusal::NotFound);
        }
        let Some(lock) = self.locks.get_mut(&request.lock) else { return Reply::Refused(Refusal::NotFound) };
        if let Some(own) = lock.own_grant_or(request, now_us, defect) {
            let granted = own.lease(request, now_us, defect);
            lock.queue.leave(&request.version);
            return Reply::Granted(granted);
        }
        let free = lock.free(now_us);
        let ahead = match defect {
            Defect::QueueIgnored => 0,
            Defect::NewcomerPassesWaiter if !lock.queue.has(&request.version) => 0,
            Defect::LastComeFirstServed => lock.queue.behind(&request.version, &self.seen_us, server_us),
            Defect::DeadWaitersBlock => lock.queue.ahead_dead_or_alive(&request.version),
            _ => lock.queue.ahead(&request.version, &self.seen_us, server_us),
        };
        let turn = if request.fair { ahead < free } else { free > 0 };
        if turn && let Some(granted) = lock.grant(request, now_us, defect) {
            return Reply::Granted(granted);
        }
        if request.fair && request.wait {
            if defect == Defect::AskingAgainLosesPlace {
                lock.queue.leave(&request.version);
            }
            if !lock.queue.enter(&request.version, asker.client, server_us) {
                return Reply::Refused(Refusal::QueueFull);
            }
            self.seen_us.insert(asker.client, server_us);
        }
        Reply::Busy(lock.busy(&request.version, ahead, &self.seen_us, server_us))
    }

    /// Does each of these that can be done at once (see [`db_locks_core::combine`]).
    fn together(&mut self, ops: &[Op], asker: Asker, now_us: i64) -> Reply {
        let before = (self.defect == Defect::OneUndoesItsBatch).then(|| self.locks.clone());
        let replies: Vec<Option<Reply>> = ops.iter().map(|op| self.one_of_many(op, asker, now_us)).collect();
        if let Some(before) = before.filter(|_| replies.contains(&None)) {
            self.locks = before;
        }
        Reply::Together(replies)
    }

    fn one_of_many(&mut self, op: &Op, asker: Asker, now_us: i64) -> Option<Reply> {
        let defect = self.defect;
        match op {
            Op::Acquire(request) => {
                let lock = self.locks.get_mut(&request.lock).filter(|lock| lock.buried_until_us.is_none())?;
                let own = lock.own_grant(request, now_us).is_some() && defect != Defect::BatchedRetryIsNew;
                let waited_for = !lock.queue.is_empty() && defect != Defect::BatchPassesQueue;
                if !own && (waited_for || lock.free(now_us) == 0) {
                    return None;
                }
                if own {
                    return Some(self.acquire(request, asker, now_us));
                }
                lock.grant(request, now_us, defect).map(Reply::Granted)
            }
            Op::Renew(requests) => {
                let renewed = requests.iter().map(|request| self.renew(request, now_us)).collect::<Vec<_>>();
                renewed.iter().all(Result::is_ok).then_some(Reply::Renewed(renewed))
            }
            Op::Release(request) => {
                let lock = self.locks.get(&request.lock)?;
                let mut named = lock.slots.iter().filter(|slot| slot.version == request.version);
                let again = named.next().is_some_and(|slot| slot.expires_at_us == 0);
                if again && defect == Defect::BatchedReleaseRetryRefused {
                    return Some(Reply::Released(false));
                }
                Some(self.release(request, now_us)).filter(|reply| *reply == Reply::Released(true))
            }
            _ => None,
        }
    }

    fn renew(&mut self, request: &RenewRequest, now_us: i64) -> Result<LockRecord, Refusal> {
        let defect = self.defect;
        let lock = self.locks.get_mut(&request.lock).ok_or(Refusal::NotFound)?;
        let is_current = |slot: &&mut LockRecord| match defect {
            Defect::RenewalWithoutVersionTest => slot.expires_at_us > now_us,
            Defect::ExpiredLeaseRenewed => slot.version == request.version && slot.expires_at_us > 0,
            _ => slot.version == request.version && slot.expires_at_us > now_us,
        };
        let mut found =
            lock.slots.iter_mut().find(is_current).filter(|slot| {
                key_means_slot(&request.lock, &request.mutex_key, slot.slot, &request.version)
            });
        if found.is_none() && defect != Defect::RetriedRenewalRefused {
            let retried =
                |slot: &&mut LockRecord| slot.version == request.new_version && slot.expires_at_us > now_us;
            found = lock.slots.iter_mut().find(retried);
        }
        let slot = found.ok_or(Refusal::NotFound)?;
        slot.version.clone_from(&request.new_version);
        slot.lease_ms = request.lease_ms;
        slot.expires_at_us = now_us + whole_lease_us(request.lease_ms, defect);
        slot.now_us = now_us;
        if request.data.is_some() {
            slot.data.clone_from(&request.data);
        }
        Ok(slot.clone())
    }

    fn release(&mut self, request: &ReleaseRequest, now_us: i64) -> Reply {
        let defect = self.defect;
        let lock = self.locks.get_mut(&request.lock).filter(|lock| lock.buried_until_us.is_none());
        let Some(lock) = lock else { return Reply::Refused(Refusal::NotFound) };
        let means = |slot: &LockRecord| {
            key_means_slot(&request.lock, &request.mutex_key, slot.slot, &request.version)
        };
        let named = |slot: &LockRecord| match defect {
            Defect::ReleaseWithoutVersionTest => slot.expires_at_us > now_us,
            Defect::RetriedReleaseRefused => {
                slot.version == request.version && slot.expires_at_us > 0 && means(slot)
            }
            _ => slot.version == request.version && means(slot),
        };
        let Some(place) = lock.slots.iter().position(named) else { return Reply::Released(false) };
        let delete = request.delete || lock.slots[place].delete_on_release;
        if delete && !request.lock.is_semaphore() {
            lock.bury(now_us);
        } else {
            let slot = &mut lock.slots[place];
            slot.expires_at_us = 0;
            if delete {
                slot.data = None;
            }
            if request.data.is_some() {
                slot.data.clone_from(&request.data);
            }
        }
        lock.ring = true;
        Reply::Released(true)
    }

    fn keep(&mut self, waiting: &[Waiting], asker: Asker, now_us: i64) -> Vec<String> {
        let mut lost = Vec::new();
        match self.defect {
            Defect::KeepingPlacesDoesNothing => return lost,
            Defect::ForsakenPlacesAreKept => {
                self.locks.values_mut().for_each(|lock| lock.queue.keep_all(asker.client, now_us));
            }
            _ => {}
        }
        for Waiting { lock, versions } in waiting {
            let mut queue = self.locks.get_mut(lock).map(|lock| &mut lock.queue);
            let has_none =
                |version: &&String| !queue.as_mut().is_some_and(|queue| queue.keep(version, now_us));
            lost.extend(versions.iter().filter(has_none).cloned());
        }
        lost
    }

    fn abandon(&mut self, id: &LockId, version: &str, now_us: i64) -> Reply {
        let defect = self.defect;
        if let Some(lock) = self.locks.get_mut(id).filter(|_| defect != Defect::AbandonDoesNothing) {
            lock.queue.leave(version);
            lock.ring = true;
            let held = |slot: &&mut LockRecord| {
                (slot.version == version || defect == Defect::AbandonWithoutVersionTest)
                    && slot.expires_at_us > now_us
            };
            if let Some(slot) = lock.slots.iter_mut().find(held) {
                slot.expires_at_us = 0;
                if slot.delete_on_release && !id.is_semaphore() {
                    lock.bury(now_us);
                    lock.ring = true;
                }
            }
        }
        Reply::Done
    }
}

fn revision(slot: &LockRecord, defect: Defect) -> Revision {
    if defect == Defect::RenewalsAreNotSeen {
        return (String::new(), slot.fence, 0);
    }
    (slot.version.clone(), slot.fence, slot.expires_at_us)
}

/// What clients are told of leases that the store lets last for ever.
fn with_leases_as_asked(reply: Reply, now_us: i64) -> Reply {
    let as_asked = |record: LockRecord| match record.expires_at_us {
        0 => record,
        _ => LockRecord { expires_at_us: now_us + record.lease_ms * 1_000, now_us, ..record },
    };
    match reply {
        Reply::Granted(record) => Reply::Granted(as_asked(record)),
        Reply::Record(record) => Reply::Record(as_asked(record)),
        Reply::Renewed(records) => {
            Reply::Renewed(records.into_iter().map(|record| record.map(as_asked)).collect())
        }
        Reply::Together(replies) => {
            let each = |reply: Option<Reply>| reply.map(|reply| with_leases_as_asked(reply, now_us));
            Reply::Together(replies.into_iter().map(each).collect())
        }
        other => other,
    }
}

/// The lease in microseconds.
fn whole_lease_us(lease_ms: i64, defect: Defect) -> i64 {
    match defect {
        Defect::LeasesAreWholeSeconds => (lease_ms / 1_000).max(1) * 1_000_000,
        Defect::LeasesNeverEnd => lease_ms * 1_000 + 1_000_000_000_000,
        _ => lease_ms * 1_000,
    }
}

/// Grants within a lock.
trait Lease {
    fn lease(&mut self, request: &AcquireRequest, now_us: i64, defect: Defect) -> LockRecord;
}

impl Lease for LockRecord {
    /// A new lease for what is granted already, or is being granted.
    fn lease(&mut self, request: &AcquireRequest, now_us: i64, defect: Defect) -> LockRecord {
        self.lease_ms = request.lease_ms;
        self.expires_at_us = now_us + whole_lease_us(request.lease_ms, defect);
        self.now_us = now_us;
        if request.data.is_some() && (request.replace_data || self.data.is_none()) {
            self.data.clone_from(&request.data);
        }
        self.clone()
    }
}

impl Lock {
    /// The slot that this request holds already (R2), or may have again (R3).
    fn own_grant(&mut self, request: &AcquireRequest, now_us: i64) -> Option<&mut LockRecord> {
        let held = |slot: &LockRecord| slot.expires_at_us > now_us;
        let same = self.slots.iter().position(|slot| held(slot) && slot.version == request.version);
        let owner = || {
            let mine = |slot: &LockRecord| held(slot) && slot.owner.as_deref() == Some(&request.owner);
            self.slots.iter().position(mine).filter(|_| request.reentrant)
        };
        let place = same.or_else(owner)?;
        self.slots.get_mut(place)
    }

    /// What the planted defects make of [`Self::own_grant`].
    fn own_grant_or(
        &mut self,
        request: &AcquireRequest,
        now_us: i64,
        defect: Defect,
    ) -> Option<&mut LockRecord> {
        let held = |slot: &LockRecord| slot.expires_at_us > now_us;
        let handed_back = request.reentrant && !self.slots.iter().any(|slot| slot.version == request.version);
        match defect {
            Defect::RetriedAcquireIsNew => None,
            Defect::ReentrantIsRefused if handed_back => None,
            Defect::ReentrantGetsOthers if handed_back => self.slots.iter_mut().find(|slot| held(slot)),
            Defect::ReentrantGetsNewToken if handed_back => {
                let fence = self.fence + 1;
                let own = self.own_grant(request, now_us)?;
                own.fence = fence;
                Some(own)
            }
            _ => self.own_grant(request, now_us),
        }
    }

    /// The lowest free slot, under a new token.
    fn grant(&mut self, request: &AcquireRequest, now_us: i64, defect: Defect) -> Option<LockRecord> {
        let slot = self.slots.iter_mut().find(|slot| slot.expires_at_us <= now_us)?;
        let now = u64::try_from(now_us).unwrap_or(0);
        self.fence = match defect {
            Defect::TokensRepeat => now / 1_000_000,
            Defect::TokenResetAtDeletion | Defect::RestartForgetsTokens => self.fence + 1,
            _ => now.max(self.fence + 1),
        };
        slot.version.clone_from(&request.version);
        slot.fence = self.fence;
        slot.owner = Some(request.owner.clone());
        slot.delete_on_release = request.delete_on_release;
        slot.named_by_version = request.named_by_version;
        if defect != Defect::GrantKeepsTicket {
            self.queue.leave(&request.version);
        }
        Some(slot.lease(request, now_us, defect))
    }
}
