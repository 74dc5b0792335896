//! What is generated for each feature of schemas is valid, whatever the seed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_openapi::{Direction, Import, ResponseParts, SchemaId, parse_document};
use common::{Text, bodies_are_valid};
use serde_json::{Value, json};

/// The specification with an operation for each schema, which answers it and takes it as a body.
fn spec() -> Value {
    let mut spec = parse_document(&common::own("schemas.yaml")).unwrap();
    let names: Vec<String> = spec["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    for name in names {
        let content =
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
        spec["paths"][format!("/{name}")] = json!({"post": {
            "operationId": name,
            "requestBody": {"required": true, "content": content},
            "responses": {"200": {"description": "ok", "content": content}},
        }});
    }
    spec
}

fn import() -> Import {
    common::imported(spec().to_string().as_bytes())
}

fn schema(import: &Import, name: &str) -> SchemaId {
    let operation = import.api.operations.iter().find(|one| one.id.as_deref() == Some(name)).unwrap();
    operation.responses[0].content[0].schema.unwrap()
}

fn template(import: &Import, name: &str) -> String {
    let operation = import.api.operations.iter().position(|one| one.id.as_deref() == Some(name)).unwrap();
    let made = import.scenarios.iter().find(|made| made.operation == operation);
    made.unwrap().scenario.response.contents.as_text().unwrap().to_owned()
}

#[test]
fn bodies_are_valid_for_every_seed() {
    let import = import();
    let missing: Vec<&str> = import
        .api
        .operations
        .iter()
        .enumerate()
        .filter(|(index, _)| !import.scenarios.iter().any(|made| made.operation == *index))
        .map(|(_, operation)| operation.path.as_str())
        .collect();
    assert!(missing.is_empty(), "{missing:?}: {:?}", import.problems);
    let count = bodies_are_valid(&import, 200, "schemas.yaml");
    assert!(count > 90, "{count}");
    let what: Vec<String> = import.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        what,
        [
            "#/components/schemas/TextPatternAhead: the pattern \"^(?=[a-z])[a-z0-9]{3}$\" is not checked: it looks ahead or behind, which is not supported"
        ]
    );
}

/// Answers in XML, as forms and as texts, with all that such bodies can say.
#[test]
fn bodies_that_are_not_json_are_valid_too() {
    let scalars = json!({
        "id": {"type": "integer", "minimum": 3, "xml": {"attribute": true}},
        "name": {"type": "string", "minLength": 1, "maxLength": 9},
        "special": {"type": "string", "pattern": "^[<>&\"'=+%a]{4}$"},
        "choice": {"type": "string", "enum": ["a b", "<x>", "c&d", "e=f", "100%"]},
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "mail": {"type": "string", "format": "email"},
        "link": {"type": "string", "format": "uri"},
        "size": {"type": "number", "minimum": 0.5, "maximum": 2.5},
        "yes": {"type": "boolean"},
        "fixed": {"const": "a <b> & c"},
        "tags": {"type": "array", "minItems": 1, "maxItems": 3, "xml": {"wrapped": true, "name": "labels"},
            "items": {"type": "string", "enum": ["red", "dark blue"], "xml": {"name": "label"}}},
        "counts": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
        "empty": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    });
    let required: Vec<&String> = scalars.as_object().unwrap().keys().collect();
    let flat =
        json!({"type": "object", "required": required, "properties": scalars, "additionalProperties": false});
    let mut nested = flat.clone();
    nested["properties"]["owner"] = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "xml": {"prefix": "o", "namespace": "urn:o"}},
        "friends": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
    }});
    let text = |schema: Value| json!({"text/plain": {"schema": schema}});
    let contents = json!({
        "xml": {"application/xml": {"schema": nested}, "text/xml": {"schema": flat}},
        "list": {"application/soap+xml": {"schema": {"type": "array", "minItems": 1, "items": flat}}},
        "form": {"application/x-www-form-urlencoded": {"schema": flat}},
        "word": text(json!({"type": "string", "pattern": "^[a-z]+ [{}<>]+$"})),
        "number": text(json!({"type": "integer", "minimum": 5, "maximum": 7})),
        "choice": text(json!({"enum": ["a b", "{{x}}"]})),
        "day": text(json!({"type": "string", "format": "date"})),
        "csv": {"text/csv": {"schema": {"type": "string", "minLength": 30}}},
    });
    let mut spec = json!({"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}});
    for (name, content) in contents.as_object().unwrap() {
        spec["paths"][format!("/{name}")] = json!({"get": {"operationId": name, "responses": {"200": {"description": "ok", "content": content}}}});
    }
    let import = common::imported(spec.to_string().as_bytes());
    assert_eq!(import.problems, []);
    assert_eq!(common::answers_are_valid(&import, 100, "not JSON"), 9);
    // And the check says something.
    let form = import.api.find("GET", "/form").unwrap();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = ResponseParts { status: 200, headers: &headers, body: b"id=2&name=x&more=1" };
    let found = import.api.check_response(form, &wrong);
    assert!(
        found.len() > 5 && found.iter().any(|one| one.to_string() == "body at /id: is less than 3"),
        "{found:?}"
    );
}

#[test]
fn what_is_generated_for_requests_is_valid_and_passes_its_own_patterns() {
    let import = import();
    for operation in &import.api.operations {
        let name = operation.id.as_deref().unwrap();
        let id = schema(&import, name);
        let text = Text::new(
            &import.api.template(id, Direction::Request).unwrap_or_else(|why| panic!("{name}: {why}")),
        );
        let patterns: Vec<Value> = import
            .scenarios
            .iter()
            .filter(|made| made.request_schema == Some(id))
            .map(|made| {
                serde_json::from_str(&common::answer(&Text::new(&made.text()), 0).request.match_contents)
                    .unwrap_or(json!({}))
            })
            .collect();
        for seed in 0..100 {
            let body = text.render(seed);
            let value: Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{name}: {error}: {body}"));
            let violations = import.api.schemas.validate(id, &value, Direction::Request);
            assert!(violations.is_empty(), "{name}: {violations:?}: {body}");
            patterns.iter().for_each(|patterns| passes(name, patterns, "", &value));
        }
    }
}

/// Every scalar whose key has a pattern matches it, as the service looks at bodies.
fn passes(name: &str, patterns: &Value, key: &str, value: &Value) {
    match value {
        Value::Object(members) => members.iter().for_each(|(member, value)| {
            passes(
                name,
                patterns,
                &if key.is_empty() { member.clone() } else { format!("{key}.{member}") },
                value,
            );
        }),
        Value::Array(items) => items.iter().for_each(|item| passes(name, patterns, key, item)),
        Value::Null => {}
        scalar => {
            let Some(pattern) = patterns.get(key).and_then(Value::as_str) else { return };
            let text = scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned);
            let pattern = regex::Regex::new(&api_mock_datagen::strip_type_tags(pattern)).unwrap();
            assert!(pattern.is_match(&text), "{name}: {key}: {text:?} does not match {pattern}");
        }
    }
}

#[test]
fn templates_are_what_people_would_write() {
    let import = import();
    let cases = [
        ("Text", r#""{{RandStringMinMax 0 0}}""#),
        ("TextExact", r#""{{RandStringMinMax 34 35}}""#),
        ("TextPattern", r#""{{RandRegex `^AC[0-9a-fA-F]{32}$`}}""#),
        ("TextPatternLength", r#""{{RandRegex `^[A-Z]{9,10}-[0-9]{0,1}$`}}""#),
        ("Enum", r#""{{EnumString `red green`}}""#),
        ("EnumIntegers", "{{EnumInt -3 5 9007199254740993}}"),
        ("EnumNumbers", "{{EnumString `0.5 1 2.25`}}"),
        ("IntegerNegative", "{{RandNumMinMax 0 -10}}"),
        ("IntegerExclusive", "{{RandNumMinMax 4 6}}"),
        ("NumberRange", "{{RandFloatMinMax 0.25 0.5}}"),
        ("Boolean", "{{RandBool}}"),
        ("Object", "{{RandDict}}"),
        ("Example", "{\n  \"a\": \"hello\",\n  \"b\": 7,\n  \"c\": {{RandNumMinMax 0 10000}}\n}"),
        ("WriteOnly", "{\n  \"id\": {{RandNumMinMax 0 10000}}\n}"),
        (
            "ArrayBounds",
            "[{{range Iterate (RandNumMinMax 3 5)}}{{if .}},{{end}}\n  {{RandNumMinMax 0 10000}}{{end}}\n]",
        ),
        (
            "Cat",
            "{\n  \"kind\": \"Cat\",\n  \"name\": \"{{RandStringMinMax 0 0}}\",\n  \"claws\": {{RandNumMinMax 0 10000}}\n}",
        ),
        ("Nullable", r#""{{RandStringMinMax 0 0}}""#),
    ];
    for (name, wanted) in cases {
        assert_eq!(template(&import, name), wanted, "{name}");
    }
}

#[test]
fn alternatives_become_scenarios_of_their_own() {
    let import = import();
    let variants = |name: &str| -> Vec<String> {
        let made = import
            .scenarios
            .iter()
            .filter(|made| import.api.operations[made.operation].id.as_deref() == Some(name));
        made.map(|made| made.scenario.name.rsplit_once('-').unwrap().0.to_owned()).collect()
    };
    assert_eq!(variants("AnyPet"), ["AnyPet-200-feline", "AnyPet-200-Dog"]);
    assert_eq!(variants("OneOfTypes"), ["OneOfTypes-200-variant1", "OneOfTypes-200-variant2"]);
    let text = template(&import, "AnyPet");
    assert!(text.contains("\"kind\": \"feline\""), "{text}");
}

/// What must be refused, so that the tests above say something.
#[test]
fn invalid_values_are_refused() {
    let import = import();
    let cases = [
        ("TextShort", json!("abcd"), "has 4 characters, 3 at most are allowed"),
        ("TextPattern", json!("AC"), "does not match ^AC[0-9a-fA-F]{32}$"),
        ("Enum", json!("blue"), "is none of \"red\", \"green\""),
        ("Const", json!({"a": [1, "b"]}), "is not {\"a\":[1,\"{{b}}\"]}"),
        ("Integer", json!(1.5), "is a number, not integer"),
        ("IntegerExclusive", json!(3), "is less than or equal to 3"),
        ("NumberCents", json!(1.005), "is not a multiple of 0.01"),
        ("Nullable", json!(1), "is integer, not null or string"),
        ("ObjectEmpty", json!({"a": 1}), "must not have \"a\""),
        ("ObjectRequired", json!({"x": 1}), "lacks \"y\""),
        ("ObjectNames", json!({"abc": 1}), "must not have a member called \"abc\""),
        ("ObjectDependent", json!({"a": "x", "b": 1}), "has \"a\" and so must have \"c\""),
        ("ArrayTuple", json!([1, "a", 2]), "nothing is allowed here"),
        ("ArrayUnique", json!([1, 1.0, 2]), "has the same item twice"),
        ("ArrayContains", json!([5, 1]), "has 1 items of those of which it must contain some"),
        ("OneOfRanges", json!(5), "fits 2 of the schemas of which it must fit one"),
        ("AnyOf", json!(true), "fits none of 2 schemas"),
        ("AnyPet", json!({"kind": "feline", "claws": "x"}), "is string, not integer"),
        ("NotConst", json!(2), "is what is excluded"),
        ("Condition", json!({"kind": "a", "x": 1}), "is integer, not string"),
        ("Siblings", json!("abcdef"), "has 6 characters, 5 at most are allowed"),
        ("EmailShort", json!("nonsense"), "is not of the format email"),
    ];
    for (name, value, wanted) in cases {
        let found = import.api.schemas.validate(schema(&import, name), &value, Direction::Response);
        let found: Vec<&str> = found.iter().map(|violation| violation.what.as_str()).collect();
        assert_eq!(found, [wanted], "{name}");
    }
    let places =
        import.api.schemas.validate(schema(&import, "ArrayNested"), &json!([[[1, "x"]]]), Direction::Request);
    assert_eq!(places[0].at, "/0/0/1");
}

/// A specification of 3.1 whose only answer is of the given schema.
fn answering(schema: &Value) -> api_mock_openapi::Import {
    let content = json!({"application/json": {"schema": schema}});
    let spec = json!({"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"get": {
        "responses": {"200": {"description": "ok", "content": content}}}}}});
    common::imported(spec.to_string().as_bytes())
}

#[test]
fn integers_that_floats_cannot_tell_apart() {
    let (low, high) = (9_007_199_254_740_993_u64, 9_007_199_254_740_995_u64);
    let good = [
        json!({"type": "integer", "minimum": low, "maximum": high}),
        json!({"type": "number", "minimum": low, "maximum": high}),
        json!({"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + 2}),
        json!({"type": "integer", "minimum": 9_223_372_036_854_775_800_u64}),
        json!({"type": "integer", "format": "int64", "minimum": 9_223_372_036_854_775_806_u64}),
        json!({"type": "integer", "minimum": 18_446_744_073_709_551_610_u64}),
        json!({"type": "integer", "maximum": -9_223_372_036_854_775_800_i64}),
        json!({"type": "integer", "minimum": low, "multipleOf": 3}),
        json!({"type": "integer", "minimum": -1e300, "maximum": 1e300}),
        json!({"type": "integer", "minimum": -1e25}),
        json!({"type": "integer", "maximum": -9_007_199_254_740_993_i64, "multipleOf": 0.5}),
        json!({"type": "number", "exclusiveMaximum": i64::MIN}),
        json!({"type": "number", "minimum": 9_007_199_254_740_991_u64, "multipleOf": 3}),
        json!({"type": "number", "exclusiveMaximum": 0, "multipleOf": 0.5}),
    ];
    for schema in good {
        let import = answering(&schema);
        assert_eq!(import.problems, [], "{schema}");
        assert_eq!(common::bodies_are_valid(&import, 50, &schema.to_string()), 1, "{schema}");
    }
    let refused = |schema: Value, value: Value| {
        let import = answering(&schema);
        let id = import.scenarios[0].schema.unwrap();
        let found = import.api.schemas.validate(id, &value, Direction::Response);
        found
            .into_iter()
            .map(|one| format!("{} {} {}", one.keyword, one.what, one.expected))
            .collect::<Vec<_>>()
    };
    let range = json!({"type": "integer", "minimum": low, "maximum": high});
    assert_eq!(
        refused(range.clone(), json!(low - 1)),
        ["minimum is less than 9007199254740993 9007199254740993"]
    );
    assert_eq!(refused(range.clone(), json!(high)), [""; 0]);
    assert_eq!(
        refused(range, json!(high + 1)),
        ["maximum is greater than 9007199254740995 9007199254740995"]
    );
    assert_eq!(refused(json!({"multipleOf": 2}), json!(low)), ["multipleOf is not a multiple of 2 2"]);
    assert_eq!(
        refused(json!({"const": low}), json!(low - 1)),
        ["const is not 9007199254740993 9007199254740993"]
    );
    assert_eq!(
        refused(json!({"const": -9_007_199_254_740_993_i64}), json!(-9_007_199_254_740_992_i64)).len(),
        1
    );
    let import = answering(&json!({"type": "integer", "minimum": 1e30}));
    assert!(import.problems[0].what.contains("its bounds are too far out"), "{:?}", import.problems);
}

#[test]
fn texts_have_a_format_and_a_pattern_or_a_length() {
    let patterns = [
        ("date-time", r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"),
        ("date-time", r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"),
        ("date-time", "^20[0-9]{2}-"),
        ("date", "^20[23]"),
        ("uuid", "^[0-9a-fA-F-]{36}$"),
        ("uuid", "^[0-9A-F-]+$"),
        ("uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
        ("hostname", r"\.example\.com$"),
        ("hostname", r"^api\."),
        ("email", "@example\\.com$"),
        ("email", "corp"),
        ("ipv4", r"^10\."),
        ("ipv4", r"\.255$"),
        ("ipv6", "^2001:"),
        ("uri", r"^https://api\.example\.com/"),
        ("uri", r"\.png$"),
        ("duration", "^PT"),
    ];
    let with_pattern = patterns.map(|(format, pattern)| json!({"format": format, "pattern": pattern}));
    let lengths = [
        json!({"format": "date-time", "maxLength": 20}),
        json!({"format": "date-time", "maxLength": 24}),
        json!({"format": "date-time", "minLength": 24, "maxLength": 30}),
        json!({"format": "date-time", "minLength": 26}),
        json!({"format": "time", "minLength": 12, "maxLength": 13}),
        json!({"format": "date-time", "maxLength": 20, "pattern": "^20"}),
        json!({"format": "byte", "minLength": 40}),
        json!({"format": "byte", "minLength": 5, "maxLength": 6}),
        json!({"format": "byte", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}),
        json!({"allOf": [{"format": "email"}, {"pattern": "@example\\.com$"}, {"maxLength": 20}]}),
    ];
    for mut schema in with_pattern.into_iter().chain(lengths) {
        schema["type"] = json!("string");
        let import = answering(&schema);
        assert_eq!(import.problems, [], "{schema}");
        assert_eq!(common::bodies_are_valid(&import, 50, &schema.to_string()), 1, "{schema}");
        let template = import.scenarios[0].scenario.response.contents.as_text().unwrap();
        assert!(template.contains("{{"), "{schema} is always {template}");
    }
    let import = answering(&json!({"type": "string", "format": "uuid", "pattern": "^x"}));
    assert!(import.problems[0].what.contains("no valid value was found"), "{:?}", import.problems);
    let import = answering(&json!({"type": "string", "format": "date", "maxLength": 9}));
    assert!(
        import.problems[0].what.contains("nothing of its format has its length"),
        "{:?}",
        import.problems
    );
}

#[test]
fn bytes_are_base64() {
    let import = answering(&json!({"type": "string", "format": "byte"}));
    common::bodies_are_valid(&import, 50, "byte");
    let id = import.scenarios[0].schema.unwrap();
    let valid = |text: &str| import.api.schemas.is_valid(id, &json!(text), Direction::Request);
    assert!(valid("YQ==") && valid("YQ"));
    assert!(!valid("no base64!") && !valid("YQ="));
}

/// It wants nothing that can be found out by following it again, and what else it wants is wanted once.
#[test]
fn a_schema_that_is_a_part_of_itself_is_checked_once() {
    let spec = json!({
        "openapi": "3.1.0",
        "info": {"title": "Circles", "version": "1"},
        "paths": {"/trees": {"get": {"responses": {"200": {"description": "ok", "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}
        }}}}}},
        "components": {"schemas": {"Tree": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "object", "required": ["size"]}],
            "properties": {
                "size": {"type": "string"},
                "parent": {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}]}
            }
        }}}
    });
    let import = common::imported(spec.to_string().as_bytes());
    let tree = import.scenarios[0].schema.unwrap();
    let check = |value: serde_json::Value| import.api.schemas.validate(tree, &value, Direction::Response);
    assert_eq!(check(json!({"size": "a", "parent": {"size": "b", "parent": null}})), []);
    assert!(check(json!({"size": 1})).iter().all(|one| one.at == "/size"));
    assert!(!check(json!({"size": "a", "parent": {"parent": null}})).is_empty());
    assert_eq!(common::bodies_are_valid(&import, 50, "a schema that is a part of itself"), 1);
}
