//! `db-locks migrate`

use db_locks::{LockResult, factory};

use crate::app;
use crate::args::{Chosen, Cli};
use crate::{exit, output};

/// Nothing to choose: the database is the one that all commands use.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, cli: &Cli, chosen: Chosen) -> LockResult<u8> {
    let mut config = app::config(cli, chosen)?;
    // Connecting must not do it already, so that what was done can be told.
    config.run_database_migrations = Some(false);
    let repository = factory::build_repository(app::provider(cli.provider), &config).await?;
    let applied = repository.migrate().await?;
    let words = match applied.is_empty() {
        true => format!("{} is up to date", repository.name()),
        false => format!("applied to {}: {}", repository.name(), applied.join(", ")),
    };
    output::done(cli.json_output, "applied", applied, &words)?;
    Ok(exit::OK)
}
