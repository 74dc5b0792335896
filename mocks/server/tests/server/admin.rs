//! The admin API.

use serde_json::json;

use crate::support::http::{ask, get, upload};
use crate::support::{BALANCE, TestServer, simple};

#[test]
fn an_upload_answers_with_the_scenario_as_it_was_understood() {
    let server = TestServer::start();
    let answer = upload(server.address, BALANCE);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let scenario = answer.json();
    assert_eq!(scenario["method"], "GET");
    assert_eq!(scenario["name"], "stripe-cash-balance");
    assert_eq!(scenario["request"]["match_headers"]["Authorization"], "Bearer sk_test_[0-9a-fA-F]{10}$");
    assert!(scenario["response"]["contents"].as_str().unwrap().contains("{{.customer}}"));
}

#[test]
fn json_scenarios_are_as_good_as_yaml_ones() {
    let server = TestServer::start();
    let scenario = json!({
        "method": "GET", "name": "j", "path": "/json/:id",
        "response": {"contents": "{\"id\": \"{{.id}}\"}", "content_type": "application/json", "status_code": 201},
        "wait_before_reply": 1000,
    });
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        let headers = [("Content-Type", content_type)];
        let answer = ask(server.address, "POST", "/_scenarios", &headers, scenario.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = get(server.address, "/json/7");
    assert_eq!((answer.status, answer.json()), (201, json!({"id": "7"})));
}

#[test]
fn a_scenario_is_got_as_it_was_written_or_as_json() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    let target = "/_scenarios/GET/stripe-cash-balance/v1/customers/:customer/cash_balance";
    let raw = get(server.address, target);
    assert_eq!((raw.status, raw.text()), (200, BALANCE));
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    let json = ask(server.address, "GET", target, &[("Accept", "application/json")], b"");
    assert_eq!(json.json()["path"], "/v1/customers/:customer/cash_balance");
    let yaml = ask(server.address, "GET", target, &[("Content-Type", "application/yaml")], b"");
    assert_eq!((yaml.header("content-type"), yaml.text()), (Some("application/yaml"), BALANCE));
    // Looking is no use.
    assert_eq!(get(server.address, "/_scenarios").json()[target]["RequestCount"], 0);
    assert_eq!(get(server.address, "/_scenarios/GET/other/v1/customers/:customer/cash_balance").status, 404);
}

#[test]
fn names_of_a_folder_are_listed() {
    let server = TestServer::start();
    for name in ["b-one", "a-one"] {
        upload(server.address, &simple("GET", name, "/v1/things/:id", "x"));
    }
    upload(server.address, &simple("PUT", "put-one", "/v1/things/:id", "x"));
    let names = get(server.address, "/_scenarios/GET/names/v1/things");
    assert_eq!(names.json(), json!(["a-one", "b-one"]));
    assert_eq!(get(server.address, "/_scenarios/GET/names/v1/nothing").status, 404);
}

#[test]
fn groups_are_listed_once_each() {
    let server = TestServer::start();
    for (name, group) in [("a1", "zoo"), ("a2", "ape"), ("a3", "zoo"), ("a4", "")] {
        upload(server.address, &format!("group: '{group}'\n{}", simple("GET", name, "/g", "x")));
    }
    assert_eq!(get(server.address, "/_groups").json(), json!(["ape", "zoo"]));
    assert_eq!(get(server.address, "/_scenarios/groups").json(), json!(["ape", "zoo"]));
}

#[test]
fn fixtures_are_stored_listed_got_and_deleted() {
    let server = TestServer::start();
    let target = "/_fixtures/GET/lines.txt/devices";
    assert_eq!(ask(server.address, "POST", target, &[], b"one\ntwo\n").status, 200);
    assert_eq!(get(server.address, "/_fixtures/GET/fixtures/devices").json(), json!(["lines.txt"]));
    assert_eq!(get(server.address, target).text(), "one\ntwo\n");
    let deleted = ask(server.address, "DELETE", target, &[], b"");
    assert_eq!((deleted.status, deleted.text()), (200, ""));
    assert_eq!(get(server.address, target).status, 404);
    assert_eq!(ask(server.address, "DELETE", target, &[], b"").status, 404);
    assert_eq!(get(server.address, "/_fixtures/GET/fixtures/devices").json(), json!([]));
}

#[test]
fn a_wrong_scenario_is_told_where_it_is_wrong() {
    let server = TestServer::start();
    let answer = upload(server.address, "method: GET\nname: a1\npath: /a\nresponse:\n  status_code: many\n");
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
    let said = answer.json();
    assert_eq!((&said["line"], &said["field"]), (&json!(5), &json!("response.status_code")));
    assert!(said["message"].as_str().unwrap().contains("many"), "{said}");
    for wrong in [
        "",
        "- a\n",
        "method: GET\n",
        "{{if}}",
        "method: GET\nname: a1\npath: /a\nresponse:\n  contents: '{{if}}'\n",
        "\u{0}",
    ] {
        let answer = upload(server.address, wrong);
        assert_eq!(answer.status, 400, "{wrong:?}: {}", answer.text());
        assert!(answer.json()["message"].is_string());
    }
    assert_eq!(get(server.address, "/_scenarios").json(), json!({}));
    assert_eq!(ask(server.address, "POST", "/_scenarios", &[], b"\xff\xfe").status, 400);
}

#[test]
fn with_a_token_only_health_assets_the_document_and_playback_are_open() {
    let server = TestServer::with(|config, _| config.admin_token = Some("s3cret".to_owned().into()));
    let bearer = [("Authorization", "Bearer s3cret")];
    assert_eq!(upload(server.address, BALANCE).status, 401);
    let refused = get(server.address, "/_scenarios");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    let text = simple("GET", "one", "/one", "1");
    assert_eq!(ask(server.address, "POST", "/_scenarios", &bearer, text.as_bytes()).status, 200);
    assert_eq!(ask(server.address, "GET", "/_scenarios", &bearer, b"").status, 200);
    assert_eq!(get(server.address, "/metrics").status, 401);
    for open in ["/_health", "/_oapi", "/one"] {
        assert_eq!(get(server.address, open).status, 200, "{open}");
    }
    // A refused upload is not read first.
    let huge = [("Content-Length", "99999999999")];
    let mut connection = crate::support::http::Connection::open(server.address);
    connection.send("GET", "/_scenarios", &huge, b"");
    assert_eq!(connection.read(false).unwrap().status, 401);
}

#[test]
fn pages_of_an_allowed_origin_may_use_the_admin_api() {
    let server = TestServer::with(|config, _| {
        config.admin_origins.push(http::HeaderValue::from_static("https://good.example"));
    });
    let origin = ("Origin", "https://good.example");
    let asked = [origin, ("Access-Control-Request-Method", "POST")];
    let preflight = ask(server.address, "OPTIONS", "/_scenarios", &asked, b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://good.example"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    let list = ask(server.address, "GET", "/_scenarios", &[origin], b"");
    assert_eq!(list.header("access-control-allow-origin"), Some("https://good.example"));
    let other = ask(server.address, "GET", "/_scenarios", &[("Origin", "https://other.example")], b"");
    assert_eq!((other.status, other.header("access-control-allow-origin")), (403, None));
}

#[test]
fn assets_are_served_and_nothing_beside_them() {
    let server = TestServer::with(|config, folder| {
        let assets = folder.join("assets");
        std::fs::create_dir_all(assets.join("css")).unwrap();
        std::fs::write(assets.join("css/main.css"), "body {}").unwrap();
        std::fs::write(assets.join("large.bin"), vec![7; 300_000]).unwrap();
        std::fs::write(assets.join("empty.txt"), "").unwrap();
        std::fs::write(folder.join("secret.txt"), "secret").unwrap();
        config.asset_dir = Some(assets);
    });
    let css = get(server.address, "/_assets/css/main.css");
    assert_eq!(
        (css.status, css.text(), css.header("content-type")),
        (200, "body {}", Some("text/css; charset=utf-8"))
    );
    assert_eq!(get(server.address, "/_assets/large.bin").body, vec![7; 300_000]);
    let empty = get(server.address, "/_assets/empty.txt");
    assert_eq!((empty.status, empty.text()), (200, ""));
    let head = ask(server.address, "HEAD", "/_assets/large.bin", &[], b"");
    assert_eq!(head.header("content-length"), Some("300000"));
    for bad in [
        "../secret.txt",
        "..%2fsecret.txt",
        "css/..%2f..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "css",
        "",
        "no.txt",
        "%00",
    ] {
        let answer = get(server.address, &format!("/_assets/{bad}"));
        assert!(matches!(answer.status, 400 | 404), "{bad}: {}", answer.status);
        assert!(!answer.text().contains("secret"), "{bad}");
    }
}

#[test]
fn health_metrics_and_the_document_are_there() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "one", "/one", "1"));
    get(server.address, "/one");
    get(server.address, "/nothing");
    assert_eq!(get(server.address, "/_health").json()["status"], "ok");
    let metrics = get(server.address, "/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for line in [
        "api_mock_requests_total{outcome=\"answered\"} 1",
        "api_mock_requests_total{outcome=\"not_matched\"} 1",
        "api_mock_scenarios 1",
        "api_mock_playback_seconds_count 2",
    ] {
        assert!(metrics.text().lines().any(|known| known == line), "{line} is not in {}", metrics.text());
    }
    let document = get(server.address, "/_oapi");
    assert_eq!(document.json()["openapi"], "3.1.0");
}

#[test]
fn methods_that_a_path_does_not_know_are_told_which_it_does() {
    let server = TestServer::start();
    let answer = ask(server.address, "PATCH", "/_scenarios", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST, HEAD, OPTIONS")));
    let head = ask(server.address, "HEAD", "/_scenarios", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
}

#[test]
fn uploads_and_requests_go_on_side_by_side() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "version", "/version", "0"));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..25 {
                    let text = simple("GET", "version", "/version", &format!("{thread}-{round}"));
                    assert_eq!(upload(server.address, &text).status, 200);
                    let own =
                        simple("GET", &format!("own{thread}"), &format!("/own/{thread}/{round}"), "own");
                    assert_eq!(upload(server.address, &own).status, 200);
                    assert_eq!(get(server.address, &format!("/own/{thread}/{round}")).text(), "own");
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = crate::support::http::Connection::open(server.address);
                for _ in 0..500 {
                    // Old or new, but always whole.
                    let answer = connection.ask("GET", "/version", &[], b"");
                    assert_eq!(answer.status, 200);
                    assert!(answer.text() == "0" || answer.text().contains('-'), "{}", answer.text());
                }
            });
        }
    });
    assert_eq!(get(server.address, "/_scenarios").json().as_object().unwrap().len(), 101);
}
