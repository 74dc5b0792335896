//! Group commit: many calls in few round trips, and none of them at the mercy of another.

use std::sync::Arc;
use std::time::Duration;

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, ErrorKind, LockId, LockRepository, LockResult, MutexLock, MutexRepository,
    SemaphoreRepository,
};
use db_locks_mysql::MysqlRepository;
use mysql_async::prelude::Queryable;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::support::{
    CountingProxy, Database, ask, config, granted, mutex, plain_client, release, renewal, semaphore,
};

const MANY: usize = 200;

/// Locks that exist and are free.
async fn asks_for(
    store: &Arc<MysqlRepository>,
    many: usize,
    kind: fn(&str) -> LockId,
) -> Vec<AcquireRequest> {
    for number in 0..many {
        let held = granted(store, &ask(&kind(&format!("key {number}")))).await;
        assert!(store.release(&release(&held)).await.unwrap());
    }
    (0..many).map(|number| ask(&kind(&format!("key {number}")))).collect()
}

async fn asks(store: &Arc<MysqlRepository>, many: usize) -> Vec<AcquireRequest> {
    asks_for(store, many, mutex).await
}

fn start(store: &Arc<MysqlRepository>, ask: &AcquireRequest) -> JoinHandle<LockResult<Acquired>> {
    let (store, ask) = (store.clone(), ask.clone());
    tokio::spawn(async move { store.acquire(&ask).await })
}

fn lock_of(acquired: Acquired) -> MutexLock {
    match acquired {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
    }
}

/// All at once, in their order.
async fn all<T: Send + 'static>(calls: Vec<impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let mut running = JoinSet::new();
    for (place, call) in calls.into_iter().enumerate() {
        running.spawn(async move { (place, call.await) });
    }
    let mut answers = running.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn hold_all(store: &Arc<MysqlRepository>, asks: &[AcquireRequest]) -> Vec<MutexLock> {
    let calls: Vec<_> = asks.iter().map(|ask| start(store, ask)).collect();
    let mut held = Vec::new();
    for call in calls {
        held.push(lock_of(call.await.unwrap().unwrap()));
    }
    held
}

/// Acquires all while somebody has locked the row of the twenty-first, who alone has to wait for that.
async fn hold_all_but_the_locked(
    database: &mut Database,
    store: &Arc<MysqlRepository>,
    asks: &[AcquireRequest],
    lock_row: &str,
) -> Vec<MutexLock> {
    database.run("START TRANSACTION").await;
    database.run(lock_row).await;
    let mut calls: Vec<_> = asks.iter().map(|ask| start(store, ask)).collect();
    let stuck = calls.remove(20);
    let mut held = Vec::new();
    for call in calls {
        let acquired = timeout(Duration::from_secs(8), call).await.expect("waited for a stranger's lock");
        held.push(lock_of(acquired.unwrap().unwrap()));
    }
    assert!(!stuck.is_finished());
    database.run("COMMIT").await;
    held.insert(20, lock_of(stuck.await.unwrap().unwrap()));
    held
}

#[tokio::test]
async fn many_calls_are_few_round_trips() {
    few_round_trips(mutex).await;
}

#[tokio::test]
async fn many_calls_for_slots_are_few_round_trips() {
    few_round_trips(semaphore).await;
}

async fn few_round_trips(kind: fn(&str) -> LockId) {
    let database = Database::new().await;
    let proxy = CountingProxy::before(&database.url).await;
    let store = MysqlRepository::connect(&config(&proxy.url)).await.unwrap();
    let asks = asks_for(&store, MANY, kind).await;
    proxy.round_trips();
    let held = hold_all(&store, &asks).await;
    // New connections included.
    assert!(proxy.round_trips() < MANY / 4, "acquires");
    let requests: Vec<_> = held.iter().map(renewal).collect();
    let calls = requests.iter().map(|request| {
        let (store, request) = (store.clone(), request.clone());
        async move { store.renew(&request).await.unwrap() }
    });
    let held = all(calls.collect()).await;
    assert!(proxy.round_trips() < MANY / 4, "renewals");
    for ((lock, ask), request) in held.iter().zip(&asks).zip(&requests) {
        assert_eq!((&lock.lock_id().unwrap(), &lock.version), (&ask.lock, &request.new_version));
    }
    let calls = held.iter().map(|lock| {
        let (store, request) = (store.clone(), release(lock));
        async move { store.release(&request).await.unwrap() }
    });
    assert!(all(calls.collect()).await.into_iter().all(|released| released));
    assert!(proxy.round_trips() < MANY / 4, "releases");
    database.drop().await;
}

/// Somebody has locked a row: the others do not wait for it, in acquires nor in renewals.
#[tokio::test]
async fn a_locked_row_holds_nobody_else_up() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    let asks = asks(&store, 40).await;
    let lock_row = "SELECT 1 FROM mutexes WHERE mutex_key = 'key 20' AND tenant_id = 'tenant' AND semaphore_key = '' FOR UPDATE";
    let held = hold_all_but_the_locked(&mut database, &store, &asks, lock_row).await;

    database.run("START TRANSACTION").await;
    database.run(lock_row).await;
    let requests: Vec<_> = held.iter().map(renewal).collect();
    let many = {
        let (store, requests) = (store.clone(), requests.clone());
        tokio::spawn(async move { store.renew_many(&requests).await })
    };
    let mut watch = plain_client(&database.url).await;
    let renewed = format!(
        "SELECT COUNT(*) FROM mutexes WHERE version IN ({})",
        requests.iter().map(|request| format!("'{}'", request.new_version)).collect::<Vec<_>>().join(",")
    );
    timeout(Duration::from_secs(8), async {
        while watch.query_first::<i64, _>(&renewed).await.unwrap() < Some(39) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("waited for a stranger's lock");
    assert!(!many.is_finished());
    database.run("COMMIT").await;
    assert!(many.await.unwrap().into_iter().all(|renewed| renewed.is_ok()));
    database.drop().await;
}

/// Somebody is at a semaphore: the others do not wait for him, and he who wants a slot of it does.
#[tokio::test]
async fn a_locked_semaphore_holds_nobody_else_up() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    let mut asks = asks_for(&store, 40, semaphore).await;
    // A batch can have both kinds.
    asks.extend(asks_for(&store, 10, mutex).await);
    let lock_row =
        "SELECT 1 FROM semaphores WHERE semaphore_key = 'key 20' AND tenant_id = 'tenant' FOR UPDATE";
    let held = hold_all_but_the_locked(&mut database, &store, &asks, lock_row).await;
    for (lock, ask) in held.iter().zip(&asks) {
        assert_eq!((&lock.lock_id().unwrap(), &lock.version), (&ask.lock, &ask.version));
    }
    database.drop().await;
}

/// Slots that are taken, those of semaphores that are not there yet, and data: each gets what he would get alone.
#[tokio::test]
async fn unusual_slots_get_what_they_would_get_alone() {
    let database = Database::new().await;
    let store = database.connect().await;
    let mut asks = asks_for(&store, 40, semaphore).await;
    // Both of its slots are held; one of two is; what was there is kept, or replaced.
    let full = [granted(&store, &ask(&asks[0].lock)).await, granted(&store, &ask(&asks[0].lock)).await];
    let half = granted(&store, &ask(&asks[1].lock)).await;
    for number in [2, 3] {
        let held =
            granted(&store, &AcquireRequest { data: Some("kept".to_string()), ..ask(&asks[number].lock) })
                .await;
        assert!(store.release(&release(&held)).await.unwrap());
        asks[number].data = Some("new".to_string());
        asks[number].replace_data = number == 3;
    }
    asks[4].lock = semaphore("never seen");
    asks[4].max_size = Some(7);
    asks[5].data = Some("''é\\".to_string());
    asks[6].named_by_version = true;
    let calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    let mut held = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        match call.await.unwrap().unwrap() {
            Acquired::Granted(lock) => held.push(lock),
            Acquired::Busy(busy) => {
                assert_eq!((number, busy.holder.as_deref()), (0, Some("test")));
                held.push(full[0].clone());
            }
        }
    }
    assert!(held[1].mutex_key != half.mutex_key);
    let data = |number: usize| held[number].data.as_deref();
    assert_eq!((data(2), data(3), data(5), data(7)), (Some("kept"), Some("new"), Some("''é\\"), None));
    assert_eq!(store.get_semaphore(&asks[4].lock).await.unwrap().max_size, 7);
    assert_eq!(held[6].mutex_key, format!("key 6_{}", asks[6].version));

    // Renewed all at once, by numbers and by versions; then given back, but for what is another's.
    let renewals: Vec<_> = held.iter().map(renewal).collect();
    let renewed: Vec<_> =
        store.renew_many(&renewals).await.into_iter().map(|renewed| renewed.unwrap()).collect();
    let mut requests: Vec<_> = renewed.iter().map(release).collect();
    requests[7].version = new_version();
    requests[8].mutex_key = "key 9_0000000000".to_string();
    let calls = requests.iter().map(|request| {
        let (store, request) = (store.clone(), request.clone());
        async move { store.release(&request).await.unwrap() }
    });
    let released = all(calls.collect()).await;
    for (number, (released, ask)) in released.into_iter().zip(&asks).enumerate() {
        let busy = store.get_semaphore(&ask.lock).await.unwrap().busy_count.unwrap();
        match number {
            0 | 1 => assert_eq!((released, busy), (true, 1), "{number}"),
            7 | 8 => assert_eq!((released, busy), (false, 1), "{number}"),
            _ => assert_eq!((released, busy), (true, 0), "{number}"),
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn two_who_want_the_same_at_once_are_told_apart() {
    let database = Database::new().await;
    let store = database.connect().await;
    let asks = asks(&store, 40).await;
    let calls: Vec<_> =
        asks.iter().flat_map(|one| [start(&store, one), start(&store, &ask(&one.lock))]).collect();
    let mut granted = Vec::new();
    for call in calls {
        granted.push(matches!(call.await.unwrap().unwrap(), Acquired::Granted(_)));
    }
    for pair in granted.chunks(2) {
        assert_eq!(pair.iter().filter(|granted| **granted).count(), 1);
    }
    database.drop().await;
}

/// A caller that goes away while its request is on the way with others leaves no lock behind: nobody else clears up here.
#[tokio::test]
async fn a_member_that_goes_away_leaves_no_lock() {
    let mut database = Database::new().await;
    let store = database.connect().await;
    let asks = asks(&store, 40).await;
    database
        .run("LOCK TABLES mutexes WRITE, semaphores WRITE, lock_waiters WRITE, lock_waiters_clients WRITE")
        .await;
    let mut calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    let mut watch = plain_client(&database.url).await;
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.processlist \
         WHERE db = '{}' AND state LIKE 'Waiting for table%' AND info LIKE '%db_locks_now%'",
        database.name
    );
    while watch.query_first::<i64, _>(&waiting).await.unwrap() < Some(1) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let gone = calls.remove(20);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    database.run("UNLOCK TABLES").await;
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
    database.drop().await;
}

/// What is not of the usual kind goes the careful way, and so does all that is in a batch with it: to the same end.
#[tokio::test]
async fn unusual_members_get_what_they_would_get_alone() {
    let database = Database::new().await;
    let store = database.connect().await;
    let mut asks = asks(&store, 40).await;
    let mut last = Vec::new();
    for ask in &asks[..4] {
        let held = granted(&store, &AcquireRequest { data: Some("kept".to_string()), ..ask.clone() }).await;
        assert!(store.release(&release(&held)).await.unwrap());
        last.push(held);
    }
    for ask in &mut asks {
        ask.version = new_version();
    }
    // Data is kept that is not to be replaced; a deleted one comes back; one is new, one is held, one goes at its release.
    asks[0].data = Some("new".to_string());
    asks[0].replace_data = false;
    asks[2].data = Some("new".to_string());
    assert_eq!(store.delete_mutex(&asks[3].lock, &last[3].version).await.unwrap(), 1);
    asks[4].lock = mutex("never seen");
    let theirs = granted(&store, &ask(&asks[5].lock)).await;
    asks[6].delete_on_release = true;
    asks[7].data = Some("".to_string());
    asks[8].data = Some("''é\\".to_string());
    let calls: Vec<_> = asks.iter().map(|ask| start(&store, ask)).collect();
    let mut held = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        match call.await.unwrap().unwrap() {
            Acquired::Granted(lock) => held.push(lock),
            Acquired::Busy(_) => {
                assert_eq!(number, 5);
                held.push(theirs.clone());
            }
        }
    }
    let data = |number: usize| held[number].data.as_deref();
    assert_eq!((data(0), data(1), data(2), data(3)), (Some("kept"), Some("kept"), Some("new"), None));
    assert_eq!((data(7), data(8), data(9)), (Some(""), Some("''é\\"), None));
    for (lock, last) in held.iter().zip(&last) {
        assert!(lock.fencing_token > last.fencing_token);
    }
    for (lock, ask) in held.iter().zip(&asks) {
        let stored = store.get_mutex(&ask.lock).await.unwrap();
        assert_eq!((&stored.version, &stored.data, stored.locked), (&lock.version, &lock.data, true));
    }

    let mut requests: Vec<_> = held.iter().map(release).collect();
    requests[9].version = new_version();
    requests[10].data = Some("left".to_string());
    requests[11].delete = true;
    requests[12].lock = mutex("nowhere");
    requests[12].mutex_key = "nowhere".to_string();
    let calls = requests.iter().map(|request| {
        let (store, request) = (store.clone(), request.clone());
        async move { store.release(&request).await }
    });
    for (number, released) in all(calls.collect()).await.into_iter().enumerate() {
        match number {
            9 => assert!(!released.unwrap()),
            12 => assert_eq!(released.unwrap_err().kind(), ErrorKind::NotFound),
            _ => assert!(released.unwrap(), "{number}"),
        }
    }
    for (number, ask) in asks.iter().enumerate() {
        match (store.get_mutex(&ask.lock).await, number) {
            (Ok(stored), 9 | 12) => assert!(stored.locked, "{number}"),
            (Ok(stored), 10) => assert_eq!((stored.locked, stored.data.as_deref()), (false, Some("left"))),
            (gone, 6 | 11) => assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound),
            (stored, _) => assert!(!stored.unwrap().locked, "{number}"),
        }
    }
    assert_eq!(store.get_mutex(&mutex("nowhere")).await.unwrap_err().kind(), ErrorKind::NotFound);
    database.drop().await;
}
