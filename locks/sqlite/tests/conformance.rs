//! The behaviour suite on a SQLite file and on SQLite in memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Weak};

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

/// A file for each trial, in a folder that goes away with the suite. Processes that the suite starts are given the file's URL.
struct File {
    folder: TempDir,
}

#[async_trait]
impl Backend for File {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        let path: PathBuf = self.folder.path().join(format!("{tenant}.db"));
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
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("cannot make a temporary folder: {error}");
            return ExitCode::FAILURE;
        }
    };
    db_locks_conformance::main(vec![Box::new(File { folder }), Box::new(Memory::default())])
}
