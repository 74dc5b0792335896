//! Parameters as they are written, and the values they stand for.

use serde_json::{Map, Number, Value};

use crate::schema::{ObjectRules, Schema, SchemaId, Schemas, Types};
use crate::spec::{Api, Location, Parameter, Style};

/// What was sent for a parameter.
#[derive(Debug)]
pub(crate) enum Raw {
    Text(String),
    Several(Vec<String>),
    Members(Vec<(String, String)>),
}

/// What pairs of a query or of cookies hold for a parameter.
pub(super) fn raw(parameter: &Parameter, pairs: &[(String, String)], api: &Api) -> Option<Raw> {
    // What is written in a media type is one text.
    let kind =
        if parameter.media.is_some() { Kind::Scalar } else { Kind::of(&api.schemas, parameter.schema) };
    if parameter.media.is_none() && parameter.style == Style::DeepObject {
        let members: Vec<(String, String)> = pairs
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(parameter.name.as_str())?.strip_prefix('[')?.strip_suffix(']')?;
                Some((key.to_owned(), value.clone()))
            })
            .collect();
        return (!members.is_empty()).then_some(Raw::Members(members));
    }
    if parameter.explode && kind == Kind::Object && parameter.style == Style::Form {
        let known = properties(&api.schemas, parameter.schema);
        let members: Vec<(String, String)> =
            pairs.iter().filter(|(name, _)| known.iter().any(|(known, _)| known == name)).cloned().collect();
        return (!members.is_empty()).then_some(Raw::Members(members));
    }
    // Some clients write `x[]=a&x[]=b`.
    let bracketed = format!("{}[]", parameter.name);
    let is_meant = |name: &str| name == parameter.name || (kind == Kind::List && name == bracketed);
    let mut values: Vec<String> =
        pairs.iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| value.clone()).collect();
    match values.len() {
        0 => None,
        _ if kind == Kind::List && (parameter.explode || values.len() > 1) => Some(Raw::Several(values)),
        // Of several values of a scalar, the last one counts.
        _ => values.pop().map(Raw::Text),
    }
}

/// What a text stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar,
    List,
    Object,
}

impl Kind {
    pub(super) fn of(schemas: &Schemas, id: SchemaId) -> Kind {
        let types = types(schemas, id, 0);
        let schema = schemas.get(schemas.follow(id));
        if types == Types::ARRAY || (types.is_any() && schema.array.is_some()) {
            Kind::List
        } else if types == Types::OBJECT || (types.is_any() && schema.object.is_some()) {
            Kind::Object
        } else {
            Kind::Scalar
        }
    }
}

/// The types that a schema allows, as far as it says; null left aside.
fn types(schemas: &Schemas, id: SchemaId, depth: u32) -> Types {
    let schema = schemas.get(schemas.follow(id));
    let own = schema.types.without_null();
    let Some(logic) = schema.logic.as_ref().filter(|_| own.is_any() && depth < 8) else { return own };
    for id in &logic.all_of {
        let types = types(schemas, *id, depth + 1);
        if !types.is_any() {
            return types;
        }
    }
    let branches = logic.one_of.iter().chain(&logic.any_of);
    let mut all = Types::ANY;
    for id in branches {
        let types = types(schemas, *id, depth + 1);
        if types.is_any() {
            return Types::ANY;
        }
        all = all.or(types);
    }
    all
}

/// The properties of a schema, with those that it takes over from others.
pub(super) fn properties(schemas: &Schemas, id: SchemaId) -> Vec<(String, SchemaId)> {
    let mut list = Vec::new();
    for rules in object_rules(schemas, id) {
        list.extend(rules.properties.iter().map(|(name, id)| (name.to_string(), *id)));
    }
    list
}

/// What a schema says of objects, itself and by way of others.
fn object_rules(schemas: &Schemas, id: SchemaId) -> Vec<&ObjectRules> {
    let mut list = Vec::new();
    let mut waiting = vec![id];
    let mut seen = Vec::new();
    while let Some(id) = waiting.pop() {
        let id = schemas.follow(id);
        if seen.contains(&id) || seen.len() > 100 {
            continue;
        }
        seen.push(id);
        let schema = schemas.get(id);
        list.extend(schema.object.as_deref());
        if let Some(logic) = &schema.logic {
            waiting.extend(logic.all_of.iter().chain(&logic.one_of).chain(&logic.any_of));
        }
        waiting.extend(schema.reference);
    }
    list
}

/// Adds empty lists where there must be lists that may be empty: forms and XML have no other way to write those.
pub(super) fn add_empty_lists(schemas: &Schemas, id: SchemaId, members: &mut Map<String, Value>) {
    let all = object_rules(schemas, id);
    for name in all.iter().flat_map(|rules| &rules.required) {
        let Some(id) = all.iter().find_map(|rules| rules.property(name)) else { continue };
        let least = schemas.get(schemas.follow(id)).array.as_ref().map_or(0, |rules| rules.min);
        if least == 0 && Kind::of(schemas, id) == Kind::List && !members.contains_key(&**name) {
            members.insert(name.to_string(), Value::Array(Vec::new()));
        }
    }
}

/// The value of a parameter.
pub(super) fn value(parameter: &Parameter, raw: Raw, api: &Api) -> Result<Value, String> {
    let schemas = &api.schemas;
    let id = parameter.schema;
    if parameter.media.is_some() {
        let Raw::Text(text) = raw else { return Err("is there several times".to_owned()) };
        return serde_json::from_str(&text).map_err(|error| format!("is not JSON: {error}"));
    }
    Ok(match raw {
        Raw::Several(items) => list(schemas, id, items.iter().map(String::as_str)),
        Raw::Members(members) => object(schemas, id, members),
        Raw::Text(text) => {
            let text = unprefixed(parameter, &text);
            let in_header = parameter.location == Location::Header;
            match Kind::of(schemas, id) {
                Kind::Scalar => scalar(schemas, id, text),
                Kind::List if text.is_empty() => Value::Array(Vec::new()),
                Kind::List => {
                    let name = format!("{}=", parameter.name);
                    let items = text.split(separator(parameter));
                    list(
                        schemas,
                        id,
                        items.map(|item| {
                            // Commas of headers come with blanks.
                            let item = if in_header { item.trim() } else { item };
                            item.strip_prefix(&name).filter(|_| is_matrix(parameter)).unwrap_or(item)
                        }),
                    )
                }
                Kind::Object => object(schemas, id, members(parameter, text)),
            }
        }
    })
}

fn is_matrix(parameter: &Parameter) -> bool {
    parameter.style == Style::Matrix && parameter.explode
}

fn unprefixed<'t>(parameter: &Parameter, text: &'t str) -> &'t str {
    match parameter.style {
        Style::Label => text.strip_prefix('.').unwrap_or(text),
        Style::Matrix => {
            let text = text.strip_prefix(';').unwrap_or(text);
            let named = text.strip_prefix(parameter.name.as_str()).and_then(|rest| rest.strip_prefix('='));
            if parameter.explode && text.contains(';') { text } else { named.unwrap_or(text) }
        }
        _ => text,
    }
}

fn separator(parameter: &Parameter) -> char {
    match parameter.style {
        Style::Space => ' ',
        Style::Pipe => '|',
        Style::Tab => '\t',
        Style::Label if parameter.explode => '.',
        Style::Matrix if parameter.explode => ';',
        _ => ',',
    }
}

fn members(parameter: &Parameter, text: &str) -> Vec<(String, String)> {
    let mut parts = text.split(separator(parameter)).filter(|part| !part.is_empty());
    let mut members = Vec::new();
    while let Some(part) = parts.next() {
        if parameter.explode {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            members.push((name.to_owned(), value.to_owned()));
        } else {
            members.push((part.to_owned(), parts.next().unwrap_or_default().to_owned()));
        }
    }
    members
}

fn list<'i>(schemas: &Schemas, id: SchemaId, items: impl Iterator<Item = &'i str>) -> Value {
    let rules = schemas.get(schemas.follow(id)).array.as_deref();
    let one = |(at, text): (usize, &str)| {
        let id = rules.and_then(|rules| rules.prefix.get(at).copied().or(rules.items));
        id.map_or_else(|| Value::from(text), |id| item(schemas, id, text))
    };
    Value::Array(items.enumerate().map(one).collect())
}

/// A scalar, or an object, which stands in forms and lists as JSON.
fn item(schemas: &Schemas, id: SchemaId, text: &str) -> Value {
    let is_object = Kind::of(schemas, id) == Kind::Object;
    let object = is_object.then(|| serde_json::from_str(text).ok()).flatten().filter(Value::is_object);
    object.unwrap_or_else(|| scalar(schemas, id, text))
}

/// An object of texts, each of the type that its property wants.
pub(crate) fn object(schemas: &Schemas, id: SchemaId, members: Vec<(String, String)>) -> Value {
    let known = properties(schemas, id);
    let mut object: Map<String, Value> = Map::new();
    for (name, text) in members {
        let id = known.iter().find(|(known, _)| *known == name).map(|(_, id)| *id).or_else(|| {
            let rules = schemas.get(schemas.follow(id)).object.as_deref();
            rules.and_then(|rules| rules.additional)
        });
        let is_list = id.is_some_and(|id| Kind::of(schemas, id) == Kind::List);
        let value = match id {
            Some(id) if is_list => list(schemas, id, std::iter::once(text.as_str())),
            Some(id) => item(schemas, id, &text),
            None => Value::from(text),
        };
        match (object.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) if is_list => items.extend(more),
            (_, value) => {
                object.insert(name, value);
            }
        }
    }
    Value::Object(object)
}

/// A text as the type that its schema wants, if it is one; else as text.
pub(super) fn scalar(schemas: &Schemas, id: SchemaId, text: &str) -> Value {
    let types = types(schemas, id, 0);
    // A text is always a text, even `null` and `1`.
    if types.allows(Types::STRING) && !guesses(schemas.get(schemas.follow(id)), types) {
        return Value::from(text);
    }
    if types.allows(Types::BOOLEAN) && matches!(text, "true" | "false") {
        return Value::Bool(text == "true");
    }
    if types.allows(Types::NUMBER) && looks_like_number(text) {
        if let Ok(integer) = text.parse::<i64>() {
            return Value::from(integer);
        }
        if let Ok(large) = text.parse::<u64>() {
            return Value::from(large);
        }
        if let Some(number) = text.parse().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
    }
    if matches!(text, "" | "null") && schemas.is_valid(id, &Value::Null, crate::schema::Direction::Request) {
        return Value::Null;
    }
    if types.allows(Types::OBJECT) && text.starts_with('{')
        || types.allows(Types::ARRAY) && text.starts_with('[')
    {
        return serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    }
    Value::from(text)
}

/// Whether a text may as well stand for a number or a truth value.
fn guesses(schema: &Schema, types: Types) -> bool {
    !types.is_any() && types != Types::STRING && schema.string.is_none()
}

fn looks_like_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}
