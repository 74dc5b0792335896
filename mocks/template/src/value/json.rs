//! Conversions between [`Value`] and `serde_json::Value` (feature `json`).

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::Value;

/// Numbers written without a point or exponent become integers, unlike in Go, where every JSON
/// number is a float: identifiers above 2^53 stay exact.
impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => from_number(number),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => Value::List(items.iter().map(Value::from).collect()),
            Json::Object(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.as_str(), Value::from(value))).collect())
            }
        }
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::String(text) => Value::from(text),
            Json::Array(items) => Value::List(items.into_iter().collect()),
            Json::Object(entries) => Value::Map(entries.into_iter().collect()),
            scalar => Value::from(&scalar),
        }
    }
}

fn from_number(number: &Number) -> Value {
    if let Some(integer) = number.as_i64() {
        return Value::Int(integer);
    }
    match number.as_u64() {
        Some(integer) => Value::Uint(integer),
        None => number.as_f64().map_or_else(|| Value::from(number.to_string()), Value::Float),
    }
}

/// Functions and numbers that JSON cannot write (NaN, infinities, complex) become null, bytes
/// that are not UTF-8 are replaced by U+FFFD.
impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Nil | Value::Func(_) | Value::Complex(..) => Json::Null,
            Value::Bool(truth) => Json::Bool(*truth),
            Value::Int(number) => Json::from(*number),
            Value::Uint(number) => Json::from(*number),
            Value::Byte(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Str(text) => Json::String(text.to_string()),
            Value::Bytes(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
            Value::List(list) => Json::Array(list.iter().map(Json::from).collect()),
            Value::Map(map) => Json::Object(
                map.iter().map(|(key, value)| (key.to_owned(), Json::from(value))).collect::<JsonMap<_, _>>(),
            ),
        }
    }
}
