//! `db-locks delete-semaphore`

use db_locks::lock_id::validate_version;
use db_locks::{LockManager, LockResult};

use crate::app::App;
use crate::{exit, output};

/// Which semaphore to delete.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the semaphore
    #[arg(short, long)]
    key: String,
    /// Its current version, as get-semaphore shows it
    #[arg(short, long)]
    version: String,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, true)?;
        validate_version(&self.version)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let deleted = app.manager.delete_semaphore(&args.key, &args.version).await?;
    output::done(app.json, "deleted", deleted, "deleted")?;
    Ok(exit::OK)
}
