//! What is not written.

use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_recorder::{FileOptions, Names, Redaction, recording};
use api_mock_store::StoreOptions;
use http::{HeaderValue, Method, StatusCode};

use crate::files::{exchange, headers, played, played_back, scenario};

#[test]
fn defect_l05_no_secret_is_in_the_file() {
    let url = "https://me:s3cret@a.test/token?api_key=s3cret&x-amz-signature=s3cret&page=1";
    let mut made = exchange(Method::POST, url, r#"{"access_token": "s3cret", "expires": 60}"#);
    made.headers = headers(&[
        ("authorization", "Basic s3cret"),
        ("proxy-authorization", "Basic s3cret"),
        ("cookie", "sid=s3cret"),
        ("x-api-key", "s3cret"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    made.body = Some("user=a&password=s3cret".into());
    made.answer_headers = headers(&[("set-cookie", "sid=s3cret"), ("content-type", "application/json")]);
    let text = scenario(&made).to_yaml();
    assert!(!text.contains("s3cret"), "{text}");
    // And it is played back to another secret.
    made.headers.insert("authorization", HeaderValue::from_static("Basic other"));
    made.body = Some("user=a&password=other".into());
    assert_eq!(played_back(&made).body, r#"{"access_token": "[redacted]", "expires": 60}"#);
}

#[test]
fn secrets_in_addresses_of_headers_and_in_lines_of_json_are_not_in_the_file() {
    let lines = "{\"id\": 1, \"token\": \"s3cret\"}\n{\"id\": 2, \"pwd\": \"s3cret\"}\n";
    let mut made = exchange(Method::POST, "http://a.test/x?api%5Fkey=s3cret", lines);
    made.headers = headers(&[
        ("content-type", "application/x-ndjson"),
        ("referer", "http://a.test/?access_token=s3cret"),
        ("private-token", "s3cret"),
        ("ocp-apim-subscription-key", "s3cret"),
    ]);
    made.body = Some(lines.into());
    made.status = StatusCode::FOUND;
    made.answer_headers =
        headers(&[("location", "/next?a=1&token=s3cret"), ("content-type", "application/x-ndjson")]);
    let options = FileOptions { match_headers: Names::containing(""), ..FileOptions::default() };
    let text = recording(&made, &options).unwrap().scenario.to_yaml();
    assert!(!text.contains("s3cret"), "{text}");
    let answer = played(&made, &options).unwrap();
    assert_eq!(answer.body, lines.replace("s3cret", "[redacted]"));
    let location = answer.headers.iter().find(|(name, _)| name == "location").unwrap();
    assert_eq!(location.1, "/next?a=1&token=[redacted]");
    // With other secrets it is the same request; with anything else it is another one.
    let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
    engine.store().put_scenario(&recording(&made, &options).unwrap().scenario).unwrap();
    for (from, to, is_answered) in [("s3cret", "other", true), ("\"id\": 2", "\"id\": 3", false)] {
        let body = lines.replace(from, to);
        let request = Request::new(Method::POST, "/x?api%5Fkey=z", made.headers.clone(), body.into());
        assert_eq!(engine.answer(&request).is_ok(), is_answered, "{to}");
    }
    // Of a number it is not known what it was.
    made.body = Some("{\"pwd\": 1}\n{\"pwd\": 2}".into());
    assert!(played(&made, &options).is_ok());
}

#[test]
fn texts_with_secrets_in_any_place_are_played_back_to_themselves() {
    const PARTS: [&str; 22] = [
        "{",
        "}",
        "[",
        "]",
        "\"token\"",
        "\"pwd\": ",
        ":",
        ",",
        "\"s3cret\"",
        "\"s3cret\\\"",
        "\"",
        "7",
        "-1e5",
        "\n",
        "data: ",
        "\u{feff}",
        "\"a\":\"b\"",
        "__number__",
        "{{",
        "é",
        "[redacted]",
        "&password=s3cret",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % limit
    };
    let mut redacted = 0;
    for _ in 0..600 {
        let text: String = (0..below(14)).map(|_| PARTS[below(PARTS.len())]).collect();
        let redaction = Redaction::default();
        let kept = redaction.body("", text.as_bytes()).into_owned();
        redacted += usize::from(kept != text.as_bytes());
        assert_eq!(*redaction.body("", &kept), *kept, "{text}");
        let mut made = exchange(Method::POST, "http://a.test/x", "ok");
        made.headers = headers(&[("content-type", "application/json")]);
        made.body = Some(text.clone().into());
        let scenario = scenario(&made);
        let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
        engine.store().put_scenario(&scenario).unwrap();
        let request = Request::new(Method::POST, "/x", made.headers, text.clone().into());
        assert!(engine.answer(&request).is_ok(), "{text}\n{}", scenario.to_yaml());
    }
    assert!(redacted > 30, "{redacted}");
}
