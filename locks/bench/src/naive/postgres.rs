//! On PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Client;

use super::{Connections, LEASE_MS, Naive, now_ms};
use crate::Outcome;

pub(crate) struct Postgres {
    url: String,
    connections: Connections,
}

impl Postgres {
    pub(crate) fn new(url: &str, connections: Connections) -> Self {
        Self { url: url.to_string(), connections }
    }

    async fn connect(&self) -> Outcome<Client> {
        crate::connect::postgres(&self.url).await
    }

    async fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        let mut client = self.connect().await?;
        let row = client
            .query_one("SELECT version, expires_ms FROM db_locks_usual WHERE name = 'pairs'", &[])
            .await?;
        let (version, expires): (String, i64) = (row.get(0), row.get(1));
        if version != from && expires > now_ms() {
            return Ok(false);
        }
        if self.connections == Connections::EachCall {
            client = self.connect().await?;
        }
        let sql =
            "UPDATE db_locks_usual SET version = $1, expires_ms = $2 WHERE name = 'pairs' AND version = $3";
        Ok(client.execute(sql, &[&to, &expires_ms, &version]).await? == 1)
    }
}

#[async_trait]
impl Naive for Postgres {
    async fn prepare(&self) -> Outcome {
        let sql = "DROP TABLE IF EXISTS db_locks_usual;
                   CREATE TABLE db_locks_usual (name text PRIMARY KEY, version text NOT NULL, expires_ms bigint NOT NULL);
                   INSERT INTO db_locks_usual VALUES ('pairs', '', 0)";
        Ok(self.connect().await?.batch_execute(sql).await?)
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS).await
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0).await
    }
}
