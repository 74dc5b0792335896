//! The two [`LockStore`](db_locks_core::LockStore)s: they turn options into protocol requests and names into lock ids.

mod default;
mod fair;

use db_locks_core::manager::Attempt;
use db_locks_core::{
    AcquireLockOptions, AcquireRequest, LockError, LockId, LockResult, LocksConfig, MutexLock,
    ReleaseLockOptions, ReleaseRequest, RenewRequest, SendHeartbeatOptions, lock_id,
};

pub use default::DefaultLockStore;
pub use fair::FairLockStore;

/// What both stores take from the configuration.
#[derive(Debug, Clone)]
struct Settings {
    tenant: String,
    max_semaphore_size: u32,
}

impl Settings {
    fn new(config: &LocksConfig) -> Self {
        Self { tenant: config.tenant_id.clone(), max_semaphore_size: config.max_semaphore_size() }
    }

    fn mutex(&self, key: &str) -> LockResult<LockId> {
        LockId::mutex(&self.tenant, key)
    }

    fn semaphore(&self, key: &str) -> LockResult<LockId> {
        LockId::semaphore(&self.tenant, key)
    }

    /// Checks everything that a caller may ask (I7), so that a database only ever sees sound requests.
    fn acquire_request(
        &self,
        lock: LockId,
        opts: &AcquireLockOptions,
        attempt: &Attempt,
        max_size: Option<u32>,
        named_by_version: bool,
    ) -> LockResult<AcquireRequest> {
        lock_id::validate_lease_ms(opts.lease_duration_ms)?;
        lock_id::validate_version(&attempt.version)?;
        lock_id::validate_data(opts.data.as_deref())?;
        if let Some(size) = max_size {
            lock_id::validate_size(size, self.max_semaphore_size)?;
        }
        Ok(AcquireRequest {
            lock,
            version: attempt.version.clone(),
            owner: attempt.owner.clone(),
            lease_ms: opts.lease_duration_ms,
            max_size: max_size.filter(|_| !opts.acquire_only_if_already_exists),
            named_by_version,
            data: opts.data.clone(),
            replace_data: opts.replace_data,
            delete_on_release: opts.delete_on_release,
            reentrant: opts.reentrant,
            only_if_exists: opts.acquire_only_if_already_exists,
            fair: opts.fair,
            wait: attempt.wait && opts.fair,
        })
    }

    /// The tenant of what a caller wants created: its own, or this manager's when it named none.
    fn own_tenant(&self, tenant_id: &str) -> LockResult<String> {
        if tenant_id.is_empty() || tenant_id == self.tenant {
            return Ok(self.tenant.clone());
        }
        Err(LockError::validation(
            "tenant_id",
            format!("is {tenant_id:?}, but this manager works for tenant {:?}", self.tenant),
        ))
    }
}

fn renew_request(lock: LockId, opts: &SendHeartbeatOptions, new_version: &str) -> LockResult<RenewRequest> {
    check_handle(&opts.mutex_key, &opts.version)?;
    lock_id::validate_lease_ms(opts.lease_duration_ms)?;
    lock_id::validate_data(opts.data.as_deref())?;
    Ok(RenewRequest {
        lock,
        mutex_key: opts.mutex_key.clone(),
        version: opts.version.clone(),
        new_version: new_version.to_string(),
        lease_ms: opts.lease_duration_ms,
        data: opts.data.clone(),
    })
}

fn release_request(lock: LockId, opts: &ReleaseLockOptions) -> LockResult<ReleaseRequest> {
    check_handle(&opts.mutex_key, &opts.version)?;
    lock_id::validate_data(opts.data.as_deref())?;
    Ok(ReleaseRequest {
        lock,
        mutex_key: opts.mutex_key.clone(),
        version: opts.version.clone(),
        delete: opts.delete_lock,
        data: opts.data.clone(),
    })
}

/// A slot's key is its semaphore's plus `_` and a number or a version.
const MAX_HANDLE_BYTES: usize = lock_id::MAX_KEY_BYTES + 1 + lock_id::MAX_VERSION_BYTES;

fn check_handle(mutex_key: &str, version: &str) -> LockResult<()> {
    lock_id::validate_name("key", mutex_key, MAX_HANDLE_BYTES)?;
    lock_id::validate_version(version)
}

/// `one_0000000003` and `one_<uuid>` may be a slot of `one`.
fn semaphore_of_slot(mutex_key: &str) -> Option<&str> {
    let (semaphore, slot) = mutex_key.rsplit_once('_')?;
    let numbered = slot.len() == 10 && slot.bytes().all(|b| b.is_ascii_digit());
    let versioned = slot.len() == 36 && slot.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (!semaphore.is_empty() && (numbered || versioned)).then_some(semaphore)
}

/// The slot that a caller means by this key.
fn find_slot(slots: Vec<MutexLock>, mutex_key: &str) -> Option<MutexLock> {
    slots.into_iter().find(|slot| slot.mutex_key == mutex_key)
}

fn slot_is_no_mutex() -> LockError {
    LockError::validation(
        "semaphore_key",
        "a slot of a semaphore is made and removed by changing the semaphore's size (create_semaphore)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_keys_are_told_from_plain_ones() {
        assert_eq!(semaphore_of_slot("one_0000000003"), Some("one"));
        assert_eq!(semaphore_of_slot("a_b_69816448-7080-40f3-8416-ede1b0d90e80"), Some("a_b"));
        for plain in ["one", "one_3", "_0000000003", "one_00000000033", "nightly_report"] {
            assert_eq!(semaphore_of_slot(plain), None, "{plain}");
        }
    }
}
