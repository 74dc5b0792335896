//! Runs [Schemathesis](https://schemathesis.readthedocs.io) against the mock of each specification and prints what its
//! checks found. `pip install 'schemathesis>=4.32'`, then
//!
//! `cargo run --release -p api-mock-server --example schemathesis -- SPECIFICATION...`
//!
//! The environment may say which program (`ST=st`) and how many examples for each operation (`EXAMPLES=15`) there are
//! to be; with `VERBOSE=1` all that Schemathesis says is printed. The exit code tells whether all checks passed.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_openapi::{Api, ImportOptions, NoDocuments, SecurityScheme, parse};
use api_mock_server::{Server, ServerConfig, import_specification};
use api_mock_store::StoreOptions;
use serde_json::Value;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The only credentials that the mock takes; Schemathesis is told them, and tries others.
const KEY: &str = "good-key";
const TOKEN: &str = "good-token";
/// `user:password`
const BASIC: &str = "dXNlcjpwYXNzd29yZA==";

fn main() -> Result<ExitCode, Failure> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        return Err("which specifications?".into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut is_good = true;
    println!("specification | operations | cases | seconds | failed checks, and for how many operations");
    println!("---|---|---|---|---");
    for file in files {
        let begun = Instant::now();
        let folder = tempfile::tempdir()?;
        let address = runtime.block_on(serve(&file, &folder.path().join("data")))?;
        let (api, _) = parse(&std::fs::read(&file)?, &ImportOptions::default(), &NoDocuments)?;
        std::fs::write(folder.path().join("schemathesis.toml"), settings(&api))?;
        let report = tested(&file, &address, folder.path())?;
        let failures = report["failures"].as_array().cloned().unwrap_or_default();
        let told: Vec<String> = failures.iter().map(told).collect();
        is_good &= told.is_empty() && report["complete"] == true;
        println!(
            "{} | {} | {} | {:.0} | {}",
            file.file_name().unwrap_or_default().to_string_lossy(),
            report["operations"]["tested"],
            report["test_cases"]["generated"],
            begun.elapsed().as_secs_f64(),
            if told.is_empty() { "none".to_owned() } else { told.join("; ") }
        );
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A mock that refuses what the specification does not allow, and answers with errors only who asks for them.
async fn serve(file: &Path, data: &Path) -> Result<String, Failure> {
    let (engine, _) = Engine::open(StoreOptions::in_folder(data), EngineOptions::default())?;
    let mut options = ImportOptions::default();
    options.error_predicate = "false".to_owned();
    import_specification(engine.store(), &std::fs::read(file)?, &options, &NoDocuments, false)?;
    let address = ([127, 0, 0, 1], 0).into();
    let credentials = [KEY, TOKEN, BASIC].into_iter().collect();
    let config = ServerConfig { address, validate_requests: true, credentials, ..ServerConfig::default() };
    let server = Server::bind(config, Arc::new(engine)).await?;
    let address = format!("http://{}", server.address());
    // It ends with the runtime.
    tokio::spawn(server.serve(std::future::pending()));
    Ok(address)
}

/// What Schemathesis reads in the folder where it runs: the good credentials.
fn settings(api: &Api) -> String {
    api.security
        .iter()
        .filter_map(|scheme| Some(format!("[auth.openapi.{:?}]\n{}\n", scheme.name, good(scheme)?)))
        .collect()
}

fn good(scheme: &SecurityScheme) -> Option<String> {
    match (scheme.kind.as_str(), scheme.scheme.to_ascii_lowercase().as_str()) {
        ("apiKey", _) => Some(format!("api_key = {KEY:?}")),
        ("http", "basic") => Some("username = \"user\"\npassword = \"password\"".to_owned()),
        ("http", "bearer") | ("oauth2" | "openIdConnect", _) => Some(format!("bearer = {TOKEN:?}")),
        // It knows no others.
        _ => None,
    }
}

/// The report of a run.
fn tested(file: &Path, address: &str, folder: &Path) -> Result<Value, Failure> {
    let said = match run(&file.canonicalize()?, address, folder)? {
        Ok(report) => return Ok(report),
        Err(said) => said,
    };
    // Some files that are called JSON are not quite; as YAML they can be read.
    let copy = folder.join("specification.yaml");
    std::fs::copy(file, &copy)?;
    run(&copy, address, folder)?.map_err(|_| format!("{}: {said}", file.display()).into())
}

/// The report, or what was said instead.
fn run(file: &Path, address: &str, folder: &Path) -> Result<Result<Value, String>, Failure> {
    let or = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let path = folder.join("report.json");
    let ran = Command::new(or("ST", "st"))
        .arg("run")
        .arg(file)
        .args(["--url", address, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &or("EXAMPLES", "15"), "--generation-deterministic"])
        .args(["--continue-on-failure", "--no-color", "--report", "json", "--report-json-path"])
        .arg(&path)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("Schemathesis does not start: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    if std::env::var_os("VERBOSE").is_some() {
        println!("{said}");
    }
    let report = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let report =
        report.filter(|report| report["operations"]["tested"].as_u64().is_some_and(|tested| tested > 0));
    Ok(report.ok_or(said))
}

fn told(failure: &Value) -> String {
    let text = |key: &str| failure[key].as_str().unwrap_or_default().to_owned();
    let operations = failure["operations"].as_array().map_or(0, Vec::len);
    format!("{} {} ({operations})", text("code"), text("title"))
}
