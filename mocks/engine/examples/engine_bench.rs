//! What the engine costs: answers a second on one thread, without a server.
//!
//! `cargo run --release -p api-mock-engine --example engine_bench`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_scenario::Scenario;
use api_mock_store::StoreOptions;
use http::{HeaderMap, Method};

const STATIC: &str = r#"method: GET
name: static
path: /static/:id
response:
    headers:
        Content-Type: [application/json]
        Server: [bench]
    contents: '{"id": 1, "name": "Ann", "email": "ann@example.com", "tags": ["a", "b"], "active": true, "score": 7}'
    status_code: 200
"#;

const FIELDS: &str = r#"{
          "id": "{{.id}}",
          "udid": "{{Udid}}",
          "name": "{{RandName}}",
          "email": "{{RandEmail}}",
          "sid": "{{RandRegex `^AC[0-9a-f]{32}$`}}",
          "city": "{{RandCity}}",
          "score": {{RandNumMinMax 1 100}},
          "active": {{RandBool}},
          "seen": "{{Time}}",
          "page": "{{.page}}"
        }"#;

fn templated(tail: &str) -> String {
    format!(
        "method: GET\nname: templated\npath: /templated/:id\nresponse:\n    headers:\n        Content-Type: [application/json]\n    contents: |-\n        {FIELDS}\n{tail}"
    )
}

fn engine(files: &[&str]) -> Engine {
    let mut options = EngineOptions::default();
    options.seed = Some(1);
    let (engine, _) = Engine::open(StoreOptions::in_memory(), options).unwrap();
    for file in files {
        engine.store().put_text(file, api_mock_scenario::Format::Yaml).unwrap();
    }
    engine
}

fn get(target: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("host", "localhost:8080".parse().unwrap());
    headers.insert("accept", "*/*".parse().unwrap());
    headers.insert("user-agent", "bench/1.0".parse().unwrap());
    Request::new(Method::GET, target, headers, bytes::Bytes::new())
}

/// Answers a second, the best of some batches.
fn rate(engine: &Engine, targets: &[String]) -> f64 {
    let mut best = Duration::MAX;
    let count = 20_000_u32;
    for _ in 0..7 {
        let begin = Instant::now();
        for number in 0..count {
            let target = &targets[number as usize % targets.len()];
            // As a server does: a request is taken apart for each answer.
            black_box(engine.answer(&get(target)).unwrap());
        }
        best = best.min(begin.elapsed());
    }
    f64::from(count) / best.as_secs_f64()
}

/// Exact paths, path variables, regular expressions and body rules by turns, and requests for them.
fn mixed(count: usize) -> (Engine, Vec<String>) {
    let mut scenarios = Vec::with_capacity(count);
    let mut targets = Vec::new();
    for number in 0..count {
        let mut scenario =
            Scenario { method: "GET".into(), name: format!("s{number}"), ..Scenario::default() };
        let (path, target) = match number % 4 {
            0 => (format!("/exact/{number}/item"), format!("/exact/{number}/item")),
            1 => (format!("/variable/{number}/:id"), format!("/variable/{number}/abc")),
            2 => {
                scenario.request.match_query_params = [("q", "^[a-z]{1,10}$")].into_iter().collect();
                scenario.request.match_headers = [("User-Agent", "bench/[0-9]+")].into_iter().collect();
                (format!("/regex/{number}"), format!("/regex/{number}?q=word"))
            }
            _ => {
                scenario.request.match_contents =
                    r#"{"user.id":"__number__[0-9]+","kind":"^[a-z]+$"}"#.into();
                (format!("/body/{number}/{{name}}"), format!("/body/{number}/x"))
            }
        };
        scenario.path = path;
        scenario.response.contents = api_mock_scenario::Contents::Literal("{\"ok\": true}".into());
        scenarios.push(scenario);
        targets.push(target);
    }
    let engine = engine(&[]);
    engine.store().put_all(&scenarios).unwrap();
    // The same number of different requests for each size, spread over all scenarios.
    let step = (count / 100).max(1);
    let spread = |number: usize| targets[(number * step + number % 4) % count].clone();
    (engine, (0..100).map(spread).collect())
}

fn main() {
    let base = rate(&engine(&[STATIC]), &["/static/7".to_owned()]);
    println!("{:<44} {base:>12.0}/s", "static");
    for (name, tail) in [
        ("templated, ten fields, in place", "    status_code: 200\n"),
        (
            "templated, conditional status, in place",
            "    {{if NthRequest 10}}\n    status_code: 500\n    {{else}}\n    status_code: 200\n    {{end}}\n",
        ),
        ("templated, whole file", "    status_code: 200\n# {{define \"x\"}}{{end}}\n"),
    ] {
        let engine = engine(&[&templated(tail)]);
        let rate = rate(&engine, &["/templated/7?page=2".to_owned()]);
        println!("{name:<44} {rate:>12.0}/s  {:>5.2} of static", rate / base);
    }
    let mut first = None;
    for count in [10, 100, 1_000, 10_000] {
        let (engine, targets) = mixed(count);
        let rate = rate(&engine, &targets);
        let first = *first.get_or_insert(rate);
        println!("{:<44} {rate:>12.0}/s  {:>5.2} of ten", format!("{count} mixed scenarios"), rate / first);
    }
}
