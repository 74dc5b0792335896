//! On Redis: WATCH, GET, MULTI, SET, EXEC.

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;

use super::{Connections, LEASE_MS, Naive, now_ms};
use crate::Outcome;

const KEY: &str = "db-locks-usual:pairs";

pub(crate) struct Redis {
    url: String,
    connections: Connections,
}

impl Redis {
    pub(crate) fn new(url: &str, connections: Connections) -> Self {
        Self { url: url.to_string(), connections }
    }

    async fn connect(&self) -> Outcome<MultiplexedConnection> {
        crate::connect::redis(&self.url).await
    }

    async fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        if self.connections == Connections::EachCall {
            // What is read here decides whether to write at all; the write reads again, under its own WATCH.
            let mut connection = self.connect().await?;
            if !is_free(&mut connection, from).await? {
                return Ok(false);
            }
        }
        let mut connection = self.connect().await?;
        let () = redis::cmd("WATCH").arg(KEY).query_async(&mut connection).await?;
        if !is_free(&mut connection, from).await? {
            return Ok(false);
        }
        let mut transaction = redis::pipe();
        transaction.atomic().cmd("SET").arg(KEY).arg(format!("{to} {expires_ms}"));
        let done: Option<(String,)> = transaction.query_async(&mut connection).await?;
        Ok(done.is_some())
    }
}

/// Whether nobody but the owner of the version `from` holds the lock.
async fn is_free(connection: &mut MultiplexedConnection, from: &str) -> Outcome<bool> {
    let value: Option<String> = redis::cmd("GET").arg(KEY).query_async(connection).await?;
    let value = value.unwrap_or_default();
    let (version, expires) = value.split_once(' ').unwrap_or(("", "0"));
    Ok(version == from || expires.parse::<i64>()? <= now_ms())
}

#[async_trait]
impl Naive for Redis {
    async fn prepare(&self) -> Outcome {
        let mut connection = self.connect().await?;
        Ok(redis::cmd("DEL").arg(KEY).query_async(&mut connection).await?)
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS).await
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0).await
    }
}
