//! Creating, reading and deleting.

use db_locks_core::{LockId, LockRecord, MutexLock, Semaphore};

use super::{Lock, MemoryStore, Op, Refusal, Reply};
use crate::defect::Defect;

impl MemoryStore {
    pub(super) fn admin(&mut self, op: &Op, now_us: i64) -> Reply {
        let reply = match op {
            Op::CreateMutex(mutex) => self.create_mutex(mutex),
            Op::GetMutex(id) => self.living(id).map(|lock| Reply::Record(lock.slot(0, now_us))),
            Op::DeleteMutex(id, version) => self
                .delete(id, now_us, |lock| lock.slots.first().is_some_and(|slot| slot.version == *version)),
            Op::CreateSemaphore(semaphore) => self.create_semaphore(semaphore, now_us),
            Op::GetSemaphore(id) => {
                self.living(id).map(|lock| Reply::Semaphore(Box::new(lock.semaphore(id, now_us))))
            }
            Op::GetSlots(id) => self.living(id).map(|lock| {
                Reply::Slots((0..lock.slots.len()).map(|place| lock.slot(place, now_us)).collect())
            }),
            Op::DeleteSemaphore(id, version) => self.delete(id, now_us, |lock| lock.version == *version),
            _ => Ok(Reply::Done),
        };
        reply.unwrap_or_else(Reply::Refused)
    }

    fn living(&self, id: &LockId) -> Result<&Lock, Refusal> {
        self.locks.get(id).filter(|lock| lock.buried_until_us.is_none()).ok_or(Refusal::NotFound)
    }

    /// A new lock in the place of what was deleted there.
    fn renewed(&mut self, id: &LockId, mut lock: Lock) {
        if let Some(tombstone) = self.locks.remove(id) {
            (lock.fence, lock.queue) = (tombstone.fence, tombstone.queue);
        }
        self.locks.insert(id.clone(), lock);
    }

    fn create_mutex(&mut self, mutex: &MutexLock) -> Result<Reply, Refusal> {
        let id = mutex.lock_id().map_err(|_| Refusal::NotFound)?;
        if self.living(&id).is_ok() {
            return Ok(Reply::Count(0));
        }
        let mut lock = Lock::new(1, mutex.lease_duration_ms);
        for slot in &mut lock.slots {
            slot.version.clone_from(&mutex.version);
            slot.data.clone_from(&mutex.data);
            slot.delete_on_release = mutex.delete_on_release;
        }
        self.renewed(&id, lock);
        Ok(Reply::Count(1))
    }

    fn create_semaphore(&mut self, semaphore: &Semaphore, now_us: i64) -> Result<Reply, Refusal> {
        let id = semaphore.lock_id().map_err(|_| Refusal::NotFound)?;
        if self.living(&id).is_err() {
            self.renewed(&id, Lock::new(0, semaphore.lease_duration_ms));
        }
        let lock = self.locks.get_mut(&id).ok_or(Refusal::NotFound)?;
        let size = semaphore.max_size as usize;
        match self.defect {
            Defect::ResizingDoesNothing if !lock.slots.is_empty() => return Ok(Reply::Count(1)),
            Defect::ShrinkingIgnoresHolders => lock.slots.truncate(size),
            Defect::ResizingForgetsHolders => lock.slots.iter_mut().for_each(|slot| slot.expires_at_us = 0),
            _ => {}
        }
        if lock.slots.iter().skip(size).any(|slot| slot.expires_at_us > now_us) {
            return Err(Refusal::InUse);
        }
        lock.slots.truncate(size);
        for slot in lock.slots.len()..size {
            lock.slots.push(LockRecord::free(
                u32::try_from(slot).unwrap_or(0),
                semaphore.lease_duration_ms,
                now_us,
            ));
        }
        lock.version.clone_from(&semaphore.version);
        lock.lease_ms = semaphore.lease_duration_ms;
        lock.named_by_version = semaphore.fair_semaphore.unwrap_or(false);
        lock.ring = true;
        Ok(Reply::Count(1))
    }

    fn delete(
        &mut self,
        id: &LockId,
        now_us: i64,
        is_current: impl Fn(&Lock) -> bool,
    ) -> Result<Reply, Refusal> {
        let lock = self.locks.get_mut(id).filter(|lock| lock.buried_until_us.is_none());
        let lock = lock.filter(|lock| is_current(lock)).ok_or(Refusal::NotFound)?;
        if lock.free(now_us) < lock.slots.len() {
            return Err(Refusal::InUse);
        }
        lock.bury(now_us);
        Ok(Reply::Count(1))
    }
}

impl Lock {
    fn slot(&self, place: usize, now_us: i64) -> LockRecord {
        let slot = self.slots.get(place).cloned();
        let slot = slot.unwrap_or_else(|| LockRecord::free(0, self.lease_ms, now_us));
        LockRecord { now_us, ..slot }
    }

    fn semaphore(&self, id: &LockId, now_us: i64) -> Semaphore {
        Semaphore {
            semaphore_key: id.key().to_string(),
            tenant_id: id.tenant().to_string(),
            version: self.version.clone(),
            max_size: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            lease_duration_ms: self.lease_ms,
            busy_count: u32::try_from(self.slots.len() - self.free(now_us)).ok(),
            fair_semaphore: Some(self.named_by_version),
        }
    }
}
