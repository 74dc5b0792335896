//! Any exchange becomes a recording or says why not; what is recorded is read back the same, and played back to the request that
//! it was recorded for, byte for byte where nothing in it is a secret.
#![no_main]

use std::sync::LazyLock;

use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_recorder::{BodyMatch, Exchange, FileOptions, Redaction, recording};
use api_mock_scenario::{Format, Scenario};
use api_mock_store::StoreOptions;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::open(StoreOptions::in_memory(), EngineOptions::default()).expect("a store in memory").0);

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::HEAD, Method::OPTIONS];
const TYPES: [&str; 6] = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "",
];

fn encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'=' | b'&' | b'+' | b'.' | b':' | b'~' | b'$' => {
                char::from(*byte).to_string()
            }
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

fn headers(content_type: &str, more: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in more.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value)
            && !name.as_str().starts_with("x-mock-")
        {
            headers.append(name, value);
        }
    }
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).expect("one of ours"));
    }
    headers
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first_chunk::<3>() else { return };
    let mut parts = rest.split(|byte| *byte == 0x1e);
    let mut part = || parts.next().unwrap_or_default();
    let url = format!("http://a.test/{}?{}", encoded(part()), encoded(part()));
    let Ok(url) = url.parse() else { return };
    let [method, status, options] = choice.map(usize::from);
    let exchange = Exchange {
        method: METHODS[method % METHODS.len()].clone(),
        url,
        headers: headers(TYPES[method / 5 % TYPES.len()], part()),
        body: Some(Bytes::copy_from_slice(part())),
        status: StatusCode::from_u16(200 + u16::try_from(status).unwrap_or(0)).expect("a status"),
        answer_headers: headers(TYPES[status % TYPES.len()], part()),
        answer_body: Bytes::copy_from_slice(part()),
    };
    let keeps_secrets = options & 1 == 0;
    let files = FileOptions {
        match_body: if options & 2 == 0 { BodyMatch::Shape } else { BodyMatch::Exact },
        redaction: if keeps_secrets { Redaction::none() } else { Redaction::default() },
        fixture_bytes: if options & 4 == 0 { 64 } else { 256 << 10 },
        ..FileOptions::default()
    };
    let Ok(made) = recording(&exchange, &files) else { return };
    let scenario = &made.scenario;
    assert_eq!(recording(&exchange, &files).expect("as before").scenario.to_yaml(), scenario.to_yaml());
    let again = Scenario::parse(&scenario.to_yaml(), Format::Yaml).expect("what was written is read");
    assert_eq!(again.key(), scenario.key());
    let store = ENGINE.store();
    if let Some((name, bytes)) = &made.fixture {
        store.put_fixture(&scenario.method, name, &scenario.path, bytes.clone()).expect("a fixture");
    }
    store.put_scenario(scenario).expect("a good scenario");
    let target = exchange.url.path_and_query().expect("there is one").as_str();
    let body = exchange.body.clone().unwrap_or_default();
    let request = Request::new(exchange.method.clone(), target, exchange.headers.clone(), body);
    let answer = ENGINE.answer(&request);
    let answer = answer.unwrap_or_else(|why| panic!("{}\n{exchange:?}\n{}", why.to_json(), scenario.to_yaml()));
    assert_eq!(answer.status, exchange.status);
    assert!(!keeps_secrets || answer.body == exchange.answer_body, "{exchange:?}\n{}", scenario.to_yaml());
    store.delete(&scenario.method, &scenario.name, &scenario.path).expect("it was there");
    if let Some((name, _)) = &made.fixture {
        store.delete_fixture(&scenario.method, name, &scenario.path).expect("it was there");
    }
});
