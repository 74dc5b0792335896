//! What the tests share: rendering as the service does it, and the specifications that lie around.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "how a test fails; not every test needs all"
)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use api_mock_datagen::Rng;
use api_mock_functions::{State, functions};
use api_mock_openapi::{Direction, Import, ImportOptions, Imported, NoDocuments, ResponseParts, import};
use api_mock_scenario::{Format, Scenario};
use api_mock_template::time::CivilTime;
use api_mock_template::{Context, Functions, Map, Template, Value};
use serde_json::Value as Json;

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(functions);

/// A template, parsed once, rendered for many seeds.
pub struct Text(Template);

impl Text {
    pub fn new(text: &str) -> Text {
        Text(Template::parse("t", text, &FUNCTIONS).unwrap_or_else(|error| panic!("{error}:\n{text}")))
    }

    pub fn render(&self, seed: u64) -> String {
        let now = CivilTime::from_unix(1_700_000_000, 0, 7200, "CEST");
        let mut state = State::new(Rng::seeded(seed), now);
        let data = Value::from([("_RequestCount", seed)].into_iter().collect::<Map>());
        self.0
            .render_with(&data, &mut Context::with_state(&mut state))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The body that a client would get: the whole file is rendered, and then read as YAML.
pub fn answer(file: &Text, seed: u64) -> Scenario {
    let rendered = file.render(seed);
    Scenario::parse(&rendered, Format::Yaml).unwrap_or_else(|error| panic!("{error}:\n{rendered}"))
}

pub fn own(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn imported(bytes: &[u8]) -> Import {
    import(bytes, &ImportOptions::default(), &NoDocuments).unwrap()
}

/// What the scenarios answer, in whatever media type, is what the specification says, as far as it says anything.
/// Gives how many were looked at that are not JSON.
pub fn answers_are_valid(import: &Import, seeds: u64, what: &str) -> usize {
    let mut count = 0;
    for made in &import.scenarios {
        let file = Text::new(&made.text());
        count += usize::from(made.schema.is_none() && !made.scenario.response.contents.is_empty());
        for seed in 0..seeds {
            let scenario = answer(&file, seed);
            let response = &scenario.response;
            let headers: Vec<(&str, &str)> = response
                .headers
                .iter()
                .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())))
                .collect();
            let status = response.status_code.fixed().unwrap();
            let operation = &import.api.operations[made.operation];
            let told = &operation.responses[made.response].status;
            // What stands for a range or for all others is not told by its number.
            let body = response.contents.as_text().unwrap_or_default();
            let parts = ResponseParts { status, headers: &headers, body: body.as_bytes() };
            let found = import.api.check_response(operation, &parts);
            assert!(
                found.is_empty(),
                "{what}, {}, {told}: {found:?}\n{}\n{body}",
                made.scenario.name,
                made.text()
            );
        }
    }
    count
}

/// The JSON bodies of all scenarios are valid, for that many seeds. Gives how many were looked at.
pub fn bodies_are_valid(import: &Import, seeds: u64, what: &str) -> usize {
    let mut count = 0;
    for made in &import.scenarios {
        let Some(schema) = made.schema else { continue };
        let text = made.scenario.response.contents.as_text().unwrap_or_default().to_owned();
        if text.is_empty() {
            continue;
        }
        count += 1;
        let body = Text::new(&text);
        let file = Text::new(&made.text());
        for seed in 0..seeds {
            let direct = body.render(seed);
            check(import, made, schema, &direct, &text, what);
            if seed < 3 {
                let through_file = answer(&file, seed);
                let through_file = through_file.response.contents.as_text().unwrap_or_default();
                check(import, made, schema, through_file, &text, what);
            }
        }
    }
    count
}

fn check(
    import: &Import,
    made: &Imported,
    schema: api_mock_openapi::SchemaId,
    body: &str,
    template: &str,
    what: &str,
) {
    let name = &made.scenario.name;
    let value: Json = serde_json::from_str(body)
        .unwrap_or_else(|error| panic!("{what}, {name}: {error}\n{body}\nof the template\n{template}"));
    let violations = import.api.schemas.validate(schema, &value, Direction::Response);
    assert!(violations.is_empty(), "{what}, {name}: {violations:?}\n{body}\nof the template\n{template}");
}

/// The specifications beside the project, where they are.
pub fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
