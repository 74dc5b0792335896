//! From arguments to a [`LockManagerImpl`].

use std::sync::Arc;

use db_locks::{
    DefaultLockStore, FairLockStore, LockManagerImpl, LockResult, LockStore, Locks, LocksConfig, Registry,
    RepositoryProvider, config_file, factory,
};

use crate::args::{Chosen, Cli, Provider};
use crate::progress;

/// What commands work with.
pub(crate) struct App {
    pub(crate) manager: Arc<LockManagerImpl>,
    pub(crate) json: bool,
    config: LocksConfig,
    registry: Registry,
}

impl App {
    /// Connects to the database that the arguments, the configuration and the environment name.
    pub(crate) async fn connect(cli: &Cli, config: LocksConfig) -> LockResult<Self> {
        let store = store(provider(cli.provider), &config).await?;
        let registry = Registry::new();
        let manager =
            LockManagerImpl::with_wait_observer(&config, store, &registry, progress::on_a_terminal())?;
        Ok(Self { manager: Arc::new(manager), json: cli.json_output, config, registry })
    }

    /// Guards over the same manager.
    pub(crate) fn locks(&self) -> LockResult<Locks> {
        Locks::over(self.manager.clone(), &self.config, &self.registry)
    }
}

/// Options given on the command line go before the configuration file's.
pub(crate) fn config(cli: &Cli, chosen: Chosen) -> LockResult<LocksConfig> {
    let mut config = match &cli.config {
        Some(file) => config_file::load(file)?,
        None => LocksConfig::new(&cli.tenant),
    };
    if chosen.tenant {
        config.tenant_id.clone_from(&cli.tenant);
    }
    if chosen.fair_semaphore {
        config.fair_semaphore = Some(cli.fair_semaphore);
    }
    config.validate()?;
    Ok(config)
}

/// The provider by the library's name.
pub(crate) fn provider(provider: Provider) -> RepositoryProvider {
    match provider {
        Provider::Rdb => RepositoryProvider::Rdb,
        Provider::Ddb => RepositoryProvider::Ddb,
        Provider::Redis => RepositoryProvider::Redis,
    }
}

async fn store(provider: RepositoryProvider, config: &LocksConfig) -> LockResult<Box<dyn LockStore>> {
    if config.fair_semaphore() {
        let semaphores = factory::build_fair_semaphore_repository(provider, config).await?;
        return Ok(Box::new(FairLockStore::new(config, semaphores)));
    }
    let mutexes = factory::build_mutex_repository(provider, config).await?;
    let semaphores = factory::build_semaphore_repository(provider, config).await?;
    Ok(Box::new(DefaultLockStore::new(config, mutexes, semaphores)))
}
