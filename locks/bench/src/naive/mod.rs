//! The usual design, as many home-made locks have it: each call opens a connection, reads the row, decides in the client,
//! and writes it back under the condition that it has not changed.

pub(crate) mod dynamodb;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod sqlite;

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::Outcome;

/// One lock, the usual way.
#[async_trait]
pub(crate) trait Naive: Send + Sync {
    /// Makes the table and the row.
    async fn prepare(&self) -> Outcome;

    /// Takes the lock if it is free.
    async fn acquire(&self, version: &str) -> Outcome<bool>;

    /// Gives it back.
    async fn release(&self, version: &str) -> Outcome<bool>;
}

/// The lease of the usual design, in milliseconds.
const LEASE_MS: i64 = 15_000;

/// The client's clock in milliseconds, which such designs trust.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
