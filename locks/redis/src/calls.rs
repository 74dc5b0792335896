//! What a request is in a script's keys and arguments, and what its reply means: the same for one and for many at once.

use std::time::Instant;

use db_locks_core::{
    AcquireRequest, Acquired, LockError, LockId, LockResult, MutexLock, ReleaseRequest, RenewRequest,
};
use redis::Value;

use crate::codec::{self, Answer};
use crate::wire::Wire;

/// The keys and arguments of one call of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) keys: Vec<String>,
    pub(crate) args: Vec<String>,
}

impl Call {
    fn new(keys: &[&str], args: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        Self { keys: owned(keys), args: owned(args) }
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    pub(crate) fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

pub(crate) fn acquire(wire: &Wire, request: &AcquireRequest) -> Call {
    let keys = wire.keys(&request.lock);
    let (lease_ms, flags) = (request.lease_ms.to_string(), acquire_flags(request));
    let data = request.data.as_deref().unwrap_or_default();
    let common = [&request.version, &request.owner, lease_ms.as_str(), &flags, wire.client(), data];
    if !request.lock.is_semaphore() {
        return Call::new(&keys.mutex(), &common);
    }
    let size = request.max_size.map(|size| size.to_string()).unwrap_or_default();
    Call::new(&keys.semaphore(), &[&common[..], &[&size]].concat())
}

/// The answer to an acquire that was sent at `sent`.
pub(crate) fn acquired(request: &AcquireRequest, reply: Value, sent: Instant) -> LockResult<Acquired> {
    let lock = &request.lock;
    match codec::answer(reply)? {
        Answer::Row(row) => Ok(Acquired::Granted(row.into_lock(lock, sent))),
        Answer::Grant(grant) => Ok(Acquired::Granted(grant.into_record(request).into_lock(lock, sent))),
        Answer::Busy(busy) => Ok(Acquired::Busy(busy)),
        Answer::Absent => Err(no_such(lock)),
        Answer::Full => Err(LockError::in_use(format!("too many wait for the {lock}"))),
    }
}

/// As `scripts/acquire_mutex.lua` and `scripts/acquire_semaphore.lua` read them.
fn acquire_flags(request: &AcquireRequest) -> String {
    let all = [
        (request.fair, 'f'),
        (request.wait, 'w'),
        (request.reentrant, 'r'),
        (request.only_if_exists, 'o'),
        (request.delete_on_release, 'd'),
        (request.data.is_some(), 'p'),
        (request.replace_data, 's'),
        (request.named_by_version, 'n'),
    ];
    all.into_iter().filter_map(|(set, flag)| set.then_some(flag)).collect()
}

/// A renewal of what a handle names; see [`is_handle_of`].
pub(crate) fn renew(wire: &Wire, request: &RenewRequest) -> Call {
    let (id, keys) = (&request.lock, wire.keys(&request.lock));
    let slot = named_slot(id, &request.mutex_key, &request.version).unwrap_or_default();
    let (lease_ms, data) = (request.lease_ms.to_string(), request.data.as_deref());
    let flags = if data.is_some() { "p" } else { "" };
    let args =
        [&request.version, &request.new_version, lease_ms.as_str(), flags, data.unwrap_or_default(), &slot];
    if id.is_semaphore() { Call::new(&keys.slots(), &args) } else { Call::new(&keys.row(), &args) }
}

/// The answer to a renewal that was sent at `sent`.
pub(crate) fn renewed(request: &RenewRequest, reply: Value, sent: Instant) -> LockResult<MutexLock> {
    match codec::answer(reply)? {
        Answer::Row(row) => Ok(row.into_lock(&request.lock, sent)),
        _ => Err(stale(&request.lock)),
    }
}

/// A release of what a handle names; see [`is_handle_of`].
pub(crate) fn release(wire: &Wire, request: &ReleaseRequest) -> Call {
    let (id, keys) = (&request.lock, wire.keys(&request.lock));
    let slot = named_slot(id, &request.mutex_key, &request.version).unwrap_or_default();
    let mut flags = String::new();
    flags.extend(request.delete.then_some('d'));
    flags.extend(request.data.is_some().then_some('p'));
    let args = [&request.version, flags.as_str(), request.data.as_deref().unwrap_or_default(), &slot];
    if id.is_semaphore() { Call::new(&keys.semaphore(), &args) } else { Call::new(&keys.mutex(), &args) }
}

/// The answer to a release.
pub(crate) fn released(request: &ReleaseRequest, reply: Value) -> LockResult<bool> {
    match codec::int(reply)? {
        1 => Ok(true),
        0 => Ok(false),
        _ => Err(no_such(&request.lock)),
    }
}

/// Whether a handle can mean a slot of this lock at all. If not, nothing need be sent.
pub(crate) fn is_handle_of(id: &LockId, mutex_key: &str, version: &str) -> LockResult<()> {
    named_slot(id, mutex_key, version).map(drop).ok_or_else(|| stale(id))
}

/// The slot that a handle's key names: empty for any slot. None for a key that names no slot of this lock at this version.
fn named_slot(id: &LockId, mutex_key: &str, version: &str) -> Option<String> {
    let rest = mutex_key.strip_prefix(id.key())?;
    if rest.is_empty() || rest.strip_prefix('_') == Some(version) {
        return Some(String::new());
    }
    let slot = db_locks_core::lock_id::slot_number(mutex_key, id.key())?;
    id.is_semaphore().then(|| slot.to_string())
}

pub(crate) fn no_such(id: &LockId) -> LockError {
    LockError::not_found(format!("there is no {id}"))
}

pub(crate) fn stale(id: &LockId) -> LockError {
    LockError::not_found(format!("the version is not, or no longer, the holder's of the {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_name_slots() {
        let semaphore = LockId::semaphore("t", "one").unwrap();
        let mutex = LockId::mutex("t", "one").unwrap();
        let slot = |id, key| named_slot(id, key, "v1");
        assert_eq!(slot(&semaphore, "one").as_deref(), Some(""));
        assert_eq!(slot(&semaphore, "one_v1").as_deref(), Some(""));
        assert_eq!(slot(&semaphore, "one_0000000012").as_deref(), Some("12"));
        assert_eq!(slot(&semaphore, "one_v2"), None);
        assert_eq!(slot(&semaphore, "other"), None);
        assert_eq!(slot(&mutex, "one").as_deref(), Some(""));
        assert_eq!(slot(&mutex, "one_0000000012"), None);
    }
}
