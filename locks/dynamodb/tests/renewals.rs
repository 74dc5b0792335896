//! Renewals of many locks at once: how many requests they take, and what becomes of those that a batch does not renew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers are part of the test"
)]

mod support;

use std::time::Duration;

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, ErrorKind, LockId, LockRepository, LockResult, MutexLock, MutexRepository,
    RenewRequest,
};
use db_locks_dynamodb::DynamoRepository;
use serde_json::{Value, json};
use support::{Fate, Proxy, ask, release, renewal};

const BATCH: &str = "BatchExecuteStatement";
const SINGLE: &str = "UpdateItem";

async fn held(store: &DynamoRepository, id: &LockId, data: Option<&str>) -> MutexLock {
    let mut request = ask(id);
    request.max_size = id.is_semaphore().then_some(40);
    request.data = data.map(str::to_string);
    match store.acquire(&request).await.unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
    }
}

async fn mutexes(store: &DynamoRepository, tenant: &str, how_many: usize) -> Vec<MutexLock> {
    let mut locks = Vec::new();
    for number in 0..how_many {
        let id = LockId::mutex(tenant, &format!("m{number}")).unwrap();
        locks.push(held(store, &id, Some(&format!("data of {number}"))).await);
    }
    locks
}

/// `[batches, single updates]`, and nothing else.
fn requests(proxy: &Proxy) -> [usize; 2] {
    let seen = proxy.operations();
    let count = |operation: &str| seen.iter().filter(|seen| *seen == operation).count();
    assert_eq!(seen.len(), count(BATCH) + count(SINGLE), "{seen:?}");
    [count(BATCH), count(SINGLE)]
}

/// Each renewed lock is told as it is now, and held so.
async fn check(
    store: &DynamoRepository,
    before: &[MutexLock],
    asked: &[RenewRequest],
    replies: Vec<LockResult<MutexLock>>,
) {
    assert_eq!(replies.len(), asked.len());
    for ((before, asked), reply) in before.iter().zip(asked).zip(replies) {
        let lock = reply.unwrap_or_else(|error| panic!("{}: {}", asked.lock, error.chain()));
        assert_eq!((&lock.mutex_key, &lock.version), (&before.mutex_key, &asked.new_version));
        assert_eq!(lock.fencing_token, before.fencing_token);
        assert_eq!((&lock.owner, lock.lease_duration_ms), (&before.owner, asked.lease_ms));
        assert_eq!(lock.data, asked.data.clone().or_else(|| before.data.clone()));
        assert!(lock.locked && !lock.expired());
        if !asked.lock.is_semaphore() {
            assert_eq!(store.get_mutex(&asked.lock).await.unwrap().version, asked.new_version);
        }
    }
}

#[tokio::test]
async fn many_renewals_are_few_requests() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let mut locks = mutexes(&store, &config.tenant_id, 60).await;
    let pool = LockId::semaphore(&config.tenant_id, "pool").unwrap();
    for _ in 0..3 {
        locks.push(held(&store, &pool, Some("slot")).await);
    }
    for round in 0..3 {
        let mut asked: Vec<_> = locks.iter().map(renewal).collect();
        asked[round].data = Some("new".into());
        asked[61].data = Some("also new".into());
        proxy.take_seen();
        let replies = store.renew_many(&asked).await;
        // 63 locks in three batches, in each of which the pool's item is once.
        assert_eq!(requests(&proxy), [3, 0], "round {round}");
        let renewed = replies.iter().map(|reply| reply.as_ref().unwrap().clone()).collect();
        check(&store, &locks, &asked, replies).await;
        locks = renewed;
    }
    // The last version is the one that releases.
    for lock in locks {
        assert!(store.release(&release(&lock)).await.unwrap());
    }
}

#[tokio::test]
async fn a_stale_one_among_many_fails_alone() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let locks = mutexes(&store, &config.tenant_id, 30).await;
    let mut asked: Vec<_> = locks.iter().map(renewal).collect();
    asked[7].version = "stale".into();
    (asked[8].lock, asked[8].mutex_key) =
        (LockId::mutex(&config.tenant_id, "there is none").unwrap(), "there is none".into());
    assert!(store.release(&release(&locks[9])).await.unwrap());
    proxy.take_seen();
    let replies = store.renew_many(&asked).await;
    // The one that is not there is asked for by itself: its refusal does not bring an item.
    assert_eq!(requests(&proxy), [2, 1], "no item, no more");
    for (number, reply) in replies.into_iter().enumerate() {
        match (number, reply) {
            (7..=9, reply) => assert_eq!(reply.unwrap_err().kind(), ErrorKind::NotFound, "{number}"),
            (_, reply) => assert_eq!(reply.unwrap().version, asked[number].new_version),
        }
    }
    assert_eq!(store.get_mutex(&asked[7].lock).await.unwrap().version, locks[7].version, "untouched");
}

/// Also where the version stays, others see each renewal in a batch as a sign of life.
#[tokio::test]
async fn renewals_in_batches_keep_others_from_taking_over() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let other = DynamoRepository::connect(&config).await.unwrap();
    let mut locks = Vec::new();
    for key in ["a", "b"] {
        let request =
            AcquireRequest { lease_ms: 1_500, ..ask(&LockId::mutex(&config.tenant_id, key).unwrap()) };
        let Acquired::Granted(lock) = store.acquire(&request).await.unwrap() else { panic!("refused") };
        assert!(matches!(
            other.acquire(&AcquireRequest { version: new_version(), ..request }).await.unwrap(),
            Acquired::Busy(_)
        ));
        locks.push(lock);
    }
    let same = |lock: &MutexLock| RenewRequest {
        new_version: lock.version.clone(),
        lease_ms: 1_500,
        ..renewal(lock)
    };
    let asked: Vec<_> = locks.iter().map(same).collect();
    proxy.take_seen();
    let replies = store.renew_many(&asked).await;
    assert_eq!(requests(&proxy), [1, 0]);
    check(&store, &locks, &asked, replies).await;
    // Longer than the lease since the other client first saw it.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    for lock in &locks {
        let request = AcquireRequest { lease_ms: 1_500, ..ask(&lock.lock_id().unwrap()) };
        assert!(matches!(other.acquire(&request).await.unwrap(), Acquired::Busy(_)), "{}", lock.mutex_key);
    }
}

/// As by itself: who has watched a lease to its end does not renew it any more.
#[tokio::test]
async fn what_was_watched_to_its_end_is_not_renewed_with_others() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let mut locks = mutexes(&store, &config.tenant_id, 3).await;
    let late = LockId::mutex(&config.tenant_id, "late").unwrap();
    let request = AcquireRequest { lease_ms: 100, ..ask(&late) };
    let Acquired::Granted(lock) = store.acquire(&request).await.unwrap() else { panic!("refused") };
    locks.push(lock);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked: Vec<_> = locks.iter().map(renewal).collect();
    proxy.take_seen();
    let mut replies = store.renew_many(&asked).await;
    assert_eq!(requests(&proxy), [1, 1]);
    assert_eq!(replies.pop().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    check(&store, &locks[..3], &asked[..3], replies).await;
}

/// The engine renewed them all, but nobody heard of it: asked again, they are known by their new versions.
#[tokio::test]
async fn a_lost_reply_of_a_batch_is_made_good() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let locks = mutexes(&store, &config.tenant_id, 5).await;
    let asked: Vec<_> = locks.iter().map(renewal).collect();
    proxy.take_seen();
    proxy.next(BATCH, [Fate::ReplyLost]);
    let replies = store.renew_many(&asked).await;
    assert_eq!(requests(&proxy), [2, 5]);
    check(&store, &locks, &asked, replies).await;
}

/// Answers of the engine, changed on their way: what a batch does not say is asked for by single requests.
#[tokio::test]
async fn what_a_batch_leaves_open_is_renewed_alone() {
    fn failed(reply: &mut Value, number: usize, code: &str) {
        reply["Responses"][number] = json!({"Error": {"Code": code, "Message": "by the proxy"}});
    }
    type Edit = fn(&mut Value);
    // Whether batches are tried again afterwards, and what the engine seems to have said.
    let cases: [(bool, usize, Edit); 6] = [
        (true, 1, |reply| failed(reply, 2, "ThrottlingError")),
        (true, 1, |reply| failed(reply, 2, "ValidationError")),
        (true, 1, |reply| reply["Responses"][2]["Item"]["fence"] = json!({"S": "spoilt"})),
        (false, 1, |reply| failed(reply, 2, "AccessDenied")),
        (false, 5, |reply| (0..5).for_each(|number| failed(reply, number, "ValidationError"))),
        (false, 5, |reply| {
            for reply in reply["Responses"].as_array_mut().unwrap() {
                reply.as_object_mut().unwrap().remove("Item");
            }
        }),
    ];
    for (number, (goes_on, alone, edit)) in cases.into_iter().enumerate() {
        let proxy = Proxy::start().await;
        let config = proxy.config();
        let store = DynamoRepository::connect(&config).await.unwrap();
        let locks = mutexes(&store, &config.tenant_id, 5).await;
        let mut asked: Vec<_> = locks.iter().map(renewal).collect();
        proxy.take_seen();
        proxy.next(BATCH, [Fate::Edited { edit }]);
        let replies = store.renew_many(&asked).await;
        // It was written already: so refused at the old version, and renewed at the new one.
        assert_eq!(requests(&proxy), [1, 2 * alone], "case {number}");
        check(&store, &locks, &asked, replies).await;
        for asked in &mut asked {
            asked.version = std::mem::replace(&mut asked.new_version, new_version());
        }
        proxy.take_seen();
        let replies = store.renew_many(&asked).await;
        assert_eq!(requests(&proxy), if goes_on { [1, 0] } else { [0, 5] }, "after case {number}");
        check(&store, &locks, &asked, replies).await;
    }
}

#[tokio::test]
async fn without_the_right_to_send_batches_renewals_go_one_by_one() {
    for (status, code, goes_on) in [
        (400, "AccessDeniedException", false),
        (400, "UnknownOperationException", false),
        (501, "NotImplemented", false),
        (400, "ExpiredTokenException", true),
    ] {
        let proxy = Proxy::start().await;
        let config = proxy.config();
        let store = DynamoRepository::connect(&config).await.unwrap();
        let mut locks = mutexes(&store, &config.tenant_id, 5).await;
        for expected in [[1, 5], if goes_on { [1, 0] } else { [0, 5] }] {
            let asked: Vec<_> = locks.iter().map(renewal).collect();
            if expected == [1, 5] {
                proxy.next(BATCH, [Fate::Refused { status, code }]);
            }
            proxy.take_seen();
            let replies = store.renew_many(&asked).await;
            assert_eq!(requests(&proxy), expected, "{code}");
            let renewed = replies.iter().map(|reply| reply.as_ref().unwrap().clone()).collect();
            check(&store, &locks, &asked, replies).await;
            locks = renewed;
        }
    }
}

#[tokio::test]
async fn a_throttled_batch_is_sent_again_and_fails_with_its_code_in_the_end() {
    let proxy = Proxy::start().await;
    let config = proxy.config();
    let store = DynamoRepository::connect(&config).await.unwrap();
    let locks = mutexes(&store, &config.tenant_id, 5).await;
    let asked: Vec<_> = locks.iter().map(renewal).collect();
    let throttled = Fate::Refused { status: 400, code: "ThrottlingException" };
    proxy.next(BATCH, vec![throttled.clone(); 4]);
    proxy.take_seen();
    for reply in store.renew_many(&asked).await {
        let error = reply.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
        assert!(error.to_string().contains("ThrottlingException"), "{error}");
    }
    assert_eq!(requests(&proxy), [4, 0]);
    proxy.next(BATCH, vec![throttled; 2]);
    let replies = store.renew_many(&asked).await;
    assert_eq!(requests(&proxy), [3, 0]);
    check(&store, &locks, &asked, replies).await;
}
