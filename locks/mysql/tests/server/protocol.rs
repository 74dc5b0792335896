//! Rules that need a look at the rows, or a change of them, from outside.

use db_locks_core::protocol::{MAX_WAITERS, TOMBSTONE_TTL_MS};
use db_locks_core::{ErrorKind, LockRepository, MutexRepository, SemaphoreRepository};
use mysql_async::prelude::Queryable;

use crate::support::{Database, ask, busy, granted, mutex, plain_client, release, renewal, semaphore, wait};

/// R8: the server's clock was ahead once, or has stepped back.
#[tokio::test]
async fn tokens_grow_when_the_clock_steps_back() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    for lock in [mutex("one"), semaphore("one")] {
        let held = granted(&store, &ask(&lock)).await;
        store.release(&release(&held)).await.unwrap();
        let ahead = held.fencing_token.unwrap() + 3_600_000_000;
        database.run(&format!("UPDATE mutexes SET fence = {ahead}")).await;
        database.run(&format!("UPDATE semaphores SET fence = {ahead}")).await;
        for token in [ahead + 1, ahead + 2] {
            let next = granted(&store, &ask(&lock)).await;
            assert_eq!(next.fencing_token, Some(token));
            assert!(next.remaining.lease.as_secs() <= 30, "the token's lead is not the lease's");
            store.release(&release(&next)).await.unwrap();
        }
    }
    database.drop().await;
}

/// R11: each deletion forgets one that is a day old.
#[tokio::test]
async fn old_tombstones_go_away() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    for number in 0..4 {
        let held = granted(&store, &ask(&mutex(&format!("{number}")))).await;
        store.release(&release(&held)).await.unwrap();
        store.delete_mutex(&mutex(&format!("{number}")), &held.version).await.unwrap();
        let pool = semaphore(&format!("{number}"));
        let held = granted(&store, &ask(&pool)).await;
        store.release(&release(&held)).await.unwrap();
        let version = store.get_semaphore(&pool).await.unwrap().version;
        store.delete_semaphore(&pool, &version).await.unwrap();
    }
    let count = "SELECT (SELECT COUNT(*) FROM mutexes), (SELECT COUNT(*) FROM semaphores)";
    assert_eq!(database.one::<(u32, u32)>(count).await, (4, 4), "young ones stay");
    for table in ["mutexes", "semaphores"] {
        let aged = format!("UPDATE {table} SET deleted_at_us = deleted_at_us - {}", TOMBSTONE_TTL_MS * 1_000);
        database.run(&format!("{aged} ORDER BY deleted_at_us LIMIT 3")).await;
    }
    for number in 4..6 {
        let request =
            db_locks_core::AcquireRequest { delete_on_release: true, ..ask(&mutex(&format!("{number}"))) };
        let held = granted(&store, &request).await;
        store.release(&release(&held)).await.unwrap();
    }
    // Of each kind three were old, and two were forgotten; two mutexes are new.
    assert_eq!(database.one::<(u32, u32)>(count).await, (4, 2));
    database.drop().await;
}

/// A queue has an end; whoever is in it stays, and one place that comes free is given again.
#[tokio::test]
async fn a_full_queue_lets_nobody_in() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    // 0 to 9999, on MySQL too, which has no tables of sequences.
    let digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL \
         SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    let numbers = format!(
        "(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS seq \
         FROM {digits} a JOIN {digits} b JOIN {digits} c JOIN {digits} d)"
    );
    for (lock, semaphore_key, mutex_key) in [(mutex("one"), "", "one"), (semaphore("one"), "one", "")] {
        granted(&store, &ask(&lock)).await;
        if lock.is_semaphore() {
            granted(&store, &ask(&lock)).await;
        }
        let first = wait(&lock);
        assert_eq!(busy(&store, &first).await.position, 0);
        database
            .run(&format!(
                "INSERT INTO lock_waiters (tenant_id, semaphore_key, mutex_key, ticket, client_id, deadline_us) \
                 SELECT tenant_id, semaphore_key, mutex_key, CONCAT(UUID(), n.seq), client_id, deadline_us + 60000000 \
                 FROM lock_waiters JOIN {numbers} n \
                 WHERE semaphore_key = '{semaphore_key}' AND mutex_key = '{mutex_key}' AND n.seq BETWEEN 1 AND {}",
                MAX_WAITERS - 1
            ))
            .await;
        let error = store.acquire(&wait(&lock)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
        assert_eq!(busy(&store, &first).await.position, 0);
        assert_eq!(busy(&store, &ask(&lock)).await.position, 100, "counted no further");
        database
            .run(&format!(
                "UPDATE lock_waiters SET deadline_us = 1 WHERE semaphore_key = '{semaphore_key}' AND mutex_key = '{mutex_key}' \
                 ORDER BY seq DESC LIMIT 7"
            ))
            .await;
        store.beat(&[]).await.unwrap();
        assert_eq!(busy(&store, &wait(&lock)).await.position, 100);
        let places: usize = database
            .one(&format!(
                "SELECT COUNT(*) FROM lock_waiters WHERE semaphore_key = '{semaphore_key}' AND mutex_key = '{mutex_key}'"
            ))
            .await;
        assert_eq!(places, MAX_WAITERS - 6);
    }
    database.drop().await;
}

/// A waiter that asks every few milliseconds does not write each time.
#[tokio::test]
async fn waiting_hardly_writes() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    for lock in [mutex("one"), semaphore("one")] {
        granted(&store, &ask(&lock)).await;
        if lock.is_semaphore() {
            granted(&store, &ask(&lock)).await;
        }
        let waiting = wait(&lock);
        busy(&store, &waiting).await;
        let rows = "SELECT GROUP_CONCAT(deadline_us ORDER BY seq) FROM lock_waiters";
        let before: String = database.one(rows).await;
        // On a slow machine twenty looks take so long that the deadline is not far off any more.
        let begun = std::time::Instant::now();
        for _ in 0..20 {
            busy(&store, &waiting).await;
            if begun.elapsed() > std::time::Duration::from_secs(1) {
                break;
            }
        }
        assert_eq!(database.one::<String>(rows).await, before, "a deadline that is far off was moved");
    }
    database.drop().await;
}

/// Slots are found by their version too, among a thousand.
#[tokio::test]
async fn a_thousand_slots_work() {
    let database = Database::new().await;
    let store = database.connect().await;
    let pool = semaphore("pool");
    let request = |named| db_locks_core::AcquireRequest {
        max_size: Some(1_000),
        named_by_version: named,
        ..ask(&pool)
    };
    let mut held = Vec::new();
    for number in 0..1_000 {
        held.push(granted(&store, &request(number % 2 == 0)).await);
    }
    busy(&store, &request(true)).await;
    assert_eq!(store.get_semaphore(&pool).await.unwrap().busy_count, Some(1_000));
    for lock in [&held[0], &held[501], &held[998]] {
        let renewed = store.renew(&renewal(lock)).await.unwrap();
        assert!(store.release(&release(&renewed)).await.unwrap());
        let next = granted(&store, &request(false)).await;
        let slots = store.get_semaphore_mutexes(&pool).await.unwrap();
        assert_eq!(slots.len(), 1_000);
        assert!(slots.iter().any(|slot| slot.version == next.version && slot.locked));
    }
    database.drop().await;
}

/// Somebody who calls a procedure by hand, with the server's own settings.
#[tokio::test]
async fn procedures_do_not_depend_on_the_session() {
    let database = Database::new().await;
    let store = database.connect().await;
    let mut hand = plain_client(&database.url).await;
    hand.query_drop("SET time_zone = '+09:00', sql_mode = 'ANSI', autocommit = 0").await.unwrap();
    let mut take = async |version: &str| -> u8 {
        let sql =
            format!("CALL mutexes_take_v1('tenant', 'one', '{version}', 'hand', 30000, NULL, 17, 'hand')");
        let row: mysql_async::Row = hand.query_first(sql).await.unwrap().unwrap();
        // One column: the token of a grant.
        u8::from(row.len() == 1)
    };
    let held = granted(&store, &ask(&mutex("one"))).await;
    assert_eq!(take("a").await, 0);
    store.release(&release(&held)).await.unwrap();
    assert_eq!(take("b").await, 1);
    hand.query_drop("COMMIT").await.unwrap();
    let holder = busy(&store, &ask(&mutex("one"))).await;
    assert_eq!(holder.holder.as_deref(), Some("hand"));
    assert!((29_000..=30_000).contains(&holder.retry_after_ms.unwrap()), "{holder:?}");
    database.drop().await;
}
