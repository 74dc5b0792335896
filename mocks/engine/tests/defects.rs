//! What the reference system gets wrong, by its number in the list of its defects.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::time::Duration;

use api_mock_scenario::{Contents, Format, Scenario};
use common::{answer, body, engine, engine_with, file, get, header, refusal, request, text};

#[test]
fn defect_l04_loops_of_the_requests_choice_are_bounded() {
    let engine = engine_with(&[&file("  contents: '{{range Iterate .pageSize}}x{{end}}'\n")]);
    assert_eq!(body(&engine, "/x?pageSize=3"), "xxx");
    let refusal = refusal(&engine, &get("/x?pageSize=2000000000"));
    assert_eq!(refusal.status().as_u16(), 500);
    assert!(refusal.to_string().contains("limit"), "{refusal}");
}

#[test]
fn defect_l04_waits_of_the_requests_choice_are_bounded() {
    let engine = engine_with(&[&format!("{}wait_before_reply: {{{{.page}}}}s\n", file("  contents: a\n"))]);
    assert_eq!(answer(&engine, &get("/x?page=99999")).wait, Duration::from_secs(300));
    assert_eq!(answer(&engine, &get("/x")).wait, Duration::ZERO, "a missing page is no wait");
    assert_eq!(refusal(&engine, &get("/x?page=abc")).status().as_u16(), 500);
}

#[test]
fn defect_l06_recorded_braces_are_no_template() {
    let engine = engine();
    let recorded = "a {{.x}} {{if}} {{`b`}} {{ c\n{{end}}\n\n{{{d}}}";
    let mut scenario =
        Scenario { method: "GET".into(), name: "r".into(), path: "/r".into(), ..Scenario::default() };
    scenario.response.contents = Contents::Literal(recorded.into());
    scenario.response.headers.add("X-Braces", api_mock_scenario::literal("{{.x}}"));
    engine.store().put_scenario(&scenario).unwrap();
    let answer = answer(&engine, &get("/r?x=evil"));
    assert_eq!(text(&answer), recorded);
    assert_eq!(header(&answer, "X-Braces"), ["{{.x}}"]);
}

#[test]
fn defect_l07_nothing_is_escaped_for_html() {
    let engine = engine_with(&[&file("  contents: '{\"a\": \"{{.q}}\", \"u\": \"<a href={{.q}}>\"}'\n")]);
    assert_eq!(body(&engine, "/x?q=%3Cb%3E%2B%26%22"), r#"{"a": "<b>+&"", "u": "<a href=<b>+&">"}"#);
}

#[test]
fn defect_l08_fast_requests_see_each_scenario_in_turn() {
    let named = |name: &str| format!("method: GET\nname: {name}\npath: /r\nresponse:\n  contents: {name}\n");
    let engine = engine_with(&[&named("ra"), &named("rb"), &named("rc")]);
    let bodies: Vec<String> = (0..6).map(|_| body(&engine, "/r")).collect();
    assert_eq!(bodies, ["ra", "rb", "rc", "ra", "rb", "rc"]);
}

#[test]
fn defect_l09_a_deleted_scenario_is_gone() {
    let engine = engine_with(&[&file("  contents: a\n")]);
    assert_eq!(body(&engine, "/x"), "a");
    engine.store().delete("GET", "x", "/x").unwrap();
    assert_eq!(refusal(&engine, &get("/x")).status().as_u16(), 404);
    assert!(engine.list(None).is_empty());
    assert_eq!(engine.store().delete("GET", "x", "/x").unwrap_err().kind().status(), 404);
}

#[test]
fn defect_l10_an_upload_gives_the_scenario_back() {
    let engine = engine();
    let stored =
        engine.store().put_text(&file("  contents: a {{.b}}\n  status_code: 201\n"), Format::Yaml).unwrap();
    let json = serde_json::to_value(&stored.scenario).unwrap();
    assert_eq!((&json["name"], &json["response"]["contents"]), (&"x".into(), &"a {{.b}}".into()));
    assert_eq!(json["response"]["status_code"], 201);
}

#[test]
fn defect_l20_options_and_head_can_be_mocked() {
    let of = |method: &str| format!("method: {method}\nname: m\npath: /o\nresponse:\n  contents: {method}\n");
    let engine = engine_with(&[&of("OPTIONS"), &of("GET")]);
    assert_eq!(text(&answer(&engine, &request("OPTIONS", "/o", &[], ""))), "OPTIONS");
    // Without a scenario of its own, HEAD is what GET would be.
    assert_eq!(text(&answer(&engine, &request("HEAD", "/o", &[], ""))), "GET");
    engine.store().put_text(&of("HEAD"), Format::Yaml).unwrap();
    assert_eq!(text(&answer(&engine, &request("HEAD", "/o", &[], ""))), "HEAD");
}

#[test]
fn defect_l21_no_empty_content_type() {
    let engine = engine_with(&[&file("  contents: a\n")]);
    assert!(header(&answer(&engine, &get("/x")), "content-type").is_empty());
    let engine = engine_with(&[&file(
        "  contents: a\n  content_type: text/plain\n  headers:\n    Content-Type: ''\n",
    )]);
    assert_eq!(header(&answer(&engine, &get("/x")), "content-type"), ["text/plain"]);
    let engine = engine_with(&[&file(
        "  contents: a\n  content_type: text/plain\n  headers:\n    content-type: [a/b]\n",
    )]);
    assert_eq!(header(&answer(&engine, &get("/x")), "content-type"), ["a/b"]);
}

#[test]
fn defect_l22_headers_about_framing_are_not_replayed() {
    let engine = engine_with(&[&file(
        "  contents: abc\n  headers:\n    Content-Length: '999'\n    Transfer-Encoding: [chunked]\n    Connection: [keep-alive]\n    Keep-Alive: timeout=5\n    Retry-After: 123\n    Set-Cookie: [a=1, b=2]\n",
    )]);
    let answer = answer(&engine, &get("/x"));
    for name in ["content-length", "transfer-encoding", "connection", "keep-alive"] {
        assert!(header(&answer, name).is_empty(), "{name}");
    }
    assert_eq!(header(&answer, "retry-after"), ["123"]);
    assert_eq!(header(&answer, "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn defect_l23_seed_0_is_a_seed() {
    let seeded = file("  contents: '{{SeededName 0}} {{SeededUdid 0}} {{SeededFileLine \"l.txt\" 0}}'\n");
    let engine = engine_with(&[&seeded]);
    engine.store().put_fixture("GET", "l.txt", "/", "a\nb\nc\nd\n".into()).unwrap();
    let first = body(&engine, "/x");
    assert!((0..20).all(|_| body(&engine, "/x") == first));
}

#[test]
fn a_bad_template_is_refused_with_line_and_column() {
    let engine = engine();
    for (bad, place) in [
        ("  contents: |\n    {{if .x}}\n", ":6:5: {{if}} has no {{end}}"),
        ("  contents: '{{noSuchFunction}}'\n", ":5:"),
        ("  contents: 'a {{ b'\n", ":5:"),
        ("  contents: |\n    {{end}}\n", ":6:"),
    ] {
        let error = engine.store().put_text(&file(bad), Format::Yaml).unwrap_err();
        assert_eq!(error.kind().status(), 400);
        assert!(error.to_string().contains(place), "{error}");
    }
    let engine = engine_with(&[&file("  contents: |-\n    ok\n    {{Nth 1 .zero}}\n")]);
    let json = refusal(&engine, &get("/x?zero=0")).to_json();
    assert_eq!((&json["line"], &json["column"]), (&7.into(), &7.into()), "{json}");
    assert_eq!(body(&engine, "/x?zero=1"), "ok\ntrue");
}

#[test]
fn what_rendering_makes_unreadable_is_a_500_that_says_so() {
    let engine = engine_with(&[&file("  contents: a\n  status_code: {{.s}}\n")]);
    assert_eq!(answer(&engine, &get("/x?s=404")).status.as_u16(), 404);
    assert_eq!(answer(&engine, &get("/x")).status.as_u16(), 200);
    let refused = refusal(&engine, &get("/x?s=abc"));
    assert_eq!(refused.status().as_u16(), 500);
    assert!(refused.to_string().contains("response.status_code: expected a status"), "{refused}");
    let engine = engine_with(&[&file("  contents_file: {{.f}}.png\n")]);
    assert!(refusal(&engine, &get("/x?f=a")).to_string().contains("no fixture \"a.png\""));
    engine.store().put_fixture("GET", "a.png", "/x", vec![0_u8, 255, 1].into()).unwrap();
    assert_eq!(answer(&engine, &get("/x?f=a")).body[..], [0, 255, 1]);
}

#[test]
fn variables_of_a_request() {
    let engine = engine_with(&[
        "method: POST\nname: v\npath: /v/:id\nrequest:\n  match_query_params:\n    page: '[0-9]*'\nresponse:\n  contents: |-\n    {{.id}} {{.page}} {{index . \"User-Agent\"}} {{.Accept}} {{.name}} {{.big}} {{.nested.a}} {{.none}}|{{._RequestCount}}\n",
    ]);
    let send = |target: &str, content_type: &str, body: &str| {
        let headers = [("User-Agent", "test/1"), ("Accept", "*/*"), ("Content-Type", content_type)];
        text(&answer(&engine, &request("POST", target, &headers, body)))
    };
    let json = r#"{"id": "not this", "name": "n", "big": 12345678901234567, "nested": {"a": [1, 2]}}"#;
    assert_eq!(send("/v/7?page=2", "application/json", json), "7 2 test/1 */* n 12345678901234567 [1 2] |1");
    // A missing parameter is what the scenario has for it, another missing variable is empty.
    assert_eq!(send("/v/7", "application/json", "{}"), "7 [0-9]* test/1 */*    |2");
    let form = "name=form+field&big=5";
    assert_eq!(
        send("/v/7?big=6&page=1", "application/x-www-form-urlencoded", form),
        "7 1 test/1 */* form field 6  |3"
    );
}

#[test]
fn predicates_choose() {
    let with = |name: &str, predicate: &str| {
        format!(
            "method: GET\nname: {name}\npath: /p/:id\npredicate: {predicate}\nresponse:\n  contents: {name}\n"
        )
    };
    let engine = engine_with(&[&with("big", "'{{GT .id 100}}'"), &with("small", "{{LE .id 100}}")]);
    assert_eq!(
        [body(&engine, "/p/5"), body(&engine, "/p/500"), body(&engine, "/p/6")],
        ["small", "big", "small"]
    );
    // One that fails counts as true.
    let engine = engine_with(&[&with("a", "'{{Nth 1 0}}'"), &with("b", "'{{eq 1 2}}'")]);
    assert_eq!([body(&engine, "/p/1"), body(&engine, "/p/1")], ["a", "a"]);
}

#[test]
fn uploading_counts_anew_and_listing_counts() {
    let engine = engine_with(&[&file("  contents: a\n"), "method: GET\nname: y\npath: /y\ngroup: g\n"]);
    body(&engine, "/x");
    assert_eq!(answer(&engine, &get("/x")).count, 2);
    let list = engine.list(None);
    assert_eq!(
        (list[0].key(), list[0].request_count, list[0].last_usage_time),
        ("/_scenarios/GET/x/x".into(), 2, 1_700_000_000)
    );
    assert_eq!(engine.list(Some("g")).len(), 1);
    engine.store().put_text(&file("  contents: b\n"), Format::Yaml).unwrap();
    assert_eq!(answer(&engine, &get("/x")).count, 1);
}

#[test]
fn one_seed_repeats_a_run() {
    let run = || {
        let engine = engine_with(&[&file("  contents: '{{RandName}} {{Udid}} {{RandString 8}}'\n")]);
        (0..5).map(|_| body(&engine, "/x")).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(first, run());
    assert_ne!(first[0], first[1]);
}
