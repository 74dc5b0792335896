//! `api-mock-service chaos`

use std::hash::{BuildHasher, RandomState};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_mock_contract::{Contract, Data, Progress, Report, RunError, RunOptions, of_group, run};
use api_mock_recorder::certificates;
use api_mock_store::Store;
use clap::ValueEnum;
use http::{HeaderName, HeaderValue};

use super::serve::store_options;
use super::{Outcome, print};
use crate::exit::{self, Failure};
use crate::say::say;
use crate::settings::Settings;

/// Which service is tried, with what, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// http or https address of the service
    #[arg(long = "base_url", alias = "base-url", alias = "baseUrl", value_name = "URL")]
    base_url: String,
    /// group of the scenarios to try
    #[arg(long, value_name = "string")]
    group: String,
    /// only the scenario of this name
    #[arg(long, value_name = "string")]
    scenario: Option<String>,
    /// how often each scenario is tried; less than 1 counts as 5
    #[arg(long, default_value_t = 10, allow_negative_numbers = true, value_name = "int")]
    times: i64,
    /// number that makes the same requests again; each run tells its own
    #[arg(long, allow_negative_numbers = true, value_parser = seed, value_name = "int")]
    seed: Option<u64>,
    /// time that templates in requests see, in seconds since 1970, instead of that of the clock; failed runs tell theirs
    #[arg(long, value_name = "seconds")]
    now: Option<u64>,
    /// requests at a time
    #[arg(long, default_value_t = 1, value_name = "int")]
    concurrency: usize,
    /// requests per second at most
    #[arg(long, value_name = "number")]
    rate: Option<f64>,
    /// seconds that one request may take
    #[arg(long, default_value_t = 30.0, value_name = "seconds")]
    timeout: f64,
    /// a header for each request, instead of that of the scenarios
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// a value for a path variable or a query parameter, instead of that of the scenarios
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// where the data of requests comes from
    #[arg(long, value_enum, default_value_t = Source::Auto)]
    data: Source,
    /// take any status that a scenario of the same method and path has
    #[arg(long = "accept-documented", alias = "accept_documented")]
    accept_documented: bool,
    /// print the requests as lines for curl, and send none
    #[arg(long = "dry-run", alias = "dry_run")]
    dry_run: bool,
    /// show secrets in failures and dry runs, instead of ***
    #[arg(long = "show-secrets", alias = "show_secrets")]
    show_secrets: bool,
    /// PEM file with authorities that the service may have, besides those that everybody knows
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// form of the report on stdout
    #[arg(long, value_enum, default_value_t = Form::Human)]
    report: Form,
    /// also say which scenarios are tried
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    pub(crate) flags: crate::args::DataFlags,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// patterns; examples for scenarios that were made from a specification
    Auto,
    /// examples as they are, patterns where there are none
    Examples,
    /// patterns, examples where there are none
    Patterns,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Human,
    Json,
    Junit,
}

fn seed(text: &str) -> Result<u64, &'static str> {
    crate::settings::seed(text).ok_or("expected a whole number")
}

pub(crate) fn run_it(args: &Args, settings: &Settings) -> Outcome {
    let options = options(args)?;
    let (store, skipped) =
        Store::open(store_options(settings)).map_err(|error| Failure::of(exit::FAILED, &error))?;
    for problem in &skipped {
        say!("api-mock-service: skipped {problem}");
    }
    let mut contracts = of_group(&store, &args.group);
    contracts.retain(|contract| args.scenario.as_ref().is_none_or(|name| contract.scenario.name == *name));
    if contracts.is_empty() {
        let groups = store.groups().join(", ");
        let text = format!(
            "{} has no such scenario of group {:?}; its groups: {groups}",
            settings.text("data_dir"),
            args.group
        );
        return Err(Failure::new(exit::USAGE, text));
    }
    if args.verbose {
        contracts.iter().for_each(|contract| say!("  {}", contract.address()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(watched(&contracts, &args.base_url, options));
    let report = report.map_err(|error| {
        let code = if matches!(error, RunError::Tls(_)) { exit::FAILED } else { exit::USAGE };
        Failure::of(code, &error)
    })?;
    tell(&report, args)?;
    Ok(if report.is_good() { exit::OK } else { exit::BROKEN_PROMISE })
}

fn options(args: &Args) -> Result<RunOptions, Failure> {
    let wrong = |text: String| Failure::new(exit::USAGE, text);
    let mut options = RunOptions::default();
    let times = u32::try_from(args.times.max(0));
    options.times = times.map_err(|_| wrong(format!("--times {} is too often", args.times)))?;
    options.seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    options.concurrency = args.concurrency;
    options.rate = args.rate;
    options.timeout = Duration::try_from_secs_f64(args.timeout)
        .map_err(|_| wrong(format!("--timeout {} is no number of seconds", args.timeout)))?;
    options.accept_documented = args.accept_documented;
    options.dry_run = args.dry_run;
    options.show_secrets = args.show_secrets;
    options.now =
        args.now.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    if let Some(file) = &args.cacert {
        options.extra_roots =
            certificates(file).map_err(|error| wrong(format!("--cacert {}: {error}", file.display())))?;
    }
    options.data = match args.data {
        Source::Auto => Data::Auto,
        Source::Examples => Data::Examples,
        Source::Patterns => Data::Patterns,
    };
    for header in &args.headers {
        // The value may be a secret: it is not said.
        let header = header.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        options.headers.push(header.ok_or_else(|| wrong("a header is written `NAME: VALUE`".to_owned()))?);
    }
    for parameter in &args.parameters {
        let (name, value) =
            parameter.split_once('=').ok_or_else(|| wrong("a parameter is written NAME=VALUE".to_owned()))?;
        options.parameters.insert(name.to_owned(), value.to_owned());
    }
    Ok(options)
}

/// Runs, and shows on a terminal how far it is.
async fn watched(contracts: &[Contract], base_url: &str, options: RunOptions) -> Result<Report, RunError> {
    let progress = Arc::new(Progress::default());
    let mut running = std::pin::pin!(run(contracts, base_url, options, Arc::clone(&progress)));
    if !std::io::stderr().is_terminal() {
        return running.await;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            report = &mut running => {
                show("");
                return report;
            }
            _ = ticks.tick() => show(&line(&progress)),
        }
    }
}

/// In place of what the terminal's last line shows. A terminal that is gone is no reason to stop.
fn show(line: &str) {
    let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
}

fn line(progress: &Progress) -> String {
    const WIDTH: u64 = 30;
    let (done, failed, all) = progress.now();
    let filled = usize::try_from(done * WIDTH / all.max(1)).unwrap_or_default();
    let empty = 30_usize.saturating_sub(filled);
    format!("[{}{}] {done} of {all}, {failed} failed", "#".repeat(filled), ".".repeat(empty))
}

fn tell(report: &Report, args: &Args) -> Result<(), Failure> {
    let text = match args.report {
        Form::Human => report.to_text(),
        Form::Junit => report.to_junit(&args.group),
        Form::Json => {
            let text = serde_json::to_string(report).map_err(|error| Failure::of(exit::FAILED, &error))?;
            format!("{text}\n")
        }
    };
    print(text.as_bytes())
}
