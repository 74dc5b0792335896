//! The chaos client through the admin API; a second server is the service that it tries.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::http::{Answer, ask, get, upload};

const TODO: &str = r#"method: GET
name: get-todo
path: /todos/:id
group: todos
request:
    example_path_params: {id: "(__number__[1-9][0-9]{0,2})"}
response:
    headers: {Pragma: [no-cache]}
    content_type: application/json
    contents: '{"id": {{.id}}, "title": "illo", "completed": false}'
    match_headers: {Content-Type: application/json}
    match_contents: '{"completed":"(__boolean__(false|true))","id":"(__number__[+-]?[0-9]{1,10})","title":"(__string__\\w+)"}'
    assertions:
        - VariableContains contents.title illo
        - VariableContains headers.Pragma no-cache
"#;

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

/// As `curl -X POST … -d` sends it.
fn chaos(server: &TestServer, target: &str, body: &Value) -> Answer {
    ask(server.address, "POST", target, &FORM, body.to_string().as_bytes())
}

fn base_url(service: &TestServer) -> String {
    format!("http://{}", service.address)
}

#[test]
fn the_walk_through_of_the_chaos_client_works() {
    let (server, service) = (TestServer::start(), TestServer::start());
    for at in [&server, &service] {
        assert_eq!(upload(at.address, TODO).status, 200);
    }
    let body = json!({"base_url": base_url(&service), "execution_times": 10});
    for target in ["/_chaos/todos", "/_contracts/todos", "/_chaos/GET/get-todo/todos/:id"] {
        let answer = chaos(&server, target, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let begin = r#"{"errors":null,"failed":0,"succeeded":10,"#;
        assert!(answer.text().starts_with(begin), "{target}: {}", answer.text());
    }
    let address = "/_scenarios/GET/get-todo/todos/:id";
    assert_eq!(get(service.address, "/_scenarios").json()[address]["RequestCount"], 30);
}

#[test]
fn defect_l15_failures_are_counted_and_told_with_the_request() {
    let (server, service) = (TestServer::start(), TestServer::start());
    upload(server.address, TODO);
    upload(service.address, &TODO.replace("illo", "other"));
    let body = json!({"base_url": base_url(&service), "execution_times": 3, "seed": 5});
    let first = chaos(&server, "/_chaos/todos", &body).json();
    assert_eq!((&first["failed"], &first["succeeded"], &first["seed"]), (&json!(3), &json!(0), &json!(5)));
    let told = first["errors"][0].as_str().unwrap();
    assert!(
        told.contains("failed to assert")
            && told.contains(&format!("curl 'http://{}/todos/", service.address)),
        "{told}"
    );
    assert!(!told.contains(":id'") && !told.contains("%7B"), "{told}");
    assert_eq!(first, chaos(&server, "/_chaos/todos", &body).json());
    // A value of the query replaces that of the scenario.
    let given = chaos(&server, "/_chaos/todos?id=4711", &body).json();
    assert!(given["errors"][0].as_str().unwrap().ends_with("/todos/4711'"), "{given}");
}

#[test]
fn unknown_groups_are_nothing_and_bad_requests_are_told() {
    let server = TestServer::start();
    upload(server.address, TODO);
    let answer = chaos(&server, "/_chaos/nobody", &json!({"base_url": "http://127.0.0.1:9"})).json();
    assert_eq!(
        (&answer["errors"], &answer["failed"], &answer["succeeded"]),
        (&json!(null), &json!(0), &json!(0))
    );
    for (status, body) in [
        (400, json!({"execution_times": 3})),
        (400, json!({"base_url": ""})),
        (400, json!({"base_url": "localhost"})),
        (400, json!({"base_url": "ftp://x"})),
        (400, json!([])),
        (400, json!({"base_url": "http://127.0.0.1:9", "execution_times": 2_000_000})),
        (400, json!({"base_url": "http://127.0.0.1:9", "headers": {"a b": "c"}})),
        (403, json!({"base_url": "http://169.254.169.254/latest"})),
        (403, json!({"base_url": "http://10.0.0.1"})),
    ] {
        let answer = chaos(&server, "/_chaos/todos", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    assert_eq!(ask(server.address, "POST", "/_chaos/todos", &FORM, b"base_url=x").status, 400);
    let missing = chaos(&server, "/_chaos/GET/nothing/todos/:id", &json!({"base_url": "http://127.0.0.1:9"}));
    assert_eq!(missing.status, 404);
}

#[test]
fn without_a_number_it_tries_five_times() {
    let (server, service) = (TestServer::start(), TestServer::start());
    upload(server.address, TODO);
    upload(service.address, TODO);
    for times in [json!(0), json!(-3)] {
        let body = json!({"base_url": base_url(&service), "execution_times": times});
        assert_eq!(chaos(&server, "/_chaos/todos", &body).json()["succeeded"], 5);
    }
    assert_eq!(
        chaos(&server, "/_chaos/todos", &json!({"base_url": base_url(&service)})).json()["succeeded"],
        5
    );
}

/// Requests that are made from a specification are answered by the mock that is made from it.
#[test]
fn an_imported_specification_keeps_its_own_promises() {
    let spec = r"openapi: 3.0.0
info: {title: Pets, version: '1'}
paths:
  /pets/{id}:
    put:
      operationId: putPet
      parameters:
      - {name: id, in: path, required: true, schema: {type: integer, minimum: 3, maximum: 9}}
      - {name: kind, in: query, required: true, schema: {type: string, enum: [cat, dog]}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/pet'}}}
      responses:
        '200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/pet'}}}}
components:
  schemas:
    pet:
      type: object
      required: [name, owner]
      properties:
        name: {type: string, minLength: 3, maxLength: 5}
        age: {type: integer, minimum: 1, maximum: 20}
        owner: {type: object, required: [email], properties: {email: {type: string, format: email}}}
";
    let (server, service) = (TestServer::start(), TestServer::start());
    for at in [&server, &service] {
        assert_eq!(ask(at.address, "POST", "/_oapi", &[], spec.as_bytes()).status, 200);
    }
    let body = json!({"base_url": base_url(&service), "execution_times": 10});
    let answer = chaos(&server, "/_chaos/Pets", &body).json();
    assert_eq!((&answer["failed"], &answer["succeeded"]), (&json!(0), &json!(10)), "{answer}");
}

#[test]
fn mocks_of_real_specifications_keep_their_own_promises() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let Ok(files) = folder.read_dir() else {
        eprintln!("skipped: there are no specifications in {}", folder.display());
        return;
    };
    for file in files.map(|file| file.unwrap().path()) {
        // The same mock asks and answers: it asks in the name of a client.
        let server = TestServer::start();
        let spec = std::fs::read(&file).unwrap();
        assert_eq!(ask(server.address, "POST", "/_oapi?group=all", &[], &spec).status, 200);
        let body = json!({
            "base_url": base_url(&server), "execution_times": 10, "accept_documented": true, "concurrency": 2
        });
        let report = chaos(&server, "/_chaos/all", &body).json();
        assert_eq!(report["failed"], 0, "{}: {}", file.display(), report["errors"]);
        assert!(report["succeeded"].as_u64().unwrap() >= 10, "{}", file.display());
    }
}
