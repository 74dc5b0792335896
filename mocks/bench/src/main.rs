//! Measures api-mock-service beside a bare hyper server and beside other products, in turns and in one run. Each server
//! is a process of its own.
#![forbid(unsafe_code)]

mod bare;
mod child;
mod load;
mod measure;
mod peers;
mod scenarios;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Anything that went wrong; a benchmark just stops then.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures api-mock-service beside a bare hyper server and beside other products
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Seconds of one round
    #[arg(long, default_value_t = 2, global = true)]
    seconds: u64,
    /// Rounds; in each, every server has its turn
    #[arg(long, default_value_t = 5, global = true)]
    rounds: usize,
    /// Connections
    #[arg(long, default_value_t = 32, global = true)]
    connections: usize,
    /// Use the load generator built in, even where wrk is installed
    #[arg(long, global = true)]
    own_load: bool,
    /// Requests after which the memory is looked at again
    #[arg(long, default_value_t = 1_000_000, global = true)]
    requests: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Compare with other products
    Peers(peers::Options),
    /// Only look whether memory grows over many requests
    Memory,
    /// Serve fixed bytes with hyper alone (used by the program itself)
    Bare {
        /// The port; any by default
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Serve a data folder (used by the program itself)
    Serve {
        /// The folder
        data_dir: PathBuf,
        /// The port; any by default
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// An OpenAPI document to import first
        #[arg(long)]
        specification: Option<PathBuf>,
    },
}

fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let load = load::Load {
        round: Duration::from_secs(cli.seconds),
        connections: cli.connections,
        with_wrk: !cli.own_load && load::has_wrk(),
    };
    match cli.command {
        Some(Command::Bare { port }) => runtime()?.block_on(bare::serve(port)),
        Some(Command::Serve { data_dir, port, specification }) => {
            let engine = child::engine(&data_dir, specification.as_deref())?;
            runtime()?.block_on(child::serve(engine, port, specification.is_some()))
        }
        Some(Command::Peers(options)) => peers::compare(&load, cli.rounds, &options),
        Some(Command::Memory) => measure::memory(&load, cli.requests),
        None => measure::all(&load, cli.rounds, cli.requests),
    }
}

/// As the service's own: one thread a core.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
