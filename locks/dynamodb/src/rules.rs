//! The rules R2 to R7, applied to an item that was seen: what to try next. Pure: no IO, no clock.

use std::collections::BTreeSet;
use std::time::Duration;

use db_locks_core::protocol::{MAX_POSITION, key_means_slot};
use db_locks_core::{AcquireRequest, Busy, RenewRequest};

use crate::codec::{Item, Revision, Slot, Ticket};
use crate::observe::{Life, Sight};
use crate::statements::{MAX_QUEUE, Plan};

/// Dead tickets that one grant takes out of the queue, and silent clients that it names: expressions are short.
const AT_ONCE: usize = 20;

/// What to do about an acquire.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// There is no such lock, and it may not be created.
    NotFound,
    /// Try this grant.
    Grant(Plan),
    /// This version holds the slot: it is the caller's already.
    Extend { slot: u32, version: String },
    /// Enter the queue.
    Enqueue,
    /// The same ticket waits under a client that may be gone: wait in its place.
    Adopt { place: usize },
    /// Too many wait already.
    Full,
    /// A slot is free, but for waiters of whom it is not known whether they live. Look again soon.
    LookAgain { after: Duration, busy: Busy },
    /// Others hold it or come first.
    Busy { busy: Busy, place: Option<usize> },
}

/// Decides; `luck` is any number, used to keep rivals apart after `lost` tries that lost a race.
pub(crate) fn decide(
    request: &AcquireRequest,
    item: &Item,
    sight: &Sight,
    me: &str,
    lost: u32,
    luck: u64,
) -> Step {
    let lock = &request.lock;
    if !item.exists(lock) && !may_create(request) {
        return Step::NotFound;
    }
    if let Some((slot, held)) = own_slot(request, item, sight) {
        return Step::Extend { slot, version: held.version.clone() };
    }
    let size = if lock.is_semaphore() { item.size.or(request.max_size).unwrap_or(1) } else { 1 };
    let free: Vec<u32> = (0..size).filter(|slot| sight.left(*slot).is_zero()).collect();
    let line = Line::before(request, item, sight);
    let ahead = if request.fair { line.live } else { 0 };
    if ahead < free.len() {
        let slot = pick(&free, lost, luck);
        return Step::Grant(plan(slot, request, item, sight, &line));
    }
    if request.fair && request.wait {
        match line.place {
            None if item.queue.len() >= MAX_QUEUE => return Step::Full,
            None => return Step::Enqueue,
            Some(place) if may_adopt(&item.queue[place], sight, me) => return Step::Adopt { place },
            Some(_) => {}
        }
    } else if line.proven < free.len() {
        return Step::LookAgain { after: line.next_death, busy: busy(item, sight, &line, request) };
    }
    Step::Busy { busy: busy(item, sight, &line, request), place: line.place }
}

fn may_create(request: &AcquireRequest) -> bool {
    !request.only_if_exists && (!request.lock.is_semaphore() || request.max_size.is_some())
}

/// R2 and R3: a slot that is the caller's, and not over.
fn own_slot<'a>(request: &AcquireRequest, item: &'a Item, sight: &Sight) -> Option<(u32, &'a Slot)> {
    let mut alive =
        item.slots_of(&request.lock).filter(|(number, slot)| slot.held && !sight.left(*number).is_zero());
    let own = |slot: &Slot| {
        let owned = request.reentrant && slot.owner.as_deref() == Some(request.owner.as_str());
        slot.version == request.version || owned
    };
    let mut reentrant = None;
    alive
        .find(|(number, slot)| {
            if own(slot) && slot.version != request.version && reentrant.is_none() {
                reentrant = Some((*number, *slot));
            }
            slot.version == request.version
        })
        .or(reentrant)
}

/// R7; those who lost a race spread over the lowest free slots, so that not all run into the same one again.
fn pick(free: &[u32], lost: u32, luck: u64) -> u32 {
    let spread = free.len().min(1 << lost.min(16)).max(1);
    let index = usize::try_from(luck % spread as u64).unwrap_or(0);
    free.get(index).copied().unwrap_or(0)
}

/// Who stands before the asker.
struct Line {
    place: Option<usize>,
    /// Tickets ahead whose clients are not known to be dead.
    live: usize,
    /// Of these, those whose clients are known to live.
    proven: usize,
    /// Until the next of them counts as dead if it does not move.
    next_death: Duration,
    silent: Vec<String>,
}

impl Line {
    fn before(request: &AcquireRequest, item: &Item, sight: &Sight) -> Self {
        let place = item.place(&request.version);
        let mut line = Self { place, live: 0, proven: 0, next_death: Duration::MAX, silent: Vec::new() };
        let mut silent = BTreeSet::new();
        for ticket in &item.queue[..place.unwrap_or(item.queue.len())] {
            match sight.client(&ticket.client) {
                Life::Live { for_another, proven } => {
                    line.live += 1;
                    line.proven += usize::from(proven);
                    line.next_death = line.next_death.min(for_another);
                }
                Life::Dead { .. } => {
                    silent.insert(ticket.client.clone());
                }
            }
        }
        line.silent = silent.into_iter().take(AT_ONCE).collect();
        line
    }
}

fn plan(slot: u32, request: &AcquireRequest, item: &Item, sight: &Sight, line: &Line) -> Plan {
    let gone = |ticket: &Ticket| sight.client(&ticket.client) == Life::Dead { long: true };
    let long_dead =
        item.queue.iter().enumerate().filter(|(place, ticket)| Some(*place) != line.place && gone(ticket));
    Plan {
        slot,
        takeover: item.slots.get(&slot).filter(|held| held.held).map(Slot::revision),
        place: line.place,
        dropped: long_dead.map(|(place, _)| place).take(AT_ONCE).collect(),
        passed: if request.fair { line.silent.clone() } else { Vec::new() },
    }
}

/// A ticket of a client that has been seen alive is left to it.
fn may_adopt(ticket: &Ticket, sight: &Sight, me: &str) -> bool {
    ticket.client != me && !matches!(sight.client(&ticket.client), Life::Live { proven: true, .. })
}

fn busy(item: &Item, sight: &Sight, line: &Line, request: &AcquireRequest) -> Busy {
    let held = item.slots_of(&request.lock).filter(|(number, _)| !sight.left(*number).is_zero());
    let first = held.min_by_key(|(number, _)| sight.left(*number));
    let lease_ends = first.map(|(number, slot)| {
        // The margin on top of the lease is nobody's business: who comes back at its end is told to wait a little more.
        sight.left(number).min(Duration::from_millis(slot.lease_ms.unsigned_abs()))
    });
    let ahead_dies = (line.live > 0).then_some(line.next_death).filter(|after| *after < Duration::MAX);
    let retry_after = lease_ends.into_iter().chain(ahead_dies).min();
    Busy {
        position: u64::try_from(line.live).unwrap_or(MAX_POSITION).min(MAX_POSITION),
        queue_number: 0,
        retry_after_ms: retry_after
            .map(|after| i64::try_from(after.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX).max(1)),
        holder: first.and_then(|(_, slot)| slot.owner.clone()).filter(|owner| !owner.is_empty()),
    }
}

/// Where a renewal that was refused can still succeed: the slot that carries the version, or the version that it was to get.
pub(crate) fn renewable<'a>(request: &RenewRequest, item: &'a Item) -> Option<(u32, &'a str)> {
    let versions = [request.version.as_str(), request.new_version.as_str()];
    let (number, slot) = item.held_by(&request.lock, &versions)?;
    let meant = key_means_slot(&request.lock, &request.mutex_key, number, &request.version);
    meant.then_some((number, slot.version.as_str()))
}

/// Held slots at or above `from`: the living are counted, the dead told with their revisions.
pub(crate) fn held_above(item: &Item, sight: &Sight, from: u32) -> (usize, Vec<(u32, Revision)>) {
    let held = item.slots.range(from..).filter(|(number, slot)| slot.held && Some(**number) < item.size);
    let (dead, living): (Vec<_>, Vec<_>) = held.partition(|(number, _)| sight.left(**number).is_zero());
    (living.len(), dead.into_iter().map(|(number, slot)| (*number, slot.revision())).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use db_locks_core::LockId;

    use super::*;

    const LIVE: Life = Life::Live { for_another: Duration::from_millis(300), proven: true };
    const UNKNOWN: Life = Life::Live { for_another: Duration::from_millis(200), proven: false };
    const SILENT: Life = Life::Dead { long: false };
    const LONG_DEAD: Life = Life::Dead { long: true };

    fn ask(size: u32) -> AcquireRequest {
        AcquireRequest {
            version: "mine".into(),
            owner: "me".into(),
            lease_ms: 1_000,
            max_size: Some(size),
            wait: true,
            ..AcquireRequest::new(LockId::semaphore("t", "one").unwrap())
        }
    }

    /// A semaphore whose slots are held for that many more milliseconds (0: by somebody dead; none: free), and whose
    /// waiters are tickets of clients of that life.
    fn scene(slots: &[Option<u64>], waiters: &[(&str, Life)]) -> (Item, Sight) {
        let (mut item, mut sight) = (Item::default(), Sight::default());
        item.size = Some(u32::try_from(slots.len()).unwrap());
        for (number, left) in (0..).zip(slots) {
            let Some(left) = left else { continue };
            let (version, owner) = (format!("v{number}"), Some(format!("o{number}")));
            let slot = Slot { held: true, version, owner, fence: 7, lease_ms: 1_000, ..Slot::default() };
            item.slots.insert(number, slot);
            sight.left.insert(number, Duration::from_millis(*left));
        }
        for (version, life) in waiters {
            let client = format!("client of {version}");
            sight.clients.insert(client.clone(), *life);
            item.queue.push(Ticket { client, version: version.to_string() });
        }
        (item, sight)
    }

    fn step(request: &AcquireRequest, scene: &(Item, Sight)) -> Step {
        decide(request, &scene.0, &scene.1, "client of mine", 0, 0)
    }

    fn grant_of(slot: u32) -> Plan {
        Plan { slot, ..Plan::default() }
    }

    #[test]
    fn the_lowest_free_slot_is_granted_and_dead_holders_count_as_free() {
        assert_eq!(step(&ask(3), &scene(&[Some(9), None, None], &[])), Step::Grant(grant_of(1)));
        let takeover = Plan { takeover: Some((7, 0)), ..grant_of(1) };
        assert_eq!(step(&ask(3), &scene(&[Some(9), Some(0), None], &[])), Step::Grant(takeover));
    }

    #[test]
    fn rank_among_the_living_must_be_below_the_free_slots() {
        let two_free = [None, Some(900), None];
        let ahead = [("a", LIVE), ("b", SILENT), ("mine", LIVE), ("c", LIVE)];
        let plan = Plan { place: Some(2), passed: vec!["client of b".into()], ..grant_of(0) };
        assert_eq!(step(&ask(3), &scene(&two_free, &ahead)), Step::Grant(plan));
        let Step::Busy { busy, place } = step(&ask(3), &scene(&[None], &ahead)) else { panic!() };
        assert_eq!((busy.position, busy.retry_after_ms, place), (1, Some(300), Some(2)));
        assert_eq!(step(&ask(3), &scene(&two_free, &[("a", LIVE), ("b", LIVE)])), Step::Enqueue);
        // Whoever does not care for fairness does not care for the queue.
        let unfair = AcquireRequest { fair: false, ..ask(3) };
        assert_eq!(step(&unfair, &scene(&[None], &[("a", LIVE)])), Step::Grant(grant_of(0)));
    }

    #[test]
    fn the_long_dead_leave_the_queue_with_a_grant() {
        let waiters = [("a", LONG_DEAD), ("mine", LIVE), ("b", LONG_DEAD), ("c", SILENT)];
        let plan =
            Plan { place: Some(1), dropped: vec![0, 2], passed: vec!["client of a".into()], ..grant_of(0) };
        assert_eq!(step(&ask(1), &scene(&[None], &waiters)), Step::Grant(plan));
    }

    #[test]
    fn who_does_not_wait_looks_again_only_where_that_can_help() {
        let hurried = AcquireRequest { wait: false, ..ask(1) };
        let look = step(&hurried, &scene(&[None], &[("a", UNKNOWN)]));
        assert!(
            matches!(look, Step::LookAgain { after, .. } if after == Duration::from_millis(200)),
            "{look:?}"
        );
        for hopeless in [scene(&[None], &[("a", LIVE)]), scene(&[Some(500)], &[("a", UNKNOWN)])] {
            assert!(matches!(step(&hurried, &hopeless), Step::Busy { .. }));
        }
    }

    #[test]
    fn own_slots_are_extended_and_others_never_handed_over() {
        let mut held = scene(&[Some(9), Some(900)], &[]);
        let reentrant = AcquireRequest { reentrant: true, owner: "o1".into(), ..ask(2) };
        let extend = |slot: u32, version: &str| Step::Extend { slot, version: version.into() };
        assert_eq!(step(&reentrant, &held), extend(1, "v1"));
        assert_eq!(step(&AcquireRequest { owner: "o2".into(), ..reentrant.clone() }, &held), Step::Enqueue);
        // The version comes before the owner, and what is over is nobody's.
        assert_eq!(
            step(&AcquireRequest { version: "v0".into(), ..reentrant.clone() }, &held),
            extend(0, "v0")
        );
        held.1.left = HashMap::from([(0, Duration::from_millis(9)), (1, Duration::ZERO)]);
        assert!(matches!(step(&reentrant, &held), Step::Grant(Plan { slot: 1, takeover: Some(_), .. })));
    }

    #[test]
    fn a_ticket_is_taken_over_from_a_client_that_may_be_gone() {
        for (life, adopted) in [(LIVE, false), (UNKNOWN, true), (SILENT, true)] {
            let (mut item, mut sight) = scene(&[Some(500)], &[("mine", life)]);
            item.queue[0].client = "another".into();
            sight.clients.insert("another".into(), life);
            let step = decide(&ask(1), &item, &sight, "client of mine", 0, 0);
            assert_eq!(step == Step::Adopt { place: 0 }, adopted, "{step:?}");
        }
    }

    #[test]
    fn absent_locks_are_created_only_where_that_was_asked_for() {
        let nothing = (Item::default(), Sight::default());
        assert_eq!(step(&ask(2), &nothing), Step::Grant(grant_of(0)));
        assert_eq!(step(&AcquireRequest { max_size: None, ..ask(2) }, &nothing), Step::NotFound);
        assert_eq!(step(&AcquireRequest { only_if_exists: true, ..ask(2) }, &nothing), Step::NotFound);
    }

    #[test]
    fn rivals_spread_over_free_slots_and_a_full_queue_is_told() {
        let slots: Vec<u32> = (0..10).map(|lost| pick(&[3, 4, 5, 6], lost, 0b111)).collect();
        assert_eq!(slots[..3], [3, 4, 6]);
        assert!(slots.iter().all(|slot| (3..=6).contains(slot)));
        let (mut item, sight) = scene(&[Some(500)], &[]);
        let ticket = |number: usize| Ticket { client: "c".into(), version: number.to_string() };
        item.queue = (0..MAX_QUEUE).map(ticket).collect();
        assert_eq!(step(&ask(1), &(item, sight)), Step::Full);
    }
}
