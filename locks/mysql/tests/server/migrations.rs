//! Tables and procedures, made by us, by hand, by Diesel's way.

use std::process::Stdio;

use db_locks_core::{ErrorKind, LockRepository, MutexRepository};
use db_locks_mysql::MysqlRepository;
use mysql_async::{Opts, prelude::Queryable};
use tokio::io::AsyncWriteExt;

use crate::support::{Database, ask, granted, mutex, renewal, semaphore};

const UP: [&str; 4] = [
    include_str!("../../migrations/00000000000001_create_locks/up.sql"),
    include_str!("../../migrations/00000000000002_create_procedures/up.sql"),
    include_str!("../../migrations/00000000000003_create_fenced/up.sql"),
    include_str!("../../migrations/00000000000004_create_slot_batches/up.sql"),
];
const DOWN: [&str; 4] = [
    include_str!("../../migrations/00000000000004_create_slot_batches/down.sql"),
    include_str!("../../migrations/00000000000003_create_fenced/down.sql"),
    include_str!("../../migrations/00000000000002_create_procedures/down.sql"),
    include_str!("../../migrations/00000000000001_create_locks/down.sql"),
];
const NAMES: [&str; 4] = [
    "00000000000001_create_locks",
    "00000000000002_create_procedures",
    "00000000000003_create_fenced",
    "00000000000004_create_slot_batches",
];

#[tokio::test]
async fn missing_tables_are_an_error_that_names_the_remedy() {
    let database = Database::new().await;
    let mut config = database.config();
    config.run_database_migrations = Some(false);
    let store = MysqlRepository::connect(&config).await.unwrap();
    let error = store.acquire(&ask(&mutex("one"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(!error.retryable() && error.to_string().contains("db-locks migrate"), "{error}");
    // Which connects in the same way.
    assert_eq!(store.migrate().await.unwrap(), NAMES);
    granted(&store, &ask(&mutex("one"))).await;
    database.drop().await;
}

#[tokio::test]
async fn missing_procedures_are_made_again() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    let held = granted(&store, &ask(&mutex("one"))).await;
    database.run("DROP PROCEDURE mutexes_take_v1").await;
    let error = store.acquire(&ask(&mutex("two"))).await.unwrap_err();
    assert!(error.to_string().contains("db-locks migrate"), "{error}");
    assert_eq!(store.migrate().await.unwrap(), [NAMES[1]]);
    granted(&store, &ask(&mutex("two"))).await;
    store.renew(&renewal(&held)).await.unwrap();
    database.drop().await;
}

/// The whole file in one message is what Diesel sends.
#[tokio::test]
async fn diesels_way_and_ours_do_not_fight() {
    let mut database = Database::new().await;
    for up in UP {
        database.run(up).await;
    }
    let store = database.connect().await;
    assert!(store.migrate().await.unwrap().is_empty(), "nothing was left to do");
    let held = granted(&store, &ask(&mutex("one"))).await;

    // As `diesel migration redo` would: procedures taken back and made again lose no lock.
    database.run(DOWN[2]).await;
    assert!(store.renew(&renewal(&held)).await.is_err());
    database.run(UP[1]).await;
    let renewed = store.renew(&renewal(&held)).await.unwrap();
    assert_eq!(renewed.fencing_token, held.fencing_token);

    for down in DOWN {
        database.run(down).await;
    }
    let tables: u32 =
        database.one("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()").await;
    assert_eq!(tables, 0);
    assert_eq!(store.migrate().await.unwrap(), NAMES);
    granted(&store, &ask(&mutex("one"))).await;
    database.drop().await;
}

/// `mysql DATABASE < up.sql`, twice, with MariaDB's client or MySQL's.
#[tokio::test]
async fn command_line_client_can_do_it() {
    let mut database = Database::new().await;
    for up in [UP, UP].concat() {
        client(&database, up).await;
    }
    let mut config = database.config();
    config.run_database_migrations = Some(false);
    let store = MysqlRepository::connect(&config).await.unwrap();
    granted(&store, &ask(&mutex("one"))).await;
    granted(&store, &ask(&semaphore("one"))).await;
    let modes: Vec<String> = database
        .admin
        .query("SELECT DISTINCT SQL_MODE FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()")
        .await
        .unwrap();
    assert_eq!(modes, ["STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"]);
    for down in DOWN {
        client(&database, down).await;
    }
    assert!(store.get_mutex(&mutex("one")).await.is_err());
    database.drop().await;
}

async fn client(database: &Database, sql: &str) {
    let opts = Opts::from_url(&database.url).unwrap();
    let run = |program: &str| {
        tokio::process::Command::new(program)
            .args(["--no-defaults", "--protocol=TCP", "--host", opts.ip_or_hostname()])
            .arg(format!("--port={}", opts.tcp_port()))
            .arg(format!("--user={}", opts.user().unwrap()))
            .arg(format!("--password={}", opts.pass().unwrap()))
            .arg(&database.name)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    };
    let mut child =
        run("mariadb").or_else(|_| run("mysql")).expect("no command-line client: run `cargo xtask test`");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(sql.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two sets of tables in one database, with the names of the one turned round in the other.
#[tokio::test]
async fn sets_of_tables_live_side_by_side() {
    let mut database = Database::new().await;
    let mut other = database.config();
    other.mutexes_table_name = Some("Jobs_48_characters_long_0123456789_0123456789_01".into());
    other.semaphores_table_name = Some("mutexes_of_another".into());
    other.waiters_table_name = Some("lock_waiters_of_another".into());
    let here = database.connect().await;
    let there = MysqlRepository::connect(&other).await.unwrap();
    for lock in [mutex("one"), semaphore("one")] {
        let first = granted(&here, &ask(&lock)).await;
        granted(&there, &ask(&lock)).await;
        here.renew(&renewal(&first)).await.unwrap();
    }
    let recorded: u32 = database.one("SELECT COUNT(*) FROM db_locks_migrations").await;
    assert_eq!(recorded, 8);
    database.drop().await;
}
