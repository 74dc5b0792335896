//! Semaphores: slots, sizes, resizing, deletion, locks named by version.

use std::collections::HashSet;

use db_locks_core::{LockId, MutexLock, Semaphore, SemaphoreBuilder};

use crate::failure::{Outcome, check, check_eq, check_err};
use crate::fixture::{Ask, Fixture, LONG_LEASE_MS, ask, release, renewal, token};
use crate::harness::suite;

suite![
    acquire_creates_with_its_size,
    absent_without_a_size_is_not_found,
    slots_are_granted_in_order_until_full,
    lowest_free_slot_is_granted_again,
    all_slots_are_listed_held_and_free,
    existing_size_wins_over_the_asked_one,
    create_and_resize_grow,
    resize_shrinks_when_free,
    resize_refuses_held_slot,
    delete_needs_the_version,
    delete_is_refused_while_a_slot_is_held,
    slot_is_renewed_and_released_by_its_key,
    key_of_another_slot_is_refused,
    release_by_another_version_changes_nothing,
    only_the_expired_slot_is_taken_over,
    tokens_grow_over_the_whole_semaphore,
    tokens_grow_across_deletion,
    named_by_version_keeps_its_name,
    both_kinds_of_names_share_the_slots,
    size_one_is_a_mutex,
    size_one_hundred_has_one_hundred_slots,
];

fn new_semaphore(id: &LockId, size: u32) -> Semaphore {
    SemaphoreBuilder::new(id.key(), size).with_tenant(id.tenant()).build()
}

fn named(asked: &Ask) -> Ask {
    asked.anew().with(|request| request.named_by_version = true)
}

fn keys(locks: &[MutexLock]) -> Vec<String> {
    locks.iter().map(|lock| lock.mutex_key.clone()).collect()
}

fn slot_keys(id: &LockId, slots: impl IntoIterator<Item = u32>) -> Vec<String> {
    slots.into_iter().map(|slot| id.slot_key(slot)).collect()
}

async fn acquire_creates_with_its_size(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    check_err!(f.store.get_semaphore(&id).await, NotFound);
    let lock = ask(&id).size(5).owner("alice").lease_ms(20_000).granted(&f.store).await?;
    check_eq!(lock.mutex_key, "one_0000000000");
    check_eq!(lock.semaphore_key.as_deref(), Some("one"));
    check_eq!((lock.locked, lock.lease_duration_ms, lock.owner.as_deref()), (true, 20_000, Some("alice")));
    check!(token(&lock)? > 0 && !lock.expired());

    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.semaphore_key.as_str(), read.tenant_id.as_str()), ("one", id.tenant()));
    check_eq!((read.max_size, read.busy_count), (5, Some(1)));
    check!(!read.version.is_empty());
    check!(read.fair_semaphore != Some(true));
    Ok(())
}

async fn absent_without_a_size_is_not_found(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    check_err!(ask(&id).on(&f.store).await, NotFound);
    check_err!(ask(&id).size(3).with(|r| r.only_if_exists = true).on(&f.store).await, NotFound);
    check_err!(f.store.get_semaphore(&id).await, NotFound);
    check_err!(f.store.get_semaphore_mutexes(&id).await, NotFound);
    let lock = ask(&id).size(3).granted(&f.store).await?;
    ask(&id).granted(&f.store).await?;
    ask(&id).with(|r| r.only_if_exists = true).granted(&f.store).await?;
    ask(&id).busy(&f.store).await?;
    let elsewhere = MutexLock { semaphore_key: Some("two".into()), ..lock };
    check_err!(f.store.release(&release(&elsewhere)?).await, NotFound);
    check_err!(f.store.renew(&renewal(&elsewhere)?).await, NotFound);
    Ok(())
}

async fn slots_are_granted_in_order_until_full(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(5).owner("alice");
    for count in 0..5 {
        let lock = asked.anew().granted(&f.store).await?;
        check_eq!(lock.mutex_key, id.slot_key(count));
        check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(count + 1));
    }
    let busy = asked.anew().busy(&f.another().await?).await?;
    check_eq!(busy.holder.as_deref(), Some("alice"));
    check!((1..=LONG_LEASE_MS).contains(&busy.retry_after_ms.unwrap_or_default()), "{busy:?}");
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(5));
    Ok(())
}

async fn lowest_free_slot_is_granted_again(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(5);
    let held = f.hold(&asked, 5).await?;
    f.release(&held[3]).await?;
    f.release(&held[1]).await?;
    check_eq!(keys(&f.hold(&asked, 2).await?), slot_keys(&id, [1, 3]));
    asked.anew().busy(&f.store).await?;
    Ok(())
}

async fn all_slots_are_listed_held_and_free(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    check_eq!(f.store.create_semaphore(&new_semaphore(&id, 4)).await?, 1);
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    check_eq!(keys(&slots), slot_keys(&id, 0..4));
    check!(slots.iter().all(|slot| !slot.locked && slot.expires_at.is_none()));

    let held = f.hold(&ask(&id), 3).await?;
    f.release(&held[1]).await?;
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    check_eq!(keys(&slots), slot_keys(&id, 0..4));
    check_eq!(slots.iter().map(|slot| slot.locked).collect::<Vec<_>>(), [true, false, true, false]);
    check_eq!((&slots[0].version, slots[0].fencing_token), (&held[0].version, held[0].fencing_token));
    check_eq!(slots[2].version, held[2].version);
    for slot in &slots {
        check_eq!((slot.semaphore_key.as_deref(), slot.tenant_id.as_str()), (Some("one"), id.tenant()));
    }
    Ok(())
}

async fn existing_size_wins_over_the_asked_one(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    f.hold(&ask(&id).size(2), 2).await?;
    ask(&id).size(9).busy(&f.store).await?;
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.max_size, read.busy_count), (2, Some(2)));
    let version = read.version;
    let held = f.store.get_semaphore_mutexes(&id).await?;
    f.release(&held[0]).await?;
    ask(&id).size(1).granted(&f.store).await?;
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.max_size, read.version), (2, version));
    Ok(())
}

async fn create_and_resize_grow(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let small = new_semaphore(&id, 2);
    check_eq!(f.store.create_semaphore(&small).await?, 1);
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.version, read.max_size, read.lease_duration_ms), (small.version, 2, 15_000));
    let held = f.hold(&ask(&id), 2).await?;
    ask(&id).busy(&f.store).await?;

    let large = SemaphoreBuilder::new("one", 4).with_tenant(id.tenant()).with_lease_duration_secs(60).build();
    check_eq!(f.store.create_semaphore(&large).await?, 1);
    check_eq!(f.store.create_semaphore(&large).await?, 1, "a retry");
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.version, read.max_size, read.lease_duration_ms), (large.version, 4, 60_000));
    check_eq!(read.busy_count, Some(2));
    check_eq!(keys(&f.hold(&ask(&id), 2).await?), slot_keys(&id, 2..4));
    ask(&id).busy(&f.store).await?;
    f.store.renew(&renewal(&held[1])?).await?;
    Ok(())
}

async fn resize_shrinks_when_free(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let held = f.hold(&ask(&id).size(4), 4).await?;
    for lock in &held[1..] {
        f.release(lock).await?;
    }
    check_eq!(f.store.create_semaphore(&new_semaphore(&id, 1)).await?, 1);
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.max_size, read.busy_count), (1, Some(1)));
    check_eq!(keys(&f.store.get_semaphore_mutexes(&id).await?), slot_keys(&id, 0..1));
    ask(&id).busy(&f.store).await?;
    f.store.renew(&renewal(&held[0])?).await?;
    // Of a slot that is no more, nothing is held.
    check_err!(f.store.renew(&renewal(&held[2])?).await, NotFound);
    // Grown again, it is not held by anybody of old, and its tokens go on.
    check_eq!(f.store.create_semaphore(&new_semaphore(&id, 4)).await?, 1);
    let again = f.hold(&ask(&id), 3).await?;
    check_eq!(keys(&again), slot_keys(&id, 1..4));
    check!(again[0].fencing_token > held[3].fencing_token);
    Ok(())
}

async fn resize_refuses_held_slot(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let before = new_semaphore(&id, 5);
    f.store.create_semaphore(&before).await?;
    let held = f.hold(&ask(&id), 4).await?;
    for lock in &held[..3] {
        f.release(lock).await?;
    }
    // Slot 3 is held: no size below 4 will do.
    for size in [1, 3] {
        check_err!(f.store.create_semaphore(&new_semaphore(&id, size)).await, CurrentlyUnavailable);
        let read = f.store.get_semaphore(&id).await?;
        check_eq!((read.version, read.max_size, read.busy_count), (before.version.clone(), 5, Some(1)));
    }
    check_eq!(f.store.get_semaphore_mutexes(&id).await?.len(), 5);
    let renewed = f.store.renew(&renewal(&held[3])?).await?;
    check_eq!(f.store.create_semaphore(&new_semaphore(&id, 4)).await?, 1);
    f.release(&renewed).await?;
    check_eq!(f.store.create_semaphore(&new_semaphore(&id, 3)).await?, 1);
    Ok(())
}

async fn delete_needs_the_version(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    check_err!(f.store.delete_semaphore(&id, "any").await, NotFound);
    let lock = ask(&id).size(3).data("gone").granted(&f.store).await?;
    f.release(&lock).await?;
    check_err!(f.store.delete_semaphore(&id, "another").await, NotFound);
    let read = f.store.get_semaphore(&id).await?;
    check_eq!(f.store.delete_semaphore(&id, &read.version).await?, 1);
    check_err!(f.store.get_semaphore(&id).await, NotFound);
    check_err!(f.store.get_semaphore_mutexes(&id).await, NotFound);
    check_err!(f.store.delete_semaphore(&id, &read.version).await, NotFound);
    check_err!(ask(&id).on(&f.store).await, NotFound);

    let next = ask(&id).size(2).granted(&f.store).await?;
    check_eq!((next.mutex_key.as_str(), next.data), ("one_0000000000", None));
    check_eq!(f.store.get_semaphore(&id).await?.max_size, 2);
    Ok(())
}

async fn delete_is_refused_while_a_slot_is_held(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let held = f.hold(&ask(&id).size(3), 2).await?;
    f.release(&held[0]).await?;
    let version = f.store.get_semaphore(&id).await?.version;
    check_err!(f.store.delete_semaphore(&id, &version).await, CurrentlyUnavailable);
    let read = f.store.get_semaphore(&id).await?;
    check_eq!((read.max_size, read.busy_count, &read.version), (3, Some(1), &version));
    f.store.renew(&renewal(&held[1])?).await?;
    Ok(())
}

async fn slot_is_renewed_and_released_by_its_key(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let held = f.hold(&ask(&id).size(3), 3).await?;
    let request = renewal(&held[1])?;
    let renewed = f.store.renew(&request).await?;
    check_eq!(renewed.mutex_key, held[1].mutex_key);
    check_eq!(renewed.version, request.new_version);
    check_eq!(renewed.fencing_token, held[1].fencing_token);
    check_err!(f.store.renew(&renewal(&held[1])?).await, NotFound);
    check_eq!(f.store.release(&release(&held[1])?).await?, false);
    f.release(&renewed).await?;
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(2));
    check_eq!(ask(&id).granted(&f.store).await?.mutex_key, held[1].mutex_key);
    // The version decides; the semaphore's own key means whichever slot it holds.
    let by_semaphore_key = MutexLock { mutex_key: "one".into(), ..held[2].clone() };
    f.release(&by_semaphore_key).await
}

/// I3: a stale handle.
async fn key_of_another_slot_is_refused(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let held = f.hold(&ask(&id).size(2), 2).await?;
    let mixed = MutexLock { mutex_key: held[1].mutex_key.clone(), ..held[0].clone() };
    check_err!(f.store.renew(&renewal(&mixed)?).await, NotFound);
    let released = f.store.release(&release(&mixed)?).await;
    check!(!matches!(released, Ok(true)), "released by another slot's key");
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(2));
    for lock in &held {
        f.store.renew(&renewal(lock)?).await?;
    }
    Ok(())
}

async fn release_by_another_version_changes_nothing(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let held = f.hold(&ask(&id).size(2).data("kept"), 1).await?;
    let mut request = release(&held[0])?;
    request.version = "somebody else's".into();
    request.data = Some("overwritten".into());
    check_eq!(f.store.release(&request).await?, false);
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    check_eq!((slots[0].locked, slots[0].data.as_deref()), (true, Some("kept")));
    f.store.renew(&renewal(&held[0])?).await?;
    Ok(())
}

/// I5 for one slot among others.
async fn only_the_expired_slot_is_taken_over(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(3);
    let first = asked.granted(&f.store).await?;
    let brief = asked.anew().lease_ms(300).granted(&f.store).await?;
    let last = asked.anew().granted(&f.store).await?;
    let other = f.another().await?;
    let next = asked.anew().until_granted(&other, f.patience(300)).await?;
    check_eq!(next.mutex_key, brief.mutex_key);
    asked.anew().busy(&other).await?;
    for lock in [&first, &last, &next] {
        f.store.renew(&renewal(lock)?).await?;
    }
    check_err!(f.store.renew(&renewal(&brief)?).await, NotFound);
    Ok(())
}

async fn tokens_grow_over_the_whole_semaphore(f: Fixture) -> Outcome {
    let asked = ask(&f.semaphore("one")?).size(3);
    let mut held = f.hold(&asked, 3).await?;
    let mut last = token(&held[2])?;
    check!(token(&held[0])? < token(&held[1])? && token(&held[1])? < last);
    for round in 0..12 {
        // Slots come free in an order that is not theirs.
        let lock = held.swap_remove((round * 2) % held.len());
        f.release(&lock).await?;
        let next = if round % 2 == 0 { named(&asked) } else { asked.anew() }.granted(&f.store).await?;
        check!(token(&next)? > last, "token {:?} after {last}", next.fencing_token);
        last = token(&next)?;
        held.push(next);
    }
    Ok(())
}

/// R11.
async fn tokens_grow_across_deletion(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let mut last = 0;
    for size in 1..6 {
        let lock = ask(&id).size(size).granted(&f.store).await?;
        check!(token(&lock)? > last, "token {:?} after {last}, deleted in between", lock.fencing_token);
        last = token(&lock)?;
        f.release(&lock).await?;
        let read = f.store.get_semaphore(&id).await?;
        check_eq!(read.max_size, size);
        f.store.delete_semaphore(&id, &read.version).await?;
    }
    Ok(())
}

async fn named_by_version_keeps_its_name(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = named(&ask(&id).size(2));
    let lock = asked.granted(&f.store).await?;
    let name = format!("one_{}", asked.0.version);
    check_eq!((&lock.mutex_key, lock.semaphore_key.as_deref()), (&name, Some("one")));
    check_eq!(f.store.get_semaphore(&id).await?.fair_semaphore, Some(true));
    check_eq!(asked.granted(&f.store).await?.mutex_key, name, "retried");

    let mut request = renewal(&lock)?;
    request.new_version = lock.version.clone();
    for _ in 0..2 {
        let renewed = f.store.renew(&request).await?;
        check_eq!((&renewed.mutex_key, &renewed.version), (&name, &lock.version));
        check_eq!(renewed.fencing_token, lock.fencing_token);
    }
    let slots = f.store.get_semaphore_mutexes(&id).await?;
    check_eq!(keys(&slots), [name, id.slot_key(1)]);
    f.release(&lock).await?;
    check_err!(f.store.renew(&request).await, NotFound);
    check_eq!(keys(&f.store.get_semaphore_mutexes(&id).await?), slot_keys(&id, 0..2));
    Ok(())
}

/// I1.
async fn both_kinds_of_names_share_the_slots(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(3);
    let numbered = f.hold(&asked, 2).await?;
    let by_version = named(&asked).granted(&f.store).await?;
    asked.anew().busy(&f.store).await?;
    named(&asked).busy(&f.store).await?;
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(3));
    f.release(&numbered[0]).await?;
    let second = named(&asked).granted(&f.store).await?;
    named(&asked).busy(&f.store).await?;
    f.release(&by_version).await?;
    f.release(&second).await?;
    check_eq!(keys(&f.hold(&asked, 2).await?), slot_keys(&id, [0, 2]));
    asked.anew().busy(&f.store).await?;
    Ok(())
}

async fn size_one_is_a_mutex(f: Fixture) -> Outcome {
    let asked = ask(&f.semaphore("one")?).size(1);
    for _ in 0..3 {
        let lock = asked.anew().granted(&f.store).await?;
        check_eq!(lock.mutex_key, "one_0000000000");
        asked.anew().busy(&f.store).await?;
        f.release(&lock).await?;
    }
    Ok(())
}

async fn size_one_hundred_has_one_hundred_slots(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let asked = ask(&id).size(100);
    let held = f.hold(&asked, 100).await?;
    check_eq!(keys(&held), slot_keys(&id, 0..100));
    check_eq!(held.iter().map(|lock| lock.fencing_token).collect::<HashSet<_>>().len(), 100);
    asked.anew().busy(&f.store).await?;
    check_eq!(f.store.get_semaphore(&id).await?.busy_count, Some(100));
    check_eq!(keys(&f.store.get_semaphore_mutexes(&id).await?), slot_keys(&id, 0..100));
    f.release(&held[99]).await?;
    f.release(&held[42]).await?;
    check_eq!(keys(&f.hold(&asked, 2).await?), slot_keys(&id, [42, 99]));
    Ok(())
}
