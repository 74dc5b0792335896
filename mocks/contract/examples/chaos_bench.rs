//! How many requests a second the chaos client makes, sends and checks, beside a loop of hyper's client that sends
//! one request again and again and looks at nothing but the status. Both ask the same bare hyper server, a process of
//! its own, in turns.
//!
//! `cargo run --release -p api-mock-contract --example chaos_bench -- [SECONDS [WORKERS...]]`
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_mock_contract::{Contract, RunOptions, run};
use api_mock_scenario::{Format, Scenario};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 5;
const BODY: &str = r#"{"id": 110, "title": "illo est", "done": false, "owner": {"id": 7, "name": "ann"}}"#;

/// As the walk-through records it: nothing to draw, much to check.
const GET: &str = r#"
method: GET
name: get
path: /todos/10
response:
    status_code: 200
    match_headers: {Content-Type: application/json}
    match_contents: '{"done":"(__boolean__(false|true))","id":"(__number__[+-]?[0-9]{1,10})","title":"(__string__\\w+)"}'
    assertions:
        - VariableContains contents.id 10
        - VariableContains contents.title illo
        - VariableContains headers.Pragma no-cache
"#;

/// Something to draw everywhere.
const POST: &str = r#"
method: POST
name: post
path: /lists/:list/todos/{id}
request:
    match_query_params: {page: "[1-9][0-9]"}
    match_headers: {X-Request-Id: "[0-9a-f]{16}"}
    match_contents: '{"title":"__string__[a-z ]{5,20}","owner.id":"__number__[1-9][0-9]{0,3}","owner.active":"__boolean__(true|false)"}'
response:
    status_code: 200
    match_headers: {Content-Type: application/json}
    match_contents: '{"id":"__number__[0-9]+","owner.name":"__string__[a-z]+"}'
"#;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("bare") {
        return runtime()?.block_on(serve());
    }
    let seconds: f64 = first.map_or(Ok(1.0), |text| text.parse())?;
    let mut workers = args.map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    if workers.is_empty() {
        workers = vec![16];
    }
    let server = Server::start()?;
    let round = Duration::from_secs_f64(seconds);
    println!("medians of {ROUNDS} rounds of {seconds} s; requests a second");
    println!("workers   bare hyper client   chaos GET (ratio)   chaos POST (ratio)");
    for workers in workers {
        let (mut bare, mut get, mut post) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(hyper_alone(server.address, workers, round)?);
            get.push(chaos(GET, server.address, workers, round)?);
            post.push(chaos(POST, server.address, workers, round)?);
        }
        let ratio = |of: &[f64]| median(of.iter().zip(&bare).map(|(of, to)| of / to).collect());
        let (of_get, of_post) = (ratio(&get), ratio(&post));
        println!(
            "{workers:>7} {:>19.0} {:>12.0} ({of_get:.2}) {:>13.0} ({of_post:.2})",
            median(bare.clone()),
            median(get),
            median(post)
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The server, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Server, Failure> {
        let mut child = Command::new(std::env::current_exe()?).arg("bare").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        Ok(Server { child, address: line.trim().parse()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A client that goes away is no error of ours.
            let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    headers.insert("pragma", hyper::header::HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Requests a second of hyper's client, with a connection for each worker.
fn hyper_alone(address: SocketAddr, workers: usize, round: Duration) -> Result<f64, Failure> {
    let begun = Instant::now();
    let count = runtime()?.block_on(async {
        let mut all = JoinSet::new();
        for _ in 0..workers {
            all.spawn(one(address, begun + round));
        }
        let mut count = 0_u32;
        while let Some(done) = all.join_next().await {
            count += done??;
        }
        Ok::<_, Failure>(count)
    })?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

async fn one(address: SocketAddr, end: Instant) -> Result<u32, Failure> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut count = 0;
    while Instant::now() < end {
        sender.ready().await?;
        let request = Request::get("/todos/10").header("host", "bench").body(Full::<Bytes>::default())?;
        let answer = sender.send_request(request).await?;
        if answer.status() != 200 {
            return Err("the server does not answer well".into());
        }
        answer.into_body().collect().await?;
        count += 1;
    }
    Ok(count)
}

/// Requests a second of a run.
fn chaos(text: &str, address: SocketAddr, workers: usize, round: Duration) -> Result<f64, Failure> {
    let contract = Contract::new(Scenario::parse(text, Format::Yaml)?);
    let mut options = RunOptions::default();
    options.times = 5_000_000;
    options.concurrency = workers;
    options.deadline = Some(round);
    let base = format!("http://{address}");
    let begun = Instant::now();
    let running = async { run(&[contract], &base, options, Arc::default()).await };
    let report = runtime()?.block_on(running)?;
    if report.failed > 0 {
        return Err(format!("{:?}", report.errors).into());
    }
    #[allow(clippy::cast_precision_loss, reason = "runs are shorter than that")]
    Ok(report.succeeded as f64 / begun.elapsed().as_secs_f64())
}
