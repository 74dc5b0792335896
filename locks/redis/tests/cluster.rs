//! What a Redis Cluster does beyond the behaviour that all stores share: slots, and moving them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{ErrorKind, LockId, LockRepository, MutexRepository};
use db_locks_redis::RedisRepository;
use redis::Value;
use support::{
    config, connect, granted, mutex, raw, release, renewal, request, rings_again_after_a_cut, say, semaphore,
};

fn urls() -> String {
    std::env::var("DB_LOCKS_TEST_REDIS_CLUSTER_URL")
        .expect("DB_LOCKS_TEST_REDIS_CLUSTER_URL is not set: run `cargo xtask test`")
}

fn first_url() -> String {
    urls().split(',').next().unwrap().to_string()
}

/// Braces in names must not scatter the keys of a lock: a script that names keys of two slots is refused.
#[tokio::test]
async fn names_with_braces_work() {
    let store = connect(&urls()).await;
    let other = connect(&format!("{}?cluster=true", first_url())).await;
    for name in ["{", "}", "{}", "a}b", "a{b", "}{", "{{}}", "{a}{b}", "a{}b"] {
        for lock in [LockId::mutex(name, name).unwrap(), LockId::semaphore(name, name).unwrap()] {
            let held = granted(&store, &request(&lock)).await;
            let held = other.renew(&renewal(&held)).await.unwrap();
            assert!(release(&other, &held).await.unwrap(), "{lock}");
            store.abandon(&lock, &held.version).await.unwrap();
            store.beat(&[lock, mutex("one"), semaphore("two")]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_node_alone_says_what_to_do() {
    let store = connect(&first_url()).await;
    let mut told = false;
    for number in 0..32 {
        // Some of these lie in the slots of other nodes.
        if let Err(error) = store.get_mutex(&mutex(&number.to_string())).await
            && error.kind() != ErrorKind::NotFound
        {
            told = error.to_string().contains("cluster=true");
            assert!(told, "{}", error.chain());
        }
    }
    assert!(told, "one node of several has all the keys");
}

/// A node as the cluster knows it.
struct Node {
    id: String,
    address: String,
}

async fn nodes() -> Vec<Node> {
    let Value::VerbatimString { text, .. } = listing().await else { unreachable!() };
    let masters = text.lines().filter(|line| line.contains("master")).map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        Node { id: words[0].to_string(), address: words[1].split('@').next().unwrap().to_string() }
    });
    masters.collect()
}

async fn listing() -> Value {
    let url = format!("{}/?protocol=resp3", first_url());
    say(&mut raw(&url).await, "CLUSTER NODES").await.unwrap()
}

fn at(node: &Node) -> String {
    format!("redis://{}", node.address)
}

/// While a slot moves, calls for its locks wait for it; none is lost, none is granted twice.
#[tokio::test]
async fn locks_survive_the_move_of_their_slot() {
    let store: Arc<RedisRepository> = RedisRepository::connect(&config(&urls())).await.unwrap();
    let lock = LockId::semaphore("t", &db_locks_core::models::new_version()).unwrap();
    let held = granted(&store, &request(&lock)).await;
    let second = granted(&store, &request(&lock)).await;
    let queued = request(&lock);
    store.acquire(&queued).await.unwrap();

    let key = format!("db-locks{{{}}}", lock.encoded());
    let Value::Int(slot) =
        say(&mut raw(&first_url()).await, &format!("CLUSTER KEYSLOT {key}")).await.unwrap()
    else {
        unreachable!()
    };
    let nodes = nodes().await;
    let mut from = None;
    for node in &nodes {
        let count = say(&mut raw(&at(node)).await, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await.unwrap();
        if count != Value::Int(0) {
            from = Some(node);
        }
    }
    let from = from.unwrap();
    let to = nodes.iter().find(|node| node.id != from.id).unwrap();
    let (mut source, mut target) = (raw(&at(from)).await, raw(&at(to)).await);
    say(&mut target, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", from.id)).await.unwrap();
    say(&mut source, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", to.id)).await.unwrap();
    // The row goes first: now every script finds a part of its keys only.
    let (host, port) = to.address.rsplit_once(':').unwrap();
    say(&mut source, &format!("MIGRATE {host} {port} {key} 0 1000")).await.unwrap();

    let renewing = {
        let (store, request) = (Arc::clone(&store), renewal(&held));
        tokio::spawn(async move { store.renew(&request).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!renewing.is_finished(), "half of the lock's keys are enough: {:?}", renewing.await);
    for suffix in [":slots", ":queue", ":waiters"] {
        say(&mut source, &format!("MIGRATE {host} {port} {key}{suffix} 0 1000")).await.unwrap();
    }
    for node in &nodes {
        say(&mut raw(&at(node)).await, &format!("CLUSTER SETSLOT {slot} NODE {}", to.id)).await.unwrap();
    }
    let held = renewing.await.unwrap().unwrap();
    let barging = request(&lock);
    assert!(matches!(store.acquire(&barging).await.unwrap(), db_locks_core::Acquired::Busy(_)));
    store.abandon(&lock, &barging.version).await.unwrap();
    store.beat(std::slice::from_ref(&lock)).await.unwrap();
    assert!(release(&store, &second).await.unwrap());
    assert!(release(&store, &held).await.unwrap());
    granted(&store, &queued).await;
}

#[tokio::test]
async fn bells_ring_again_after_a_cut() {
    let cut = || async {
        for url in urls().split(',') {
            say(&mut raw(url).await, "CLIENT KILL TYPE pubsub").await.unwrap();
        }
    };
    rings_again_after_a_cut(&urls(), cut).await;
}
