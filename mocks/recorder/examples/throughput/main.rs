//! What the recording proxy costs: requests a second and the latency that it adds, each beside the same load without it, in
//! turns, all servers processes of their own.
//!
//! `cargo run --release -p api-mock-recorder --example throughput`, with `-- --seconds 2 --rounds 3 --connections 16` to change
//! these, and with `--only new` for the rows with this word in them. `MITMDUMP=/path/to/mitmdump` puts that proxy beside it.
#![allow(clippy::print_stdout, reason = "a program for people")]

mod load;
mod origin;
mod process;
mod proxy;
mod turns;

use std::path::PathBuf;

/// Anything that went wrong; a benchmark just stops then.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is asked for, and how.
struct Plan {
    seconds: u64,
    rounds: usize,
    connections: usize,
    /// What rows must have in their names; those without a proxy are always measured.
    only: String,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match words.as_slice() {
        ["origin", kind, folder] => runtime()?.block_on(origin::serve(kind, &PathBuf::from(folder))),
        ["proxy", mode, folder, root] => {
            runtime()?.block_on(proxy::serve(mode, &PathBuf::from(folder), &PathBuf::from(root)))
        }
        _ => turns::all(&plan(&words)?),
    }
}

fn plan(words: &[&str]) -> Result<Plan, Failure> {
    let mut plan = Plan { seconds: 2, rounds: 3, connections: 16, only: String::new() };
    for pair in words.chunks(2) {
        match pair {
            ["--seconds", value] => plan.seconds = value.parse()?,
            ["--rounds", value] => plan.rounds = value.parse()?,
            ["--connections", value] => plan.connections = value.parse()?,
            ["--only", value] => plan.only = (*value).to_owned(),
            _ => {
                return Err(
                    format!("{pair:?} is none of --seconds, --rounds, --connections and --only").into()
                );
            }
        }
    }
    Ok(plan)
}
