//! The behaviour suite, on the engine that the environment names.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_dynamodb::DynamoRepository;

/// Any engine that speaks DynamoDB's protocol.
struct DynamoDb;

#[async_trait]
impl Backend for DynamoDb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let url = std::env::var("DB_LOCKS_TEST_DYNAMODB_URL").map_err(|_| {
            "no DB_LOCKS_TEST_DYNAMODB_URL in the environment: run `cargo xtask test`".to_string()
        })?;
        Ok(self.config_for_url(tenant, &url))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(DynamoRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: false,
            shared_between_processes: true,
            survives_restart: true,
            push: false,
        }
    }

    fn server_kind(&self) -> Option<&'static str> {
        Some("dynamodb")
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        let mut config = LocksConfig::new(tenant);
        config.ddb_endpoint_url = Some(url.to_string());
        config
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(DynamoDb)])
}
