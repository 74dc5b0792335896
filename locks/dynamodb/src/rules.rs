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
