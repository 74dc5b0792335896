//! The databases that are measured: a SQLite file of our own, and the servers that the environment names.

use std::path::Path;
use std::time::Duration;

use db_locks::{LocksConfig, RepositoryProvider};
use mysql_async::prelude::Queryable;

use crate::{Outcome, connect, network};

/// Which of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mysql,
    Redis,
    Dynamodb,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Sqlite, Self::Postgres, Self::Mysql, Self::Redis, Self::Dynamodb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Dynamodb => "dynamodb",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => "DB_LOCKS_BENCH_SQLITE_DIR",
            Self::Postgres => "DB_LOCKS_TEST_POSTGRES_URL",
            Self::Mysql => "DB_LOCKS_TEST_MYSQL_URL",
            Self::Redis => "DB_LOCKS_TEST_REDIS_URL",
            Self::Dynamodb => "DB_LOCKS_TEST_DYNAMODB_URL",
        }
    }
}

/// One of them, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) kind: Kind,
    /// As `Locks::connect` takes it.
    pub(crate) url: String,
}

impl Database {
    /// All that the environment names and `wanted` does not leave out (empty: none is). Says which are missing.
    pub(crate) fn all(wanted: &[String], folder: &Path) -> Outcome<Vec<Self>> {
        if let Some(name) = wanted.iter().find(|name| !Kind::ALL.iter().any(|kind| kind.name() == *name)) {
            return Err(format!("there is no database {name:?}").into());
        }
        let mut found = Vec::new();
        for kind in Kind::ALL {
            if !wanted.is_empty() && !wanted.iter().any(|name| name == kind.name()) {
                continue;
            }
            match (kind, std::env::var(kind.variable())) {
                (Kind::Sqlite, named) => {
                    let folder = named.unwrap_or_else(|_| folder.display().to_string());
                    found.push(Self { kind, url: format!("sqlite:{folder}/locks.sqlite") });
                }
                (Kind::Dynamodb, Ok(url)) => found.push(Self { kind, url: format!("dynamodb+{url}") }),
                (_, Ok(url)) => found.push(Self { kind, url }),
                (_, Err(_)) => println!("{}: left out, {} is not set", kind.name(), kind.variable()),
            }
        }
        Ok(found)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    pub(crate) fn provider(&self) -> RepositoryProvider {
        match self.kind {
            Kind::Redis => RepositoryProvider::Redis,
            Kind::Dynamodb => RepositoryProvider::Ddb,
            Kind::Sqlite | Kind::Postgres | Kind::Mysql => RepositoryProvider::Rdb,
        }
    }

    /// The address as a driver takes it.
    pub(crate) fn address(&self) -> &str {
        let url = self.url.as_str();
        url.strip_prefix("dynamodb+").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url)
    }

    /// The same database with a network before it; none where there is no server.
    pub(crate) fn behind_a_network(&self, round_trip: Duration) -> Outcome<Option<Self>> {
        let Some((scheme, rest)) = self.url.split_once("://") else { return Ok(None) };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
        let relay = network::before(&rest[start..end], round_trip)?;
        Ok(Some(Self {
            kind: self.kind,
            url: format!("{scheme}://{}{relay}{}", &rest[..start], &rest[end..]),
        }))
    }

    pub(crate) fn config(&self) -> LocksConfig {
        let mut config = LocksConfig::new("bench");
        match self.provider() {
            RepositoryProvider::Rdb => config.database_url = Some(self.url.clone()),
            RepositoryProvider::Redis => config.redis_url = Some(self.url.clone()),
            RepositoryProvider::Ddb => config.ddb_endpoint_url = Some(self.address().to_string()),
        }
        config
    }

    /// How this server keeps what it has confirmed, as it says itself: figures of different settings do not compare.
    pub(crate) async fn durability(&self) -> Outcome<String> {
        Ok(match self.kind {
            Kind::Sqlite => "a file, WAL, synchronous=NORMAL (as db-locks opens it)".to_string(),
            Kind::Dynamodb => "as the engine was started; cannot be asked".to_string(),
            Kind::Postgres => {
                let client = connect::postgres(self.address()).await?;
                let mut settings = Vec::new();
                for name in ["fsync", "synchronous_commit"] {
                    let row = client.query_one(&format!("SHOW {name}"), &[]).await?;
                    settings.push(format!("{name}={}", row.get::<_, String>(0)));
                }
                settings.join(", ")
            }
            Kind::Mysql => {
                let mut conn = connect::mysql(self.address()).await?;
                let asked =
                    "SELECT CONCAT('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit,
                             ', innodb_flush_method=', @@innodb_flush_method)";
                conn.query_first(asked).await?.unwrap_or_default()
            }
            Kind::Redis => {
                let mut connection = connect::redis(self.address()).await?;
                let mut settings = Vec::new();
                for name in ["appendonly", "appendfsync"] {
                    let (name, value): (String, String) =
                        redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await?;
                    settings.push(format!("{name}={value}"));
                }
                settings.join(", ")
            }
        })
    }
}
