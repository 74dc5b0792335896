//! How long imports take: `cargo run --release -p api-mock-openapi --example import_times -- FILE...`
//!
//! Without files it imports specifications of its own, of several sizes, whose schemas refer to each
//! other in circles.

use std::fmt::Write as _;
use std::time::Instant;

use api_mock_openapi::{ImportOptions, NoDocuments, import, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "{:>9}  {:>8}  {:>8}  {:>9}  {:>8}  {:>9}",
        "bytes", "read ms", "ms", "scenarios", "problems", "peak MB"
    );
    for file in &files {
        show(file, &std::fs::read(file)?);
    }
    if files.is_empty() {
        for schemas in [60, 600, 1_200, 2_400, 6_000] {
            show(&format!("{schemas} schemas, JSON"), circular(schemas).as_bytes());
        }
    }
    Ok(())
}

fn show(name: &str, bytes: &[u8]) {
    let start = Instant::now();
    let read = parse(bytes, &ImportOptions::default(), &NoDocuments).is_ok();
    let reading = if read { start.elapsed().as_secs_f64() * 1000.0 } else { 0.0 };
    let start = Instant::now();
    match import(bytes, &ImportOptions::default(), &NoDocuments) {
        Ok(import) => {
            let took = start.elapsed().as_secs_f64() * 1000.0;
            let (scenarios, problems) = (import.scenarios.len(), import.problems.len());
            let peak = peak_kilobytes().map_or_else(String::new, |peak| (peak / 1024).to_string());
            println!(
                "{:>9}  {reading:>8.1}  {took:>8.1}  {scenarios:>9}  {problems:>8}  {peak:>9}  {name}",
                bytes.len()
            );
        }
        Err(error) => println!("{name}: {error}"),
    }
}

/// The most memory that this process had so far, where the system tells.
fn peak_kilobytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Resources that hold each other, as payment services have them: each schema refers to five others,
/// some by way of alternatives, and each has a list, a read, a create and a delete operation.
fn circular(schemas: usize) -> String {
    let mut text = r#"{"openapi":"3.0.3","info":{"title":"Circles","version":"1"},"paths":{"#.to_owned();
    for n in 0..schemas / 4 {
        let comma = if n > 0 { "," } else { "" };
        let answer = |schema: &str| {
            format!(
                r#""responses":{{"200":{{"description":"It went well.","content":{{"application/json":{{"schema":{schema}}}}}}},"default":{{"description":"It did not.","content":{{"application/json":{{"schema":{{"$ref":"\#/components/schemas/S0"}}}}}}}}}}"#
            )
            .replace("\\#", "#")
        };
        let one = format!(r##"{{"$ref":"#/components/schemas/S{n}"}}"##);
        let many = format!(
            r#"{{"type":"object","properties":{{"data":{{"type":"array","items":{one}}},"has_more":{{"type":"boolean"}}}}}}"#
        );
        let id = r#"{"name":"id","in":"path","required":true,"schema":{"type":"string","maxLength":50}}"#;
        let limit = r#"{"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":100}}"#;
        let _ = write!(
            text,
            r#"{comma}"/v1/r{n}":{{"get":{{"operationId":"list{n}","parameters":[{limit}],{}}},"post":{{"operationId":"create{n}","requestBody":{{"content":{{"application/json":{{"schema":{one}}}}}}},{}}}}},"/v1/r{n}/{{id}}":{{"get":{{"operationId":"get{n}","parameters":[{id}],{}}}}}"#,
            answer(&many),
            answer(&one),
            answer(&one),
        );
    }
    text.push_str(r#"},"components":{"schemas":{"#);
    for n in 0..schemas {
        let to = |k: usize| (n * 7 + k * 13 + 1) % schemas;
        let _ = write!(
            text,
            r#"{}"S{n}":{{"type":"object","description":"Resource number {n}, which has a description as long as such descriptions are in real specifications.","required":["id","owner"],"properties":{{"id":{{"type":"string","pattern":"^r{n}_[a-z0-9]{{8}}$"}}"#,
            if n > 0 { "," } else { "" }
        );
        for k in 0..12 {
            let _ = write!(
                text,
                r#","plain_{k}":{{"type":"string","maxLength":5000,"description":"A text about something that the resource has, number {k}."}}"#
            );
        }
        let _ = write!(
            text,
            r##","owner":{{"anyOf":[{{"type":"string"}},{{"$ref":"#/components/schemas/S{}"}}]}},"parent":{{"$ref":"#/components/schemas/S{}"}},"children":{{"type":"array","items":{{"$ref":"#/components/schemas/S{}"}}}},"any":{{"oneOf":[{{"$ref":"#/components/schemas/S{}"}},{{"type":"integer"}}]}},"all":{{"allOf":[{{"$ref":"#/components/schemas/S{}"}},{{"type":"object","properties":{{"more":{{"type":"number"}}}}}}]}}}}}}"##,
            to(1),
            to(2),
            to(3),
            to(4),
            to(5)
        );
    }
    text.push_str("}}}");
    text
}
