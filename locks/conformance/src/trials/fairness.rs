//! The queue: first come, first served among the live (I4, R4 to R6).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::protocol::{CLIENT_TTL_MS, WAITER_TTL_MS};
use db_locks_core::{Acquired, LockId, MutexLock, SemaphoreBuilder, Waiting};

use crate::backend::Store;
use crate::failure::{Failure, Outcome, check, check_eq};
use crate::fixture::{Ask, Fixture, Heart, ask, renewal, sleep_ms, too_late_or};
use crate::harness::suite;

suite![
    newcomer_never_passes_a_live_waiter,
    newcomer_takes_what_waiters_leave,
    ten_waiters_of_a_mutex_are_served_in_order,
    ten_waiters_of_a_semaphore_are_served_in_order,
    waiter_asks_again_without_losing_its_place,
    waiter_comes_before_newcomers_when_a_lease_ends,
    abandoned_waiter_is_skipped_at_once,
    granted_waiter_leaves_the_queue,
    refusal_without_waiting_leaves_no_ticket,
    unfair_acquire_barges_and_never_queues,
    holder_needs_no_turn_to_ask_again,
    waiters_of_a_deleted_lock_keep_their_order,
    waiters_come_before_newcomers_when_a_semaphore_grows,
    dead_waiter_is_skipped_when_its_client_is_silent: needs(SeparateClients),
    twenty_dead_waiters_cost_one_silence: needs(SeparateClients),
    returning_client_has_its_old_place: needs(SeparateClients),
    waiter_that_never_asks_again_loses_its_place,
    places_are_kept_for_those_who_do_not_ask,
    release_rings_the_first_waiter: needs(Push),
];

/// A waiter of a client of its own, in the queue and alive.
struct Waiter {
    store: Arc<dyn Store>,
    asked: Ask,
    /// When it last asked: its place is kept for [`WAITER_TTL_MS`] from then.
    seen: Mutex<Instant>,
    _heart: Heart,
}

impl Waiter {
    async fn enter(f: &Fixture, asked: &Ask) -> Outcome<Self> {
        Self::enter_on(&f.another().await?, asked).await
    }

    async fn enter_on(store: &Arc<dyn Store>, asked: &Ask) -> Outcome<Self> {
        let waiter = Self::of(store, asked.anew().waiting());
        waiter.asked.busy(store).await?;
        Ok(waiter)
    }

    /// One that asks just now.
    fn of(store: &Arc<dyn Store>, asked: Ask) -> Self {
        let _heart = Heart::of(store, std::slice::from_ref(&asked.0.lock));
        Self { store: Arc::clone(store), asked, seen: Mutex::new(Instant::now()), _heart }
    }

    fn id(&self) -> &LockId {
        &self.asked.0.lock
    }

    fn seen(&self) -> MutexGuard<'_, Instant> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn beat(&self) -> Outcome {
        Ok(self.store.beat(std::slice::from_ref(self.id())).await?)
    }

    async fn granted(&self) -> Outcome<MutexLock> {
        self.asked.granted(&self.store).await
    }

    /// Asks again; must be refused behind all of `ahead`.
    async fn refused_behind(&self, ahead: &[&Waiter]) -> Outcome {
        let sent = Instant::now();
        refused_behind(ahead, &self.asked, &self.store, ahead.len()).await?;
        *self.seen() = sent;
        Ok(())
    }
}

/// Asks while all of `alive` have shown life right before, so that it must be refused and told how many of them are
/// ahead. On a machine so slow that they may count as dead meanwhile, another answer tells nothing.
async fn refused_behind(alive: &[&Waiter], asked: &Ask, store: &Arc<dyn Store>, position: usize) -> Outcome {
    let shown = Instant::now();
    let mut beaten: Vec<&Arc<dyn Store>> = Vec::new();
    for waiter in alive {
        if !beaten.iter().any(|store| Arc::ptr_eq(store, &waiter.store)) {
            waiter.beat().await?;
            beaten.push(&waiter.store);
        }
    }
    let words = match asked.on(store).await? {
        Acquired::Busy(busy) if busy.position == position as u64 => return Ok(()),
        answer => format!("answered {answer:?}, with {position} ahead"),
    };
    let forgotten = alive.iter().map(|waiter| *waiter.seen()).min().unwrap_or(shown);
    if forgotten.elapsed() >= Duration::from_millis(WAITER_TTL_MS as u64) {
        return Err(Failure::inconclusive(words));
    }
    Err(too_late_or(shown, CLIENT_TTL_MS, words))
}

/// Newcomers behind these.
async fn newcomer_refused(alive: &[&Waiter], asked: &Ask, store: &Arc<dyn Store>) -> Outcome {
    refused_behind(alive, &asked.anew(), store, alive.len()).await
}

async fn newcomer_never_passes_a_live_waiter(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let waiter = Waiter::enter(&f, &asked).await?;
        newcomer_refused(&[&waiter], &asked, &f.store).await?;
        f.release(&held).await?;
        for _ in 0..5 {
            newcomer_refused(&[&waiter], &asked, &f.store).await?;
            sleep_ms(20).await;
        }
        let next = waiter.granted().await?;
        check!(next.fencing_token > held.fencing_token);
        asked.anew().busy(&f.store).await?;
        f.release(&next).await?;
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

/// R4: a newcomer is refused only what live waiters have a claim to.
async fn newcomer_takes_what_waiters_leave(f: Fixture) -> Outcome {
    let asked = ask(&f.semaphore("one")?).size(3);
    let held = f.hold(&asked, 3).await?;
    let waiter = Waiter::enter(&f, &asked).await?;
    f.release(&held[0]).await?;
    newcomer_refused(&[&waiter], &asked, &f.store).await?;
    f.release(&held[1]).await?;
    waiter.beat().await?;
    asked.anew().granted(&f.store).await?;
    newcomer_refused(&[&waiter], &asked, &f.store).await?;
    waiter.granted().await?;
    Ok(())
}

/// Ten waiters of three clients, in the order in which they came.
async fn ten_waiters(f: &Fixture, asked: &Ask) -> Outcome<Vec<Waiter>> {
    let stores = [f.another().await?, f.another().await?, f.another().await?];
    let mut waiters = Vec::new();
    let mut last_number = 0;
    for place in 0..10 {
        let waiter = Waiter::enter_on(&stores[place % 3], asked).await?;
        let ahead: Vec<&Waiter> = waiters.iter().collect();
        waiter.refused_behind(&ahead).await?;
        let busy = waiter.asked.busy(&waiter.store).await?;
        check!(busy.queue_number > last_number, "number {} after {last_number}", busy.queue_number);
        last_number = busy.queue_number;
        waiters.push(waiter);
    }
    Ok(waiters)
}

/// The last comes first: whoever is not among the first `served` must be refused.
async fn check_all_behind_are_refused(waiters: &[Waiter], served: usize) -> Outcome {
    let alive: Vec<&Waiter> = waiters.iter().collect();
    for place in (served..waiters.len()).rev() {
        waiters[place].refused_behind(&alive[..place]).await?;
    }
    Ok(())
}

async fn ten_waiters_of_a_mutex_are_served_in_order(f: Fixture) -> Outcome {
    let asked = ask(&f.mutex("one")?);
    let mut held = asked.granted(&f.store).await?;
    let mut waiters = ten_waiters(&f, &asked).await?;
    while !waiters.is_empty() {
        f.release(&held).await?;
        check_all_behind_are_refused(&waiters, 1).await?;
        held = waiters.remove(0).granted().await?;
    }
    Ok(())
}

async fn ten_waiters_of_a_semaphore_are_served_in_order(f: Fixture) -> Outcome {
    let asked = ask(&f.semaphore("one")?).size(3);
    let mut held = f.hold(&asked, 3).await?;
    let mut waiters = ten_waiters(&f, &asked).await?;
    while !waiters.is_empty() {
        for lock in held.drain(..) {
            f.release(&lock).await?;
        }
        let served = waiters.len().min(3);
        check_all_behind_are_refused(&waiters, served).await?;
        // The first three have a claim to a slot each, whoever of them asks first.
        for waiter in waiters.drain(..served).rev() {
            held.push(waiter.granted().await?);
        }
    }
    Ok(())
}

async fn waiter_asks_again_without_losing_its_place(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let first = Waiter::enter(&f, &asked).await?;
        let second = Waiter::enter(&f, &asked).await?;
        let number = first.asked.busy(&first.store).await?.queue_number;
        for _ in 0..3 {
            let busy = first.asked.busy(&first.store).await?;
            check_eq!((busy.position, busy.queue_number), (0, number));
            second.refused_behind(&[&first]).await?;
        }
        // A lost acquire is sent again through another connection: the same ticket.
        let reconnected = f.another().await?;
        refused_behind(&[&first], &second.asked, &reconnected, 1).await?;
        f.release(&held).await?;
        first.granted().await?;
    }
    Ok(())
}

async fn waiter_comes_before_newcomers_when_a_lease_ends(f: Fixture) -> Outcome {
    let lease_ms = f.lease(400);
    for asked in f.both("one")? {
        let other = f.another().await?;
        let begun = Instant::now();
        asked.clone().lease_ms(lease_ms).granted(&f.store).await?;
        let waiter = Waiter::of(&other, asked.anew().waiting());
        waiter.asked.busy_for(&other, begun, lease_ms).await?;
        while begun.elapsed() < Duration::from_millis(lease_ms as u64 + 300) {
            newcomer_refused(&[&waiter], &asked, &f.store).await?;
            sleep_ms(20).await;
        }
        waiter.asked.until_granted(&other, f.patience(lease_ms)).await?;
        asked.anew().busy(&f.store).await?;
    }
    Ok(())
}

async fn abandoned_waiter_is_skipped_at_once(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let first = Waiter::enter(&f, &asked).await?;
        let second = Waiter::enter_on(&first.store, &asked).await?;
        first.store.abandon(first.id(), &first.asked.0.version).await?;
        check_eq!(second.asked.busy(&second.store).await?.position, 0);
        f.release(&held).await?;
        let next = second.granted().await?;
        f.release(&next).await?;
        // Nobody is left in the queue.
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

async fn granted_waiter_leaves_the_queue(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let waiter = Waiter::enter(&f, &asked).await?;
        f.release(&held).await?;
        let next = waiter.granted().await?;
        check_eq!(asked.anew().busy(&f.store).await?.position, 0);
        f.release(&next).await?;
        waiter.beat().await?;
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

async fn refusal_without_waiting_leaves_no_ticket(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let other = f.another().await?;
        for _ in 0..3 {
            let busy = asked.anew().busy(&other).await?;
            check_eq!((busy.position, busy.queue_number), (0, 0));
        }
        let _heart = Heart::of(&other, std::slice::from_ref(&asked.0.lock));
        f.release(&held).await?;
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

async fn unfair_acquire_barges_and_never_queues(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let unfair = asked.anew().with(|request| request.fair = false);
        let held = asked.granted(&f.store).await?;
        let waiter = Waiter::enter(&f, &asked).await?;
        unfair.clone().waiting().busy(&f.store).await?;
        f.release(&held).await?;
        waiter.beat().await?;
        let barged = unfair.granted(&f.store).await?;
        waiter.asked.busy(&waiter.store).await?;
        f.release(&barged).await?;
        let next = waiter.granted().await?;
        f.release(&next).await?;
        asked.anew().granted(&f.store).await?;
    }
    Ok(())
}

/// R2 and R3 come before R4: what is asked for is held already.
async fn holder_needs_no_turn_to_ask_again(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let asked = asked.owner("alice");
        let held = asked.granted(&f.store).await?;
        let waiter = Waiter::enter(&f, &asked.clone().owner("bob")).await?;
        waiter.beat().await?;
        check_eq!(asked.granted(&f.store).await?.fencing_token, held.fencing_token);
        let reentrant = asked.anew().with(|request| request.reentrant = true);
        check_eq!(reentrant.granted(&f.store).await?.version, held.version);
        let renewed = f.store.renew(&renewal(&held)?).await?;
        waiter.asked.busy(&waiter.store).await?;
        f.release(&renewed).await?;
        waiter.granted().await?;
    }
    Ok(())
}

async fn waiters_of_a_deleted_lock_keep_their_order(f: Fixture) -> Outcome {
    let asked = ask(&f.mutex("one")?).with(|request| request.delete_on_release = true);
    let held = asked.granted(&f.store).await?;
    let first = Waiter::enter(&f, &asked).await?;
    let second = Waiter::enter(&f, &asked).await?;
    f.release(&held).await?;
    newcomer_refused(&[&first, &second], &asked, &f.store).await?;
    second.refused_behind(&[&first]).await?;
    let next = first.granted().await?;
    check!(next.fencing_token > held.fencing_token, "tokens fell back over a deletion with waiters");
    f.release(&next).await?;
    newcomer_refused(&[&second], &asked, &f.store).await?;
    let last = second.granted().await?;
    check!(last.fencing_token > next.fencing_token, "tokens fell back over a deletion with waiters");
    f.release(&last).await?;
    asked.anew().granted(&f.store).await?;
    Ok(())
}

async fn waiters_come_before_newcomers_when_a_semaphore_grows(f: Fixture) -> Outcome {
    let asked = ask(&f.semaphore("one")?).size(1);
    asked.granted(&f.store).await?;
    let first = Waiter::enter(&f, &asked).await?;
    let second = Waiter::enter(&f, &asked).await?;
    let grown = SemaphoreBuilder::new("one", 2).with_tenant(first.id().tenant()).build();
    f.store.create_semaphore(&grown).await?;
    newcomer_refused(&[&first, &second], &asked, &f.store).await?;
    second.refused_behind(&[&first]).await?;
    check_eq!(first.granted().await?.mutex_key, "one_0000000001");
    second.asked.busy(&second.store).await?;
    Ok(())
}

/// Leaves `count` waiters of a client that says nothing more in the queue; returns when it was last heard.
async fn dead_waiters(f: &Fixture, asked: &Ask, count: usize) -> Outcome<Instant> {
    let dead = f.another().await?;
    let mut last_heard = Instant::now();
    for _ in 0..count {
        last_heard = Instant::now();
        asked.anew().waiting().busy(&dead).await?;
    }
    Ok(last_heard)
}

/// The dead wait before a live one; how long until that one is served, since the dead were last heard?
async fn served_after_dead(f: &Fixture, asked: &Ask, count: usize) -> Outcome<Duration> {
    let held = asked.granted(&f.store).await?;
    let last_heard = dead_waiters(f, asked, count).await?;
    let waiter = Waiter::enter(f, asked).await?;
    f.release(&held).await?;
    waiter.asked.until_granted(&waiter.store, Duration::from_millis(WAITER_TTL_MS as u64 - 2_000)).await?;
    Ok(last_heard.elapsed())
}

/// One silence, and a generous margin for a busy machine; a place kept for [`WAITER_TTL_MS`] would take far longer.
fn check_one_silence(silence: Duration) -> Outcome {
    let ttl = Duration::from_millis(CLIENT_TTL_MS as u64);
    check!(silence >= ttl, "a client counted as dead after {silence:?}, before its time of {ttl:?}");
    check!(silence < ttl + Duration::from_millis(6_000), "a dead client was waited for {silence:?}");
    Ok(())
}

async fn dead_waiter_is_skipped_when_its_client_is_silent(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        check_one_silence(served_after_dead(&f, &asked, 1).await?)?;
    }
    Ok(())
}

async fn twenty_dead_waiters_cost_one_silence(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        check_one_silence(served_after_dead(&f, &asked, 20).await?)?;
    }
    Ok(())
}

/// R6: who is not live is skipped, not removed.
async fn returning_client_has_its_old_place(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let sleeper = f.another().await?;
        let early = asked.anew().waiting();
        early.busy(&sleeper).await?;
        let late = Waiter::enter(&f, &asked).await?;
        sleep_ms(CLIENT_TTL_MS as u64 + 300).await;
        f.release(&held).await?;
        let next = late.asked.until_granted(&late.store, Duration::from_secs(10)).await?;

        // It is back, and still before whoever came after it.
        sleeper.beat(std::slice::from_ref(&asked.0.lock)).await?;
        let newcomer = Waiter::enter(&f, &asked).await?;
        let back = Waiter::of(&sleeper, early);
        newcomer.refused_behind(&[&back]).await?;
        f.release(&next).await?;
        newcomer.refused_behind(&[&back]).await?;
        back.granted().await?;
    }
    Ok(())
}

/// R5: its process lives, but nobody is behind this ticket any more.
async fn waiter_that_never_asks_again_loses_its_place(f: Fixture) -> Outcome {
    let asked = ask(&f.mutex("one")?);
    let held = asked.granted(&f.store).await?;
    let queued = Instant::now();
    let forgotten = Waiter::enter(&f, &asked).await?;
    f.release(&held).await?;
    let newcomer = asked.anew();
    refused_behind(&[&forgotten], &newcomer, &f.store, 1).await?;
    let deadline = Duration::from_millis(WAITER_TTL_MS as u64);
    newcomer.until_granted(&f.store, deadline + Duration::from_secs(10)).await?;
    let waited = queued.elapsed();
    if waited < deadline {
        // Who could not beat for a while lets newcomers in, too.
        return Err(Failure::inconclusive(format!("forgotten after {waited:?}, before its time")));
    }
    Ok(())
}

/// R5: a process that speaks for its waiters keeps their places, and is told of those that have none.
async fn places_are_kept_for_those_who_do_not_ask(f: Fixture) -> Outcome {
    let (asked, other) = (ask(&f.mutex("one")?), ask(&f.semaphore("two")?).size(1));
    let held = asked.granted(&f.store).await?;
    let of_other = other.granted(&f.store).await?;
    let client = f.another().await?;
    let locks = [asked.0.lock.clone(), other.0.lock.clone()];
    let _heart = Heart::of(&client, &locks);
    let enter = async |asked: &Ask| {
        let waiter = asked.anew().waiting();
        waiter.busy(&client).await.map(|_| waiter)
    };
    let (first, second, elsewhere) = (enter(&asked).await?, enter(&asked).await?, enter(&other).await?);
    let version = |waiter: &Ask| waiter.0.version.clone();
    let nobody = "never waited".to_string();
    let waiting = [
        Waiting { lock: locks[0].clone(), versions: vec![version(&first), nobody.clone(), version(&second)] },
        Waiting { lock: locks[1].clone(), versions: vec![version(&elsewhere)] },
    ];
    let (mut kept, begun) = (Instant::now(), Instant::now());
    let ttl = Duration::from_millis(WAITER_TTL_MS as u64);
    while begun.elapsed() < ttl + Duration::from_millis(1_500) {
        sleep_ms(WAITER_TTL_MS as u64 / 8).await;
        let told_at = Instant::now();
        let lost = client.keep_places(&waiting).await?;
        if kept.elapsed() > ttl / 2 {
            return Err(Failure::inconclusive(format!("places were kept {:?} late", kept.elapsed())));
        }
        check_eq!(lost, vec![nobody.clone()]);
        kept = told_at;
    }
    f.release(&held).await?;
    f.release(&of_other).await?;
    // Nobody was seen asking for longer than a place lasts, and all of them have theirs.
    for asked in [&asked, &other] {
        let (shown, newcomer) = (Instant::now(), asked.anew());
        client.beat(&locks).await?;
        newcomer.busy_for(&f.store, shown, CLIENT_TTL_MS).await?;
    }
    let shown = Instant::now();
    client.beat(&locks).await?;
    second.busy_for(&client, shown, CLIENT_TTL_MS).await?;
    let next = first.granted(&client).await?;
    elsewhere.granted(&client).await?;
    check_eq!(client.keep_places(&waiting[..1]).await?, [version(&first), nobody]);
    f.release(&next).await?;
    second.granted(&client).await?;
    Ok(())
}

async fn release_rings_the_first_waiter(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let held = asked.granted(&f.store).await?;
        let waiter = Waiter::enter(&f, &asked).await?;
        let later = Waiter::enter(&f, &asked).await?;
        // A ring may come without cause, so only rings after the release count for something: the waiter is granted.
        let version = waiter.asked.0.version.clone();
        let store = waiter.store.clone();
        let served = tokio::spawn(async move {
            loop {
                store.rung(&version).await;
                if let Ok(lock) = waiter.granted().await {
                    return lock;
                }
            }
        });
        sleep_ms(100).await;
        f.release(&held).await?;
        // On a machine so slow that the waiter counted as dead at the release, the other one was rung.
        let slow = |_| Failure::inconclusive("not rung within 10 s of the release");
        let next = tokio::time::timeout(Duration::from_secs(10), served).await.map_err(slow)??;
        check!(next.fencing_token > held.fencing_token);
        later.asked.busy(&later.store).await?;
    }
    Ok(())
}
