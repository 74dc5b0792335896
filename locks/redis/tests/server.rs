//! What one Redis server does beyond the behaviour that all stores share: round trips, scripts, memory, rights, TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use db_locks_core::{Acquired, ErrorKind, LockRepository, MutexRepository};
use db_locks_redis::RedisRepository;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::{
    Server, config, connect, granted, mutex, release, renewal, request, rings_again_after_a_cut, rung, say,
    semaphore,
};

/// The commands that clients (not scripts) have sent since the last call.
async fn commands(lines: &mut (impl futures_util::Stream<Item = String> + Unpin)) -> Vec<String> {
    let mut seen = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(200), lines.next()).await {
        if !line.contains(" lua] ") {
            seen.push(line.split('"').nth(1).unwrap_or_default().to_ascii_lowercase());
        }
    }
    seen
}

#[tokio::test]
async fn one_round_trip_each() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    for lock in [mutex("one"), semaphore("one")] {
        let warm = granted(&store, &request(&lock)).await;
        let warm = store.renew(&renewal(&warm)).await.unwrap();
        assert!(release(&store, &warm).await.unwrap());

        let mut monitor = redis::Client::open(server.url()).unwrap().get_async_monitor().await.unwrap();
        let mut lines = monitor.on_message::<String>();
        let held = granted(&store, &request(&lock)).await;
        assert_eq!(commands(&mut lines).await, ["evalsha"], "acquire of {lock}");
        let held = store.renew(&renewal(&held)).await.unwrap();
        assert_eq!(commands(&mut lines).await, ["evalsha"], "renewal of {lock}");
        assert!(release(&store, &held).await.unwrap());
        assert_eq!(commands(&mut lines).await, ["evalsha"], "release of {lock}");
    }
}

/// 200 calls at once are a few scripts; so are 300 renewals of what one process holds, and one that is spoilt spoils no other.
#[tokio::test]
async fn many_calls_are_few_scripts() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let mut raw = server.raw().await;
    let locks: Vec<_> = (0..200)
        .map(|number| match number % 2 {
            0 => mutex(&format!("key-{number}")),
            _ => semaphore(&format!("key-{number}")),
        })
        .collect();
    let mut monitor = redis::Client::open(server.url()).unwrap().get_async_monitor().await.unwrap();
    let mut lines = monitor.on_message::<String>();
    let requests: Vec<_> = locks.iter().map(request).collect();
    let held = join_all(requests.iter().map(|request| granted(&store, request))).await;
    let sent = commands(&mut lines).await;
    assert!(sent.len() < 20, "{} commands for 200 acquires", sent.len());
    for (lock, request) in held.iter().zip(&requests) {
        assert_eq!((lock.lock_id().unwrap(), &lock.version), (request.lock.clone(), &request.version));
    }

    let mut renewals: Vec<_> = held.iter().map(renewal).collect();
    renewals[7].version = "stale".into();
    // Not what a lock looks like: that one script fails in its middle.
    say(&mut raw, &format!("SET db-locks{{{}}} spoilt", locks[8].encoded())).await.unwrap();
    commands(&mut lines).await;
    let answers = store.renew_many(&renewals).await;
    let sent = commands(&mut lines).await;
    // One for the mutexes, one for the semaphores (each told the source of the script at first), one for the spoilt one.
    assert!(sent.len() <= 6, "{sent:?}");
    for (number, (renewal, answer)) in renewals.iter().zip(answers).enumerate() {
        match answer {
            Ok(lock) => assert_eq!(
                (lock.lock_id().unwrap(), &lock.version),
                (renewal.lock.clone(), &renewal.new_version)
            ),
            Err(error) if number == 7 => assert_eq!(error.kind(), ErrorKind::NotFound),
            Err(error) => assert_eq!((number, error.kind()), (8, ErrorKind::Database), "{error}"),
        }
    }

    // The same in acquires that gather.
    let requests: Vec<_> = (0..60).map(|number| request(&mutex(&format!("other-{number}")))).collect();
    say(&mut raw, &format!("SET db-locks{{{}}} spoilt", requests[30].lock.encoded())).await.unwrap();
    let answers = join_all(requests.iter().map(|request| store.acquire(request))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(Acquired::Granted(_)) => assert_ne!(number, 30),
            Ok(Acquired::Busy(busy)) => panic!("{number}: {busy:?}"),
            Err(error) => assert_eq!((number, error.kind()), (30, ErrorKind::Database), "{error}"),
        }
    }
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let mut raw = server.raw().await;
    for lock in [mutex("one"), semaphore("one")] {
        let held = granted(&store, &request(&lock)).await;
        say(&mut raw, "SCRIPT FLUSH").await.unwrap();
        let held = store.renew(&renewal(&held)).await.unwrap();
        say(&mut raw, "SCRIPT FLUSH").await.unwrap();
        assert!(release(&store, &held).await.unwrap());
    }
}

#[tokio::test]
async fn tokens_grow_across_flushall() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let mut last = None;
    for _ in 0..3 {
        let held = granted(&store, &request(&mutex("one"))).await;
        assert!(held.fencing_token > last);
        last = held.fencing_token;
        say(&mut server.raw().await, "FLUSHALL").await.unwrap();
    }
}

#[tokio::test]
async fn full_memory_refuses_new_locks_but_lets_holders_go_on() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let mut raw = server.raw().await;
    for lock in [mutex("one"), semaphore("one")] {
        say(&mut raw, "CONFIG SET maxmemory 0").await.unwrap();
        let held = granted(&store, &request(&lock)).await;
        say(&mut raw, "CONFIG SET maxmemory 1").await.unwrap();
        let error = store.acquire(&request(&mutex("another"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database, "{}", error.chain());
        let held = store.renew(&renewal(&held)).await.unwrap();
        assert_eq!(held.data.as_deref(), Some("renewed"));
        assert!(release(&store, &held).await.unwrap());
    }
    assert_eq!(store.get_mutex(&mutex("another")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn replica_is_currently_unavailable() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let held = granted(&store, &request(&mutex("one"))).await;
    say(&mut server.raw().await, "REPLICAOF 127.0.0.1 1").await.unwrap();
    let error = store.acquire(&request(&mutex("another"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
    assert!(error.retryable());
    say(&mut server.raw().await, "REPLICAOF NO ONE").await.unwrap();
    assert!(release(&store, &held).await.unwrap());
}

#[tokio::test]
async fn wrong_credentials_are_told_but_not_shown() {
    let server = Server::start();
    for url in [server.url_for("app:s3cret"), server.url_for("nobody:s3cret")] {
        let error = RedisRepository::connect(&config(&url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
        assert!(!format!("{error:?} {}", error.chain()).contains("s3cret"));
    }
    say(&mut server.raw().await, "CONFIG SET requirepass other").await.unwrap();
    let error = RedisRepository::connect(&config(&server.url())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
    let store = connect(&server.url_for("app:app")).await;
    granted(&store, &request(&mutex("one"))).await;
}

#[tokio::test]
async fn missing_rights_are_told() {
    let server = Server::start();
    say(&mut server.raw().await, "ACL SETUSER weak on >weak ~* &* +@all -hset").await.unwrap();
    let store = connect(&server.url_for("weak:weak")).await;
    let error = store.acquire(&request(&mutex("one"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
}

/// The rights that README.md names are enough, and without channels waiters poll.
#[tokio::test]
async fn few_rights_are_enough() {
    let server = Server::start();
    let mut raw = server.raw().await;
    let rights =
        "+evalsha +eval +time +@hash +@sortedset +exists +del +persist +pexpire +ping +hello +client";
    say(&mut raw, &format!("ACL SETUSER deaf on >deaf resetchannels ~db-locks{{* -@all {rights}"))
        .await
        .unwrap();
    let heard = format!("ACL SETUSER few on >few resetchannels &db-locks:bell:* ~db-locks{{* -@all {rights}");
    say(&mut raw, &format!("{heard} +subscribe +publish")).await.unwrap();
    for (user, rings) in [("deaf:deaf", false), ("few:few", true)] {
        let (one, other) = (connect(&server.url_for(user)).await, connect(&server.url_for(user)).await);
        for lock in [mutex(user), semaphore(user)] {
            let mut held = vec![granted(&one, &request(&lock)).await];
            if lock.is_semaphore() {
                held.push(granted(&one, &request(&lock)).await);
            }
            let waiting = request(&lock);
            assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
            other.beat(std::slice::from_ref(&lock)).await.unwrap();
            assert!(release(&one, &held[0]).await.unwrap());
            assert_eq!(rung(&other, &waiting, 300).await, rings, "{user} {lock}");
            granted(&other, &waiting).await;
        }
    }
}

#[tokio::test]
async fn tls_checks_the_server() {
    let server = Server::start_with_tls();
    let trusted = format!("{}?cacert={}", server.tls_url(), server.ca());
    let store = connect(&trusted).await;
    let held = granted(&store, &request(&mutex("one"))).await;
    assert!(release(&store, &held).await.unwrap());

    let error = RedisRepository::connect(&config(&server.tls_url())).await.unwrap_err();
    assert!(
        error.chain().contains("certificate") || error.chain().contains("UnknownIssuer"),
        "{}",
        error.chain()
    );
    let store = connect(&format!("{}#insecure", server.tls_url())).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn without_push_it_polls() {
    let server = Server::start();
    let store = connect(&format!("{}?protocol=resp2", server.url())).await;
    assert!(!store.capabilities().push);
    let held = granted(&store, &request(&mutex("one"))).await;
    assert!(matches!(store.acquire(&request(&mutex("one"))).await.unwrap(), Acquired::Busy(_)));
    assert!(release(&store, &held).await.unwrap());
}

#[tokio::test]
async fn nothing_is_left_of_a_queue() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let mut raw = server.raw().await;
    for lock in [mutex("one"), semaphore("one")] {
        say(&mut raw, "FLUSHALL").await.unwrap();
        let slots = if lock.is_semaphore() { 2 } else { 1 };
        let mut held = Vec::new();
        for _ in 0..slots {
            held.push(granted(&store, &request(&lock)).await);
        }
        let waiting: Vec<_> = (0..5).map(|_| request(&lock)).collect();
        for request in &waiting {
            assert!(matches!(store.acquire(request).await.unwrap(), Acquired::Busy(_)));
        }
        for request in &waiting[1..] {
            store.abandon(&lock, &request.version).await.unwrap();
        }
        assert!(release(&store, &held[0]).await.unwrap());
        let last = granted(&store, &waiting[0]).await;
        assert!(release(&store, &last).await.unwrap());
        let redis::Value::Int(keys) = say(&mut raw, "DBSIZE").await.unwrap() else { unreachable!() };
        assert_eq!(keys, slots, "the row, and the slots of a semaphore");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_until_somebody_is_gone() {
    let server = Server::start();
    let store = connect(&server.url()).await;
    let lock = mutex("one");
    let mut long = request(&lock);
    long.lease_ms = 600_000;
    granted(&store, &long).await;
    assert!(matches!(store.acquire(&request(&lock)).await.unwrap(), Acquired::Busy(_)));
    // 9,999 more, as if they had asked: half of them must ask again within 3 s.
    let key = format!("db-locks{{{}}}", db_locks_core::LockId::encoded(&lock));
    let fill = "local now = redis.call('TIME')[1]
        for i = 2, 10000 do
          redis.call('ZADD', KEYS[1], i, 't' .. i)
          redis.call('HSET', KEYS[2], 'tt' .. i, (now + (i % 2 == 0 and 3 or 60)) .. '000000 pother')
        end";
    let mut command = redis::cmd("EVAL");
    command.arg(fill).arg(2).arg(format!("{key}:queue")).arg(format!("{key}:waiters"));
    let _: () = command.query_async(&mut server.raw().await).await.unwrap();

    for _ in 0..3 {
        let error = store.acquire(&request(&lock)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(matches!(store.acquire(&request(&lock)).await.unwrap(), Acquired::Busy(_)));
    let size = say(&mut server.raw().await, &format!("ZCARD {key}:queue")).await.unwrap();
    assert_eq!(size, redis::Value::Int(5_001));
}

#[tokio::test]
async fn bells_ring_again_after_a_cut() {
    let server = Server::start();
    let cut = || async { drop(say(&mut server.raw().await, "CLIENT KILL SKIPME yes").await.unwrap()) };
    rings_again_after_a_cut(&server.url(), cut).await;
}
