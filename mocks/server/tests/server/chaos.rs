//! The chaos client through the admin API; a second server is the service that it tries.

use std::sync::Arc;

use api_mock_contract::{Contract, RunOptions, run};
use api_mock_scenario::{Format, Scenario};
use api_mock_server::Identity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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
    let body = json!({"base_url": base_url(&service), "execution_times": 3, "seed": 5, "now": 1_700_000_000});
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
fn services_with_an_authority_of_their_own_are_trusted_when_it_is_told() {
    let identity = Identity::generate(["localhost"]).unwrap();
    let root = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
    let service = TestServer::with(|config, _| config.identity = Some(identity));
    let text = "method: GET\nname: health\npath: /_health\nresponse: {status_code: 200}\n";
    let contracts = [Contract::new(Scenario::parse(text, Format::Yaml).unwrap())];
    let base = format!("https://localhost:{}", service.address.port());
    for (roots, succeeded) in [(vec![root], 1), (Vec::new(), 0)] {
        let mut options = RunOptions::default();
        (options.times, options.extra_roots) = (1, roots);
        let report = service.block_on(run(&contracts, &base, options, Arc::default())).unwrap();
        assert_eq!(report.succeeded, succeeded, "{report:?}");
        if succeeded == 0 {
            assert!(report.errors.unwrap()[0].contains("TLS fails"));
        }
    }
}

#[test]
fn the_same_seed_and_time_are_the_same_requests() {
    let server = TestServer::start();
    upload(
        server.address,
        "method: POST\nname: made\npath: /made\ngroup: made\nrequest:\n    example_contents: '{\"at\": \"{{Time}}\", \"id\": \"{{UUID}}\"}'\nresponse: {}\n",
    );
    let requests = |seed: u64, now: u64| {
        let body = json!({
            "base_url": "http://127.0.0.1:9", "dry_run": true, "execution_times": 3, "seed": seed, "now": now
        });
        let report = chaos(&server, "/_chaos/made", &body).json();
        assert_eq!((&report["seed"], &report["now"]), (&json!(seed), &json!(now)));
        report["requests"].clone()
    };
    let first = requests(5, 1_700_000_000);
    assert_eq!(first.as_array().unwrap().len(), 3);
    assert!(first[0].as_str().unwrap().contains("2023-11-14T22:13:20"), "{first}");
    assert_eq!(first, requests(5, 1_700_000_000));
    assert_ne!(first, requests(6, 1_700_000_000));
    assert_ne!(first, requests(5, 1_700_000_001));
}
