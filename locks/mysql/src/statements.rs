//! The SQL: one statement an operation. Table names are checked identifiers.

use std::fmt::Write;

use mysql_async::Value;

use crate::codec::SLOT_COLUMNS;
use crate::config::Tables;
use crate::together::Together;
use crate::usual::Usual;

/// The server's clock in microseconds since 1970. `SYSDATE` is the time now; `NOW` would be the statement's beginning,
/// before it waited for a row.
pub(crate) const NOW_US: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";

/// The statements for one set of tables.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) take: String,
    pub(crate) take_slot: String,
    pub(crate) renew: String,
    pub(crate) release: String,
    pub(crate) abandon: String,
    pub(crate) beat: String,
    pub(crate) create_mutex: String,
    pub(crate) get_mutex: String,
    pub(crate) delete_mutex: String,
    pub(crate) put_semaphore: String,
    pub(crate) get_semaphore: String,
    pub(crate) get_slots: String,
    pub(crate) delete_semaphore: String,
    pub(crate) write_fenced: String,
    pub(crate) read_fenced: String,
    /// The procedure that renews, to be called many times in one message.
    pub(crate) renew_procedure: String,
    /// Many operations in one transaction.
    pub(crate) together: Together,
    /// The same where all are of the usual kind, for MariaDB.
    pub(crate) usual: Usual,
    /// Forgets waiters and processes that are gone for good.
    pub(crate) purge: [String; 2],
}

impl Statements {
    /// The statements for these tables.
    pub(crate) fn new(tables: &Tables) -> Self {
        let Tables { mutexes, semaphores, waiters, clients } = tables;
        let call = |procedure: &str, params: usize| {
            format!("CALL `{mutexes}_{procedure}`({})", vec!["?"; params].join(", "))
        };
        let semaphore = "s.version, s.max_size, s.lease_duration_ms, s.fair_semaphore";
        let slots_of = "m.tenant_id = s.tenant_id AND m.semaphore_key = s.semaphore_key";
        let this_semaphore = "s.tenant_id = ? AND s.semaphore_key = ? AND s.deleted_at_us = 0";
        Self {
            take: call("take_v1", 8),
            take_slot: call("take_slot_v1", 9),
            renew: call("renew_v1", 7),
            release: call("release_v1", 6),
            abandon: call("abandon_v1", 4),
            beat: format!(
                "INSERT INTO `{clients}` (client_id, deadline_us) VALUES (?, {NOW_US} + ?) \
                 ON DUPLICATE KEY UPDATE deadline_us = GREATEST(deadline_us, {NOW_US} + ?)"
            ),
            create_mutex: create_mutex(mutexes),
            get_mutex: format!(
                "SELECT {SLOT_COLUMNS} FROM `{mutexes}` m \
                 WHERE m.tenant_id = ? AND m.semaphore_key = '' AND m.mutex_key = ? AND m.deleted_at_us = 0"
            ),
            delete_mutex: call("delete_v1", 3),
            put_semaphore: call("put_sem_v1", 6),
            get_semaphore: format!(
                "SELECT {semaphore}, (SELECT COUNT(*) FROM `{mutexes}` m WHERE {slots_of} AND m.expires_at_us > {NOW_US}) \
                 FROM `{semaphores}` s WHERE {this_semaphore}"
            ),
            get_slots: format!(
                "SELECT s.max_size, s.lease_duration_ms, {NOW_US}, {SLOT_COLUMNS} FROM `{semaphores}` s \
                 LEFT JOIN `{mutexes}` m ON {slots_of} WHERE {this_semaphore} ORDER BY m.mutex_key"
            ),
            delete_semaphore: call("del_sem_v1", 3),
            write_fenced: crate::fenced::write_sql(mutexes),
            read_fenced: crate::fenced::read_sql(mutexes),
            renew_procedure: format!("`{mutexes}_renew_v1`"),
            together: Together::new(tables),
            usual: Usual::new(tables),
            purge: [
                format!("DELETE FROM `{waiters}` WHERE deadline_us < {NOW_US} - 60000000 LIMIT 1000"),
                format!("DELETE FROM `{clients}` WHERE deadline_us < {NOW_US} - 60000000 LIMIT 1000"),
            ],
        }
    }
}

/// Each value is a parameter of its own, twice: once for a new row, once for a tombstone that comes to life. The column
/// that decides is assigned last, since assignments are seen by those after them.
fn create_mutex(mutexes: &str) -> String {
    let revive = |column: &str, value: &str| format!("{column} = IF(deleted_at_us > 0, {value}, {column})");
    let changes = [
        revive("version", "?"),
        revive("lease_duration_ms", "?"),
        revive("data", "?"),
        revive("delete_on_release", "?"),
        revive("owner", "''"),
        revive("created_at_us", NOW_US),
        revive("updated_at_us", NOW_US),
        "deleted_at_us = 0".to_string(),
    ];
    format!(
        "INSERT INTO `{mutexes}` (tenant_id, mutex_key, version, lease_duration_ms, data, delete_on_release, \
             created_at_us, updated_at_us) \
         VALUES (?, ?, ?, ?, ?, ?, {NOW_US}, {NOW_US}) ON DUPLICATE KEY UPDATE {}",
        changes.join(", ")
    )
}

/// `CALL procedure(…)` with its arguments written out. Strings become hexadecimal digits, so that no quoting is needed
/// and nothing in them can be taken for SQL.
pub(crate) fn append_call(sql: &mut String, procedure: &str, arguments: &[Value]) {
    sql.push_str("CALL ");
    sql.push_str(procedure);
    for (place, argument) in arguments.iter().enumerate() {
        sql.push(if place == 0 { '(' } else { ',' });
        append_value(sql, argument);
    }
    sql.push(')');
}

/// A value written out, strings as hexadecimal digits.
pub(crate) fn append_value(sql: &mut String, value: &Value) {
    match value {
        Value::Bytes(bytes) => append_bytes(sql, bytes),
        Value::Int(number) => {
            let _ = write!(sql, "{number}");
        }
        Value::UInt(number) => {
            let _ = write!(sql, "{number}");
        }
        _ => sql.push_str("NULL"),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn append_bytes(sql: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    if bytes.is_empty() {
        return sql.push_str("''");
    }
    sql.push_str("x'");
    sql.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
    sql.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cannot_carry_sql() {
        let mut sql = String::new();
        let arguments = ["'); DROP".into(), "".into(), Value::Int(-7), Value::NULL];
        append_call(&mut sql, "`p`", &arguments);
        assert_eq!(sql, "CALL `p`(x'27293b2044524f50','',-7,NULL)");
    }
}
