//! The checking side of fencing tokens: a value that takes no write with an older token.

use async_trait::async_trait;

use crate::error::{LockError, LockResult};
use crate::lock_id::{MAX_DATA_BYTES, MAX_KEY_BYTES, MAX_TENANT_BYTES, validate_data, validate_name};

/// The largest token: the greatest that every database can hold.
pub const MAX_TOKEN: u64 = i64::MAX as u64;

/// Which register: tenant and key. Holding one means that both are valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterId {
    tenant: String,
    key: String,
}

impl RegisterId {
    /// The register `key` of `tenant`.
    ///
    /// # Errors
    /// [`LockError::Validation`] for an empty, over-long or control-character name.
    pub fn new(tenant: &str, key: &str) -> LockResult<Self> {
        validate_name("tenant_id", tenant, MAX_TENANT_BYTES)?;
        validate_name("key", key, MAX_KEY_BYTES)?;
        Ok(Self { tenant: tenant.to_string(), key: key.to_string() })
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// One string that no other register and no lock ([`crate::LockId::encoded`]) shares, for stores without columns.
    ///
    /// ```
    /// use db_locks_core::RegisterId;
    /// assert_eq!(RegisterId::new("b_c", "key")?.encoded(), "3:b_c:f:key");
    /// # Ok::<(), db_locks_core::LockError>(())
    /// ```
    pub fn encoded(&self) -> String {
        format!("{}:{}:f:{}", self.tenant.len(), self.tenant, self.key)
    }
}

impl std::fmt::Display for RegisterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "register {:?} of tenant {:?}", self.key, self.tenant)
    }
}

/// What became of a write. "No" is an answer, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencedWrite {
    /// Written: no greater token had been seen.
    Accepted,
    /// Refused, and nothing was changed: somebody has written with this greater token.
    Stale {
        /// The greatest token that the register has seen.
        seen: u64,
    },
}

impl FencedWrite {
    /// Whether it was written.
    pub fn is_accepted(self) -> bool {
        self == Self::Accepted
    }

    /// What a write with `token` was, when the register's token is `seen` after it.
    pub fn of(token: u64, seen: u64) -> Self {
        if seen > token { Self::Stale { seen } } else { Self::Accepted }
    }
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencedValue {
    /// The token of the last accepted write.
    pub token: u64,
    /// What it wrote.
    pub value: String,
}

/// Values guarded by fencing tokens, in one database. Both calls are one round trip and atomic, and a write can be sent again after
/// an unknown outcome: the same token writes again.
#[async_trait]
pub trait FencedRepository: Send + Sync + std::fmt::Debug {
    /// Writes `value` unless a greater token than `token` has written.
    ///
    /// # Errors
    /// What the database says. A refusal is none.
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite>;

    /// The last accepted write, or none.
    ///
    /// # Errors
    /// What the database says.
    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>>;
}

/// Checks a write: a token from 1 to [`MAX_TOKEN`], a value of at most 64 KiB without NUL.
///
/// # Errors
/// [`LockError::Validation`].
pub fn validate_write(token: u64, value: &str) -> LockResult<()> {
    if !(1..=MAX_TOKEN).contains(&token) {
        return Err(LockError::validation("token", format!("is {token}; tokens go from 1 to {MAX_TOKEN}")));
    }
    validate_data(Some(value)).map_err(|_| {
        LockError::validation(
            "value",
            format!("must have at most {MAX_DATA_BYTES} bytes, and no NUL character"),
        )
    })
}

/// A token as SQL databases hold it; [`validate_write`] has bounded it.
pub fn token_to_sql(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(i64::MAX)
}

/// A token from a SQL database, where it is not negative.
pub fn token_from_sql(token: i64) -> u64 {
    u64::try_from(token).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_no_lock_gives_are_refused() {
        assert!(validate_write(0, "").is_err());
        assert!(validate_write(MAX_TOKEN + 1, "").is_err());
        assert!(validate_write(MAX_TOKEN, "").is_ok());
        assert!(validate_write(1, "a\0b").is_err());
    }

    #[test]
    fn an_equal_token_is_the_same_holder() {
        assert!(FencedWrite::of(7, 7).is_accepted());
        assert_eq!(FencedWrite::of(7, 8), FencedWrite::Stale { seen: 8 });
    }
}
