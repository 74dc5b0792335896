//! Calls made again after failures that may pass. Every call of the protocol is safe to send again (R2, R9, R10).

use std::future::Future;
use std::time::Duration;

use db_locks_core::{LockError, LockResult, LocksConfig};

/// How often, and how long between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    limit: u32,
    first_wait: Duration,
}

/// The longest pause between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl RetryPolicy {
    pub(crate) fn new(config: &LocksConfig) -> Self {
        Self {
            limit: config.server_error_retries_limit(),
            first_wait: Duration::from_millis(config.wait_before_server_error_retries_ms()),
        }
    }

    /// Calls until it works, fails for good, or has failed `limit` times more.
    pub(crate) async fn run<T, F, Fut>(&self, mut call: F) -> LockResult<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = LockResult<T>>,
    {
        let mut wait = self.first_wait;
        for _ in 0..self.limit {
            match call().await {
                Err(error) if may_pass(&error) => {
                    tracing::debug!(error = %error.chain(), wait_ms = wait.as_millis(), "trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                done => return done,
            }
        }
        call().await
    }
}

/// A server that is away or a transaction that lost a race. `in_use` is an answer, which no quick retry changes:
/// it has no driver's error behind it.
fn may_pass(error: &LockError) -> bool {
    match error {
        LockError::CurrentlyUnavailable { source, .. } => source.is_some(),
        LockError::Database { retryable, .. } => *retryable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn tries_until(error: fn() -> LockError) -> u32 {
        let mut config = LocksConfig::new("t");
        config.server_error_retries_limit = Some(3);
        config.wait_before_server_error_retries_ms = Some(1);
        let tries = Cell::new(0);
        let failed: LockResult<()> = RetryPolicy::new(&config)
            .run(|| {
                tries.set(tries.get() + 1);
                async { Err(error()) }
            })
            .await;
        assert!(failed.is_err());
        tries.get()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again() {
        assert_eq!(tries_until(|| LockError::unavailable("down", "refused")).await, 4);
        assert_eq!(tries_until(|| LockError::in_use("held")).await, 1);
        assert_eq!(tries_until(|| LockError::validation("key", "empty")).await, 1);
    }
}
