//! The behaviour suite on the simulation's store in memory: it must obey the rules that the real ones obey.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_sim::SharedMemory;

/// Stores by their URL, so that clients with the same URL see the same locks.
#[derive(Default)]
struct Memory {
    stores: Mutex<HashMap<String, SharedMemory>>,
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(self.config_for_url(tenant, tenant))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(stores.entry(config.database_url()).or_default().client())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: false,
            survives_restart: false,
            push: false,
        }
    }

    fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("store::claims_are_the_backends", "it is no database that users can choose"),
            ("store::tables_have_the_names_of_the_configuration", "there are no tables"),
        ]
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        LocksConfig { database_url: Some(url.to_string()), ..LocksConfig::new(tenant) }
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(Memory::default())])
}
