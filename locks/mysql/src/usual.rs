//! The SQL of many operations that are all of the usual kind, in one statement, for MariaDB.
//!
//! A batch of [`crate::together`] goes over its rows twice, to lock them and to change them. Hardly ever is there a row in it that cannot
//! be changed at once. So this is tried first: one `INSERT … ON DUPLICATE KEY UPDATE`, which finds each row by its key, changes it if it
//! may be changed, and counts. Were all of them changed, it is committed; if not, nothing was: it is rolled back, and the batch goes the
//! careful way. Rows that somebody else has locked are not waited for (`innodb_lock_wait_timeout = 0`), so it cannot deadlock either.
//!
//! The clock is read before the first row is locked. That is early enough for a lease, and whoever did something to a row after that has left
//! a later time in it, or a version, that makes this one refuse.
//!
//! MySQL knows neither blocks outside of procedures nor locks that are not waited for in such a statement.

use std::fmt::Write;

use db_locks_core::{AcquireRequest, ReleaseRequest};
use mysql_async::Value;

use crate::config::Tables;
use crate::handle::named_row;
use crate::statements::{NOW_US, append_value};

/// The texts for one set of tables.
#[derive(Debug)]
pub(crate) struct Usual {
    acquire: String,
    release: String,
}

/// Whatever is wrong, the careful way finds it out again and can say it.
const BEGIN: &str = "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; SELECT 0; END; START TRANSACTION; ";

impl Usual {
    pub(crate) fn new(tables: &Tables) -> Self {
        let insert = format!(
            "{BEGIN}SET @db_locks_now = {NOW_US}; SET STATEMENT innodb_lock_wait_timeout = 0 FOR INSERT INTO `{}` \
             (tenant_id, semaphore_key, mutex_key, lease_duration_ms, version, data",
            tables.mutexes
        );
        Self {
            acquire: format!("{insert}, owner, delete_on_release) VALUES "),
            release: format!("{insert}) VALUES "),
        }
    }

    /// Grants what exists, is free, is not waited for, and has no data that a grant would have to keep. None: not all are of the usual
    /// kind.
    pub(crate) fn acquire(&self, asks: &[&AcquireRequest]) -> Option<String> {
        if asks.iter().any(|ask| ask.data.is_some() && !ask.replace_data) {
            return None;
        }
        let free = "deleted_at_us = 0 AND delete_on_release = 0 AND (data IS NULL OR VALUES(data) IS NOT NULL) \
             AND GREATEST(fence + 1, expires_at_us, queued_until_us) <= @db_locks_now";
        let set = [
            ("updated_at_us", "@db_locks_now"),
            ("expires_at_us", "@db_locks_now + VALUES(lease_duration_ms) * 1000"),
            ("version", "VALUES(version)"),
            ("owner", "VALUES(owner)"),
            ("lease_duration_ms", "VALUES(lease_duration_ms)"),
            ("data", "VALUES(data)"),
            ("delete_on_release", "VALUES(delete_on_release)"),
        ];
        let rows = asks.iter().map(|ask| {
            let head = [ask.lock.tenant(), "", ask.lock.key()];
            let tail = [Value::from(ask.owner.as_str()), ask.delete_on_release.into()];
            (head, ask.lease_ms, ask.version.as_str(), ask.data.as_deref(), tail)
        });
        let mut sql = String::with_capacity(self.acquire.len() + 1_024 + asks.len() * 256);
        sql.push_str(&self.acquire);
        append_rows(&mut sql, rows);
        append_changes(&mut sql, ("fence", "@db_locks_now"), free, &set);
        append_end(&mut sql, asks.len());
        Some(sql)
    }

    /// Releases what is this version's and stays.
    pub(crate) fn release(&self, asks: &[ReleaseRequest]) -> String {
        let own =
            "version = VALUES(version) AND expires_at_us > 0 AND delete_on_release = 0 AND deleted_at_us = 0";
        let set = [("updated_at_us", "@db_locks_now"), ("data", "COALESCE(VALUES(data), data)")];
        let rows = asks.iter().map(|ask| {
            let [semaphore, mutex] = named_row(&ask.lock, &ask.mutex_key, &ask.version);
            let head = [ask.lock.tenant(), semaphore, mutex];
            (head, 0, ask.version.as_str(), ask.data.as_deref(), [])
        });
        let mut sql = String::with_capacity(self.release.len() + 1_024 + asks.len() * 256);
        sql.push_str(&self.release);
        append_rows(&mut sql, rows);
        append_changes(&mut sql, ("expires_at_us", "0"), own, &set);
        append_end(&mut sql, asks.len());
        sql
    }
}

type RowOf<'a, const MORE: usize> = ([&'a str; 3], i64, &'a str, Option<&'a str>, [Value; MORE]);

/// `(x'…',…),(…)`
fn append_rows<'a, const MORE: usize>(sql: &mut String, rows: impl Iterator<Item = RowOf<'a, MORE>>) {
    for (place, (head, lease_ms, version, data, more)) in rows.enumerate() {
        sql.push_str(if place == 0 { "(" } else { ",(" });
        for text in head {
            append_hex(sql, text);
            sql.push(',');
        }
        append_value(sql, &lease_ms.into());
        sql.push(',');
        append_hex(sql, version);
        match data {
            // Of this character set, as the column is.
            Some(data) if !data.is_empty() => sql.push_str(",_utf8mb4 "),
            _ => sql.push(','),
        }
        match data {
            Some(data) => append_hex(sql, data),
            None => sql.push_str("NULL"),
        }
        for value in &more {
            sql.push(',');
            append_value(sql, value);
        }
        sql.push(')');
    }
}

/// Each column is changed only where the condition holds, which is looked at once, with the first of them: assignments are made from left to
/// right, and see those before them.
fn append_changes(sql: &mut String, first: (&str, &str), condition: &str, others: &[(&str, &str)]) {
    let (column, value) = first;
    // Writing to a string cannot fail.
    let _ = write!(
        sql,
        " ON DUPLICATE KEY UPDATE {column} = IF(@db_locks_may := ({condition}), {value}, {column})"
    );
    for (column, value) in others {
        let _ = write!(sql, ", {column} = IF(@db_locks_may, {value}, {column})");
    }
}

/// A row that was changed counts as two, one that was made or left as it was as one or none.
fn append_end(sql: &mut String, rows: usize) {
    let all = 2 * rows;
    // Writing to a string cannot fail.
    let _ = write!(
        sql,
        "; IF ROW_COUNT() = {all} THEN COMMIT; SELECT @db_locks_now; ELSE ROLLBACK; SELECT 0; END IF; END"
    );
}

fn append_hex(sql: &mut String, text: &str) {
    crate::statements::append_bytes(sql, text.as_bytes());
}
