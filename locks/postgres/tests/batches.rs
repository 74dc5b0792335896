//! Group commit: many calls in few round trips, and none of them at the mercy of another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{
    AcquireRequest, Acquired, ErrorKind, LockRepository, LockResult, MutexLock, MutexRepository,
};
use db_locks_postgres::PostgresRepository;
use futures_util::future::join_all;
use support::{CountingProxy, Schema, ask, granted, mutex, release, renewal, semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const MANY: usize = 200;

/// Mutexes that exist and are free.
async fn asks(store: &PostgresRepository, many: usize) -> Vec<AcquireRequest> {
    for number in 0..many {
        let held = granted(store, &ask(&mutex(&format!("key {number}")))).await;
        assert!(store.release(&release(&held)).await.unwrap());
    }
    (0..many).map(|number| ask(&mutex(&format!("key {number}")))).collect()
}

fn start(store: &Arc<PostgresRepository>, ask: &AcquireRequest) -> JoinHandle<LockResult<Acquired>> {
    let (store, ask) = (store.clone(), ask.clone());
    tokio::spawn(async move { store.acquire(&ask).await })
}

fn lock_of(acquired: Acquired) -> MutexLock {
    match acquired {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
    }
}

#[tokio::test]
async fn many_calls_are_few_round_trips() {
    let schema = Schema::new().await;
    let proxy = CountingProxy::before(&schema.url("")).await;
    let mut config = schema.config("");
    config.database_url = Some(proxy.url.clone());
    let store = PostgresRepository::connect(&config).await.unwrap();
    let asks = asks(&store, MANY).await;
    proxy.round_trips();
    let held = join_all(asks.iter().map(|ask| granted(&store, ask))).await;
    // New connections and statements that they do not know yet included.
    assert!(proxy.round_trips() < MANY / 5, "acquires");
    let requests: Vec<_> = held.iter().map(renewal).collect();
    let held = join_all(requests.iter().map(|request| store.renew(request))).await;
    assert!(proxy.round_trips() < MANY / 5, "renewals");
    let held: Vec<_> = held.into_iter().map(Result::unwrap).collect();
    for ((lock, ask), request) in held.iter().zip(&asks).zip(&requests) {
        assert_eq!((lock.mutex_key.as_str(), &lock.version), (ask.lock.key(), &request.new_version));
    }
    let requests: Vec<_> = held.iter().map(release).collect();
    let released = join_all(requests.iter().map(|request| store.release(request))).await;
    assert!(proxy.round_trips() < MANY / 5, "releases");
    assert!(released.into_iter().all(|released| released.unwrap()));
    schema.drop().await;
}

/// Somebody has locked a row: the others do not wait for it, in acquires nor in renewals.
#[tokio::test]
async fn a_locked_row_holds_nobody_else_up() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    let asks = asks(&store, 40).await;
    let lock_row = "BEGIN; SELECT 1 FROM mutexes WHERE mutex_key = 'key 20' FOR UPDATE";
    schema.admin.batch_execute(lock_row).await.unwrap();
    let mut calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    let stuck = calls.remove(20);
    let mut held = Vec::new();
    for call in calls {
        let acquired = timeout(Duration::from_secs(8), call).await.expect("waited for a stranger's lock");
        held.push(lock_of(acquired.unwrap().unwrap()));
    }
    assert!(!stuck.is_finished());
    schema.admin.batch_execute("COMMIT").await.unwrap();
    held.insert(20, lock_of(stuck.await.unwrap().unwrap()));

    schema.admin.batch_execute(lock_row).await.unwrap();
    let requests: Vec<_> = held.iter().map(renewal).collect();
    let many = {
        let (store, requests) = (store.clone(), requests.clone());
        tokio::spawn(async move { store.renew_many(&requests).await })
    };
    // The other 39 are renewed while the one is still locked.
    let renewed = "SELECT count(*) FROM mutexes WHERE version <> ALL ($1::text[])";
    let old: Vec<&str> = held.iter().map(|lock| lock.version.as_str()).collect();
    let watch = support::plain_client(&schema.url("")).await;
    timeout(Duration::from_secs(8), async {
        while watch.query_one(renewed, &[&old]).await.unwrap().get::<_, i64>(0) < 39 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("waited for a stranger's lock");
    assert!(!many.is_finished());
    schema.admin.batch_execute("COMMIT").await.unwrap();
    assert!(many.await.unwrap().into_iter().all(|renewed| renewed.is_ok()));
    schema.drop().await;
}

/// The server refuses the whole statement for the sake of one member: the others try again without it.
#[tokio::test]
async fn a_bad_member_fails_alone() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    let mut asks = asks(&store, 40).await;
    asks[20].data = Some("no \0 in PostgreSQL".into());
    let answers = join_all(asks.iter().map(|ask| store.acquire(ask))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(Acquired::Granted(_)) => assert_ne!(number, 20),
            Ok(Acquired::Busy(busy)) => panic!("{number} was refused: {busy:?}"),
            Err(error) => assert_eq!((number, error.kind()), (20, ErrorKind::Database), "{error}"),
        }
    }
    schema.drop().await;
}

#[tokio::test]
async fn two_who_want_the_same_at_once_are_told_apart() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    let asks = asks(&store, 40).await;
    let twins: Vec<_> = asks.iter().flat_map(|one| [one.clone(), ask(&one.lock)]).collect();
    let answers = join_all(twins.iter().map(|ask| store.acquire(ask))).await;
    for pair in answers.chunks(2) {
        let granted = pair.iter().filter(|answer| matches!(answer, Ok(Acquired::Granted(_)))).count();
        assert_eq!(granted, 1, "{pair:?}");
    }
    schema.drop().await;
}

/// The batches that wait for a lock of the server.
fn waiting_batches(schema: &Schema) -> String {
    format!(
        "FROM pg_stat_activity WHERE application_name = '{}' AND wait_event_type = 'Lock' \
         AND query LIKE '%acquire_many%'",
        schema.name
    )
}

async fn until_a_batch_waits(schema: &Schema) {
    let count = format!("SELECT count(*) {}", waiting_batches(schema));
    // The admin's transaction is open, and what a transaction sees of others' activity does not change.
    let watch = support::plain_client(&schema.url("")).await;
    timeout(Duration::from_secs(8), async {
        while watch.query_one(&count, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("no batch waits");
}

/// A caller that goes away while its request is on the way with others leaves no lock behind: nobody else clears up here.
#[tokio::test]
async fn a_member_that_goes_away_leaves_no_lock() {
    let schema = Schema::new().await;
    let store = schema.connect(&format!("application_name={}", schema.name)).await;
    let asks = asks(&store, 40).await;
    schema.admin.batch_execute("BEGIN; LOCK TABLE mutexes IN EXCLUSIVE MODE").await.unwrap();
    let mut calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    until_a_batch_waits(&schema).await;
    let gone = calls.remove(20);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    schema.admin.batch_execute("COMMIT").await.unwrap();
    for call in calls {
        lock_of(call.await.unwrap().unwrap());
    }
    timeout(Duration::from_secs(8), async {
        while store.get_mutex(&asks[20].lock).await.unwrap().locked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("nobody holds it, and it is not free");
    schema.drop().await;
}

/// The connection is cut while a batch is on its way: each member's outcome is unknown, and each finds out by asking again.
#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_each_member() {
    let schema = Schema::new().await;
    let store = schema.connect(&format!("application_name={}", schema.name)).await;
    let asks = asks(&store, 40).await;
    schema.admin.batch_execute("BEGIN; LOCK TABLE mutexes IN EXCLUSIVE MODE").await.unwrap();
    let calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    until_a_batch_waits(&schema).await;
    let watch = support::plain_client(&schema.url("")).await;
    let terminate = format!("SELECT count(pg_terminate_backend(pid)) {}", waiting_batches(&schema));
    assert!(watch.query_one(&terminate, &[]).await.unwrap().get::<_, i64>(0) > 0);
    schema.admin.batch_execute("COMMIT").await.unwrap();
    let mut unknown = 0;
    for (call, ask) in calls.into_iter().zip(&asks) {
        let lock = match call.await.unwrap() {
            Ok(acquired) => lock_of(acquired),
            Err(error) => {
                assert!(error.retryable(), "{error}");
                unknown += 1;
                granted(&store, ask).await
            }
        };
        assert_eq!((lock.mutex_key.as_str(), &lock.version), (ask.lock.key(), &ask.version));
    }
    assert!(unknown > 20, "only {unknown} members were in what was cut");
    schema.drop().await;
}

#[tokio::test]
async fn many_slots_are_few_round_trips() {
    let schema = Schema::new().await;
    let proxy = CountingProxy::before(&schema.url("")).await;
    let store = PostgresRepository::connect(&db_locks_core::LocksConfig {
        database_url: Some(proxy.url.clone()),
        ..schema.config("")
    })
    .await
    .unwrap();
    let pools: Vec<_> = (0..MANY).map(|number| semaphore(&format!("pool {number}"))).collect();
    for pool in &pools {
        let held = granted(&store, &ask(pool)).await;
        assert!(store.release(&release(&held)).await.unwrap());
    }
    proxy.round_trips();
    let asks: Vec<_> = pools.iter().map(ask).collect();
    let held: Vec<_> = join_all(asks.iter().map(|ask| store.acquire(ask)))
        .await
        .into_iter()
        .map(|acquired| match acquired.unwrap() {
            Acquired::Granted(lock) => lock,
            Acquired::Busy(busy) => panic!("refused: {busy:?}"),
        })
        .collect();
    // New connections included.
    assert!(proxy.round_trips() < MANY / 4, "acquires");
    let requests: Vec<_> = held.iter().map(renewal).collect();
    let renewed = join_all(requests.iter().map(|request| store.renew(request))).await;
    assert!(proxy.round_trips() < MANY / 4, "renewals");
    let releases: Vec<_> = renewed.into_iter().map(|renewed| release(&renewed.unwrap())).collect();
    let released = join_all(releases.iter().map(|request| store.release(request))).await;
    assert!(released.into_iter().all(|released| released.unwrap()));
    assert!(proxy.round_trips() < MANY / 4, "releases");
    schema.drop().await;
}

/// The function for one slot does not wait for the disk when it refuses. In a batch others may have been granted theirs.
#[tokio::test]
async fn a_refusal_makes_the_grants_beside_it_no_less_durable() {
    let schema = Schema::new().await;
    let store = schema.connect("").await;
    let pools = [semaphore("full"), semaphore("free")];
    for _ in 0..2 {
        granted(&store, &ask(&pools[0])).await;
    }
    let held = granted(&store, &ask(&pools[1])).await;
    assert!(store.release(&release(&held)).await.unwrap());
    let admin = &schema.admin;
    admin.batch_execute("BEGIN; SET LOCAL synchronous_commit = on").await.unwrap();
    let both = |value: &str| format!("ARRAY[{value}, {value}]");
    let call = format!(
        "SELECT o_index FROM mutexes_slot_acquire_many({}, ARRAY['free', 'full'], ARRAY['v1', 'v2'], {}, {}::bigint[], {}, {}, \
         {}::text[], {}, {}, {}, 'c', 15000, 400, 100, 100)",
        both("'tenant'"),
        both("'o'"),
        both("60000"),
        both("2"),
        both("false"),
        both("NULL"),
        both("true"),
        both("false"),
        both("true"),
    );
    let done: Vec<i64> =
        admin.query(&call, &[]).await.unwrap().iter().map(|row| row.get::<_, i64>(0)).collect();
    assert_eq!(done, [1]);
    let setting: String =
        admin.query_one("SELECT current_setting('synchronous_commit')", &[]).await.unwrap().get(0);
    assert_eq!(setting, "on");
    admin.batch_execute("ROLLBACK").await.unwrap();
    schema.drop().await;
}
