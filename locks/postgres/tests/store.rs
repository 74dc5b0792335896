//! What is PostgreSQL's own: migrations, rights, timeouts, isolation, wake-ups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use db_locks_core::protocol::TOMBSTONE_TTL_MS;
use db_locks_core::{Acquired, ErrorKind, LockRepository, MutexRepository, RenewRequest};
use db_locks_postgres::PostgresRepository;
use support::{Schema, ask, granted, mutex, plain_client, release, renewal, semaphore, server_url};
use tokio::time::timeout;

const UP: [&str; 5] = [
    include_str!("../migrations/00000000000001_create_locks/up.sql"),
    include_str!("../migrations/00000000000002_create_functions/up.sql"),
    include_str!("../migrations/00000000000003_create_fenced/up.sql"),
    include_str!("../migrations/00000000000004_create_batches/up.sql"),
    include_str!("../migrations/00000000000005_create_slot_batches/up.sql"),
];
const DOWN: [&str; 5] = [
    include_str!("../migrations/00000000000005_create_slot_batches/down.sql"),
    include_str!("../migrations/00000000000004_create_batches/down.sql"),
    include_str!("../migrations/00000000000003_create_fenced/down.sql"),
    include_str!("../migrations/00000000000002_create_functions/down.sql"),
    include_str!("../migrations/00000000000001_create_locks/down.sql"),
];

#[tokio::test]
async fn missing_tables_are_an_error_that_names_the_remedy() {
    let schema = Schema::new().await;
    let mut config = schema.config("");
    config.run_database_migrations = Some(false);
    let store = PostgresRepository::connect(&config).await.unwrap();
    let error = store.acquire(&ask(&mutex("one"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(!error.retryable() && error.to_string().contains("db-locks migrate"), "{error}");
    let error = store.get_mutex(&mutex("one")).await.unwrap_err();
    assert!(error.to_string().contains("db-locks migrate"), "{error}");

    let applied = store.migrate().await.unwrap();
    assert_eq!(
        applied,
        [
            "00000000000001_create_locks",
            "00000000000002_create_functions",
            "00000000000003_create_fenced",
            "00000000000004_create_batches",
            "00000000000005_create_slot_batches"
        ]
    );
    granted(&store, &ask(&mutex("one"))).await;
    schema.drop().await;
}

/// As `psql -f up.sql`, or Diesel, does it; beside our own.
#[tokio::test]
async fn migrations_by_hand_and_ours_do_not_fight() {
    let schema = Schema::new().await;
    for up in UP {
        schema.admin.batch_execute(up).await.unwrap();
    }
    let store = schema.connect("").await;
    assert!(store.migrate().await.unwrap().is_empty(), "nothing was left to do");
    let held = granted(&store, &ask(&mutex("one"))).await;

    // As `diesel migration redo` would: functions taken back and made again lose no lock.
    schema.admin.batch_execute(DOWN[3]).await.unwrap();
    assert!(store.renew(&renewal(&held)).await.is_err());
    schema.admin.batch_execute(UP[1]).await.unwrap();
    let renewed = store.renew(&renewal(&held)).await.unwrap();
    assert_eq!(renewed.fencing_token, held.fencing_token);

    for down in DOWN {
        schema.admin.batch_execute(down).await.unwrap();
    }
    assert_eq!(
        schema
            .number("SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace")
            .await,
        0
    );
    assert_eq!(store.migrate().await.unwrap().len(), UP.len());
    granted(&store, &ask(&mutex("one"))).await;
    schema.drop().await;
}

#[tokio::test]
async fn two_installations_share_a_schema_but_not_a_table() {
    let schema = Schema::new().await;
    let first = schema.connect("").await;
    let mut config = schema.config("");
    config.mutexes_table_name = Some("Y".repeat(48));
    config.semaphores_table_name = Some("x".repeat(48));
    let error = PostgresRepository::connect(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(
        error.to_string().starts_with("waiters_table_name") && error.to_string().contains("lock_waiters"),
        "{error}"
    );

    config.waiters_table_name = Some("z".repeat(48));
    let second = PostgresRepository::connect(&config).await.unwrap();
    for lock in [mutex("one"), semaphore("one")] {
        let held = granted(&first, &ask(&lock)).await;
        granted(&second, &ask(&lock)).await;
        first.renew(&renewal(&held)).await.unwrap();
    }
    schema.drop().await;
}

#[tokio::test]
async fn refused_credentials_and_rights_are_told_apart_from_outages() {
    let schema = Schema::new().await;
    schema.connect("").await;
    let role = format!("r_{}", schema.name);
    schema
        .admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'right'; GRANT USAGE ON SCHEMA {} TO {role}",
            schema.name
        ))
        .await
        .unwrap();
    let (_, place) = server_url().split_once('@').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    let connect = |login: String| {
        let mut config = schema.config("");
        config.database_url =
            Some(format!("postgres://{login}@{place}?options=-c%20search_path%3D{}", schema.name));
        async move { PostgresRepository::connect(&config).await }
    };

    let error = connect("nobody_of_this_name:s3cret".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
    assert!(!error.chain().contains("s3cret") && !format!("{error:?}").contains("s3cret"));
    let error = connect(format!("{role}:right")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
    assert!(error.to_string().contains("42501"), "{error}");
    assert!(!error.retryable());

    // The rights that the README names suffice, when somebody else has migrated.
    let grants = "GRANT SELECT ON db_locks_migrations TO ROLE; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON mutexes, semaphores, lock_waiters, lock_waiters_clients TO ROLE; \
        GRANT USAGE ON SEQUENCE lock_waiters_seq_seq TO ROLE";
    schema.admin.batch_execute(&grants.replace("ROLE", &role)).await.unwrap();
    let store = connect(format!("{role}:right")).await.unwrap();
    for lock in [mutex("one"), semaphore("one")] {
        let held = granted(&store, &ask(&lock)).await;
        let mut waiting = ask(&lock);
        waiting.wait = true;
        store.acquire(&waiting).await.unwrap();
        assert!(store.release(&release(&held)).await.unwrap());
        store.abandon(&lock, &waiting.version).await.unwrap();
    }
    drop(store);
    let drop_role = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    let _ = schema.admin.batch_execute(&drop_role).await;
    schema.drop().await;
}

#[tokio::test]
async fn read_only_database_is_access_denied() {
    let schema = Schema::new().await;
    schema.connect("").await;
    let mut config = schema.config("");
    let options = format!("-c%20search_path%3D{}%20-c%20default_transaction_read_only%3Don", schema.name);
    config.database_url = Some(format!("{}?options={options}", server_url()));
    let store = PostgresRepository::connect(&config).await.unwrap();
    for lock in [mutex("one"), semaphore("one")] {
        let error = store.acquire(&ask(&lock)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
        assert!(error.to_string().contains("target_session_attrs"), "{error}");
    }
    schema.drop().await;
}

/// A row that somebody holds on to makes a call late, not stuck, and leaves nothing on the server or in the pool.
#[tokio::test]
async fn late_statements_are_given_up_on_both_sides() {
    let schema = Schema::new().await;
    let mut config = schema.config(&format!("application_name={}", schema.name));
    config.request_timeout_ms = Some(300);
    config.database_pool_size = Some(2);
    let store = PostgresRepository::connect(&config).await.unwrap();
    let held = granted(&store, &ask(&mutex("one"))).await;
    schema
        .admin
        .batch_execute("BEGIN; SELECT 1 FROM mutexes WHERE mutex_key = 'one' FOR UPDATE")
        .await
        .unwrap();

    for _ in 0..4 {
        let started = Instant::now();
        let error = store.renew(&renewal(&held)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    // Other locks go on meanwhile.
    granted(&store, &ask(&mutex("two"))).await;
    // Dropped in the middle.
    assert!(timeout(Duration::from_millis(50), store.release(&release(&held))).await.is_err());
    store.ping().await.unwrap();

    let observer = plain_client(&server_url()).await;
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND wait_event_type = 'Lock' \
         AND query NOT LIKE '%release%'",
        schema.name
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while observer.query_one(&waiting, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(Instant::now() < deadline, "statements were left on the server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    schema.admin.batch_execute("ROLLBACK").await.unwrap();
    store.abandon(&mutex("one"), &held.version).await.unwrap();
    granted(&store, &ask(&mutex("one"))).await;
    schema.drop().await;
}

/// The functions need READ COMMITTED; a database with another default must not make them fail under contention.
#[tokio::test(flavor = "multi_thread")]
async fn another_default_isolation_changes_nothing() {
    let schema = Schema::new().await;
    schema.connect("").await;
    let mut config = schema.config("");
    let options =
        format!("-c%20search_path%3D{}%20-c%20default_transaction_isolation%3Dserializable", schema.name);
    config.database_url = Some(format!("{}?options={options}", server_url()));
    config.database_pool_size = Some(8);
    let store = PostgresRepository::connect(&config).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                for lock in [mutex("one"), semaphore("one")] {
                    if let Acquired::Granted(lock) = store.acquire(&ask(&lock)).await.unwrap() {
                        assert!(store.release(&release(&lock)).await.unwrap());
                    }
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    schema.drop().await;
}

/// Many renewals in one statement lock their rows in one order, whatever the caller's.
#[tokio::test(flavor = "multi_thread")]
async fn renewals_in_opposite_orders_do_not_deadlock() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    let mut renewals: Vec<RenewRequest> = Vec::new();
    for key in 0..40 {
        for lock in [mutex(&format!("k{key}")), semaphore(&format!("k{key}"))] {
            let held = granted(&store, &ask(&lock)).await;
            // The version stays, so that both sides go on being right.
            renewals.push(RenewRequest { new_version: held.version.clone(), ..renewal(&held) });
        }
    }
    let mut tasks = tokio::task::JoinSet::new();
    for side in 0..4 {
        let (store, mut renewals) = (store.clone(), renewals.clone());
        if side % 2 == 0 {
            renewals.reverse();
        }
        tasks.spawn(async move {
            for _ in 0..25 {
                for (request, reply) in renewals.iter().zip(store.renew_many(&renewals).await) {
                    assert_eq!(reply.unwrap().lock_id().unwrap(), request.lock);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    schema.drop().await;
}

#[tokio::test]
async fn old_tombstones_and_dead_clients_are_forgotten() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    for key in ["a", "b", "c"] {
        let mut request = ask(&mutex(key));
        request.delete_on_release = true;
        let lock = granted(&store, &request).await;
        assert!(store.release(&release(&lock)).await.unwrap());
    }
    let count = "SELECT count(*) FROM mutexes";
    assert_eq!(schema.number(count).await, 3, "tombstones stay at first");
    let age =
        format!("UPDATE mutexes SET deleted_at_us = deleted_at_us - {}", (TOMBSTONE_TTL_MS + 1_000) * 1_000);
    schema.admin.batch_execute(&age).await.unwrap();
    let lock = granted(&store, &ask(&mutex("d"))).await;
    assert!(store.release(&release(&lock)).await.unwrap());
    store.delete_mutex(&mutex("d"), &lock.version).await.unwrap();
    assert_eq!(schema.number(count).await, 1, "only the newest");

    let held = granted(&store, &ask(&mutex("one"))).await;
    let mut waiting = ask(&mutex("one"));
    waiting.wait = true;
    assert!(matches!(store.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    let age = "UPDATE lock_waiters SET deadline_us = deadline_us - 600000000; \
               UPDATE lock_waiters_clients SET deadline_us = deadline_us - 600000000";
    schema.admin.batch_execute(age).await.unwrap();
    schema.connect("").await.beat(&[]).await.unwrap();
    assert_eq!(schema.number("SELECT count(*) FROM lock_waiters").await, 0);
    assert_eq!(schema.number("SELECT count(*) FROM lock_waiters_clients").await, 1);
    assert!(store.release(&release(&held)).await.unwrap());
    schema.drop().await;
}

/// Waits in `waiter` for what `holder` holds, releases it, and says how long the bell took.
async fn handover(holder: &PostgresRepository, waiter: &PostgresRepository, key: &str) -> Duration {
    let held = granted(holder, &ask(&mutex(key))).await;
    let mut waiting = ask(&mutex(key));
    waiting.wait = true;
    assert!(matches!(waiter.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    // The first waiter of a process is rung once the connection listens.
    let _ = timeout(Duration::from_millis(300), waiter.rung(&waiting.version)).await;
    waiter.beat(&[]).await.unwrap();
    let released = Instant::now();
    assert!(holder.release(&release(&held)).await.unwrap());
    timeout(Duration::from_secs(5), waiter.rung(&waiting.version)).await.expect("the bell did not ring");
    let lock = granted(waiter, &waiting).await;
    let took = released.elapsed();
    assert!(waiter.release(&release(&lock)).await.unwrap());
    took
}

#[tokio::test]
async fn release_rings_the_first_waiter_of_another_process() {
    let schema = Schema::new().await;
    let (holder, waiter) = (schema.connect("").await, schema.connect("").await);
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(handover(&holder, &waiter, "one").await);
    }
    times.sort();
    println!("handover over LISTEN/NOTIFY: median {:?} of {times:?}", times[times.len() / 2]);
    schema.drop().await;
}

#[tokio::test]
async fn lost_listener_connection_is_opened_again() {
    let schema = Schema::new().await;
    let name = format!("application_name={}", schema.name);
    let (holder, waiter) = (schema.connect("").await, schema.connect(&name).await);
    handover(&holder, &waiter, "one").await;
    let killed = schema
        .number(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = '{}' AND query LIKE 'LISTEN%'",
            schema.name
        ))
        .await;
    assert_eq!(killed, 1, "one connection listens");
    handover(&holder, &waiter, "one").await;
    handover(&holder, &waiter, "one").await;
    schema.drop().await;
}

/// Behind a transaction pooler there are no notifications, and nobody is promised any.
#[tokio::test]
async fn without_listening_nothing_is_pushed() {
    let schema = Schema::new().await;
    let store = schema.connect("prepare=false").await;
    assert!(!store.capabilities().push);
    assert!(schema.connect("prepare=false&listen=true").await.capabilities().push);
    let held = granted(&store, &ask(&mutex("one"))).await;
    let mut waiting = ask(&mutex("one"));
    waiting.wait = true;
    assert!(matches!(store.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    assert!(store.release(&release(&held)).await.unwrap());
    assert!(timeout(Duration::from_millis(100), store.rung(&waiting.version)).await.is_err());
    granted(&store, &waiting).await;
    schema.drop().await;
}
