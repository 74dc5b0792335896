//! `api-mock-service render`

use std::path::{Path, PathBuf};

use api_mock_engine::{Answer, ConnectionFault, Engine, EngineOptions, FaultPlan, Refusal, Request};
use api_mock_scenario::{Part, Scenario, path_parts};
use api_mock_store::StoreOptions;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::serve::engine_options;
use super::{Outcome, print, validate};
use crate::args::Flags;
use crate::exit::{self, Failure};

/// Which scenario, and which request.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// the scenario's file; files beside it are its fixtures
    file: PathBuf,
    /// method of the request (default: the scenario's)
    #[arg(long)]
    method: Option<String>,
    /// path of the request (default: the scenario's, with its examples for variables, or their names)
    #[arg(long)]
    path: Option<String>,
    /// a query parameter; may be given many times
    #[arg(long, value_name = "NAME=VALUE")]
    query: Vec<String>,
    /// a header; may be given many times
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// body of the request; @FILE reads a file
    #[arg(long, short, value_name = "TEXT")]
    data: Option<String>,
    /// number that makes random data the same each time
    #[arg(long, allow_negative_numbers = true, value_name = "INT")]
    seed: Option<String>,
    /// ask that often, as scenarios may count
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,
    /// print bodies only
    #[arg(long)]
    only_body: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let text = validate::read(&args.file)
        .map_err(|error| Failure::new(exit::USAGE, format!("{}: {error}", args.file.display())))?;
    if let Some(problem) = validate::problem(&args.file, &text) {
        return Err(Failure::new(exit::BAD_SCENARIO, problem));
    }
    let settings = super::settings(&Flags { seed: args.seed.clone(), ..Flags::default() })?;
    let engine = engine(&args.file, &text, engine_options(&settings))?;
    let scenario = engine.store().list(None).into_iter().next();
    let scenario = scenario.ok_or_else(|| Failure::new(exit::FAILED, "the scenario is not there"))?;
    let request = request(args, &scenario.scenario)?;
    for _ in 0..args.times {
        match engine.answer(&request) {
            Ok(answer) => print(&shown(&answer, &request.method, args.only_body))?,
            Err(refusal) => return Err(told(&refusal)),
        }
    }
    Ok(exit::OK)
}

fn told(refusal: &Refusal) -> Failure {
    let code = match refusal {
        Refusal::NoMatch { .. } => exit::NO_MATCH,
        _ => exit::BAD_SCENARIO,
    };
    let json = refusal.to_json();
    Failure::new(code, serde_json::to_string_pretty(&json).unwrap_or_else(|_| refusal.to_string()))
}

/// The scenario, and as fixtures the files beside it, with or without the ending `.dat`.
fn engine(file: &Path, text: &str, options: EngineOptions) -> Result<Engine, Failure> {
    let wrong = |error: api_mock_store::StoreError| Failure::of(exit::BAD_SCENARIO, &error);
    let (engine, _) = Engine::open(StoreOptions::in_memory(), options).map_err(wrong)?;
    let store = engine.store();
    let stored = store.put_text(text, validate::format_of(file)).map_err(wrong)?;
    let scenario = &stored.scenario;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in folder.read_dir()?.flatten() {
        let place = entry.path();
        let Some(name) = place.file_name().and_then(|name| name.to_str()) else { continue };
        let name = name.strip_suffix(".dat").unwrap_or(name);
        // Only what the scenario speaks of: the folder may hold anything.
        if place.as_path() == file
            || !(text.contains(name) || scenario.response.contents_file == name)
            || !place.is_file()
        {
            continue;
        }
        let bytes = std::fs::read(&place)?;
        // A name that no fixture may have is not one.
        let _ = store.put_fixture(&scenario.method, name, &scenario.path, bytes.into());
    }
    Ok(engine)
}

fn request(args: &Args, scenario: &Scenario) -> Result<Request, Failure> {
    let wrong = |what: &str, said: &str| Failure::new(exit::USAGE, format!("{what}: {said:?} is not one"));
    let method = args.method.as_deref().unwrap_or(&scenario.method).to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong("--method", &method))?;
    let mut target = args.path.clone().unwrap_or_else(|| example_path(scenario));
    for (number, query) in args.query.iter().enumerate() {
        target.push(if number == 0 && !target.contains('?') { '?' } else { '&' });
        let (name, value) = query.split_once('=').ok_or_else(|| wrong("--query", query))?;
        target.push_str(&format!("{}={}", encode(name), encode(value)));
    }
    let mut headers = HeaderMap::new();
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or_else(|| wrong("--header", header))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong("--header", header))?;
        let value: HeaderValue = value.trim().parse().map_err(|_| wrong("--header", header))?;
        headers.append(name, value);
    }
    let body = match args.data.as_deref() {
        Some(data) => match data.strip_prefix('@') {
            Some(file) => {
                std::fs::read(file).map_err(|error| Failure::new(exit::USAGE, format!("{file}: {error}")))?
            }
            None => data.as_bytes().to_vec(),
        },
        None => Vec::new(),
    };
    Ok(Request::new(method, &target, headers, body.into()))
}

/// The path of a scenario, with an example or the name for each variable.
fn example_path(scenario: &Scenario) -> String {
    let value = |name: &str| {
        let example = scenario.request.example_path_params.get(name);
        // What looks like a pattern is none to send.
        let plain = |text: &&str| !text.is_empty() && !text.contains(['\\', '[', '(', '{']);
        encode(example.filter(plain).unwrap_or(name))
    };
    let mut path = String::new();
    for segment in path_parts(&scenario.path) {
        path.push('/');
        for part in segment {
            match part {
                Part::Literal(text) => path += &encode(&text),
                Part::Variable(name) | Part::Rest(name) => path += &value(&name),
            }
        }
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

/// Percent-encodes what a path or query cannot hold.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// What a server would do to the connection.
fn fault_of(plan: &FaultPlan) -> String {
    let connection = plan.after.connection.map(|connection| match connection {
        ConnectionFault::Reset { after_bytes: Some(bytes) }
        | ConnectionFault::Truncated { after_bytes: Some(bytes) } => {
            format!("# {} after {bytes} bytes\n", connection.kind())
        }
        other => format!("# {}\n", other.kind()),
    });
    let slow = plan.after.bytes_per_second.map(|bytes| format!("# at {bytes} bytes a second\n"));
    connection.into_iter().chain(slow).collect()
}

/// An answer as HTTP/1.1 shows it, and what a server would wait before it.
fn shown(answer: &Answer, method: &Method, only_body: bool) -> Vec<u8> {
    let mut shown = Vec::new();
    if !only_body {
        shown.extend(format!("HTTP/1.1 {}\n", answer.status).into_bytes());
        for (name, value) in answer.all_headers() {
            shown.extend(format!("{name}: ").into_bytes());
            shown.extend_from_slice(value.as_bytes());
            shown.push(b'\n');
        }
        if let Some(fault) = answer.fault.as_deref() {
            shown.extend(fault_of(fault).into_bytes());
        }
        if !answer.wait.is_zero() {
            shown.extend(format!("# after {:?}\n", answer.wait).into_bytes());
        }
        shown.push(b'\n');
    }
    if method == Method::HEAD {
        // On the wire it has no body either.
        return shown;
    }
    shown.extend_from_slice(&answer.body);
    if !shown.ends_with(b"\n") {
        shown.push(b'\n');
    }
    shown
}
