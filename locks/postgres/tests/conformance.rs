//! The behaviour suite of db-locks on a real PostgreSQL.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_postgres::PostgresRepository;

struct Postgres;

/// The same database through a pooler that lends a connection for one transaction.
struct Pooled;

#[async_trait]
impl Backend for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let url = std::env::var("DB_LOCKS_TEST_POSTGRES_URL")
            .map_err(|_| "DB_LOCKS_TEST_POSTGRES_URL is not set: run `cargo xtask test`".to_string())?;
        Ok(self.config_for_url(tenant, &url))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(PostgresRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: true,
        }
    }

    fn server_kind(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        let mut config = LocksConfig::new(tenant);
        config.database_url = Some(url.to_string());
        // The suite runs many clients at once, and the server has room for a few hundred connections.
        config.database_pool_size = Some(8);
        config
    }
}

#[async_trait]
impl Backend for Pooled {
    fn name(&self) -> &'static str {
        "pooled"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let url = std::env::var("DB_LOCKS_TEST_POSTGRES_POOLER_URL").map_err(|_| {
            "DB_LOCKS_TEST_POSTGRES_POOLER_URL is not set: run `cargo xtask test`".to_string()
        })?;
        Ok(self.config_for_url(tenant, &format!("{url}?prepare=false")))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(PostgresRepository::connect(config).await?)
    }

    /// The server cannot call through it.
    fn capabilities(&self) -> Capabilities {
        Capabilities { push: false, ..Postgres.capabilities() }
    }

    fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        vec![("store::claims_are_the_backends", "to its clients it is postgres")]
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        Postgres.config_for_url(tenant, url)
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(Postgres), Box::new(Pooled)])
}
