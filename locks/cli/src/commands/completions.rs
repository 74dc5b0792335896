//! `db-locks completions`

use clap::CommandFactory;
use db_locks::LockResult;

use crate::args::Cli;
use crate::{exit, output};

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> LockResult<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "db-locks", &mut script);
    output::print_text(String::from_utf8_lossy(&script).trim_end())?;
    Ok(exit::OK)
}
