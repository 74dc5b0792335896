//! The SQL of many operations in one transaction, which is one message (group commit).
//!
//! A batch never waits for a row: what somebody else has locked is skipped (`SKIP LOCKED`), and so is whatever is not the usual
//! case. Those are asked for again, each by itself, with the procedures. So batches cannot deadlock, and one row that is
//! locked for long does not keep the others waiting. First the rows are locked, each with a look at the clock (`SYSDATE` is the time
//! when it is read) and at all that decides, which is in the row itself; then the locked ones are changed. For an acquire of a slot more than
//! one row decides: once the row of its semaphore is locked, the procedure for one slot does it, within the batch's transaction.

use std::collections::BTreeSet;
use std::fmt::Write;

use db_locks_core::protocol::WAITER_TTL_MS;
use db_locks_core::{AcquireRequest, LockId, ReleaseRequest, RenewRequest};
use mysql_async::Value;

use crate::codec::SLOT_COLUMNS;
use crate::config::Tables;
use crate::handle::named_row;
use crate::repository::{flags_in_batch, take_params};
use crate::statements::{NOW_US, append_call, append_value};

/// What stands at the beginning and the end of a batch.
const BEGIN: &str = "SET @db_locks_mine = NULL; START TRANSACTION; ";
/// The places of those that were done, and the time.
const END: &str = "; COMMIT; SELECT @db_locks_mine, @db_locks_now";

/// The texts for one set of tables.
#[derive(Debug)]
pub(crate) struct Together {
    mutexes: String,
    semaphores: String,
    waiters: String,
    /// The procedure that takes a slot at once or not at all.
    try_slot: String,
}

impl Together {
    pub(crate) fn new(tables: &Tables) -> Self {
        let Tables { mutexes, semaphores, waiters, .. } = tables.clone();
        let try_slot = format!("`{mutexes}_try_slot_v1`");
        Self { mutexes, semaphores, waiters, try_slot }
    }

    /// Grants what is free, was not deleted, is not waited for, and has no data that a grant would have to keep.
    pub(crate) fn acquire(&self, asks: &[&AcquireRequest]) -> String {
        let rows = rows(
            &["d", "r"],
            asks.iter().map(|ask| {
                let values = vec![Value::from(ask.data.is_some()), ask.replace_data.into()];
                (ask.lock.tenant(), ["", ask.lock.key()], values)
            }),
        );
        let free = format!(
            "m.deleted_at_us = 0 AND m.delete_on_release = 0 AND (m.data IS NULL OR (a.d AND a.r)) \
             AND GREATEST(m.fence + 1, m.expires_at_us, m.queued_until_us) <= {NOW_US}"
        );
        let grants = rows_of_grants(asks);
        let set = "m.fence = @db_locks_now, m.updated_at_us = @db_locks_now, \
             m.expires_at_us = @db_locks_now + a.l * 1000, m.version = a.v, m.owner = a.o, m.lease_duration_ms = a.l, \
             m.data = CONVERT(a.d USING utf8mb4), m.delete_on_release = a.x";
        format!("{BEGIN}{}; {}{END}", self.lock(&rows, &free), self.change(&grants, set))
    }

    /// Takes slots of semaphores that nobody else is at, by the procedure's rules, each in a result of its own.
    pub(crate) fn acquire_slots(&self, asks: &[&AcquireRequest], client_id: &str) -> String {
        let mut sql = String::from("START TRANSACTION;");
        for ask in asks {
            append_call(&mut sql, &self.try_slot, &take_params(ask, flags_in_batch(ask), client_id));
            sql.push(';');
        }
        sql.push_str("COMMIT");
        sql
    }

    /// Renews what is held under this version.
    pub(crate) fn renew(&self, asks: &[RenewRequest]) -> String {
        let rows = rows(
            &["v", "n", "l", "d"],
            asks.iter().map(|ask| {
                let values = vec![
                    ask.version.as_str().into(),
                    ask.new_version.as_str().into(),
                    ask.lease_ms.into(),
                    ask.data.as_deref().into(),
                ];
                (ask.lock.tenant(), named_row(&ask.lock, &ask.mutex_key, &ask.version), values)
            }),
        );
        let held = format!("m.version IN (a.v, a.n) AND m.deleted_at_us = 0 AND m.expires_at_us > {NOW_US}");
        let set = "m.updated_at_us = @db_locks_now, m.expires_at_us = @db_locks_now + a.l * 1000, m.version = a.n, \
             m.lease_duration_ms = a.l, m.data = COALESCE(CONVERT(a.d USING utf8mb4), m.data)";
        let read = format!(
            "SELECT {SLOT_COLUMNS}, a.i FROM {rows} STRAIGHT_JOIN `{}` m ON {KEY} WHERE {MINE}",
            self.mutexes
        );
        format!("{BEGIN}{}; {}; {read}{END}", self.lock(&rows, &held), self.change(&rows, set))
    }

    /// Releases what is this version's and stays.
    pub(crate) fn release(&self, asks: &[ReleaseRequest]) -> String {
        let rows = rows(
            &["v", "d"],
            asks.iter().map(|ask| {
                let values = vec![ask.version.as_str().into(), ask.data.as_deref().into()];
                (ask.lock.tenant(), named_row(&ask.lock, &ask.mutex_key, &ask.version), values)
            }),
        );
        let own =
            "m.version = a.v AND m.expires_at_us > 0 AND m.delete_on_release = 0 AND m.deleted_at_us = 0";
        let set = "m.expires_at_us = 0, m.updated_at_us = @db_locks_now, \
             m.data = COALESCE(CONVERT(a.d USING utf8mb4), m.data)";
        format!("{BEGIN}{}; {}{END}", self.lock(&rows, own), self.change(&rows, set))
    }

    /// Keeps the places of waiters (R5), and writes into their locks' rows until when somebody waits, where that is less: usually the
    /// first of each process has written it when it asked. Rows before waiters, as everywhere.
    pub(crate) fn keep_places(&self, places: &[(&LockId, &str)]) -> String {
        let ttl_us = (WAITER_TTL_MS - 1_000) * 1_000;
        let mut sql = BEGIN.to_string();
        for (semaphores, table, key) in [
            (false, &self.mutexes, KEY),
            (true, &self.semaphores, "m.tenant_id = a.t AND m.semaphore_key = a.s"),
        ] {
            let locks: BTreeSet<&LockId> = places.iter().map(|(lock, _)| *lock).collect();
            let locks = locks.into_iter().filter(|lock| lock.is_semaphore() == semaphores);
            let locks: Vec<_> = locks.map(|lock| (lock.tenant(), queue_of(lock), Vec::new())).collect();
            if locks.is_empty() {
                continue;
            }
            let rows = format!("{} STRAIGHT_JOIN `{table}` m ON {key}", rows(&[], locks.into_iter()));
            // Writing to a string cannot fail.
            let _ = write!(
                sql,
                "SELECT GROUP_CONCAT(a.i) INTO @db_locks_mine FROM {rows} \
                 WHERE m.queued_until_us < {NOW_US} + {ttl_us} FOR UPDATE SKIP LOCKED; \
                 UPDATE {rows} SET m.queued_until_us = {NOW_US} + {ttl_us} WHERE {MINE}; "
            );
        }
        let tickets = rows(
            &["v"],
            places.iter().map(|(lock, version)| (lock.tenant(), queue_of(lock), vec![(*version).into()])),
        );
        let tickets = format!(
            "{tickets} STRAIGHT_JOIN `{}` w ON w.tenant_id = a.t AND w.semaphore_key = a.s AND w.mutex_key = a.k \
             AND w.ticket = a.v",
            self.waiters
        );
        let _ = write!(
            sql,
            "SELECT GROUP_CONCAT(a.i) INTO @db_locks_mine FROM {tickets} WHERE w.deadline_us > {NOW_US} \
             FOR UPDATE SKIP LOCKED; SET @db_locks_now = {NOW_US}; \
             UPDATE {tickets} SET w.deadline_us = @db_locks_now + {ttl_us} WHERE {MINE}{END}"
        );
        sql
    }

    /// Locks those that nobody else has locked and for which this holds; notes their places, and a time that is later than
    /// each of their tokens.
    fn lock(&self, rows: &str, condition: &str) -> String {
        format!(
            "SELECT GROUP_CONCAT(a.i), MAX(m.fence) INTO @db_locks_mine, @db_locks_fence \
             FROM {rows} STRAIGHT_JOIN `{}` m ON {KEY} WHERE {condition} FOR UPDATE SKIP LOCKED; \
             SET @db_locks_now = GREATEST({NOW_US}, COALESCE(@db_locks_fence, 0) + 1)",
            self.mutexes
        )
    }

    fn change(&self, rows: &str, set: &str) -> String {
        format!("UPDATE {rows} STRAIGHT_JOIN `{}` m ON {KEY} SET {set} WHERE {MINE}", self.mutexes)
    }
}

const KEY: &str = "m.tenant_id = a.t AND m.semaphore_key = a.s AND m.mutex_key = a.k";
const MINE: &str = "FIND_IN_SET(a.i, @db_locks_mine)";

fn rows_of_grants(asks: &[&AcquireRequest]) -> String {
    rows(
        &["v", "o", "l", "d", "x"],
        asks.iter().map(|ask| {
            let values = vec![
                ask.version.as_str().into(),
                ask.owner.as_str().into(),
                ask.lease_ms.into(),
                ask.data.as_deref().into(),
                ask.delete_on_release.into(),
            ];
            (ask.lock.tenant(), ["", ask.lock.key()], values)
        }),
    )
}

/// The semaphore and the mutex that a queue is for.
pub(crate) fn queue_of(lock: &LockId) -> [&str; 2] {
    if lock.is_semaphore() { [lock.key(), ""] } else { ["", lock.key()] }
}

/// `(SELECT 0 AS i, x'…' AS t, x'…' AS s, x'…' AS k, … UNION ALL SELECT 1, …) a`: the requests as a table, with their places. Each has a tenant,
/// the keys of a semaphore and of a mutex, and values for the columns.
fn rows<'a>(columns: &[&str], requests: impl Iterator<Item = (&'a str, [&'a str; 2], Vec<Value>)>) -> String {
    let mut sql = String::from("(");
    for (place, (tenant, [semaphore, mutex], values)) in requests.enumerate() {
        sql.push_str(if place == 0 { "SELECT " } else { " UNION ALL SELECT " });
        // Writing to a string cannot fail.
        let _ = write!(sql, "{place}");
        sql.push_str(if place == 0 { " AS i" } else { "" });
        let all = [tenant, semaphore, mutex].map(Value::from).into_iter().chain(values);
        for (name, value) in ["t", "s", "k"].iter().chain(columns).zip(all) {
            sql.push(',');
            append_value(&mut sql, &value);
            if place == 0 {
                let _ = write!(sql, " AS {name}");
            }
        }
    }
    sql.push_str(") a");
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_a_table_that_cannot_carry_sql() {
        let requests = [
            ("t", ["", "a'"], vec![Value::from("v"), Value::NULL]),
            ("t", ["b", "b_0"], vec!["".into(), 7.into()]),
        ];
        let table = rows(&["v", "d"], requests.into_iter());
        let (first, second) = table.split_once(" UNION ALL ").unwrap();
        assert_eq!(first, "(SELECT 0 AS i,x'74' AS t,'' AS s,x'6127' AS k,x'76' AS v,NULL AS d");
        assert_eq!(second, "SELECT 1,x'74',x'62',x'625f30','',7) a");
    }
}
