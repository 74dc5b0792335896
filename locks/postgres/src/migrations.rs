//! Tables and functions, embedded. The files are Diesel's layout and plain SQL, and say nothing but the default table
//! names; here each is rewritten for the configured ones.

use std::time::Duration;

use db_locks_core::{LockError, LockResult};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::config::Names;
use crate::pool::Connections;

/// Processes that start together wait for one another here; the number is ours alone.
const ADVISORY_LOCK: i64 = 0x64_62_6c_6f_63_6b_73;
/// The longest time for all migrations, the wait for other processes included.
const LIMIT: Duration = Duration::from_secs(60);

struct Migration {
    version: &'static str,
    name: &'static str,
    up: &'static str,
}

/// In the order in which they are applied. What has been released is never changed, only added to.
const MIGRATIONS: [Migration; 5] = [
    Migration {
        version: "00000000000001",
        name: "00000000000001_create_locks",
        up: include_str!("../migrations/00000000000001_create_locks/up.sql"),
    },
    Migration {
        version: "00000000000002",
        name: "00000000000002_create_functions",
        up: include_str!("../migrations/00000000000002_create_functions/up.sql"),
    },
    Migration {
        version: "00000000000003",
        name: "00000000000003_create_fenced",
        up: include_str!("../migrations/00000000000003_create_fenced/up.sql"),
    },
    Migration {
        version: "00000000000004",
        name: "00000000000004_create_batches",
        up: include_str!("../migrations/00000000000004_create_batches/up.sql"),
    },
    Migration {
        version: "00000000000005",
        name: "00000000000005_create_slot_batches",
        up: include_str!("../migrations/00000000000005_create_slot_batches/up.sql"),
    },
];

/// Applies what is missing; returns the names of what was applied.
///
/// # Errors
/// `AccessDenied` without the right to create tables; `Validation` when the tables belong to another installation.
pub(crate) async fn run(connections: &Connections, names: &Names) -> LockResult<Vec<String>> {
    connections
        .with_client("migrate", LIMIT, async |client: &mut ClientWrapper| {
            // One look without a lock first: usually all is in place, and reading needs no right to create.
            match missing(client, names).await? {
                Missing::Nothing => Ok(Ok(Vec::new())),
                Missing::OtherNames(error) => Ok(Err(error)),
                Missing::From(_) => apply(client, names).await,
            }
        })
        .await?
}

async fn apply(client: &mut ClientWrapper, names: &Names) -> Result<LockResult<Vec<String>>, Error> {
    let transaction = client.transaction().await?;
    transaction.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&ADVISORY_LOCK, Type::INT8)]).await?;
    // Somebody else may have done it while we waited. (A missing table must not spoil this transaction.)
    let first = match state(&transaction, names).await? {
        Missing::Nothing => return Ok(Ok(Vec::new())),
        Missing::OtherNames(error) => return Ok(Err(error)),
        Missing::From(first) => first,
    };
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().skip(first) {
        transaction.batch_execute(&renamed(migration.up, names)).await?;
        applied.push(migration.name.to_string());
    }
    transaction.commit().await?;
    Ok(Ok(applied))
}

enum Missing {
    Nothing,
    /// This migration and all after it.
    From(usize),
    OtherNames(LockError),
}

/// What is missing, where the table of migrations may not exist.
async fn missing(client: &ClientWrapper, names: &Names) -> Result<Missing, Error> {
    match client.query_typed(APPLIED, &tables(names)).await {
        Ok(rows) => judge(&rows, names),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Missing::From(0)),
        Err(error) => Err(error),
    }
}

/// The same inside a transaction, which must not see an error.
async fn state(transaction: &deadpool_postgres::Transaction<'_>, names: &Names) -> Result<Missing, Error> {
    let exists =
        transaction.query_typed("SELECT to_regclass('db_locks_migrations') IS NOT NULL", &[]).await?;
    match exists.first().map(|row| row.try_get(0)).transpose()? {
        Some(true) => judge(&transaction.query_typed(APPLIED, &tables(names)).await?, names),
        _ => Ok(Missing::From(0)),
    }
}

/// What was applied to any of these tables, if they are still there.
const APPLIED: &str = "SELECT version, mutexes_table, semaphores_table, waiters_table FROM db_locks_migrations \
    WHERE (mutexes_table = $1 OR semaphores_table = $2 OR waiters_table = $3) \
    AND to_regclass(quote_ident(mutexes_table)) IS NOT NULL ORDER BY version";

/// The parameters of [`APPLIED`].
fn tables(names: &Names) -> [(&(dyn ToSql + Sync), Type); 3] {
    [(&names.mutexes, Type::TEXT), (&names.semaphores, Type::TEXT), (&names.waiters, Type::TEXT)]
}

fn judge(rows: &[Row], names: &Names) -> Result<Missing, Error> {
    let mut applied: Vec<String> = Vec::new();
    for row in rows {
        let theirs = [row.try_get::<_, &str>(1)?, row.try_get(2)?, row.try_get(3)?];
        if theirs != [&names.mutexes, &names.semaphores, &names.waiters] {
            return Ok(Missing::OtherNames(shared_table(theirs, names)));
        }
        applied.push(row.try_get(0)?);
    }
    // Each can be applied again without harm, so what comes after a gap is.
    let first =
        MIGRATIONS.iter().position(|migration| !applied.iter().any(|version| version == migration.version));
    Ok(first.map_or(Missing::Nothing, Missing::From))
}

/// Waiters of one installation would stand in the way of the other's.
fn shared_table(theirs: [&str; 3], names: &Names) -> LockError {
    let ours = [
        ("mutexes_table_name", &names.mutexes),
        ("semaphores_table_name", &names.semaphores),
        ("waiters_table_name", &names.waiters),
    ];
    let shared = ours.into_iter().zip(theirs).find(|((_, ours), theirs)| ours == theirs);
    let (field, table) =
        shared.map_or(("mutexes_table_name", theirs[0]), |((field, _), table)| (field, table));
    LockError::validation(
        field,
        format!(
            "the table {table:?} belongs to the installation with the tables {}; choose another name",
            theirs.join(", ")
        ),
    )
}

/// The SQL for other table names: every quoted name that is, or begins with, a default table name is replaced.
fn renamed(sql: &str, names: &Names) -> String {
    let tables = [
        ("mutexes", names.mutexes.as_str()),
        ("semaphores", names.semaphores.as_str()),
        ("lock_waiters", names.waiters.as_str()),
    ];
    let mut out = String::with_capacity(sql.len() + 1_024);
    let mut rest = sql;
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(at + 1);
        out.push_str(before);
        rest = quoted;
        let default = tables.iter().find(|(default, _)| {
            rest.strip_prefix(default).is_some_and(|after| after.starts_with(['"', '\'', '_']))
        });
        if let Some((default, name)) = default {
            out.push_str(name);
            rest = rest.get(default.len()..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_follows_the_table_names() {
        let names = Names {
            mutexes: "Mine".into(),
            semaphores: "my_semaphores".into(),
            waiters: "my_waiters".into(),
        };
        for migration in &MIGRATIONS {
            let sql = renamed(migration.up, &names);
            for default in ["\"mutexes", "\"semaphores", "\"lock_waiters", "'mutexes'"] {
                assert!(!sql.contains(default), "{default} is left in {}", migration.name);
            }
        }
        assert_eq!(
            renamed(
                r#"FROM "mutexes_acquire", "lock_waiters_clients" x, "semaphores" 'mutexes' mutexes"#,
                &names
            ),
            r#"FROM "Mine_acquire", "my_waiters_clients" x, "my_semaphores" 'Mine' mutexes"#
        );
    }

    #[test]
    fn default_names_leave_the_files_as_they_are() {
        let names = Names {
            mutexes: "mutexes".into(),
            semaphores: "semaphores".into(),
            waiters: "lock_waiters".into(),
        };
        for migration in &MIGRATIONS {
            assert_eq!(renamed(migration.up, &names), migration.up);
        }
    }

    #[test]
    fn each_migration_records_itself() {
        for migration in &MIGRATIONS {
            assert!(migration.name.starts_with(migration.version));
            assert!(migration.up.contains(&format!("VALUES ('mutexes', '{}'", migration.version)));
        }
    }
}
