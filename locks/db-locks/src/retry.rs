//! Calls made again after failures that may pass. Every call of the protocol is safe to send again (R2, R9, R10).

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use db_locks_core::{LockError, LockResult, LocksConfig};

/// How often, and how long between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    limit: u32,
    first_wait: Duration,
    /// After so long nothing is tried again: whoever gets no answer has waited for each of the tries.
    patience: Duration,
}

/// The longest pause between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl RetryPolicy {
    pub(crate) fn new(config: &LocksConfig) -> Self {
        Self {
            limit: config.server_error_retries_limit(),
            first_wait: Duration::from_millis(config.wait_before_server_error_retries_ms()),
            patience: config.request_timeout() / 2,
        }
    }

    /// The same for a call of somebody who has time until then, and keeps a place meanwhile: as often as it takes.
    pub(crate) fn until(self, end: Instant) -> Self {
        let patience = end.saturating_duration_since(Instant::now());
        if patience <= self.patience { self } else { Self { limit: u32::MAX, patience, ..self } }
    }

    /// Calls until it works, fails for good, or has failed `limit` times more or for too long.
    pub(crate) async fn run<T, F, Fut>(&self, mut call: F) -> LockResult<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = LockResult<T>>,
    {
        let (begun, mut wait) = (Instant::now(), self.first_wait);
        for _ in 0..self.limit {
            match call().await {
                Err(error) if may_pass(&error) && begun.elapsed() + wait < self.patience => {
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

    /// Each try takes as long as the server may take to answer.
    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_asked_again_and_again() {
        let mut config = LocksConfig::new("t");
        config.request_timeout_ms = Some(1_000);
        let policy = RetryPolicy::new(&config);
        let silent = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err::<(), _>(LockError::timed_out("no answer"))
        };
        let begun = Instant::now();
        assert!(policy.run(silent).await.is_err());
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        // But by those who wait anyway.
        let (end, tries) = (Instant::now() + Duration::from_secs(60), Cell::new(0));
        let returning = || {
            tries.set(tries.get() + 1);
            let tries = tries.get();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if tries < 8 { Err(LockError::timed_out("no answer")) } else { Ok(tries) }
            }
        };
        assert_eq!(policy.until(end).run(returning).await.unwrap(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again() {
        assert_eq!(tries_until(|| LockError::unavailable("down", "refused")).await, 4);
        assert_eq!(tries_until(|| LockError::in_use("held")).await, 1);
        assert_eq!(tries_until(|| LockError::validation("key", "empty")).await, 1);
    }
}
