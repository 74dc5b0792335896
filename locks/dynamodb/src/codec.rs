//! What an item holds, and how it is read.
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk` | S | [`LockId::encoded`] |
//! | `s<n>` | M | slot `n`: `v` version, `k` renewals of this grant, `l` lease in ms, `h` true while held, `o` owner, `u` end of the lease by the holder's clock (for people only), `n` named by version, `x` delete on release, `i` nonce of its creation |
//! | `f<n>`, `d<n>` | N, S | the token of the slot's last grant; its data |
//! | `fence` | N | the last token of the whole lock |
//! | `mx`, `ver`, `ls`, `fr` | N, S, N, BOOL | semaphores: size, version, default lease in ms, fair |
//! | `q`, `qs` | L, N | the queue as `<client>:<ticket>`, and how many ever entered it |
//! | `c<client>` | N | grows each time the client shows life |
//! | `purge_at`, `mark` | N, S | a deleted lock: when DynamoDB may forget it (s), and which call deleted it |
//!
//! Slots are attributes of their own rather than entries of one map, because `SET` cannot reach into a map that is not
//! there yet: so the first acquire, too, is a single update.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use db_locks_core::{LockError, LockId, LockRecord, LockResult, MutexLock, Semaphore};

/// An item as the service sends it.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// Changes with every grant (the token) and every renewal (the count): as long as it stands still, nobody renewed.
pub(crate) type Revision = (u64, u64);

/// One slot that was granted or created at least once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Slot {
    pub(crate) version: String,
    pub(crate) renewals: u64,
    pub(crate) lease_ms: i64,
    pub(crate) held: bool,
    pub(crate) owner: Option<String>,
    pub(crate) ends_at_us: i64,
    pub(crate) named_by_version: bool,
    pub(crate) delete_on_release: bool,
    pub(crate) nonce: Option<String>,
    pub(crate) fence: u64,
    pub(crate) data: Option<String>,
}

impl Slot {
    pub(crate) fn revision(&self) -> Revision {
        (self.fence, self.renewals)
    }

    /// The slot as users see it, `left` before whoever answers here would take it for dead.
    pub(crate) fn lock(&self, id: &LockId, number: u32, left: Duration, sent: Instant) -> MutexLock {
        // The end of the lease that is shown is the holder's own; what is left of it is never computed from two
        // machines' clocks, so "now" is put where the two agree.
        let left_us = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
        let held = self.held && left_us > 0;
        let record = LockRecord {
            slot: number,
            version: self.version.clone(),
            fence: self.fence,
            lease_ms: self.lease_ms,
            expires_at_us: if held { self.ends_at_us } else { 0 },
            now_us: if held { self.ends_at_us.saturating_sub(left_us) } else { wall_us() },
            data: self.data.clone(),
            owner: self.owner.clone(),
            delete_on_release: self.delete_on_release,
            named_by_version: self.named_by_version,
        };
        record.into_lock(id, sent)
    }

    /// As [`Self::lock`], for whoever was given it just now.
    pub(crate) fn granted(&self, id: &LockId, number: u32, sent: Instant) -> MutexLock {
        let lease = Duration::from_millis(self.lease_ms.unsigned_abs());
        self.lock(id, number, lease, sent)
    }
}

/// A waiter's entry in the queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ticket {
    pub(crate) client: String,
    pub(crate) version: String,
}

impl Ticket {
    pub(crate) fn text(&self) -> String {
        format!("{}:{}", self.client, self.version)
    }
}

/// Everything that is stored of one lock. An absent item reads as an empty one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) slots: BTreeMap<u32, Slot>,
    pub(crate) fence: Option<u64>,
    pub(crate) size: Option<u32>,
    pub(crate) version: String,
    pub(crate) lease_ms: i64,
    pub(crate) fair: Option<bool>,
    pub(crate) queue: Vec<Ticket>,
    pub(crate) entered: Option<u64>,
    pub(crate) stamps: HashMap<String, u64>,
    pub(crate) mark: Option<String>,
}

impl Item {
    /// Whether there is such a lock; false for tombstones.
    pub(crate) fn exists(&self, id: &LockId) -> bool {
        if id.is_semaphore() { self.size.is_some() } else { self.slots.contains_key(&0) }
    }

    /// The slots that count: those below the size.
    pub(crate) fn slots_of(&self, id: &LockId) -> impl Iterator<Item = (u32, &Slot)> {
        let size = if id.is_semaphore() { self.size.unwrap_or(0) } else { 1 };
        self.slots.range(..size).map(|(number, slot)| (*number, slot))
    }

    /// The held slot that carries one of these versions.
    pub(crate) fn held_by(&self, id: &LockId, versions: &[&str]) -> Option<(u32, &Slot)> {
        self.slots_of(id).find(|(_, slot)| slot.held && versions.contains(&slot.version.as_str()))
    }

    /// The semaphore as users see it; `busy` of its slots are held.
    pub(crate) fn semaphore(&self, id: &LockId, busy: u32) -> Semaphore {
        Semaphore {
            semaphore_key: id.key().to_string(),
            tenant_id: id.tenant().to_string(),
            version: self.version.clone(),
            max_size: self.size.unwrap_or(0),
            lease_duration_ms: self.lease_ms,
            busy_count: Some(busy),
            fair_semaphore: self.fair,
        }
    }

    /// Where this ticket stands in the queue, whichever client brought it.
    pub(crate) fn place(&self, version: &str) -> Option<usize> {
        self.queue.iter().position(|ticket| ticket.version == version)
    }

    /// The clients with tickets in the queue, without those at the places `but`.
    pub(crate) fn clients_without(&self, but: &[usize]) -> BTreeSet<&str> {
        let left = self.queue.iter().enumerate().filter(|(place, _)| !but.contains(place));
        left.map(|(_, ticket)| ticket.client.as_str()).collect()
    }
}

/// This machine's clock: for people, for tombstones, and for the first token of a lock. Never for who holds what.
pub(crate) fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Reads an item.
///
/// # Errors
/// `Serialization` when somebody else has written to it.
pub(crate) fn item(attributes: Option<Attributes>) -> LockResult<Item> {
    let mut item = Item::default();
    let mut extras: Vec<(char, u32, AttributeValue)> = Vec::new();
    for (name, value) in attributes.unwrap_or_default() {
        match name.as_str() {
            "fence" => item.fence = Some(number(&name, &value)?),
            "mx" => item.size = Some(number(&name, &value)?),
            "ver" => item.version = text(&name, value)?,
            "ls" => item.lease_ms = number(&name, &value)?,
            "fr" => item.fair = Some(flag(&name, &value)?),
            "q" => item.queue = queue(&name, value)?,
            "qs" => item.entered = Some(number(&name, &value)?),
            "mark" => item.mark = Some(text(&name, value)?),
            _ => match name.split_at_checked(1) {
                Some(("s", digits)) if is_number(digits) => {
                    item.slots.insert(number_of(digits)?, slot(&name, value)?);
                }
                Some(("f", digits)) if is_number(digits) => extras.push(('f', number_of(digits)?, value)),
                Some(("d", digits)) if is_number(digits) => extras.push(('d', number_of(digits)?, value)),
                Some(("c", client)) if client.len() == CLIENT_DIGITS => {
                    item.stamps.insert(client.to_string(), number(&name, &value)?);
                }
                // The key, and whatever people add for themselves.
                _ => {}
            },
        }
    }
    for (kind, number_of_slot, value) in extras {
        let Some(slot) = item.slots.get_mut(&number_of_slot) else { continue };
        match kind {
            'f' => slot.fence = number("f", &value)?,
            _ => slot.data = Some(text("d", value)?),
        }
    }
    Ok(item)
}

/// How many characters name a client.
pub(crate) const CLIENT_DIGITS: usize = 16;

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn number_of(digits: &str) -> LockResult<u32> {
    digits.parse().map_err(|error| LockError::serialization(format!("no slot number: {digits:?}"), error))
}

fn slot(name: &str, value: AttributeValue) -> LockResult<Slot> {
    let AttributeValue::M(fields) = value else { return Err(malformed(name)) };
    let mut slot = Slot::default();
    for (field, value) in fields {
        match field.as_str() {
            "v" => slot.version = text(name, value)?,
            "k" => slot.renewals = number(name, &value)?,
            "l" => slot.lease_ms = number(name, &value)?,
            "h" => slot.held = flag(name, &value)?,
            "o" => slot.owner = Some(text(name, value)?),
            "u" => slot.ends_at_us = number(name, &value)?,
            "n" => slot.named_by_version = flag(name, &value)?,
            "x" => slot.delete_on_release = flag(name, &value)?,
            "i" => slot.nonce = Some(text(name, value)?),
            _ => {}
        }
    }
    Ok(slot)
}

fn queue(name: &str, value: AttributeValue) -> LockResult<Vec<Ticket>> {
    let AttributeValue::L(entries) = value else { return Err(malformed(name)) };
    let ticket = |entry| {
        let entry = text(name, entry)?;
        let (client, version) = entry.split_once(':').ok_or_else(|| malformed(name))?;
        Ok(Ticket { client: client.to_string(), version: version.to_string() })
    };
    entries.into_iter().map(ticket).collect()
}

fn number<T: std::str::FromStr>(name: &str, value: &AttributeValue) -> LockResult<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let AttributeValue::N(digits) = value else { return Err(malformed(name)) };
    digits
        .parse()
        .map_err(|error| LockError::serialization(format!("attribute {name} holds {digits:?}"), error))
}

fn text(name: &str, value: AttributeValue) -> LockResult<String> {
    match value {
        AttributeValue::S(text) => Ok(text),
        _ => Err(malformed(name)),
    }
}

fn flag(name: &str, value: &AttributeValue) -> LockResult<bool> {
    value.as_bool().copied().map_err(|_| malformed(name))
}

fn malformed(name: &str) -> LockError {
    LockError::Serialization {
        message: format!("attribute {name} of a lock's item is not of the form that db-locks writes"),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(digits: &str) -> AttributeValue {
        AttributeValue::N(digits.to_string())
    }

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_string())
    }

    #[test]
    fn reads_what_is_documented() {
        let slot: Attributes = HashMap::from([
            ("v".into(), s("v1")),
            ("k".into(), n("2")),
            ("l".into(), n("100")),
            ("h".into(), AttributeValue::Bool(true)),
            ("o".into(), s("me")),
            ("u".into(), n("5")),
        ]);
        let item = item(Some(HashMap::from([
            ("pk".into(), s("1:t:s:one")),
            ("s3".into(), AttributeValue::M(slot)),
            ("f3".into(), n("77")),
            ("d3".into(), s("data")),
            ("d4".into(), s("of a slot that is no more")),
            ("fence".into(), n("78")),
            ("mx".into(), n("5")),
            ("q".into(), AttributeValue::L(vec![s("0123456789abcdef:a:b")])),
            ("c0123456789abcdef".into(), n("9")),
            ("note".into(), s("added by hand")),
        ])))
        .unwrap();
        let slot = &item.slots[&3];
        assert_eq!((slot.revision(), slot.held, slot.data.as_deref()), ((77, 2), true, Some("data")));
        assert_eq!(item.queue, [Ticket { client: "0123456789abcdef".into(), version: "a:b".into() }]);
        assert_eq!((item.stamps["0123456789abcdef"], item.place("a:b")), (9, Some(0)));
    }

    #[test]
    fn malformed_items_are_told_by_attribute() {
        let error = item(Some(HashMap::from([("fence".into(), s("many"))]))).unwrap_err();
        assert!(error.to_string().contains("fence"), "{error}");
        let error = item(Some(HashMap::from([("mx".into(), n("-1"))]))).unwrap_err();
        assert!(error.chain().contains("invalid digit"), "{}", error.chain());
    }

    #[test]
    fn unreleased_reads_as_held_until_it_was_watched_for_dead() {
        let id = LockId::mutex("t", "one").unwrap();
        let slot = Slot { held: true, lease_ms: 100, ends_at_us: 5_000_000, ..Slot::default() };
        let lock = slot.lock(&id, 0, Duration::from_millis(60), Instant::now());
        assert!(lock.locked && !lock.expired());
        assert_eq!(lock.expires_at.unwrap().as_microsecond(), 5_000_000);
        assert_eq!(lock.remaining.lease, Duration::from_millis(60));
        assert!(!slot.lock(&id, 0, Duration::ZERO, Instant::now()).locked);
    }
}
