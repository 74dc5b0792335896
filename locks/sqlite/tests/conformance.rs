//! The behaviour suite on a SQLite file and on SQLite in memory.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_sqlite::SqliteRepository;
use tempfile::TempDir;
use tokio::sync::Mutex;

fn config(tenant: &str, url: &str) -> LocksConfig {
    let mut config = LocksConfig::new(tenant);
    config.database_url = Some(url.to_string());
    config
}

/// A file for each trial, in a folder that goes away with the suite. Processes that the suite starts (and kills) are given
/// the file's URL, so they make no folder.
#[derive(Default)]
struct File {
    folder: OnceLock<TempDir>,
}

impl File {
    fn folder(&self) -> Result<&Path, String> {
        if self.folder.get().is_none() {
            let folder =
                tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
            // Another trial may have been quicker; then this folder goes away again.
            let _ = self.folder.set(folder);
        }
        self.folder.get().map(TempDir::path).ok_or_else(|| "no temporary folder".to_string())
    }
}

#[async_trait]
impl Backend for File {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let path = self.folder()?.join(format!("{tenant}.db"));
        Ok(config(tenant, &format!("sqlite:{}", path.display())))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(SqliteRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: true,
            survives_restart: true,
            push: false,
        }
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        config(tenant, url)
    }
}

/// A database in memory belongs to one repository, so clients of the same tenant and tables are given that one.
#[derive(Default)]
struct Memory {
    open: Mutex<HashMap<String, Weak<SqliteRepository>>>,
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> &'static str {
        "sqlite_memory"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(config(tenant, "sqlite::memory:"))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        let mut open = self.open.lock().await;
        let database = format!("{} {config:?}", config.tenant_id);
        if let Some(repository) = open.get(&database).and_then(Weak::upgrade) {
            return Ok(repository);
        }
        let repository = SqliteRepository::connect(config).await?;
        open.insert(database, Arc::downgrade(&repository));
        Ok(repository)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_clock: true,
            shared_between_processes: false,
            survives_restart: false,
            push: false,
        }
    }

    fn separate_clients(&self) -> bool {
        false
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        config(tenant, url)
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(File::default()), Box::new(Memory::default())])
}
