//! Creating, reading, resizing and deleting.

use db_locks_core::{LockError, LockId, LockRecord, LockResult, MutexLock, Semaphore};

use crate::acquire::pause_after;
use crate::codec::{Item, wall_us};
use crate::observe::Sight;
use crate::repository::{Answer, DynamoRepository};
use crate::{rules, statements};

/// Tries that may lose a race.
const TRIES: u32 = 8;
/// Slots of dead holders that a resize or a deletion can name in its condition.
const DEAD_AT_ONCE: usize = 32;

impl DynamoRepository {
    pub(crate) async fn create_free_mutex(&self, mutex: &MutexLock) -> LockResult<usize> {
        let lock = mutex.lock_id()?;
        let nonce = uuid::Uuid::new_v4().to_string();
        match self.update(&lock, statements::create_mutex(mutex, &nonce)).await? {
            Answer::Done(..) => Ok(1),
            Answer::Refused(item) => {
                // Created by this very call, whose reply was lost?
                let by_us = item.slots.get(&0).is_some_and(|slot| slot.nonce.as_ref() == Some(&nonce));
                Ok(usize::from(by_us))
            }
        }
    }

    pub(crate) async fn read_mutex(&self, lock: &LockId) -> LockResult<MutexLock> {
        let (item, sent) = self.read(lock).await?;
        let sight = self.look(lock, &item);
        let slot = item.slots.get(&0).ok_or_else(|| absent(lock))?;
        Ok(slot.lock(lock, 0, sight.left(0), sent))
    }

    pub(crate) async fn delete_free_mutex(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let mark = uuid::Uuid::new_v4().to_string();
        let mut dead = None;
        for lost in 0..TRIES {
            pause_after(lost).await;
            let item = match self.update(lock, statements::delete_mutex(version, dead, &mark)).await? {
                Answer::Done(..) => {
                    self.seen.released(lock, 0);
                    return Ok(1);
                }
                Answer::Refused(item) => item,
            };
            let sight = self.look(lock, &item);
            match item.slots.get(&0) {
                None if item.mark.as_ref() == Some(&mark) => return Ok(1),
                None => return Err(absent(lock)),
                Some(slot) if slot.version != version => return Err(other_version(lock)),
                Some(slot) if !sight.left(0).is_zero() => return Err(held(lock, slot.owner.as_deref())),
                Some(slot) => dead = slot.held.then(|| slot.revision()),
            }
        }
        Err(self.too_busy(lock))
    }

    pub(crate) async fn create_or_resize(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let lock = semaphore.lock_id()?;
        let mut update = statements::create_or_grow(semaphore);
        let mut leftover = Vec::new();
        for lost in 0..TRIES {
            pause_after(lost).await;
            let item = match self.update(&lock, update).await? {
                Answer::Done(item, _) => {
                    self.look(&lock, &item);
                    self.forget_slots(&lock, semaphore, &leftover).await;
                    return Ok(1);
                }
                Answer::Refused(item) => item,
            };
            let sight = self.look(&lock, &item);
            if item.size.is_none_or(|size| size <= semaphore.max_size) {
                update = statements::create_or_grow(semaphore);
                continue;
            }
            let (living, dead) = rules::held_above(&item, &sight, semaphore.max_size);
            if living > 0 || dead.len() > DEAD_AT_ONCE {
                let words = format!("{living} of the slots to be dropped from the {lock} are held");
                return Err(LockError::in_use(words));
            }
            let mut dropped: Vec<u32> =
                item.slots.range(semaphore.max_size..).map(|(slot, _)| *slot).collect();
            leftover = dropped.split_off(dropped.len().min(statements::DROP_AT_ONCE - dead.len()));
            update = statements::shrink(semaphore, &item, &dead, &dropped);
        }
        Err(self.too_busy(&lock))
    }

    /// Slots above the size count for nothing, so whether this works matters only to the item's size.
    async fn forget_slots(&self, lock: &LockId, semaphore: &Semaphore, slots: &[u32]) {
        for slots in slots.chunks(statements::DROP_AT_ONCE) {
            if let Err(error) = self.update(lock, statements::forget_slots(semaphore, slots)).await {
                tracing::debug!(%lock, error = %error.chain(), "left dropped slots in the item");
                return;
            }
        }
    }

    pub(crate) async fn read_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        let (item, sight) = self.existing(lock).await?;
        let busy = item.slots_of(lock).filter(|(slot, _)| !sight.left(*slot).is_zero()).count();
        Ok(item.semaphore(lock, u32::try_from(busy).unwrap_or(u32::MAX)))
    }

    async fn existing(&self, lock: &LockId) -> LockResult<(Item, Sight)> {
        let (item, _) = self.read(lock).await?;
        let sight = self.look(lock, &item);
        if item.exists(lock) { Ok((item, sight)) } else { Err(absent(lock)) }
    }

    pub(crate) async fn read_slots(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let (item, sent) = self.read(lock).await?;
        let sight = self.look(lock, &item);
        let size = item.size.ok_or_else(|| absent(lock))?;
        let slot = |number: u32| match item.slots.get(&number) {
            Some(slot) => slot.lock(lock, number, sight.left(number), sent),
            None => LockRecord::free(number, item.lease_ms, wall_us()).into_lock(lock, sent),
        };
        Ok((0..size).map(slot).collect())
    }

    pub(crate) async fn delete_free_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let mark = uuid::Uuid::new_v4().to_string();
        let (mut item, _) = self.read(lock).await?;
        for lost in 0..TRIES {
            pause_after(lost).await;
            let sight = self.look(lock, &item);
            if !item.exists(lock) {
                return if item.mark.as_ref() == Some(&mark) { Ok(1) } else { Err(absent(lock)) };
            }
            if item.version != version {
                return Err(other_version(lock));
            }
            let (living, dead) = rules::held_above(&item, &sight, 0);
            if living > 0 || dead.len() > DEAD_AT_ONCE {
                return Err(held(lock, None));
            }
            match self.bury(lock, statements::bury_semaphore(lock, &item, version, &dead, &mark)).await? {
                Answer::Done(..) => return Ok(1),
                Answer::Refused(current) => item = current,
            }
        }
        Err(self.too_busy(lock))
    }
}

fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("there is no {lock}"))
}

fn other_version(lock: &LockId) -> LockError {
    LockError::not_found(format!("the {lock} has another version"))
}

fn held(lock: &LockId, owner: Option<&str>) -> LockError {
    match owner.filter(|owner| !owner.is_empty()) {
        Some(owner) => LockError::in_use(format!("the {lock} is held by {owner}")),
        None => LockError::in_use(format!("the {lock} is held")),
    }
}
