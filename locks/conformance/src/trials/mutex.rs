//! Mutexes: grants, versions, renewal, release, ownership, creation and deletion.

use db_locks_core::{LockId, MutexLock, MutexLockBuilder};

use crate::failure::{Outcome, check, check_eq, check_err};
use crate::fixture::{Ask, Fixture, LONG_LEASE_MS, ask, release, renewal, token};
use crate::harness::suite;

suite![
    acquire_creates,
    second_is_refused_and_told_who_holds_it,
    acquire_retried_gets_the_same_grant,
    only_if_exists_does_not_create,
    renewal_changes_the_version,
    renewal_retried_succeeds,
    renewal_of_what_is_not_held_is_refused,
    release_frees_and_keeps_the_row,
    release_retried_succeeds,
    release_by_another_version_changes_nothing,
    release_deletes_when_the_acquire_asked_for_it,
    release_deletes_when_it_asks_for_it,
    reentrant_never_hands_over_another_owners_lock,
    create_leaves_an_existing_mutex_alone,
    created_mutex_can_be_acquired,
    delete_needs_the_version,
    delete_is_refused_while_held,
    tokens_grow,
    tokens_grow_across_deletion,
    abandon_frees_what_was_granted,
    abandon_of_unknown_versions_is_no_error,
];

/// What nobody may have changed.
fn essence(lock: &MutexLock) -> (String, bool, Option<u64>, Option<String>, Option<String>) {
    (lock.version.clone(), lock.locked, lock.fencing_token, lock.data.clone(), lock.owner.clone())
}

async fn check_untouched(f: &Fixture, id: &LockId, before: &MutexLock) -> Outcome {
    check_eq!(essence(&f.store.get_mutex(id).await?), essence(before), "a refused call changed the lock");
    Ok(())
}

async fn acquire_creates(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    check_err!(f.store.get_mutex(&id).await, NotFound);
    let asked = ask(&id).owner("alice").lease_ms(20_000);
    let lock = asked.granted(&f.store).await?;

    check_eq!(lock.version, asked.0.version);
    check_eq!(lock.mutex_key, "one");
    check_eq!(lock.tenant_id, id.tenant());
    check_eq!(lock.semaphore_key, None);
    check_eq!(lock.lease_duration_ms, 20_000);
    check_eq!(lock.owner.as_deref(), Some("alice"));
    check!(lock.locked && lock.expires_at.is_some() && !lock.expired());
    check!(token(&lock)? > 0);
    let left = lock.remaining.lease.as_millis();
    check!((1..=20_000).contains(&left), "{left} ms left of a lease of 20 s that began just now");

    let read = f.store.get_mutex(&id).await?;
    check_eq!(essence(&read), essence(&lock));
    check_eq!(read.lease_duration_ms, 20_000);
    Ok(())
}

async fn second_is_refused_and_told_who_holds_it(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let held = ask(&id).owner("alice").granted(&f.store).await?;
    for store in [&f.store, &f.another().await?] {
        let busy = ask(&id).owner("bob").busy(store).await?;
        check_eq!(busy.holder.as_deref(), Some("alice"));
        check_eq!(busy.position, 0);
        let after = busy.retry_after_ms.unwrap_or_default();
        check!(
            (1..=LONG_LEASE_MS).contains(&after),
            "told to retry after {after} ms, {LONG_LEASE_MS} are held"
        );
    }
    check_untouched(&f, &id, &held).await
}

/// R2, I6.
async fn acquire_retried_gets_the_same_grant(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let first = asked.granted(&f.store).await?;
        let again = asked.granted(&f.another().await?).await?;
        check_eq!(essence(&again), essence(&first));
        check_eq!(again.mutex_key, first.mutex_key);
        check!(again.expires_at >= first.expires_at, "the retry's lease must begin anew");
        f.release(&first).await?;
    }
    Ok(())
}

async fn only_if_exists_does_not_create(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let asked = ask(&id).with(|request| request.only_if_exists = true);
    check_err!(asked.on(&f.store).await, NotFound);
    check_err!(f.store.get_mutex(&id).await, NotFound);
    let first = ask(&id).granted(&f.store).await?;
    asked.busy(&f.store).await?;
    f.release(&first).await?;
    let second = asked.granted(&f.store).await?;
    f.release(&second).await?;
    f.store.delete_mutex(&id, &second.version).await?;
    check_err!(asked.on(&f.store).await, NotFound);
    Ok(())
}

async fn renewal_changes_the_version(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let first = ask(&id).granted(&f.store).await?;
    let request = renewal(&first)?;
    let second = f.store.renew(&request).await?;
    check_eq!(second.version, request.new_version);
    check_eq!(second.fencing_token, first.fencing_token, "the token stays");
    check!(second.locked && second.expires_at >= first.expires_at);
    check_eq!(second.owner, first.owner);

    check_err!(f.store.renew(&renewal(&first)?).await, NotFound);
    check_eq!(f.store.release(&release(&first)?).await?, false);
    check_untouched(&f, &id, &second).await?;
    f.release(&second).await
}

/// R9, I6.
async fn renewal_retried_succeeds(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let first = asked.granted(&f.store).await?;
        let request = renewal(&first)?;
        let second = f.store.renew(&request).await?;
        let again = f.another().await?.renew(&request).await?;
        check_eq!(essence(&again), essence(&second));
        f.release(&again).await?;
    }
    Ok(())
}

async fn renewal_of_what_is_not_held_is_refused(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).granted(&f.store).await?;
    let mut unknown = renewal(&lock)?;
    unknown.lock = f.mutex("two")?;
    unknown.mutex_key = "two".into();
    check_err!(f.store.renew(&unknown).await, NotFound);
    check_err!(f.store.get_mutex(&unknown.lock).await, NotFound);

    f.release(&lock).await?;
    check_err!(f.store.renew(&renewal(&lock)?).await, NotFound);
    check!(!f.store.get_mutex(&id).await?.locked, "a refused renewal took the lock");
    Ok(())
}

async fn release_frees_and_keeps_the_row(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).granted(&f.store).await?;
    f.release(&lock).await?;
    let row = f.store.get_mutex(&id).await?;
    check_eq!(row.version, lock.version);
    check_eq!(row.expires_at, None);
    check_eq!(row.owner, None);
    check_eq!(row.fencing_token, lock.fencing_token);
    check!(!row.locked);
    ask(&id).granted(&f.store).await?;
    check_err!(f.store.release(&release(&MutexLock { mutex_key: "two".into(), ..lock })?).await, NotFound);
    Ok(())
}

/// R10, I6.
async fn release_retried_succeeds(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let lock = asked.granted(&f.store).await?;
        f.release(&lock).await?;
        f.release(&lock).await?;
        let next = asked.anew().granted(&f.store).await?;
        // Somebody else's now.
        check_eq!(f.store.release(&release(&lock)?).await?, false);
        f.store.renew(&renewal(&next)?).await?;
    }
    Ok(())
}

/// I3.
async fn release_by_another_version_changes_nothing(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).data("kept").granted(&f.store).await?;
    let mut request = release(&lock)?;
    request.version = "somebody else's".into();
    request.data = Some("overwritten".into());
    request.delete = true;
    check_eq!(f.store.release(&request).await?, false);
    check_untouched(&f, &id, &lock).await?;
    f.release(&lock).await?;
    check_eq!(f.store.release(&request).await?, false, "released by a version that never held it");
    check_eq!(f.store.get_mutex(&id).await?.data.as_deref(), Some("kept"));
    Ok(())
}

/// After a release that deleted, its retry may find the mutex gone: both answers say that it is over.
async fn check_deleted(f: &Fixture, id: &LockId, lock: &MutexLock) -> Outcome {
    check_err!(f.store.get_mutex(id).await, NotFound);
    match f.store.release(&release(lock)?).await {
        Ok(true) => {}
        other => check_err!(other, NotFound),
    }
    check_err!(f.store.renew(&renewal(lock)?).await, NotFound);
    check_err!(f.store.delete_mutex(id, &lock.version).await, NotFound);
    Ok(())
}

async fn release_deletes_when_the_acquire_asked_for_it(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let asked = ask(&id).data("gone").with(|request| request.delete_on_release = true);
    let lock = asked.granted(&f.store).await?;
    check!(lock.delete_on_release);
    let renewed = f.store.renew(&renewal(&lock)?).await?;
    f.release(&renewed).await?;
    check_deleted(&f, &id, &renewed).await?;
    let next = ask(&id).granted(&f.store).await?;
    check_eq!(next.data, None, "the data of a deleted mutex");
    check!(!next.delete_on_release, "deletion is asked for anew by each acquire");
    check!(next.fencing_token > lock.fencing_token);
    f.release(&next).await?;
    check!(!f.store.get_mutex(&id).await?.locked);
    Ok(())
}

async fn release_deletes_when_it_asks_for_it(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).granted(&f.store).await?;
    let mut request = release(&lock)?;
    request.delete = true;
    check!(f.store.release(&request).await?);
    check_deleted(&f, &id, &lock).await
}

/// Defect 4 of the reference: `reentrant` handed back a lock that another client holds.
async fn reentrant_never_hands_over_another_owners_lock(f: Fixture) -> Outcome {
    let reentrant = |asked: Ask| asked.with(|request| request.reentrant = true);
    for asked in f.both("one")? {
        let lock = asked.clone().owner("alice").granted(&f.store).await?;
        let other = f.another().await?;
        reentrant(asked.anew().owner("bob")).busy(&other).await?;
        reentrant(asked.anew().owner("Alice")).busy(&other).await?;
        asked.anew().owner("alice").busy(&f.store).await?;

        let again = reentrant(asked.anew().owner("alice")).granted(&other).await?;
        check_eq!(essence(&again), essence(&lock));
        check_eq!(again.mutex_key, lock.mutex_key);
        f.release(&lock).await?;
        // Nothing is held: an ordinary grant, with a version and a token of its own.
        let next = reentrant(asked.anew().owner("alice")).granted(&f.store).await?;
        check!(next.fencing_token > lock.fencing_token && next.version != lock.version);
    }
    Ok(())
}

fn new_mutex(id: &LockId) -> MutexLockBuilder {
    MutexLockBuilder::new(id.key()).with_tenant(id.tenant())
}

async fn create_leaves_an_existing_mutex_alone(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let mutex = new_mutex(&id).with_data("first").with_lease_duration_millis(7_000).build();
    check_eq!(f.store.create_mutex(&mutex).await?, 1);
    let row = f.store.get_mutex(&id).await?;
    check_eq!((row.version.as_str(), row.locked), (mutex.version.as_str(), false));
    check_eq!((row.data.as_deref(), row.lease_duration_ms), (Some("first"), 7_000));

    check_eq!(f.store.create_mutex(&new_mutex(&id).with_data("second").build()).await?, 0);
    check_eq!(f.store.create_mutex(&mutex).await?, 0);
    check_untouched(&f, &id, &row).await?;
    let lock = ask(&id).granted(&f.store).await?;
    check_eq!(f.store.create_mutex(&mutex).await?, 0);
    check_untouched(&f, &id, &lock).await
}

async fn created_mutex_can_be_acquired(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let mutex = new_mutex(&id).with_data("notes").with_delete_on_release(true).build();
    check_eq!(f.store.create_mutex(&mutex).await?, 1);
    let lock = ask(&id).with(|request| request.only_if_exists = true).granted(&f.store).await?;
    check_eq!(lock.data.as_deref(), Some("notes"));
    check!(lock.version != mutex.version);
    f.release(&lock).await
}

async fn delete_needs_the_version(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    check_err!(f.store.delete_mutex(&id, "any").await, NotFound);
    let lock = ask(&id).granted(&f.store).await?;
    f.release(&lock).await?;
    check_err!(f.store.delete_mutex(&id, "another").await, NotFound);
    check_eq!(f.store.get_mutex(&id).await?.version, lock.version);
    check_eq!(f.store.delete_mutex(&id, &lock.version).await?, 1);
    check_err!(f.store.get_mutex(&id).await, NotFound);
    check_err!(f.store.delete_mutex(&id, &lock.version).await, NotFound);
    check_eq!(f.store.create_mutex(&new_mutex(&id).build()).await?, 1);
    Ok(())
}

async fn delete_is_refused_while_held(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).granted(&f.store).await?;
    check_err!(f.store.delete_mutex(&id, &lock.version).await, CurrentlyUnavailable);
    let by_other = f.store.delete_mutex(&id, "another").await;
    check!(by_other.is_err(), "deleted with a wrong version: {by_other:?}");
    check_untouched(&f, &id, &lock).await?;
    f.store.renew(&renewal(&lock)?).await?;
    Ok(())
}

/// I2.
async fn tokens_grow(f: Fixture) -> Outcome {
    let stores = [f.another().await?, f.another().await?, f.store.clone()];
    let asked = ask(&f.mutex("one")?);
    let mut last = 0;
    for round in 0..50 {
        let lock = asked.anew().granted(&stores[round % stores.len()]).await?;
        check!(token(&lock)? > last, "token {:?} after {last}", lock.fencing_token);
        last = token(&lock)?;
        f.release(&lock).await?;
    }
    Ok(())
}

/// I2, R11.
async fn tokens_grow_across_deletion(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let mut last = 0;
    for round in 0..12 {
        let asked = ask(&id).with(|request| request.delete_on_release = round % 3 == 0);
        let lock = asked.granted(&f.store).await?;
        check!(token(&lock)? > last, "token {:?} after {last}, deleted in between", lock.fencing_token);
        last = token(&lock)?;
        f.release(&lock).await?;
        if round % 3 == 1 {
            f.store.delete_mutex(&id, &lock.version).await?;
        }
        if round % 6 == 1 {
            check_eq!(f.store.create_mutex(&new_mutex(&id).build()).await?, 1);
        }
    }
    Ok(())
}

async fn abandon_frees_what_was_granted(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let first = asked.granted(&f.store).await?;
        let renewed = f.store.renew(&renewal(&first)?).await?;
        // The acquisition went on to live under another version: it is not that one's any more.
        f.store.abandon(&asked.0.lock, &first.version).await?;
        asked.anew().busy(&f.store).await?;
        f.store.abandon(&asked.0.lock, &renewed.version).await?;
        f.store.abandon(&asked.0.lock, &renewed.version).await?;
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

async fn abandon_of_unknown_versions_is_no_error(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        f.store.abandon(&asked.0.lock, "never asked").await?;
        let lock = asked.granted(&f.store).await?;
        f.store.abandon(&asked.0.lock, "never asked").await?;
        f.store.renew(&renewal(&lock)?).await?;
    }
    Ok(())
}
