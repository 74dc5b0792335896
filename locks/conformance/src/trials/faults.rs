//! Processes that die or stand still, and clocks that are wrong (I5). Of servers and networks: [`super::outages`].

use std::time::{Duration, Instant};

use db_locks_core::Acquired;
use db_locks_core::protocol::CLIENT_TTL_MS;

use crate::failure::{Failure, Outcome, check, check_eq};
use crate::fixture::{Ask, Fixture, LONG_LEASE_MS, renewal, sleep_ms, token, too_late_or};
use crate::harness::suite;
use crate::process::Puppet;

suite![
    killed_holder_is_succeeded_when_its_lease_ends: needs(Processes),
    killed_waiter_is_skipped: needs(Processes),
    paused_holder_is_refused_after_takeover: needs(Processes),
    wrong_wall_clocks_change_nothing: needs(Processes),
];

async fn killed_holder_is_succeeded_when_its_lease_ends(f: Fixture) -> Outcome {
    let lease_ms = f.lease(900);
    for asked in f.both("one")? {
        let asked = asked.lease_ms(lease_ms);
        let mut holder = Puppet::start(&f, &asked).await?;
        let grant = holder.expect("acquire", "granted").await?;
        holder.expect("keep renewing", "renewing").await?;
        let renewing = Instant::now();
        // Alive, it keeps the lock for longer than a lease.
        while renewing.elapsed() < Duration::from_millis(lease_ms as u64 * 8 / 5) {
            if let Acquired::Granted(lock) = asked.anew().on(&f.store).await? {
                let pace = holder.ask("how slow").await?;
                let words = format!("granted, while a process renews it ({pace}): {lock:?}");
                let slow = pace["slowest_ms"].as_i64() >= Some(lease_ms);
                return Err(if slow { Failure::inconclusive(words) } else { Failure::new(words) });
            }
            sleep_ms(50).await;
        }
        holder.kill().await?;
        let next = asked.anew().until_granted(&f.store, f.patience(lease_ms)).await?;
        check!(Some(token(&next)?) > grant["token"].as_u64());
    }
    Ok(())
}

async fn killed_waiter_is_skipped(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let mut waiter = Puppet::start(&f, &asked).await?;
        waiter.expect("wait", "busy").await?;
        sleep_ms(CLIENT_TTL_MS as u64 + 200).await;
        let next = asked.anew().waiting();
        // It was silent but for its beats for longer than the dead are waited for.
        let begun = Instant::now();
        while next.busy(&f.store).await?.position != 1 {
            check!(begun.elapsed() < Duration::from_secs(10), "a waiting process that lives counts as dead");
            sleep_ms(20).await;
        }
        waiter.kill().await?;
        f.release(&held).await?;
        next.until_granted(&f.store, Duration::from_millis(CLIENT_TTL_MS as u64 + 6_000)).await?;
    }
    Ok(())
}

/// SIGSTOP is what a long garbage collection, a suspended laptop or a frozen virtual machine look like.
async fn paused_holder_is_refused_after_takeover(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let asked = asked.lease_ms(600);
        let mut holder = Puppet::start(&f, &asked).await?;
        let grant = holder.expect("acquire", "granted").await?;
        holder.signal("STOP").await?;
        let next = asked.anew().lease_ms(LONG_LEASE_MS).until_granted(&f.store, f.patience(600)).await?;
        check!(Some(token(&next)?) > grant["token"].as_u64());
        // What it was about to do, it does when it wakes.
        holder.tell("renew").await?;
        holder.tell("release").await?;
        holder.signal("CONT").await?;
        let renewal_answer = holder.answer().await?;
        check_eq!(renewal_answer["kind"], "not_found", "{renewal_answer}");
        let release_answer = holder.answer().await?;
        check_eq!(release_answer["freed"], false, "{release_answer}");
        asked.anew().busy(&f.store).await?;
        let renewed = f.store.renew(&renewal(&next)?).await?;
        f.release(&renewed).await?;
    }
    Ok(())
}

/// Asks again and again from another process; returns its token, and when the ask that was granted was sent.
async fn puppet_until_granted(puppet: &mut Puppet, within: Duration) -> Outcome<(u64, Instant)> {
    let begun = Instant::now();
    loop {
        let sent = Instant::now();
        let answer = puppet.ask("acquire").await?;
        match answer["answer"].as_str() {
            Some("granted") => return Ok((answer["token"].as_u64().unwrap_or_default(), sent)),
            Some("busy") if begun.elapsed() < within => sleep_ms(10).await,
            _ => return Err(Failure::new(format!("not granted within {within:?}: {answer}"))),
        }
    }
}

/// Gives a command whose answer must be of this kind, unless the lease granted at `granted` is over.
async fn expect_before(
    puppet: &mut Puppet,
    command: &str,
    expected: &str,
    granted: Instant,
    asked: &Ask,
) -> Outcome {
    let answer = puppet.ask(command).await?;
    if answer["answer"] == expected {
        return Ok(());
    }
    Err(too_late_or(granted, asked.0.lease_ms, format!("`{command}` was answered with {answer}")))
}

/// The second must not have the lock before the first one's lease is over, whatever its wall clock says.
async fn take_over(f: &Fixture, asked: &Ask, first: &mut Puppet, second: &mut Puppet) -> Outcome {
    let lease = Duration::from_millis(asked.0.lease_ms as u64);
    let patience = f.patience(asked.0.lease_ms);
    let (before, granted) = puppet_until_granted(first, patience).await?;
    let renewed = Instant::now();
    expect_before(first, "renew", "renewed", granted, asked).await?;
    let (after, granted) = puppet_until_granted(second, patience).await?;
    check!(renewed.elapsed() >= lease, "taken over {:?} after a renewal for {lease:?}", renewed.elapsed());
    check!(after > before, "token {after} after {before}");
    let refused = first.ask("renew").await?;
    check_eq!(refused["kind"], "not_found", "{refused}");
    check_eq!(first.expect("release", "released").await?["freed"], false);
    expect_before(second, "renew", "renewed", granted, asked).await?;
    check_eq!(second.expect("release", "released").await?["freed"], true);
    Ok(())
}

/// Defect 2 of the reference: the client's clock decided when a lease is over.
async fn wrong_wall_clocks_change_nothing(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let asked = asked.lease_ms(f.lease(700));
        let mut right = Puppet::start(&f, &asked).await?;
        let mut early = Puppet::start_at(&f, &asked, Some("-1h")).await?;
        let mut late = Puppet::start_at(&f, &asked, Some("+1h")).await?;
        take_over(&f, &asked, &mut right, &mut late).await?;
        take_over(&f, &asked, &mut late, &mut early).await?;
        take_over(&f, &asked, &mut early, &mut late).await?;
        take_over(&f, &asked, &mut early, &mut right).await?;
        asked.granted(&f.store).await?;
    }
    Ok(())
}
