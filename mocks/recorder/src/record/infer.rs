//! Patterns from the values of a JSON body: what a request or an answer of this shape looks like.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::Shape;

const BOOLEAN: &str = "__boolean__(false|true)";
const INTEGER: &str = "__number__[+-]?[0-9]{1,10}";
const NUMBER: &str = r"__number__[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10}))";
const EMPTY: &str = "__string__[a-z]{0,10}";
/// Longer patterns say nothing to a reader.
const LONGEST_PATTERN: usize = 128;
/// Bodies with more places than this have no pattern.
const MOST_KEYS: usize = 2_000;
/// As many values of a place are looked at; a list of thousands says no more than its first ones.
const MOST_VALUES: usize = 1_000;

/// The pattern of a body: a JSON object that says for each place, its names joined by points, what
/// its values look like. `None` if the body is no JSON object or list, or too large to say.
///
/// ```
/// use api_mock_recorder::pattern_of;
/// let pattern = pattern_of(br#"{"id": 7, "title": "illo", "tags": [{"n": "a"}, {"n": ""}]}"#).unwrap();
/// assert_eq!(
///     pattern,
///     r#"{"id":"(__number__[+-]?[0-9]{1,10})","tags.n":"(__string__\\w+|__string__[a-z]{0,10})","title":"(__string__\\w+)"}"#
/// );
/// ```
#[must_use]
pub fn pattern_of(body: &[u8]) -> Option<String> {
    if !matches!(body.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'[')) {
        return None;
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut places = BTreeMap::new();
    walk(&value, "", &mut places).ok()?;
    let named = places.into_iter().filter(|(key, _)| is_place(key));
    let patterns: BTreeMap<String, String> =
        named.map(|(key, values)| (key, alternatives(&values))).collect();
    serde_json::to_string(&patterns).ok()
}

/// Names that a matcher would take for exact places, or cannot tell apart, are left out.
fn is_place(key: &str) -> bool {
    !(key.is_empty() || key.contains('[') || key.starts_with('$'))
}

struct TooMany;

fn walk<'v>(
    value: &'v Value,
    key: &str,
    places: &mut BTreeMap<String, Vec<&'v Value>>,
) -> Result<(), TooMany> {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                walk(value, &inner, places)?;
            }
        }
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, key, places))?,
        scalar => {
            if places.len() >= MOST_KEYS && !places.contains_key(key) {
                return Err(TooMany);
            }
            let values = places.entry(key.to_owned()).or_default();
            if values.len() >= MOST_VALUES {
                return Err(TooMany);
            }
            values.push(scalar);
        }
    }
    Ok(())
}

/// What all values of a place look like, each way once, in brackets.
fn alternatives(values: &[&Value]) -> String {
    let mut patterns: Vec<Cow<'static, str>> = Vec::new();
    for value in values {
        let pattern = pattern(value);
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    // Each value fits its own pattern, so all fit the alternatives.
    let joined = format!("({})", patterns.join("|"));
    if joined.len() <= LONGEST_PATTERN {
        return joined;
    }
    let is_anything = |value: &&Value| value.as_str().is_none_or(is_any);
    if values.iter().all(is_anything) { "(.+)" } else { "(.*)" }.to_owned()
}

fn pattern(value: &Value) -> Cow<'static, str> {
    match value {
        Value::Bool(_) => BOOLEAN.into(),
        Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|n| n.fract() != 0.0) => {
            NUMBER.into()
        }
        Value::Number(_) => INTEGER.into(),
        Value::String(text) if text.is_empty() => EMPTY.into(),
        Value::String(text) => of_text(text),
        Value::Null | Value::Array(_) | Value::Object(_) => ".+".into(),
    }
}

/// The shape of a text, if it is one that the text itself fits: a pattern that the recorded values do not fit would keep
/// the recording from being played back.
fn of_text(text: &str) -> Cow<'static, str> {
    let shape = Shape::of(text);
    if !shape.is_mixed() {
        let pattern = format!("__string__{shape}");
        if pattern.len() <= LONGEST_PATTERN && shape.is_in(text) {
            return pattern.into();
        }
    }
    if is_any(text) { ".+" } else { ".*" }.into()
}

/// Whether `.+` finds something: all but the ends of lines.
fn is_any(text: &str) -> bool {
    text.contains(|c| c != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, texts: &[String]) -> bool {
        let plain = ["__string__", "__number__", "__boolean__"]
            .iter()
            .fold(pattern.to_owned(), |pattern, tag| pattern.replace(tag, ""));
        regex::Regex::new(&plain).is_ok_and(|regex| texts.iter().all(|text| regex.is_match(text)))
    }

    fn one(value: &str) -> String {
        let body = format!("{{\"x\":{value}}}");
        let pattern: BTreeMap<String, String> =
            serde_json::from_str(&pattern_of(body.as_bytes()).unwrap()).unwrap();
        pattern["x"].clone()
    }

    #[test]
    fn shapes_of_values() {
        for (value, wanted) in [
            ("true", "(__boolean__(false|true))"),
            ("12", "(__number__[+-]?[0-9]{1,10})"),
            ("12.0", "(__number__[+-]?[0-9]{1,10})"),
            ("1.5", r"(__number__[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10})))"),
            ("\"illo\"", r"(__string__\w+)"),
            ("\"two words\"", r"(__string__\w+)"),
            ("\"2022-10-29\"", "(__string__[0-9]{4,4}[-][0-9]{2,2}[-][0-9]{2,2})"),
            ("\"john.smith@abc.com\"", r"(__string__\w+.?\w+@\w+.?\w+)"),
            ("\"-12.50\"", r"(__string__[+-]?[0-9]{2,2}\.[0-9]{2,2})"),
            ("\"fe49b338-4593\"", "(.+)"),
        ] {
            assert_eq!(one(value), wanted, "{value}");
        }
    }

    #[test]
    fn lists_give_alternatives_each_once() {
        let body =
            br#"[{"date":"2022-10-29","price":1.5},{"date":"soon","price":3},{"date":"later","price":2.5}]"#;
        let pattern: BTreeMap<String, String> = serde_json::from_str(&pattern_of(body).unwrap()).unwrap();
        assert_eq!(pattern["date"], r"(__string__[0-9]{4,4}[-][0-9]{2,2}[-][0-9]{2,2}|__string__\w+)");
        assert_eq!(
            pattern["price"],
            r"(__number__[+-]?(([0-9]{1,10}(\.[0-9]{1,5})?)|(\.[0-9]{1,10}))|__number__[+-]?[0-9]{1,10})"
        );
    }

    #[test]
    fn defect_l16_every_value_fits_its_own_pattern() {
        for text in [
            "",
            " ",
            "*/*",
            "(",
            "a)",
            "[x",
            "a|b",
            "50%",
            "#1",
            "$5",
            "a*",
            "?",
            "+",
            "\\",
            "^a$",
            "\n",
            "\n\n",
            "日本",
            "é-1",
            "1.2.3",
            "-",
            "--1",
            ".",
            "..",
            "{{x}}",
            "{",
            "a{2}",
            "1-",
            "%d",
            "/",
            "a/b c-d!-e",
            "!-!",
            "__string__x",
            "\u{0}",
            "x y-z ",
        ] {
            let json = serde_json::to_string(text).unwrap();
            let pattern = one(&json);
            assert!(fits(&pattern, &[text.to_owned()]), "{text:?}: {pattern}");
            // With others in a list, too.
            let listed = one(&format!("[{json}, 1, \"word\", true, \"\"]"));
            assert!(fits(
                &listed,
                &[text.to_owned(), "1".into(), "word".into(), "true".into(), String::new()]
            ));
        }
        assert_eq!(one("\"*/*\""), r"(__string__\*/\*)");
        assert_eq!(one("\"\""), "(__string__[a-z]{0,10})");
    }

    #[test]
    fn what_has_no_pattern() {
        for body in ["", "x=1", "{", "\"text\"", "7", "null"] {
            assert_eq!(pattern_of(body.as_bytes()), None, "{body}");
        }
        assert_eq!(pattern_of(b"{}").as_deref(), Some("{}"));
        assert_eq!(pattern_of(br#"{"a":null,"$x":1,"b[0]":2,"":3}"#).as_deref(), Some("{}"));
    }
}
