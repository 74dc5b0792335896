//! Requests of a scenario: what can be worked out once is, the rest is drawn for each request.

use std::collections::BTreeMap;
use std::ops::Range;

use api_mock_datagen::text;
use api_mock_matcher::ValuePattern;
use api_mock_scenario::{Part, Scenario, path_parts};
use api_mock_template::{Map, Value};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::AnswerPlan;
use crate::body::BodyPlan;
use crate::make::{Draw, Maker, plain};
use crate::options::{Data, RunOptions};
use crate::source::Contract;
use crate::{parts, secret};

/// What stays as it is in paths and queries.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Headers that belong to the connection, or to a mock, and not to the request.
const NOT_SENT: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "proxy-connection",
    "proxy-authorization",
];

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) method: Method,
    /// Path and query, without the path of the base.
    pub(crate) target: String,
    /// Which bytes of the target are secrets.
    pub(crate) hidden: Vec<Range<usize>>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// What templates of the answer's rules see.
    pub(crate) data: Value,
}

/// A piece of a path.
#[derive(Debug)]
enum Piece {
    Text(String),
    Variable { name: String, maker: Maker, takes_rest: bool },
}

/// How requests of a scenario are made, and answers to them checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) path: String,
    /// Tells its requests from those of other scenarios, whatever else is in the run.
    pub(crate) salt: u64,
    pub(crate) method: Method,
    pub(crate) is_imported: bool,
    pieces: Vec<Piece>,
    query: Vec<(String, Maker)>,
    headers: Vec<(HeaderName, Maker)>,
    body: BodyPlan,
    given: Vec<(HeaderName, HeaderValue)>,
    extra: BTreeMap<String, String>,
    /// Whether the members of a body are to be the parts of a form.
    is_form_of_parts: bool,
    /// Whether templates or rules look at what else was drawn.
    pub(crate) wants_data: bool,
    pub(crate) answer: AnswerPlan,
}

impl Plan {
    pub(crate) fn new(contract: &Contract, options: &RunOptions) -> Plan {
        let scenario = &contract.scenario;
        let rules = &scenario.request;
        let examples = match options.data {
            Data::Auto => contract.is_imported,
            Data::Examples => true,
            Data::Patterns => false,
        };
        let example = |name: &str| match options.parameters.get(name) {
            Some(given) => Maker::Fixed(given.clone()),
            None => rules.example_path_params.get(name).map_or_else(|| of_variable(name), Maker::of_example),
        };
        let method = Method::from_bytes(scenario.method.as_bytes()).unwrap_or(Method::GET);
        let has_none = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
            || method == Method::DELETE && rules.example_contents.trim().is_empty();
        let body = if has_none {
            BodyPlan::None
        } else {
            BodyPlan::new(&rules.example_contents, &rules.match_contents, examples)
        };
        let mut headers = headers(contract);
        if !matches!(body, BodyPlan::None) && !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            let said = plain(&rules.match_content_type)
                .filter(|said| said.contains('/') && !said.contains(['\\', '(', '[', '^', '$']));
            let fallback = body.is_json().then(|| "application/json".to_owned());
            headers.extend(said.or(fallback).map(|said| (CONTENT_TYPE, Maker::Fixed(said))));
        }
        let is_form_of_parts = headers.iter().any(|(name, maker)| {
            matches!(maker, Maker::Fixed(value) if *name == CONTENT_TYPE && parts::are_meant(value))
        });
        let address = contract.address();
        let salt = fnv(address.as_bytes());
        Plan {
            salt,
            path: scenario.path.clone(),
            is_imported: contract.is_imported,
            method,
            pieces: pieces(&scenario.path, example),
            query: query(contract, options, examples),
            headers,
            body,
            is_form_of_parts,
            given: options.headers.clone(),
            extra: options.parameters.clone(),
            wants_data: has_templates(&contract.scenario),
            answer: AnswerPlan::new(contract, options.show_secrets),
            address,
        }
    }

    /// Draws a request.
    pub(crate) fn draw(&self, draw: &mut Draw, number: u64) -> Result<Prepared, String> {
        let mut data = Map::new();
        if self.wants_data {
            data = self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            data.insert("_RequestCount", number);
            draw.data = Value::from(data.clone());
        }
        let (mut target, mut hidden) = (String::new(), Vec::new());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => target.push_str(text),
                Piece::Variable { name, maker, takes_rest } => {
                    let value = variable(maker, draw)?;
                    let begin = target.len();
                    if *takes_rest {
                        let parts = value.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
                        let parts: Vec<String> = parts.map(encoded).collect();
                        target.push_str(&parts.join("/"));
                    } else {
                        target.extend(utf8_percent_encode(&value, PLAIN));
                    }
                    hidden.extend(secret::is_one(name).then_some(begin..target.len()));
                    if self.wants_data {
                        data.insert(name.as_str(), value);
                    }
                }
            }
        }
        if self.wants_data {
            draw.data = Value::from(data.clone());
        }
        let mut sign = '?';
        for (name, maker) in &self.query {
            let value = maker.text(draw)?;
            // `a&x=b` as the value of `x` is a list, written as in a query.
            let again = if value.contains('&') { format!("&{name}=") } else { "&".to_owned() };
            for value in value.split(again.as_str()) {
                target.push(std::mem::replace(&mut sign, '&'));
                target.extend(utf8_percent_encode(name, PLAIN));
                target.push('=');
                let begin = target.len();
                target.extend(utf8_percent_encode(value, PLAIN));
                hidden.extend(secret::is_one(name).then_some(begin..target.len()));
            }
            if self.wants_data {
                data.insert(name.as_str(), value);
            }
        }
        if self.wants_data {
            draw.data = Value::from(data);
        }
        let mut headers = Vec::with_capacity(self.headers.len() + self.given.len());
        for (name, maker) in &self.headers {
            if !self.given.iter().any(|(given, _)| given == name) {
                let value = maker.text(draw)?;
                let value = HeaderValue::from_bytes(value.trim().as_bytes())
                    .map_err(|_| format!("the header {name} cannot have the value that was made for it"))?;
                headers.push((name.clone(), value));
            }
        }
        headers.extend(self.given.iter().cloned());
        let mut body = self.body.make(draw)?;
        if self.is_form_of_parts
            && let Some((form, content_type)) = parts::written(&body, &mut draw.rng)
        {
            body = form;
            headers.iter_mut().filter(|(name, _)| *name == CONTENT_TYPE).for_each(|(_, value)| {
                value.clone_from(&content_type);
            });
        }
        let (method, data) = (self.method.clone(), draw.data.clone());
        Ok(Prepared { method, target, hidden, headers, body: body.into(), data })
    }
}

/// A path without its variable is another path, and so is one that climbs.
fn variable(maker: &Maker, draw: &mut Draw) -> Result<String, String> {
    let value = maker.text(draw)?;
    let is_none = value.is_empty() || matches!(value.as_str(), "." | "..");
    Ok(if is_none { text::word(&mut draw.rng).to_owned() } else { value })
}

/// Whether anything of a request is a template.
fn has_templates(scenario: &Scenario) -> bool {
    let rules = &scenario.request;
    let pairs = [
        &rules.example_path_params,
        &rules.example_query_params,
        &rules.example_headers,
        &rules.match_query_params,
        &rules.match_headers,
    ];
    let values = pairs.into_iter().flat_map(|pairs| pairs.iter().map(|(_, value)| value));
    let texts = [&rules.example_contents, &rules.match_contents, &rules.match_content_type];
    values.chain(texts.into_iter().map(String::as_str)).any(|text| text.contains("{{"))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// What a variable gets of which nothing is known but its name.
fn of_variable(name: &str) -> Maker {
    let lower = name.to_ascii_lowercase();
    let numeric = ["id", "no", "num", "number", "count", "page", "size", "year"];
    let is_numeric = numeric.iter().any(|ending| lower.ends_with(ending));
    Maker::of_pattern(if is_numeric { "[1-9][0-9]{0,3}" } else { r"\w+" })
}

fn pieces(path: &str, example: impl Fn(&str) -> Maker) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    for segment in path_parts(path) {
        text.push('/');
        for part in segment {
            let (name, takes_rest) = match part {
                Part::Literal(literal) => {
                    text.push_str(&encoded(&literal));
                    continue;
                }
                Part::Variable(name) => (name, false),
                Part::Rest(name) => (name, true),
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Variable { maker: example(&name), name, takes_rest });
        }
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(if text.is_empty() { "/".to_owned() } else { text }));
    }
    pieces
}

/// Parameters of the examples in their order, then those that only have patterns.
fn query(contract: &Contract, options: &RunOptions, examples: bool) -> Vec<(String, Maker)> {
    let rules = &contract.scenario.request;
    let mut query: Vec<(String, Maker)> = Vec::new();
    for (name, value) in rules.example_query_params.iter() {
        let pattern = rules.match_query_params.get(name).filter(|pattern| !pattern.is_empty() && !examples);
        let maker = pattern.map_or_else(|| Maker::of_example(value), Maker::of_pattern);
        query.push((name.to_owned(), maker));
    }
    for (name, pattern) in rules.query_patterns() {
        if rules.example_query_params.get(name).is_none() && !pattern.is_empty() {
            query.push((name.to_owned(), Maker::of_pattern(pattern)));
        }
    }
    for (name, maker) in &mut query {
        if let Some(given) = options.parameters.get(name) {
            *maker = Maker::Fixed(given.clone());
        }
    }
    query
}

/// Examples where they fit the pattern, else what the pattern makes.
fn headers(contract: &Contract) -> Vec<(HeaderName, Maker)> {
    let rules = &contract.scenario.request;
    let mut headers: Vec<(HeaderName, Maker)> = Vec::new();
    for (name, value) in rules.example_headers.iter() {
        let Some(name) = sendable(name) else { continue };
        headers.push((name, Maker::of_example(value)));
    }
    for (name, pattern) in rules.match_headers.iter() {
        let Some(name) = sendable(name).filter(|_| !pattern.is_empty()) else { continue };
        let matcher = ValuePattern::new(pattern);
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Maker::Fixed(value))) if matcher.matches(value) => {}
            // Who writes a template knows what it makes.
            Some((_, Maker::Template(_))) => {}
            Some((_, maker)) => *maker = Maker::of_pattern(pattern),
            // An empty value passes: nobody asks for this header.
            None if matcher.matches("") && name != CONTENT_TYPE => {}
            None => headers.push((name, Maker::of_pattern(pattern))),
        }
    }
    headers
}

fn sendable(name: &str) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let text = name.as_str();
    (!NOT_SENT.contains(&text) && !text.starts_with("x-mock-")).then_some(name)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
