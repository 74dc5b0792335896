//! What a holder does with its slot: renew it (R9), give it back (R10), abandon it.

use std::time::Instant;

use db_locks_core::protocol::key_means_slot;
use db_locks_core::{LockError, LockId, LockRecord, MutexLock, ReleaseRequest, RenewRequest};

use crate::error::Step;
use crate::queue;
use crate::session::Session;

/// Gives a held slot a new lease.
pub(crate) fn renew(session: &Session, ask: &RenewRequest, sent: Instant) -> Step<MutexLock> {
    let now_us = session.now_us()?;
    let mut held = held_by(session, &ask.lock, &ask.version, now_us)?;
    if held.is_none() && ask.new_version != ask.version {
        // An earlier try of this renewal went through.
        held = held_by(session, &ask.lock, &ask.new_version, now_us)?;
    }
    let meant = held.filter(|slot| key_means_slot(&ask.lock, &ask.mutex_key, slot.slot, &ask.version));
    let Some(mut slot) = meant else {
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

fn held_by(session: &Session, lock: &LockId, version: &str, now_us: i64) -> Step<Option<LockRecord>> {
    let row = session.slot_of(lock, version, now_us)?;
    Ok(row.map(|row| row.record).filter(LockRecord::is_held))
}

/// Gives a slot back.
pub(crate) fn release(session: &Session, ask: &ReleaseRequest) -> Step<bool> {
    let now_us = session.now_us()?;
    let Some(row) = session.slot_of(&ask.lock, &ask.version, now_us)? else {
        return if exists(session, &ask.lock, now_us)? { Ok(false) } else { Err(absent(&ask.lock).into()) };
    };
    if row.deleted {
        // An earlier try of this release deleted the mutex.
        return Ok(true);
    }
    if !key_means_slot(&ask.lock, &ask.mutex_key, row.record.slot, &ask.version) {
        return Ok(false);
    }
    free(session, &ask.lock, row.record, ask.delete, ask.data.clone())?;
    Ok(true)
}

/// Takes `version` out of the queue, and out of its slot.
pub(crate) fn abandon(session: &Session, lock: &LockId, version: &str) -> Step<()> {
    let now_us = session.now_us()?;
    queue::leave(session, lock, version)?;
    match held_by(session, lock, version, now_us)? {
        Some(slot) => free(session, lock, slot, false, None),
        None => Ok(()),
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
        session.purge_tombstones(slot.now_us)?;
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
