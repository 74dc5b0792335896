//! A generated answer to a checked request: this service beside Steady, in turns and in one run.
//!
//! `cargo run --release -p api-mock-bench --example validated -- [--seconds N] [--rounds N]`
//!
//! Wants wrk. Steady (npm: `@stdy/cli`) is found on PATH, or where the environment variable STEADY says; without it only
//! this service is measured.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_mock_engine::{Engine, EngineOptions};
use api_mock_openapi::{ImportOptions, NoDocuments};
use api_mock_server::{Server, ServerConfig, import_specification};
use api_mock_store::StoreOptions;
use clap::{Parser, Subcommand};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SPECIFICATION: &str = r"openapi: 3.0.3
info: {title: Orders, version: '1'}
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      parameters:
      - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
      - {name: expand, in: query, schema: {type: string, enum: [customer, items]}}
      responses: {'200': {description: one, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}
  /orders:
    post:
      operationId: addOrder
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/NewOrder'}}}}
      responses: {'200': {description: made, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}
components:
  schemas:
    Address:
      type: object
      required: [street, zip]
      properties: {street: {type: string, minLength: 1, maxLength: 80}, zip: {type: string, pattern: '^[0-9]{5}$'}, country: {type: string, enum: [DE, FR, US]}}
    NewOrder:
      type: object
      required: [customer, items, address]
      additionalProperties: false
      properties:
        customer: {type: string, pattern: '^cus_[a-z0-9]{8}$'}
        items: {type: array, minItems: 1, items: {type: object, required: [sku, count], properties: {sku: {type: string}, count: {type: integer, minimum: 1, maximum: 99}}}}
        address: {$ref: '#/components/schemas/Address'}
    Order:
      type: object
      required: [id, customer, created, total, status, address]
      properties:
        id: {type: integer, minimum: 1}
        customer: {type: string, pattern: '^cus_[a-z0-9]{8}$'}
        created: {type: string, format: date-time}
        total: {type: number, minimum: 0, maximum: 1000}
        paid: {type: boolean}
        status: {type: string, enum: [new, paid, shipped]}
        email: {type: string, format: email}
        note: {type: string}
        address: {$ref: '#/components/schemas/Address'}
";

const GOOD_BODY: &str = r#"{"customer": "cus_0a1b2c3d", "items": [{"sku": "A-1", "count": 2}, {"sku": "B-7", "count": 1}], "address": {"street": "Long Street 5", "zip": "12345", "country": "DE"}}"#;
const BAD_BODY: &str = r#"{"customer": 5, "items": [], "address": {"street": ""}}"#;

/// A generated answer to a checked request: this service beside Steady
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    /// Seconds of one round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Rounds; in each, both have their turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Subcommand)]
enum Task {
    /// Serve (used by the program itself)
    Serve,
}

fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    match cli.command {
        Some(Task::Serve) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve())
        }
        None => measure(cli.seconds, cli.rounds),
    }
}

async fn serve() -> Result<(), Failure> {
    let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default())?;
    import_specification(
        engine.store(),
        SPECIFICATION.as_bytes(),
        &ImportOptions::default(),
        &NoDocuments,
        false,
    )?;
    let address = ([127, 0, 0, 1], 0).into();
    let config = ServerConfig { address, validate_requests: true, ..ServerConfig::default() };
    let server = Server::bind(config, Arc::new(engine)).await?;
    println!("{}", server.address());
    server.serve(std::future::pending()).await;
    Ok(())
}

/// A server that runs until this is dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Steady's program is a script that starts another one: both are of a group of their own.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ours() -> Result<Running, Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    Ok(Running { child, address: line.trim().parse()? })
}

fn steady(specification: &Path) -> Result<Option<Running>, Failure> {
    let program = std::env::var_os("STEADY").unwrap_or_else(|| "steady".into());
    // Free a moment ago, and most likely still.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let child = Command::new(program)
        .args(["--quiet", "--host", "127.0.0.1", "--port", &address.port().to_string()])
        .arg(specification)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let Ok(child) = child else { return Ok(None) };
    let running = Running { child, address };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("Steady does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some(running))
}

/// What is asked, and how it goes wrong.
struct Operation {
    name: &'static str,
    method: &'static str,
    good: (&'static str, &'static str),
    bad: (&'static str, &'static str),
}

const OPERATIONS: [Operation; 2] = [
    Operation {
        name: "GET, path and query",
        method: "GET",
        good: ("/orders/42?expand=items", ""),
        bad: ("/orders/none?expand=all", ""),
    },
    Operation {
        name: "POST, JSON body",
        method: "POST",
        good: ("/orders", GOOD_BODY),
        bad: ("/orders", BAD_BODY),
    },
];

/// The status of one request.
fn status(address: SocketAddr, method: &str, (path, body): (&str, &str)) -> Result<u16, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).ok_or("no status")?.parse()?)
}

/// Both answer what is right, and refuse what is wrong.
fn check(name: &str, server: &Running, operation: &Operation) -> Result<(), Failure> {
    let good = status(server.address, operation.method, operation.good)?;
    let bad = status(server.address, operation.method, operation.bad)?;
    if good != 200 || !(400..500).contains(&bad) {
        return Err(
            format!("{name}, {}: {good} for a good request, {bad} for a bad one", operation.name).into()
        );
    }
    Ok(())
}

fn wrk(server: &Running, operation: &Operation, script: &Path, seconds: u64) -> Result<f64, Failure> {
    let (path, _) = operation.good;
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("http://{}{path}", server.address))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") {
        return Err(format!("not all was answered well:\n{text}").into());
    }
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.ok_or_else(|| format!("wrk said:\n{text}"))?.trim().parse()?)
}

fn measure(seconds: u64, rounds: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let specification = folder.path().join("orders.yaml");
    std::fs::write(&specification, SPECIFICATION)?;
    let ours = ours()?;
    let steady = steady(&specification)?;
    if steady.is_none() {
        println!("Steady is not there (npm i @stdy/cli; PATH or STEADY): it is left out");
    }
    println!("wrk -t1 -c32, {rounds} rounds of {seconds} s, requests checked by both");
    for operation in &OPERATIONS {
        let script = folder.path().join("request.lua");
        let (_, body) = operation.good;
        let text = format!(
            "wrk.method = '{}'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'\n",
            operation.method
        );
        std::fs::write(&script, text)?;
        let sides: Vec<(&str, &Running)> = [("api-mock-service", Some(&ours)), ("Steady", steady.as_ref())]
            .into_iter()
            .filter_map(|(name, server)| Some((name, server?)))
            .collect();
        let mut results = vec![Vec::new(); sides.len()];
        for (name, server) in &sides {
            check(name, server, operation)?;
            wrk(server, operation, &script, 1)?;
        }
        for _ in 0..rounds {
            for ((_, server), result) in sides.iter().zip(&mut results) {
                result.push(wrk(server, operation, &script, seconds)?);
            }
        }
        for ((name, _), result) in sides.iter().zip(&results) {
            let all: Vec<String> = result.iter().map(|value| format!("{value:.0}")).collect();
            println!(
                "{:<22} {name:<18} {:>9.0} req/s   ({})",
                operation.name,
                median(result),
                all.join(", ")
            );
        }
        if let [ours, theirs] = results.as_slice() {
            let quotients: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            println!("{:<22} ratio              {:>9.2}", operation.name, median(&quotients));
        }
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
