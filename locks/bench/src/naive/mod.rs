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
use crate::database::{Database, Kind};

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

/// The usual design on this database.
pub(crate) fn usual(database: &Database, connections: Connections) -> Box<dyn Naive> {
    let url = database.address();
    match database.kind {
        Kind::Sqlite => Box::new(sqlite::Sqlite::new(format!("{url}.usual"), connections)),
        Kind::Postgres => Box::new(postgres::Postgres::new(url, connections)),
        Kind::Mysql => Box::new(mysql::Mysql::new(url, connections)),
        Kind::Redis => Box::new(redis::Redis::new(url, connections)),
        Kind::Dynamodb => Box::new(dynamodb::Dynamo::new(url, connections)),
    }
}

/// The lease of the usual design, in milliseconds.
const LEASE_MS: i64 = 15_000;

/// The client's clock in milliseconds, which such designs trust.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
