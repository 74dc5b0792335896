//! What only a proxy can show: how many requests an operation takes, what they ask for, what is tried again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers are part of the test"
)]

mod support;

use std::time::{Duration, Instant};

use db_locks_core::models::new_version;
use db_locks_core::{
    Acquired, ErrorKind, LockId, LockRepository, MutexLock, MutexLockBuilder, MutexRepository,
    ReleaseRequest, RenewRequest, SemaphoreBuilder, SemaphoreRepository,
};
use db_locks_dynamodb::DynamoRepository;
use support::{Fate, Proxy, ask, release, renewal};

fn both(tenant: &str, key: &str) -> [LockId; 2] {
    [LockId::mutex(tenant, key).unwrap(), LockId::semaphore(tenant, key).unwrap()]
}

fn granted(acquired: Acquired) -> MutexLock {
    match acquired {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
    }
}

const ONE_UPDATE: [&str; 1] = ["UpdateItem"];

#[tokio::test]
async fn acquire_renew_and_release_are_one_request_each() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    for id in both(&config.tenant_id, "one") {
        // The lock absent; then present with its data; then seen for the first time by another process.
        for round in ["new", "again"] {
            proxy.take_seen();
            let mut request = ask(&id);
            request.data = Some("data".into());
            request.delete_on_release = round == "again";
            let lock = granted(store.acquire(&request).await.unwrap());
            assert_eq!(proxy.operations(), ONE_UPDATE, "acquire {round}: {id}");
            let renewed = store.renew(&renewal(&lock)).await.unwrap();
            assert_eq!(proxy.operations(), ONE_UPDATE, "renewal {round}: {id}");
            assert!(store.release(&release(&renewed)).await.unwrap());
            assert_eq!(proxy.operations(), ONE_UPDATE, "release {round}: {id}");
        }
        let cold = DynamoRepository::connect(&config).await.unwrap();
        proxy.take_seen();
        let lock = granted(cold.acquire(&ask(&id)).await.unwrap());
        assert_eq!(proxy.operations(), ONE_UPDATE, "first acquire of a process: {id}");
        let other = DynamoRepository::connect(&config).await.unwrap();
        proxy.take_seen();
        assert!(other.release(&release(&lock)).await.unwrap());
        assert_eq!(proxy.operations(), ONE_UPDATE, "release by another process: {id}");
    }
}

#[tokio::test]
async fn slots_of_large_semaphores_and_slots_by_version_are_one_request_too() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    for size in [20, 200] {
        let id = LockId::semaphore(&config.tenant_id, &format!("pool of {size}")).unwrap();
        let mut held = Vec::new();
        for number in 0..10 {
            let mut request = ask(&id);
            (request.max_size, request.named_by_version) = (Some(size), number % 2 == 0);
            proxy.take_seen();
            let lock = granted(store.acquire(&request).await.unwrap());
            assert_eq!(proxy.operations(), ONE_UPDATE, "acquire {number} of {size}");
            held.push(lock);
        }
        for lock in held {
            proxy.take_seen();
            let renewed = store
                .renew(&RenewRequest { new_version: lock.version.clone(), ..renewal(&lock) })
                .await
                .unwrap();
            assert!(store.release(&release(&renewed)).await.unwrap());
            assert_eq!(proxy.operations(), [ONE_UPDATE, ONE_UPDATE].concat(), "{}", lock.mutex_key);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_one_request_and_waiting_two() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let other = DynamoRepository::connect(&config).await.unwrap();
    for id in both(&config.tenant_id, "one") {
        for _ in 0..if id.is_semaphore() { 3 } else { 1 } {
            granted(store.acquire(&ask(&id)).await.unwrap());
        }
        proxy.take_seen();
        let Acquired::Busy(busy) = other.acquire(&ask(&id)).await.unwrap() else { panic!("granted") };
        assert_eq!(busy.holder.as_deref(), Some("tests"));
        assert_eq!(proxy.operations(), ONE_UPDATE);
        let mut waiting = ask(&id);
        waiting.wait = true;
        assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
        assert_eq!(proxy.operations(), ["UpdateItem", "UpdateItem"], "refused, then queued");
        assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
        assert_eq!(proxy.operations(), ["GetItem"], "a look");
    }
}

#[tokio::test]
async fn throttling_and_passing_failures_are_tried_again() {
    let passing = [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "TransactionConflictException"),
        (400, "ReplicatedWriteConflictException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ];
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    for (status, code) in passing {
        for id in both(&config.tenant_id, code) {
            proxy.take_seen();
            let refused = Fate::Refused { status, code };
            proxy.next("UpdateItem", vec![refused.clone(); 3]);
            let lock = granted(store.acquire(&ask(&id)).await.unwrap());
            assert_eq!(proxy.operations().len(), 4, "{code}");
            proxy.next("UpdateItem", vec![refused.clone(); 2]);
            let renewed = store.renew(&renewal(&lock)).await.unwrap();
            proxy.next("UpdateItem", vec![refused.clone()]);
            assert!(store.release(&release(&renewed)).await.unwrap());
        }
        proxy.next("GetItem", [Fate::Refused { status, code }]);
        store.get_mutex(&LockId::mutex(&config.tenant_id, code).unwrap()).await.unwrap();
        assert_eq!(proxy.operations().len(), 3 + 2 + 2, "{code}");
    }
}

#[tokio::test]
async fn lasting_failures_end_in_time_with_their_code() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let id = LockId::mutex(&config.tenant_id, "one").unwrap();
    proxy.take_seen();
    let code = "ProvisionedThroughputExceededException";
    proxy.next("UpdateItem", vec![Fate::Refused { status: 400, code }; 4]);
    let error = store.acquire(&ask(&id)).await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::CurrentlyUnavailable, true));
    assert!(error.to_string().contains(code), "{}", error.chain());
    assert_eq!(proxy.operations().len(), 4);

    // What cannot pass is not tried again.
    for (code, kind) in [
        ("AccessDeniedException", ErrorKind::AccessDenied),
        ("UnrecognizedClientException", ErrorKind::AccessDenied),
        ("ExpiredTokenException", ErrorKind::AccessDenied),
        ("ResourceNotFoundException", ErrorKind::Database),
        ("ValidationException", ErrorKind::Database),
    ] {
        proxy.next("UpdateItem", [Fate::Refused { status: 400, code }]);
        let error = store.acquire(&ask(&id)).await.unwrap_err();
        assert_eq!((error.kind(), error.retryable()), (kind, false), "{}", error.chain());
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(proxy.operations().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn reads_are_strongly_consistent_unless_configured_otherwise() {
    for consistent in [None, Some(true), Some(false)] {
        let proxy = Proxy::start().await;
        let mut config = proxy.config();
        config.ddb_read_consistency = consistent;
        let store = DynamoRepository::connect(&config).await.unwrap();
        let [mutex, semaphore] = both(&config.tenant_id, "one");
        for id in [&mutex, &semaphore] {
            granted(store.acquire(&ask(id)).await.unwrap());
        }
        store.get_mutex(&mutex).await.unwrap();
        store.get_semaphore(&semaphore).await.unwrap();
        store.get_semaphore_mutexes(&semaphore).await.unwrap();
        store.abandon(&mutex, "unknown").await.unwrap();
        let reads: Vec<_> =
            proxy.take_seen().into_iter().filter(|seen| seen.operation == "GetItem").collect();
        assert_eq!(reads.len(), 4);
        for read in reads {
            assert_eq!(read.body["ConsistentRead"], consistent.unwrap_or(true), "{}", read.body);
        }
    }
}

/// Each operation is applied, its reply lost, and it is sent again: by the SDK, which knows no better.
#[tokio::test]
async fn lost_replies_are_made_good() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let lost = || [Fate::ReplyLost];
    for id in both(&config.tenant_id, "one") {
        proxy.next("UpdateItem", lost());
        let lock = granted(store.acquire(&ask(&id)).await.unwrap());
        let slots = store.get_semaphore_mutexes(&id).await.unwrap_or_default();
        assert!(slots.iter().filter(|slot| slot.locked).count() <= 1, "granted twice");
        let waiting = db_locks_core::AcquireRequest { wait: true, max_size: None, ..ask(&id) };
        if !id.is_semaphore() {
            store.acquire(&ask(&id)).await.unwrap();
            proxy.next("UpdateItem", lost());
            let Acquired::Busy(busy) = store.acquire(&waiting).await.unwrap() else { panic!("granted") };
            assert_eq!((busy.position, busy.queue_number), (0, 1));
            proxy.next("UpdateItem", lost());
            store.abandon(&id, &waiting.version).await.unwrap();
        }
        proxy.next("UpdateItem", lost());
        let renewed = store.renew(&renewal(&lock)).await.unwrap();
        assert_eq!(renewed.fencing_token, lock.fencing_token);
        proxy.next("UpdateItem", lost());
        assert!(store.release(&release(&renewed)).await.unwrap());

        let next = granted(store.acquire(&ask(&id)).await.unwrap());
        proxy.next("UpdateItem", lost());
        assert!(store.release(&ReleaseRequest { delete: true, ..release(&next) }).await.unwrap());
    }

    let [mutex, semaphore] = both(&config.tenant_id, "made");
    let new = MutexLockBuilder::new("made").with_tenant(&config.tenant_id).build();
    proxy.next("UpdateItem", lost());
    assert_eq!(store.create_mutex(&new).await.unwrap(), 1);
    assert_eq!(store.create_mutex(&new).await.unwrap(), 0);
    proxy.next("UpdateItem", lost());
    assert_eq!(store.delete_mutex(&mutex, &new.version).await.unwrap(), 1);
    let new = SemaphoreBuilder::new("made", 3).with_tenant(&config.tenant_id).build();
    proxy.next("UpdateItem", lost());
    assert_eq!(store.create_semaphore(&new).await.unwrap(), 1);
    proxy.next("PutItem", lost());
    assert_eq!(store.delete_semaphore(&semaphore, &new.version).await.unwrap(), 1);
}

/// A try that hangs is given up for another one within the time that the whole call has.
#[tokio::test]
async fn a_hanging_try_leaves_time_for_another() {
    let proxy = Proxy::start().await;
    let mut config = proxy.config();
    config.request_timeout_ms = Some(3_000);
    let store = DynamoRepository::connect(&config).await.unwrap();
    let id = LockId::mutex(&config.tenant_id, "one").unwrap();
    proxy.next("UpdateItem", [Fate::ReplyLate { ms: 10_000 }]);
    let begun = Instant::now();
    let lock = granted(store.acquire(&ask(&id)).await.unwrap());
    assert!(begun.elapsed() < Duration::from_millis(2_900), "{:?}", begun.elapsed());
    // The lease counts from before the request that was in the end answered, at the latest.
    assert!(lock.remaining.ends_at() <= begun + begun.elapsed() + Duration::from_secs(15));
    assert!(store.release(&release(&lock)).await.unwrap());
}

#[tokio::test]
async fn absent_tables_are_told_and_nothing_is_created_against_the_users_will() {
    let mut config = support::direct_config();
    config.mutexes_table_name = Some(format!("m_{}", new_version().replace('-', "")));
    config.run_database_migrations = Some(false);
    let store = DynamoRepository::connect(&config).await.unwrap();
    store.ping().await.unwrap();
    let error = store.acquire(&ask(&LockId::mutex("t", "one").unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database, "{}", error.chain());
    assert!(error.to_string().contains("db-locks migrate"), "{error}");
    assert_eq!(store.migrate().await.unwrap(), [config.mutexes_table_name().to_string()]);
    granted(store.acquire(&ask(&LockId::mutex("t", "one").unwrap())).await.unwrap());
}

/// A first try that the network delivers a second time, after the release, takes the lock for nobody.
#[tokio::test]
async fn a_request_that_arrives_again_after_the_release_grants_nothing() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    for id in both(&config.tenant_id, "one") {
        proxy.next("UpdateItem", [Fate::Repeated { after: 2 }]);
        let lock = granted(store.acquire(&ask(&id)).await.unwrap());
        assert!(store.release(&release(&lock)).await.unwrap());
        // The third request lets the repetition through before it.
        assert!(store.release(&release(&lock)).await.unwrap(), "released already");
        let slots = store.get_semaphore_mutexes(&id).await.unwrap_or_default();
        assert!(slots.iter().all(|slot| !slot.locked));
        let next = granted(store.acquire(&ask(&id)).await.unwrap());
        assert_eq!(next.fencing_token, lock.fencing_token.map(|token| token + 1));
        // Asked for on purpose, the same version can have it again.
        assert!(store.release(&release(&next)).await.unwrap());
        let mut again = ask(&id);
        again.version = next.version;
        granted(store.acquire(&again).await.unwrap());
    }
}
