//! Guards: renewal, loss with its reason, release.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::hanging_locks;
use db_locks::{LockManager, Lost};

const LEASE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_outlives_its_lease_and_is_released() {
    let (locks, _, _) = hanging_locks().await;
    let guard = locks.mutex("one").lease(LEASE).acquire().await.unwrap();
    let token = guard.fencing_token();
    tokio::time::sleep(LEASE * 3).await;
    assert!(guard.is_held());
    assert!(locks.mutex("one").try_acquire().await.unwrap().is_none(), "it is still held in the database");
    assert!(guard.release().await.unwrap());
    let next = locks.mutex("one").try_acquire().await.unwrap().unwrap();
    assert!(next.fencing_token() > token);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_guards_are_renewed_in_few_calls() {
    let (locks, _, heartbeats) = hanging_locks().await;
    let mut guards = Vec::new();
    for number in 0..200 {
        guards.push(
            locks.mutex(&format!("lock {number}")).lease(Duration::from_secs(3)).acquire().await.unwrap(),
        );
    }
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(guards.iter().all(db_locks::LockGuard::is_held));
    let calls = heartbeats.load(Ordering::SeqCst);
    assert!((2..=20).contains(&calls), "{calls} calls for 200 locks over three renewals");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_database_is_told_before_the_lease_is_over() {
    let (locks, hang, _) = hanging_locks().await;
    let asked = Instant::now();
    let guard = locks.mutex("one").lease(LEASE).acquire().await.unwrap();
    hang.store(true, Ordering::SeqCst);
    let token = guard.cancellation_token();
    guard.at_risk(LEASE / 4).await;
    assert!(guard.is_held(), "at risk, not lost");
    assert_eq!(guard.lost().await, Lost::Unreachable);
    assert!(token.is_cancelled());
    assert!(asked.elapsed() >= LEASE / 2, "not before there was reason to");
    assert_eq!(guard.lost_now(), Some(Lost::Unreachable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_lock_is_told_at_the_next_renewal() {
    let (locks, _, _) = hanging_locks().await;
    let guard = locks.mutex("one").lease(Duration::from_secs(3)).acquire().await.unwrap();
    assert!(locks.manager().release_lock(&guard.lock().to_release_options()).await.unwrap());
    let thief = locks.mutex("one").try_acquire().await.unwrap().unwrap();
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), guard.lost()).await.unwrap(), Lost::Stolen);
    assert!(!guard.release().await.unwrap());
    assert!(thief.is_held(), "the loser's release leaves the new holder alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_guard_is_released_in_the_background() {
    let (locks, _, _) = hanging_locks().await;
    drop(locks.mutex("one").lease(Duration::from_secs(60)).acquire().await.unwrap());
    locks.settled().await;
    assert!(locks.mutex("one").try_acquire().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_release_is_finished_in_the_background() {
    let (locks, _, _) = hanging_locks().await;
    for _ in 0..50 {
        let guard = locks.mutex("one").lease(Duration::from_secs(60)).acquire().await.unwrap();
        let _ = tokio::time::timeout(Duration::from_micros(10), guard.release()).await;
        locks.settled().await;
        assert!(!locks.manager().get_mutex("one").await.unwrap().locked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_have_guards_too() {
    let (locks, _, _) = hanging_locks().await;
    let a = locks.semaphore("pool", 2).lease(LEASE).acquire().await.unwrap();
    let b = locks.semaphore("pool", 2).lease(LEASE).acquire().await.unwrap();
    tokio::time::sleep(LEASE * 2).await;
    assert!(a.is_held() && b.is_held());
    assert!(locks.semaphore("pool", 2).try_acquire().await.unwrap().is_none());
    assert!(a.release().await.unwrap() && b.release().await.unwrap());
}

/// What a stopped process sees when it goes on: this thread is also the one that renews and tells of losses.
#[tokio::test(flavor = "current_thread")]
async fn a_guard_that_is_asked_right_after_a_pause_looks_at_the_clock() {
    let (locks, _, _) = hanging_locks().await;
    let guard = locks.mutex("one").lease(LEASE).acquire().await.unwrap();
    assert!(guard.is_held());
    std::thread::sleep(LEASE + LEASE / 2);
    assert!(!guard.is_held(), "nothing has run yet that could have told");
    assert_eq!(guard.lost_now(), Some(Lost::Expired));
    assert!(!guard.cancellation_token().is_cancelled());
}
