//! Locked rows, killed connections, full pools.

use std::time::{Duration, Instant};

use db_locks_core::{ErrorKind, LockRepository, MutexRepository};
use db_locks_mysql::MysqlRepository;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::support::{Database, ask, busy, granted, mutex, plain_client, release, renewal, semaphore};

/// Locks the row of mutex `key` from outside; the transaction ends with the connection.
async fn lock_row(database: &Database, key: &str) -> mysql_async::Conn {
    let mut outside = plain_client(&database.url).await;
    outside.query_drop("START TRANSACTION").await.unwrap();
    outside.query_drop(format!("SELECT * FROM mutexes WHERE tenant_id = 'tenant' AND semaphore_key = '' AND mutex_key = '{key}' FOR UPDATE")).await.unwrap();
    outside
}

/// The client gives up first; its connection is not used again, so the late answer meets nobody.
#[tokio::test]
async fn a_late_answer_meets_nobody() {
    let database = Database::new().await;
    let mut config = database.config();
    config.request_timeout_ms = Some(900);
    config.database_pool_size = Some(1);
    let store = MysqlRepository::connect(&config).await.unwrap();
    let held = granted(&store, &ask(&mutex("one"))).await;
    let outside = lock_row(&database, "one").await;
    let begun = Instant::now();
    let error = store.renew(&renewal(&held)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
    assert!(error.retryable() && begun.elapsed() < Duration::from_secs(3));
    // One connection is all there may be, and another request gets its own answer on it.
    assert_eq!(granted(&store, &ask(&mutex("two"))).await.mutex_key, "two");
    drop(outside);
    database.drop().await;
}

/// The server gives up first, and nothing is left open.
#[tokio::test]
async fn a_locked_row_is_an_error_that_passes() {
    let mut database = Database::new().await;
    let mut config = database.config();
    // The server waits half as long, in whole seconds: one.
    config.request_timeout_ms = Some(3_000);
    let store = MysqlRepository::connect(&config).await.unwrap();
    let held = granted(&store, &ask(&mutex("one"))).await;
    granted(&store, &ask(&semaphore("one"))).await;
    let outside = lock_row(&database, "one").await;
    for error in [
        store.acquire(&ask(&mutex("one"))).await.unwrap_err(),
        store.renew(&renewal(&held)).await.unwrap_err(),
        store.release(&release(&held)).await.unwrap_err(),
        store.delete_mutex(&mutex("one"), "any").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Database, "{}", error.chain());
        assert!(error.retryable(), "{error}");
    }
    outside.disconnect().await.unwrap();
    // The server needs a moment to notice that a connection is gone.
    let open = "SELECT COUNT(*) FROM information_schema.INNODB_TRX t \
        JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id WHERE p.DB = DATABASE()";
    let begun = Instant::now();
    while database.one::<u32>(open).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "transactions were left open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    busy(&store, &ask(&mutex("one"))).await;
    store.renew(&renewal(&held)).await.unwrap();
    database.drop().await;
}

/// As after a restart or an idle time-out: the next request does not notice.
#[tokio::test]
async fn killed_idle_connections_are_not_noticed() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    let held = granted(&store, &ask(&mutex("one"))).await;
    for _ in 0..2 {
        let ours: Vec<u64> = database
            .admin
            .query("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()")
            .await
            .unwrap();
        assert!(!ours.is_empty());
        for id in ours {
            database.run(&format!("KILL {id}")).await;
        }
        busy(&store, &ask(&mutex("one"))).await;
    }
    store.renew(&renewal(&held)).await.unwrap();
    database.drop().await;
}

/// Futures that are dropped anywhere in the middle spoil nothing for those after them.
#[tokio::test]
async fn dropped_requests_spoil_nothing() {
    let database = Database::new().await;
    let mut config = database.config();
    config.database_pool_size = Some(2);
    let store = MysqlRepository::connect(&config).await.unwrap();
    for round in 0..60_u64 {
        let key = mutex(&format!("key {round}"));
        let _ = tokio::time::timeout(Duration::from_micros(round * 25), store.acquire(&ask(&key))).await;
        let other = mutex(&format!("other {round}"));
        let held = granted(&store, &ask(&other)).await;
        assert_eq!(held.mutex_key, other.key());
        assert!(store.release(&release(&held)).await.unwrap());
    }
    database.drop().await;
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    let mut database = Database::new().await;
    let mut config = database.config();
    config.database_pool_size = Some(3);
    let store = MysqlRepository::connect(&config).await.unwrap();
    let mut working = JoinSet::new();
    for task in 0..40 {
        let store = store.clone();
        working.spawn(async move {
            for round in 0..5 {
                let held = granted(&store, &ask(&mutex(&format!("{task} {round}")))).await;
                store.release(&release(&held)).await.unwrap();
            }
        });
    }
    let mut most = 0;
    while !working.is_empty() {
        let ours: u32 = database
            .one("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()")
            .await;
        most = most.max(ours);
        while let Some(done) = working.try_join_next() {
            done.unwrap();
        }
    }
    assert!((1..=3).contains(&most), "{most} connections");
    database.drop().await;
}

/// Many new rows at once are where InnoDB deadlocks; a victim is sent again without anybody's noticing.
#[tokio::test]
async fn first_grants_do_not_deadlock() {
    let database = Database::new().await;
    let store = database.connect().await;
    for round in 0..10 {
        let mut working = JoinSet::new();
        for _ in 0..16 {
            for lock in [mutex(&format!("key {round}")), semaphore(&format!("key {round}"))] {
                let store = store.clone();
                working.spawn(async move { store.acquire(&ask(&lock)).await });
            }
        }
        let mut granted = 0;
        while let Some(done) = working.join_next().await {
            let answer = done.unwrap().unwrap_or_else(|error| panic!("{}", error.chain()));
            granted += usize::from(matches!(answer, db_locks_core::Acquired::Granted(_)));
        }
        assert_eq!(granted, 3);
    }
    database.drop().await;
}
