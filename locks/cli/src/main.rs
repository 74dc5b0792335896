//! The `db-locks` command line: one command, one file under [`commands`].
#![forbid(unsafe_code)]

mod app;
mod args;
mod commands;
mod exec;
mod exit;
mod output;
mod progress;
mod say;
mod signals;

use crate::say::say;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = exec::become_program(std::env::args_os()) {
        return code;
    }
    let (cli, chosen) = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => return exit::of_usage(&error, std::env::args_os().skip(1)),
    };
    init_logging();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say!("db-locks: cannot start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let offset = exit::offset(&cli.command);
    let result = runtime.block_on(commands::run(cli, chosen));
    // A driver's thread that hangs must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => exit::of_error(&error, offset),
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
