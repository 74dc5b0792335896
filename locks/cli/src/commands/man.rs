//! `db-locks man`

use clap::CommandFactory;
use db_locks::{LockError, LockResult};

use crate::args::Cli;
use crate::{exit, output};

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> LockResult<u8> {
    let mut page = Vec::new();
    let failed = |e| LockError::runtime_from("cannot write the manual page", e);
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
    // One page for all: each sub-command's synopsis and options follow.
    for command in Cli::command().get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("db-locks-{}", command.get_name());
        let man = clap_mangen::Man::new(command.clone().bin_name(&name).display_name(name.clone()));
        man.render_synopsis_section(&mut page).map_err(failed)?;
        man.render_description_section(&mut page).map_err(failed)?;
        man.render_options_section(&mut page).map_err(failed)?;
        if command.get_after_help().is_some() {
            man.render_extra_section(&mut page).map_err(failed)?;
        }
    }
    output::print_text(String::from_utf8_lossy(&page).trim_end())?;
    Ok(exit::OK)
}
