//! Specifications with parts replaced by nonsense: nothing panics, and what is still generated is
//! valid.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_datagen::Rng;
use api_mock_openapi::{ImportOptions, NoDocuments, RequestParts, import, parse_document};
use serde_json::{Value, json};

fn nonsense(rng: &mut Rng, root: &Value) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!([null, 1, {"a": []}]),
        json!({"$ref": "#"}),
        json!({"$ref": "#/paths"}),
        json!({"$ref": "../x"}),
        json!({"type": "string", "pattern": "(", "minLength": 9, "maxLength": 3}),
        json!({"type": ["array", "object"], "minItems": 3, "minProperties": 3, "items": {"$ref": "#/components/schemas/Tree"}}),
        json!({"oneOf": [{}, {"type": "integer"}], "not": {"type": "integer", "minimum": 0}}),
        json!({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}),
    ];
    // Another part of the same document, where it does not belong.
    if rng.below(4) == 0 {
        let mut part = root;
        for _ in 0..rng.below(6) {
            let children: Vec<&Value> = match part {
                Value::Object(members) => members.values().collect(),
                Value::Array(items) => items.iter().collect(),
                _ => break,
            };
            match rng.pick(&children) {
                Some(child) => part = child,
                None => break,
            }
        }
        return part.clone();
    }
    rng.pick(&all).cloned().unwrap()
}

fn nodes(value: &Value) -> u64 {
    1 + match value {
        Value::Object(members) => members.values().map(nodes).sum(),
        Value::Array(items) => items.iter().map(nodes).sum(),
        _ => 0,
    }
}

/// Replaces the node of that number.
fn replace(value: &mut Value, at: &mut u64, by: &Value) {
    if *at == 0 {
        *value = by.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| replace_unless_done(value, at, by)),
        Value::Array(items) => items.iter_mut().for_each(|value| replace_unless_done(value, at, by)),
        _ => {}
    }
}

fn replace_unless_done(value: &mut Value, at: &mut u64, by: &Value) {
    if *at < u64::MAX / 2 {
        replace(value, at, by);
    }
}

#[test]
fn nonsense_in_specifications_breaks_nothing() {
    let mut imported = 0;
    for name in ["swagger2.yaml", "parameters.yaml", "broken.yaml", "nonsense.yaml"] {
        let root = parse_document(&common::own(name)).unwrap();
        let count = nodes(&root);
        for seed in 0..150 {
            let mut rng = Rng::seeded(seed);
            let mut changed = root.clone();
            for _ in 0..=rng.below(4) {
                let by = nonsense(&mut rng, &root);
                replace(&mut changed, &mut rng.below(count), &by);
            }
            let text = changed.to_string();
            let Ok(import) = import(text.as_bytes(), &ImportOptions::default(), &NoDocuments) else {
                continue;
            };
            imported += 1;
            common::bodies_are_valid(&import, 3, &format!("{name} with seed {seed}: {text}"));
            for operation in &import.api.operations {
                let parts = RequestParts {
                    method: &operation.method,
                    path: &operation.path,
                    query: "many=1&deep[x]=2&fields=a|b",
                    headers: &[("content-type", "application/json"), ("cookie", "session")],
                    body: b"{\"a\":[1]}",
                };
                let _ = import.api.check_request(&parts);
            }
        }
    }
    assert!(imported > 400, "{imported}");
}
