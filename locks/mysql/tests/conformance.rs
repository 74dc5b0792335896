//! The behaviour suite on the server that `DB_LOCKS_TEST_MYSQL_URL` names.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_mysql::MysqlRepository;

const VARIABLE: &str = "DB_LOCKS_TEST_MYSQL_URL";

struct Mysql;

#[async_trait]
impl Backend for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let url = std::env::var(VARIABLE)
            .map_err(|_| format!("{VARIABLE} names no server: run `cargo xtask test`"))?;
        Ok(self.config_for_url(tenant, &url))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(MysqlRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: false,
        }
    }

    fn server_kind(&self) -> Option<&'static str> {
        Some("mysql")
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        let mut config = LocksConfig::new(tenant);
        config.database_url = Some(url.to_string());
        // Many trials at once share one server's connections.
        config.database_pool_size = Some(8);
        config
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(Mysql)])
}
