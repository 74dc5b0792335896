//! Rows to records.

use db_locks_core::{LockRecord, Semaphore};
use rusqlite::{Error, Row, types::Type};

/// The columns of a slot, in the order in which [`slot`] reads them.
pub(crate) const SLOT_COLUMNS: &str = "slot, version, fence, lease_duration_ms, expires_at_us, data, owner, \
                                       delete_on_release, named_by_version, deleted_at_us";

/// The columns of a semaphore, in the order in which [`semaphore`] reads them.
pub(crate) const SEMAPHORE_COLUMNS: &str =
    "version, max_size, lease_duration_ms, fair_semaphore, fence, deleted_at_us";

/// A row of the table of mutexes.
#[derive(Debug, Clone)]
pub(crate) struct SlotRow {
    pub(crate) record: LockRecord,
    /// A tombstone: only its fence counts.
    pub(crate) deleted: bool,
}

/// A row of the table of semaphores.
#[derive(Debug, Clone)]
pub(crate) struct SemaphoreRow {
    pub(crate) version: String,
    pub(crate) max_size: u32,
    pub(crate) lease_ms: i64,
    pub(crate) fair: bool,
    pub(crate) fence: u64,
    /// A tombstone: only its fence counts.
    pub(crate) deleted: bool,
}

impl SemaphoreRow {
    /// The semaphore as users see it.
    pub(crate) fn into_semaphore(self, key: &str, tenant: &str, busy: u32) -> Semaphore {
        Semaphore {
            semaphore_key: key.to_string(),
            tenant_id: tenant.to_string(),
            version: self.version,
            max_size: self.max_size,
            lease_duration_ms: self.lease_ms,
            busy_count: Some(busy),
            fair_semaphore: Some(self.fair),
        }
    }
}

/// Reads [`SLOT_COLUMNS`].
pub(crate) fn slot(row: &Row<'_>, now_us: i64) -> Result<SlotRow, Error> {
    let record = LockRecord {
        slot: row.get(0)?,
        version: row.get(1)?,
        fence: fence(row, 2)?,
        lease_ms: row.get(3)?,
        expires_at_us: row.get(4)?,
        now_us,
        data: row.get(5)?,
        owner: row.get(6)?,
        delete_on_release: row.get(7)?,
        named_by_version: row.get(8)?,
    };
    Ok(SlotRow { record, deleted: row.get::<_, i64>(9)? > 0 })
}

/// Reads [`SEMAPHORE_COLUMNS`].
pub(crate) fn semaphore(row: &Row<'_>) -> Result<SemaphoreRow, Error> {
    Ok(SemaphoreRow {
        version: row.get(0)?,
        max_size: row.get(1)?,
        lease_ms: row.get(2)?,
        fair: row.get(3)?,
        fence: fence(row, 4)?,
        deleted: row.get::<_, i64>(5)? > 0,
    })
}

fn fence(row: &Row<'_>, column: usize) -> Result<u64, Error> {
    let fence: i64 = row.get(column)?;
    u64::try_from(fence).map_err(|e| Error::FromSqlConversionFailure(column, Type::Integer, Box::new(e)))
}

/// A token as SQLite stores it. Tokens are microseconds since 1970, far from the end of an `i64`.
pub(crate) fn stored_fence(fence: u64) -> i64 {
    i64::try_from(fence).unwrap_or(i64::MAX)
}
