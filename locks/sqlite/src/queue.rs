//! Who waits for a lock, in which order (R4 to R6).

use std::collections::HashMap;

use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, WAITER_TTL_MS};
use db_locks_core::{LockError, LockId, Waiting};
use rusqlite::params;

use crate::error::Step;
use crate::session::Session;

/// Deadlines are written with this much to spare, in milliseconds, so that a waiter that asks every few milliseconds
/// writes only now and then. It is how much longer than [`CLIENT_TTL_MS`] a dead process may seem alive.
const CLIENT_SPARE_MS: i64 = 50;
/// The same for [`WAITER_TTL_MS`].
const WAITER_SPARE_MS: i64 = 1_000;

/// Where a caller stands.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Its number in the queue; none for a newcomer.
    pub(crate) seq: Option<i64>,
    /// Live waiters before it, counted as far as it matters.
    pub(crate) ahead: u64,
    /// When the first of them stops being live, unless it shows life again.
    pub(crate) first_gone_at_us: Option<i64>,
}

/// The columns that name a queue: a semaphore's has no `mutex_key`, a mutex's no `semaphore_key`.
fn queue(lock: &LockId) -> [&str; 3] {
    match lock.semaphore_key() {
        Some(key) => [lock.tenant(), key, ""],
        None => [lock.tenant(), "", lock.key()],
    }
}

/// Looks where `ticket` stands, counting to one more than `free` at least.
pub(crate) fn place(session: &Session, lock: &LockId, ticket: &str, free: u64, now_us: i64) -> Step<Place> {
    if !session.one(&session.sql.any_waiter, queue(lock), |row| row.get(0))?.unwrap_or(false) {
        return Ok(Place::default());
    }
    let [tenant, semaphore, mutex] = queue(lock);
    let found: Option<(i64, i64)> =
        session.one(&session.sql.waiter, [tenant, semaphore, mutex, ticket], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    // Whose deadline has passed has lost its place.
    let seq = found.filter(|(_, deadline_us)| *deadline_us > now_us).map(|(seq, _)| seq);
    let mut place = Place { seq, ..Place::default() };
    let before = seq.unwrap_or(i64::MAX);
    let mut clients = HashMap::new();
    session.each(&session.sql.waiters_before, params![tenant, semaphore, mutex, before], |row| {
        let until_us = row.get::<_, i64>(1)?.min(client_deadline(session, &mut clients, row.get(0)?)?);
        if until_us > now_us {
            place.ahead += 1;
            let first = place.first_gone_at_us.unwrap_or(until_us);
            place.first_gone_at_us = Some(first.min(until_us));
        }
        Ok(place.ahead <= free.max(MAX_POSITION))
    })?;
    Ok(place)
}

/// Until when a client counts as living. Many waiters share one, so it is looked up once.
fn client_deadline(
    session: &Session,
    known: &mut HashMap<String, i64>,
    client: String,
) -> rusqlite::Result<i64> {
    if let Some(deadline_us) = known.get(&client) {
        return Ok(*deadline_us);
    }
    let deadline_us = session.one(&session.sql.client, [&client], |row| row.get(0))?.unwrap_or(0);
    known.insert(client, deadline_us);
    Ok(deadline_us)
}

/// Enters the queue at its end, or stays in its place for another [`WAITER_TTL_MS`]; returns the number there.
pub(crate) fn enter(session: &Session, lock: &LockId, ticket: &str, place: &Place, now_us: i64) -> Step<i64> {
    let client = &session.settings.client_id;
    let needed_us = now_us + WAITER_TTL_MS * 1_000;
    let deadline_us = needed_us + WAITER_SPARE_MS * 1_000;
    let seq = match place.seq {
        Some(seq) => {
            session.run(&session.sql.keep_waiter, params![seq, client, deadline_us, needed_us])?;
            seq
        }
        None => {
            let [tenant, semaphore, mutex] = queue(lock);
            session.run(&session.sql.purge_queue, params![tenant, semaphore, mutex, now_us])?;
            let count = session.one(&session.sql.count_waiters, queue(lock), |row| row.get::<_, i64>(0))?;
            if usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX) >= MAX_WAITERS {
                return Err(LockError::in_use(format!("{lock}: {MAX_WAITERS} wait for it already")).into());
            }
            let params = params![tenant, semaphore, mutex, ticket, client, deadline_us];
            session.run(&session.sql.add_waiter, params)?;
            session.last_seq()
        }
    };
    show_life(session, now_us)?;
    Ok(seq)
}

/// Keeps the places of these waiters for another [`WAITER_TTL_MS`]; the tickets of those that have none.
pub(crate) fn keep(session: &Session, waiting: &[Waiting], now_us: i64) -> Step<Vec<String>> {
    let until_us = now_us + (WAITER_TTL_MS + WAITER_SPARE_MS) * 1_000;
    let mut lost = Vec::new();
    for Waiting { lock, versions } in waiting {
        let [tenant, semaphore, mutex] = queue(lock);
        for ticket in versions {
            let params = params![tenant, semaphore, mutex, ticket, until_us, now_us];
            if session.run(&session.sql.keep_place, params)? == 0 {
                lost.push(ticket.clone());
            }
        }
    }
    Ok(lost)
}

/// Takes `ticket` out of the queue.
pub(crate) fn leave(session: &Session, lock: &LockId, ticket: &str) -> Step<()> {
    let [tenant, semaphore, mutex] = queue(lock);
    session.run(&session.sql.remove_waiter, [tenant, semaphore, mutex, ticket])?;
    Ok(())
}

/// Shows that this process lives: one row for all of its waiters.
pub(crate) fn show_life(session: &Session, now_us: i64) -> Step<()> {
    let needed_us = now_us + CLIENT_TTL_MS * 1_000;
    let until_us = needed_us + CLIENT_SPARE_MS * 1_000;
    session.run(&session.sql.keep_client, params![session.settings.client_id, until_us, needed_us])?;
    Ok(())
}
