//! Where a mutated store lives, and the backend that leads there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Capabilities, LockId, LockResult, LocksConfig, ReleaseRequest, RenewRequest,
};
use db_locks_dynamodb::DynamoRepository;
use db_locks_mysql::MysqlRepository;
use db_locks_postgres::PostgresRepository;
use db_locks_redis::RedisRepository;
use db_locks_sqlite::{SqliteOptions, SqliteRepository};
use libtest_mimic::Failed;
use mysql_async::prelude::Queryable;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::list::{Mutation, StoreName};
use crate::proxy::{self, Found, Language};

const POSTGRES: &str = concat!(
    include_str!("../../../postgres/migrations/00000000000002_create_functions/up.sql"),
    include_str!("../../../postgres/migrations/00000000000004_create_batches/up.sql"),
    include_str!("../../../postgres/migrations/00000000000005_create_slot_batches/up.sql")
);
const MYSQL: &str = include_str!("../../../mysql/migrations/00000000000002_create_procedures/up.sql");

/// A store with one thing changed.
pub(crate) struct Place {
    pub(crate) backend: Arc<dyn Backend>,
    runtime: Runtime,
    found: Option<Found>,
    left_behind: Option<LeftBehind>,
    _folder: Option<TempDir>,
}

/// What the test made on a server.
struct LeftBehind {
    store: StoreName,
    server: String,
    name: String,
}

/// The backend: one URL.
#[derive(Debug)]
struct Mutated {
    mutation: Mutation,
    url: String,
}

fn server(variable: &str) -> Result<String, Failed> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set: run `cargo xtask test`").into())
}

/// The text with all edits made; each must find its place.
fn edited(text: &str, mutation: &Mutation) -> Result<String, Failed> {
    let mut text = text.to_string();
    for (from, to) in mutation.edits {
        if !text.contains(from) {
            return Err(format!("{}: nowhere does it say {from:?}", mutation.name).into());
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

impl Place {
    /// Makes the place, and what is changed there.
    pub(crate) fn prepare(mutation: &Mutation) -> Result<Self, Failed> {
        let runtime = Runtime::new()?;
        let (mut found, mut folder, mut left_behind) = (None, None, None);
        let url = match mutation.store {
            StoreName::Sqlite => {
                let made = folder.insert(tempfile::tempdir()?);
                format!("sqlite:{}", made.path().join("locks.db").display())
            }
            StoreName::Postgres => {
                let server = server("DB_LOCKS_TEST_POSTGRES_URL")?;
                let name = format!("m_{}", new_version().replace('-', ""));
                let url = format!("{server}?options=-c%20search_path%3D{name}");
                left_behind =
                    Some(LeftBehind { store: mutation.store, server: server.clone(), name: name.clone() });
                runtime.block_on(make_postgres(&server, &name, &url, &edited(POSTGRES, mutation)?))?;
                url
            }
            StoreName::Mysql => {
                let server = server("DB_LOCKS_TEST_MYSQL_URL")?;
                let name = format!("m_{}", new_version().replace('-', ""));
                let url =
                    format!("{}/{name}", server.rsplit_once('/').map_or(server.as_str(), |(host, _)| host));
                left_behind =
                    Some(LeftBehind { store: mutation.store, server: server.clone(), name: name.clone() });
                runtime.block_on(make_mysql(&server, &name, &url, &edited(MYSQL, mutation)?))?;
                url
            }
            StoreName::Redis => {
                let server = server("DB_LOCKS_TEST_REDIS_URL")?;
                let rest = server.trim_start_matches("redis://");
                let (address, database) = rest.split_once('/').unwrap_or((rest, "0"));
                let (address, seen) = proxy::start(Language::Redis, address, mutation.edits)?;
                found = Some(seen);
                format!("redis://{address}/{database}")
            }
            StoreName::DynamoDb => {
                let server = server("DB_LOCKS_TEST_DYNAMODB_URL")?;
                let address = server.trim_start_matches("http://").trim_end_matches('/');
                let (address, seen) = proxy::start(Language::Http, address, mutation.edits)?;
                found = Some(seen);
                format!("http://{address}")
            }
        };
        let backend = Arc::new(Mutated { mutation: *mutation, url });
        Ok(Self { backend, runtime, found, left_behind, _folder: folder })
    }

    /// A lone caller notices nothing: so it is not a mistyped statement that makes the trial fail.
    pub(crate) fn still_works(&self) -> Result<(), Failed> {
        self.runtime.block_on(async {
            let config = self.backend.config("smoke")?;
            let store = self.backend.connect(&config).await?;
            let lock = LockId::mutex("smoke", &new_version())?;
            let Acquired::Granted(held) = store.acquire(&ask(&lock)).await? else {
                return Err("a free lock was not granted".into());
            };
            let renewal = RenewRequest {
                lock: lock.clone(),
                mutex_key: held.mutex_key.clone(),
                version: held.version.clone(),
                new_version: new_version(),
                lease_ms: 60_000,
                data: None,
            };
            let held = store.renew(&renewal).await?;
            let release = ReleaseRequest {
                lock,
                mutex_key: held.mutex_key,
                version: held.version,
                delete: false,
                data: None,
            };
            if store.release(&release).await? {
                Ok(())
            } else {
                Err("the holder's release was refused".into())
            }
        })
    }

    /// Everything that was to be changed on its way was.
    pub(crate) fn was_changed(&self, mutation: &Mutation) -> Result<(), Failed> {
        let Some(found) = &self.found else { return Ok(()) };
        for ((from, _), found) in mutation.edits.iter().zip(found.iter()) {
            if !found.load(Ordering::Relaxed) {
                return Err(format!("{}: nothing was sent that says {from:?}", mutation.name).into());
            }
        }
        Ok(())
    }
}

fn ask(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "smoke".into(),
        lease_ms: 60_000,
        replace_data: false,
        ..AcquireRequest::new(lock.clone())
    }
}

/// A schema with our tables, and the changed functions over ours.
async fn make_postgres(server: &str, schema: &str, url: &str, functions: &str) -> Result<(), Failed> {
    let admin = postgres(server).await?;
    admin.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}")).await?;
    PostgresRepository::connect(&sql_config("smoke", url)).await?;
    admin.batch_execute(functions).await?;
    Ok(())
}

async fn postgres(server: &str) -> Result<tokio_postgres::Client, Failed> {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await?;
    // Ends with its client.
    tokio::spawn(connection);
    Ok(client)
}

/// A database with our tables, and the changed procedures in the place of ours.
async fn make_mysql(server: &str, database: &str, url: &str, procedures: &str) -> Result<(), Failed> {
    let mut admin = mysql_async::Conn::new(mysql_async::Opts::from_url(server)?).await?;
    admin.query_drop(format!("CREATE DATABASE {database}")).await?;
    MysqlRepository::connect(&sql_config("smoke", url)).await?;
    admin.query_drop(format!("USE {database}")).await?;
    admin.query_drop(procedures).await?;
    admin.disconnect().await?;
    Ok(())
}

impl LeftBehind {
    async fn remove(&self) -> Result<(), Failed> {
        if self.store == StoreName::Postgres {
            let admin = postgres(&self.server).await?;
            return Ok(admin.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name)).await?);
        }
        let mut admin = mysql_async::Conn::new(mysql_async::Opts::from_url(&self.server)?).await?;
        admin.query_drop(format!("DROP DATABASE IF EXISTS {}", self.name)).await?;
        Ok(admin.disconnect().await?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(left_behind) = &self.left_behind {
            // The server goes with the test run, if this fails.
            let _ = self.runtime.block_on(left_behind.remove());
        }
    }
}

fn sql_config(tenant: &str, url: &str) -> LocksConfig {
    LocksConfig {
        database_url: Some(url.to_string()),
        database_pool_size: Some(8),
        ..LocksConfig::new(tenant)
    }
}

#[async_trait]
impl Backend for Mutated {
    fn name(&self) -> &'static str {
        self.mutation.store.name()
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(self.config_for_url(tenant, &self.url))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(match self.mutation.store {
            StoreName::Sqlite => {
                let edits = self.mutation.edits.iter();
                let replace_in_sql = edits.map(|(from, to)| (from.to_string(), to.to_string())).collect();
                let options = SqliteOptions { replace_in_sql, ..SqliteOptions::default() };
                SqliteRepository::connect_with(config, options).await?
            }
            StoreName::Postgres => PostgresRepository::connect(config).await?,
            StoreName::Mysql => MysqlRepository::connect(config).await?,
            StoreName::Redis => RedisRepository::connect(config).await?,
            StoreName::DynamoDb => DynamoRepository::connect(config).await?,
        })
    }

    fn capabilities(&self) -> Capabilities {
        let store = self.mutation.store;
        Capabilities {
            server_clock: store != StoreName::DynamoDb,
            shared_between_processes: true,
            survives_restart: true,
            push: matches!(store, StoreName::Postgres | StoreName::Redis),
        }
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        let mut config = sql_config(tenant, url);
        match self.mutation.store {
            StoreName::Redis => config.redis_url = Some(url.to_string()),
            StoreName::DynamoDb => config.ddb_endpoint_url = Some(url.to_string()),
            _ => {}
        }
        config
    }
}
