//! Creating, reading and deleting semaphores.

use std::time::Instant;

use async_trait::async_trait;
use db_locks_core::{LockError, LockId, LockRecord, LockResult, MutexLock, Semaphore, SemaphoreRepository};

use crate::codec::{self, Outcome, outcome, record};
use crate::pool::Param;
use crate::repository::{PostgresRepository, absent, deleted, signed};

#[async_trait]
impl SemaphoreRepository for PostgresRepository {
    async fn create_semaphore(&self, semaphore: &Semaphore) -> LockResult<usize> {
        let id = semaphore.lock_id()?;
        let max_size = signed(semaphore.max_size);
        let (tenant, key) = (id.tenant(), id.key());
        let Semaphore { version, lease_duration_ms, fair_semaphore, .. } = semaphore;
        let params: [Param<'_>; 6] = [&tenant, &key, version, &max_size, lease_duration_ms, fair_semaphore];
        match outcome(&self.row("create the semaphore", &self.statements.put_semaphore, &params).await?)? {
            Outcome::Done => Ok(1),
            _ => Err(LockError::in_use(format!(
                "{id} cannot shrink to {max_size}: a slot numbered {max_size} or above is held"
            ))),
        }
    }

    async fn get_semaphore(&self, lock: &LockId) -> LockResult<Semaphore> {
        let params: [Param<'_>; 2] = [&lock.tenant(), &lock.key()];
        let rows = self.rows("read the semaphore", &self.statements.get_semaphore, &params).await?;
        let row = rows.first().ok_or_else(|| absent(lock))?;
        codec::semaphore(row, lock.tenant(), lock.key())
    }

    async fn get_semaphore_mutexes(&self, lock: &LockId) -> LockResult<Vec<MutexLock>> {
        let sent = Instant::now();
        let params: [Param<'_>; 2] = [&lock.tenant(), &lock.key()];
        let rows = self.rows("read the slots", &self.statements.get_slots, &params).await?;
        let first = rows.first().ok_or_else(|| absent(lock))?;
        let (max_size, lease_ms, now_us) =
            (codec::number(first, 0)?, codec::read(first, 1)?, codec::read(first, 2)?);
        let mut slots: Vec<MutexLock> = Vec::with_capacity(max_size as usize);
        for row in &rows {
            // A semaphore none of whose slots was ever granted comes as one row without a slot.
            if codec::read::<Option<i32>>(row, 3)?.is_some() {
                slots.push(record(row, 3)?.into_lock(lock, sent));
            }
        }
        // Slots get their rows in order, so what has none yet comes after those that have.
        let next = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        slots.extend(
            (next..max_size).map(|slot| LockRecord::free(slot, lease_ms, now_us).into_lock(lock, sent)),
        );
        Ok(slots)
    }

    async fn delete_semaphore(&self, lock: &LockId, version: &str) -> LockResult<usize> {
        let params: [Param<'_>; 3] = [&lock.tenant(), &lock.key(), &version];
        let row = self.row("delete the semaphore", &self.statements.delete_semaphore, &params).await?;
        deleted(lock, version, &row)
    }
}
