//! `db-locks acquire`

use db_locks::lock_id::validate_data;
use db_locks::{AcquireLockOptionsBuilder, LockManager, LockResult};

use crate::app::App;
use crate::{exit, output, progress, signals};

/// What to acquire, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Key of the mutex or semaphore
    #[arg(short, long)]
    pub(crate) key: String,
    /// Lease in seconds
    #[arg(short, long, default_value_t = 15, allow_negative_numbers = true)]
    lease: i64,
    /// Acquire one of this many locks of a semaphore, which is created if it does not exist
    #[arg(short, long, value_name = "N")]
    semaphore_max_size: Option<u32>,
    /// Data to keep with the lock
    #[arg(short, long)]
    data: Option<String>,
    /// Seconds to wait for the lock [default: as long as the lease]; 0 does not wait
    #[arg(short, long, value_name = "SECONDS")]
    wait: Option<u32>,
    /// Delete the lock when it is released
    #[arg(long)]
    delete_on_release: bool,
    /// Do not create the lock if it does not exist
    #[arg(long)]
    only_if_exists: bool,
}

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, self.semaphore_max_size.is_some())?;
        check.size(self.semaphore_max_size)?;
        check.lease(self.lease)?;
        validate_data(self.data.as_deref())
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let mut opts = AcquireLockOptionsBuilder::new(&args.key)
        .with_lease_duration_millis(super::millis(args.lease))
        .with_delete_on_release(args.delete_on_release)
        .with_acquire_only_if_already_exists(args.only_if_exists);
    if let Some(size) = args.semaphore_max_size {
        opts = opts.with_semaphore_max_size(size);
    }
    if let Some(data) = &args.data {
        opts = opts.with_data(data);
    }
    if let Some(secs) = args.wait {
        opts = opts.with_override_time_to_wait_for_lock_ms(i64::from(secs) * 1_000);
    }
    let opts = opts.build();
    let mut signals = signals::Forwarded::listen()?;
    let granted = tokio::select! {
        granted = app.manager.acquire_lock(&opts) => granted,
        signal = signals.next_ending() => {
            progress::clear();
            // The dropped acquisition leaves the queue before the program ends.
            app.manager.settled().await;
            return Ok(signals::code(signal));
        }
    };
    progress::clear();
    match granted {
        Ok(lock) => {
            if let Err(error) = output::lock(app.json, &lock) {
                // Nobody learned the version, so nobody else could.
                app.manager.release_lock(&lock.to_release_options()).await?;
                return Err(error);
            }
            Ok(exit::OK)
        }
        Err(error) => {
            app.manager.settled().await;
            Err(error)
        }
    }
}
