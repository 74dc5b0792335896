//! Rows to records. Numbers come as numbers from prepared statements, and as digits from a batch: both are read.

use std::time::Instant;

use db_locks_core::protocol::{MAX_POSITION, MAX_WAITERS};
use db_locks_core::{
    AcquireRequest, Acquired, Busy, LockError, LockId, LockRecord, LockResult, MutexLock, Semaphore,
};
use mysql_async::prelude::FromValue;
use mysql_async::{Row, Value, from_value_opt};

/// A slot as [`record`] reads it.
pub(crate) const SLOT_COLUMNS: &str = "m.slot, m.version, m.fence, m.data, m.delete_on_release, m.named_by_version, \
    CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) AS now_us, m.expires_at_us, m.lease_duration_ms, m.owner";

/// Reads the answer to an acquire that was sent at `sent`.
///
/// # Errors
/// `NotFound` when there is no such lock, and it is not to be created; `CurrentlyUnavailable` when its queue is full.
pub(crate) fn taken(mut rows: Vec<Row>, ask: &AcquireRequest, sent: Instant) -> LockResult<Acquired> {
    let lock = &ask.lock;
    let mut row = rows.pop().ok_or_else(|| malformed("no row", 0))?;
    let record = match (row.len(), column::<u64>(&mut row, 0)?) {
        (1, fence) => granted_anew(ask, fence),
        (_, 1) => granted(ask, &mut row)?,
        (_, 2) => return Err(LockError::not_found(format!("{lock} does not exist"))),
        (_, 3) => return Err(LockError::in_use(format!("{lock}: {MAX_WAITERS} wait for it already"))),
        _ => return Ok(Acquired::Busy(busy(&mut row)?)),
    };
    Ok(Acquired::Granted(record.into_lock(lock, sent)))
}

/// Reads what the procedure that takes a slot at once or not at all answers: none, not taken.
pub(crate) fn slot_taken(
    mut rows: Vec<Row>,
    ask: &AcquireRequest,
    sent: Instant,
) -> LockResult<Option<Acquired>> {
    let mut row = rows.pop().ok_or_else(|| malformed("no row", 0))?;
    if column::<u64>(&mut row, 0)? != 1 {
        return Ok(None);
    }
    Ok(Some(Acquired::Granted(granted(ask, &mut row)?.into_lock(&ask.lock, sent))))
}

/// The usual grant of a mutex, of which only the token need be said: it is the time when the lease began.
pub(crate) fn granted_anew(ask: &AcquireRequest, fence: u64) -> LockRecord {
    let now_us = i64::try_from(fence).unwrap_or(i64::MAX);
    LockRecord {
        slot: 0,
        version: ask.version.clone(),
        fence,
        lease_ms: ask.lease_ms,
        expires_at_us: now_us.saturating_add(ask.lease_ms * 1_000),
        now_us,
        data: ask.data.clone(),
        owner: Some(ask.owner.clone()),
        delete_on_release: ask.delete_on_release,
        named_by_version: false,
    }
}

/// Any other grant. The lease begins now, and the owner is the one who asks, in a reentrant one too.
fn granted(ask: &AcquireRequest, row: &mut Row) -> LockResult<LockRecord> {
    let now_us: i64 = column(row, 7)?;
    Ok(LockRecord {
        slot: column(row, 1)?,
        version: text(row, 2)?,
        fence: column(row, 3)?,
        lease_ms: ask.lease_ms,
        expires_at_us: now_us + ask.lease_ms * 1_000,
        now_us,
        data: column(row, 4)?,
        owner: Some(ask.owner.clone()),
        delete_on_release: flag(row, 5)?,
        named_by_version: flag(row, 6)?,
    })
}

fn busy(row: &mut Row) -> LockResult<Busy> {
    let change_at_us: Option<i64> = column(row, 3)?;
    let now_us: i64 = column(row, 4)?;
    Ok(Busy {
        position: column::<u64>(row, 1)?.min(MAX_POSITION),
        queue_number: column(row, 2)?,
        retry_after_ms: change_at_us.map(|at_us| ((at_us - now_us).max(1) + 999) / 1_000),
        holder: Some(text(row, 5)?).filter(|owner| !owner.is_empty()),
    })
}

/// Reads a slot that begins at column `from`, in the order of [`SLOT_COLUMNS`].
fn record(row: &mut Row, from: usize) -> LockResult<LockRecord> {
    Ok(LockRecord {
        slot: column(row, from)?,
        version: text(row, from + 1)?,
        fence: column(row, from + 2)?,
        data: column(row, from + 3)?,
        delete_on_release: flag(row, from + 4)?,
        named_by_version: flag(row, from + 5)?,
        now_us: column(row, from + 6)?,
        expires_at_us: column(row, from + 7)?,
        lease_ms: column(row, from + 8)?,
        owner: Some(text(row, from + 9)?).filter(|owner| !owner.is_empty()),
    })
}

/// Reads one slot, if there is one.
pub(crate) fn slot(mut rows: Vec<Row>) -> LockResult<Option<LockRecord>> {
    rows.pop().map(|mut row| record(&mut row, 0)).transpose()
}

/// Reads a slot whose request's place comes after it.
pub(crate) fn placed_slot(mut row: Row) -> LockResult<(usize, LockRecord)> {
    Ok((column(&mut row, 10)?, record(&mut row, 0)?))
}

/// Reads which of so many requests were done, and when: `0,3,4` and a time.
pub(crate) fn done(mut rows: Vec<Row>, requests: usize) -> LockResult<(Vec<bool>, u64)> {
    let mut row = rows.pop().ok_or_else(|| malformed("no row", 0))?;
    let (places, mut done) = (text(&mut row, 0)?, vec![false; requests]);
    for place in places.split(',').filter(|place| !place.is_empty()) {
        let place: usize = place.parse().map_err(|_| malformed("no number", 0))?;
        *done.get_mut(place).ok_or_else(|| malformed("a request that was not made", 0))? = true;
    }
    Ok((done, column(&mut row, 1)?))
}

/// Reads the one number that a procedure answers.
pub(crate) fn status(rows: Vec<Row>) -> LockResult<u8> {
    number(rows)
}

/// Reads one number.
pub(crate) fn number<T: FromValue>(mut rows: Vec<Row>) -> LockResult<T> {
    let mut row = rows.pop().ok_or_else(|| malformed("no row", 0))?;
    column(&mut row, 0)
}

/// Reads a semaphore, if there is one.
pub(crate) fn semaphore(mut rows: Vec<Row>, lock: &LockId) -> LockResult<Option<Semaphore>> {
    let Some(mut row) = rows.pop() else { return Ok(None) };
    Ok(Some(Semaphore {
        semaphore_key: lock.key().to_string(),
        tenant_id: lock.tenant().to_string(),
        version: text(&mut row, 0)?,
        max_size: column(&mut row, 1)?,
        lease_duration_ms: column(&mut row, 2)?,
        fair_semaphore: Some(flag(&mut row, 3)?),
        busy_count: Some(column(&mut row, 4)?),
    }))
}

/// Reads all slots of a semaphore, those without a row included; none if there is no semaphore.
pub(crate) fn slots(rows: Vec<Row>, lock: &LockId, sent: Instant) -> LockResult<Option<Vec<MutexLock>>> {
    let mut semaphore = None;
    let mut records = Vec::with_capacity(rows.len());
    for mut row in rows {
        semaphore = Some((column(&mut row, 0)?, column(&mut row, 1)?, column(&mut row, 2)?));
        // Of a semaphore without slots there is one row, with nothing of a slot.
        if row.as_ref(3) != Some(&Value::NULL) {
            records.push(record(&mut row, 3)?);
        }
    }
    let Some((size, lease_ms, now_us)): Option<(u32, i64, i64)> = semaphore else { return Ok(None) };
    let mut records = records.into_iter().peekable();
    let slots = (0..size).map(|slot| {
        let stored = records.next_if(|record| record.slot == slot);
        stored.unwrap_or_else(|| LockRecord::free(slot, lease_ms, now_us)).into_lock(lock, sent)
    });
    Ok(Some(slots.collect()))
}

fn flag(row: &mut Row, index: usize) -> LockResult<bool> {
    Ok(column::<u8>(row, index)? != 0)
}

/// Takes one column out of a row.
fn column<T: FromValue>(row: &mut Row, index: usize) -> LockResult<T> {
    let value = row.take::<Value, _>(index).ok_or_else(|| malformed("no such column", index))?;
    from_value_opt(value).map_err(|error| {
        LockError::serialization(format!("column {index} of the database's answer cannot be read"), error)
    })
}

/// Names are stored as bytes; what was written was UTF-8.
fn text(row: &mut Row, index: usize) -> LockResult<String> {
    let bytes: Option<Vec<u8>> = column(row, index)?;
    String::from_utf8(bytes.unwrap_or_default()).map_err(|error| {
        LockError::serialization(format!("column {index} of the answer is not UTF-8"), error)
    })
}

fn malformed(what: &str, index: usize) -> LockError {
    LockError::Serialization {
        message: format!("the database's answer has {what} where column {index} should be"),
        source: None,
    }
}
