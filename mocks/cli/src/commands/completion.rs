//! `api-mock-service completion`

use clap::CommandFactory;

use super::{Outcome, print};
use crate::args::Cli;
use crate::exit;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "api-mock-service", &mut script);
    print(&script)?;
    Ok(exit::OK)
}
