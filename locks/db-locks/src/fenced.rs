//! [`FencedRegister`]: what a lock guards, guarding itself too.

use std::sync::Arc;

use db_locks_core::fenced::validate_write;
use db_locks_core::{
    FencedRepository, FencedValue, FencedWrite, LockResult, LocksConfig, RegisterId, RepositoryProvider,
};

use crate::factory;
use crate::locks::provider_of;
use crate::retry::RetryPolicy;

/// Values that take no write from a holder whose lock is another's by now.
///
/// A lock with a lease cannot stop a holder that is paused between its last look at the lock and its write. The
/// [fencing token](crate::LockGuard::fencing_token) can: each grant has a greater one, and the register refuses a write whose token is
/// smaller than one that it has seen. Each call is one round trip, and atomic in the database.
///
/// ```
/// use db_locks::{FencedRegister, FencedWrite, Locks};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), db_locks::LockError> {
/// let url = "sqlite::memory:";
/// let (locks, register) = (Locks::connect(url).await?, FencedRegister::connect(url).await?);
/// let first = locks.mutex("report").acquire().await?.fencing_token(); // released at once: others may have it
/// let guard = locks.mutex("report").acquire().await?;
/// assert_eq!(register.write("report", guard.fencing_token(), "by the second").await?, FencedWrite::Accepted);
/// let late = register.write("report", first, "by the first, too late").await?;
/// assert_eq!(late, FencedWrite::Stale { seen: guard.fencing_token() });
/// assert_eq!(register.read("report").await?.unwrap().value, "by the second");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FencedRegister {
    tenant: String,
    repository: Arc<dyn FencedRepository>,
    retry: RetryPolicy,
}

impl FencedRegister {
    /// Connects to the database of this URL (see [`crate::Locks::connect`]), as the default tenant.
    ///
    /// # Errors
    /// `Validation` for another URL; `CurrentlyUnavailable`; `AccessDenied`; what the database says.
    pub async fn connect(url: &str) -> LockResult<Self> {
        Self::connect_as(url, &LocksConfig::default_tenant()).await
    }

    /// As [`Self::connect`], for a tenant.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(url: &str, tenant: &str) -> LockResult<Self> {
        let mut config = LocksConfig::new(tenant);
        let provider = provider_of(url, &mut config)?;
        Self::build(provider, &config).await
    }

    /// Connects as the configuration says.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn build(provider: RepositoryProvider, config: &LocksConfig) -> LockResult<Self> {
        let repository = factory::build_fenced_repository(provider, config).await?;
        Ok(Self { tenant: config.tenant_id.clone(), repository, retry: RetryPolicy::new(config) })
    }

    /// Writes `value` (at most 64 KiB) unless somebody has written there with a greater token. The same token can write many
    /// times. A failure that may pass is tried again: a write can be sent twice.
    ///
    /// # Errors
    /// `Validation` for a bad key, token 0, or a value that is too long; what the database says. A refusal is no error.
    pub async fn write(&self, key: &str, token: u64, value: &str) -> LockResult<FencedWrite> {
        let register = RegisterId::new(&self.tenant, key)?;
        validate_write(token, value)?;
        self.retry.run(|| self.repository.write_fenced(&register, token, value)).await
    }

    /// The last accepted write, or none.
    ///
    /// # Errors
    /// `Validation` for a bad key; what the database says.
    pub async fn read(&self, key: &str) -> LockResult<Option<FencedValue>> {
        let register = RegisterId::new(&self.tenant, key)?;
        self.retry.run(|| self.repository.read_fenced(&register)).await
    }
}
