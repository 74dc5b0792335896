//! Which row a handle names: a mutex by its key, a slot by its number or by its version.

use db_locks_core::LockId;
use db_locks_core::lock_id::slot_number;
use db_locks_core::protocol::key_means_slot;
use mysql_async::Value;

/// Whether a handle can mean a slot of this lock at all.
pub(crate) fn is_handle_of(lock: &LockId, mutex_key: &str, version: &str) -> bool {
    let slot = slot_number(mutex_key, lock.key()).unwrap_or(0);
    key_means_slot(lock, mutex_key, slot, version)
}

/// Semaphore key and mutex key of the row that a handle names; none when it is named by its version, and has to be looked for, or when it
/// can mean none at all.
pub(crate) fn row_of<'a>(lock: &'a LockId, mutex_key: &'a str, version: &str) -> Option<[&'a str; 2]> {
    if !is_handle_of(lock, mutex_key, version) {
        return None;
    }
    if !lock.is_semaphore() {
        return Some(["", lock.key()]);
    }
    let by_version = mutex_key == lock.key()
        || slot_number(mutex_key, lock.key()).is_none()
        || mutex_key.strip_prefix(lock.key()).and_then(|rest| rest.strip_prefix('_')) == Some(version);
    (!by_version).then(|| [lock.key(), mutex_key])
}

/// The same for a batch, in which there are only handles that name their rows; another one finds none.
pub(crate) fn named_row<'a>(lock: &'a LockId, mutex_key: &'a str, version: &str) -> [&'a str; 2] {
    row_of(lock, mutex_key, version).unwrap_or_default()
}

/// The mutex key for a procedure: NULL when the row has to be looked for by its version; a name that no row has when the handle can mean none.
pub(crate) fn mutex_key_param(lock: &LockId, mutex_key: &str, version: &str) -> Value {
    match row_of(lock, mutex_key, version) {
        Some([_, mutex_key]) => mutex_key.into(),
        None if is_handle_of(lock, mutex_key, version) => Value::NULL,
        None => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_one_row_or_has_it_looked_for() {
        let (mutex, semaphore) = (LockId::mutex("t", "one").unwrap(), LockId::semaphore("t", "one").unwrap());
        assert_eq!(row_of(&mutex, "one", "v"), Some(["", "one"]));
        assert_eq!(row_of(&semaphore, "one_0000000003", "v"), Some(["one", "one_0000000003"]));
        for by_version in ["one", "one_v"] {
            assert_eq!(row_of(&semaphore, by_version, "v"), None);
            assert_eq!(mutex_key_param(&semaphore, by_version, "v"), Value::NULL);
        }
        // A version may look like a number of a slot.
        assert_eq!(row_of(&semaphore, "one_0000000003", "0000000003"), None);
        for foreign in
            [mutex_key_param(&mutex, "two", "v"), mutex_key_param(&semaphore, "two_0000000003", "v")]
        {
            assert_eq!(foreign, Value::from(""));
        }
    }
}
