//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "not every test needs all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::{Answer, Engine, EngineOptions, Refusal, Request};
use api_mock_scenario::Format;
use api_mock_store::StoreOptions;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// An engine in memory whose chance and clock stand still.
pub fn engine() -> Engine {
    let mut options = EngineOptions::default();
    options.seed = Some(7);
    options.clock = Arc::new(|| Duration::from_secs(1_700_000_000));
    Engine::open(StoreOptions::in_memory(), options).unwrap().0
}

/// An engine with scenarios.
pub fn engine_with(files: &[&str]) -> Engine {
    let engine = engine();
    for file in files {
        engine.store().put_text(file, Format::Yaml).unwrap_or_else(|error| panic!("{error}\n{file}"));
    }
    engine
}

pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::new(method, target, map, bytes::Bytes::copy_from_slice(body.as_bytes()))
}

pub fn get(target: &str) -> Request {
    request("GET", target, &[], "")
}

pub fn answer(engine: &Engine, request: &Request) -> Answer {
    engine.answer(request).unwrap_or_else(|refusal| panic!("{refusal}: {}", refusal.to_json()))
}

pub fn refusal(engine: &Engine, request: &Request) -> Refusal {
    engine.answer(request).expect_err("it should be refused")
}

/// The body of an answer as text.
pub fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

pub fn body(engine: &Engine, target: &str) -> String {
    text(&answer(engine, &get(target)))
}

/// All values of a header.
pub fn header(answer: &Answer, name: &str) -> Vec<String> {
    let same = answer.all_headers().filter(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

/// A scenario file for `GET /x`.
pub fn file(response: &str) -> String {
    format!("method: GET\nname: x\npath: /x\nresponse:\n{response}")
}
