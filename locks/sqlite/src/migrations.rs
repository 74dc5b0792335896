//! The tables, made by the same files that can be run by hand.

use rusqlite::{Connection, OptionalExtension, params};

use crate::config::Tables;

/// One step of the schema.
struct Migration {
    version: &'static str,
    up: &'static str,
}

/// Every step, oldest first.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: "00000000000001_create_locks",
        up: include_str!("../migrations/00000000000001_create_locks/up.sql"),
    },
    Migration {
        version: "00000000000002_create_fenced",
        up: include_str!("../migrations/00000000000002_create_fenced/up.sql"),
    },
];

/// The names of the steps that are not yet applied.
pub(crate) fn missing(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<&'static str>> {
    // A record whose tables somebody has dropped does not count.
    if !exists(connection, "db_locks_migrations")? || !exists(connection, &tables.mutexes)? {
        return Ok(MIGRATIONS.iter().map(|migration| migration.version).collect());
    }
    let names = filled(r#""mutexes","semaphores","lock_waiters""#, tables);
    let mut missing = Vec::new();
    for migration in MIGRATIONS {
        let applied = connection
            .prepare_cached("SELECT 1 FROM db_locks_migrations WHERE version = ?1 AND table_names = ?2")?
            .exists(params![migration.version, names])?;
        if !applied {
            missing.push(migration.version);
        }
    }
    Ok(missing)
}

/// Applies what is missing, inside the caller's write transaction, and names it.
pub(crate) fn apply(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<String>> {
    let missing = missing(connection, tables)?;
    for migration in MIGRATIONS.iter().filter(|migration| missing.contains(&migration.version)) {
        connection.execute_batch(&filled(migration.up, tables))?;
    }
    Ok(missing.into_iter().map(str::to_string).collect())
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .query_row([table], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// The file's text with the configured names for the default ones: `"mutexes_clock"` becomes `"my_mutexes_clock"`.
fn filled(sql: &str, tables: &Tables) -> String {
    let names =
        [("mutexes", &tables.mutexes), ("semaphores", &tables.semaphores), ("lock_waiters", &tables.waiters)];
    let mut filled = String::with_capacity(sql.len());
    for (i, part) in sql.split('"').enumerate() {
        if i > 0 {
            filled.push('"');
        }
        // Every second part stands between quotes.
        let name = names.iter().filter(|_| i % 2 == 1).find_map(|(default, configured)| {
            let rest = part.strip_prefix(default)?;
            (rest.is_empty() || rest.starts_with('_')).then(|| format!("{configured}{rest}"))
        });
        filled.push_str(name.as_deref().unwrap_or(part));
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use db_locks_core::LocksConfig;

    fn tables(prefix: &str) -> Tables {
        let mut config = LocksConfig::new("t");
        config.mutexes_table_name = Some(format!("{prefix}mutexes"));
        config.semaphores_table_name = Some(format!("{prefix}semaphores"));
        config.waiters_table_name = Some(format!("{prefix}lock_waiters"));
        Tables::new(&config).unwrap()
    }

    fn table_names(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
            .unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn each_set_of_tables_is_made_once() {
        let connection = Connection::open_in_memory().unwrap();
        for prefix in ["", "app_"] {
            let versions: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.version).collect();
            assert_eq!(apply(&connection, &tables(prefix)).unwrap(), versions);
            assert!(apply(&connection, &tables(prefix)).unwrap().is_empty());
        }
        let names = table_names(&connection);
        for name in
            ["app_mutexes", "app_mutexes_fenced", "app_lock_waiters_clients", "mutexes", "lock_waiters_queue"]
        {
            assert!(names.iter().any(|n| n == name), "{name} is missing in {names:?}");
        }
    }

    #[test]
    fn files_run_by_hand_and_by_the_program_agree() {
        let connection = Connection::open_in_memory().unwrap();
        let downs = [
            include_str!("../migrations/00000000000002_create_fenced/down.sql"),
            include_str!("../migrations/00000000000001_create_locks/down.sql"),
        ];
        for migration in MIGRATIONS {
            connection.execute_batch(migration.up).unwrap();
            connection.execute_batch(migration.up).unwrap();
        }
        assert!(apply(&connection, &tables("")).unwrap().is_empty());
        for down in downs {
            connection.execute_batch(down).unwrap();
        }
        assert_eq!(table_names(&connection), ["db_locks_migrations"]);
        assert_eq!(apply(&connection, &tables("")).unwrap().len(), MIGRATIONS.len());
    }
}
