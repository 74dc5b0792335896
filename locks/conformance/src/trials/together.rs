//! Many calls of one client at once, on locks of their own: stores may send them together, which must change nothing but the cost.

use std::future::Future;
use std::sync::Arc;

use db_locks_core::models::new_version;
use db_locks_core::{Acquired, ErrorKind, LockResult, MutexLock};
use tokio::task::JoinSet;

use crate::backend::Store;
use crate::failure::{Outcome, check, check_eq};
use crate::fixture::{Ask, Fixture, Heart, ask, release, renewal, sleep_ms};
use crate::harness::suite;

suite![
    each_gets_its_own,
    held_ones_are_refused_and_the_others_granted,
    nobody_passes_a_waiter,
    stale_versions_release_nothing,
    stale_versions_renew_nothing,
    expired_ones_are_not_renewed: needs(ServerClock),
    retries_get_the_same_grants,
    slots_are_told_apart,
];

const MANY: usize = 48;

/// Runs all at once, on as many tasks; the answers in their order.
async fn all_at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    calls: Vec<F>,
) -> Outcome<Vec<T>> {
    let mut running = JoinSet::new();
    for (place, call) in calls.into_iter().enumerate() {
        running.spawn(async move { (place, call.await) });
    }
    let mut answers: Vec<Option<T>> = (0..running.len()).map(|_| None).collect();
    while let Some(done) = running.join_next().await {
        let (place, answer) = done?;
        answers[place] = Some(answer);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Mutexes that exist and are free, so that the quickest way of a store is open to them.
async fn asks(f: &Fixture) -> Outcome<Vec<Ask>> {
    let mut asks = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let asked = ask(&f.mutex(&format!("key {number}"))?).data(&format!("data {number}"));
        let held = asked.anew().data("older").granted(&f.store).await?;
        f.release(&held).await?;
        asks.push(asked);
    }
    Ok(asks)
}

async fn acquire_all(store: &Arc<dyn Store>, asks: &[Ask]) -> Outcome<Vec<LockResult<Acquired>>> {
    let calls = asks.iter().map(|asked| {
        let (asked, store) = (asked.clone(), store.clone());
        async move { asked.on(&store).await }
    });
    all_at_once(calls.collect()).await
}

/// All of them, which must be granted.
async fn hold_all(store: &Arc<dyn Store>, asks: &[Ask]) -> Outcome<Vec<MutexLock>> {
    let mut held = Vec::with_capacity(asks.len());
    for (asked, answer) in asks.iter().zip(acquire_all(store, asks).await?) {
        match answer? {
            Acquired::Granted(lock) => held.push(lock),
            Acquired::Busy(busy) => check!(false, "{} was refused: {busy:?}", asked.0.lock),
        }
    }
    Ok(held)
}

async fn release_all(store: &Arc<dyn Store>, held: &[MutexLock]) -> Outcome<Vec<LockResult<bool>>> {
    let requests = held.iter().map(release).collect::<LockResult<Vec<_>>>()?;
    let calls = requests.into_iter().map(|request| {
        let store = store.clone();
        async move { store.release(&request).await }
    });
    all_at_once(calls.collect()).await
}

async fn renew_all(
    store: &Arc<dyn Store>,
    held: &[MutexLock],
) -> Outcome<Vec<(String, LockResult<MutexLock>)>> {
    let requests = held.iter().map(renewal).collect::<LockResult<Vec<_>>>()?;
    let calls = requests.into_iter().map(|request| {
        let store = store.clone();
        async move { (request.new_version.clone(), store.renew(&request).await) }
    });
    all_at_once(calls.collect()).await
}

fn is_its_own(asked: &Ask, lock: &MutexLock, version: &str) -> Outcome {
    check_eq!(lock.mutex_key, asked.0.lock.key());
    check_eq!(lock.version, version);
    check_eq!(lock.data, asked.0.data, "of {}", lock.mutex_key);
    check!(lock.locked, "{} is not locked", lock.mutex_key);
    Ok(())
}

async fn each_gets_its_own(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let mut last_tokens = vec![0; MANY];
    for _ in 0..3 {
        let asks: Vec<Ask> = asks.iter().map(Ask::anew).collect();
        let held = hold_all(&f.store, &asks).await?;
        for ((asked, lock), last) in asks.iter().zip(&held).zip(&mut last_tokens) {
            is_its_own(asked, lock, &asked.0.version)?;
            is_its_own(asked, &f.store.get_mutex(&asked.0.lock).await?, &asked.0.version)?;
            check!(lock.fencing_token > Some(*last), "{:?} after {last}", lock.fencing_token);
            *last = lock.fencing_token.unwrap_or(0);
        }
        let mut renewed = Vec::with_capacity(MANY);
        for (asked, (version, answer)) in asks.iter().zip(renew_all(&f.store, &held).await?) {
            let lock = answer?;
            is_its_own(asked, &lock, &version)?;
            is_its_own(asked, &f.store.get_mutex(&asked.0.lock).await?, &version)?;
            renewed.push(lock);
        }
        for (lock, released) in renewed.iter().zip(release_all(&f.store, &renewed).await?) {
            check!(released?, "{} was not released", lock.mutex_key);
            check!(!f.store.get_mutex(&lock.lock_id()?).await?.locked, "{} is still held", lock.mutex_key);
        }
    }
    Ok(())
}

async fn held_ones_are_refused_and_the_others_granted(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let other = f.another().await?;
    let theirs: Vec<Ask> = asks.iter().step_by(3).map(Ask::anew).collect();
    let held = hold_all(&other, &theirs).await?;
    for (number, answer) in acquire_all(&f.store, &asks).await?.into_iter().enumerate() {
        let granted = matches!(answer?, Acquired::Granted(_));
        check_eq!(granted, number % 3 != 0, "of key {number}");
    }
    for (lock, released) in held.iter().zip(release_all(&other, &held).await?) {
        check!(released?, "{} was taken from its holder", lock.mutex_key);
    }
    Ok(())
}

async fn nobody_passes_a_waiter(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let contended = &asks[MANY / 2];
    let held = contended.anew().granted(&f.store).await?;
    let other = f.another().await?;
    let _heart = Heart::of(&other, std::slice::from_ref(&contended.0.lock));
    let waiter = contended.anew().waiting();
    waiter.busy(&other).await?;
    f.release(&held).await?;
    for (number, answer) in acquire_all(&f.store, &asks).await?.into_iter().enumerate() {
        let granted = matches!(answer?, Acquired::Granted(_));
        check_eq!(granted, number != MANY / 2, "of key {number}");
    }
    waiter.until_granted(&other, f.patience(0)).await?;
    Ok(())
}

async fn stale_versions_release_nothing(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let held = hold_all(&f.store, &asks).await?;
    let mut handles = held.clone();
    for lock in handles.iter_mut().step_by(3) {
        lock.version = new_version();
    }
    for (number, released) in release_all(&f.store, &handles).await?.into_iter().enumerate() {
        check_eq!(released?, number % 3 != 0, "of key {number}");
        let now = f.store.get_mutex(&asks[number].0.lock).await?;
        check_eq!(now.locked, number % 3 == 0, "key {number}");
    }
    Ok(())
}

async fn stale_versions_renew_nothing(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let held = hold_all(&f.store, &asks).await?;
    let mut handles = held.clone();
    for lock in handles.iter_mut().step_by(3) {
        lock.version = new_version();
    }
    for (number, (version, answer)) in renew_all(&f.store, &handles).await?.into_iter().enumerate() {
        let now = f.store.get_mutex(&asks[number].0.lock).await?;
        match answer {
            Ok(lock) => {
                check!(number % 3 != 0, "key {number} was renewed under a stale version");
                check_eq!((lock.version, now.version), (version.clone(), version));
            }
            Err(error) => {
                check_eq!((error.kind(), number % 3), (ErrorKind::NotFound, 0), "of key {number}");
                check_eq!(now.version, held[number].version);
            }
        }
    }
    // The same in the one call that is made for it.
    let held: Vec<MutexLock> =
        hold_all(&f.store, &asks.iter().map(|a| again(&f, a)).collect::<LockResult<Vec<_>>>()?).await?;
    let mut requests = held.iter().map(renewal).collect::<LockResult<Vec<_>>>()?;
    for request in requests.iter_mut().step_by(3) {
        request.version = new_version();
    }
    for (number, (request, answer)) in requests.iter().zip(f.store.renew_many(&requests).await).enumerate() {
        match answer {
            Ok(lock) => {
                check!(number % 3 != 0, "key {number} was renewed under a stale version");
                check_eq!(
                    (lock.mutex_key.as_str(), lock.version),
                    (request.lock.key(), request.new_version.clone())
                );
            }
            Err(error) => check_eq!((error.kind(), number % 3), (ErrorKind::NotFound, 0), "of key {number}"),
        }
    }
    Ok(())
}

/// The same for another set of keys.
fn again(f: &Fixture, asked: &Ask) -> LockResult<Ask> {
    Ok(ask(&f.mutex(&format!("again {}", asked.0.lock.key()))?))
}

async fn expired_ones_are_not_renewed(f: Fixture) -> Outcome {
    let asks: Vec<Ask> = asks(&f).await?.into_iter().map(|asked| asked.lease_ms(50)).collect();
    let held = hold_all(&f.store, &asks).await?;
    sleep_ms(80).await;
    for (number, (_, answer)) in renew_all(&f.store, &held).await?.into_iter().enumerate() {
        let refused = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        check!(refused, "key {number}: {answer:?}");
    }
    Ok(())
}

/// An acquire whose outcome is unknown is sent again (R2): with others, as the first time.
async fn retries_get_the_same_grants(f: Fixture) -> Outcome {
    let asks = asks(&f).await?;
    let first = hold_all(&f.store, &asks).await?;
    let second = hold_all(&f.store, &asks).await?;
    for (first, second) in first.iter().zip(&second) {
        check_eq!((&first.version, first.fencing_token), (&second.version, second.fencing_token));
    }
    Ok(())
}

/// Slots of many semaphores: some are held by others, some handles are stale.
async fn slots_are_told_apart(f: Fixture) -> Outcome {
    let mut asks = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let asked = ask(&f.semaphore(&format!("key {number}"))?).size(2).data(&format!("data {number}"));
        let held = asked.anew().data("older").granted(&f.store).await?;
        f.release(&held).await?;
        asks.push(asked);
    }
    // Every third semaphore is full, and in every second of the others there is one slot left.
    let other = f.another().await?;
    let mut theirs = Vec::new();
    for (number, asked) in asks.iter().enumerate() {
        for _ in 0..if number % 3 == 0 { 2 } else { number % 2 } {
            theirs.push(asked.anew().owner("other").granted(&other).await?);
        }
    }
    let mut held = Vec::new();
    for (number, (asked, answer)) in asks.iter().zip(acquire_all(&f.store, &asks).await?).enumerate() {
        match answer? {
            Acquired::Granted(lock) => {
                check!(number % 3 != 0, "of key {number}, which is full");
                let (key, data) = (asked.0.lock.slot_key((number % 2) as u32), asked.0.data.clone());
                check_eq!((lock.mutex_key.clone(), lock.version.clone()), (key, asked.0.version.clone()));
                check_eq!(lock.data, data, "of key {number}");
                let before =
                    theirs.iter().filter(|lock| lock.semaphore_key.as_deref() == Some(asked.0.lock.key()));
                let before = before.map(|lock| lock.fencing_token).max().flatten();
                check!(lock.fencing_token > before, "{:?} after {before:?}", lock.fencing_token);
                held.push(lock);
            }
            Acquired::Busy(_) => check_eq!(number % 3, 0, "of key {number}"),
        }
    }
    let mut renewed = Vec::new();
    for (lock, (version, answer)) in held.iter().zip(renew_all(&f.store, &held).await?) {
        let now = answer?;
        check_eq!(
            (&now.mutex_key, &now.version, now.fencing_token),
            (&lock.mutex_key, &version, lock.fencing_token)
        );
        renewed.push(now);
    }
    let mut handles = renewed.clone();
    for lock in handles.iter_mut().step_by(3) {
        lock.version = new_version();
    }
    for (place, released) in release_all(&f.store, &handles).await?.into_iter().enumerate() {
        check_eq!(released?, place % 3 != 0, "of {}", handles[place].mutex_key);
        let id = handles[place].lock_id()?;
        let slots = f.store.get_semaphore_mutexes(&id).await?;
        let slot = slots.iter().find(|slot| slot.mutex_key == handles[place].mutex_key);
        check_eq!(slot.map(|slot| slot.locked), Some(place % 3 == 0), "{}", handles[place].mutex_key);
    }
    for lock in &theirs {
        f.release(lock).await?;
    }
    Ok(())
}
