//! Odd names: whatever passes validation must round trip literally and never meet another lock.

use std::collections::HashSet;

use db_locks_core::{LockId, MutexLockBuilder};

use crate::failure::{Outcome, check_eq, check_err};
use crate::fixture::{Fixture, ask, release, renewal};
use crate::harness::suite;

suite![
    odd_keys_are_distinct_mutexes,
    odd_keys_are_distinct_semaphores,
    tenant_and_key_never_run_together,
    tenants_cannot_touch_each_others_mutexes,
    tenants_cannot_touch_each_others_semaphores,
    mutexes_and_semaphores_have_their_own_names,
    odd_versions_and_owners_round_trip,
];

/// Keys that careless quoting, globbing, folding, trimming or splitting would confuse or execute.
fn odd_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a b",
        " a b",
        "a b ",
        "a  b",
        "A b",
        "a_b",
        "a-b",
        "a%b",
        "a%",
        "%",
        "_",
        "%25",
        "*",
        "?",
        "[ab]",
        "a",
        "A",
        "{a}",
        "{a}b",
        "{}",
        "}{",
        "a{b}c",
        "a:b",
        ":",
        "a::b",
        "a/b",
        "/",
        "../a",
        "a#b",
        "a|b",
        "a,b",
        "a.b",
        "a;b",
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "\\'",
        "\\0",
        "\\n",
        "$1",
        "$$",
        "?1",
        ":v",
        "@x",
        "#v",
        "!",
        "null",
        "NULL",
        "Robert'); DROP TABLE mutexes;--",
        "' OR '1'='1",
        "\" OR \"\"=\"",
        "1; DELETE FROM mutexes",
        "/* a */",
        "-- a",
        "straße",
        "strasse",
        "STRASSE",
        "é",
        "e\u{301}",
        "e",
        "ß",
        "ss",
        "İ",
        "i",
        "I",
        "ı",
        "ａ",
        "🦀",
        "🦞",
        "日本",
        "\u{200b}a",
        "\u{feff}a",
        "\u{a0}a",
        "a\u{a0}",
        "\u{2126}",
        "\u{3a9}",
        "1",
        "01",
        "1.0",
        "1e0",
        "true",
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    keys.extend([
        "k".repeat(255),
        "k".repeat(254),
        format!("{}l", "k".repeat(254)),
        "é".repeat(127),
        "🦀".repeat(63),
    ]);
    keys
}

async fn odd_keys_are_distinct_mutexes(f: Fixture) -> Outcome {
    let keys = odd_keys();
    check_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "the list repeats itself");
    let mut held = Vec::new();
    for key in &keys {
        held.push(ask(&f.mutex(key)?).data(key).granted(&f.store).await.map_err(|e| e.during(key))?);
    }
    for (key, lock) in keys.iter().zip(&held) {
        let read = f.store.get_mutex(&f.mutex(key)?).await?;
        check_eq!((&read.mutex_key, read.data.as_ref(), &read.version), (key, Some(key), &lock.version));
        let renewed = f.store.renew(&renewal(lock)?).await?;
        check_eq!(&renewed.mutex_key, key);
        f.release(&renewed).await?;
        f.store.delete_mutex(&f.mutex(key)?, &renewed.version).await?;
    }
    Ok(())
}

async fn odd_keys_are_distinct_semaphores(f: Fixture) -> Outcome {
    let keys = odd_keys();
    let mut held = Vec::new();
    for key in &keys {
        held.push(ask(&f.semaphore(key)?).size(1).granted(&f.store).await.map_err(|e| e.during(key))?);
    }
    for (key, lock) in keys.iter().zip(&held) {
        let id = f.semaphore(key)?;
        check_eq!(lock.mutex_key, id.slot_key(0));
        check_eq!(lock.semaphore_key.as_ref(), Some(key));
        let read = f.store.get_semaphore(&id).await?;
        check_eq!((&read.semaphore_key, read.busy_count), (key, Some(1)));
        check_eq!(f.store.get_semaphore_mutexes(&id).await?[0].version, lock.version);
        f.release(lock).await?;
        f.store.delete_semaphore(&id, &read.version).await?;
    }
    Ok(())
}

/// Defect 10 of the reference: `key_a` of tenant `b_c` and `key_a_b` of tenant `c` were one Redis key.
async fn tenant_and_key_never_run_together(f: Fixture) -> Outcome {
    let tenant = f.config.tenant_id.clone();
    let mut names = vec![(tenant.clone(), "b_c".to_string()), (tenant.to_uppercase(), "b_c".to_string())];
    for separator in ["_", ":", "-", "/", "#", "|", ".", "{", "}", " ", ",", "\\", "%"] {
        // tenant + separator + key, and key + separator + tenant.
        names.push((format!("{tenant}{separator}b"), "c".into()));
        names.push((tenant.clone(), format!("b{separator}c")));
        names.push((format!("b{separator}{tenant}"), "a".into()));
        names.push((tenant.clone(), format!("a{separator}b")));
        names.push((format!("{tenant}{separator}"), "c".into()));
        names.push((tenant.clone(), format!("{separator}c")));
    }
    names.sort();
    names.dedup();
    for (tenant, key) in &names {
        let words = format!("{tenant:?} {key:?}");
        let lock = ask(&LockId::mutex(tenant, key)?).granted(&f.store).await.map_err(|e| e.during(&words))?;
        check_eq!((&lock.tenant_id, &lock.mutex_key), (tenant, key));
        ask(&LockId::semaphore(tenant, key)?)
            .size(1)
            .granted(&f.store)
            .await
            .map_err(|e| e.during(&words))?;
    }
    Ok(())
}

async fn tenants_cannot_touch_each_others_mutexes(f: Fixture) -> Outcome {
    let mine = f.mutex("one")?;
    let theirs = LockId::mutex(&format!("{}-other", mine.tenant()), "one")?;
    let lock = ask(&mine).granted(&f.store).await?;

    check_err!(f.store.get_mutex(&theirs).await, NotFound);
    let (mut renew, mut give) = (renewal(&lock)?, release(&lock)?);
    (renew.lock, give.lock) = (theirs.clone(), theirs.clone());
    check_err!(f.store.renew(&renew).await, NotFound);
    check_err!(f.store.release(&give).await, NotFound);
    check_err!(f.store.delete_mutex(&theirs, &lock.version).await, NotFound);
    f.store.abandon(&theirs, &lock.version).await?;
    f.store.beat(std::slice::from_ref(&theirs)).await?;
    let mutex = MutexLockBuilder::new("one").with_tenant(theirs.tenant()).build();
    check_eq!(f.store.create_mutex(&mutex).await?, 1);

    let other = ask(&theirs).granted(&f.store).await?;
    check_err!(f.store.renew(&renew).await, NotFound);
    check_eq!(f.store.release(&give).await?, false);
    f.store.abandon(&theirs, &lock.version).await?;
    f.release(&other).await?;
    f.store.delete_mutex(&theirs, &other.version).await?;
    check_eq!(f.store.get_mutex(&mine).await?.version, lock.version);
    f.store.renew(&renewal(&lock)?).await?;
    Ok(())
}

async fn tenants_cannot_touch_each_others_semaphores(f: Fixture) -> Outcome {
    let mine = f.semaphore("one")?;
    let theirs = LockId::semaphore(&format!("{}-other", mine.tenant()), "one")?;
    let lock = ask(&mine).size(2).granted(&f.store).await?;
    let version = f.store.get_semaphore(&mine).await?.version;

    check_err!(f.store.get_semaphore(&theirs).await, NotFound);
    check_err!(f.store.get_semaphore_mutexes(&theirs).await, NotFound);
    check_err!(f.store.delete_semaphore(&theirs, &version).await, NotFound);
    check_err!(ask(&theirs).on(&f.store).await, NotFound);
    let mut give = release(&lock)?;
    give.lock = theirs.clone();
    check_err!(f.store.release(&give).await, NotFound);

    let other = ask(&theirs).size(5).granted(&f.store).await?;
    check_eq!(other.mutex_key, "one_0000000000");
    check_eq!(f.store.release(&give).await?, false);
    f.release(&other).await?;
    f.store.delete_semaphore(&theirs, &f.store.get_semaphore(&theirs).await?.version).await?;
    let read = f.store.get_semaphore(&mine).await?;
    check_eq!((read.max_size, read.busy_count, read.version), (2, Some(1), version));
    f.store.renew(&renewal(&lock)?).await?;
    Ok(())
}

async fn mutexes_and_semaphores_have_their_own_names(f: Fixture) -> Outcome {
    let slot = ask(&f.semaphore("one")?).size(1).granted(&f.store).await?;
    for key in ["one", "one_0000000000", &format!("one_{}", slot.version)] {
        let id = f.mutex(key)?;
        check_err!(f.store.get_mutex(&id).await, NotFound);
        let lock = ask(&id).granted(&f.store).await?;
        check_eq!(lock.semaphore_key, None);
        f.release(&lock).await?;
        f.store.delete_mutex(&id, &lock.version).await?;
    }
    check_eq!(f.store.get_semaphore(&f.semaphore("one")?).await?.busy_count, Some(1));
    check_err!(f.store.get_semaphore(&f.semaphore("one_0000000000")?).await, NotFound);
    f.store.renew(&renewal(&slot)?).await?;
    Ok(())
}

async fn odd_versions_and_owners_round_trip(f: Fixture) -> Outcome {
    let odd = ["v", "V", "v ", "' OR 1=1 --", "{}:%_*?", "ü🦀", "a\"b\\c", "0", "null", &"v".repeat(128)];
    for (number, version) in odd.iter().enumerate() {
        for asked in f.both(&format!("key {number}"))? {
            let lock = asked.version(version).owner(version).granted(&f.store).await?;
            check_eq!((lock.version.as_str(), lock.owner.as_deref()), (*version, Some(*version)));
            let mut wrong = release(&lock)?;
            for other in odd.iter().filter(|other| *other != version) {
                wrong.version = other.to_string();
                check_eq!(f.store.release(&wrong).await?, false, "{other:?} released {version:?}");
            }
            let mut request = renewal(&lock)?;
            request.new_version = odd[(number + 1) % odd.len()].to_string();
            let renewed = f.store.renew(&request).await?;
            check_eq!(renewed.version, request.new_version);
            f.release(&renewed).await?;
            check_eq!(f.store.release(&release(&lock)?).await?, false, "the version before the renewal");
        }
    }
    Ok(())
}
