//! `api-mock-service import-openapi`

use std::path::{Path, PathBuf};

use api_mock_engine::Engine;
use api_mock_openapi::{ImportOptions, LoadError};
use api_mock_server::{ImportReport, import_specification};

use super::serve::{engine_options, store_options};
use super::{Outcome, print};
use crate::exit::{self, Failure};
use crate::settings::Settings;

/// What to import, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// the specification: Swagger 2.0 or OpenAPI 3, YAML or JSON
    #[arg(value_name = "FILE", required_unless_present = "file")]
    specification: Option<PathBuf>,
    /// the same, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "specification")]
    file: Option<PathBuf>,
    /// group of the scenarios, instead of the specification's title
    #[arg(long, value_name = "string")]
    group: Option<String>,
    /// only tell what would be done
    #[arg(long = "dry-run")]
    dry_run: bool,
    /// fail if anything was left out
    #[arg(long)]
    strict: bool,
    /// print the whole report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) flags: crate::args::DataFlags,
}

/// Larger files are not read.
const LARGEST_BYTES: u64 = 64 << 20;

pub(crate) fn run(args: &Args, settings: &Settings) -> Outcome {
    let Some(file) = args.specification.as_deref().or(args.file.as_deref()) else {
        return Err(Failure::new(exit::USAGE, "which file?"));
    };
    if is_address(file) {
        let text = "addresses are not fetched; download the specification and import the file";
        return Err(Failure::new(exit::USAGE, text));
    }
    let unreadable = |error| Failure::new(exit::USAGE, format!("{}: {error}", file.display()));
    let bytes = read(file).map_err(unreadable)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(unreadable)?;

    let (engine, skipped) = Engine::open(store_options(settings), engine_options(settings))
        .map_err(|error| Failure::of(exit::FAILED, &error))?;
    for problem in &skipped {
        eprintln!("api-mock-service: skipped {problem}");
    }
    let mut options = ImportOptions::default();
    options.location = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    options.group.clone_from(&args.group);
    let load = |location: &str| beside(&folder, location);
    let report = import_specification(engine.store(), &bytes, &options, &load, args.dry_run)
        .map_err(|error| Failure::of(exit::BAD_SPECIFICATION, &error))?;
    tell(&report, args)?;
    Ok(if args.strict && !report.problems.is_empty() { exit::BAD_SPECIFICATION } else { exit::OK })
}

fn is_address(file: &Path) -> bool {
    let text = file.to_string_lossy().to_ascii_lowercase();
    text.starts_with("http://") || text.starts_with("https://")
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > LARGEST_BYTES {
        return Err(std::io::Error::other(format!("{length} bytes are more than {LARGEST_BYTES}")));
    }
    std::fs::read(file)
}

/// A document in the folder of the specification or below; links do not lead out of it.
fn beside(folder: &Path, location: &str) -> Result<Vec<u8>, LoadError> {
    let file = folder.join(location).canonicalize()?;
    if !file.starts_with(folder) {
        return Err("it is not in the folder of the specification".into());
    }
    Ok(read(&file)?)
}

fn tell(report: &ImportReport, args: &Args) -> Result<(), Failure> {
    if args.json {
        let text = serde_json::to_string_pretty(report).map_err(|error| Failure::of(exit::FAILED, &error))?;
        print(format!("{text}\n").as_bytes())?;
    } else {
        let mut text = String::new();
        let lists = [
            ("added", &report.added),
            ("changed", &report.changed),
            ("kept", &report.kept),
            ("removed", &report.removed),
        ];
        for (word, addresses) in lists {
            addresses.iter().for_each(|address| text.push_str(&format!("{word} {address}\n")));
        }
        for problem in &report.problems {
            text.push_str(&format!("note {}: {}\n", problem.at, problem.what));
        }
        print(text.as_bytes())?;
    }
    eprintln!(
        "api-mock-service: {}{} scenarios added, {} changed, {} as they were, {} kept as somebody changed them, {} removed; {} notes",
        if args.dry_run { "would be: " } else { "" },
        report.added.len(),
        report.changed.len(),
        report.unchanged,
        report.kept.len(),
        report.removed.len(),
        report.problems.len()
    );
    Ok(())
}
