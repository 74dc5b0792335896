//! Rows to records. Numbers come as numbers from prepared statements, and as digits from a batch: both are read.

use std::time::Instant;

use db_locks_core::protocol::{MAX_POSITION, MAX_WAITERS};
use db_locks_core::{Acquired, Busy, LockError, LockId, LockRecord, LockResult, MutexLock, Semaphore};
use mysql_async::prelude::FromValue;
use mysql_async::{Row, Value, from_value_opt};

/// Reads the answer to an acquire of `lock`, sent at `sent`.
///
/// # Errors
/// `NotFound` when there is no such lock, and it is not to be created; `CurrentlyUnavailable` when its queue is full.
pub(crate) fn taken(mut rows: Vec<Row>, lock: &LockId, sent: Instant) -> LockResult<Acquired> {
    // Granted for so short a time that somebody else had it before the answer was read.
    let Some(mut row) = rows.pop() else { return Ok(Acquired::Busy(Busy::default())) };
    match column::<u8>(&mut row, 0)? {
        1 => Ok(Acquired::Granted(record(&mut row, 1)?.into_lock(lock, sent))),
        2 => Err(LockError::not_found(format!("{lock} does not exist"))),
        3 => Err(LockError::in_use(format!("{lock}: {MAX_WAITERS} wait for it already"))),
        _ => Ok(Acquired::Busy(busy(&mut row)?)),
    }
}

fn busy(row: &mut Row) -> LockResult<Busy> {
    let now_us: i64 = column(row, 6)?;
    let change_at_us: Option<i64> = column(row, 13)?;
    Ok(Busy {
        position: column::<u64>(row, 11)?.min(MAX_POSITION),
        queue_number: column(row, 12)?,
        retry_after_ms: change_at_us.map(|at_us| ((at_us - now_us).max(1) + 999) / 1_000),
        holder: Some(text(row, 8)?).filter(|owner| !owner.is_empty()),
    })
}

/// Reads a slot that begins at column `from`: slot, version, fence, lease, end, now, data, owner, two flags.
fn record(row: &mut Row, from: usize) -> LockResult<LockRecord> {
    Ok(LockRecord {
        slot: column(row, from)?,
        version: text(row, from + 1)?,
        fence: column::<i64>(row, from + 2)?.try_into().unwrap_or(0),
        lease_ms: column(row, from + 3)?,
        expires_at_us: column(row, from + 4)?,
        now_us: column(row, from + 5)?,
        data: column(row, from + 6)?,
        owner: Some(text(row, from + 7)?).filter(|owner| !owner.is_empty()),
        delete_on_release: column::<u8>(row, from + 8)? != 0,
        named_by_version: column::<u8>(row, from + 9)? != 0,
    })
}

/// Reads one slot, if there is one.
pub(crate) fn slot(mut rows: Vec<Row>) -> LockResult<Option<LockRecord>> {
    rows.pop().map(|mut row| record(&mut row, 0)).transpose()
}

/// Reads the one number that a procedure answers.
pub(crate) fn status(mut rows: Vec<Row>) -> LockResult<u8> {
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
        fair_semaphore: Some(column::<u8>(&mut row, 3)? != 0),
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
