//! On Redis: WATCH, GET, MULTI, SET, EXEC.

use async_trait::async_trait;

use super::{LEASE_MS, Naive, now_ms};
use crate::Outcome;

const KEY: &str = "db-locks-usual:pairs";

pub(crate) struct Redis {
    url: String,
}

impl Redis {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_string() }
    }

    async fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        let mut connection =
            redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await?;
        let () = redis::cmd("WATCH").arg(KEY).query_async(&mut connection).await?;
        let value: Option<String> = redis::cmd("GET").arg(KEY).query_async(&mut connection).await?;
        let value = value.unwrap_or_default();
        let (version, expires) = value.split_once(' ').unwrap_or(("", "0"));
        if version != from && expires.parse::<i64>()? > now_ms() {
            return Ok(false);
        }
        let mut transaction = redis::pipe();
        transaction.atomic().cmd("SET").arg(KEY).arg(format!("{to} {expires_ms}"));
        let done: Option<(String,)> = transaction.query_async(&mut connection).await?;
        Ok(done.is_some())
    }
}

#[async_trait]
impl Naive for Redis {
    async fn prepare(&self) -> Outcome {
        let mut connection =
            redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await?;
        Ok(redis::cmd("DEL").arg(KEY).query_async(&mut connection).await?)
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS).await
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0).await
    }
}
