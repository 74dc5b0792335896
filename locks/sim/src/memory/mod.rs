//! A store in memory that obeys the rules R1 to R12 of the lock protocol, as a plain state machine: what time it is
//! and who asks are arguments, so that the same requests give the same answers.

mod admin;
mod op;
mod queue;
mod repository;

use std::collections::BTreeMap;

use db_locks_core::protocol::{TOMBSTONE_TTL_MS, key_means_slot};
use db_locks_core::{
    AcquireRequest, FencedValue, FencedWrite, LockId, LockRecord, RegisterId, ReleaseRequest, RenewRequest,
};

pub(crate) use op::{Op, Refusal, Reply};
pub(crate) use repository::{EPOCH_US, Wire};
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
    locks: BTreeMap<LockId, Lock>,
    /// When each process last showed life (R6).
    seen_us: BTreeMap<u32, i64>,
    registers: BTreeMap<RegisterId, FencedValue>,
    /// Counts requests, for defects that strike at times.
    applied: u64,
}

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
    pub(crate) fn new(defect: Defect) -> Self {
        Self { defect, ..Self::default() }
    }

    /// Answers one request at `now_us`.
    pub(crate) fn apply(&mut self, op: &Op, asker: Asker, now_us: i64) -> Reply {
        self.applied += 1;
        // A write that is answered and then lost.
        let torn = self.defect == Defect::ReplyBeforeCommit && self.applied.is_multiple_of(10);
        let before = torn.then(|| self.locks.clone());
        let reply = match op {
            Op::Acquire(request) => self.acquire(request, asker, now_us),
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
            Op::Write { register, token, value } => Reply::Written(self.write(register, *token, value)),
            Op::Read(register) => Reply::Register(self.registers.get(register).cloned()),
            admin => self.admin(admin, now_us),
        };
        if let Some(before) = before {
            self.locks = before;
        }
        reply
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
        if defect != Defect::RetriedAcquireIsNew
            && let Some(own) = lock.own_grant(request, now_us)
        {
            return Reply::Granted(own.lease(request, now_us, defect));
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
