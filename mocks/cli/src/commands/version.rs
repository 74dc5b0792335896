//! `api-mock-service version`

use serde::Serialize;

use super::{Outcome, print};
use crate::exit;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// as YAML, one thing a line
    #[arg(short, long)]
    short: bool,
}

/// What is built in; a build without `BUILD_COMMIT` and `BUILD_DATE` in its environment does not know them.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: &'static str,
    date: &'static str,
    started: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("BUILD_COMMIT").unwrap_or("unknown"),
        date: option_env!("BUILD_DATE").unwrap_or("unknown"),
        started: jiff::Timestamp::now().to_string(),
    };
    let text = if args.short {
        let Version { version, commit, date, started } = &version;
        format!("version: {version}\ncommit: {commit}\ndate: {date}\nstarted: \"{started}\"\n")
    } else {
        let json =
            serde_json::to_string(&version).map_err(|error| exit::Failure::of(exit::FAILED, &error))?;
        json + "\n"
    };
    print(text.as_bytes())?;
    Ok(exit::OK)
}
