//! The usual design, as many home-made locks have it: each call opens a connection; the row is read, the client decides, and
//! the row is written back under the condition that it has not changed.

pub(crate) mod dynamodb;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod sqlite;

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::Outcome;

/// How many connections an acquire or a release of the usual design opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// One for each call to the database: one to read, one to write, as where each function of a repository opens its own.
    EachCall,
    /// One for both calls: kinder than most.
    EachOperation,
}

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
