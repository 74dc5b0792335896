//! The one connection of a repository: how it is opened, its transactions, its lease clock, its rows.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use db_locks_core::lock_id::slot_number;
use db_locks_core::protocol::key_means_slot;
use db_locks_core::{LockId, LockKind, LockRecord};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, params};

use crate::clock::Clock;
use crate::codec::{self, SemaphoreRow, SlotRow, stored_fence};
use crate::config::{Mode, Place, Tables};
use crate::migrations;
use crate::statements::{PURGE_LIMIT, Statements};

/// The longest pause before a locked file is tried again. Transactions here take some tens of microseconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// How often to look whether the file is still the one at the path.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// More statements than there are, so that each is compiled once.
const STATEMENT_CACHE: usize = 64;

/// What a session is opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) tables: Tables,
    pub(crate) migrate: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_page_count: Option<u32>,
    /// Every commit waits for the disk.
    pub(crate) synced: bool,
    /// Empty, but in tests of the tests.
    pub(crate) replace_in_sql: Vec<(String, String)>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Names this repository among the processes that wait.
    pub(crate) client_id: String,
}

/// The connection and what is known of its database. Lives on the writer's thread.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    pub(crate) sql: Statements,
    pub(crate) settings: Arc<Settings>,
    read_only: bool,
    /// No transaction waits for a disk, unless other processes are in the way.
    quick: bool,
    /// Which file was opened; none in memory.
    file: Option<FileId>,
    /// When the path was last seen to lead there.
    seen: Cell<Instant>,
    /// When the busy handler gives up.
    give_up_at: Arc<Mutex<Instant>>,
    /// Lease clock = time since boot + this. None until the first transaction that needs it.
    offset_us: Cell<Option<i64>>,
    /// The clock was started in the current transaction, and is forgotten with it.
    clock_is_new: Cell<bool>,
    /// Made since old ones were looked for.
    tombstones: Cell<u32>,
}

impl Session {
    /// Opens the database and makes its tables, if it may.
    pub(crate) fn open(settings: Arc<Settings>) -> rusqlite::Result<Self> {
        let give_up = Instant::now() + settings.connect_timeout;
        let give_up_at = Arc::new(Mutex::new(give_up));
        let mut connection = match &settings.place {
            Place::Memory => Connection::open_in_memory()?,
            Place::File { path, mode } => Connection::open_with_flags(path, open_flags(*mode))?,
        };
        connection.busy_handler(Some(wait_for_file(Arc::clone(&give_up_at))))?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // SQLite opens a file that it may not write as a read-only one, without a word.
        let read_only = connection.is_readonly("main")?;
        let mut session = Self {
            connection,
            sql: Statements::new(&settings.tables),
            file: FileId::of(&settings.place),
            seen: Cell::new(Instant::now()),
            settings,
            read_only,
            quick: false,
            give_up_at,
            offset_us: Cell::new(None),
            clock_is_new: Cell::new(false),
            tombstones: Cell::new(0),
        };
        session.quick = session.set_journal(give_up)?;
        // In KiB: the rows of some hundred thousand locks. What is not used is not taken.
        session.connection.pragma_update(None, "cache_size", -65_536)?;
        if let Some(pages) = session.settings.max_page_count {
            session.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        if session.settings.migrate && !read_only {
            session.migrate_at_start(give_up)?;
        }
        Ok(session)
    }

    /// Whether the path leads to another file now than the one that is open: that one was deleted or replaced, and other
    /// processes do not see what is written to it. What was granted shortly before such a deed is lost by it in any case, so
    /// it is enough to look every [`LOOK_EVERY`].
    pub(crate) fn lost_its_file(&self) -> bool {
        if self.file.is_none() || self.seen.get().elapsed() < LOOK_EVERY {
            return false;
        }
        let lost = FileId::of(&self.settings.place) != self.file;
        if !lost {
            self.seen.set(Instant::now());
        }
        lost
    }

    /// Write-ahead log, synced at checkpoints only. A commit that power loss undoes was of a holder that the power loss
    /// ended too, and the next boot frees every lock anyway: a lease needs no more. A killed process loses nothing.
    /// Checkpoints are made by [`Self::checkpoint`] only. Tells whether commits wait for no disk.
    fn set_journal(&self, give_up: Instant) -> rusqlite::Result<bool> {
        if self.settings.place == Place::Memory {
            return Ok(true);
        }
        if self.read_only {
            return Ok(false);
        }
        // SQLite does not call the busy handler for this change, which needs the file for itself.
        let mode = loop {
            let now = self.connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
            let changed = now.and_then(|mode| match mode.as_str() {
                "wal" => Ok(mode),
                _ => self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)),
            });
            match changed {
                Err(error) if is_busy(&error) && Instant::now() < give_up => thread::sleep(LONGEST_PAUSE),
                other => break other?,
            }
        };
        if mode == "wal" {
            let synchronous = if self.settings.synced { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", synchronous)?;
            self.connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
            return Ok(!self.settings.synced);
        }
        tracing::warn!(place = %self.settings.place, mode, "no write-ahead log here: locks work, but slowly");
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(false)
    }

    /// Whether a transaction takes microseconds, or else is refused.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick && self.offset_us.get().is_some()
    }

    /// Most starts find the tables in place, and shall not wait for the file to write.
    fn migrate_at_start(&self, give_up: Instant) -> rusqlite::Result<()> {
        if migrations::missing(&self.connection, &self.settings.tables)?.is_empty() {
            return Ok(());
        }
        self.begin(true, give_up)?;
        let outcome = self.migrate().and_then(|_| self.commit());
        match &outcome {
            // Gives the tables their room in the file: on a disk that is full later, the log can then be used again.
            Ok(()) => drop(self.recycle_log()),
            Err(_) => self.rollback(),
        }
        outcome
    }

    /// Applies what is missing, inside a write transaction, and names it.
    pub(crate) fn migrate(&self) -> rusqlite::Result<Vec<String>> {
        migrations::apply(&self.connection, &self.settings.tables)
    }

    /// Starts a transaction, waiting for the file until `give_up` at most.
    pub(crate) fn begin(&self, write: bool, give_up: Instant) -> rusqlite::Result<()> {
        *self.give_up_at.lock().unwrap_or_else(PoisonError::into_inner) = give_up;
        // The first transaction starts the lease clock, which may have to be written.
        let write = write || (self.offset_us.get().is_none() && !self.read_only);
        self.run(if write { "BEGIN IMMEDIATE" } else { "BEGIN" }, []).map(drop)
    }

    /// Ends the transaction: from here on its answers are true.
    pub(crate) fn commit(&self) -> rusqlite::Result<()> {
        self.run("COMMIT", [])?;
        self.clock_is_new.set(false);
        Ok(())
    }

    /// Undoes the transaction, unless SQLite has done so already.
    pub(crate) fn rollback(&self) {
        if self.clock_is_new.replace(false) {
            self.offset_us.set(None);
        }
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.run("ROLLBACK", []) {
            tracing::warn!(place = %self.settings.place, %error, "a transaction could not be undone");
        }
    }

    /// Moves the log's pages into the file, so that the next transaction needs no new space in the log.
    pub(crate) fn recycle_log(&self) -> bool {
        let busy = self.one("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        matches!(busy, Ok(Some(0)))
    }

    /// Moves what it can of the log's pages into the file. Syncs both, so it is not for a runtime's thread.
    pub(crate) fn checkpoint(&self) {
        // What is left is left for the next time.
        if let Err(error) = self.one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(place = %self.settings.place, %error, "the log could not be moved into the file");
        }
    }

    /// The lease clock: microseconds since 1970 as it was reckoned once in this boot, unmoved by the wall clock since.
    /// Inside a write transaction only: so no other process's grant can lie between this moment and the next commit.
    pub(crate) fn now_us(&self) -> rusqlite::Result<i64> {
        let offset_us = match self.offset_us.get() {
            Some(offset_us) => offset_us,
            None => self.start_clock()?,
        };
        Ok(self.settings.clock.since_boot_us() + offset_us)
    }

    fn start_clock(&self) -> rusqlite::Result<i64> {
        let clock = &self.settings.clock;
        let stored =
            self.one(&self.sql.clock, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let boot_id = clock.boot_id();
        let offset_us = match stored {
            Some((id, offset_us)) if id == boot_id => offset_us,
            _ if self.read_only => return Ok(clock.wall_us() - clock.since_boot_us()),
            earlier_boot => {
                let offset_us = clock.wall_us() - clock.since_boot_us();
                if earlier_boot.is_some() {
                    self.free_all()?;
                }
                self.run(&self.sql.store_clock, params![boot_id, offset_us])?;
                offset_us
            }
        };
        self.offset_us.set(Some(offset_us));
        self.clock_is_new.set(true);
        if !self.read_only {
            self.purge(clock.since_boot_us() + offset_us)?;
        }
        Ok(offset_us)
    }

    /// Whoever held or waited before the machine booted is dead.
    fn free_all(&self) -> rusqlite::Result<()> {
        self.run(&self.sql.free_all, [])?;
        self.run(&self.sql.purge_waiters, [i64::MAX])?;
        self.run(&self.sql.purge_clients, [i64::MAX]).map(drop)
    }

    /// Forgets waiters that are gone for good, and some old tombstones.
    fn purge(&self, now_us: i64) -> rusqlite::Result<()> {
        self.run(&self.sql.purge_waiters, [now_us])?;
        self.run(&self.sql.purge_clients, [now_us])?;
        self.purge_tombstones(now_us)
    }

    /// Counts a new tombstone, and for every so many forgets at least as many old ones.
    pub(crate) fn note_tombstone(&self, now_us: i64) -> rusqlite::Result<()> {
        self.tombstones.set(self.tombstones.get() + 1);
        if self.tombstones.get() < PURGE_LIMIT {
            return Ok(());
        }
        self.tombstones.set(0);
        self.purge_tombstones(now_us)
    }

    /// Forgets some tombstones that have been kept long enough (R11).
    fn purge_tombstones(&self, now_us: i64) -> rusqlite::Result<()> {
        let before_us = now_us - db_locks_core::protocol::TOMBSTONE_TTL_MS * 1_000;
        self.run(&self.sql.purge_mutexes, [before_us])?;
        self.run(&self.sql.purge_semaphores, [before_us]).map(drop)
    }

    /// A mutex (`slot` 0) or slot, tombstones included.
    pub(crate) fn slot(&self, lock: &LockId, slot: u32, now_us: i64) -> rusqlite::Result<Option<SlotRow>> {
        let key = [lock.tenant(), lock.semaphore_key().unwrap_or_default(), &lock.slot_key(slot)];
        self.one(&self.sql.slot, key, |row| codec::slot(row, now_us))
    }

    /// The mutex or slot whose last version is `version`, tombstones included; of several slots a held one.
    pub(crate) fn slot_of(
        &self,
        lock: &LockId,
        version: &str,
        now_us: i64,
    ) -> rusqlite::Result<Option<SlotRow>> {
        match lock.kind() {
            LockKind::Mutex => Ok(self.slot(lock, 0, now_us)?.filter(|row| row.record.version == version)),
            LockKind::Semaphore => {
                let key = [lock.tenant(), lock.key(), version];
                self.one(&self.sql.slot_by_version, key, |row| codec::slot(row, now_us))
            }
        }
    }

    /// The mutex or slot that a holder of `version` means by `mutex_key`.
    pub(crate) fn slot_meant(
        &self,
        lock: &LockId,
        mutex_key: &str,
        version: &str,
        now_us: i64,
    ) -> rusqlite::Result<Option<SlotRow>> {
        // A slot's own key finds it at once; any other way is a search through the slots.
        let named = lock.semaphore_key().and_then(|key| slot_number(mutex_key, key));
        let by_slot = match named {
            Some(slot) => self.slot(lock, slot, now_us)?.filter(|row| row.record.version == version),
            None => None,
        };
        match by_slot {
            Some(row) => Ok(Some(row)),
            None => {
                let row = self.slot_of(lock, version, now_us)?;
                Ok(row.filter(|row| key_means_slot(lock, mutex_key, row.record.slot, version)))
            }
        }
    }

    /// Writes a mutex or slot; a tombstone if `deleted_at_us` is not 0.
    pub(crate) fn store_slot(
        &self,
        lock: &LockId,
        record: &LockRecord,
        deleted_at_us: i64,
    ) -> rusqlite::Result<()> {
        self.run(
            &self.sql.store_slot,
            params![
                lock.tenant(),
                lock.semaphore_key().unwrap_or_default(),
                lock.slot_key(record.slot),
                record.slot,
                record.version,
                stored_fence(record.fence),
                record.lease_ms,
                record.expires_at_us,
                record.data,
                record.owner,
                record.delete_on_release,
                record.named_by_version,
                deleted_at_us,
                record.now_us,
            ],
        )
        .map(drop)
    }

    /// A semaphore, tombstones included.
    pub(crate) fn semaphore(&self, lock: &LockId) -> rusqlite::Result<Option<SemaphoreRow>> {
        self.one(&self.sql.semaphore, [lock.tenant(), lock.key()], codec::semaphore)
    }

    /// Writes a semaphore; a tombstone if it is marked as deleted.
    pub(crate) fn store_semaphore(
        &self,
        lock: &LockId,
        row: &SemaphoreRow,
        now_us: i64,
    ) -> rusqlite::Result<()> {
        let deleted_at_us = if row.deleted { now_us } else { 0 };
        self.run(
            &self.sql.store_semaphore,
            params![
                lock.tenant(),
                lock.key(),
                row.version,
                row.max_size,
                row.lease_ms,
                row.fair,
                stored_fence(row.fence),
                deleted_at_us,
                now_us,
            ],
        )
        .map(drop)
    }

    /// The number of the waiter that was added last.
    pub(crate) fn last_seq(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// A statement, compiled once a connection.
    fn prepared(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        let edits = &self.settings.replace_in_sql;
        if edits.is_empty() {
            return self.connection.prepare_cached(sql);
        }
        let edited = edits.iter().fold(sql.to_string(), |sql, (from, to)| sql.replace(from, to));
        self.connection.prepare_cached(&edited)
    }

    /// The first row of a query.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.prepared(sql)?.query_row(params, read).optional()
    }

    /// The rows of a query, as long as `go_on` says true.
    pub(crate) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut go_on: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if !go_on(row)? {
                break;
            }
        }
        Ok(())
    }

    /// Every row of a query.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.prepared(sql)?.query_map(params, read)?.collect()
    }

    /// A statement without rows.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.prepared(sql)?.execute(params)
    }
}

/// Tells files apart, whatever they are called.
#[derive(Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(place: &Place) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let Place::File { path, .. } = place else { return None };
        let file = std::fs::metadata(path).ok()?;
        Some(Self { device: file.dev(), inode: file.ino() })
    }

    /// Other systems do not let a file be deleted while it is open.
    #[cfg(not(unix))]
    fn of(_: &Place) -> Option<Self> {
        None
    }
}

fn open_flags(mode: Mode) -> OpenFlags {
    // One thread uses the connection, so SQLite need not lock it.
    OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match mode {
            Mode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        }
}

/// Whether other processes are in the way.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// Whether there is no room for what was to be written.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// The busy handler: SQLite's own pauses up to 100 ms, by which time other processes have been let in hundreds of times.
fn wait_for_file(give_up_at: Arc<Mutex<Instant>>) -> impl FnMut(i32) -> bool + Send + 'static {
    move |tries| {
        if Instant::now() >= *give_up_at.lock().unwrap_or_else(PoisonError::into_inner) {
            return false;
        }
        let doublings = u32::try_from(tries).unwrap_or(0).min(5);
        thread::sleep((Duration::from_micros(50) * (1 << doublings)).min(LONGEST_PAUSE));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::{acquire, keep};
    use db_locks_core::models::new_version;
    use db_locks_core::{AcquireRequest, LocksConfig, ReleaseRequest};
    use rusqlite::StatementStatus;

    fn in_memory() -> Session {
        let settings = Settings {
            place: Place::Memory,
            tables: Tables::new(&LocksConfig::new("t")).unwrap(),
            migrate: true,
            connect_timeout: Duration::from_secs(1),
            max_page_count: None,
            synced: false,
            replace_in_sql: Vec::new(),
            clock: Arc::new(SystemClock::new()),
            client_id: new_version(),
        };
        Session::open(Arc::new(settings)).unwrap()
    }

    fn acquire(session: &Session, lock: &LockId) -> AcquireRequest {
        let ask = AcquireRequest {
            owner: "me".to_string(),
            lease_ms: 1_000,
            max_size: Some(3),
            wait: true,
            ..AcquireRequest::new(lock.clone())
        };
        session.begin(true, Instant::now()).unwrap();
        acquire::acquire(session, &ask, Instant::now()).unwrap();
        session.commit().unwrap();
        ask
    }

    fn release(session: &Session, lock: &LockId, mutex_key: String, version: String) -> bool {
        let give = ReleaseRequest { lock: lock.clone(), mutex_key, version, delete: false, data: None };
        session.begin(true, Instant::now()).unwrap();
        let released = keep::release(session, &give).unwrap();
        session.commit().unwrap();
        released
    }

    #[test]
    fn no_frequent_statement_is_compiled_twice() {
        let session = in_memory();
        for lock in [LockId::mutex("t", "one").unwrap(), LockId::semaphore("t", "one").unwrap()] {
            for _ in 0..10 {
                for mutex_key in [lock.slot_key(0), lock.key().to_string()] {
                    let granted = acquire(&session, &lock);
                    assert!(release(&session, &lock, mutex_key, granted.version));
                }
            }
            for _ in 0..10 {
                acquire(&session, &lock);
            }
        }
        let sql = &session.sql;
        let mut compiled_again = Vec::new();
        for frequent in [
            &sql.slot,
            &sql.slot_by_version,
            &sql.tally,
            &sql.first_to_end,
            &sql.store_slot,
            &sql.semaphore,
            &sql.store_semaphore,
            &sql.any_waiter,
            &sql.waiter,
            &sql.waiters_before,
            &sql.client,
            &sql.add_waiter,
            &sql.count_waiters,
            &sql.purge_queue,
            &sql.keep_client,
        ] {
            let statement = session.connection.prepare_cached(frequent).unwrap();
            assert!(statement.get_status(StatementStatus::Run) > 0, "not used: {frequent}");
            if statement.get_status(StatementStatus::RePrepare) > 0 {
                compiled_again.push(frequent);
            }
        }
        assert!(compiled_again.is_empty(), "{compiled_again:#?}");
    }
}
