//! The manager above a real store: waiting, order, cancellation, reentrancy, metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Hanging, config, manager, two_managers, two_managers_of};
use db_locks::{
    AcquireLockOptions, AcquireLockOptionsBuilder, DefaultLockStore, ErrorKind, LockManager, LockManagerImpl,
    LocksConfig, MutexLockBuilder, Registry, ReleaseLockOptionsBuilder, RepositoryProvider, SemaphoreBuilder,
    SendHeartbeatOptionsBuilder, factory,
};

fn waiting(key: &str, ms: i64) -> AcquireLockOptions {
    AcquireLockOptionsBuilder::new(key).with_override_time_to_wait_for_lock_ms(ms).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_acquire_waits_and_then_has_the_lock() {
    let (a, b) = two_managers().await;
    let held = a.acquire_lock(&waiting("one", 0)).await.unwrap();
    let waiter = tokio::spawn(async move { b.acquire_lock(&waiting("one", 10_000)).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!waiter.is_finished(), "nobody may have what is held");
    assert!(a.release_lock(&held.to_release_options()).await.unwrap());
    let granted = waiter.await.unwrap().unwrap();
    assert!(granted.fencing_token > held.fencing_token);
}

#[tokio::test]
async fn defect_9_refusal_is_not_granted_and_says_who_holds() {
    let (a, b) = two_managers().await;
    a.acquire_lock(&waiting("one", 0)).await.unwrap();
    for ms in [0, 50] {
        let started = Instant::now();
        let error = b.acquire_lock(&waiting("one", ms)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotGranted);
        assert!(error.retryable());
        assert!(error.to_string().contains(a.owner()), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(ms.unsigned_abs()));
    }
}

/// One thread for all: whoever slept or waited for the database on it would hold up the other task.
#[tokio::test]
async fn defect_3_who_waits_for_a_lock_does_not_hold_up_the_runtime() {
    let (a, b) = two_managers().await;
    a.acquire_lock(&waiting("one", 0)).await.unwrap();
    let waits = tokio::spawn(async move { b.acquire_lock(&waiting("one", 1_000)).await });
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !waits.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    assert_eq!(waits.await.unwrap().unwrap_err().kind(), ErrorKind::NotGranted);
    assert!(longest < Duration::from_millis(400), "the runtime stood still for {longest:?}");
}

/// Whatever the configuration says of a cache, as old ones may.
#[tokio::test]
async fn defect_5_nothing_is_answered_from_memory() {
    let config = LocksConfig { cache_enabled: Some(true), ..config() };
    let (a, b) = two_managers_of(config).await;
    let held = a.acquire_lock(&waiting("one", 0)).await.unwrap();
    assert!(a.get_mutex("one").await.unwrap().locked);
    assert!(b.release_lock(&held.to_release_options()).await.unwrap());
    let taken = b.acquire_lock(&waiting("one", 0)).await.unwrap();
    assert_eq!(a.get_mutex("one").await.unwrap().version, taken.version);
    let heartbeat = SendHeartbeatOptionsBuilder::new("one", &held.version).build();
    assert_eq!(a.send_heartbeat(&heartbeat).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(a.acquire_lock(&waiting("one", 0)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_tasks_of_one_process_come_in_their_order() {
    let manager = manager(&config()).await;
    let held = manager.acquire_lock(&waiting("one", 0)).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (manager, order) = (manager.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let lock = manager.acquire_lock(&waiting("one", 20_000)).await.unwrap();
            order.lock().unwrap().push(number);
            manager.release_lock(&lock.to_release_options()).await.unwrap();
        }));
        // Long enough for this one to be in the queue before the next one comes.
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    manager.release_lock(&held.to_release_options()).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_acquire_leaves_no_lock_and_no_ticket() {
    let (a, b) = two_managers().await;
    for pause_us in [0, 50, 200, 1_000, 5_000, 20_000] {
        let held = a.acquire_lock(&waiting("one", 5_000)).await.unwrap();
        let opts = waiting("one", 10_000);
        let _ = tokio::time::timeout(Duration::from_micros(pause_us), b.acquire_lock(&opts)).await;
        b.settled().await;
        assert!(a.release_lock(&held.to_release_options()).await.unwrap());
        let free = a.get_mutex("one").await.unwrap();
        assert!(!free.locked, "after {pause_us} us: {free:?}");
        let next = a.acquire_lock(&waiting("one", 0)).await.unwrap();
        a.release_lock(&next.to_release_options()).await.unwrap();
    }
}

#[tokio::test]
async fn defect_4_reentrant_gives_back_only_ones_own_lock() {
    let (a, b) = two_managers().await;
    let reentrant = AcquireLockOptionsBuilder::new("one")
        .with_reentrant(true)
        .with_override_time_to_wait_for_lock_ms(0)
        .build();
    let mine = a.acquire_lock(&reentrant).await.unwrap();
    let again = a.acquire_lock(&reentrant).await.unwrap();
    assert_eq!((&again.version, again.fencing_token), (&mine.version, mine.fencing_token));
    assert_eq!(b.acquire_lock(&reentrant).await.unwrap_err().kind(), ErrorKind::NotGranted);
}

/// What a dropped acquire was granted is about to be freed, so a reentrant one must not be handed it.
#[tokio::test(flavor = "multi_thread")]
async fn reentrant_is_not_handed_what_was_given_up() {
    let config = config();
    let slow_answer = Arc::new(AtomicBool::new(true));
    let store = Hanging {
        inner: common::store(&config).await,
        hang: Arc::default(),
        heartbeats: Arc::default(),
        slow_answer,
    };
    let manager = LockManagerImpl::new(&config, Box::new(store), &Registry::new()).unwrap();
    let reentrant = AcquireLockOptionsBuilder::new("one")
        .with_reentrant(true)
        .with_override_time_to_wait_for_lock_ms(10_000)
        .build();
    // It is granted in the database, and its caller does not wait for the answer.
    let given_up = tokio::time::timeout(Duration::from_millis(100), manager.acquire_lock(&reentrant)).await;
    assert!(given_up.is_err());
    let lock = manager.acquire_lock(&reentrant).await.unwrap();
    manager.settled().await;
    let held = manager.get_mutex("one").await.unwrap();
    assert_eq!((held.locked, &held.version), (true, &lock.version), "it was freed under its holder");
}

#[tokio::test]
async fn heartbeats_change_the_version_and_stale_ones_are_refused() {
    let manager = manager(&config()).await;
    let lock = manager.acquire_lock(&waiting("one", 0)).await.unwrap();
    let renewed = manager.send_heartbeat(&lock.to_heartbeat_options()).await.unwrap();
    assert_ne!(renewed.version, lock.version);
    assert_eq!(renewed.fencing_token, lock.fencing_token);
    let error = manager.send_heartbeat(&lock.to_heartbeat_options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!manager.release_lock(&lock.to_release_options()).await.unwrap());
    assert!(manager.get_mutex("one").await.unwrap().locked, "a refusal changes nothing");
    assert!(manager.release_lock(&renewed.to_release_options()).await.unwrap());
}

#[tokio::test]
async fn slots_are_found_by_their_full_key_without_their_semaphores() {
    let manager = manager(&config()).await;
    let opts = AcquireLockOptionsBuilder::new("pool").with_semaphore_max_size(2).build();
    let slot = manager.acquire_lock(&opts).await.unwrap();
    assert_eq!(manager.get_mutex("pool_0000000000").await.unwrap().version, slot.version);
    let opts = SendHeartbeatOptionsBuilder::new("pool_0000000000", &slot.version).build();
    let slot = manager.send_heartbeat(&opts).await.unwrap();
    let opts = ReleaseLockOptionsBuilder::new("pool_0000000000", &slot.version).build();
    assert!(manager.release_lock(&opts).await.unwrap());
    assert_eq!(manager.get_mutex("pool_0000000009").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn another_tenants_objects_are_refused() {
    let manager = manager(&config()).await;
    let mutex = MutexLockBuilder::new("one").with_tenant("somebody else").build();
    assert_eq!(manager.create_mutex(&mutex).await.unwrap_err().kind(), ErrorKind::Validation);
    let semaphore = SemaphoreBuilder::new("one", 2).with_tenant("somebody else").build();
    assert_eq!(manager.create_semaphore(&semaphore).await.unwrap_err().kind(), ErrorKind::Validation);
}

#[tokio::test]
async fn metrics_count_requests_waits_held_and_lost() {
    let (config, registry) = (config(), Registry::new());
    let repository = factory::build_repository(RepositoryProvider::Rdb, &config).await.unwrap();
    let store = DefaultLockStore::new(&config, repository.clone(), repository);
    let manager = LockManagerImpl::new(&config, Box::new(store), &registry).unwrap();
    let lock = manager.acquire_lock(&waiting("one", 0)).await.unwrap();
    manager.acquire_lock(&waiting("one", 20)).await.unwrap_err();
    let text = || {
        let mut text = String::new();
        prometheus::TextEncoder::new().encode_utf8(&registry.gather(), &mut text).unwrap();
        text
    };
    let metrics = text();
    for line in [
        r#"db_locks_requests_total{operation="acquire",outcome="ok",store="sqlite"} 1"#,
        r#"db_locks_wait_duration_seconds_count{outcome="ok",store="sqlite"} 1"#,
        r#"db_locks_wait_duration_seconds_count{outcome="not_granted",store="sqlite"} 1"#,
        r#"db_locks_held{store="sqlite"} 1"#,
        r#"db_locks_waiting{store="sqlite"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    // A release with a version that is not the holder's says that it was lost.
    manager.release_lock(&lock.to_release_options()).await.unwrap();
    let taken = manager.acquire_lock(&waiting("one", 0)).await.unwrap();
    let renewed = manager.send_heartbeat(&taken.to_heartbeat_options()).await.unwrap();
    manager.release_lock(&renewed.to_release_options()).await.unwrap();
    manager.send_heartbeat(&renewed.to_heartbeat_options()).await.unwrap_err();
    assert!(text().contains(r#"db_locks_held{store="sqlite"} 0"#), "{}", text());
}

#[tokio::test]
async fn an_unreachable_server_is_said_within_bounded_time_and_without_its_password() {
    for (provider, url) in unreachable() {
        let mut config = LocksConfig::new("t");
        config.connect_timeout_ms = Some(2_000);
        config.server_error_retries_limit = Some(0);
        match provider {
            RepositoryProvider::Redis => config.redis_url = Some(url.to_string()),
            _ => config.database_url = Some(url.to_string()),
        }
        let started = Instant::now();
        let error = factory::build_mutex_repository(provider, &config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{url}: {}", error.chain());
        assert!(!error.chain().contains("s3cret"), "{}", error.chain());
        assert!(std::error::Error::source(&error).is_some(), "{url}: the cause is kept");
        assert!(started.elapsed() < Duration::from_secs(20), "{url}");
    }
}

/// Port 1 is privileged and unused.
fn unreachable() -> Vec<(RepositoryProvider, &'static str)> {
    let mut urls = Vec::new();
    if cfg!(feature = "postgres") {
        urls.push((RepositoryProvider::Rdb, "postgres://u:s3cret@127.0.0.1:1/d"));
    }
    if cfg!(feature = "mysql") {
        urls.push((RepositoryProvider::Rdb, "mysql://u:s3cret@127.0.0.1:1/d"));
    }
    if cfg!(feature = "redis") {
        urls.push((RepositoryProvider::Redis, "redis://:s3cret@127.0.0.1:1/0"));
    }
    urls
}
