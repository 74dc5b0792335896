//! Reads any text as a scenario file, writes it, reads it again, and answers with it: no panic, no
//! hang, nothing outside of the data folder, and what was written reads the same.
#![no_main]

use std::path::Component;
use std::sync::LazyLock;

use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_scenario::{Format, Scenario, scenario_file};
use api_mock_store::StoreOptions;
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut options = EngineOptions::default();
    options.seed = Some(1);
    options.template = options.template.steps(20_000).depth(50).output_bytes(1 << 16);
    Engine::open(StoreOptions::in_memory(), options).expect("a store in memory").0
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let format = if choice % 4 == 0 { Format::Json } else { Format::Yaml };
    let scenario = match Scenario::parse(&text, format) {
        Ok(scenario) => scenario,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let file = scenario_file(&scenario.path, &scenario.method, &scenario.name);
    assert!(file.components().all(|part| matches!(part, Component::Normal(name) if name.len() <= 255)));
    let again = Scenario::parse(&scenario.to_yaml(), Format::Yaml).expect("what was written is read");
    assert_eq!(again.key(), scenario.key());
    if ENGINE.store().put_text(&text, format).is_err() {
        return;
    }
    let method = Method::from_bytes(scenario.method.as_bytes()).expect("a checked method");
    let target = scenario.path.replace([':', '{', '}', '*'], "");
    let request = Request::new(method, &format!("{target}?a=1&page=2"), HeaderMap::new(), bytes::Bytes::new());
    match ENGINE.answer(&request) {
        Ok(answer) => assert!(answer.all_headers().count() >= 3),
        Err(refusal) => assert!(refusal.status().as_u16() >= 400 && refusal.to_json().is_object()),
    }
    ENGINE.store().delete(&scenario.method, &scenario.name, &scenario.path).expect("it was there");
});
