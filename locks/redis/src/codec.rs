//! Replies of the scripts -> what the protocol says. A reply is a list that begins with a code.

use db_locks_core::{
    AcquireRequest, Busy, FencedValue, LockError, LockId, LockRecord, LockResult, Semaphore,
};
use redis::Value;

/// The row that follows.
const ROW: i64 = 1;
/// A new grant: what follows of the row is what the asker does not know.
const GRANT: i64 = 2;
/// Refused; see [`Busy`].
const BUSY: i64 = 0;
/// No such lock, or not at this version.
const ABSENT: i64 = -1;
/// The queue is full.
const FULL: i64 = -2;

/// What [`LockRecord`] calls flags.
const DELETES: i64 = 1;
const NAMED: i64 = 2;

/// The answer to an acquire.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Row(LockRecord),
    Grant(Grant),
    Busy(Busy),
    Absent,
    Full,
}

/// A new grant, as far as the asker does not know it.
#[derive(Debug, PartialEq)]
pub(crate) struct Grant {
    now_us: i64,
    slot: u32,
    fence: u64,
    data: Option<String>,
}

impl Grant {
    /// The row, with what was asked for.
    pub(crate) fn into_record(self, asked: &AcquireRequest) -> LockRecord {
        LockRecord {
            slot: self.slot,
            version: asked.version.clone(),
            fence: self.fence,
            lease_ms: asked.lease_ms,
            expires_at_us: self.now_us + asked.lease_ms * 1_000,
            now_us: self.now_us,
            data: self.data,
            owner: Some(asked.owner.clone()),
            delete_on_release: asked.delete_on_release,
            named_by_version: asked.named_by_version,
        }
    }
}

/// Reads the values of a reply one after the other.
struct Reader(std::vec::IntoIter<Value>);

impl Reader {
    fn new(reply: Value) -> LockResult<Self> {
        match reply {
            Value::Array(values) => Ok(Self(values.into_iter())),
            other => Err(malformed(&other)),
        }
    }

    fn int(&mut self) -> LockResult<i64> {
        int(self.0.next().unwrap_or_default())
    }

    /// Lua's numbers are not negative where this is asked for.
    fn unsigned<T: TryFrom<i64>>(&mut self) -> LockResult<T> {
        let value = self.int()?;
        T::try_from(value).map_err(|_| malformed(&Value::Int(value)))
    }

    /// None at the end of the list, too.
    fn text(&mut self) -> LockResult<Option<String>> {
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(bytes)) => {
                String::from_utf8(bytes).map(Some).map_err(|e| LockError::serialization(MALFORMED, e))
            }
            Some(Value::SimpleString(text)) => Ok(Some(text)),
            Some(other) => Err(malformed(&other)),
        }
    }

    /// A row, after its code.
    fn record(&mut self) -> LockResult<LockRecord> {
        let now_us = self.int()?;
        let slot = self.unsigned()?;
        let version = self.text()?.unwrap_or_default();
        let fence = self.unsigned()?;
        let lease_ms = self.int()?;
        let expires_at_us = self.int()?;
        let flags = self.int()?;
        let owner = self.text()?;
        let data = self.text()?;
        Ok(LockRecord {
            slot,
            version,
            fence,
            lease_ms,
            expires_at_us,
            now_us,
            data,
            owner,
            delete_on_release: flags & DELETES != 0,
            named_by_version: flags & NAMED != 0,
        })
    }

    fn grant(&mut self) -> LockResult<Grant> {
        Ok(Grant { now_us: self.int()?, slot: self.unsigned()?, fence: self.unsigned()?, data: self.text()? })
    }

    fn busy(&mut self) -> LockResult<Busy> {
        let (position, queue_number) = (self.unsigned()?, self.unsigned()?);
        let retry_after_ms = Some(self.int()?).filter(|ms| *ms >= 0);
        let holder = self.text()?.filter(|owner| !owner.is_empty());
        Ok(Busy { position, queue_number, retry_after_ms, holder })
    }
}

const MALFORMED: &str = "Redis holds or answers something that is not a lock of this library";

fn malformed(value: &Value) -> LockError {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    LockError::Serialization {
        message: format!("{MALFORMED}: {kind} where it is not expected"),
        source: None,
    }
}

/// A fencing token in digits.
pub(crate) fn token(reply: Value) -> LockResult<u64> {
    let mut one = Reader(vec![reply].into_iter());
    let digits = one.text()?.unwrap_or_default();
    digits.parse().map_err(|error| LockError::serialization(MALFORMED, error))
}

/// A register's token and value, if it has any.
pub(crate) fn register(reply: Value) -> LockResult<Option<FencedValue>> {
    let mut reader = Reader::new(reply)?;
    let (Some(digits), value) = (reader.text()?, reader.text()?) else { return Ok(None) };
    let token = digits.parse().map_err(|error| LockError::serialization(MALFORMED, error))?;
    Ok(Some(FencedValue { token, value: value.unwrap_or_default() }))
}

/// A reply that is one number.
pub(crate) fn int(reply: Value) -> LockResult<i64> {
    match reply {
        Value::Int(number) => Ok(number),
        other => Err(malformed(&other)),
    }
}

/// A reply that is a list of texts.
pub(crate) fn texts(reply: Value) -> LockResult<Vec<String>> {
    let Value::Array(items) = reply else { return Err(malformed(&reply)) };
    let text = |item| match item {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        other => Err(malformed(&other)),
    };
    items.into_iter().map(text).collect()
}

/// The reply to an acquire, a renewal or a read.
pub(crate) fn answer(reply: Value) -> LockResult<Answer> {
    let mut reader = Reader::new(reply)?;
    match reader.int()? {
        ROW => Ok(Answer::Row(reader.record()?)),
        GRANT => Ok(Answer::Grant(reader.grant()?)),
        BUSY => Ok(Answer::Busy(reader.busy()?)),
        ABSENT => Ok(Answer::Absent),
        FULL => Ok(Answer::Full),
        other => Err(malformed(&Value::Int(other))),
    }
}

/// The reply to a read of a semaphore, or none if it is absent.
pub(crate) fn semaphore(reply: Value, id: &LockId) -> LockResult<Option<Semaphore>> {
    let mut reader = Reader::new(reply)?;
    if reader.int()? == ABSENT {
        return Ok(None);
    }
    Ok(Some(Semaphore {
        semaphore_key: id.key().to_string(),
        tenant_id: id.tenant().to_string(),
        version: reader.text()?.unwrap_or_default(),
        max_size: reader.unsigned()?,
        lease_duration_ms: reader.int()?,
        fair_semaphore: Some(reader.int()? != 0),
        busy_count: Some(reader.unsigned()?),
    }))
}

/// The reply to a read of all slots, or none if the semaphore is absent: the used ones and, in between, those never used.
pub(crate) fn slots(reply: Value) -> LockResult<Option<Vec<LockRecord>>> {
    let mut reader = Reader::new(reply)?;
    if reader.int()? == ABSENT {
        return Ok(None);
    }
    let (now_us, size, lease_ms) = (reader.int()?, reader.unsigned::<u32>()?, reader.int()?);
    let mut all: Vec<_> = (0..size).map(|slot| LockRecord::free(slot, lease_ms, now_us)).collect();
    for row in reader.0 {
        if let Answer::Row(record) = answer(row)?
            && let Some(place) = all.get_mut(record.slot as usize)
        {
            *place = record;
        }
    }
    Ok(Some(all))
}

/// The reply to a resize: none, or the held slot that is in its way.
pub(crate) fn resized(reply: Value) -> LockResult<Option<u32>> {
    let mut reader = Reader::new(reply)?;
    match reader.int()? {
        BUSY => reader.unsigned().map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_row_without_data_ends_early() {
        let now = 1_800_000_000_000_000;
        let mut values = vec![Value::Int(1), Value::Int(now), Value::Int(3), text("v"), Value::Int(now)];
        values.extend([Value::Int(50), Value::Int(now + 50_000), Value::Int(3), text("me")]);
        let Answer::Row(row) = answer(Value::Array(values.clone())).unwrap() else { unreachable!() };
        assert_eq!((row.slot, row.fence, row.lease_ms), (3, now as u64, 50));
        assert!(row.is_held() && row.delete_on_release && row.named_by_version);
        assert_eq!(row.data, None);

        values.push(text(""));
        let Answer::Row(row) = answer(Value::Array(values)).unwrap() else { unreachable!() };
        assert_eq!(row.data.as_deref(), Some(""));
    }

    #[test]
    fn nonsense_is_an_error() {
        let bad = [Value::Nil, Value::Int(1), Value::Array(vec![]), Value::Array(vec![Value::Int(7)])];
        for reply in bad.into_iter().chain([Value::Array(vec![Value::Int(1), text("x")])]) {
            assert!(answer(reply.clone()).is_err(), "{reply:?} was read");
        }
        assert!(int(text("1")).is_err());
    }
}
