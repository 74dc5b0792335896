//! Requests are checked against the specifications that were imported.

use std::path::Path;
use std::sync::{Arc, Mutex};

use api_mock_engine::Refusal;
use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions};
use api_mock_server::{OnAnswer, RecordingConfig};
use serde_json::Value;

use crate::support::http::{Answer, ask, get, upload};
use crate::support::{TestServer, simple, wait_until};

const PETS: &str = r"openapi: 3.0.3
info: {title: Pets, version: '1'}
paths:
  /pets:
    get:
      operationId: listPets
      parameters:
      - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
      - {name: x-trace, in: header, schema: {type: string, pattern: '^[0-9a-f]+$'}}
      responses: {200: {description: all, content: {application/json: {schema: {type: array, items: {type: string}}}}}}
    post:
      operationId: addPet
      security: [{login: []}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses: {201: {description: made}}
  /pets/{id}:
    get:
      operationId: getPet
      parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 1}}]
      responses: {200: {description: one}}
components:
  securitySchemes: {login: {type: http, scheme: basic}}
  schemas:
    Pet:
      type: object
      required: [name]
      properties: {name: {type: string, maxLength: 5}, age: {type: integer}, owner: {type: object, required: [id], properties: {id: {type: string, format: uuid}}}}
";

const BASIC: (&str, &str) = ("Authorization", "Basic dTpodW50ZXIy");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn in_folder(folder: &Path) -> TestServer {
    TestServer::in_folder(folder, |config, _| config.validate_requests = true)
}

fn import(server: &TestServer, text: &str) -> Answer {
    let answer = ask(server.address, "POST", "/_oapi", &[], text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn violations(answer: &Answer) -> Vec<String> {
    let told = answer.json();
    let all = told["violations"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|one| {
        let parts = ["in", "name", "pointer", "keyword"].map(|part| text(&one[part]));
        format!("{}: {}", parts.join(" "), one["expected"])
    })
    .collect()
}

#[test]
fn defect_l05_a_request_with_faults_is_refused_with_all_of_them_and_no_value() {
    let server = TestServer::with(|config, _| config.validate_requests = true);
    import(&server, PETS);
    let good = ask(server.address, "POST", "/pets", &[BASIC, JSON], br#"{"name": "Rex", "age": 3}"#);
    assert_eq!(good.status, 201, "{}", good.text());
    let body = br#"{"name": "hunter2 is long", "age": "old", "owner": {}}"#;
    let bad = ask(server.address, "POST", "/pets", &[BASIC, JSON], body);
    assert_eq!((bad.status, bad.header("content-type")), (400, Some("application/json")));
    assert_eq!(
        violations(&bad),
        ["body  /name maxLength: 5", "body  /age type: \"integer\"", "body  /owner required: \"id\"",]
    );
    let told = bad.json();
    assert_eq!((&told["specification"], &told["operation"]), (&Value::from("Pets"), &Value::from("addPet")));
    assert!(told["message"].as_str().unwrap().contains("body at /age: is string, not integer"));
    // Nothing of what was sent comes back, and it was no use of the scenario.
    assert!(!bad.text().contains("hunter2") && !bad.text().contains("dTpodW50ZXIy"));
    let again = ask(server.address, "POST", "/pets", &[BASIC, JSON], br#"{"name": "Rex"}"#);
    assert_eq!(again.header("x-mock-request-count"), Some("2"));
}

#[test]
fn every_part_of_a_request_is_looked_at() {
    let server = TestServer::with(|config, _| config.validate_requests = true);
    import(&server, PETS);
    let bad = ask(server.address, "GET", "/pets?limit=0", &[("X-Trace", "hunter2")], b"");
    assert_eq!(bad.status, 400);
    assert_eq!(violations(&bad), ["query limit  minimum: 1", "header x-trace  pattern: \"^[0-9a-f]+$\""]);
    let bad = get(server.address, "/pets/none");
    assert_eq!((bad.status, violations(&bad)), (400, vec!["path id  type: \"integer\"".to_owned()]));
    assert_eq!(get(server.address, "/pets/7?more=1").status, 200);
    assert_eq!(ask(server.address, "HEAD", "/pets/0", &[], b"").status, 400);
    assert_eq!(ask(server.address, "HEAD", "/pets/1", &[], b"").status, 200);
    let bad = ask(server.address, "POST", "/pets", &[BASIC, JSON], b"{");
    assert_eq!(violations(&bad), ["body   syntax: \"application/json\""]);
    let bad = ask(server.address, "POST", "/pets", &[BASIC, JSON], b"");
    assert_eq!((bad.status, violations(&bad)), (400, vec!["body   required: null".to_owned()]));
}

#[test]
fn statuses_are_those_that_services_usually_answer_with() {
    let server = TestServer::with(|config, _| config.validate_requests = true);
    import(&server, PETS);
    let text = [BASIC, ("Content-Type", "text/plain")];
    let other = ask(server.address, "POST", "/pets", &text, b"Rex");
    assert_eq!(other.status, 415);
    assert_eq!(violations(&other), ["body   content-type: [\"application/json\"]"]);
    let nobody = ask(server.address, "POST", "/pets", &[JSON], br#"{"name": 5}"#);
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, Some("Basic realm=\"mock\"")));
    assert_eq!(violations(&nobody).len(), 2);
    let method = ask(server.address, "DELETE", "/pets", &[], b"");
    assert_eq!((method.status, method.header("allow")), (405, Some("GET, POST")));
    assert_eq!(get(server.address, "/dogs").status, 404);
}

#[test]
fn scenarios_of_no_specification_are_left_alone() {
    let server = TestServer::with(|config, _| config.validate_requests = true);
    import(&server, PETS);
    assert_eq!(upload(server.address, &simple("DELETE", "own", "/pets", "gone")).status, 200);
    assert_eq!(ask(server.address, "DELETE", "/pets?limit=none", &[], b"").text(), "gone");
    assert_eq!(upload(server.address, &simple("GET", "own", "/dogs", "wuff")).status, 200);
    assert_eq!(get(server.address, "/dogs?limit=none").text(), "wuff");
}

#[test]
fn without_being_asked_nothing_is_checked() {
    let server = TestServer::start();
    import(&server, PETS);
    assert_eq!(get(server.address, "/pets?limit=0").status, 200);
    assert_eq!(ask(server.address, "POST", "/pets", &[JSON], b"{}").status, 201);
}

#[test]
fn it_survives_restarts_and_follows_imports_by_whomever() {
    let folder = tempfile::tempdir().unwrap();
    import(&TestServer::in_folder(folder.path(), |_, _| {}), PETS);
    let server = in_folder(folder.path());
    assert_eq!(get(server.address, "/pets?limit=0").status, 400);
    assert_eq!(get(server.address, "/pets?limit=5").status, 200);
    // Imported again here: at once.
    import(&server, &PETS.replace("minimum: 1, maximum: 100", "minimum: 0, maximum: 100"));
    assert_eq!(get(server.address, "/pets?limit=0").status, 200);
    // Imported by another process: soon. Its scenarios are the same.
    import(
        &TestServer::in_folder(folder.path(), |_, _| {}),
        &PETS.replace("minimum: 1, maximum: 100", "maximum: 4"),
    );
    wait_until("the new limit", || get(server.address, "/pets?limit=5").status == 400);
    // Who deletes all of its scenarios is done with it.
    let listed = get(server.address, "/_scenarios").json();
    for address in listed.as_object().unwrap().keys() {
        let address = address.replace('{', "%7B").replace('}', "%7D");
        assert_eq!(ask(server.address, "DELETE", &address, &[], b"").status, 200);
    }
    assert_eq!(upload(server.address, &simple("GET", "own", "/pets", "mine")).status, 200);
    assert_eq!(get(server.address, "/pets?limit=none").text(), "mine");
}

#[test]
fn one_of_several_specifications_is_enough() {
    let server = TestServer::with(|config, _| config.validate_requests = true);
    import(&server, PETS);
    let other =
        PETS.replace("title: Pets", "title: Others").replace("minimum: 1, maximum: 100", "minimum: 200");
    import(&server, &other);
    assert_eq!(get(server.address, "/pets?limit=5").status, 200);
    assert_eq!(get(server.address, "/pets?limit=500").status, 200);
    assert_eq!(get(server.address, "/pets?limit=150").status, 400);
}

#[test]
fn a_folder_of_specifications_that_cannot_be_read_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let specifications = folder.path().join("oapi_specs");
    std::fs::create_dir_all(&specifications).unwrap();
    std::fs::write(specifications.join("broken.json"), "{").unwrap();
    // As newer versions of the service keep them: the specification itself.
    let plain = r#"{"openapi": "3.0.0", "info": {"title": "Plain", "version": "1"}, "paths": {"/plain": {"get": {
        "parameters": [{"name": "a", "in": "query", "required": true, "schema": {"type": "string"}}], "responses": {}}}}}"#;
    std::fs::write(specifications.join("Plain_V1.json"), plain).unwrap();
    let server = in_folder(folder.path());
    assert_eq!(upload(server.address, &simple("GET", "plain", "/plain", "ok")).status, 200);
    assert_eq!(get(server.address, "/plain").status, 400);
    assert_eq!(get(server.address, "/plain?a=1").text(), "ok");
}

const SHAPED: &str = r"openapi: 3.0.3
info: {title: Shaped, version: '1'}
paths:
  /open: {get: {parameters: [{name: n, in: query, required: true, schema: {type: integer}}], responses: {
    200: {description: ok}, 400: {description: bad, content: {application/problem+json: {schema: {$ref: '#/components/schemas/Open'}}}}}}}
  /closed: {get: {parameters: [{name: n, in: query, required: true, schema: {type: integer}}], responses: {
    200: {description: ok}, default: {description: bad, content: {application/json: {schema: {$ref: '#/components/schemas/Closed'}}}}}}}
  /other: {get: {security: [{key: []}], parameters: [{name: n, in: query, required: true, schema: {type: integer}}], responses: {
    200: {description: ok}, 403: {description: no}, 422: {description: bad}}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas:
    Open: {type: object, required: [code, detail], properties: {code: {type: integer}, detail: {type: string}}}
    Closed: {type: object, additionalProperties: false, required: [message], properties: {message: {type: string, maxLength: 9}}}
";

#[test]
fn refusals_are_as_the_specification_wants_them() {
    let server = TestServer::with(|config, _| {
        config.validate_requests = true;
        config.credentials = ["hunter2"].into_iter().collect();
    });
    import(&server, SHAPED);
    let open = get(server.address, "/open?n=x");
    assert_eq!((open.status, open.header("content-type")), (400, Some("application/problem+json")));
    assert!(open.json()["code"].is_i64(), "{}", open.text());
    assert!(open.json()["detail"].as_str().unwrap().contains("\"n\": is string, not integer"));
    assert_eq!(violations(&open).len(), 1);
    // What the body has no room for is in a header.
    let closed = get(server.address, "/closed?n=x");
    assert_eq!((closed.status, closed.json().as_object().unwrap().len()), (400, 1));
    assert!(closed.json()["message"].as_str().unwrap().len() <= 9);
    assert!(closed.header("x-mock-violations").unwrap().contains("is string, not integer"));
    // The statuses that it knows.
    let key = |key| [("X-Key", key)];
    assert_eq!(ask(server.address, "GET", "/other?n=1", &[], b"").status, 403);
    let wrong = ask(server.address, "GET", "/other?n=1", &key("hunter1"), b"");
    assert!(wrong.status == 403 && !wrong.text().contains("hunter"), "{}", wrong.text());
    assert_eq!(ask(server.address, "GET", "/other?n=x", &key("hunter2"), b"").status, 422);
    assert_eq!(ask(server.address, "GET", "/other?n=1", &key("hunter2"), b"").status, 200);
}

#[test]
fn errors_answer_nobody_but_who_asks_if_they_are_imported_so() {
    let server = TestServer::start();
    let spec = SHAPED.as_bytes();
    assert_eq!(ask(server.address, "POST", "/_oapi?errors=never", &[], spec).status, 400);
    let made = ask(server.address, "POST", "/_oapi?errors=asked", &[], spec).json();
    for _ in 0..4 {
        assert_eq!(get(server.address, "/other?n=1").status, 200);
    }
    let made = made.as_array().unwrap().iter();
    let error = made.clone().find(|made| made["response"]["status_code"] == 422).unwrap();
    let name = error["name"].as_str().unwrap();
    assert_eq!(ask(server.address, "GET", "/other?n=1", &[("X-Mock-Scenario", name)], b"").status, 422);
}

/// Through the proxy, too, what a scenario of a specification would answer must be as the specification wants it; what goes
/// on to a real service is the service's business.
#[test]
fn the_proxy_checks_what_it_plays_back() {
    for (mode, is_forwarded) in [(Mode::Playback, false), (Mode::RecordMissing, true)] {
        let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let server = TestServer::in_folder(folder.path(), |config, folder| {
            config.validate_requests = true;
            let told = Arc::clone(&seen);
            config.on_answer = Some(OnAnswer::new(move |request, answered| {
                let status =
                    answered.as_ref().map_or_else(|refusal| refusal.status(), |answer| answer.status);
                told.lock().unwrap().push((request.path.clone(), status.as_u16()));
            }));
            config.recording = Some(RecordingConfig {
                recorder: RecorderOptions::default(),
                proxy: Some(ProxyConfig {
                    address: ([127, 0, 0, 1], 0).into(),
                    mode,
                    ..ProxyConfig::default()
                }),
                authority_dir: folder.join(".ca"),
            });
        });
        import(&server, PETS);
        let origin = TestServer::start();
        assert_eq!(upload(origin.address, &simple("GET", "real", "/pets/none", "the real one")).status, 200);
        let proxied = |target: &str| {
            let url = format!("http://{}{target}", origin.address);
            ask(server.proxy.unwrap(), "GET", &url, &[], b"")
        };
        assert_eq!(proxied("/pets?limit=5").status, 200);
        let bad = proxied("/pets?limit=0");
        assert_eq!((bad.status, violations(&bad)), (400, vec!["query limit  minimum: 1".to_owned()]));
        let other =
            ask(server.proxy.unwrap(), "DELETE", &format!("http://{}/dogs", origin.address), &[], b"");
        assert_eq!(other.status, 404);
        let last = seen.lock().unwrap().clone();
        let told = [("/pets".to_owned(), 200), ("/pets".to_owned(), 400)];
        assert_eq!(last[..2], told);
        assert_eq!(last.len(), if is_forwarded { 2 } else { 3 }, "{last:?}");
    }
}

/// Who looks at answers sees refusals, and may put something else in their place.
#[test]
fn refusals_are_shown_to_who_wants_to_see_answers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let server = TestServer::with(|config, _| {
        config.validate_requests = true;
        config.on_answer = Some(OnAnswer::new(move |request, answered| {
            if let Err(Refusal::Invalid(invalid)) = answered {
                told.lock().unwrap().push((request.path.clone(), invalid.message.clone()));
                invalid.headers.insert("x-seen", http::HeaderValue::from_static("yes"));
            }
        }));
    });
    import(&server, PETS);
    let bad = get(server.address, "/pets?limit=0");
    assert_eq!((bad.status, bad.header("x-seen")), (400, Some("yes")));
    assert_eq!(get(server.address, "/pets?limit=1").status, 200);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].0 == "/pets" && seen[0].1.contains("\"Pets\" wants it"), "{seen:?}");
    let metrics = get(server.address, "/metrics");
    assert!(
        metrics.text().contains("outcome=\"invalid\"} 1") || metrics.text().contains("invalid"),
        "{}",
        metrics.text()
    );
}

#[test]
fn requests_are_checked_where_the_scenarios_are() {
    let spec = "openapi: 3.0.0\ninfo: {title: S, version: '1'}\nservers: [{url: 'https://a.example/api/v3'}]\npaths:\n  /pet/{id}:\n    get:\n      \
        parameters: [{name: id, in: path, required: true, schema: {type: integer}}]\n      responses:\n        200:\n          description: ok\n          \
        content: {application/json: {schema: {type: object}, examples: {one: {value: {name: Rex}}}}}\n";
    let folder = tempfile::tempdir().unwrap();
    let statuses = |server: &TestServer| {
        ["/pet/7", "/pet/abc", "/api/v3/pet/7", "/api/v3/pet/abc"]
            .map(|path| get(server.address, path).status)
    };
    {
        let server = in_folder(folder.path());
        import(&server, spec);
        assert_eq!(statuses(&server), [200, 400, 404, 404]);
        let made =
            ask(server.address, "POST", "/_oapi?base_path=true&body_examples=true", &[], spec.as_bytes());
        assert_eq!(made.json()[0]["path"], "/api/v3/pet/{id}");
        assert_eq!(statuses(&server), [404, 404, 200, 400]);
        assert_eq!(get(server.address, "/api/v3/pet/7").json()["name"], "Rex");
    }
    // And so it is after a restart.
    assert_eq!(statuses(&in_folder(folder.path())), [404, 404, 200, 400]);
}
