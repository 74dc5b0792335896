//! Faults as plans: the same seed gives the same ones, counts and times are kept.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_mock_engine::{ConnectionFault, Engine, EngineOptions, Request};
use api_mock_scenario::Format;
use api_mock_store::StoreOptions;
use http::Method;

fn engine(seed: u64) -> Engine {
    let mut options = EngineOptions::default();
    options.seed = Some(seed);
    Engine::open(StoreOptions::in_memory(), options).unwrap().0
}

fn put(engine: &Engine, name: &str, faults: &str) {
    let text = format!(
        "method: GET\nname: {name}\npath: /{name}\ngroup: g\nresponse:\n  contents: hello\nfaults: {faults}\n"
    );
    engine.store().put_text(&text, Format::Yaml).unwrap();
}

fn request(path: &str) -> Request {
    Request::new(Method::GET, path, Default::default(), Default::default())
}

/// What one request met: status, wait, connection, and what the header says.
fn met(engine: &Engine, path: &str) -> String {
    let answer = engine.answer(&request(path)).unwrap();
    let plan = answer.fault.as_deref();
    let said = plan.map(|plan| (plan.after.connection, plan.header(), plan.seed));
    format!("{} {:?} {said:?}", answer.status, answer.wait)
}

const MIXED: &str = "[{probability: 0.3, status: [500, 503]}, {probability: 0.2, fault: connection_reset}, {probability: 0.5, delay: {distribution: lognormal, median: 80ms, sigma: 0.4}}]";

#[test]
fn the_same_seed_gives_the_same_faults_whatever_else_is_asked() {
    let (one, other, third) = (engine(7), engine(7), engine(8));
    for engine in [&one, &other, &third] {
        put(engine, "a", MIXED);
        put(engine, "b", MIXED);
    }
    let run = |engine: &Engine| (0..200).map(|_| met(engine, "/a")).collect::<Vec<_>>();
    let first = run(&one);
    // In between, others are asked as well.
    let second: Vec<String> = (0..200)
        .map(|number| {
            (0..number % 3).for_each(|_| drop(met(&other, "/b")));
            met(&other, "/a")
        })
        .collect();
    assert_eq!(first, second);
    assert_ne!(first, run(&third));
    let kinds: std::collections::BTreeSet<&String> = first.iter().collect();
    assert!(kinds.len() > 50, "{kinds:?}");
}

#[test]
fn defect_h5_chances_are_what_they_say() {
    let engine = engine(3);
    put(&engine, "a", "[]");
    let config = r#"{"chaos_enabled": true, "mean_time_between_failure": 10, "http_errors": [500, 503],
        "mean_time_between_additional_latency": 4, "max_additional_latency_secs": 2}"#;
    engine.store().put_group_config("g", config).unwrap();
    let answers: Vec<_> = (0..4_000).map(|_| engine.answer(&request("/a")).unwrap()).collect();
    let share = |count: usize| count as f64 / 4_000.0;
    let failed = share(answers.iter().filter(|answer| answer.status.is_server_error()).count());
    let late = share(answers.iter().filter(|answer| !answer.wait.is_zero()).count());
    assert!((0.08..0.12).contains(&failed), "{failed}");
    assert!((0.22..0.28).contains(&late), "{late}");
    let longest = answers.iter().map(|answer| answer.wait).max().unwrap();
    assert!(longest <= Duration::from_secs(2) && longest > Duration::from_millis(1_800), "{longest:?}");
}

#[test]
fn windows_follow_the_clock_of_the_engine() {
    let seconds = Arc::new(AtomicU64::new(1_000));
    let mut options = EngineOptions::default();
    let clock = Arc::clone(&seconds);
    options.clock = Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let (engine, _) = Engine::open(StoreOptions::in_memory(), options).unwrap();
    put(&engine, "a", "[{from: 10s, until: 20s, period: 1m, status: 503}]");
    let at = |second: u64| {
        seconds.store(1_000 + second, Ordering::Relaxed);
        engine.answer(&request("/a")).unwrap().status.as_u16()
    };
    assert_eq!([0, 9, 10, 19, 20, 70, 80].map(at), [200, 200, 503, 503, 200, 503, 200]);
}

#[test]
fn rules_of_scenario_group_and_all_come_together() {
    let engine = engine(1);
    put(&engine, "a", "[{delay: 10ms}, {name: own, status: 503, contents: no}]");
    put(&engine, "b", "[]");
    engine.store().put_group_config("g", r#"{"faults": [{"delay": "5ms"}, {"status": 500}]}"#).unwrap();
    let all = r#"{"faults": [{"fault": "connection_reset", "request": {"path": "/a"}}, {"delay": "1h"}]}"#;
    engine.store().put_group_config("_all", all).unwrap();
    let answer = engine.answer(&request("/a")).unwrap();
    let plan = answer.fault.as_deref().unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"no"[..]));
    assert_eq!(answer.wait, Duration::from_secs(300), "cut to the longest wait");
    assert_eq!(plan.after.connection, Some(ConnectionFault::Reset { after_bytes: None }));
    let said = "delay, own (status), delay, status, connection_reset, delay";
    assert_eq!(plan.header(), said);
    let answer = engine.answer(&request("/b")).unwrap();
    assert_eq!((answer.status.as_u16(), answer.fault.unwrap().after.connection), (500, None));
}

#[test]
fn a_changed_rule_counts_anew_and_the_others_do_not() {
    let engine = engine(1);
    put(&engine, "a", "[{first: 2, status: 503}]");
    put(&engine, "b", "[{first: 2, status: 503}]");
    let status = |path: &str| engine.answer(&request(path)).unwrap().status.as_u16();
    assert_eq!(["/a", "/a", "/a", "/b", "/b", "/b"].map(status), [503, 503, 200, 503, 503, 200]);
    put(&engine, "b", "[{first: 1, status: 500}]");
    assert_eq!(["/a", "/b", "/b"].map(status), [200, 500, 200]);
}

#[test]
fn a_file_with_directives_has_faults_too() {
    let engine = engine(1);
    let text = "method: GET\nname: a\npath: /a/:id\nfaults:\n  - {every: 2, fault: truncated_body, after_bytes: 3}\nresponse:\n  contents: |-\n    {{.id}} and more\n  {{if true}}\n  status_code: 201\n  {{end}}\n";
    engine.store().put_text(text, Format::Yaml).unwrap();
    let answers: Vec<_> = (0..2).map(|_| engine.answer(&request("/a/7")).unwrap()).collect();
    assert!(answers.iter().all(|answer| &answer.body[..] == b"7 and more" && answer.status == 201));
    assert!(answers[0].fault.is_none());
    let cut = Some(ConnectionFault::Truncated { after_bytes: Some(3) });
    assert_eq!(answers[1].fault.as_deref().unwrap().after.connection, cut);
}
