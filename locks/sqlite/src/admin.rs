//! Creating, reading and deleting mutexes and semaphores (R11).

use std::time::Instant;

use db_locks_core::{LockError, LockId, LockKind, LockRecord, MutexLock, Semaphore};
use rusqlite::params;

use crate::codec::{self, SemaphoreRow, SlotRow};
use crate::error::Step;
use crate::session::Session;

/// Creates a free mutex: 1, or 0 if there is one.
pub(crate) fn create_mutex(session: &Session, mutex: &MutexLock) -> Step<usize> {
    let lock = mutex.lock_id()?;
    expect(&lock, LockKind::Mutex)?;
    let now_us = session.now_us()?;
    let row = session.slot(&lock, 0, now_us)?;
    if row.as_ref().is_some_and(|row| !row.deleted) {
        return Ok(0);
    }
    let record = LockRecord {
        version: mutex.version.clone(),
        fence: row.map_or(0, |row| row.record.fence),
        data: mutex.data.clone(),
        delete_on_release: mutex.delete_on_release,
        ..LockRecord::free(0, mutex.lease_duration_ms, now_us)
    };
    session.store_slot(&lock, &record, 0)?;
    Ok(1)
}

/// Reads a mutex.
pub(crate) fn get_mutex(session: &Session, lock: &LockId, sent: Instant) -> Step<MutexLock> {
    expect(lock, LockKind::Mutex)?;
    Ok(existing_mutex(session, lock)?.into_lock(lock, sent))
}

/// Deletes a free mutex: its fence stays as a tombstone.
pub(crate) fn delete_mutex(session: &Session, lock: &LockId, version: &str) -> Step<usize> {
    expect(lock, LockKind::Mutex)?;
    let record = existing_mutex(session, lock)?;
    if record.version != version {
        return Err(other_version(lock).into());
    }
    if record.is_held() {
        return Err(LockError::in_use(format!("{lock} is held")).into());
    }
    let now_us = record.now_us;
    let tombstone = LockRecord { fence: record.fence, ..LockRecord::free(0, record.lease_ms, now_us) };
    session.store_slot(lock, &tombstone, now_us)?;
    session.note_tombstone(now_us)?;
    Ok(1)
}

/// Creates a semaphore, or gives an existing one this size, lease and version.
pub(crate) fn create_semaphore(session: &Session, semaphore: &Semaphore) -> Step<usize> {
    let lock = semaphore.lock_id()?;
    let now_us = session.now_us()?;
    let row = session.semaphore(&lock)?;
    let was_fair = row.as_ref().is_some_and(|row| row.fair && !row.deleted);
    if held_from(session, &lock, semaphore.max_size, now_us)? {
        let message = format!("{lock}: a slot numbered {} or above is held", semaphore.max_size);
        return Err(LockError::in_use(message).into());
    }
    let params = params![lock.tenant(), lock.key(), semaphore.max_size];
    session.run(&session.sql.drop_slots_from, params)?;
    let row = SemaphoreRow {
        version: semaphore.version.clone(),
        max_size: semaphore.max_size,
        lease_ms: semaphore.lease_duration_ms,
        fair: semaphore.fair_semaphore.unwrap_or(was_fair),
        fence: row.map_or(0, |row| row.fence),
        deleted: false,
    };
    session.store_semaphore(&lock, &row, now_us)?;
    Ok(1)
}

/// Reads a semaphore, and how many hold it.
pub(crate) fn get_semaphore(session: &Session, lock: &LockId) -> Step<Semaphore> {
    expect(lock, LockKind::Semaphore)?;
    let now_us = session.now_us()?;
    let row = existing_semaphore(session, lock)?;
    let params = params![lock.tenant(), lock.key(), now_us, "", ""];
    let held = session.one(&session.sql.tally, params, |row| row.get::<_, u32>(1))?;
    Ok(row.into_semaphore(lock.key(), lock.tenant(), held.unwrap_or(0)))
}

/// Every slot, those included that no row was needed for yet.
pub(crate) fn get_slots(session: &Session, lock: &LockId, sent: Instant) -> Step<Vec<MutexLock>> {
    expect(lock, LockKind::Semaphore)?;
    let now_us = session.now_us()?;
    let semaphore = existing_semaphore(session, lock)?;
    let key = [lock.tenant(), lock.key()];
    let rows: Vec<SlotRow> = session.all(&session.sql.slots, key, |row| codec::slot(row, now_us))?;
    let mut rows = rows.into_iter().map(|row| row.record).peekable();
    let slots = (0..semaphore.max_size).map(|slot| {
        let row = rows.next_if(|row| row.slot == slot);
        row.unwrap_or_else(|| LockRecord::free(slot, semaphore.lease_ms, now_us)).into_lock(lock, sent)
    });
    Ok(slots.collect())
}

/// Deletes a semaphore and its slots: its fence stays as a tombstone.
pub(crate) fn delete_semaphore(session: &Session, lock: &LockId, version: &str) -> Step<usize> {
    expect(lock, LockKind::Semaphore)?;
    let now_us = session.now_us()?;
    let row = existing_semaphore(session, lock)?;
    if row.version != version {
        return Err(other_version(lock).into());
    }
    if held_from(session, lock, 0, now_us)? {
        return Err(LockError::in_use(format!("{lock}: a slot is held")).into());
    }
    session.run(&session.sql.drop_slots_from, params![lock.tenant(), lock.key(), 0])?;
    session.store_semaphore(lock, &SemaphoreRow { deleted: true, ..row }, now_us)?;
    session.note_tombstone(now_us)?;
    Ok(1)
}

fn existing_mutex(session: &Session, lock: &LockId) -> Step<LockRecord> {
    let now_us = session.now_us()?;
    match session.slot(lock, 0, now_us)? {
        Some(row) if !row.deleted => Ok(row.record),
        _ => Err(absent(lock).into()),
    }
}

fn existing_semaphore(session: &Session, lock: &LockId) -> Step<SemaphoreRow> {
    match session.semaphore(lock)? {
        Some(row) if !row.deleted => Ok(row),
        _ => Err(absent(lock).into()),
    }
}

/// Whether a slot numbered `slot` or above is held.
fn held_from(session: &Session, lock: &LockId, slot: u32, now_us: i64) -> Step<bool> {
    let params = params![lock.tenant(), lock.key(), slot, now_us];
    let held = session.one(&session.sql.held_from, params, |row| row.get::<_, bool>(0))?;
    Ok(held.unwrap_or(false))
}

fn expect(lock: &LockId, kind: LockKind) -> Result<(), LockError> {
    if lock.kind() == kind {
        return Ok(());
    }
    Err(LockError::validation("key", format!("{lock} is not of the kind that was asked for")))
}

fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("{lock} does not exist"))
}

fn other_version(lock: &LockId) -> LockError {
    LockError::not_found(format!("{lock}: this is not its current version"))
}
