//! `db-locks release`

use db_locks::lock_id::validate_data;
use db_locks::{LockManager, LockResult, ReleaseLockOptionsBuilder};

use crate::app::App;
use crate::say::say;
use crate::{exit, output};

/// Which lock to release.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the lock, as acquire printed it
    #[arg(short, long)]
    key: String,
    /// Its current version
    #[arg(short, long)]
    version: String,
    /// Key of the semaphore that the lock belongs to
    #[arg(short, long)]
    semaphore_key: Option<String>,
    /// New data to leave with the lock
    #[arg(short, long)]
    data: Option<String>,
    /// Delete the lock too
    #[arg(long)]
    delete: bool,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.handle(&self.key, self.semaphore_key.as_deref(), &self.version)?;
        validate_data(self.data.as_deref())
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let mut opts = ReleaseLockOptionsBuilder::new(&args.key, &args.version)
        .with_opt_semaphore_key(args.semaphore_key.as_deref())
        .with_delete_lock(args.delete);
    if let Some(data) = &args.data {
        opts = opts.with_data(data);
    }
    if app.manager.release_lock(&opts.build()).await? {
        output::done(app.json, "released", true, "released")?;
        return Ok(exit::OK);
    }
    output::done(app.json, "released", false, "not released")?;
    say!("db-locks: the version is not the current one: the lease ran out and somebody else took the lock");
    Ok(exit::NOT_FOUND)
}
