//! Acquire, renew and release are one round trip each, counted on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use db_locks_core::{LockId, LockRepository, MutexRepository, SemaphoreRepository};
use db_locks_postgres::PostgresRepository;
use support::{CountingProxy, Schema, ask, granted, mutex, release, renewal, semaphore};

/// Acquire, retry, refusal, renewal, many renewals, release: each 1, once the connection has prepared what it sends.
async fn count(store: &PostgresRepository, proxy: &CountingProxy, lock: &LockId) {
    let request = ask(lock);
    let first = granted(store, &request).await;
    assert_eq!(proxy.round_trips(), 1, "acquire of {lock}");
    granted(store, &request).await;
    assert_eq!(proxy.round_trips(), 1, "retry of an acquire of {lock}");
    if !lock.is_semaphore() {
        store.acquire(&ask(lock)).await.unwrap();
        assert_eq!(proxy.round_trips(), 1, "refusal of {lock}");
    }
    let second = store.renew(&renewal(&first)).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "renewal of {lock}");
    let renewals = [renewal(&second)];
    let third = store.renew_many(&renewals).await.remove(0).unwrap();
    assert_eq!(proxy.round_trips(), 1, "renewals of {lock}");
    assert!(store.release(&release(&third)).await.unwrap());
    assert_eq!(proxy.round_trips(), 1, "release of {lock}");
    store.beat(std::slice::from_ref(lock)).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "beat for {lock}");
    store.abandon(lock, &third.version).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "abandonment of {lock}");
}

async fn count_all(parameters: &str) {
    let schema = Schema::new().await;
    let proxy = CountingProxy::before(&schema.url(parameters)).await;
    let mut config = schema.config("");
    config.database_url = Some(proxy.url.clone());
    let store = PostgresRepository::connect(&config).await.unwrap();
    for lock in [mutex("warm up"), semaphore("warm up")] {
        let lock = granted(&store, &ask(&lock)).await;
        let lock = store.renew(&renewal(&lock)).await.unwrap();
        let lock = store.renew_many(&[renewal(&lock)]).await.remove(0).unwrap();
        store.release(&release(&lock)).await.unwrap();
        store.abandon(&lock.lock_id().unwrap(), "none").await.unwrap();
    }
    store.beat(&[]).await.unwrap();
    proxy.round_trips();

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
    drop(store);
    schema.drop().await;
}

#[tokio::test]
async fn one_each_with_prepared_statements() {
    count_all("").await;
}

#[tokio::test]
async fn one_each_without_prepared_statements() {
    count_all("prepare=false").await;
}
