//! On SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{Connections, LEASE_MS, Naive, now_ms};
use crate::Outcome;

pub(crate) struct Sqlite {
    file: String,
    connections: Connections,
}

impl Sqlite {
    pub(crate) fn new(file: String, connections: Connections) -> Self {
        Self { file, connections }
    }

    fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(&self.file)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(connection)
    }

    /// In a benchmark of one client nothing else needs this thread.
    fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        let mut connection = self.connect()?;
        let (version, expires): (String, i64) = connection.query_row(
            "SELECT version, expires_ms FROM usual WHERE name = 'pairs'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if version != from && expires > now_ms() {
            return Ok(false);
        }
        if self.connections == Connections::EachCall {
            connection = self.connect()?;
        }
        let sql = "UPDATE usual SET version = ?1, expires_ms = ?2 WHERE name = 'pairs' AND version = ?3";
        Ok(connection.execute(sql, params![to, expires_ms, version])? == 1)
    }
}

#[async_trait]
impl Naive for Sqlite {
    async fn prepare(&self) -> Outcome {
        let connection = Connection::open(&self.file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS usual (name TEXT PRIMARY KEY, version TEXT NOT NULL, expires_ms INTEGER NOT NULL);
             INSERT OR REPLACE INTO usual VALUES ('pairs', '', 0)",
        )?;
        Ok(())
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS)
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0)
    }
}
