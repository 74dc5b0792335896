//! The `api-mock-service` command line: one command, one file under [`commands`].
#![forbid(unsafe_code)]

mod args;
mod commands;
mod exit;
mod say;
mod settings;
mod zone;

use crate::say::say;
use std::process::ExitCode;

/// An import makes and frees millions of small things, a request some dozens: the system's allocator takes a third of the time of the one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return exit::of_usage(&error),
    };
    init_logging();
    match commands::run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say!("api-mock-service: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Words go to stderr; `RUST_LOG=debug` shows more of them.
fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // It would complain of a closed stderr on stderr, and panic.
    let words = tracing_subscriber::fmt().with_writer(std::io::stderr).log_internal_errors(false);
    words.with_env_filter(filter).init();
}
