//! On MySQL and MariaDB.

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{Connections, LEASE_MS, Naive, now_ms};
use crate::Outcome;

pub(crate) struct Mysql {
    url: String,
    connections: Connections,
}

impl Mysql {
    pub(crate) fn new(url: &str, connections: Connections) -> Self {
        Self { url: url.to_string(), connections }
    }

    async fn connect(&self) -> Outcome<Conn> {
        crate::connect::mysql(&self.url).await
    }

    async fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        let mut conn = self.connect().await?;
        let row: Option<(String, i64)> = conn
            .exec_first("SELECT version, expires_ms FROM db_locks_usual WHERE name = 'pairs'", ())
            .await?;
        let (version, expires) = row.ok_or("the row is gone")?;
        if version != from && expires > now_ms() {
            return Ok(false);
        }
        if self.connections == Connections::EachCall {
            conn.disconnect().await?;
            conn = self.connect().await?;
        }
        let sql =
            "UPDATE db_locks_usual SET version = ?, expires_ms = ? WHERE name = 'pairs' AND version = ?";
        conn.exec_drop(sql, (to, expires_ms, version)).await?;
        let changed = conn.affected_rows() == 1;
        conn.disconnect().await?;
        Ok(changed)
    }
}

#[async_trait]
impl Naive for Mysql {
    async fn prepare(&self) -> Outcome {
        let mut conn = self.connect().await?;
        for sql in [
            "DROP TABLE IF EXISTS db_locks_usual",
            "CREATE TABLE db_locks_usual (name VARCHAR(64) PRIMARY KEY, version VARCHAR(64) NOT NULL, expires_ms BIGINT NOT NULL)",
            "INSERT INTO db_locks_usual VALUES ('pairs', '', 0)",
        ] {
            conn.query_drop(sql).await?;
        }
        Ok(conn.disconnect().await?)
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS).await
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0).await
    }
}
