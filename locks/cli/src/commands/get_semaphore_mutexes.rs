//! `db-locks get-semaphore-mutexes`

use db_locks::{LockManager, LockResult};

use crate::app::App;
use crate::{exit, output};

/// Which semaphore's locks to list.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the semaphore
    #[arg(short, long)]
    key: String,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, true)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    output::locks(app.json, &app.manager.get_semaphore_mutexes(&args.key).await?)?;
    Ok(exit::OK)
}
