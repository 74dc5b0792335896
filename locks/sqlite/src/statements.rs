//! The SQL. Each statement is compiled once a connection. Table names are checked identifiers.

use crate::codec::{SEMAPHORE_COLUMNS, SLOT_COLUMNS};
use crate::config::Tables;

/// The statements for one set of table names. `?1` to `?3` name the lock: tenant, `semaphore_key`, `mutex_key`.
///
/// SQLite compiles a statement anew at each call if its plan could depend on the value of a parameter: `LIMIT ?` and
/// `ORDER BY` invite that. So the frequent ones have neither, and a test watches them. With `max()` or `min()`
/// SQLite takes the other columns from the row that has it.
#[derive(Debug)]
pub(crate) struct Statements {
    /// One mutex or slot by its key.
    pub(crate) slot: String,
    /// The slot of semaphore `?2` that version `?3` was granted last; a held one first.
    pub(crate) slot_by_version: String,
    /// Every slot of semaphore `?2` by number.
    pub(crate) slots: String,
    /// Of semaphore `?2` at `?3`: how many rows, how many held, the lowest-numbered free one, and those that version `?4`
    /// and owner `?5` hold.
    pub(crate) tally: String,
    /// Which lease of semaphore `?2` ends first after `?3`, and whose it is.
    pub(crate) first_to_end: String,
    /// Whether a slot of semaphore `?2` numbered `?3` or more is held at `?4`.
    pub(crate) held_from: String,
    /// Writes one slot.
    pub(crate) store_slot: String,
    /// Deletes the slots of semaphore `?2` numbered `?3` or more.
    pub(crate) drop_slots_from: String,
    /// Deletes some tombstones of mutexes older than `?1`.
    pub(crate) purge_mutexes: String,
    /// One semaphore.
    pub(crate) semaphore: String,
    /// Writes one semaphore.
    pub(crate) store_semaphore: String,
    /// Deletes some tombstones of semaphores older than `?1`.
    pub(crate) purge_semaphores: String,
    /// Whether a queue has waiters, live or not.
    pub(crate) any_waiter: String,
    /// The place and deadline of ticket `?4` in a queue.
    pub(crate) waiter: String,
    /// The clients and deadlines of those who came before place `?4`.
    pub(crate) waiters_before: String,
    /// Until when client `?1` counts as living.
    pub(crate) client: String,
    /// How many waiters a queue has, live or not.
    pub(crate) count_waiters: String,
    /// Puts ticket `?4` of client `?5` at the end of a queue until `?6`.
    pub(crate) add_waiter: String,
    /// Keeps place `?1` for client `?2` until `?3`, unless it is kept until `?4` already.
    pub(crate) keep_waiter: String,
    /// Until `?5` the waiter of `?1` to `?4` keeps its place, if it has one at `?6`.
    pub(crate) keep_place: String,
    /// Takes ticket `?4` out of a queue.
    pub(crate) remove_waiter: String,
    /// Takes out of a queue whose deadline was before `?4`.
    pub(crate) purge_queue: String,
    /// Takes out of all queues whose deadline was before `?1`.
    pub(crate) purge_waiters: String,
    /// Shows that client `?1` lives until `?2`, unless that is known until `?3` already.
    pub(crate) keep_client: String,
    /// Writes value `?4` with token `?3` into register `?2` of `?1` unless a greater token has; the token that is there now.
    pub(crate) write_fenced: String,
    /// The token and value of register `?2` of `?1`.
    pub(crate) read_fenced: String,
    /// Forgets clients whose deadline was before `?1`.
    pub(crate) purge_clients: String,
    /// The boot id and offset of the lease clock.
    pub(crate) clock: String,
    /// Starts the lease clock of another boot.
    pub(crate) store_clock: String,
    /// Frees every slot.
    pub(crate) free_all: String,
}

/// A statement deletes at most this many tombstones, so that no request has to wait for a long one.
pub(crate) const PURGE_LIMIT: u32 = 64;

impl Statements {
    /// The statements for these tables.
    pub(crate) fn new(tables: &Tables) -> Self {
        let Tables { mutexes, semaphores, waiters, clients, clock, fenced } = tables;
        let lock = "tenant_id = ?1 AND semaphore_key = ?2 AND mutex_key = ?3";
        let slots = "tenant_id = ?1 AND semaphore_key = ?2";
        Self {
            slot: format!(r#"SELECT {SLOT_COLUMNS} FROM "{mutexes}" WHERE {lock}"#),
            slot_by_version: format!(
                r#"SELECT {SLOT_COLUMNS}, max(expires_at_us) FROM "{mutexes}" WHERE {slots} AND version = ?3
                   HAVING count(*) > 0"#
            ),
            slots: format!(r#"SELECT {SLOT_COLUMNS} FROM "{mutexes}" WHERE {slots} ORDER BY mutex_key"#),
            tally: format!(
                r#"SELECT count(*), coalesce(sum(expires_at_us > ?3), 0),
                       min(CASE WHEN expires_at_us <= ?3 THEN slot END),
                       min(CASE WHEN expires_at_us > ?3 AND version = ?4 THEN slot END),
                       min(CASE WHEN expires_at_us > ?3 AND owner = ?5 THEN slot END)
                   FROM "{mutexes}" WHERE {slots}"#
            ),
            first_to_end: format!(
                r#"SELECT min(expires_at_us), owner FROM "{mutexes}" WHERE {slots} AND expires_at_us > ?3
                   HAVING count(*) > 0"#
            ),
            held_from: format!(
                r#"SELECT EXISTS (SELECT 1 FROM "{mutexes}" WHERE {slots} AND slot >= ?3 AND expires_at_us > ?4)"#
            ),
            write_fenced: crate::fenced::write_sql(fenced),
            read_fenced: crate::fenced::read_sql(fenced),
            store_slot: store_slot(mutexes),
            drop_slots_from: format!(r#"DELETE FROM "{mutexes}" WHERE {slots} AND slot >= ?3"#),
            purge_mutexes: purge(mutexes, "tenant_id, semaphore_key, mutex_key"),
            semaphore: format!(
                r#"SELECT {SEMAPHORE_COLUMNS} FROM "{semaphores}" WHERE tenant_id = ?1 AND semaphore_key = ?2"#
            ),
            store_semaphore: store_semaphore(semaphores),
            purge_semaphores: purge(semaphores, "tenant_id, semaphore_key"),
            any_waiter: format!(r#"SELECT EXISTS (SELECT 1 FROM "{waiters}" WHERE {lock})"#),
            waiter: format!(r#"SELECT seq, deadline_us FROM "{waiters}" WHERE {lock} AND ticket = ?4"#),
            waiters_before: format!(
                r#"SELECT client_id, deadline_us FROM "{waiters}" WHERE {lock} AND seq < ?4"#
            ),
            client: format!(r#"SELECT deadline_us FROM "{clients}" WHERE client_id = ?1"#),
            count_waiters: format!(r#"SELECT count(*) FROM "{waiters}" WHERE {lock}"#),
            add_waiter: format!(
                r#"INSERT INTO "{waiters}" (tenant_id, semaphore_key, mutex_key, ticket, client_id, deadline_us)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)"#
            ),
            keep_waiter: format!(
                r#"UPDATE "{waiters}" SET client_id = ?2, deadline_us = ?3
                   WHERE seq = ?1 AND (client_id <> ?2 OR deadline_us < ?4)"#
            ),
            keep_place: format!(
                r#"UPDATE "{waiters}" SET deadline_us = ?5 WHERE {lock} AND ticket = ?4 AND deadline_us > ?6"#
            ),
            remove_waiter: format!(r#"DELETE FROM "{waiters}" WHERE {lock} AND ticket = ?4"#),
            purge_queue: format!(r#"DELETE FROM "{waiters}" WHERE {lock} AND deadline_us <= ?4"#),
            purge_waiters: format!(r#"DELETE FROM "{waiters}" WHERE deadline_us <= ?1"#),
            keep_client: format!(
                r#"INSERT INTO "{clients}" (client_id, deadline_us) VALUES (?1, ?2)
                   ON CONFLICT (client_id) DO UPDATE SET deadline_us = excluded.deadline_us WHERE deadline_us < ?3"#
            ),
            purge_clients: format!(r#"DELETE FROM "{clients}" WHERE deadline_us <= ?1"#),
            clock: format!(r#"SELECT boot_id, offset_us FROM "{clock}" WHERE id = 1"#),
            store_clock: format!(
                r#"INSERT INTO "{clock}" (id, boot_id, offset_us) VALUES (1, ?1, ?2)
                   ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id, offset_us = excluded.offset_us"#
            ),
            free_all: format!(r#"UPDATE "{mutexes}" SET expires_at_us = 0 WHERE expires_at_us > 0"#),
        }
    }
}

fn store_slot(mutexes: &str) -> String {
    format!(
        r#"INSERT INTO "{mutexes}" (tenant_id, semaphore_key, mutex_key, slot, version, fence, lease_duration_ms,
               expires_at_us, data, owner, delete_on_release, named_by_version, deleted_at_us, created_at_us, updated_at_us)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)
           ON CONFLICT (tenant_id, semaphore_key, mutex_key) DO UPDATE SET
               version = excluded.version, fence = excluded.fence, lease_duration_ms = excluded.lease_duration_ms,
               expires_at_us = excluded.expires_at_us, data = excluded.data, owner = excluded.owner,
               delete_on_release = excluded.delete_on_release, named_by_version = excluded.named_by_version,
               deleted_at_us = excluded.deleted_at_us, updated_at_us = excluded.updated_at_us"#
    )
}

fn store_semaphore(semaphores: &str) -> String {
    format!(
        r#"INSERT INTO "{semaphores}" (tenant_id, semaphore_key, version, max_size, lease_duration_ms, fair_semaphore,
               fence, deleted_at_us, created_at_us, updated_at_us)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
           ON CONFLICT (tenant_id, semaphore_key) DO UPDATE SET
               version = excluded.version, max_size = excluded.max_size, lease_duration_ms = excluded.lease_duration_ms,
               fair_semaphore = excluded.fair_semaphore, fence = excluded.fence, deleted_at_us = excluded.deleted_at_us,
               updated_at_us = excluded.updated_at_us"#
    )
}

fn purge(table: &str, key: &str) -> String {
    format!(
        r#"DELETE FROM "{table}" WHERE ({key}) IN (
               SELECT {key} FROM "{table}" WHERE deleted_at_us > 0 AND deleted_at_us < ?1 LIMIT {PURGE_LIMIT})"#
    )
}
