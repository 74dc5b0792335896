//! Registers: values that take no write with an older fencing token.

use std::sync::Arc;

use db_locks_core::fenced::MAX_TOKEN;
use db_locks_core::{FencedValue, FencedWrite, LockResult, RegisterId};
use tokio::task::JoinSet;

use crate::failure::{Failure, Outcome, check, check_eq};
use crate::fixture::{Fixture, ask};
use crate::harness::suite;

suite![
    older_tokens_are_refused,
    a_write_can_be_sent_again,
    the_tokens_of_grants_guard_it,
    registers_and_locks_keep_apart,
    tokens_are_compared_as_numbers,
    odd_values_round_trip,
    the_greatest_of_many_writers_stays,
];

fn register(f: &Fixture, key: &str) -> LockResult<RegisterId> {
    RegisterId::new(&f.config.tenant_id, key)
}

fn held(token: u64, value: &str) -> Option<FencedValue> {
    Some(FencedValue { token, value: value.to_string() })
}

async fn older_tokens_are_refused(f: Fixture) -> Outcome {
    let id = register(&f, "one")?;
    check_eq!(f.store.read_fenced(&id).await?, None);
    check_eq!(f.store.write_fenced(&id, 7, "seven").await?, FencedWrite::Accepted);
    check_eq!(f.store.write_fenced(&id, 6, "six").await?, FencedWrite::Stale { seen: 7 });
    check_eq!(f.store.read_fenced(&id).await?, held(7, "seven"));
    check_eq!(f.store.write_fenced(&id, 8, "eight").await?, FencedWrite::Accepted);
    check_eq!(f.store.write_fenced(&id, 7, "seven").await?, FencedWrite::Stale { seen: 8 });
    check_eq!(f.another().await?.write_fenced(&id, 1, "one").await?, FencedWrite::Stale { seen: 8 });
    check_eq!(f.store.read_fenced(&id).await?, held(8, "eight"));
    Ok(())
}

async fn a_write_can_be_sent_again(f: Fixture) -> Outcome {
    let id = register(&f, "one")?;
    for value in ["first", "first", "second"] {
        check_eq!(f.store.write_fenced(&id, 3, value).await?, FencedWrite::Accepted);
        check_eq!(f.store.read_fenced(&id).await?, held(3, value));
    }
    Ok(())
}

async fn the_tokens_of_grants_guard_it(f: Fixture) -> Outcome {
    let id = register(&f, "one")?;
    for asked in f.both("one")? {
        let first = asked.anew().granted(&f.store).await?;
        f.release(&first).await?;
        let second = asked.anew().granted(&f.store).await?;
        let tokens = [first.fencing_token.unwrap_or(0), second.fencing_token.unwrap_or(0)];
        check!(f.store.write_fenced(&id, tokens[1], "second").await?.is_accepted());
        check_eq!(
            f.store.write_fenced(&id, tokens[0], "first").await?,
            FencedWrite::Stale { seen: tokens[1] }
        );
        check_eq!(f.store.read_fenced(&id).await?, held(tokens[1], "second"));
    }
    Ok(())
}

async fn registers_and_locks_keep_apart(f: Fixture) -> Outcome {
    let keys = ["one", "One", "one ", "ein\u{df}", "o:f:ne", "{one}", "%", "'\"`\\"];
    for (token, key) in (1..).zip(keys) {
        check!(f.store.write_fenced(&register(&f, key)?, token, key).await?.is_accepted(), "{key}");
        ask(&f.mutex(key)?).granted(&f.store).await?;
    }
    for (token, key) in (1..).zip(keys) {
        check_eq!(f.store.read_fenced(&register(&f, key)?).await?, held(token, key), "{key}");
    }
    let other = RegisterId::new(&format!("{}-other", f.config.tenant_id), "one")?;
    check_eq!(f.store.read_fenced(&other).await?, None);
    Ok(())
}

async fn tokens_are_compared_as_numbers(f: Fixture) -> Outcome {
    let id = register(&f, "one")?;
    // As digits 9 comes after 10; beyond 2^53 floating point has no odd numbers.
    let tokens = [9, 10, 99, 100, (1 << 53) + 1, (1 << 53) + 2, MAX_TOKEN - 1, MAX_TOKEN];
    for (place, token) in tokens.into_iter().enumerate() {
        check!(f.store.write_fenced(&id, token, "new").await?.is_accepted(), "{token}");
        for older in tokens.iter().take(place) {
            let answer = f.store.write_fenced(&id, *older, "old").await?;
            check_eq!(answer, FencedWrite::Stale { seen: token }, "{older} after {token}");
        }
    }
    Ok(())
}

async fn odd_values_round_trip(f: Fixture) -> Outcome {
    let id = register(&f, "one")?;
    let long = "\u{e4}".repeat(32_768);
    for (token, value) in (1..).zip(["", " ", "null", "a\nb", "\u{1f512}", "'; DROP TABLE x; --", &long]) {
        check!(f.store.write_fenced(&id, token, value).await?.is_accepted());
        check_eq!(f.store.read_fenced(&id).await?, held(token, value));
    }
    Ok(())
}

async fn the_greatest_of_many_writers_stays(f: Fixture) -> Outcome {
    let (id, mut writers) = (Arc::new(register(&f, "one")?), JoinSet::new());
    for number in 0..48_u64 {
        // Each number once, in no order.
        let (store, id, token) = (Arc::clone(&f.store), Arc::clone(&id), number * 29 % 48 + 1);
        writers.spawn(async move { (token, store.write_fenced(&id, token, &token.to_string()).await) });
    }
    while let Some(done) = writers.join_next().await {
        let (token, answer) = done.map_err(|error| Failure::new(error.to_string()))?;
        match answer? {
            FencedWrite::Accepted => {}
            FencedWrite::Stale { seen } => check!(seen > token, "{token} was refused for {seen}"),
        }
    }
    check_eq!(f.store.read_fenced(&id).await?, held(48, "48"));
    Ok(())
}
