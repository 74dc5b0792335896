//! The documented walk-through, as a user types it, with the answers that it prints.

use crate::support::http::{ask, get, upload};
use crate::support::{BALANCE, BALANCE_FAILURE, TestServer};

const AUTHORIZATION: (&str, &str) = ("Authorization", "Bearer sk_test_0123456789");
const BALANCE_URL: &str = "/v1/customers/123/cash_balance?page=2&pageSize=55";

#[test]
fn a_recorded_scenario_is_played_back_byte_for_byte() {
    let server = TestServer::start();
    let recorded = "method: GET\nname: recorded-v1-customers-cus\npath: /v1/customers/cus_1/cash_balance\n\
        description: recorded at 2022-10-29 04:26:17.24776 +0000 UTC\nrequest:\n     match_query_params: {}\n     \
        match_headers: {}\n     match_content_type: \"\"\n     match_contents: \"\"\n     example_headers:\n         \
        Accept: '*/*'\n         Authorization: Bearer sk_test_xxx\n     example_contents: \"\"\nresponse:\n    headers:\n        \
        Access-Control-Allow-Origin:\n            - '*'\n        Content-Length:\n            - \"168\"\n        \
        Content-Type:\n            - application/json\n        Date:\n            - Sat, 29 Oct 2022 04:26:17 GMT\n        \
        Server:\n            - nginx\n        Stripe-Version:\n            - \"2018-09-06\"\n    \
        content_type: application/json\n    contents: |-\n        {\n          \"object\": \"cash_balance\",\n          \
        \"available\": null\n        }\n    contents_file: \"\"\n    status_code: 200\nwait_before_reply: 0s\n";
    assert_eq!(upload(server.address, recorded).status, 200);
    let answer = get(server.address, "/v1/customers/cus_1/cash_balance");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "{\n  \"object\": \"cash_balance\",\n  \"available\": null\n}");
    // The recorded length was that of another text.
    assert_eq!(answer.header("content-length"), Some("51"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("server"), Some("nginx"));
    assert_eq!(answer.header("date"), Some("Sat, 29 Oct 2022 04:26:17 GMT"));
    assert_eq!(answer.header("stripe-version"), Some("2018-09-06"));
}

#[test]
fn an_uploaded_scenario_answers_with_path_variable_page_and_size() {
    let server = TestServer::start();
    assert_eq!(upload(server.address, BALANCE).status, 200);
    let answer = ask(server.address, "GET", BALANCE_URL, &[AUTHORIZATION], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-mock-request-count"), Some("1"));
    assert_eq!(answer.header("x-mock-scenario"), Some("stripe-cash-balance"));
    assert_eq!(answer.header("x-mock-path"), Some("/v1/customers/:customer/cash_balance"));
    for (name, value) in [
        ("request-id", "req_2"),
        ("server", "nginx"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
        ("stripe-version", "2018-09-06"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(
        answer.text(),
        "{\n  \"object\": \"cash_balance\",\n  \"available\": null,\n  \"customer\": 123\n  \"livemode\": false,\n  \
         \"page\": 2\n  \"pageSize\": 55\n  \"settings\": {\n    \"reconciliation_mode\": \"automatic\"\n  }\n}"
    );
}

#[test]
fn without_the_header_that_it_wants_a_scenario_does_not_answer() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    let answer = ask(server.address, "GET", BALANCE_URL, &[("Authorization", "Bearer sk_live_secret1")], b"");
    assert_eq!(answer.status, 400);
    let text = answer.text().to_owned();
    assert!(text.contains("stripe-cash-balance") && text.contains("Authorization"), "{text}");
    assert!(!text.contains("sk_live_secret1"), "{text}");
    assert!(!text.contains(server.folder().to_str().unwrap()), "{text}");
}

#[test]
fn two_scenarios_of_one_path_take_turns() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    upload(server.address, BALANCE_FAILURE);
    let answers: Vec<_> =
        (0..4).map(|_| ask(server.address, "GET", BALANCE_URL, &[AUTHORIZATION], b"")).collect();
    let names: Vec<_> = answers.iter().map(|answer| answer.header("x-mock-scenario").unwrap()).collect();
    assert_eq!(names[0], names[2]);
    assert_eq!(names[1], names[3]);
    assert_ne!(names[0], names[1]);
    let failure = answers
        .iter()
        .find(|answer| answer.header("x-mock-scenario") == Some("stripe-customer-failure"))
        .unwrap();
    assert_eq!(failure.status, 500);
    assert_eq!(failure.text(), "My custom error");
    assert_eq!(failure.header("content-type"), Some("application/json"));
    assert_eq!(failure.header("content-length"), Some("15"));
    let counts: Vec<_> =
        answers.iter().map(|answer| answer.header("x-mock-request-count").unwrap()).collect();
    assert_eq!(counts, ["1", "2", "3", "4"]);
}

#[test]
fn a_scenario_is_chosen_by_its_name() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    upload(server.address, BALANCE_FAILURE);
    for _ in 0..3 {
        let headers = [AUTHORIZATION, ("X-Mock-Scenario", "stripe-cash-balance")];
        assert_eq!(ask(server.address, "GET", BALANCE_URL, &headers, b"").status, 200);
    }
    let headers = [AUTHORIZATION, ("X-Mock-Scenario", "no-such")];
    assert_eq!(ask(server.address, "GET", BALANCE_URL, &headers, b"").status, 400);
}

#[test]
fn status_and_wait_are_overridden_by_headers() {
    let server = TestServer::start();
    upload(server.address, &BALANCE.replace("wait_before_reply: 0s", "wait_before_reply: 1h"));
    let headers = [AUTHORIZATION, ("X-Mock-Response-Status", "418"), ("X-Mock-Wait-Before-Reply", "1ms")];
    let answer = ask(server.address, "GET", BALANCE_URL, &headers, b"");
    assert_eq!(answer.status, 418);
    assert_eq!(answer.header("x-mock-scenario"), Some("stripe-cash-balance"));
}

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
        "AssetNumber": "{{RandString 20}}",
        "DeviceFriendlyName": "Device for {{SeededName $val}}",
        "EnrollmentStatus": {{SeededBool $val}},
        "BatteryLevel": "{{RandNumMax 100}}%",
        "Add": {{Add 2 1}}
      }{{if LastIter $val $.pageSize}}{{else}},  {{end}}
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
wait_before_reply: {{.page}}ms
"#;
const LINES: &str = "\"ApplicationName\": \"Chase\", \"Version\": \"3.80\"\n\"ApplicationName\": \"Maps\", \"Version\": \"1.2\"\n";
const PROPS: &str = "amount:\n  value: 100\n  currency: $\n";

#[test]
fn devices_are_made_in_a_loop_from_fixtures() {
    let server = TestServer::start();
    let yaml = [("Content-Type", "application/yaml")];
    for (name, text) in [("lines.txt", LINES), ("props.yaml", PROPS)] {
        let stored =
            ask(server.address, "POST", &format!("/_fixtures/GET/{name}/devices"), &yaml, text.as_bytes());
        assert_eq!((stored.status, stored.text()), (200, ""));
    }
    assert_eq!(upload(server.address, DEVICES).status, 200);
    let json = [("Content-Type", "application/json; charset=utf-8")];
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let answer = ask(server.address, "GET", "/devices?page=2&pageSize=5", &json, b"");
        statuses.push(answer.status);
        assert_eq!(answer.header("server"), Some("SampleAPI"));
        let body = answer.json();
        let devices = body["Devices"].as_array().unwrap();
        assert_eq!(devices.len(), 5);
        assert_eq!(body["Page"], 2);
        assert_eq!(devices[0]["Amount"], serde_json::json!({"currency": "$", "value": 100}));
        assert_eq!(devices[0]["Add"], 3);
        assert_eq!(devices[0]["AssetNumber"].as_str().unwrap().len(), 20);
        assert!(answer.text().starts_with("{ \"Devices\": [\n {\n"), "{}", answer.text());
        let again = ask(server.address, "GET", "/devices?page=2&pageSize=5", &json, b"").json();
        assert_eq!(devices[0]["Udid"], again["Devices"][0]["Udid"]);
        assert_eq!(devices[0]["Line"], again["Devices"][0]["Line"]);
        statuses.push(0);
    }
    let every_tenth: Vec<u16> = statuses.iter().copied().filter(|status| *status != 0).collect();
    assert!(every_tenth.iter().all(|status| [200, 400, 500, 501].contains(status)), "{every_tenth:?}");
}

#[test]
fn every_tenth_request_fails_as_the_condition_says() {
    let server = TestServer::start();
    upload(
        server.address,
        "method: GET\nname: tenth\npath: /tenth\nresponse:\n    contents: x\n    {{if NthRequest 10 }}\n    \
         status_code: {{AnyInt 500 501}}\n    {{else}}\n    status_code: {{AnyInt 200 400}}\n    {{end}}\n",
    );
    for count in 1..=20 {
        let answer = get(server.address, "/tenth");
        let expected: &[u16] = if count % 10 == 0 { &[500, 501] } else { &[200, 400] };
        assert!(expected.contains(&answer.status), "request {count}: {}", answer.status);
        assert_eq!(answer.header("x-mock-request-count"), Some(count.to_string().as_str()));
    }
}

const IMAGE: &str = "method: GET\nname: test-image\npath: /images/mock_image\ndescription: \"\"\nrequest:\nresponse:\n    \
    headers:\n      \"Last-Modified\":\n        - {{Time}}\n      \"ETag\":\n        - {{RandString 10}}\n      \
    \"Cache-Control\":\n        - max-age={{RandNumMinMax 1000 5000}}\n    content_type: image/png\n    \
    contents_file: mockup.png\n    status_code: 200\n";

#[test]
fn an_image_is_served_from_a_binary_fixture() {
    let server = TestServer::start();
    let png: Vec<u8> = b"\x89PNG\r\n\x1a\n\0\0{{not a template}}".iter().copied().chain(0..=255).collect();
    let yaml = [("Content-Type", "application/yaml")];
    let target = "/_fixtures/GET/mockup.png/images/mock_image";
    assert_eq!(ask(server.address, "POST", target, &yaml, &png).status, 200);
    assert_eq!(upload(server.address, IMAGE).status, 200);
    let answer = get(server.address, "/images/mock_image");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    assert_eq!(answer.body, png);
    assert_eq!(answer.header("etag").unwrap().len(), 10);
    let age: u32 = answer.header("cache-control").unwrap().strip_prefix("max-age=").unwrap().parse().unwrap();
    assert!((1000..5000).contains(&age));
    assert!(answer.header("last-modified").unwrap().contains('T'));
    let fixture = get(server.address, target);
    assert_eq!((fixture.status, fixture.header("content-type")), (200, Some("application/binary")));
    assert_eq!(fixture.body, png);
}

#[test]
fn the_list_has_addresses_as_keys_and_what_a_scenario_matches() {
    let server = TestServer::start();
    upload(
        server.address,
        "method: GET\nname: ListCredentialAws\npath: /v1/Credentials/AWS\ngroup: aws\nrequest:\n  match_query_params:\n    \
         PageSize: '\\d+'\nresponse:\n  contents: '[]'\n",
    );
    upload(
        server.address,
        "method: GET\nname: FetchCredentialAws\npath: /v1/Credentials/AWS/{Sid}\nresponse:\n  contents: '{}'\n",
    );
    let list = get(server.address, "/_scenarios").json();
    let keys: Vec<_> = list.as_object().unwrap().keys().cloned().collect();
    let expected = [
        "/_scenarios/GET/FetchCredentialAws/v1/Credentials/AWS/{Sid}",
        "/_scenarios/GET/ListCredentialAws/v1/Credentials/AWS",
    ];
    assert_eq!(keys, expected);
    let one = &list[expected[1]];
    assert_eq!(one["method"], "GET");
    assert_eq!(one["name"], "ListCredentialAws");
    assert_eq!(one["path"], "/v1/Credentials/AWS");
    assert_eq!(one["match_query_params"], serde_json::json!({"PageSize": "\\d+"}));
    assert_eq!(one["match_headers"], serde_json::json!({}));
    assert_eq!((&one["match_content_type"], &one["match_contents"]), (&"".into(), &"".into()));
    assert_eq!((&one["LastUsageTime"], &one["RequestCount"]), (&0.into(), &0.into()));
    assert_eq!(get(server.address, "/v1/Credentials/AWS?PageSize=3").status, 200);
    let used = &get(server.address, "/_scenarios").json()[expected[1]];
    assert_eq!(used["RequestCount"], 1);
    assert!(used["LastUsageTime"].as_u64().unwrap() > 1_600_000_000);
    let of_group = get(server.address, "/_scenarios?group=aws").json();
    assert_eq!(of_group.as_object().unwrap().len(), 1);
    // Each key is an address that answers.
    for key in expected {
        assert_eq!(get(server.address, key).status, 200, "{key}");
    }
}
