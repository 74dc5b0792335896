//! What a holder does with its slot: renew it (R9), give it back (R10), abandon it.

use std::time::Instant;

use db_locks_core::{LockError, LockId, LockRecord, MutexLock, ReleaseRequest, RenewRequest};

use crate::error::Step;
use crate::queue;
use crate::session::Session;

/// Gives a held slot a new lease.
pub(crate) fn renew(session: &Session, ask: &RenewRequest, sent: Instant) -> Step<MutexLock> {
    let now_us = session.now_us()?;
    let by = |version: &str| -> Step<Option<LockRecord>> {
        let row = session.slot_meant(&ask.lock, &ask.mutex_key, version, now_us)?;
        Ok(row.map(|row| row.record).filter(LockRecord::is_held))
    };
    let mut held = by(&ask.version)?;
    if held.is_none() && ask.new_version != ask.version {
        // An earlier try of this renewal went through.
        held = by(&ask.new_version)?;
    }
    let Some(mut slot) = held else {
        let message = format!("{}: this version does not hold it: released, or its lease is over", ask.lock);
        return Err(LockError::not_found(message).into());
    };
    slot.version.clone_from(&ask.new_version);
    slot.lease_ms = ask.lease_ms;
    slot.expires_at_us = now_us + ask.lease_ms * 1_000;
    if ask.data.is_some() {
        slot.data.clone_from(&ask.data);
    }
    session.store_slot(&ask.lock, &slot, 0)?;
    Ok(slot.into_lock(&ask.lock, sent))
}

/// Gives a slot back.
pub(crate) fn release(session: &Session, ask: &ReleaseRequest) -> Step<bool> {
    let now_us = session.now_us()?;
    let Some(row) = session.slot_meant(&ask.lock, &ask.mutex_key, &ask.version, now_us)? else {
        return if exists(session, &ask.lock, now_us)? { Ok(false) } else { Err(absent(&ask.lock).into()) };
    };
    if row.deleted {
        // An earlier try of this release deleted the mutex.
        return Ok(true);
    }
    free(session, &ask.lock, row.record, ask.delete, ask.data.clone())?;
    Ok(true)
}

/// Takes `version` out of the queue, and out of its slot.
pub(crate) fn abandon(session: &Session, lock: &LockId, version: &str) -> Step<()> {
    let now_us = session.now_us()?;
    queue::leave(session, lock, version)?;
    match session.slot_of(lock, version, now_us)? {
        Some(row) if row.record.is_held() => free(session, lock, row.record, false, None),
        _ => Ok(()),
    }
}

/// Frees a slot; deletes a mutex, or empties a slot, if that was asked for now or at the grant.
fn free(session: &Session, lock: &LockId, slot: LockRecord, delete: bool, data: Option<String>) -> Step<()> {
    let mut slot = slot;
    let delete = delete || slot.delete_on_release;
    let tombstone = delete && !lock.is_semaphore();
    slot.expires_at_us = 0;
    slot.delete_on_release = false;
    slot.data = if delete { None } else { data.or(slot.data) };
    if tombstone {
        slot.owner = None;
    }
    session.store_slot(lock, &slot, if tombstone { slot.now_us } else { 0 })?;
    if tombstone {
        session.note_tombstone(slot.now_us)?;
    }
    Ok(())
}

fn exists(session: &Session, lock: &LockId, now_us: i64) -> Step<bool> {
    Ok(match lock.is_semaphore() {
        true => session.semaphore(lock)?.is_some_and(|row| !row.deleted),
        false => session.slot(lock, 0, now_us)?.is_some_and(|row| !row.deleted),
    })
}

fn absent(lock: &LockId) -> LockError {
    LockError::not_found(format!("{lock} does not exist"))
}
