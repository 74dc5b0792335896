//! Rows to [`LockRecord`]s and [`Semaphore`]s, by column number: each list of columns is defined once, beside its reader.

use db_locks_core::{Busy, LockError, LockRecord, LockResult, Semaphore};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// The columns of a mutex or slot of table `m`, in the order in which the functions answer them.
pub(crate) fn slot_columns(now: &str) -> String {
    format!(
        "m.slot, m.version, m.fence, m.lease_duration_ms, m.expires_at_us, {now}, m.data, m.owner, \
         m.delete_on_release, m.named_by_version"
    )
}

/// A row of the table or of a function, from column `first` on.
pub(crate) fn record(row: &Row, first: usize) -> LockResult<LockRecord> {
    Ok(LockRecord {
        slot: number(row, first)?,
        version: read(row, first + 1)?,
        fence: u64::try_from(read::<i64>(row, first + 2)?).unwrap_or(0),
        lease_ms: read(row, first + 3)?,
        expires_at_us: read(row, first + 4)?,
        now_us: read(row, first + 5)?,
        data: read(row, first + 6)?,
        owner: read(row, first + 7)?,
        delete_on_release: read(row, first + 8)?,
        named_by_version: read(row, first + 9)?,
    })
}

/// What an acquire function answers when it refuses.
pub(crate) fn busy(row: &Row) -> LockResult<Busy> {
    let now_us: i64 = read(row, 6)?;
    let change_at_us: Option<i64> = read(row, 13)?;
    Ok(Busy {
        position: u64::try_from(read::<i64>(row, 11)?).unwrap_or(0),
        queue_number: read::<Option<i64>>(row, 12)?.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0),
        // Rounded up: asking a moment too early would be for nothing.
        retry_after_ms: change_at_us.map(|at_us| ((at_us - now_us + 999) / 1_000).max(1)),
        holder: read::<Option<String>>(row, 8)?.filter(|owner| !owner.is_empty()),
    })
}

/// A row of the statement `get_semaphore`.
pub(crate) fn semaphore(row: &Row, tenant: &str, key: &str) -> LockResult<Semaphore> {
    Ok(Semaphore {
        semaphore_key: key.to_string(),
        tenant_id: tenant.to_string(),
        version: read(row, 0)?,
        max_size: number(row, 1)?,
        lease_duration_ms: read(row, 2)?,
        fair_semaphore: Some(read(row, 3)?),
        busy_count: u32::try_from(read::<i64>(row, 4)?).ok(),
    })
}

/// What the functions answer first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
    NotFound,
    QueueFull,
    InUse,
}

/// Column 0 of a function's row.
pub(crate) fn outcome(row: &Row) -> LockResult<Outcome> {
    match read::<i32>(row, 0)? {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Refused),
        2 => Ok(Outcome::NotFound),
        3 => Ok(Outcome::QueueFull),
        4 => Ok(Outcome::InUse),
        other => Err(LockError::Serialization {
            message: format!(
                "the database's functions answered the unknown outcome {other}; are they of a newer version?"
            ),
            source: None,
        }),
    }
}

/// A small number that is stored as a signed one.
pub(crate) fn number(row: &Row, column: usize) -> LockResult<u32> {
    u32::try_from(read::<i32>(row, column)?)
        .map_err(|error| LockError::serialization("a stored number is negative", error))
}

/// One column.
pub(crate) fn read<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> LockResult<T> {
    row.try_get(column)
        .map_err(|error| LockError::serialization("the database's answer is not of the expected form", error))
}
