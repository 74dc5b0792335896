//! The text of a document as a tree: JSON, or YAML by the rules of YAML 1.2's core schema.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Number, Value};

/// How many nodes a YAML document may have when its aliases are written out.
const MAX_NODES: usize = 4_000_000;

/// Why a text is no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    /// It begins like JSON, and is neither JSON nor YAML.
    #[error("neither JSON nor YAML: {0}")]
    Json(#[source] serde_json::Error),
    /// It is not YAML.
    #[error("not YAML: {0}")]
    Yaml(#[source] Box<ScanError>),
    /// Aliases make it too large.
    #[error("more than {MAX_NODES} values, with its aliases written out")]
    TooLarge,
    /// There is nothing in it.
    #[error("the document is empty")]
    Empty,
}

/// Reads JSON or YAML.
///
/// # Errors
/// It is neither.
pub fn parse_document(bytes: &[u8]) -> Result<Value, DocumentError> {
    let text = std::str::from_utf8(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Err(DocumentError::Empty),
        // Flow collections of YAML begin in the same way.
        Some('{' | '[') => {
            serde_json::from_str(text).or_else(|error| yaml(text).map_err(|_| DocumentError::Json(error)))
        }
        Some(_) => yaml(text),
    }
}

/// A collection that is being filled.
enum Open {
    List(Vec<Value>),
    /// The members so far, and the key that waits for its value.
    Map(Map<String, Value>, Option<Key>),
}

enum Key {
    Name(String),
    /// `<<`: the value's members become members here, unless they are there already.
    Merge,
}

struct Builder {
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
    root: Option<Value>,
}

fn yaml(text: &str) -> Result<Value, DocumentError> {
    let mut builder = Builder { open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| DocumentError::Yaml(Box::new(error)))?;
        match event {
            Event::Scalar(text, style, anchor, tag) => builder.scalar(text, style, anchor, tag.as_deref())?,
            Event::SequenceStart(_, anchor, _) => builder.open.push((Open::List(Vec::new()), anchor)),
            Event::MappingStart(_, anchor, _) => builder.open.push((Open::Map(Map::new(), None), anchor)),
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(id) => builder.alias(id)?,
            // Only the first document counts.
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    builder.root.ok_or(DocumentError::Empty)
}

impl Builder {
    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), DocumentError> {
        let plain = style == ScalarStyle::Plain && tag.is_none();
        if let Some((Open::Map(_, key @ None), _)) = self.open.last_mut() {
            if anchor > 0 {
                self.anchors.insert(anchor, (Value::String(text.clone().into_owned()), 1));
            }
            *key = Some(if plain && text == "<<" { Key::Merge } else { Key::Name(text.into_owned()) });
            return Ok(());
        }
        let is_text = tag.is_some_and(|tag| tag.suffix() == "str" || tag.suffix() == "binary");
        let value = if style == ScalarStyle::Plain && !is_text {
            plain_scalar(text)
        } else {
            Value::String(text.into_owned())
        };
        self.add(value, anchor, 1)
    }

    fn alias(&mut self, id: usize) -> Result<(), DocumentError> {
        let (value, nodes) = self.anchors.get(&id).cloned().unwrap_or((Value::Null, 1));
        if let Some((Open::Map(_, key @ None), _)) = self.open.last_mut() {
            *key = Some(Key::Name(match value {
                Value::String(text) => text,
                other => other.to_string(),
            }));
            return Ok(());
        }
        self.add(value, 0, nodes)
    }

    fn close(&mut self) -> Result<(), DocumentError> {
        let Some((open, anchor)) = self.open.pop() else { return Ok(()) };
        let value = match open {
            Open::List(items) => Value::Array(items),
            Open::Map(members, _) => Value::Object(members),
        };
        // A key that is a collection has no name in JSON; its text has to do.
        if let Some((Open::Map(_, key @ None), _)) = self.open.last_mut() {
            *key = Some(Key::Name(value.to_string()));
            return Ok(());
        }
        self.add(value, anchor, 1)
    }

    fn add(&mut self, value: Value, anchor: usize, nodes: usize) -> Result<(), DocumentError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(DocumentError::TooLarge);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), count(&value)));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map(members, key), _)) => match key.take() {
                Some(Key::Name(name)) => {
                    members.insert(name, value);
                }
                Some(Key::Merge) => merge(members, value),
                None => {}
            },
        }
        Ok(())
    }
}

fn merge(members: &mut Map<String, Value>, value: Value) {
    match value {
        Value::Object(more) => more.into_iter().for_each(|(name, value)| {
            members.entry(name).or_insert(value);
        }),
        Value::Array(items) => items.into_iter().for_each(|item| merge(members, item)),
        _ => {}
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// What a scalar without quotes stands for. Dates, `yes` and numbers with leading zeros (postal
/// codes, mostly) stay text.
fn plain_scalar(text: Cow<'_, str>) -> Value {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(&text).map_or_else(|| Value::String(text.into_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    let leading_zero = unsigned.len() > 1
        && unsigned.starts_with('0')
        && unsigned.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if leading_zero
        || !unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    Number::from_f64(text.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_give_the_same_tree_in_the_order_of_the_text() {
        let yaml = "b: 1\na: [x, 'y', \"z\"]\nc: {d: null, e: ~, f: }\n200: ok\n";
        let json = r#"{"b": 1, "a": ["x", "y", "z"], "c": {"d": null, "e": null, "f": null}, "200": "ok"}"#;
        let (yaml, json) =
            (parse_document(yaml.as_bytes()).unwrap(), parse_document(json.as_bytes()).unwrap());
        assert_eq!(yaml.to_string(), json.to_string());
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let text = "[yes, no, on, 0777, 1_000, 0x1F, 0o17, -5, +5, 1.5, 1e3, .5, 2020-01-01, 1.2.3, '5', !!str 5, \
                    18446744073709551615, .inf, True]";
        let wanted = json!([
            "yes",
            "no",
            "on",
            "0777",
            "1_000",
            31,
            15,
            -5,
            5,
            1.5,
            1000.0,
            0.5,
            "2020-01-01",
            "1.2.3",
            "5",
            "5",
            18_446_744_073_709_551_615_u64,
            ".inf",
            true
        ]);
        assert_eq!(parse_document(format!("- {text}").as_bytes()).unwrap(), json!([wanted]));
    }

    #[test]
    fn anchors_merge_keys_and_repeated_keys() {
        let text = "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nsame: *b\ntwice: 1\ntwice: 2\n";
        let wanted =
            json!({"base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}, "same": {"x": 1, "y": 2}, "twice": 2});
        assert_eq!(parse_document(text.as_bytes()).unwrap(), wanted);
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for n in 1..10 {
            let list = vec![format!("*a{}", n - 1); 10].join(",");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert!(matches!(parse_document(text.as_bytes()), Err(DocumentError::TooLarge)));
    }

    #[test]
    fn what_is_no_document_is_an_error_that_says_where() {
        assert!(matches!(parse_document(b" \n"), Err(DocumentError::Empty)));
        assert!(matches!(parse_document(b"\xff"), Err(DocumentError::Utf8(_))));
        assert!(parse_document(b"{\"a\": }}").unwrap_err().to_string().contains("line 1"));
        assert!(matches!(parse_document(b"a: [1"), Err(DocumentError::Yaml(_))));
    }
}
