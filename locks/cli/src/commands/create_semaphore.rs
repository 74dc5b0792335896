//! `db-locks create-semaphore`

use db_locks::{LockManager, LockResult, SemaphoreBuilder};

use crate::app::App;
use crate::{exit, output};

/// Which semaphore to create, or to resize.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the semaphore
    #[arg(short, long)]
    key: String,
    /// How many may hold it at once
    #[arg(short, long, value_name = "N")]
    max_size: u32,
    /// Lease in seconds
    #[arg(short, long, default_value_t = 15, allow_negative_numbers = true)]
    lease: i64,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, true)?;
        check.size(Some(self.max_size))?;
        check.lease(self.lease)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let semaphore = SemaphoreBuilder::new(&args.key, args.max_size)
        .with_lease_duration_millis(super::millis(args.lease))
        .build();
    let created = app.manager.create_semaphore(&semaphore).await?;
    output::done(app.json, "created", created, "created or resized")?;
    Ok(exit::OK)
}
