//! One command, one file. Each has its arguments and a `run` that returns an exit code.

pub(crate) mod acquire;
pub(crate) mod completions;
pub(crate) mod create_mutex;
pub(crate) mod create_semaphore;
pub(crate) mod delete_mutex;
pub(crate) mod delete_semaphore;
pub(crate) mod get_mutex;
pub(crate) mod get_semaphore;
pub(crate) mod get_semaphore_mutexes;
pub(crate) mod heartbeat;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod release;
pub(crate) mod run;

use db_locks::lock_id::{
    MAX_VERSION_BYTES, validate_lease_ms, validate_name, validate_size, validate_version,
};
use db_locks::{LockId, LockResult, LocksConfig};

use crate::app::{self, App};
use crate::args::{Chosen, Cli, Command};

/// Runs the command that the arguments name.
pub(crate) async fn run(cli: Cli, chosen: Chosen) -> LockResult<u8> {
    match &cli.command {
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(args),
        Command::Migrate(args) => return migrate::run(args, &cli, chosen).await,
        _ => {}
    }
    let config = app::config(&cli, chosen)?;
    check(&cli.command, &Check { config: &config })?;
    let app = App::connect(&cli, config).await?;
    match &cli.command {
        Command::Acquire(args) => acquire::run(args, &app).await,
        Command::Heartbeat(args) => heartbeat::run(args, &app).await,
        Command::Release(args) => release::run(args, &app).await,
        Command::GetMutex(args) => get_mutex::run(args, &app).await,
        Command::DeleteMutex(args) => delete_mutex::run(args, &app).await,
        Command::CreateMutex(args) => create_mutex::run(args, &app).await,
        Command::CreateSemaphore(args) => create_semaphore::run(args, &app).await,
        Command::GetSemaphore(args) => get_semaphore::run(args, &app).await,
        Command::DeleteSemaphore(args) => delete_semaphore::run(args, &app).await,
        Command::GetSemaphoreMutexes(args) => get_semaphore_mutexes::run(args, &app).await,
        Command::Run(args) => run::run(args, &app).await,
        Command::Completions(_) | Command::Man(_) | Command::Migrate(_) => Ok(crate::exit::OK),
    }
}

/// Looks at values before any database is asked. (The library looks again.)
pub(crate) struct Check<'a> {
    config: &'a LocksConfig,
}

impl Check<'_> {
    fn lock(&self, key: &str, is_semaphore: bool) -> LockResult<()> {
        let tenant = &self.config.tenant_id;
        let lock = if is_semaphore { LockId::semaphore(tenant, key) } else { LockId::mutex(tenant, key) };
        lock.map(drop)
    }

    fn size(&self, size: Option<u32>) -> LockResult<()> {
        size.map_or(Ok(()), |size| validate_size(size, self.config.max_semaphore_size()))
    }

    fn lease(&self, secs: i64) -> LockResult<()> {
        validate_lease_ms(millis(secs))
    }

    /// The key of a mutex, or the name of a slot, which is longer than that.
    fn handle(&self, key: &str, semaphore_key: Option<&str>, version: &str) -> LockResult<()> {
        match semaphore_key {
            Some(semaphore) => self
                .lock(semaphore, true)
                .and_then(|()| validate_name("key", key, semaphore.len() + 1 + MAX_VERSION_BYTES))?,
            None => self.lock(key, false)?,
        }
        validate_version(version)
    }
}

fn check(command: &Command, check: &Check<'_>) -> LockResult<()> {
    match command {
        Command::Acquire(args) => args.check(check),
        Command::Heartbeat(args) => args.check(check),
        Command::Release(args) => args.check(check),
        Command::Run(args) => args.check(check),
        Command::CreateMutex(args) => args.check(check),
        Command::CreateSemaphore(args) => args.check(check),
        Command::GetMutex(args) => args.check(check),
        Command::DeleteMutex(args) => args.check(check),
        Command::GetSemaphore(args) => args.check(check),
        Command::DeleteSemaphore(args) => args.check(check),
        Command::GetSemaphoreMutexes(args) => args.check(check),
        Command::Completions(_) | Command::Man(_) | Command::Migrate(_) => Ok(()),
    }
}

/// Seconds of the command line as the library's milliseconds; too many become the largest number, which is refused there.
pub(crate) fn millis(secs: i64) -> i64 {
    secs.saturating_mul(1_000)
}
