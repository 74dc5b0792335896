//! The data that holders leave with a lock.

use db_locks_core::{LockId, MutexLock};

use crate::failure::{Outcome, check, check_eq};
use crate::fixture::{Fixture, ask, release, renewal};
use crate::harness::suite;

suite![
    acquire_keeps_data_when_it_brings_none,
    acquire_replaces_data_or_only_fills,
    renewal_keeps_or_replaces_data,
    release_keeps_or_replaces_data,
    refused_acquire_leaves_data_alone,
    slots_have_their_own_data,
    empty_data_replaces,
    sixty_four_kib_of_data_round_trip,
];

async fn data(f: &Fixture, id: &LockId) -> Outcome<Option<String>> {
    Ok(f.store.get_mutex(id).await?.data)
}

async fn acquire_keeps_data_when_it_brings_none(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).data("first").granted(&f.store).await?;
    check_eq!(lock.data.as_deref(), Some("first"));
    f.release(&lock).await?;
    for replace in [true, false] {
        let lock = ask(&id).with(|request| request.replace_data = replace).granted(&f.store).await?;
        check_eq!(lock.data.as_deref(), Some("first"));
        f.release(&lock).await?;
    }
    check_eq!(data(&f, &id).await?.as_deref(), Some("first"));
    Ok(())
}

async fn acquire_replaces_data_or_only_fills(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let only_fill = asked.clone().with(|request| request.replace_data = false);
        let bring =
            [(&only_fill, "first", "first"), (&only_fill, "second", "first"), (&asked, "third", "third")];
        for (asked, brought, expected) in bring {
            let lock = asked.anew().data(brought).granted(&f.store).await?;
            check_eq!(lock.data.as_deref(), Some(expected), "brought {brought}");
            f.release(&lock).await?;
        }
    }
    Ok(())
}

async fn renewal_keeps_or_replaces_data(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let lock = asked.data("first").granted(&f.store).await?;
        let kept = f.store.renew(&renewal(&lock)?).await?;
        check_eq!(kept.data.as_deref(), Some("first"));
        let mut request = renewal(&kept)?;
        request.data = Some("second".into());
        let replaced = f.store.renew(&request).await?;
        check_eq!(replaced.data.as_deref(), Some("second"));
        f.release(&replaced).await?;
    }
    check_eq!(data(&f, &f.mutex("one")?).await?.as_deref(), Some("second"));
    Ok(())
}

async fn release_keeps_or_replaces_data(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).data("first").granted(&f.store).await?;
    f.release(&lock).await?;
    check_eq!(data(&f, &id).await?.as_deref(), Some("first"));
    let lock = ask(&id).granted(&f.store).await?;
    let mut request = release(&lock)?;
    request.data = Some("second".into());
    check!(f.store.release(&request).await?);
    check_eq!(data(&f, &id).await?.as_deref(), Some("second"));
    Ok(())
}

async fn refused_acquire_leaves_data_alone(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    ask(&id).data("first").granted(&f.store).await?;
    ask(&id).data("second").busy(&f.store).await?;
    ask(&id).data("third").waiting().busy(&f.store).await?;
    check_eq!(data(&f, &id).await?.as_deref(), Some("first"));
    Ok(())
}

async fn slots_have_their_own_data(f: Fixture) -> Outcome {
    let id = f.semaphore("one")?;
    let zero = ask(&id).size(3).data("zero").granted(&f.store).await?;
    ask(&id).data("one").granted(&f.store).await?;
    let all = |slots: &[MutexLock]| slots.iter().map(|slot| slot.data.clone()).collect::<Vec<_>>();
    let expected = vec![Some("zero".to_string()), Some("one".to_string()), None];
    check_eq!(all(&f.store.get_semaphore_mutexes(&id).await?), expected);
    f.release(&zero).await?;
    check_eq!(all(&f.store.get_semaphore_mutexes(&id).await?), expected, "data stays after the release");
    Ok(())
}

/// Whether a store reads "" back as "" or as nothing is its own affair, but it is not what was there before.
async fn empty_data_replaces(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let lock = ask(&id).data("first").granted(&f.store).await?;
    let mut request = renewal(&lock)?;
    request.data = Some(String::new());
    let renewed = f.store.renew(&request).await?;
    check_eq!(renewed.data.unwrap_or_default(), "");
    check_eq!(data(&f, &id).await?.unwrap_or_default(), "");
    Ok(())
}

async fn sixty_four_kib_of_data_round_trip(f: Fixture) -> Outcome {
    let words =
        "line\r\n\ttab \"double\" 'single' \\ back %s {} $1 ?1 é ✓ 🦀 {\"json\": [1, null]} -- /* */ ";
    let mut large = words.repeat(65_536 / words.len());
    large.push_str(&"x".repeat(65_536 - large.len()));
    for asked in f.both("one")? {
        let lock = asked.data(&large).granted(&f.store).await?;
        check!(lock.data.as_deref() == Some(&large), "changed by acquire");
        let renewed = f.store.renew(&renewal(&lock)?).await?;
        check!(renewed.data.as_deref() == Some(&large), "changed by renew");
        let mut request = release(&renewed)?;
        request.data = Some(large.chars().rev().collect());
        check!(f.store.release(&request).await?);
    }
    let read = data(&f, &f.mutex("one")?).await?.unwrap_or_default();
    check!(read.chars().rev().eq(large.chars()), "changed by release");
    Ok(())
}
