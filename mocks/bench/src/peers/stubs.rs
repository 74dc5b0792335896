//! What all products are given: stubs, each written as each product wants them.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::Failure;
use crate::scenarios::{BODY, STATIC, put};

/// How many stubs the larger comparisons have.
const MANY: usize = 500;
/// A number that one of Mockoon's files must have: the format that is meant.
const MOCKOON_FORMAT: u32 = 33;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// One stub
    Static,
    /// Many stubs, each with a pattern for the path
    Paths,
    /// Many stubs of one path, each with a regular expression for a query parameter
    Queries,
    /// An OpenAPI document
    Openapi,
}

/// A request, and a part of the right answer's body.
pub(crate) struct Probe {
    pub(crate) label: String,
    pub(crate) target: String,
    pub(crate) expected: String,
}

/// Which requests a stub answers: all GET.
enum When {
    Path(String),
    /// As a regular expression, and as a path with a variable.
    PathPattern {
        regex: String,
        variable: String,
    },
    Query {
        path: String,
        regex: String,
    },
}

struct Stub {
    number: usize,
    when: When,
    body: String,
}

impl Set {
    pub(crate) const ALL: [Set; 4] = [Set::Static, Set::Paths, Set::Queries, Set::Openapi];

    pub(crate) fn title(self) -> String {
        match self {
            Set::Static => "One stub, fixed bytes".to_owned(),
            Set::Paths => format!("{MANY} stubs, each with a pattern for the path"),
            Set::Queries => {
                format!("{MANY} stubs of one path, each with a regular expression for a query parameter")
            }
            Set::Openapi => {
                "An OpenAPI document: a body made from a schema (api-mock-service and Prism also check the request)"
                    .to_owned()
            }
        }
    }

    pub(crate) fn probes(self) -> Vec<Probe> {
        let of = |number: usize, target: String| {
            let label = if number == 0 { "the first" } else { "the last" };
            Probe { label: label.to_owned(), target, expected: format!("\"stub\": {number},") }
        };
        let ends = [0, MANY - 1];
        match self {
            Set::Static => vec![Probe {
                label: "the stub".to_owned(),
                target: STATIC.to_owned(),
                expected: BODY.to_owned(),
            }],
            Set::Paths => ends.map(|number| of(number, format!("/bench/thing{number}/ab12"))).into(),
            Set::Queries => ends.map(|number| of(number, format!("/bench/found?q=k{number}-77"))).into(),
            Set::Openapi => vec![Probe {
                label: "GET /pets/7".to_owned(),
                target: "/pets/7".to_owned(),
                expected: "\"name\"".to_owned(),
            }],
        }
    }

    fn stubs(self) -> Vec<Stub> {
        let count = if self == Set::Static { 1 } else { MANY };
        let stub = |number: usize| {
            let when = match self {
                Set::Paths => When::PathPattern {
                    regex: format!("^/bench/thing{number}/[a-z0-9]+$"),
                    variable: format!("/bench/thing{number}/:id"),
                },
                Set::Queries => {
                    When::Query { path: "/bench/found".to_owned(), regex: format!("^k{number}-[0-9]+$") }
                }
                Set::Static | Set::Openapi => When::Path(STATIC.to_owned()),
            };
            let body = match self {
                Set::Static => BODY.to_owned(),
                _ => BODY.replacen('{', &format!("{{\"stub\": {number}, "), 1),
            };
            Stub { number, when, body }
        };
        (0..count).map(stub).collect()
    }

    /// Scenario files in a folder, of which each tells its path by directories.
    pub(crate) fn as_scenarios(self, folder: &Path) -> Result<(), Failure> {
        for Stub { number, when, body } in self.stubs() {
            let (path, rules) = match when {
                When::Path(path) | When::PathPattern { variable: path, .. } => (path, String::new()),
                When::Query { path, regex } => {
                    (path, format!("request:\n    match_query_params:\n        q: '{regex}'\n"))
                }
            };
            let text = format!(
                "method: GET\nname: stub-{number:03}\npath: {path}\n{rules}response:\n    content_type: application/json\n    contents: '{body}'\n"
            );
            let directory = path.split("/:").next().unwrap_or_default().trim_start_matches('/');
            put(folder, directory, "GET", &format!("stub-{number:03}"), &text)?;
        }
        Ok(())
    }

    pub(crate) fn as_wiremock(self) -> Value {
        let mapping = |stub: Stub| {
            let mut request = json!({"method": "GET"});
            match stub.when {
                When::Path(path) => request["urlPath"] = path.into(),
                When::PathPattern { regex, .. } => request["urlPathPattern"] = regex.into(),
                When::Query { path, regex } => {
                    request["urlPath"] = path.into();
                    request["queryParameters"] = json!({"q": {"matches": regex}});
                }
            }
            let headers = json!({"Content-Type": "application/json"});
            json!({"request": request, "response": {"status": 200, "headers": headers, "body": stub.body}})
        };
        json!({"mappings": self.stubs().into_iter().map(mapping).collect::<Vec<_>>()})
    }

    pub(crate) fn as_mockserver(self) -> Value {
        let expectation = |stub: Stub| {
            let request = match stub.when {
                When::Path(path) => json!({"method": "GET", "path": path}),
                When::PathPattern { regex, .. } => json!({"method": "GET", "path": regex}),
                When::Query { path, regex } => {
                    json!({"method": "GET", "path": path, "queryStringParameters": {"q": [regex]}})
                }
            };
            let headers = json!({"Content-Type": ["application/json"]});
            json!({"httpRequest": request, "httpResponse": {"statusCode": 200, "headers": headers, "body": stub.body}})
        };
        self.stubs().into_iter().map(expectation).collect()
    }

    /// For Mountebank, and what reads its files.
    pub(crate) fn as_imposter(self, port: u16) -> Value {
        let stub = |stub: Stub| {
            let method = json!({"equals": {"method": "GET"}});
            let predicates = match stub.when {
                When::Path(path) => json!([method, {"equals": {"path": path}}]),
                When::PathPattern { regex, .. } => json!([method, {"matches": {"path": regex}}]),
                When::Query { path, regex } => {
                    json!([method, {"equals": {"path": path}}, {"matches": {"query": {"q": regex}}}])
                }
            };
            let headers = json!({"Content-Type": "application/json"});
            let is = json!({"statusCode": 200, "headers": headers, "body": stub.body});
            json!({"predicates": predicates, "responses": [{"is": is}]})
        };
        let stubs: Vec<Value> = self.stubs().into_iter().map(stub).collect();
        json!({"imposters": [{"port": port, "host": "127.0.0.1", "protocol": "http", "stubs": stubs}]})
    }

    pub(crate) fn as_mockoon(self) -> Value {
        let id = |kind: u32, number: usize| format!("{kind:08x}-0000-4000-8000-{number:012x}");
        let response = |stub: &Stub, is_default: bool| {
            let rules = match &stub.when {
                When::Query { regex, .. } => {
                    json!([{"target": "query", "modifier": "q", "value": regex, "invert": false, "operator": "regex"}])
                }
                _ => json!([]),
            };
            json!({
                "uuid": id(2, stub.number), "body": stub.body, "latency": 0, "statusCode": 200, "label": "",
                "headers": [{"key": "Content-Type", "value": "application/json"}], "bodyType": "INLINE",
                "filePath": "", "databucketID": "", "sendFileAsBody": false, "rules": rules, "rulesOperator": "OR",
                "disableTemplating": true, "fallbackTo404": false, "default": is_default, "crudKey": "id",
                "callbacks": [],
            })
        };
        let route = |number: usize, endpoint: &str, responses: Vec<Value>| {
            json!({
                "uuid": id(1, number), "type": "http", "documentation": "", "method": "get",
                "endpoint": endpoint.trim_start_matches('/'), "responses": responses, "responseMode": null,
                "streamingMode": null, "streamingInterval": 0,
            })
        };
        let stubs = self.stubs();
        let routes: Vec<Value> = if self == Set::Queries {
            let responses = stubs.iter().map(|stub| response(stub, false)).collect();
            vec![route(0, "/bench/found", responses)]
        } else {
            let of = |stub: &Stub| match &stub.when {
                When::Path(path) | When::PathPattern { variable: path, .. } | When::Query { path, .. } => {
                    route(stub.number, path, vec![response(stub, true)])
                }
            };
            stubs.iter().map(of).collect()
        };
        let children: Vec<Value> =
            routes.iter().map(|route| json!({"type": "route", "uuid": route["uuid"]})).collect();
        json!({
            "uuid": id(0, 0), "lastMigration": MOCKOON_FORMAT, "name": "bench", "endpointPrefix": "", "latency": 0,
            "port": 0, "hostname": "127.0.0.1", "folders": [], "routes": routes, "rootChildren": children,
            "proxyMode": false, "proxyHost": "", "proxyRemovePrefix": false,
            "tlsOptions": {"enabled": false, "type": "CERT", "pfxPath": "", "certPath": "", "keyPath": "", "caPath": "", "passphrase": ""},
            "cors": false, "headers": [], "proxyReqHeaders": [], "proxyResHeaders": [], "data": [], "callbacks": [],
        })
    }

    /// Files of httpmock, which are YAML, of which JSON is a part.
    pub(crate) fn as_httpmock(self, folder: &Path) -> Result<(), Failure> {
        for stub in self.stubs() {
            let when = match stub.when {
                When::Path(path) => json!({"method": "GET", "path": path}),
                When::PathPattern { regex, .. } => json!({"method": "GET", "path_matches": [regex]}),
                When::Query { path, regex } => {
                    json!({"method": "GET", "path": path, "query_param_matches": [{"name": "^q$", "value": regex}]})
                }
            };
            let header = json!([{"name": "content-type", "value": "application/json"}]);
            let text = json!({"when": when, "then": {"status": 200, "header": header, "body": stub.body}});
            std::fs::write(folder.join(format!("stub-{:03}.yaml", stub.number)), text.to_string())?;
        }
        Ok(())
    }
}

/// A document with the parts that such documents have: parameters, references, lists, formats, alternatives of answers.
pub(crate) const SPECIFICATION: &str = r"openapi: 3.0.3
info: {title: A shelter for pets, version: '1.0'}
paths:
  /pets:
    get:
      operationId: listPets
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
      responses:
        '200':
          description: some pets
          content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Pet'}}}}
    post:
      operationId: addPet
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}
      responses:
        '201':
          description: added
          content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}
  /pets/{petId}:
    get:
      operationId: getPet
      parameters:
        - {name: petId, in: path, required: true, schema: {type: integer}}
      responses:
        '200':
          description: a pet
          content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}
components:
  schemas:
    Pet:
      type: object
      required: [id, name, kind]
      properties:
        id: {type: integer, minimum: 1, maximum: 100000}
        name: {type: string, minLength: 3, maxLength: 20}
        kind: {type: string, enum: [cat, dog, bird]}
        born: {type: string, format: date}
        vaccinated: {type: boolean}
        weight: {type: number, minimum: 0.1, maximum: 90}
        owner: {$ref: '#/components/schemas/Owner'}
    Owner:
      type: object
      required: [email]
      properties:
        email: {type: string, format: email}
        phone: {type: string, pattern: '^[0-9]{3}-[0-9]{4}$'}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_probe_is_of_one_stub() {
        for set in [Set::Static, Set::Paths, Set::Queries] {
            let stubs = set.stubs();
            for probe in set.probes() {
                let found = stubs.iter().filter(|stub| stub.body.contains(&probe.expected)).count();
                assert_eq!(found, 1, "{}", probe.target);
            }
        }
    }
}
