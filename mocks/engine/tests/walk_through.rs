//! The walk-throughs of the article that describes the reference system, with its files.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::time::Duration;

use api_mock_scenario::Format;
use common::{answer, body, engine, engine_with, header, request, text};

const CUSTOMER: &str = r#"method: GET
name: stripe-cash-balance
path: /v1/customers/:customer/cash_balance
request:
    match_headers:
        Authorization: Bearer sk_test_[0-9a-fA-F]{10}$
response:
    headers:
        Cache-Control:
            - no-cache, no-store
        Content-Type:
            - application/json
        Request-Id:
            - req_2
        Server:
            - nginx
        Stripe-Version:
            - "2018-09-06"
    content_type: application/json
    contents: |-
        {
          "object": "cash_balance",
          "available": null,
          "customer": {{.customer}}
          "livemode": false,
          "page": {{.page}}
          "pageSize": {{.pageSize}}
          "settings": {
            "reconciliation_mode": "automatic"
          }
        }
    status_code: 200
wait_before_reply: 1s
"#;

const FAILURE: &str = r#"method: GET
name: stripe-customer-failure
path: /v1/customers/:customer/cash_balance
request:
    match_headers:
        Authorization: Bearer sk_test_[0-9a-fA-F]{10}$
response:
    headers:
        Stripe-Version:
            - "2018-09-06"
    content_type: application/json
    contents: My custom error
    status_code: 500
wait_before_reply: 1s
"#;

const DEVICES: &str = r#"method: GET
name: get_devices
path: /devices
description: ""
request:
    match_content_type: "application/json; charset=utf-8"
response:
    headers:
        "Server":
            - "SampleAPI"
        "Connection":
            - "keep-alive"
    content_type: application/json
    contents: >
     {
     "Devices": [
{{- range $val := Iterate .pageSize }}
      {
        "Udid": "{{SeededUdid $val}}",
        "Line": { {{SeededFileLine "lines.txt" $val}}, "Type": "Public", "IsManaged": false },
        "Amount": {{JSONFileProperty "props.yaml" "amount"}},
        "Email": "{{RandEmail}}",
        "Date": {{TimeFormat "3:04PM"}},
        "Add": {{Add 2 1}},
      }{{if LastIter $val $.PageSize}}{{else}},  {{end}}
{{ end }}
     ],
     "Page": {{.page}},
     "PageSize": {{.pageSize}},
     "Total": {{.pageSize}}
     }
    {{if NthRequest 10 }}
    status_code: {{EnumInt 500 501}}
    {{else}}
    status_code: {{EnumInt 200 400}}
    {{end}}
wait_before_reply: {{.page}}s
"#;

const TARGET: &str = "/v1/customers/123/cash_balance?page=2&pageSize=55";
const KEY: &[(&str, &str)] = &[("Authorization", "Bearer sk_test_0123456789")];

#[test]
fn a_customer_with_path_and_query_parameters() {
    let engine = engine_with(&[CUSTOMER]);
    let answer = answer(&engine, &request("GET", TARGET, KEY, ""));
    let wanted = r#"{
  "object": "cash_balance",
  "available": null,
  "customer": 123
  "livemode": false,
  "page": 2
  "pageSize": 55
  "settings": {
    "reconciliation_mode": "automatic"
  }
}"#;
    assert_eq!(text(&answer), wanted);
    assert_eq!((answer.status.as_u16(), answer.wait), (200, Duration::from_secs(1)));
    for (name, value) in [
        ("Content-Type", "application/json"),
        ("Request-Id", "req_2"),
        ("Stripe-Version", "2018-09-06"),
        ("X-Mock-Scenario", "stripe-cash-balance"),
        ("X-Mock-Path", "/v1/customers/:customer/cash_balance"),
        ("X-Mock-Request-Count", "1"),
    ] {
        assert_eq!(header(&answer, name), [value], "{name}");
    }
}

#[test]
fn a_failure_takes_turns_with_it() {
    let engine = engine_with(&[CUSTOMER, FAILURE]);
    let request = request("GET", TARGET, KEY, "");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = answer(&engine, &request);
        seen.push((answer.status.as_u16(), header(&answer, "X-Mock-Request-Count").concat()));
        if answer.status.as_u16() == 500 {
            assert_eq!(text(&answer), "My custom error");
            assert_eq!(header(&answer, "Content-Type"), ["application/json"]);
        }
    }
    let wanted = [(200, "1"), (500, "2"), (200, "3"), (500, "4")];
    assert_eq!(seen, wanted.map(|(status, count)| (status, count.to_owned())));
}

#[test]
fn a_request_without_the_key_is_refused_with_the_reason() {
    let engine = engine_with(&[CUSTOMER]);
    let refusal = common::refusal(&engine, &request("GET", TARGET, &[("Authorization", "Bearer other")], ""));
    assert_eq!(refusal.status().as_u16(), 400);
    let json = refusal.to_json();
    assert_eq!(json["near_misses"][0]["scenario"], "stripe-cash-balance");
    assert_eq!(json["near_misses"][0]["reasons"][0]["kind"], "header");
    assert!(!json.to_string().contains("sk_test") && !json.to_string().contains("Bearer"));
    assert_eq!(common::refusal(&engine, &common::get("/v1/none")).status().as_u16(), 404);
}

#[test]
fn devices_with_loops_and_fixtures() {
    let engine = engine_with(&[DEVICES]);
    let store = engine.store();
    store.put_fixture("GET", "lines.txt", "/devices", "  \"ApplicationName\": \"Hub\"\n".into()).unwrap();
    store
        .put_fixture("GET", "props.yaml", "/devices", "amount:\n  value: 100\n  currency: $\n".into())
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let answer = answer(&engine, &common::get("/devices?page=2&pageSize=2"));
        statuses.push(answer.status.as_u16());
        assert_eq!(answer.wait, Duration::from_secs(2));
        assert_eq!(header(&answer, "Content-Type"), ["application/json"]);
        assert!(header(&answer, "Connection").is_empty());
        let text = text(&answer);
        let start = "{ \"Devices\": [\n {\n   \"Udid\": \"";
        assert!(text.starts_with(start), "{text}");
        for wanted in [
            "\"Line\": { \"ApplicationName\": \"Hub\", \"Type\": \"Public\", \"IsManaged\": false },\n",
            "\"Amount\": {\"currency\":\"$\",\"value\":100},\n",
            "\"Add\": 3,\n },  \n {",
            "\n], \"Page\": 2, \"PageSize\": 2, \"Total\": 2 }\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} in {text}");
        }
        assert!(!text.contains("&#34;"));
    }
    assert!(statuses[..9].iter().all(|status| matches!(status, 200 | 400)), "{statuses:?}");
    assert!(matches!(statuses[9], 500 | 501), "{statuses:?}");
}

#[test]
fn every_tenth_and_the_first_requests() {
    let nth = common::file("  contents: |\n    {{if NthRequest 10 }}tenth{{else}}other{{end}}\n");
    let engine = engine_with(&[&nth]);
    let bodies: Vec<String> = (0..20).map(|_| body(&engine, "/x")).collect();
    let tenth: Vec<usize> = (0..20).filter(|at| bodies[*at] == "tenth\n").collect();
    assert_eq!(tenth, [9, 19]);

    let first = common::file("  contents: '{{if GERequest 10}}late{{end}}{{if LTRequest 10}}early{{end}}'\n");
    let engine = engine_with(&[&first]);
    let bodies: Vec<String> = (0..12).map(|_| body(&engine, "/x")).collect();
    assert_eq!(bodies.iter().filter(|body| *body == "early").count(), 9);
    assert_eq!(bodies[9..], ["late", "late", "late"]);
}

#[test]
fn status_and_wait_of_the_request_override() {
    let engine = engine_with(&[FAILURE]);
    let send = |name: &str, value: &str| {
        let mut headers = KEY.to_vec();
        headers.push((name, value));
        answer(&engine, &request("GET", TARGET, &headers, ""))
    };
    assert_eq!(send("X-Mock-Response-Status", "418").status.as_u16(), 418);
    assert_eq!(
        send("X-Mock-Response-Status", "many").status.as_u16(),
        500,
        "what is no status changes nothing"
    );
    assert_eq!(send("X-Mock-Response-Status", "99").status.as_u16(), 500);
    assert_eq!(send("X-Mock-Wait-Before-Reply", "300ms").wait, Duration::from_millis(300));
    assert_eq!(send("X-Mock-Wait-Before-Reply", "1m30s").wait, Duration::from_secs(90));
    assert_eq!(send("X-Mock-Wait-Before-Reply", "5").wait, Duration::ZERO);
    assert_eq!(send("X-Mock-Wait-Before-Reply", "5000h").wait, Duration::from_secs(300), "waits are bounded");
}

#[test]
fn scenarios_as_json() {
    let engine = engine();
    let json = r#"{"method": "GET", "name": "j", "path": "/j/{id}", "wait_before_reply": 1500000000,
        "response": {"headers": {"X": ["a"]}, "contents": "{\"id\": {{.id}}}", "status_code": 201}}"#;
    let stored = engine.store().put_text(json, Format::Json).unwrap();
    assert!(stored.text.contains("status_code: 201\n"), "{}", stored.text);
    let answer = answer(&engine, &common::get("/j/5"));
    assert_eq!((text(&answer).as_str(), answer.status.as_u16()), ("{\"id\": 5}", 201));
    assert_eq!(answer.wait, Duration::from_millis(1500));
}

#[test]
fn xml_stays_xml() {
    let xml = common::file(
        "  headers:\n    Content-Type: application/xml\n  contents: |-\n    <?xml version=\"1.0\"?>\n    <!-- c -->\n    <a b='{{.q}}'>{{.q}} & \"</a>\n",
    );
    let engine = engine_with(&[&xml]);
    let wanted = "<?xml version=\"1.0\"?>\n<!-- c -->\n<a b='<i>+'><i>+ & \"</a>";
    assert_eq!(body(&engine, "/x?q=%3Ci%3E%2B"), wanted);
}

/// `{{index . .k}}` may ask for any field and header, `{{.}}` and `{{range …}}` for any field.
#[test]
fn computed_keys_find_fields_forms_and_headers() {
    let json = [("Content-Type", "application/json"), ("X-Key", "secret")];
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (contents, headers, body, found) in [
        ("{{index . .k}}", &json[..], r#"{"k": "bf", "bf": "field"}"#, "field"),
        ("{{$n := print `b` `f`}}{{index . $n}}", &json, r#"{"bf": "field"}"#, "field"),
        ("{{$d := $}}{{index $d (print `X-` `Key`)}}", &json, "{}", "secret"),
        ("{{range $k, $v := .}}{{$k}}={{$v}};{{end}}", &json, r#"{"bf": 5}"#, "_RequestCount=1;bf=5;"),
        ("{{.}}", &json, r#"{"bf": "field"}"#, "map[_RequestCount:1 bf:field]"),
        ("{{index . .k}}", &form, "k=bf&bf=field", "field"),
    ] {
        let engine = engine();
        let text = format!("method: POST\nname: c\npath: /c\nresponse:\n  contents: '{contents}'\n");
        engine.store().put_text(&text, Format::Yaml).unwrap();
        let answer = answer(&engine, &request("POST", "/c", headers, body));
        assert_eq!(common::text(&answer), found, "{contents}");
    }
}
