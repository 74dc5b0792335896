//! What scenarios imports make.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_openapi::{
    Import, ImportError, ImportOptions, LoadError, NoDocuments, Stored, import, unmarked, update,
};
use api_mock_scenario::{Scenario, Status};
use common::{Text, bodies_are_valid, imported, own};

fn named<'i>(import: &'i Import, start: &str) -> Vec<&'i Scenario> {
    import.scenarios.iter().map(|made| &made.scenario).filter(|one| one.name.starts_with(start)).collect()
}

#[test]
fn swagger_2_is_imported() {
    let import = imported(&own("swagger2.yaml"));
    assert_eq!(import.problems, []);
    assert_eq!(
        (import.api.title.as_str(), import.api.version.as_str(), import.api.base_path.as_str()),
        ("Shop", "1.0", "/api/v1")
    );
    bodies_are_valid(&import, 20, "swagger2.yaml");
    let get = named(&import, "getOrder-200")[0];
    assert_eq!((get.path.as_str(), get.group.as_str(), get.predicate.as_str()), ("/orders/{id}", "Shop", ""));
    assert_eq!(get.request.match_query_params.iter().collect::<Vec<_>>(), [("fields", "__present__.*")]);
    assert!(get.request.match_headers.is_empty(), "{:?}", get.request.match_headers);
    assert_eq!(get.request.example_headers.get("X-Api-Key"), Some("example-key"));
    let asked = common::answer(&Text::new(&get.to_yaml()), 1).request;
    let mut fields = asked.example_query_params.get("fields").unwrap().split('|');
    assert!(fields.all(|one| ["id", "total"].contains(&one)));
    assert_eq!(get.response.headers.first("x-rate-limit"), Some("{{RandNumMinMax 1 10}}"));
    assert_eq!(get.extra["authentication"]["login"]["scopes"], serde_json::json!(["read"]));
    assert_eq!(named(&import, "getOrder-404")[0].predicate, "{{NthRequest 2}}");
    let put: Vec<_> = named(&import, "putOrder")
        .iter()
        .map(|one| one.response.headers.first("content-type").map(str::to_owned))
        .collect();
    assert_eq!(put, [Some("application/json".to_owned()), Some("application/xml".to_owned()), None]);
    let xml = named(&import, "putOrder-200-xml")[0];
    let body = Text::new(xml.response.contents.as_text().unwrap()).render(1);
    assert!(body.contains("<order>") && body.ends_with("</order>"), "{body}");
    assert_eq!(named(&import, "upload-default")[0].response.status_code, Status::Fixed(200));
    assert_eq!(
        named(&import, "login-200")[0].request.example_headers.get("Content-Type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[test]
fn the_example_of_the_article_gives_its_scenario() {
    let spec = br"
openapi: 3.0.1
info: {title: Twilio - Accounts, version: '1'}
paths:
  /v1/AuthTokens/Promote:
    post:
      operationId: UpdateAuthTokenPromotion
      description: Promote the secondary Auth Token to primary.
      security: [{accountSid_authToken: []}]
      responses:
        '200':
          description: OK
          content: {application/json: {schema: {$ref: '#/components/schemas/promotion'}}}
components:
  securitySchemes: {accountSid_authToken: {type: http, scheme: basic}}
  schemas:
    promotion:
      type: object
      properties:
        account_sid: {type: string, minLength: 34, maxLength: 34, pattern: '^AC[0-9a-fA-F]{32}$', nullable: true}
        auth_token: {type: string, nullable: true}
        date_created: {type: string, format: date-time, nullable: true}
        url: {type: string, format: uri, nullable: true}
";
    let import = imported(spec);
    let scenario = &import.scenarios[0].scenario;
    assert!(scenario.name.starts_with("UpdateAuthTokenPromotion-200-"), "{}", scenario.name);
    assert!(scenario.request.match_headers.is_empty() && scenario.request.match_contents.is_empty());
    assert_eq!(
        scenario.response.contents.as_text().unwrap(),
        "{\n  \"account_sid\": \"{{RandRegex `^AC[0-9a-fA-F]{32}$`}}\",\n  \"auth_token\": \"{{RandStringMinMax 0 0}}\",\n  \
         \"date_created\": \"{{Time}}\",\n  \"url\": \"{{RandURL}}\"\n}"
    );
}

#[test]
fn defect_l12_a_request_body_wants_its_content_type_and_nothing_else() {
    let import = imported(&own("swagger2.yaml"));
    let headers: Vec<(&str, &str)> = named(&import, "putOrder-204")[0].request.match_headers.iter().collect();
    assert_eq!(headers, [("Content-Type", "(?i)^application/json")]);
    // Where the body may be missing, so may the header: a missing one is compared as an empty text.
    let optional = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"post": {
        "requestBody": {"content": {"application/vnd.api+json": {}}}, "responses": {"200": {"description": "ok"}}}}}}"#;
    let import = imported(optional);
    let pattern = import.scenarios[0].scenario.request.match_headers.get("Content-Type").unwrap();
    let pattern = regex::Regex::new(pattern).unwrap();
    assert!(
        pattern.is_match("")
            && pattern.is_match("application/vnd.api+json")
            && !pattern.is_match("text/plain")
    );
}

#[test]
fn defect_l13_a_second_import_has_the_same_names_and_texts() {
    let files = |spec: &str| -> Vec<(String, String)> {
        let import = imported(spec.as_bytes());
        import.scenarios.iter().map(|made| (made.scenario.name.clone(), made.text())).collect()
    };
    let spec = String::from_utf8(own("swagger2.yaml")).unwrap();
    assert_eq!(files(&spec), files(&spec));
    // Names do not depend on what bodies are like.
    let changed = spec
        .replace("total: {type: number, minimum: 0}", "total: {type: integer}\n      more: {type: string}");
    let names = |files: Vec<(String, String)>| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_ne!(files(&spec), files(&changed));
    assert_eq!(names(files(&spec)), names(files(&changed)));
}

#[test]
fn defect_l19_only_required_parameters_are_demanded() {
    let import = imported(&own("parameters.yaml"));
    let query = named(&import, "query-200")[0];
    assert_eq!(query.request.match_query_params.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["many"]);
    assert!(query.request.example_query_params.get("flag").is_some());
    let header = named(&import, "header-200")[0];
    let demanded: Vec<(&str, &str)> = header.request.match_headers.iter().collect();
    assert_eq!(demanded, [("X-Count", r"__number__^[+-]?\d+(\.0+)?$"), ("Cookie", r"(^|;\s*)session=")]);
    // Credentials neither, unless told so.
    let mut options = ImportOptions::default();
    options.demand_security = true;
    let strict = import_with(&own("parameters.yaml"), &options);
    assert_eq!(
        named(&strict, "query-200")[0].request.match_headers.get("Authorization"),
        Some("(?i)^Bearer .+")
    );
}

fn import_with(bytes: &[u8], options: &ImportOptions) -> Import {
    import(bytes, options, &NoDocuments).unwrap()
}

#[test]
fn statuses_that_are_ranges_or_defaults_get_one_that_is_free() {
    let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {
        "/a": {"get": {"responses": {"200": {"description": ""}, "2XX": {"description": ""}, "4xx": {"description": ""}, "default": {"description": ""}, "204": {"description": ""}}}},
        "/b": {"get": {"responses": {"default": {"description": ""}}}},
        "/c": {"get": {"responses": {"2XX": {"description": ""}, "5XX": {"description": ""}, "default": {"description": ""}}}}}}"#;
    let import = imported(spec);
    let statuses = |path: &str| -> Vec<u16> {
        let of = import.scenarios.iter().filter(|made| made.scenario.path == path);
        of.map(|made| made.scenario.response.status_code.fixed().unwrap()).collect()
    };
    assert_eq!(statuses("/a"), [200, 201, 400, 500, 204]);
    assert_eq!(statuses("/b"), [200]);
    assert_eq!(statuses("/c"), [200, 500, 400]);
}

#[test]
fn broken_specifications_are_imported_as_far_as_they_go() {
    let import = imported(&own("broken.yaml"));
    bodies_are_valid(&import, 20, "broken.yaml");
    let names: Vec<&str> =
        import.scenarios.iter().map(|made| made.scenario.name.rsplit_once('-').unwrap().0).collect();
    assert_eq!(names, ["GET-no-slash-200", "kept-200", "silent-200"]);
    let problems: Vec<String> = import.problems.iter().map(ToString::to_string).collect();
    let wanted = [
        "#/paths/no-slash: a path begins with `/`; one is put before it",
        "#/paths/~1list: left out: not an object",
        "get/parameters/0: the parameter is left out: it has no name",
        "get/parameters/1: the parameter \"a\" is left out: it is in nowhere",
        "get/parameters/2: left out: there is nothing at #/components/parameters/None",
        "get/parameters/4: there is no style \"odd\"; the usual one is taken",
        "get: the parameter \"other\" is left out: it is not in the path",
        "get: nothing is said about \"id\" of the path; it is taken for a text",
        "get/requestBody: the body has no content; it is left out",
        "get/responses/99: left out: \"99\" is no status",
        "get/responses/404: left out: there is nothing at #/components/responses/None",
        "get/responses/101: left out: a status below 200 is no answer",
        "get/responses/500: no valid body of application/json can be generated: it has no end: each value must contain another one of its kind; it is left out",
        "put: left out: not an object",
        "delete: no response is told; an empty one of status 200 is taken",
        "delete: nothing is said about \"id\" of the path; it is taken for a text",
        "schema: there is no type \"odd\"; it is left out",
        "schema: `minLength` is not a number; it is left out",
        "schema: `required` is not a list of names; it is left out",
        "schema: the list of allowed values is empty; it is left out",
        "here: anything is allowed here: there is nothing at #/components/schemas/Nowhere",
        "gone: anything is allowed here: other.yaml cannot be read: no other documents came with the specification",
        "far: anything is allowed here: https://example.org/far.yaml is not read: addresses on the network are not followed unless that is allowed",
        "loop: anything is allowed here: #/components/schemas/Loop leads to itself",
    ];
    for wanted in wanted {
        assert!(
            problems.iter().any(|problem| problem.ends_with(wanted)),
            "{wanted} is not in\n{}",
            problems.join("\n")
        );
    }
    assert_eq!(problems.len(), wanted.len(), "{}", problems.join("\n"));
}

#[test]
fn what_is_no_specification_is_an_error() {
    let error = |bytes: &[u8]| import(bytes, &ImportOptions::default(), &NoDocuments).unwrap_err();
    assert!(matches!(error(b"a: 1"), ImportError::NotASpecification));
    assert!(matches!(error(b"openapi: 4.0.0"), ImportError::NotASpecification));
    assert!(matches!(error(b"{"), ImportError::Document(_)));
    let mut options = ImportOptions::default();
    options.max_bytes = 3;
    assert!(matches!(
        import(b"1234", &options, &NoDocuments),
        Err(ImportError::TooLarge { bytes: 4, allowed: 3 })
    ));
}

#[test]
fn specifications_in_several_documents() {
    let spec = br#"{"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"$ref": "paths/a.yaml"}}}"#;
    let loader = |location: &str| -> Result<Vec<u8>, LoadError> {
        match location {
            "specs/paths/a.yaml" => Ok(b"get: {responses: {200: {description: ok, content: {application/json: {schema: {$ref: '../types.json#/T'}}}}}}".to_vec()),
            "specs/types.json" => Ok(br##"{"T": {"type": "object", "required": ["u"], "properties": {"u": {"$ref": "#/U"}, "t": {"$ref": "#/T"}}}, "U": {"const": 5}}"##.to_vec()),
            _ => Err("not found".into()),
        }
    };
    let mut options = ImportOptions::default();
    options.location = "specs/openapi.json".to_owned();
    let import = import(spec, &options, &loader).unwrap();
    assert_eq!(import.problems, []);
    assert_eq!(bodies_are_valid(&import, 5, "documents"), 1);
    assert!(import.scenarios[0].scenario.response.contents.as_text().unwrap().contains("\"u\": 5"));
}

#[test]
fn a_changed_specification_updates_what_nobody_else_changed() {
    let spec = |description: &str, last: &str| {
        let operation = |name: &str| {
            format!(
                "{{get: {{operationId: {name}, description: {description}, responses: {{200: {{description: ok}}}}}}}}"
            )
        };
        let text = format!(
            "openapi: 3.0.0\ninfo: {{title: T, version: '1'}}\npaths:\n  /a: {}\n  /b: {}\n  /{last}: {}\n",
            operation("a"),
            operation("b"),
            operation(last)
        );
        imported(text.as_bytes())
    };
    let first = spec("one", "c");
    let mut stored: Vec<Stored> = update(&[], &first).added;
    assert_eq!(stored.len(), 3);
    assert_eq!(update(&stored, &first).unchanged.len(), 3);
    assert!(unmarked(&stored[0].text).is_some());

    // Somebody changes /b, and has a file that was never imported.
    stored[1].text.push_str("order: 7\n");
    let own = Stored {
        key: api_mock_scenario::Key { method: "GET".into(), name: "own".into(), path: "/own".into() },
        text: "method: GET\nname: own\npath: /own\ngroup: T\n".into(),
    };
    stored.push(own);
    let second = spec("two", "d");
    let todo = update(&stored, &second);
    let paths =
        |keys: &[&api_mock_scenario::Key]| keys.iter().map(|key| key.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&todo.added.iter().map(|one| &one.key).collect::<Vec<_>>()), ["/d"]);
    assert_eq!(paths(&todo.changed.iter().map(|one| &one.key).collect::<Vec<_>>()), ["/a"]);
    assert_eq!(paths(&todo.removed.iter().collect::<Vec<_>>()), ["/c"]);
    assert_eq!(paths(&todo.kept.iter().map(|one| &one.key).collect::<Vec<_>>()), ["/b"]);
    assert!(todo.kept[0].wanted.as_ref().unwrap().contains("description: two"));
    assert!(todo.unchanged.is_empty());

    // Removed from the specification, but changed by hand: it stays.
    stored[2].text.push_str("order: 8\n");
    let todo = update(&stored, &second);
    assert!(todo.removed.is_empty());
    assert_eq!(todo.kept.iter().filter(|kept| kept.wanted.is_none()).count(), 1);
}

#[test]
fn examples_of_bodies_are_used_where_wanted_or_where_there_is_nothing_else() {
    let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {
        "/a": {"get": {"operationId": "a", "responses": {"200": {"description": "", "content": {"application/json": {
            "schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "examples": {"one": {"value": {"n": 1}}, "wrong": {"value": {"n": "x"}}, "two": {"value": {"n": 2}}}}}}}}},
        "/b": {"get": {"operationId": "b", "responses": {"200": {"description": "", "content": {"text/plain": {"example": "{{x}}"}}}}}}}}"#;
    let bodies = |import: &Import, start: &str| -> Vec<String> {
        named(import, start).iter().map(|one| one.response.contents.as_text().unwrap().to_owned()).collect()
    };
    let usual = imported(spec);
    assert_eq!(bodies(&usual, "a-"), ["{\n  \"n\": {{RandNumMinMax 0 10000}}\n}"]);
    assert_eq!(Text::new(&bodies(&usual, "b-")[0]).render(0), "{{x}}");
    let mut options = ImportOptions::default();
    options.body_examples = true;
    let import = import_with(spec, &options);
    assert_eq!(bodies(&import, "a-200-one"), ["{\n  \"n\": 1\n}"]);
    assert_eq!(named(&import, "a-200").len(), 2);
}

#[test]
fn headers_are_written_as_their_schemas_want() {
    let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"get": {"responses": {"200": {"description": "", "headers": {
        "X-List": {"required": true, "schema": {"type": "array", "minItems": 3, "items": {"type": "integer"}}},
        "X-Exact": {"required": true, "schema": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "boolean"}}},
        "X-Unique": {"required": true, "schema": {"type": "array", "minItems": 2, "uniqueItems": true, "items": {"type": "integer"}}},
        "X-Object": {"required": true, "schema": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}}},
        "X-Exploded": {"required": true, "explode": true, "schema": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}}},
        "X-Json": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "minItems": 2, "items": {"type": "integer"}}}}}}},
        "X-Given": {"required": true, "example": [7, 8], "schema": {"type": "array", "minItems": 2, "items": {"type": "integer"}}},
        "X-Text": {"required": true, "content": {"text/plain": {"schema": {"type": "string"}, "example": "some words"}}}
    }}}}}}}"#;
    let import = imported(spec);
    assert_eq!(import.problems, []);
    common::answers_are_valid(&import, 50, "headers");
    let file = Text::new(&import.scenarios[0].text());
    let wanted = [
        ("X-List", r"^\d+,\d+,\d+(,\d+)*$"),
        ("X-Exact", "^(true|false)$"),
        ("X-Unique", r"^\d+,\d+$"),
        ("X-Object", r"^a,\d+,b,[xy]$"),
        ("X-Exploded", r"^a=\d+,b=(true|false)$"),
        ("X-Json", r#"^\{ *"a": \[ *\d+, *\d+.* *\] *\}$"#),
        ("X-Given", "^7,8$"),
        ("X-Text", "^some words$"),
    ];
    for seed in 0..20 {
        let answer = common::answer(&file, seed);
        for (name, pattern) in wanted {
            let value = answer.response.headers.first(name).unwrap();
            assert!(regex::Regex::new(pattern).unwrap().is_match(value), "{name}: {value}");
        }
    }
}

#[test]
fn all_that_is_left_out_is_told() {
    let spec = r"
openapi: 3.0.0
info: {title: T, version: '1'}
paths:
  /a:
    summary: s
    description: d
    servers: []
    x-own: 1
    parameters: {a: 1}
    fetch: {}
    GET: {}
    get:
      parameters: {a: 1}
      responses: {200: {description: ok, content: {not a type: {}, text/plain; charset=utf-8: {}}}}
    put:
      parameters:
      requestBody: {content: {json: {}, application/json: {}}}
      responses: {200: {description: ok}}
";
    let problems = |spec: &str| -> Vec<String> {
        imported(spec.as_bytes()).problems.iter().map(ToString::to_string).collect()
    };
    let none = "left out: it is none of get, put, post, delete, options, head, patch, trace";
    let mut wanted = vec![
        "#/paths/~1a/parameters: left out: not a list".to_owned(),
        format!("#/paths/~1a/fetch: {none}"),
        format!("#/paths/~1a/GET: {none}"),
        "#/paths/~1a/get/parameters: left out: not a list".to_owned(),
        "#/paths/~1a/get/responses/200/content/not a type: left out: it is no media type".to_owned(),
        "#/paths/~1a/put/requestBody/content/json: left out: it is no media type".to_owned(),
    ];
    let mut found = problems(spec);
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    let old = "swagger: '2.0'\ninfo: {title: T, version: '1'}\nproduces: [json, application/json]\npaths: {/a: {get: {responses: {200: {description: ok, schema: {}}}}}}\n";
    assert_eq!(problems(old), ["#: \"json\" of `produces` is left out: it is no media type"]);
}

#[test]
fn lists_and_objects_in_parameters_are_drawn_anew() {
    let import = imported(&own("parameters.yaml"));
    let file = |name: &str| Text::new(&named(&import, name)[0].to_yaml());
    let values = |file: &Text, seed: u64| -> Vec<String> {
        let request = common::answer(file, seed).request;
        let pairs = [&request.example_query_params, &request.example_path_params, &request.example_headers];
        let all = pairs.into_iter().flat_map(|pairs| pairs.iter());
        all.map(|(name, value)| format!("{name}: {value}")).collect()
    };
    let patterns = [
        ("query-200", r"^many: \d+(&many=\d+)+$"),
        ("query-200", r"^csv: [^,]+(,[^,]+){0,2}$"),
        ("query-200", r"^piped: \d+(\|\d+)*$"),
        ("query-200", r"^spaced: \d+( \d+)*$"),
        ("query-200", r"^deep\[x\]: \d+$"),
        ("query-200", r"^left: \d+$"),
        ("query-200", r#"^json: \{ *"x": \d+, *"y": \d+ *\}$"#),
        ("header-200", r"^X-List: \d+(,\d+)*$"),
        ("simple-200", r"^ids: \d+(,\d+)*$"),
        ("simple-200", r"^point: x=\d+,y=\d+$"),
    ];
    for (name, pattern) in patterns {
        let (file, pattern) = (file(name), regex::Regex::new(pattern).unwrap());
        let mut found: Vec<String> = (0..20)
            .map(|seed| {
                let all = values(&file, seed);
                all.iter()
                    .find(|one| pattern.is_match(one))
                    .unwrap_or_else(|| panic!("{pattern}: {all:?}"))
                    .clone()
            })
            .collect();
        found.sort();
        found.dedup();
        assert!(found.len() > 5, "{pattern}: {found:?}");
    }
}
