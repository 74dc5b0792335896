//! The `api-mock-service` command line: one command, one file under [`commands`].
#![forbid(unsafe_code)]

mod args;
mod commands;
mod exit;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return exit::of_usage(&error),
    };
    init_logging();
    match commands::run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("api-mock-service: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Words go to stderr; `RUST_LOG=debug` shows more of them.
fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
