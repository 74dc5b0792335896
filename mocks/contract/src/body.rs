//! Bodies of requests.

use serde_json::{Map, Value as Json};

use crate::make::{Draw, Maker, plain, sample};

/// How a body is made.
#[derive(Debug)]
pub(crate) enum BodyPlan {
    None,
    Text(Maker),
    Json(Node),
}

/// A JSON value of which parts are made anew each time.
#[derive(Debug)]
pub(crate) enum Node {
    Fixed(Json),
    Made(Maker),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

/// Deeper patterns are taken as they are.
const DEPTH: usize = 64;
/// The largest place in a list that a pattern may name.
const PLACES: usize = 100;

impl BodyPlan {
    /// The body of a scenario. `examples` prefers its example to its patterns.
    pub(crate) fn new(example: &str, patterns: &str, examples: bool) -> BodyPlan {
        if examples && !example.trim().is_empty() {
            return BodyPlan::Text(Maker::of_text(example));
        }
        let sample = sample(example).and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let sample = sample.filter(|sample| sample.is_object() || sample.is_array());
        let rules = plain(patterns).and_then(|text| serde_json::from_str::<Map<String, Json>>(&text).ok());
        match (rules, sample) {
            (Some(rules), sample) if !rules.is_empty() => BodyPlan::Json(overlaid(sample, rules)),
            // What is drawn anew each time is no fixed value.
            _ if plain(example).is_none() => BodyPlan::Text(Maker::of_text(example)),
            (_, Some(sample)) => BodyPlan::Json(Node::of(sample, 0)),
            (Some(_), None) if example.trim().is_empty() => BodyPlan::None,
            (None, None) if example.trim().is_empty() && !patterns.trim().is_empty() => {
                BodyPlan::Text(Maker::of_pattern(patterns))
            }
            _ if example.is_empty() => BodyPlan::None,
            _ => BodyPlan::Text(Maker::of_example(example)),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        match self {
            BodyPlan::Json(_) => true,
            BodyPlan::Text(Maker::Fixed(text)) => text.trim_start().starts_with(['{', '[']),
            _ => false,
        }
    }

    pub(crate) fn make(&self, draw: &mut Draw) -> Result<Vec<u8>, String> {
        match self {
            BodyPlan::None => Ok(Vec::new()),
            BodyPlan::Text(maker @ Maker::Template(_)) => Ok(on_one_line(&maker.text(draw)?).into_bytes()),
            BodyPlan::Text(maker) => maker.text(draw).map(String::into_bytes),
            BodyPlan::Json(node) => {
                let value = node.make(draw)?;
                serde_json::to_vec(&value).map_err(|error| error.to_string())
            }
        }
    }
}

/// JSON without its line breaks, so that it fits into a line for a shell; what is no JSON stays as it is.
fn on_one_line(text: &str) -> String {
    if !text.trim_start().starts_with(['{', '[']) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len());
    let (mut in_text, mut is_escaped, mut is_begin) = (false, false, true);
    for c in text.chars() {
        if !in_text && (matches!(c, '\n' | '\r') || is_begin && matches!(c, ' ' | '\t')) {
            is_begin = true;
            continue;
        }
        is_begin = false;
        if c == '"' && !is_escaped {
            in_text = !in_text;
        }
        is_escaped = in_text && c == '\\' && !is_escaped;
        line.push(c);
    }
    line
}

/// The sample with its parts replaced by what patterns make; parts that it has not are added.
fn overlaid(sample: Option<Json>, rules: Map<String, Json>) -> Node {
    let mut root = Node::of(sample.unwrap_or_else(|| Json::Object(Map::new())), 0);
    for (key, rule) in rules {
        if rule.is_null() {
            continue;
        }
        let node = Node::of_rule(rule, 0);
        let place = key.strip_prefix("$.").or_else(|| key.strip_prefix('$')).unwrap_or(&key);
        if !root.replace(place, &node) {
            root.add(place, node);
        }
    }
    root
}

impl Clone for Node {
    fn clone(&self) -> Self {
        match self {
            Node::Fixed(value) => Node::Fixed(value.clone()),
            Node::Made(maker) => Node::Made(maker.again()),
            Node::Object(members) => Node::Object(members.clone()),
            Node::Array(items) => Node::Array(items.clone()),
        }
    }
}

impl Maker {
    fn again(&self) -> Maker {
        match self {
            Maker::Fixed(text) => Maker::Fixed(text.clone()),
            Maker::Template(template) => Maker::Template(template.clone()),
            Maker::Pattern(pattern, kind) => Maker::Pattern(pattern.clone(), *kind),
            Maker::Sentence => Maker::Sentence,
        }
    }
}

impl Node {
    /// Of an example, in which strings may be patterns.
    fn of(value: Json, depth: usize) -> Node {
        match value {
            Json::Object(members) if depth < DEPTH => Node::Object(
                members.into_iter().map(|(key, value)| (key, Node::of(value, depth + 1))).collect(),
            ),
            Json::Array(items) if depth < DEPTH => {
                Node::Array(items.into_iter().map(|value| Node::of(value, depth + 1)).collect())
            }
            Json::String(text) => match Maker::of_example(&text) {
                Maker::Fixed(text) => Node::Fixed(Json::String(text)),
                maker => Node::Made(maker),
            },
            value => Node::Fixed(value),
        }
    }

    /// Of a rule: a pattern, or an object of them.
    fn of_rule(value: Json, depth: usize) -> Node {
        match value {
            Json::Object(members) if depth < DEPTH => Node::Object(
                members.into_iter().map(|(key, value)| (key, Node::of_rule(value, depth + 1))).collect(),
            ),
            Json::Array(items) if depth < DEPTH => {
                Node::Array(items.into_iter().map(|value| Node::of_rule(value, depth + 1)).collect())
            }
            Json::String(text) => Node::Made(Maker::of_pattern(&text)),
            value => Node::Fixed(value),
        }
    }

    /// Puts a node wherever a flattened key leads to; lists add nothing to a key. Tells whether that was anywhere.
    fn replace(&mut self, key: &str, with: &Node) -> bool {
        match self {
            // A null may stay: nobody said what else it could be.
            Node::Fixed(Json::Null) if key.is_empty() => true,
            Node::Fixed(_) | Node::Made(_) if key.is_empty() => {
                *self = with.clone();
                true
            }
            Node::Array(items) => match place_in(key) {
                Some((at, rest)) => items.get_mut(at).is_some_and(|item| item.replace(rest, with)),
                None => items.iter_mut().filter_map(|item| item.replace(key, with).then_some(())).count() > 0,
            },
            Node::Object(members) => members.iter_mut().fold(false, |found, (name, node)| {
                let rest = key.strip_prefix(name.as_str()).and_then(|rest| match rest.as_bytes().first() {
                    None | Some(b'[') => Some(rest),
                    Some(b'.') => rest.get(1..),
                    Some(_) => None,
                });
                rest.is_some_and(|rest| node.replace(rest, with)) || found
            }),
            _ => false,
        }
    }

    /// Makes the place that a key names.
    fn add(&mut self, key: &str, node: Node) {
        if let Some((at, rest)) = place_in(key) {
            if !matches!(self, Node::Array(_)) {
                *self = Node::Array(Vec::new());
            }
            let Node::Array(items) = self else { return };
            while items.len() <= at {
                items.push(Node::Object(Vec::new()));
            }
            return match (items.get_mut(at), rest) {
                (Some(item), "") => *item = node,
                (Some(item), rest) => item.add(rest, node),
                _ => {}
            };
        }
        let end = key.find(['.', '[']).unwrap_or(key.len());
        let (name, rest) = key.split_at(end);
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Node::Array(items) = self {
            if items.is_empty() {
                items.push(Node::Object(Vec::new()));
            }
            return items.iter_mut().for_each(|item| item.add(key, node.clone()));
        }
        let Node::Object(members) = self else { return };
        if rest.is_empty() {
            members.push((name.to_owned(), node));
            return;
        }
        let at = members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            members.push((name.to_owned(), Node::Object(Vec::new())));
            members.len() - 1
        });
        if let Some((_, member)) = members.get_mut(at) {
            member.add(rest, node);
        }
    }

    fn make(&self, draw: &mut Draw) -> Result<Json, String> {
        Ok(match self {
            Node::Fixed(value) => value.clone(),
            Node::Made(maker) => maker.json(draw)?,
            Node::Object(members) => {
                let mut made = Map::new();
                for (key, node) in members {
                    made.insert(key.clone(), node.make(draw)?);
                }
                Json::Object(made)
            }
            Node::Array(items) => {
                Json::Array(items.iter().map(|node| node.make(draw)).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// `[3].x` is 3 and `x`; `[*]` is the first.
fn place_in(key: &str) -> Option<(usize, &str)> {
    let (number, rest) = key.strip_prefix('[')?.split_once(']')?;
    let at = if number == "*" { 0 } else { number.parse().ok()? };
    (at < PLACES).then(|| (at, rest.strip_prefix('.').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use api_mock_datagen::Rng;
    use api_mock_template::Value;
    use api_mock_template::time::CivilTime;

    use super::*;

    fn made(example: &str, patterns: &str) -> Json {
        let now = CivilTime::from_unix(0, 0, 0, "UTC");
        let mut draw = Draw { rng: Rng::seeded(3), data: Value::Nil, now };
        let body = BodyPlan::new(example, patterns, false).make(&mut draw).unwrap();
        serde_json::from_slice(&body).unwrap_or(Json::Null)
    }

    #[test]
    fn defect_l15_bodies_are_nested_and_typed() {
        let patterns = r#"{"id":"__number__[7]{2}","owner.name":"__string__[x]{3}","owner.is":"__boolean__(true)","tags[1].n":"__number__5"}"#;
        let body = made("", patterns);
        assert_eq!(
            body,
            serde_json::json!({"id": 77, "owner": {"name": "xxx", "is": true}, "tags": [{}, {"n": 5}]})
        );
    }

    #[test]
    fn patterns_fill_the_shape_of_the_example() {
        let example =
            r#"{"id": 1, "items": [{"n": 1, "k": "keep"}, {"n": 2}], "a.b": "dotted", "none": null}"#;
        let body = made(example, r#"{"items.n":"__number__9","a.b":"y","none":"z","new.x":"w"}"#);
        let wanted = serde_json::json!({
            "id": 1, "items": [{"n": 9, "k": "keep"}, {"n": 9}], "a.b": "y", "none": null, "new": {"x": "w"}
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn templates_of_bodies_are_rendered_onto_one_line() {
        let now = CivilTime::from_unix(0, 0, 0, "UTC");
        let mut draw = Draw { rng: Rng::seeded(3), data: Value::Nil, now };
        let template = "{\n  \"a\": [\n    {{RandNumMinMax 5 6}}\n  ],\n  \"b\": \"x\\\" \\n\n  y\"\n}";
        let body = BodyPlan::new(template, "", true).make(&mut draw).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), "{\"a\": [5],\"b\": \"x\\\" \\n\n  y\"}");
        // Patterns put their values into what the template makes.
        let template = "{\"a\": [{{RandNumMinMax 5 6}}], \"b\": \"{{RandName}}\"}";
        let body = BodyPlan::new(template, r#"{"b":"__string__z"}"#, false).make(&mut draw).unwrap();
        assert_eq!(body, br#"{"a":[5],"b":"z"}"#);
    }

    #[test]
    fn nothing_to_send_is_no_body() {
        assert!(matches!(BodyPlan::new("", "{}", false), BodyPlan::None));
        assert!(matches!(BodyPlan::new("", "", false), BodyPlan::None));
        assert_eq!(made(r#"{"a": "__number__[4]"}"#, "{}"), serde_json::json!({"a": 4}));
    }
}
