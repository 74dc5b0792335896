//! `db-locks create-mutex`

use db_locks::lock_id::validate_data;
use db_locks::{LockManager, LockResult, MutexLockBuilder};

use crate::app::App;
use crate::{exit, output};

/// Which mutex to create.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the mutex
    #[arg(short, long)]
    key: String,
    /// Lease in seconds
    #[arg(short, long, default_value_t = 15, allow_negative_numbers = true)]
    lease: i64,
    /// Data to keep with the mutex
    #[arg(short, long)]
    data: Option<String>,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, false)?;
        check.lease(self.lease)?;
        validate_data(self.data.as_deref())
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let mut mutex = MutexLockBuilder::new(&args.key).with_lease_duration_millis(super::millis(args.lease));
    if let Some(data) = &args.data {
        mutex = mutex.with_data(data);
    }
    let created = app.manager.create_mutex(&mutex.build()).await?;
    output::done(app.json, "created", created, if created == 1 { "created" } else { "exists already" })?;
    Ok(exit::OK)
}
