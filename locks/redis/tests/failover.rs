//! Fail-over to a replica, with real processes: what is lost, and what `wait_replicas` keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use db_locks_core::{Acquired, ErrorKind, LockRepository, MutexRepository};
use support::*;

/// A primary, and a replica that has all that it has.
async fn pair() -> (Server, Server) {
    let (primary, replica) = (Server::start(), Server::start());
    say(&mut replica.raw().await, &format!("REPLICAOF 127.0.0.1 {}", primary.port())).await.unwrap();
    let mut raw = replica.raw().await;
    while !info(&mut raw).await.contains("master_link_status:up") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (primary, replica)
}

async fn info(raw: &mut redis::aio::MultiplexedConnection) -> String {
    redis::cmd("INFO").arg("replication").query_async(raw).await.unwrap()
}

/// From now on the replica gets nothing more: it is cut off, and may not come back.
async fn cut_off(primary: &Server) {
    let mut raw = primary.raw().await;
    say(&mut raw, "CONFIG SET requirepass nobody-knows").await.unwrap();
    say(&mut raw, "CLIENT KILL TYPE replica").await.unwrap();
}

async fn promote(replica: &Server) {
    say(&mut replica.raw().await, "REPLICAOF NO ONE").await.unwrap();
}

/// Replication does not wait for anybody: a grant that the replica has not got is gone, and somebody else gets the lock. What keeps
/// the late holder out is its token.
#[tokio::test]
async fn a_grant_that_the_replica_has_not_got_is_lost_and_its_token_is_smaller() {
    let (primary, replica) = pair().await;
    let one = connect(&primary.url()).await;
    cut_off(&primary).await;
    let held = granted(&one, &request(&mutex("one"))).await;
    primary.kill();
    promote(&replica).await;
    let other = connect(&replica.url()).await;
    let second = granted(&other, &request(&mutex("one"))).await;
    assert!(!held.expired(), "the first one still believes in its lease");
    assert!(second.fencing_token > held.fencing_token);
}

/// With `wait_replicas` what was confirmed survives.
#[tokio::test]
async fn what_was_waited_for_is_on_the_promoted_replica() {
    let (primary, replica) = pair().await;
    let one = connect(&format!("{}?wait_replicas=1", primary.url())).await;
    let held = granted(&one, &request(&mutex("one"))).await;
    let freed = granted(&one, &request(&mutex("two"))).await;
    assert!(release(&one, &freed).await.unwrap());
    let renewed = one.renew(&renewal(&held)).await.unwrap();
    primary.kill();
    promote(&replica).await;
    let other = connect(&replica.url()).await;
    assert!(matches!(other.acquire(&request(&mutex("one"))).await.unwrap(), Acquired::Busy(_)));
    let kept = other.get_mutex(&mutex("one")).await.unwrap();
    assert_eq!((kept.version, kept.fencing_token), (renewed.version.clone(), held.fencing_token));
    let again = granted(&other, &request(&mutex("two"))).await;
    assert!(again.fencing_token > freed.fencing_token);
    // Its holder goes on with the new one.
    other.renew(&renewal(&renewed)).await.unwrap();
}

/// Nothing is confirmed that the replica has not got: so nobody holds what a fail-over would give to another.
#[tokio::test]
async fn with_wait_replicas_nothing_is_confirmed_that_could_be_lost() {
    let (primary, replica) = pair().await;
    let mut config = config(&format!("{}?wait_replicas=1", primary.url()));
    config.request_timeout_ms = Some(1_000);
    let one = db_locks_redis::RedisRepository::connect(&config).await.unwrap();
    let held = granted(&one, &request(&mutex("before"))).await;
    cut_off(&primary).await;
    for error in [
        one.acquire(&request(&mutex("one"))).await.unwrap_err(),
        one.renew(&renewal(&held)).await.unwrap_err(),
        release(&one, &held).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
        assert!(error.retryable());
    }
    primary.kill();
    promote(&replica).await;
    let other = connect(&replica.url()).await;
    granted(&other, &request(&mutex("one"))).await;
    assert!(matches!(other.acquire(&request(&mutex("before"))).await.unwrap(), Acquired::Busy(_)));
}
