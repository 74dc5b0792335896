//! `api-mock-service import-openapi`

use std::path::{Path, PathBuf};

use api_mock_openapi::{ImportOptions, LoadError, Loader};
use api_mock_scenario::Scenario;
use api_mock_server::{ImportReport, WebDocuments, import_specification};
use api_mock_store::Store;
use tokio::runtime::Handle;

use super::serve::store_options;
use super::{Outcome, print, recording};
use crate::exit::{self, Failure};
use crate::say::say;
use crate::settings::Settings;

/// What to import, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// the specification: Swagger 2.0 or OpenAPI 3, YAML or JSON; its file, or its http or https address
    #[arg(value_name = "FILE|URL", required_unless_present = "file")]
    specification: Option<PathBuf>,
    /// the same, as a flag
    #[arg(long, value_name = "FILE|URL", conflicts_with = "specification")]
    file: Option<PathBuf>,
    /// group of the scenarios, instead of the specification's title
    #[arg(long, value_name = "string")]
    group: Option<String>,
    /// also read documents from other hosts that the specification refers to; private addresses only if the setting
    /// proxy_allow has them
    #[arg(long = "remote-refs")]
    remote_refs: bool,
    /// folder that references of a file may reach, instead of the file's own
    #[arg(long = "ref-root", value_name = "DIR")]
    ref_root: Option<PathBuf>,
    /// which requests the statuses from 300 on answer
    #[arg(long, value_enum, default_value_t = Errors::Rotate)]
    errors: Errors,
    /// answer with the specification's examples of whole bodies where it has valid ones
    #[arg(long = "body-examples")]
    body_examples: bool,
    /// put the scenarios below the path of the specification's first server
    #[arg(long = "base-path")]
    base_path: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Errors {
    /// every second one
    Rotate,
    /// those that name the scenario in `X-Mock-Scenario`
    Asked,
}

/// Larger files are not read.
const LARGEST_BYTES: u64 = 64 << 20;

pub(crate) fn run(args: &Args, settings: &Settings) -> Outcome {
    let Some(given) = args.specification.as_deref().or(args.file.as_deref()) else {
        return Err(Failure::new(exit::USAGE, "which file?"));
    };
    // For addresses; one thread of it waits for the network.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let source = Source::open(given, args, settings, runtime.handle())?;

    // Nobody is answered here, so there is no engine; but what it would not take is not imported either.
    let check = |scenario: &Scenario, text: &str| api_mock_engine::check(scenario, text).map_err(Into::into);
    let mut checked = store_options(settings).checked(check);
    checked.watch_every = None;
    let (store, skipped) = Store::open(checked).map_err(|error| Failure::of(exit::FAILED, &error))?;
    for problem in &skipped {
        say!("api-mock-service: skipped {problem}");
    }
    let mut options = ImportOptions::default();
    options.location.clone_from(&source.location);
    options.remote_references = args.remote_refs;
    options.group.clone_from(&args.group);
    options.body_examples = args.body_examples;
    options.base_path = args.base_path;
    if args.errors == Errors::Asked {
        // Nothing makes it true: the scenario answers only who names it.
        options.error_predicate = "false".to_owned();
    }
    let report = import_specification(&store, &source.bytes, &options, &source, args.dry_run)
        .map_err(|error| Failure::of(exit::BAD_SPECIFICATION, &error))?;
    tell(&report, args)?;
    Ok(if args.strict && !report.problems.is_empty() { exit::BAD_SPECIFICATION } else { exit::OK })
}

/// The specification, and where its documents are.
struct Source {
    bytes: Vec<u8>,
    /// An address, or a path below the folder.
    location: String,
    /// The folder that may be read; none for a specification from the network.
    folder: Option<PathBuf>,
    web: Option<WebDocuments>,
}

impl Source {
    fn open(given: &Path, args: &Args, settings: &Settings, runtime: &Handle) -> Result<Self, Failure> {
        match given.to_str().filter(|text| is_address(text)) {
            Some(url) => Source::of_address(url, settings, runtime),
            None => Source::of_file(given, args, settings, runtime),
        }
    }

    fn of_file(file: &Path, args: &Args, settings: &Settings, runtime: &Handle) -> Result<Self, Failure> {
        let unreadable = |error| Failure::new(exit::USAGE, format!("{}: {error}", file.display()));
        let bytes = read(file).map_err(unreadable)?;
        let file = file.canonicalize().map_err(unreadable)?;
        let beside = file.parent().unwrap_or(Path::new("/"));
        let folder = match &args.ref_root {
            Some(root) => {
                let unreadable = |error| Failure::new(exit::USAGE, format!("{}: {error}", root.display()));
                root.canonicalize().map_err(unreadable)?
            }
            None => beside.to_owned(),
        };
        let Ok(below) = file.strip_prefix(&folder) else {
            return Err(Failure::new(
                exit::USAGE,
                "--ref-root must be a folder that the specification is in",
            ));
        };
        let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let location = parts.join("/");
        let web = if args.remote_refs { Some(web(settings, runtime, None)?) } else { None };
        Ok(Source { bytes, location, folder: Some(folder), web })
    }

    /// Whoever types an address may ask its host, wherever that is.
    fn of_address(url: &str, settings: &Settings, runtime: &Handle) -> Result<Self, Failure> {
        let web = web(settings, runtime, Some(url))?;
        let fetched = web.fetch(url);
        // The address may hold what is nobody's business.
        let fetched = fetched.map_err(|error| {
            Failure::new(exit::USAGE, format!("the specification cannot be fetched: {error}"))
        })?;
        Ok(Source { bytes: fetched.bytes.to_vec(), location: fetched.url, folder: None, web: Some(web) })
    }
}

impl Loader for Source {
    fn load(&self, location: &str) -> Result<Vec<u8>, LoadError> {
        match (&self.folder, &self.web) {
            (_, Some(web)) if is_address(location) => web.load(location),
            (Some(folder), _) => beside(folder, location),
            _ => Err("files are not read for a specification from the network".into()),
        }
    }
}

fn web(settings: &Settings, runtime: &Handle, url: Option<&str>) -> Result<WebDocuments, Failure> {
    let guard = recording::guard(settings)?;
    let host = url.and_then(|url| url.parse::<http::Uri>().ok());
    let host = host.as_ref().and_then(http::Uri::host);
    let guard = guard.allow(host).map_err(|error| Failure::new(exit::USAGE, error.to_string()))?;
    let opened = WebDocuments::new(&recording::upstream(settings)?, guard, runtime.clone());
    opened.map_err(|error| Failure::new(exit::USAGE, error.to_string()))
}

fn is_address(text: &str) -> bool {
    let text = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    text.starts_with("http://") || text.starts_with("https://")
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > LARGEST_BYTES {
        return Err(std::io::Error::other(format!("{length} bytes are more than {LARGEST_BYTES}")));
    }
    std::fs::read(file)
}

/// A document in the folder or below; links do not lead out of it.
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
    say!(
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
