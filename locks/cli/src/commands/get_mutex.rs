//! `db-locks get-mutex`

use db_locks::{LockManager, LockResult};

use crate::app::App;
use crate::{exit, output};

/// Which mutex to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the mutex, or of one lock of a semaphore
    #[arg(short, long)]
    key: String,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, false)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    output::lock(app.json, &app.manager.get_mutex(&args.key).await?)?;
    Ok(exit::OK)
}
