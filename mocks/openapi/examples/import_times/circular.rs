//! Specifications of any size whose schemas hold each other, as payment services have them.

use api_mock_datagen::Rng;
use serde_json::{Map, Value, json};

/// What four schemas and their operations take, about.
const JSON_BYTES: usize = 9_400;
const YAML_BYTES: usize = 13_700;

/// A specification of about that size: for each four schemas a list, a read and a create operation. Each schema refers to
/// five others, some by way of alternatives, all of them in circles.
pub(crate) fn specification(bytes: usize, seed: u64, as_yaml: bool) -> String {
    let mut rng = Rng::seeded(seed);
    let each = if as_yaml { YAML_BYTES } else { JSON_BYTES };
    let count = (bytes / each).max(4) * 4;
    let schemas: Map<String, Value> =
        (0..count).map(|n| (format!("S{n}"), schema(&mut rng, n, count))).collect();
    let paths: Map<String, Value> = (0..count / 4).flat_map(operations).collect();
    let whole = json!({
        "openapi": "3.0.3", "info": {"title": "Circles", "version": "1"}, "paths": paths,
        "components": {"schemas": schemas},
    });
    if as_yaml {
        let mut text = String::new();
        yaml(&mut text, &whole, 0);
        text
    } else {
        whole.to_string()
    }
}

fn reference(n: usize) -> Value {
    json!({"$ref": format!("#/components/schemas/S{n}")})
}

fn operations(n: usize) -> [(String, Value); 2] {
    let answers = |schema: Value| {
        json!({
            "200": {"description": "It went well.", "content": {"application/json": {"schema": schema}}},
            "default": {"description": "It did not.", "content": {"application/json": {"schema": reference(0)}}},
        })
    };
    let list = json!({"type": "object", "properties": {
        "data": {"type": "array", "items": reference(n)}, "has_more": {"type": "boolean"}}});
    let id =
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "maxLength": 50}});
    let limit =
        json!({"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}});
    let many = json!({
        "get": {"operationId": format!("list{n}"), "parameters": [limit], "responses": answers(list)},
        "post": {
            "operationId": format!("create{n}"), "responses": answers(reference(n)),
            "requestBody": {"content": {"application/json": {"schema": reference(n)}}},
        },
    });
    let one = json!({"get": {"operationId": format!("get{n}"), "parameters": [id], "responses": answers(reference(n))}});
    [(format!("/v1/r{n}"), many), (format!("/v1/r{n}/{{id}}"), one)]
}

fn schema(rng: &mut Rng, n: usize, count: usize) -> Value {
    let mut other = || reference(usize::try_from(rng.below(count as u64)).unwrap_or(0));
    let mut properties = Map::new();
    properties.insert("id".to_owned(), json!({"type": "string", "pattern": format!("^r{n}_[a-z0-9]{{8}}$")}));
    for k in 0..12 {
        let about = format!("A text about something that the resource has, number {k}.");
        let text = json!({"type": "string", "maxLength": 5000, "description": about});
        properties.insert(format!("plain_{k}"), text);
    }
    properties.insert("owner".to_owned(), json!({"anyOf": [{"type": "string"}, other()]}));
    properties.insert("parent".to_owned(), other());
    properties.insert("children".to_owned(), json!({"type": "array", "items": other()}));
    properties.insert("any".to_owned(), json!({"oneOf": [other(), {"type": "integer"}]}));
    let more = json!({"type": "object", "properties": {"more": {"type": "number"}}});
    properties.insert("all".to_owned(), json!({"allOf": [other(), more]}));
    let about = format!(
        "Resource number {n}, which has a description as long as such descriptions are in real specifications."
    );
    json!({"type": "object", "description": about, "required": ["id", "owner"], "properties": properties})
}

/// Block style, as people write it.
fn yaml(text: &mut String, value: &Value, depth: usize) {
    let indent = |text: &mut String| text.extend(std::iter::repeat_n("  ", depth));
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                text.push('\n');
                indent(text);
                text.push_str(&if name.starts_with('/') { name.clone() } else { json!(name).to_string() });
                text.push(':');
                yaml(text, member, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push('\n');
                indent(text);
                text.push('-');
                yaml(text, item, depth + 1);
            }
        }
        scalar => {
            text.push(' ');
            text.push_str(&scalar.to_string());
        }
    }
}
