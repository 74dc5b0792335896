//! Specifications that are imported through the admin API.

use std::path::PathBuf;

use api_mock_recorder::{AddressGuard, RecorderOptions};
use api_mock_server::RecordingConfig;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::http::{Answer, ask, get, upload};

/// Of the same shape as the walk-through's.
const ACCOUNTS: &str = r"openapi: 3.0.1
info: {title: Accounts, version: 1.0.0}
paths:
  /v1/AuthTokens/Promote:
    servers: [{url: 'https://accounts.example.org'}]
    post:
      operationId: UpdateAuthTokenPromotion
      description: Promote the secondary token.
      responses:
        '200':
          description: OK
          content:
            application/json:
              schema: {$ref: '#/components/schemas/promotion'}
  /v1/Credentials/AWS:
    get:
      operationId: ListCredentialAws
      parameters:
      - {name: PageSize, in: query, schema: {type: integer, minimum: 1, maximum: 1000}}
      responses:
        '200': {description: OK, content: {application/json: {schema: {type: object}}}}
  /v1/Credentials/AWS/{Sid}:
    get:
      operationId: FetchCredentialAws
      parameters:
      - {name: Sid, in: path, required: true, schema: {type: string, pattern: '^CR[0-9a-f]{32}$'}}
      responses:
        '200': {description: OK, content: {application/json: {schema: {$ref: '#/components/schemas/promotion'}}}}
        '404': {description: none}
components:
  schemas:
    promotion:
      type: object
      properties:
        account_sid: {type: string, minLength: 34, maxLength: 34, pattern: '^AC[0-9a-fA-F]{32}$', nullable: true}
        auth_token: {type: string, nullable: true}
        date_created: {type: string, format: date-time, nullable: true}
        url: {type: string, format: uri, nullable: true}
";

fn import(server: &TestServer, target: &str, text: &str) -> Answer {
    ask(server.address, "POST", target, &[("Content-Type", "application/yaml")], text.as_bytes())
}

#[test]
fn the_walk_through_of_the_specification_works() {
    let server = TestServer::start();
    let answer = import(&server, "/_oapi", ACCOUNTS);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let scenarios = answer.json();
    let promote = &scenarios[0];
    assert!(promote["name"].as_str().unwrap().starts_with("UpdateAuthTokenPromotion-"));
    assert_eq!(promote["path"], "/v1/AuthTokens/Promote");
    assert_eq!(promote["group"], "Accounts");
    let contents = promote["response"]["contents"].as_str().unwrap();
    assert!(contents.contains("{{RandRegex `^AC[0-9a-fA-F]{32}$`}}"), "{contents}");

    let made = ask(server.address, "POST", "/v1/AuthTokens/Promote", &[], b"");
    assert_eq!((made.status, made.header("content-type")), (200, Some("application/json")));
    let account = made.json()["account_sid"].as_str().unwrap().to_owned();
    assert!(account.len() == 34 && account.starts_with("AC"), "{account}");

    let listed = get(server.address, "/_scenarios").json();
    let listed = listed.as_object().unwrap();
    assert_eq!(listed.len(), 4);
    let found = listed.keys().any(|key| {
        key.starts_with("/_scenarios/GET/FetchCredentialAws-") && key.ends_with("/v1/Credentials/AWS/{Sid}")
    });
    assert!(found, "{listed:?}");
}

#[test]
fn json_is_as_good_and_the_content_type_does_not_matter() {
    let server = TestServer::start();
    let json = br#"{"swagger": "2.0", "info": {"title": "Old", "version": "1"}, "paths": {"/a": {"get": {"responses": {"200": {"description": "ok", "schema": {"type": "integer"}}}}}}, "produces": ["application/json"]}"#;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = ask(server.address, "POST", "/_oapi", &form, json);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(get(server.address, "/a").json().is_number());
}

#[test]
fn defect_l13_importing_again_changes_nothing() {
    let server = TestServer::start();
    let first = import(&server, "/_oapi", ACCOUNTS);
    assert_eq!(
        first.header("x-mock-import"),
        Some("added=4, changed=0, unchanged=0, kept=0, removed=0, left-out=0")
    );
    let second = import(&server, "/_oapi", ACCOUNTS);
    assert_eq!(
        second.header("x-mock-import"),
        Some("added=0, changed=0, unchanged=4, kept=0, removed=0, left-out=0")
    );
    assert_eq!(first.json(), second.json());
}

#[test]
fn a_changed_specification_updates_what_it_wrote_and_keeps_what_a_hand_changed() {
    let server = TestServer::start();
    let scenarios = import(&server, "/_oapi", ACCOUNTS).json();
    let address = |at: usize| {
        let part = |name: &str| scenarios[at][name].as_str().unwrap().to_owned();
        format!("/_scenarios/{}/{}{}", part("method"), part("name"), part("path"))
    };
    // By hand.
    let text = get(server.address, &address(0)).text().to_owned();
    let text = text.replace("status_code: 200", "status_code: 202");
    assert_eq!(upload(server.address, &text).status, 200);

    let changed = ACCOUNTS.replace(
        "type: object}}}}\n",
        "type: object, required: [page], properties: {page: {type: integer}}}}}}\n",
    );
    let changed = changed.replace("        '404': {description: none}\n", "");
    let report = import(&server, "/_oapi?report=true", &changed).json();
    let only = |name: &str| -> Vec<String> {
        report[name].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(only("kept"), [address(0)]);
    assert_eq!(only("changed"), [address(1)]);
    assert_eq!(only("removed"), [address(3)]);
    assert!(only("added").is_empty());
    assert_eq!(report["unchanged"], 1);
    assert_eq!(report["scenarios"][0]["response"]["status_code"], 202);
    assert_eq!(ask(server.address, "POST", "/v1/AuthTokens/Promote", &[], b"").status, 202);
    assert!(get(server.address, "/v1/Credentials/AWS").json()["page"].is_number());
}

#[test]
fn what_is_broken_is_told_and_the_rest_is_imported() {
    let server = TestServer::start();
    let broken = ACCOUNTS.replace("schema: {type: object}", "schema: {$ref: '../secret.yaml'}");
    let report = import(&server, "/_oapi?report=true&group=mine", &broken).json();
    assert_eq!(report["scenarios"].as_array().unwrap().len(), 4);
    assert_eq!(report["scenarios"][0]["group"], "mine");
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.iter().any(|told| told["at"].as_str().unwrap().contains("AWS")), "{problems:?}");
    for nothing in ["", "hello: world", "{", "[]"] {
        let answer = import(&server, "/_oapi", nothing);
        assert_eq!(answer.status, 400, "{nothing}: {}", answer.text());
        assert!(answer.json()["message"].is_string());
    }
}

#[test]
fn specifications_of_real_services_are_imported_whole() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let Ok(files) = folder.read_dir() else {
        eprintln!("skipped: there are no specifications in {}", folder.display());
        return;
    };
    for file in files.map(|file| file.unwrap().path()) {
        let server = TestServer::start();
        let text = std::fs::read_to_string(&file).unwrap();
        let answer = import(&server, "/_oapi?report=true", &text);
        assert_eq!(answer.status, 200, "{}: {}", file.display(), answer.text());
        let report = answer.json();
        let left_out = report["problems"].as_array().unwrap();
        let refused: Vec<&Value> =
            left_out.iter().filter(|told| told["at"].as_str().unwrap().starts_with("/_scenarios")).collect();
        assert!(refused.is_empty(), "{}: {refused:?}", file.display());
        let count = report["scenarios"].as_array().unwrap().len();
        assert!(count > 0, "{}", file.display());
        assert_eq!(get(server.address, "/_scenarios").json().as_object().unwrap().len(), count);
    }
}

/// A service that has documents to be fetched.
fn origin(documents: &[(&str, &str)]) -> TestServer {
    let origin = TestServer::start();
    for (path, text) in documents {
        let name = path.replace(['/', '.'], "-");
        let scenario = json!({"method": "GET", "name": name, "path": path, "response": {"contents": text}});
        let json = [("Content-Type", "application/json")];
        let answer = ask(origin.address, "POST", "/_scenarios", &json, scenario.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    origin
}

/// A server that may fetch from this machine.
fn reaching() -> TestServer {
    TestServer::with(|config, folder| {
        let guard = AddressGuard::public_only().allow(["127.0.0.1"]).unwrap();
        config.recording = Some(RecordingConfig {
            recorder: RecorderOptions { guard, ..RecorderOptions::default() },
            proxy: None,
            authority_dir: folder.join(".ca"),
        });
    })
}

const SPREAD: &str = r"openapi: 3.0.0
info: {title: Spread, version: '1'}
paths: {/a: {get: {responses: {200: {description: ok, content: {application/json: {schema: {$ref: 'REF'}}}}}}}}
";

#[test]
fn specifications_are_fetched_with_what_lies_beside_them() {
    let origin = origin(&[
        ("/specs/api.yaml", &SPREAD.replace("REF", "models/a.yaml#/A")),
        ("/specs/models/a.yaml", "A: {type: object, required: [b], properties: {b: {$ref: '../../b.yaml'}}}"),
        ("/b.yaml", "{type: string, enum: [fetched]}"),
    ]);
    let server = reaching();
    let report =
        import(&server, &format!("/_oapi?report=true&url=http://{}/specs/api.yaml", origin.address), "");
    assert_eq!(report.status, 200, "{}", report.text());
    assert_eq!(report.json()["problems"], json!([]));
    assert_eq!(get(server.address, "/a").json(), json!({"b": "fetched"}));
    // The same as text, from there.
    let text = SPREAD.replace("REF", "/b.yaml");
    let report =
        import(&server, &format!("/_oapi?report=true&url=http://{}/specs/api.yaml", origin.address), &text);
    assert_eq!(report.json()["problems"], json!([]));
    assert_eq!(get(server.address, "/a").json(), json!("fetched"));
}

#[test]
fn defect_l03_references_are_followed_only_where_that_is_allowed() {
    let origin = origin(&[("/b.yaml", "{type: string, enum: [fetched]}")]);
    let address = origin.address;
    let problems = |server: &TestServer, target: &str, reference: &str| -> String {
        let answer = import(server, target, &SPREAD.replace("REF", reference));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["problems"].to_string()
    };
    let remote = format!("http://{address}/b.yaml");
    // Not unless it is said.
    assert!(problems(&reaching(), "/_oapi?report=true", &remote).contains("not followed unless"));
    assert_eq!(problems(&reaching(), "/_oapi?report=true&remote_refs=true", &remote), "[]");
    // Nothing that only this machine reaches, unless that is allowed.
    let server = TestServer::start();
    let told = problems(&server, "/_oapi?report=true&remote_refs=true", &remote);
    assert!(told.contains("not public and not allowed"), "{told}");
    let answer = import(&server, &format!("/_oapi?url={remote}"), "");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("not public and not allowed"), "{}", answer.text());
    // Files never.
    for file in ["file:///etc/hostname", "/etc/hostname", "../../etc/hostname", "etc/hostname"] {
        for target in ["/_oapi?report=true", "/_oapi?report=true&remote_refs=true"] {
            assert_ne!(problems(&reaching(), target, file), "[]", "{file}");
        }
    }
    assert_eq!(import(&server, "/_oapi?url=file:///etc/hostname", "").status, 400);
}

#[test]
fn redirects_are_followed_some_times_and_answers_must_be_good() {
    let origin = origin(&[("/api.yaml", &SPREAD.replace("REF", "b.yaml")), ("/b.yaml", "{type: integer}")]);
    let redirect = |path: &str, to: &str| {
        let scenario = format!(
            "method: GET\nname: {}\npath: {path}\nresponse:\n    headers:\n        Location: [{to}]\n    status_code: 302\n",
            &path[1..]
        );
        assert_eq!(upload(origin.address, &scenario).status, 200);
    };
    redirect("/moved", "/api.yaml");
    redirect("/circle", "/circle");
    let server = reaching();
    let fetch =
        |path: &str| import(&server, &format!("/_oapi?report=true&url=http://{}{path}", origin.address), "");
    let report = fetch("/moved");
    assert_eq!((report.status, &report.json()["problems"]), (200, &json!([])), "{}", report.text());
    for (path, told) in [("/circle", "redirected too often"), ("/none", "404")] {
        let answer = fetch(path);
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains(told), "{}", answer.text());
    }
}

#[test]
fn a_specification_without_operations_removes_what_the_last_one_wrote() {
    let server = TestServer::start();
    assert_eq!(import(&server, "/_oapi", ACCOUNTS).status, 200);
    let empty = "openapi: 3.0.1\ninfo: {title: Accounts, version: 1.0.0}\npaths: {}\n";
    let report = import(&server, "/_oapi?report=true", empty).json();
    assert_eq!(report["removed"].as_array().unwrap().len(), 4);
    assert!(get(server.address, "/_scenarios").json().as_object().unwrap().is_empty());
}
