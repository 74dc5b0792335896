//! `db-locks delete-mutex`

use db_locks::{LockManager, LockResult};

use crate::app::App;
use crate::{exit, output};

/// Which mutex to delete.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the mutex
    #[arg(short, long)]
    key: String,
    /// Its current version
    #[arg(short, long)]
    version: String,
    /// Key of the semaphore that the mutex belongs to
    #[arg(short, long)]
    semaphore_key: Option<String>,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.handle(&self.key, self.semaphore_key.as_deref(), &self.version)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let deleted = app.manager.delete_mutex(&args.key, &args.version, args.semaphore_key.clone()).await?;
    output::done(app.json, "deleted", deleted, "deleted")?;
    Ok(exit::OK)
}
