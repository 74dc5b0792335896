//! Grants (R2 to R8): the state of a lock is read, the rules are applied, what changes is written, all in one transaction.

use std::time::Instant;

use db_locks_core::models::new_version;
use db_locks_core::protocol::MAX_POSITION;
use db_locks_core::{AcquireRequest, Acquired, Busy, LockError, LockKind, LockRecord};
use rusqlite::params;

use crate::codec::SemaphoreRow;
use crate::error::Step;
use crate::queue::{self, Place};
use crate::session::Session;

/// A lock as one caller finds it.
struct View {
    /// The slot that is the caller's already (R2, R3).
    own: Option<LockRecord>,
    /// How many slots are free.
    free: u64,
    /// The lowest-numbered of them, with what was left in it (R7).
    vacant: Option<LockRecord>,
    /// The last token given.
    fence: u64,
    /// The semaphore's row, to be written with the grant.
    semaphore: Option<SemaphoreRow>,
    /// When the first lease ends and whose it is, if no slot is free.
    first_end: Option<(i64, Option<String>)>,
}

/// Takes a slot or a place in the queue. `sent` is when the caller asked.
pub(crate) fn acquire(session: &Session, ask: &AcquireRequest, sent: Instant) -> Step<Acquired> {
    let now_us = session.now_us()?;
    let mut view = match ask.lock.kind() {
        LockKind::Mutex => view_mutex(session, ask, now_us)?,
        LockKind::Semaphore => view_semaphore(session, ask, now_us)?,
    };
    if let Some(slot) = view.own.take() {
        return regrant(session, ask, slot, sent);
    }
    let place = match ask.fair {
        true => queue::place(session, &ask.lock, &ask.version, view.free, now_us)?,
        false => Place::default(),
    };
    match view.vacant.take() {
        Some(slot) if place.ahead < view.free => grant(session, ask, view, slot, &place, sent),
        _ => refuse(session, ask, view, &place, now_us),
    }
}

fn view_mutex(session: &Session, ask: &AcquireRequest, now_us: i64) -> Step<View> {
    let row = session.slot(&ask.lock, 0, now_us)?;
    let fence = row.as_ref().map_or(0, |row| row.record.fence);
    let record = match row {
        Some(row) if !row.deleted => row.record,
        _ if ask.only_if_exists => return Err(absent(ask).into()),
        _ => LockRecord::free(0, ask.lease_ms, now_us),
    };
    let mut view = View { own: None, free: 0, vacant: None, fence, semaphore: None, first_end: None };
    if !record.is_held() {
        view.free = 1;
        view.vacant = Some(record);
    } else if record.version == ask.version || (ask.reentrant && record.owner.as_ref() == Some(&ask.owner)) {
        view.own = Some(record);
    } else {
        view.first_end = Some((record.expires_at_us, record.owner));
    }
    Ok(view)
}

fn view_semaphore(session: &Session, ask: &AcquireRequest, now_us: i64) -> Step<View> {
    let semaphore = existing_or_new(session, ask)?;
    let tally = tally(session, ask, now_us)?;
    let free = semaphore.max_size.saturating_sub(tally.held);
    // Rows are made as they are needed, without gaps.
    let next_row = Some(tally.rows).filter(|rows| *rows < semaphore.max_size);
    let vacant = tally.lowest_free.or(next_row).filter(|_| free > 0);
    let mut view = View {
        own: None,
        free: u64::from(free),
        vacant: None,
        fence: semaphore.fence,
        semaphore: Some(semaphore),
        first_end: None,
    };
    if let Some(slot) = tally.own {
        view.own = session.slot(&ask.lock, slot, now_us)?.map(|row| row.record);
    } else if let Some(slot) = vacant {
        let row = session.slot(&ask.lock, slot, now_us)?;
        view.vacant =
            Some(row.map_or_else(|| LockRecord::free(slot, ask.lease_ms, now_us), |row| row.record));
    } else {
        let params = params![ask.lock.tenant(), ask.lock.key(), now_us];
        view.first_end =
            session.one(&session.sql.first_to_end, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    }
    Ok(view)
}

/// The slots of a semaphore, in one pass over them.
#[derive(Default)]
struct Tally {
    rows: u32,
    held: u32,
    lowest_free: Option<u32>,
    /// Held by this very acquisition, or with `reentrant` by its owner.
    own: Option<u32>,
}

fn tally(session: &Session, ask: &AcquireRequest, now_us: i64) -> Step<Tally> {
    let owner = ask.reentrant.then_some(&ask.owner);
    let params = params![ask.lock.tenant(), ask.lock.key(), now_us, ask.version, owner];
    let tally = session.one(&session.sql.tally, params, |row| {
        let own: Option<u32> = row.get(3)?;
        let owners: Option<u32> = row.get(4)?;
        Ok(Tally { rows: row.get(0)?, held: row.get(1)?, lowest_free: row.get(2)?, own: own.or(owners) })
    })?;
    Ok(tally.unwrap_or_default())
}

/// The semaphore, or the one that a grant would create.
fn existing_or_new(session: &Session, ask: &AcquireRequest) -> Step<SemaphoreRow> {
    let row = session.semaphore(&ask.lock)?;
    let fence = row.as_ref().map_or(0, |row| row.fence);
    match (row, ask.max_size) {
        (Some(row), _) if !row.deleted => Ok(row),
        (_, Some(max_size)) if !ask.only_if_exists => Ok(SemaphoreRow {
            version: new_version(),
            max_size,
            lease_ms: ask.lease_ms,
            fair: ask.named_by_version,
            fence,
            deleted: false,
        }),
        _ => Err(absent(ask).into()),
    }
}

/// The same slot, version and token again, for a new lease.
fn regrant(session: &Session, ask: &AcquireRequest, mut slot: LockRecord, sent: Instant) -> Step<Acquired> {
    slot.lease_ms = ask.lease_ms;
    slot.expires_at_us = slot.now_us + ask.lease_ms * 1_000;
    session.store_slot(&ask.lock, &slot, 0)?;
    queue::leave(session, &ask.lock, &ask.version)?;
    Ok(Acquired::Granted(slot.into_lock(&ask.lock, sent)))
}

fn grant(
    session: &Session,
    ask: &AcquireRequest,
    view: View,
    mut slot: LockRecord,
    place: &Place,
    sent: Instant,
) -> Step<Acquired> {
    let now_us = slot.now_us;
    let fence = (view.fence + 1).max(u64::try_from(now_us).unwrap_or(0));
    if let Some(mut semaphore) = view.semaphore {
        semaphore.fence = fence;
        session.store_semaphore(&ask.lock, &semaphore, now_us)?;
    }
    // A mutex may have been created to go away at its first release.
    slot.delete_on_release = ask.delete_on_release || (slot.delete_on_release && slot.owner.is_none());
    slot.version = ask.version.clone();
    slot.fence = fence;
    slot.lease_ms = ask.lease_ms;
    slot.expires_at_us = now_us + ask.lease_ms * 1_000;
    slot.owner = Some(ask.owner.clone());
    slot.named_by_version = ask.named_by_version;
    if ask.data.is_some() && (ask.replace_data || slot.data.is_none()) {
        slot.data.clone_from(&ask.data);
    }
    session.store_slot(&ask.lock, &slot, 0)?;
    if place.seq.is_some() {
        queue::leave(session, &ask.lock, &ask.version)?;
    }
    Ok(Acquired::Granted(slot.into_lock(&ask.lock, sent)))
}

fn refuse(session: &Session, ask: &AcquireRequest, view: View, place: &Place, now_us: i64) -> Step<Acquired> {
    let queued = match ask.fair && ask.wait {
        true => Some(queue::enter(session, &ask.lock, &ask.version, place, now_us)?),
        false => place.seq,
    };
    let (lease_end_us, holder) = view.first_end.map_or((None, None), |(end, owner)| (Some(end), owner));
    // Free slots are for those ahead; if they are dead, it is our turn when that shows.
    let change_us = if view.free > 0 { place.first_gone_at_us } else { lease_end_us };
    Ok(Acquired::Busy(Busy {
        position: place.ahead.min(MAX_POSITION),
        queue_number: queued.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0),
        retry_after_ms: change_us.map(|at_us| ((at_us - now_us).max(1) + 999) / 1_000),
        holder,
    }))
}

fn absent(ask: &AcquireRequest) -> LockError {
    LockError::not_found(format!("{} does not exist", ask.lock))
}
