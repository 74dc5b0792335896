//! The name of a lock, validated once, before any database is touched.

use crate::error::{LockError, LockResult};

/// The longest key of a mutex or semaphore, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 255;
/// The longest tenant name, in bytes of UTF-8.
pub const MAX_TENANT_BYTES: usize = 128;
/// The longest version, in bytes.
pub const MAX_VERSION_BYTES: usize = 128;
/// The largest data kept with a lock, in bytes of UTF-8.
pub const MAX_DATA_BYTES: usize = 65_536;
/// The longest lease: 366 days, in milliseconds.
pub const MAX_LEASE_MS: i64 = 366 * 24 * 3_600 * 1_000;
/// The largest semaphore that any configuration can allow.
pub const MAX_SEMAPHORE_SIZE: u32 = 100_000;

/// Mutexes and semaphores have separate name spaces: the mutex `one` and the semaphore `one` are two locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// At most one holder.
    Mutex,
    /// At most `max_size` holders.
    Semaphore,
}

/// Which lock: tenant, kind and key. Holding one means that the three are valid.
///
/// ```
/// use db_locks_core::LockId;
/// let id = LockId::mutex("tenant", "nightly-report")?;
/// assert_eq!(id.key(), "nightly-report");
/// assert!(LockId::mutex("tenant", "").is_err());
/// # Ok::<(), db_locks_core::LockError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockId {
    tenant: String,
    kind: LockKind,
    key: String,
}

impl LockId {
    /// The mutex `key` of `tenant`.
    ///
    /// # Errors
    /// [`LockError::Validation`] for an empty, over-long or control-character name.
    pub fn mutex(tenant: &str, key: &str) -> LockResult<Self> {
        Self::new(tenant, LockKind::Mutex, key)
    }

    /// The semaphore `key` of `tenant`.
    ///
    /// # Errors
    /// [`LockError::Validation`] for an empty, over-long or control-character name.
    pub fn semaphore(tenant: &str, key: &str) -> LockResult<Self> {
        Self::new(tenant, LockKind::Semaphore, key)
    }

    /// A lock of either kind.
    ///
    /// # Errors
    /// [`LockError::Validation`] for an empty, over-long or control-character name.
    pub fn new(tenant: &str, kind: LockKind, key: &str) -> LockResult<Self> {
        validate_name("tenant_id", tenant, MAX_TENANT_BYTES)?;
        validate_name("key", key, MAX_KEY_BYTES)?;
        Ok(Self { tenant: tenant.to_string(), kind, key: key.to_string() })
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Mutex or semaphore.
    pub fn kind(&self) -> LockKind {
        self.kind
    }

    /// The key of the mutex or of the semaphore (never of one slot).
    pub fn key(&self) -> &str {
        &self.key
    }

    /// True for a semaphore.
    pub fn is_semaphore(&self) -> bool {
        self.kind == LockKind::Semaphore
    }

    /// The key that a lock on slot number `slot` shows: the mutex's own key, or `one_0000000003`.
    pub fn slot_key(&self, slot: u32) -> String {
        match self.kind {
            LockKind::Mutex => self.key.clone(),
            LockKind::Semaphore => slot_key(&self.key, slot),
        }
    }

    /// The semaphore's key, or none for a mutex: the `semaphore_key` of the locks under this name.
    pub fn semaphore_key(&self) -> Option<&str> {
        self.is_semaphore().then_some(self.key.as_str())
    }

    /// One string for tenant, kind and key that no other combination shares, for stores without columns:
    /// the tenant's length comes first, so that tenant `a` + key `b_c` never meets tenant `a_b` + key `c`.
    ///
    /// ```
    /// use db_locks_core::LockId;
    /// let a = LockId::mutex("b_c", "key_a")?;
    /// let b = LockId::mutex("c", "key_a_b")?;
    /// assert_eq!(a.encoded(), "3:b_c:m:key_a");
    /// assert_ne!(a.encoded(), b.encoded());
    /// # Ok::<(), db_locks_core::LockError>(())
    /// ```
    pub fn encoded(&self) -> String {
        let kind = match self.kind {
            LockKind::Mutex => 'm',
            LockKind::Semaphore => 's',
        };
        format!("{}:{}:{kind}:{}", self.tenant.len(), self.tenant, self.key)
    }
}

impl std::fmt::Display for LockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            LockKind::Mutex => "mutex",
            LockKind::Semaphore => "semaphore",
        };
        write!(f, "{kind} {:?} of tenant {:?}", self.key, self.tenant)
    }
}

/// `one` and 3 make `one_0000000003`.
pub fn slot_key(semaphore_key: &str, slot: u32) -> String {
    format!("{semaphore_key}_{slot:010}")
}

/// `one_0000000003` and `one` make 3; none for anything else.
pub fn slot_number(mutex_key: &str, semaphore_key: &str) -> Option<u32> {
    let digits = mutex_key.strip_prefix(semaphore_key)?.strip_prefix('_')?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Checks a key or tenant: 1 to `max` bytes, no control characters (NUL and line breaks among them).
///
/// # Errors
/// [`LockError::Validation`] that names `field`.
pub fn validate_name(field: &'static str, name: &str, max: usize) -> LockResult<()> {
    if name.is_empty() {
        return Err(LockError::validation(field, "must not be empty"));
    }
    if name.len() > max {
        return Err(LockError::validation(
            field,
            format!("has {} bytes, more than the {max} that are allowed", name.len()),
        ));
    }
    if let Some(c) = name.chars().find(|c| c.is_control()) {
        return Err(LockError::validation(field, format!("holds the control character {c:?}")));
    }
    Ok(())
}

/// Checks a version: 1 to 128 bytes, no control characters.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_version(version: &str) -> LockResult<()> {
    validate_name("version", version, MAX_VERSION_BYTES)
}

/// Checks a lease: 1 ms to 366 days.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_lease_ms(lease_ms: i64) -> LockResult<()> {
    if (1..=MAX_LEASE_MS).contains(&lease_ms) {
        return Ok(());
    }
    Err(LockError::validation(
        "lease_duration_ms",
        format!("is {lease_ms}; a lease lasts from 1 ms to {MAX_LEASE_MS} ms (366 days)"),
    ))
}

/// Checks the data kept with a lock: at most 64 KiB, no NUL (PostgreSQL cannot store one).
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_data(data: Option<&str>) -> LockResult<()> {
    let Some(data) = data else { return Ok(()) };
    if data.len() > MAX_DATA_BYTES {
        return Err(LockError::validation(
            "data",
            format!("has {} bytes, more than the {MAX_DATA_BYTES} that are allowed", data.len()),
        ));
    }
    if data.contains('\0') {
        return Err(LockError::validation("data", "holds a NUL character"));
    }
    Ok(())
}

/// Checks a semaphore's size against the configured maximum.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_size(size: u32, max: u32) -> LockResult<()> {
    let max = max.min(MAX_SEMAPHORE_SIZE);
    if (1..=max).contains(&size) {
        return Ok(());
    }
    Err(LockError::validation("max_size", format!("is {size}; a semaphore has from 1 to {max} slots")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        for bad in ["", "a\0b", "a\nb", &"k".repeat(MAX_KEY_BYTES + 1)] {
            assert!(LockId::mutex("t", bad).is_err(), "{bad:?} was taken");
            assert!(LockId::mutex(bad, "k").is_err(), "{bad:?} was taken as a tenant");
        }
        assert!(LockId::mutex("t", &"k".repeat(MAX_KEY_BYTES)).is_ok());
    }

    #[test]
    fn slot_numbers_round_trip() {
        assert_eq!(slot_key("one", 3), "one_0000000003");
        assert_eq!(slot_number("one_0000000003", "one"), Some(3));
        assert_eq!(slot_number("one_3", "one"), None);
        assert_eq!(slot_number("two_0000000003", "one"), None);
        assert_eq!(slot_number("one_99999999999", "one"), None);
    }

    #[test]
    fn leases_and_sizes_have_ends() {
        for bad in [0, -1, i64::MAX, i64::MIN] {
            assert!(validate_lease_ms(bad).is_err());
        }
        assert!(validate_size(0, 1000).is_err());
        assert!(validate_size(1_000_000_000, 1000).is_err());
        assert!(validate_size(1000, 1000).is_ok());
    }
}
