//! The conditional updates: every change of an item is one of these, and each says in its condition what it relies on.
//!
//! All names used here are plain (no reserved words), so expressions are written as they are.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use db_locks_core::protocol::TOMBSTONE_TTL_MS;
use db_locks_core::{AcquireRequest, LockId, MutexLock, ReleaseRequest, RenewRequest, Semaphore};

use crate::codec::{Attributes, Item, Revision, Ticket, wall_us};
use crate::observe::Hint;

/// The most waiters of one lock: they all live in its item.
pub(crate) const MAX_QUEUE: usize = 500;
/// Semaphores up to this size are checked slot by slot in the first try; the limit is that of operators in an expression.
const SLOT_BY_SLOT: u32 = 32;
/// How many slots of a semaphore are assumed where nothing is known.
const ASSUMED_SIZE: u32 = 8;
/// Slots dropped from an item in one update: expressions end at 4 KB.
pub(crate) const DROP_AT_ONCE: usize = 100;

/// One `UpdateItem` on one lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    when: Vec<String>,
    pub(crate) values: HashMap<String, AttributeValue>,
    quiet: bool,
}

impl Update {
    fn set(mut self, action: impl Into<String>) -> Self {
        self.set.push(action.into());
        self
    }

    fn remove(mut self, path: impl Into<String>) -> Self {
        self.remove.push(path.into());
        self
    }

    fn when(mut self, condition: impl Into<String>) -> Self {
        self.when.push(condition.into());
        self
    }

    fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_string(), value);
        self
    }

    /// Nobody wants to know the item as it is afterwards.
    fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// `SET … REMOVE …`
    pub(crate) fn action(&self) -> String {
        let mut text = String::new();
        for (word, parts) in [("SET ", &self.set), ("REMOVE ", &self.remove)] {
            if !parts.is_empty() {
                let space = if text.is_empty() { "" } else { " " };
                text.push_str(&format!("{space}{word}{}", parts.join(", ")));
            }
        }
        text
    }

    /// All conditions at once.
    pub(crate) fn condition(&self) -> String {
        self.when.join(" AND ")
    }

    pub(crate) fn returns(&self) -> ReturnValue {
        if self.quiet { ReturnValue::None } else { ReturnValue::AllNew }
    }

    /// An attribute is still what was seen, or still absent.
    fn unchanged(self, attribute: &str, seen: Option<u64>) -> Self {
        match seen {
            Some(seen) => {
                let name = format!(":seen_{attribute}");
                self.when(format!("{attribute} = {name}")).value(&name, n(seen))
            }
            None => self.when(format!("attribute_not_exists({attribute})")),
        }
    }

    /// The slot is still held at this revision.
    fn at_revision(self, slot: u32, revision: Revision) -> Self {
        let (fence, renewals) = (format!(":rf{slot}"), format!(":rk{slot}"));
        self.when(format!("attribute_exists(s{slot}.h) AND f{slot} = {fence} AND s{slot}.k = {renewals}"))
            .value(&fence, n(revision.0))
            .value(&renewals, n(revision.1))
    }

    fn not_a_tombstone(self) -> Self {
        self.remove("purge_at").remove("mark")
    }
}

pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn ends_at_us(lease_ms: i64) -> AttributeValue {
    n(wall_us().saturating_add(lease_ms.saturating_mul(1_000)))
}

/// The grant itself; who uses it adds the condition under which it is one (R2, R7, R8).
fn grant(request: &AcquireRequest, slot: u32) -> Update {
    let mut fields = HashMap::from([
        ("v".to_string(), s(&request.version)),
        ("k".to_string(), n(0)),
        ("l".to_string(), n(request.lease_ms)),
        ("h".to_string(), AttributeValue::Bool(true)),
        ("o".to_string(), s(&request.owner)),
        ("u".to_string(), ends_at_us(request.lease_ms)),
    ]);
    for (field, on) in [("n", request.named_by_version), ("x", request.delete_on_release)] {
        if on {
            fields.insert(field.to_string(), AttributeValue::Bool(true));
        }
    }
    let next_fence = "if_not_exists(fence, :now) + :one";
    let mut update = Update::default()
        .set(format!("s{slot} = :slot, f{slot} = {next_fence}, fence = {next_fence}"))
        .not_a_tombstone()
        .value(":slot", AttributeValue::M(fields))
        .value(":now", n(wall_us().max(0)))
        .value(":one", n(1));
    if let Some(data) = &request.data {
        let only_fill = format!("d{slot} = if_not_exists(d{slot}, :data)");
        let replace = format!("d{slot} = :data");
        update = update.set(if request.replace_data { replace } else { only_fill }).value(":data", s(data));
    }
    match request.max_size.filter(|_| request.lock.is_semaphore() && !request.only_if_exists) {
        Some(size) => create_semaphore_if_absent(update, request, size),
        None => update,
    }
}

fn create_semaphore_if_absent(update: Update, request: &AcquireRequest, size: u32) -> Update {
    update
        .set("mx = if_not_exists(mx, :size), ver = if_not_exists(ver, :ver), ls = if_not_exists(ls, :lease)")
        .set("fr = if_not_exists(fr, :fair)")
        .value(":size", n(size))
        .value(":ver", s(db_locks_core::models::new_version()))
        .value(":lease", n(request.lease_ms))
        .value(":fair", AttributeValue::Bool(request.named_by_version))
}

/// The lock must exist already.
fn must_exist(update: Update, request: &AcquireRequest) -> Update {
    match (request.lock.is_semaphore(), request.only_if_exists, request.max_size) {
        (true, true, _) | (true, _, None) => update.when("attribute_exists(mx)"),
        (false, true, _) => update.when("attribute_exists(s0)"),
        _ => update,
    }
}

/// The first try, made without having read anything: right when the slot is free, nobody waits, and (R2, R7) neither
/// a lower slot is free nor any of them this version's.
pub(crate) fn first_try(request: &AcquireRequest, hint: &Hint) -> Update {
    let slot = hint.slot;
    // Not even this slot may have been this version's before: so a request that arrives twice, the second time after
    // the release, does not take it for nobody.
    let mut update = must_exist(grant(request, slot), request)
        .when(format!("attribute_not_exists(s{slot}.h) AND NOT (s{slot}.v = :v)"))
        .value(":v", s(&request.version));
    if request.fair {
        update = update.when("(attribute_not_exists(q) OR size(q) = :none)").value(":none", n(0));
    }
    if !request.lock.is_semaphore() {
        return update;
    }
    if slot > 0 {
        update = update.when("mx > :number").value(":number", n(slot));
    }
    let size = hint.size.or(request.max_size).unwrap_or(ASSUMED_SIZE);
    if size > SLOT_BY_SLOT {
        // No grant since this process looked, so the hint is still all that there is to know.
        return update.unchanged("fence", hint.fence);
    }
    update = update.when("(attribute_not_exists(mx) OR mx <= :known)").value(":known", n(size));
    for other in (0..size).filter(|other| *other != slot) {
        update = update.when(format!("NOT (s{other}.v = :v)"));
        if other < slot {
            update = update.when(format!("attribute_exists(s{other}.h)"));
        }
    }
    update
}

/// A grant that was decided on an item that was seen, and its place in the queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) slot: u32,
    /// The slot is taken from a dead holder, last seen at this revision.
    pub(crate) takeover: Option<Revision>,
    /// The asker's place in the queue.
    pub(crate) place: Option<usize>,
    /// Places of the dead that leave the queue with this grant.
    pub(crate) dropped: Vec<usize>,
    /// The silent clients that are passed.
    pub(crate) passed: Vec<String>,
}

/// A grant on the strength of what was seen: no other grant since (`fence`), no newcomer since, the silent still silent.
pub(crate) fn planned_grant(request: &AcquireRequest, item: &Item, plan: &Plan) -> Update {
    let slot = plan.slot;
    let mut update = must_exist(grant(request, slot), request).unchanged("fence", item.fence);
    update = match plan.takeover {
        Some(revision) => update.at_revision(slot, revision),
        None => update.when(format!("attribute_not_exists(s{slot}.h)")),
    };
    if request.lock.is_semaphore() {
        update = update.unchanged("mx", item.size.map(u64::from));
    }
    if request.fair && plan.place.is_none() {
        update = update.unchanged("qs", item.entered);
    }
    for client in &plan.passed {
        update = update.unchanged(&format!("c{client}"), item.stamps.get(client).copied());
    }
    let mut leaving = plan.dropped.clone();
    leaving.extend(plan.place);
    remove_tickets(update, item, &leaving)
}

/// Takes the tickets at these places out of the queue, and the stamps of clients that have no other.
fn remove_tickets(mut update: Update, item: &Item, places: &[usize]) -> Update {
    let mut places = places.to_vec();
    // From the end, so that it does not matter whether an engine counts places before or after each removal.
    places.sort_unstable_by(|a, b| b.cmp(a));
    let staying = item.clients_without(&places);
    let mut gone = std::collections::BTreeSet::new();
    for place in &places {
        let Some(ticket) = item.queue.get(*place) else { continue };
        let name = format!(":q{place}");
        update = update
            .remove(format!("q[{place}]"))
            .when(format!("q[{place}] = {name}"))
            .value(&name, s(ticket.text()));
        if !staying.contains(ticket.client.as_str()) {
            gone.insert(ticket.client.as_str());
        }
    }
    gone.into_iter().fold(update, |update, client| update.remove(format!("c{client}")))
}

/// A retried or reentrant acquire: the lease of the version that holds the slot begins anew (R2, R3).
pub(crate) fn extend(request: &AcquireRequest, slot: u32, version: &str) -> Update {
    Update::default()
        .set(format!("s{slot}.k = s{slot}.k + :one, s{slot}.l = :lease, s{slot}.u = :ends"))
        .when(format!("s{slot}.v = :v AND attribute_exists(s{slot}.h)"))
        .value(":one", n(1))
        .value(":lease", n(request.lease_ms))
        .value(":ends", ends_at_us(request.lease_ms))
        .value(":v", s(version))
}

/// Enters the queue, once (R5).
pub(crate) fn enqueue(lock: &LockId, ticket: &Ticket, stamp: u64) -> Update {
    let exists = if lock.is_semaphore() { "attribute_exists(mx)" } else { "attribute_exists(s0)" };
    Update::default()
        .set("q = list_append(if_not_exists(q, :empty), :entry), qs = if_not_exists(qs, :none) + :one")
        .set(format!("c{} = :stamp", ticket.client))
        .when(exists)
        .when("NOT contains(q, :ticket) AND (attribute_not_exists(q) OR size(q) < :most)")
        .value(":empty", AttributeValue::L(Vec::new()))
        .value(":entry", AttributeValue::L(vec![s(ticket.text())]))
        .value(":ticket", s(ticket.text()))
        .value(":none", n(0))
        .value(":one", n(1))
        .value(":most", n(MAX_QUEUE))
        .value(":stamp", n(stamp))
}

/// Takes over the place of the same ticket, which another client brought.
pub(crate) fn adopt(item: &Item, place: usize, ticket: &Ticket, stamp: u64) -> Update {
    let old = item.queue.get(place).map(Ticket::text).unwrap_or_default();
    Update::default()
        .set(format!("q[{place}] = :ticket, c{} = :stamp", ticket.client))
        .when(format!("q[{place}] = :old"))
        .value(":ticket", s(ticket.text()))
        .value(":old", s(old))
        .value(":stamp", n(stamp))
}

/// Takes tickets out of the queue.
pub(crate) fn leave_queue(item: &Item, places: &[usize]) -> Update {
    remove_tickets(Update::default(), item, places)
}

/// Shows life, if there is a queue at all; of one ticket, if it is given.
pub(crate) fn show_life(client: &str, ticket: Option<&Ticket>, stamp: u64) -> Update {
    let update = Update::default().set(format!("c{client} = :stamp")).value(":stamp", n(stamp));
    match ticket {
        Some(ticket) => update.when("contains(q, :ticket)").value(":ticket", s(ticket.text())),
        None => update.when("size(q) > :none").value(":none", n(0)),
    }
}

/// A renewal of the slot at `version` (R9), unless it stands where it was last seen for longer than its lease.
pub(crate) fn renew(request: &RenewRequest, version: &str, slot: u32, over: Option<Revision>) -> Update {
    let mut update = Update::default()
        .set(format!("s{slot}.v = :new, s{slot}.k = s{slot}.k + :one, s{slot}.l = :lease, s{slot}.u = :ends"))
        .when(format!("s{slot}.v = :v AND attribute_exists(s{slot}.h)"))
        .value(":new", s(&request.new_version))
        .value(":one", n(1))
        .value(":lease", n(request.lease_ms))
        .value(":ends", ends_at_us(request.lease_ms))
        .value(":v", s(version));
    if slot > 0 {
        update = update.when("mx > :number").value(":number", n(slot));
    }
    if let Some((fence, renewals)) = over {
        update = update
            .when(format!("NOT (f{slot} = :fence AND s{slot}.k = :renewals)"))
            .value(":fence", n(fence))
            .value(":renewals", n(renewals));
    }
    match &request.data {
        Some(data) => update.set(format!("d{slot} = :data")).value(":data", s(data)),
        None => update,
    }
}

/// As [`renew`] of what is not seen to be over, as a statement of a batch and its parameters.
pub(crate) fn renew_in_batch(
    table: &str,
    request: &RenewRequest,
    slot: u32,
) -> (String, Vec<AttributeValue>) {
    let mut text = format!(
        "UPDATE \"{table}\" SET s{slot}.v = ? SET s{slot}.k = s{slot}.k + ? SET s{slot}.l = ? SET s{slot}.u = ?"
    );
    let mut values = vec![s(&request.new_version), n(1), n(request.lease_ms), ends_at_us(request.lease_ms)];
    if let Some(data) = &request.data {
        text.push_str(&format!(" SET d{slot} = ?"));
        values.push(s(data));
    }
    text.push_str(&format!(" WHERE pk = ? AND s{slot}.v = ? AND s{slot}.h = ?"));
    values.extend([s(request.lock.encoded()), s(&request.version), AttributeValue::Bool(true)]);
    if slot > 0 {
        text.push_str(" AND mx > ?");
        values.push(n(slot));
    }
    text.push_str(" RETURNING ALL NEW *");
    (text, values)
}

/// A release of the slot at the request's version (R10, R11); `mark` names this call in the tombstone.
pub(crate) fn release(request: &ReleaseRequest, slot: u32, delete: bool, mark: &str) -> Update {
    let update = Update::default()
        .when(format!("s{slot}.v = :v AND attribute_exists(s{slot}.h)"))
        .value(":v", s(&request.version))
        .quiet();
    if delete && !request.lock.is_semaphore() {
        return bury_mutex(update, mark);
    }
    let update = update.remove(format!("s{slot}.h, s{slot}.o, s{slot}.u"));
    if delete {
        return update.remove(format!("s{slot}.x, d{slot}"));
    }
    let update = update.when(format!("attribute_not_exists(s{slot}.x)"));
    match &request.data {
        Some(data) => update.set(format!("d{slot} = :data")).value(":data", s(data)),
        None => update,
    }
}

fn purge_at_s() -> AttributeValue {
    n((wall_us() / 1_000 + TOMBSTONE_TTL_MS) / 1_000)
}

/// Leaves of a mutex its fence, and its queue if there is one.
fn bury_mutex(update: Update, mark: &str) -> Update {
    update
        .set("purge_at = :purge_at, mark = :mark")
        .remove("s0, f0, d0")
        .value(":purge_at", purge_at_s())
        .value(":mark", s(mark))
}

/// Creates a free mutex where there is none.
pub(crate) fn create_mutex(mutex: &MutexLock, nonce: &str) -> Update {
    let mut fields = HashMap::from([
        ("v".to_string(), s(&mutex.version)),
        ("k".to_string(), n(0)),
        ("l".to_string(), n(mutex.lease_duration_ms)),
        ("i".to_string(), s(nonce)),
    ]);
    if mutex.delete_on_release {
        fields.insert("x".to_string(), AttributeValue::Bool(true));
    }
    let update = Update::default()
        .set("s0 = :slot")
        .not_a_tombstone()
        .when("attribute_not_exists(s0)")
        .value(":slot", AttributeValue::M(fields));
    match &mutex.data {
        Some(data) => update.set("d0 = :data").value(":data", s(data)),
        None => update.remove("d0"),
    }
}

/// Deletes a mutex that is free, or held by a holder who is dead at this revision.
pub(crate) fn delete_mutex(version: &str, dead: Option<Revision>, mark: &str) -> Update {
    let update = Update::default().when("s0.v = :v").value(":v", s(version)).quiet();
    let update = match dead {
        Some(revision) => update.at_revision(0, revision),
        None => update.when("attribute_not_exists(s0.h)"),
    };
    bury_mutex(update, mark)
}

fn semaphore_fields(semaphore: &Semaphore) -> Update {
    let update = Update::default()
        .set("mx = :size, ver = :ver, ls = :lease")
        .value(":size", n(semaphore.max_size))
        .value(":ver", s(&semaphore.version))
        .value(":lease", n(semaphore.lease_duration_ms));
    match semaphore.fair_semaphore {
        Some(fair) => update.set("fr = :fair").value(":fair", AttributeValue::Bool(fair)),
        None => update,
    }
}

/// Creates a semaphore, or lets it grow.
pub(crate) fn create_or_grow(semaphore: &Semaphore) -> Update {
    semaphore_fields(semaphore).not_a_tombstone().when("(attribute_not_exists(mx) OR mx <= :size)")
}

/// Shrinks a semaphore whose upper slots were seen free, or held by holders dead at these revisions.
pub(crate) fn shrink(semaphore: &Semaphore, item: &Item, dead: &[(u32, Revision)], drop: &[u32]) -> Update {
    let update =
        semaphore_fields(semaphore).unchanged("fence", item.fence).unchanged("mx", item.size.map(u64::from));
    let update = dead.iter().fold(update, |update, (slot, revision)| update.at_revision(*slot, *revision));
    drop_slots(update, drop)
}

/// Forgets slots above the size of a semaphore, as long as it has that size.
pub(crate) fn forget_slots(semaphore: &Semaphore, drop: &[u32]) -> Update {
    let update = Update::default()
        .when("mx = :size AND ver = :ver")
        .value(":size", n(semaphore.max_size))
        .value(":ver", s(&semaphore.version))
        .quiet();
    drop_slots(update, drop)
}

fn drop_slots(update: Update, drop: &[u32]) -> Update {
    drop.iter().fold(update, |update, slot| update.remove(format!("s{slot}, f{slot}, d{slot}")))
}

/// What replaces a deleted semaphore, and the condition under which it may: nothing granted, renewed or queued since.
pub(crate) struct Burial {
    pub(crate) tombstone: Attributes,
    pub(crate) guard: Update,
}

/// A tombstone for a semaphore that was seen free, or held by holders dead at these revisions.
pub(crate) fn bury_semaphore(
    lock: &LockId,
    item: &Item,
    version: &str,
    dead: &[(u32, Revision)],
    mark: &str,
) -> Burial {
    let guard = Update::default()
        .when("attribute_exists(mx) AND ver = :ver")
        .value(":ver", s(version))
        .unchanged("fence", item.fence)
        .unchanged("qs", item.entered);
    let guard = match item.queue.len() {
        0 => guard.when("(attribute_not_exists(q) OR size(q) = :waiting)"),
        _ => guard.when("size(q) = :waiting"),
    };
    let guard = guard.value(":waiting", n(item.queue.len()));
    let guard = dead.iter().fold(guard, |guard, (slot, revision)| guard.at_revision(*slot, *revision));
    let mut tombstone = HashMap::from([
        ("pk".to_string(), s(lock.encoded())),
        ("purge_at".to_string(), purge_at_s()),
        ("mark".to_string(), s(mark)),
    ]);
    tombstone.extend(item.fence.map(|fence| ("fence".to_string(), n(fence))));
    tombstone.extend(item.entered.map(|entered| ("qs".to_string(), n(entered))));
    if !item.queue.is_empty() {
        let entries = item.queue.iter().map(|ticket| s(ticket.text())).collect();
        tombstone.insert("q".to_string(), AttributeValue::L(entries));
        tombstone.extend(item.stamps.iter().map(|(client, stamp)| (format!("c{client}"), n(stamp))));
    }
    Burial { tombstone, guard }
}

#[cfg(test)]
mod tests {
    use super::*;
    use db_locks_core::LockId;

    fn request(lock: LockId) -> AcquireRequest {
        AcquireRequest {
            version: "v".into(),
            owner: "o".into(),
            lease_ms: 1,
            max_size: Some(SLOT_BY_SLOT),
            ..AcquireRequest::new(lock)
        }
    }

    /// The service allows 300 operators and functions, and 4 KB.
    #[test]
    fn the_largest_expressions_stay_within_the_services_limits() {
        let request = request(LockId::semaphore("t", "one").unwrap());
        let hint = Hint { slot: SLOT_BY_SLOT - 1, size: Some(SLOT_BY_SLOT), ..Hint::default() };
        let condition = first_try(&request, &hint).condition();
        let operators = condition.matches([' ', '(']).count();
        assert!(condition.len() < 4_096 && operators < 400, "{} {operators}", condition.len());
        let words = [" AND ", "NOT ", " = ", " OR ", "attribute_", " <= ", " > ", "size("];
        let counted: usize = words.iter().map(|word| condition.matches(word).count()).sum();
        assert!(counted < 300, "{counted} operators in {condition}");

        let drop: Vec<u32> = (99_900..99_900 + DROP_AT_ONCE as u32).collect();
        let semaphore = db_locks_core::SemaphoreBuilder::new("one", 1).build();
        assert!(forget_slots(&semaphore, &drop).action().len() < 4_096);
    }

    #[test]
    fn tickets_leave_from_the_end_and_take_lonely_stamps_along() {
        let ticket = |client: &str, version: &str| Ticket { client: client.into(), version: version.into() };
        let item =
            Item { queue: vec![ticket("a", "1"), ticket("b", "2"), ticket("a", "3")], ..Item::default() };
        let update = leave_queue(&item, &[0, 1]);
        assert_eq!(update.action(), "REMOVE q[1], q[0], cb");
        assert_eq!(update.condition(), "q[1] = :q1 AND q[0] = :q0");
    }
}
