//! Acquire, renew and release are one round trip each, counted on the wire.

use db_locks_core::{LockId, LockRepository, MutexRepository, SemaphoreRepository};
use db_locks_mysql::MysqlRepository;

use crate::support::{
    CountingProxy, Database, ask, busy, config, granted, mutex, release, renewal, semaphore, wait,
};

/// Each 1, whatever comes of it.
async fn count(store: &MysqlRepository, proxy: &CountingProxy, lock: &LockId) {
    proxy.round_trips();
    let request = ask(lock);
    let first = granted(store, &request).await;
    assert_eq!(proxy.round_trips(), 1, "acquire of {lock}");
    granted(store, &request).await;
    assert_eq!(proxy.round_trips(), 1, "retry of an acquire of {lock}");
    let filling = lock.is_semaphore().then(|| ask(lock));
    if let Some(filling) = &filling {
        granted(store, filling).await;
        proxy.round_trips();
    }
    busy(store, &ask(lock)).await;
    assert_eq!(proxy.round_trips(), 1, "refusal of {lock}");
    let waiting = wait(lock);
    busy(store, &waiting).await;
    assert_eq!(proxy.round_trips(), 1, "first look of a waiter at {lock}");
    busy(store, &waiting).await;
    assert_eq!(proxy.round_trips(), 1, "second look of a waiter at {lock}");
    let second = store.renew(&renewal(&first)).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "renewal of {lock}");
    assert!(store.release(&release(&second)).await.unwrap());
    assert_eq!(proxy.round_trips(), 1, "release of {lock}");
    assert!(store.release(&release(&second)).await.unwrap());
    assert_eq!(proxy.round_trips(), 1, "retry of a release of {lock}");
    let next = granted(store, &waiting).await;
    assert_eq!(proxy.round_trips(), 1, "grant to a waiter for {lock}");
    store.release(&release(&next)).await.unwrap();
    proxy.round_trips();
    store.beat(std::slice::from_ref(lock)).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "beat for {lock}");
    store.abandon(lock, filling.as_ref().map_or("none", |filling| &filling.version)).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "abandonment of {lock}");
}

#[tokio::test]
async fn one_each() {
    let database = Database::new().await;
    let proxy = CountingProxy::before(&database.url).await;
    let store = MysqlRepository::connect(&config(&proxy.url)).await.unwrap();
    // Each statement is prepared once a connection.
    for lock in [mutex("warm up"), semaphore("warm up")] {
        let held = granted(&store, &ask(&lock)).await;
        let held = store.renew(&renewal(&held)).await.unwrap();
        store.release(&release(&held)).await.unwrap();
        store.beat(std::slice::from_ref(&lock)).await.unwrap();
        store.abandon(&lock, "none").await.unwrap();
    }
    // The first grant of a new key and later ones.
    for _ in 0..2 {
        count(&store, &proxy, &mutex("one")).await;
        count(&store, &proxy, &semaphore("one")).await;
    }
    store.get_mutex(&mutex("one")).await.unwrap();
    store.get_semaphore(&semaphore("one")).await.unwrap();
    store.get_semaphore_mutexes(&semaphore("one")).await.unwrap();
    proxy.round_trips();
    store.get_mutex(&mutex("one")).await.unwrap();
    store.get_semaphore(&semaphore("one")).await.unwrap();
    store.get_semaphore_mutexes(&semaphore("one")).await.unwrap();
    assert_eq!(proxy.round_trips(), 3, "reads");
    database.drop().await;
}

/// 300 renewals are two transactions of 256 and 44. The stale one among them is asked for by itself, which is prepared first.
#[tokio::test]
async fn many_renewals_are_few_round_trips() {
    let database = Database::new().await;
    let proxy = CountingProxy::before(&database.url).await;
    let store = MysqlRepository::connect(&config(&proxy.url)).await.unwrap();
    let mut renewals = Vec::new();
    for number in 0..300 {
        renewals.push(renewal(&granted(&store, &ask(&mutex(&format!("key {number}")))).await));
    }
    renewals[7].version = "stale".into();
    proxy.round_trips();
    let answers = store.renew_many(&renewals).await;
    assert_eq!(proxy.round_trips(), 2 + 2);
    for (number, (renewal, answer)) in renewals.iter().zip(answers).enumerate() {
        assert_eq!(answer.is_ok(), number != 7, "{number}");
        if let Ok(lock) = answer {
            assert_eq!(
                (lock.version, lock.mutex_key),
                (renewal.new_version.clone(), renewal.mutex_key.clone())
            );
        }
    }
    database.drop().await;
}
