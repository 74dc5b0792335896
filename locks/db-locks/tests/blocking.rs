//! The blocking forms, from plain threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use db_locks::blocking::Locks;

#[test]
fn threads_exclude_each_other() {
    let locks = Locks::connect("sqlite::memory:").unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let locks = locks.clone();
            std::thread::spawn(move || {
                let guard = locks.mutex("k").wait(Duration::from_secs(30)).acquire().unwrap();
                let token = guard.fencing_token();
                assert!(locks.mutex("k").try_acquire().unwrap().is_none());
                assert!(guard.release().unwrap());
                token
            })
        })
        .collect();
    let mut tokens: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 8);
}

#[test]
fn a_guard_is_renewed_and_released_on_drop() {
    let locks = Locks::connect("sqlite::memory:").unwrap();
    let guard = locks.mutex("k").lease(Duration::from_millis(300)).acquire().unwrap();
    assert_eq!(guard.wait_lost(Duration::from_millis(800)).unwrap(), None);
    drop(guard);
    locks.settle().unwrap();
    assert!(locks.mutex("k").try_acquire().unwrap().is_some());
}

#[tokio::test]
async fn a_runtime_thread_is_never_blocked() {
    let error = Locks::connect("sqlite::memory:").unwrap_err();
    assert!(error.to_string().contains("async runtime"), "{error}");
}
