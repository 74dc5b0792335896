//! `db-locks heartbeat`

use db_locks::lock_id::validate_data;
use db_locks::{LockManager, LockResult, SendHeartbeatOptionsBuilder};

use crate::app::App;
use crate::{exit, output};

/// Which lock to renew.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the lock, as acquire printed it
    #[arg(short, long)]
    key: String,
    /// Its current version
    #[arg(short, long)]
    version: String,
    /// New lease in seconds, from now
    #[arg(short, long, default_value_t = 15, allow_negative_numbers = true)]
    lease: i64,
    /// Key of the semaphore that the lock belongs to
    #[arg(short, long)]
    semaphore_key: Option<String>,
    /// New data to keep with the lock
    #[arg(short, long)]
    data: Option<String>,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.handle(&self.key, self.semaphore_key.as_deref(), &self.version)?;
        check.lease(self.lease)?;
        validate_data(self.data.as_deref())
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let mut opts = SendHeartbeatOptionsBuilder::new(&args.key, &args.version)
        .with_lease_duration_millis(super::millis(args.lease))
        .with_opt_semaphore_key(args.semaphore_key.as_deref());
    if let Some(data) = &args.data {
        opts = opts.with_data(data);
    }
    let lock = app.manager.send_heartbeat(&opts.build()).await?;
    output::lock(app.json, &lock)?;
    Ok(exit::OK)
}
