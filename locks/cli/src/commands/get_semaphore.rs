//! `db-locks get-semaphore`

use db_locks::{LockManager, LockResult};

use crate::app::App;
use crate::{exit, output};

/// Which semaphore to show.
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
    output::semaphore(app.json, &app.manager.get_semaphore(&args.key).await?)?;
    Ok(exit::OK)
}
