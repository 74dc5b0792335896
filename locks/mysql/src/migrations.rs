//! Tables and procedures: the same files as for Diesel and for the command-line client.

use db_locks_core::{LockError, LockResult};
use mysql_async::{Row, from_row_opt};

use crate::config::{Settings, Tables};
use crate::error::{Fault, Task};
use crate::pool::{Lease, Pool};

/// The longest wait for another process that is at it, in seconds.
const LOCK_WAIT_SECS: u32 = 30;

/// One version of the database.
struct Migration {
    name: &'static str,
    up: &'static str,
    /// Whether it makes the tables of locks.
    tables: bool,
    /// The ends of the names of other tables that it makes; they begin as those of procedures do.
    more_tables: &'static [&'static str],
    /// The ends of the names of the procedures that it makes; they begin with the name of the table of mutexes.
    procedures: &'static [&'static str],
}

const MIGRATIONS: [Migration; 4] = [
    Migration {
        name: "00000000000001_create_locks",
        up: include_str!("../migrations/00000000000001_create_locks/up.sql"),
        tables: true,
        more_tables: &[],
        procedures: &[],
    },
    Migration {
        name: "00000000000002_create_procedures",
        up: include_str!("../migrations/00000000000002_create_procedures/up.sql"),
        tables: false,
        more_tables: &[],
        procedures: &[
            "place_v1",
            "enter_v1",
            "take_v1",
            "take_slow_v1",
            "take_slot_v1",
            "renew_v1",
            "release_v1",
            "release_slow_v1",
            "purge_v1",
            "abandon_v1",
            "delete_v1",
            "put_sem_v1",
            "del_sem_v1",
        ],
    },
    Migration {
        name: "00000000000003_create_fenced",
        up: include_str!("../migrations/00000000000003_create_fenced/up.sql"),
        tables: false,
        more_tables: &["fenced"],
        procedures: &[],
    },
    Migration {
        name: "00000000000004_create_slot_batches",
        up: include_str!("../migrations/00000000000004_create_slot_batches/up.sql"),
        tables: false,
        more_tables: &[],
        procedures: &["try_slot_v1"],
    },
];

/// Applies what is missing and names it. Many processes may do so at once: one does, the others wait for it.
///
/// # Errors
/// `AccessDenied` without the rights; `CurrentlyUnavailable`; `Database`.
pub(crate) async fn apply(pool: &Pool, settings: &Settings) -> LockResult<Vec<String>> {
    let task = Task::general("making tables and procedures");
    let explain = |fault: Fault| fault.into_lock_error(&settings.place, task);
    let mut lease = pool.lease().await.map_err(explain)?;
    let mut applied = Vec::new();
    if !missing(&mut lease, &settings.tables).await.map_err(explain)?.is_empty() {
        // The server frees the name by itself when the connection is closed, as it is after an error.
        if !lock(&mut lease).await.map_err(explain)? {
            let message = format!(
                "{}: another process has been making the tables for {LOCK_WAIT_SECS} s",
                settings.place
            );
            return Err(LockError::timed_out(message));
        }
        for migration in missing(&mut lease, &settings.tables).await.map_err(explain)? {
            lease.batch(&renamed(migration.up, &settings.tables)).await.map_err(explain)?;
            applied.push(migration.name.to_string());
        }
        lease.batch(&format!("DO RELEASE_LOCK({LOCK_NAME})")).await.map_err(explain)?;
    }
    lease.done();
    Ok(applied)
}

/// The name under which processes take turns: one for each database of the server, within 64 characters. MySQL 9.6 and later have
/// neither MD5 nor SHA1.
const LOCK_NAME: &str = "CONCAT('db-locks migrate ', LEFT(SHA2(DATABASE(), 256), 32))";

async fn lock(lease: &mut Lease<'_>) -> Result<bool, Fault> {
    let results =
        lease.batch(&format!("SELECT COALESCE(GET_LOCK({LOCK_NAME}, {LOCK_WAIT_SECS}), 0)")).await?;
    Ok(first::<i64>(results) == Some(1))
}

/// The migrations that are not recorded, or of which something is not there any more.
async fn missing(lease: &mut Lease<'_>, tables: &Tables) -> Result<Vec<&'static Migration>, Fault> {
    // Before the first one there is no record.
    let recorded = match lease.batch(&recorded_sql(tables)).await {
        Ok(results) => {
            results.into_iter().flatten().filter_map(|row| from_row_opt::<String>(row).ok()).collect()
        }
        Err(fault) if fault.is_missing_table() => Vec::new(),
        Err(fault) => return Err(fault),
    };
    let mut missing = Vec::new();
    for migration in &MIGRATIONS {
        let there = recorded.iter().any(|name| name == migration.name);
        if !there || !objects_exist(lease, tables, migration).await? {
            missing.push(migration);
        }
    }
    Ok(missing)
}

fn recorded_sql(tables: &Tables) -> String {
    format!("SELECT version FROM db_locks_migrations WHERE mutexes_table = '`{}`'", tables.mutexes)
}

async fn objects_exist(lease: &mut Lease<'_>, tables: &Tables, migration: &Migration) -> Result<bool, Fault> {
    let mut table_names: Vec<String> = match migration.tables {
        true => tables.names().iter().map(|name| (*name).to_string()).collect(),
        false => Vec::new(),
    };
    table_names.extend(migration.more_tables.iter().map(|end| format!("{}_{end}", tables.mutexes)));
    // An empty list is not SQL; and nothing has an empty name.
    let quoted = |names: &[String]| match names {
        [] => "''".to_string(),
        names => names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", "),
    };
    let procedures: Vec<String> =
        migration.procedures.iter().map(|end| format!("{}_{end}", tables.mutexes)).collect();
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({})) \
              + (SELECT COUNT(*) FROM information_schema.ROUTINES \
                 WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'PROCEDURE' AND ROUTINE_NAME IN ({}))",
        quoted(&table_names),
        quoted(&procedures),
    );
    let found = first::<usize>(lease.batch(&sql).await?);
    Ok(found == Some(table_names.len() + procedures.len()))
}

/// The first column of the first row.
fn first<T: mysql_async::prelude::FromValue>(results: Vec<Vec<Row>>) -> Option<T> {
    results.into_iter().flatten().next()?.take_opt(0)?.ok()
}

/// Replaces the default names, which stand between backquotes, by the configured ones.
fn renamed(sql: &str, tables: &Tables) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('`') {
        out.push_str(before);
        out.push('`');
        match after.split_once('`') {
            Some((name, after)) if is_identifier(name) => {
                out.push_str(&new_name(name, tables));
                out.push('`');
                rest = after;
            }
            _ => rest = after,
        }
    }
    out.push_str(rest);
    out
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn new_name(name: &str, tables: &Tables) -> String {
    match name {
        "mutexes" => tables.mutexes.clone(),
        "semaphores" => tables.semaphores.clone(),
        "lock_waiters" => tables.waiters.clone(),
        "lock_waiters_clients" => tables.clients.clone(),
        _ => match name.strip_prefix("mutexes_") {
            Some(end) => format!("{}_{end}", tables.mutexes),
            None => name.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use db_locks_core::LocksConfig;
    use db_locks_core::protocol::{
        CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, TOMBSTONE_TTL_MS, WAITER_TTL_MS,
    };

    use super::*;

    fn tables(mutexes: &str, semaphores: &str) -> Tables {
        let mut config = LocksConfig::new("t");
        config.mutexes_table_name = Some(mutexes.to_string());
        config.semaphores_table_name = Some(semaphores.to_string());
        Tables::new(&config).unwrap()
    }

    #[test]
    fn default_names_change_nothing() {
        for migration in &MIGRATIONS {
            assert_eq!(renamed(migration.up, &tables("mutexes", "semaphores")), migration.up);
        }
    }

    #[test]
    fn names_are_replaced_at_once() {
        let sql = "`mutexes` `semaphores` `mutexes_take_v1` `lock_waiters_clients` `other` ` `mutexes";
        let renamed = renamed(sql, &tables("semaphores2", "mutexes"));
        assert_eq!(
            renamed,
            "`semaphores2` `mutexes` `semaphores2_take_v1` `lock_waiters_clients` `other` ` `mutexes"
        );
    }

    #[test]
    fn every_procedure_is_known_and_taken_down() {
        let downs = [
            (1, include_str!("../migrations/00000000000002_create_procedures/down.sql")),
            (3, include_str!("../migrations/00000000000004_create_slot_batches/down.sql")),
        ];
        for (number, down) in downs {
            let migration = &MIGRATIONS[number];
            let made = migration.up.matches("CREATE PROCEDURE `mutexes_").count();
            assert_eq!(made, migration.procedures.len());
            for end in migration.procedures {
                assert!(migration.up.contains(&format!("CREATE PROCEDURE `mutexes_{end}`")), "{end}");
                assert!(down.contains(&format!("DROP PROCEDURE IF EXISTS `mutexes_{end}`")), "{end}");
                assert!(end.len() + 49 <= 64, "{end} leaves no room for a table's name of 48 characters");
            }
        }
    }

    /// The protocol's numbers are written out in the procedures.
    #[test]
    fn procedures_have_the_protocols_numbers() {
        let up = MIGRATIONS[1].up;
        for number in [
            format!("p_now + {}000 + 1000000", WAITER_TTL_MS),
            format!("v_now + {}000", WAITER_TTL_MS),
            format!("p_now + {}000 THEN", CLIENT_TTL_MS),
            format!("p_now + {}000", CLIENT_TTL_MS + 50),
            format!("GREATEST(p_free, {MAX_POSITION})"),
            format!("LIMIT {MAX_WAITERS}"),
            format!("p_now - {}000", TOMBSTONE_TTL_MS),
        ] {
            assert!(up.contains(&number), "up.sql does not say {number}");
        }
    }
}
