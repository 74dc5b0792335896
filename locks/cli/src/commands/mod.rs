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

use db_locks::LockResult;

use crate::app::App;
use crate::args::{Chosen, Cli, Command};

/// Runs the command that the arguments name.
pub(crate) async fn run(cli: Cli, chosen: Chosen) -> LockResult<u8> {
    match &cli.command {
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(args),
        Command::Migrate(args) => return migrate::run(args, &cli, chosen).await,
        _ => {}
    }
    let app = App::connect(&cli, chosen).await?;
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

/// Seconds of the command line as the library's milliseconds; too many become the largest number, which is refused there.
pub(crate) fn millis(secs: i64) -> i64 {
    secs.saturating_mul(1_000)
}
