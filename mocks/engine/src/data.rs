//! What templates know of a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_mock_matcher::Request;
use api_mock_scenario::{Scenario, directives, path_variables};
use api_mock_template::{Functions, Map, Value};

use crate::needs::Needs;

/// The variable with the count of uses.
const COUNT: &str = "_RequestCount";

/// Words of the language, which are no variables.
const KEYWORDS: [&str; 14] = [
    "if", "else", "end", "range", "with", "define", "block", "template", "break", "continue", "nil", "true",
    "false", COUNT,
];

/// Which variables a scenario can ask for.
#[derive(Debug)]
pub(crate) struct Variables {
    count: Arc<str>,
    /// The path's variables, in order.
    path: Vec<Arc<str>>,
    /// The scenario's own patterns for query parameters stand in for those that are missing.
    defaults: Vec<(Arc<str>, Value)>,
    /// Headers that its directives may mean: as they are written there, and in small letters.
    headers: Vec<(Arc<str>, String)>,
    /// Fields of the body that its directives may mean.
    fields: BTreeSet<Arc<str>>,
    /// Its directives may mean any field.
    all_fields: bool,
    /// And any header.
    all_headers: bool,
}

impl Variables {
    pub(crate) fn new(scenario: &Scenario, text: &str, functions: &Functions) -> Self {
        let path: Vec<Arc<str>> = path_variables(&scenario.path).into_iter().map(Arc::from).collect();
        let Needs { words, all_fields, all_headers } =
            Needs::of(directives(text).into_iter().filter_map(|at| text.get(at)));
        // A number, a function or a word of the language is not what a body is looked up for.
        let is_name = |word: &&str| {
            !KEYWORDS.contains(word)
                && functions.get(word).is_none()
                && !word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        };
        let names: BTreeSet<&str> = words.into_iter().filter(is_name).collect();
        let is_canonical = |word: &str| {
            let mut parts = word.split('-');
            parts.all(|part| {
                part.starts_with(|c: char| c.is_ascii_uppercase())
                    && !part.chars().skip(1).any(char::is_uppercase)
            })
        };
        let headers = names.iter().filter(|word| is_canonical(word));
        let defaults = scenario.request.query_patterns();
        Variables {
            count: COUNT.into(),
            defaults: defaults.map(|(name, text)| (name.into(), text.into())).collect(),
            headers: headers.map(|word| (Arc::from(*word), word.to_ascii_lowercase())).collect(),
            fields: names
                .into_iter()
                .filter(|word| !path.iter().any(|name| **name == **word))
                .map(Arc::from)
                .collect(),
            path,
            all_fields,
            all_headers,
        }
    }

    /// The data for one rendering. Of one name in several places, the first of these counts: path,
    /// query, form, headers, body, the scenario's patterns, the variables of its group.
    pub(crate) fn data(
        &self,
        request: &Request,
        values: &[&str],
        count: u64,
        max_body: usize,
        group: &[(Arc<str>, Value)],
    ) -> Value {
        let mut entries: Vec<(Arc<str>, Value)> = [group, &self.defaults].concat();
        let sees_body = (self.all_fields || !self.fields.is_empty())
            && !request.body.is_empty()
            && request.body.len() <= max_body;
        if sees_body {
            self.add_body(request, &mut entries);
        }
        if self.all_headers {
            let all = request.headers.keys();
            entries.extend(
                all.filter_map(|name| Some((canonical(name.as_str()), request.header(name)?.into()))),
            );
        }
        for (name, lower) in &self.headers {
            if let Some(value) = request.header(lower) {
                entries.push((name.clone(), value.into()));
            }
        }
        if sees_body {
            self.add_form(request, &mut entries);
        }
        // The first value of several counts, and the last entry of several.
        entries.extend(
            request.query.iter().rev().map(|(name, value)| (name.as_str().into(), value.as_str().into())),
        );
        entries.extend(self.path.iter().zip(values).map(|(name, value)| (name.clone(), (*value).into())));
        entries.push((self.count.clone(), count.into()));
        entries.into_iter().collect::<Map>().into()
    }

    /// The name of a field that directives may mean.
    fn wanted(&self, name: &str) -> Option<Arc<str>> {
        self.fields.get(name).cloned().or_else(|| self.all_fields.then(|| name.into()))
    }

    fn add_body(&self, request: &Request, entries: &mut Vec<(Arc<str>, Value)>) {
        if request.body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return;
        }
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(&request.body) else { return };
        for (name, value) in fields {
            if let Some(name) = self.wanted(&name) {
                entries.push((name, Value::from(value)));
            }
        }
    }

    fn add_form(&self, request: &Request, entries: &mut Vec<(Arc<str>, Value)>) {
        let is_form = request.header("content-type").is_some_and(|value| {
            value.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
        });
        let Some(body) = std::str::from_utf8(&request.body).ok().filter(|_| is_form) else { return };
        let form = Request::new(
            http::Method::POST,
            &format!("/?{body}"),
            http::HeaderMap::new(),
            bytes::Bytes::new(),
        );
        for (name, value) in form.query.into_iter().rev() {
            if let Some(name) = self.wanted(&name) {
                entries.push((name, value.into()));
            }
        }
    }
}

/// A header's name as templates write it: `user-agent` is `User-Agent`.
fn canonical(name: &str) -> Arc<str> {
    let mut is_first = true;
    let of = |c: char| {
        let written = if is_first { c.to_ascii_uppercase() } else { c };
        is_first = c == '-';
        written
    };
    name.chars().map(of).collect::<String>().into()
}
