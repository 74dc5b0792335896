//! What an exchange looks like as a scenario.

use std::borrow::Cow;

use api_mock_scenario::{
    ABSENT, Contents, OTHER_PARAMETERS, Pairs, Scenario, Status, group_of, literal, literal_path, method,
    normalized_path, recorded_name, valid_name,
};
use bytes::Bytes;
use http::HeaderName;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE};
use sha2::{Digest, Sha256};

use super::form::Form;
use super::redact::is_form;
use super::{Exchange, pattern_of};
use crate::headers;
use crate::options::{BodyMatch, FileOptions};

/// Longer texts are matched by their digest: their patterns would be unreadable, and slow.
const EXACT_BYTES: usize = 8 << 10;

/// A scenario that was recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// The scenario.
    pub scenario: Scenario,
    /// The name and bytes of the fixture that its body is in, if that is large.
    pub fixture: Option<(String, Bytes)>,
    /// Whether the client chose the name, and so may replace what has it.
    pub is_named: bool,
}

/// Why an exchange cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecordable {
    /// Scenarios are for the usual methods.
    #[error("scenarios cannot have this method")]
    Method,
    /// Parts `.` and `..`, control characters, and paths over 4 KiB.
    #[error("scenarios cannot have this path")]
    Path,
    /// An answer of another kind than 200 to 599.
    #[error("scenarios cannot have this status")]
    Status,
}

/// The scenario of an exchange: the same one for the same exchange, always.
///
/// ```
/// use api_mock_recorder::{Exchange, FileOptions, recording};
/// let mut exchange = Exchange { url: "https://api.example/v1/todos/2?page=1".parse()?, ..Exchange::default() };
/// exchange.headers.insert("authorization", http::HeaderValue::from_static("Bearer sk_test"));
/// exchange.answer_body = "{\"id\": 2}".into();
/// let scenario = recording(&exchange, &FileOptions::default())?.scenario;
/// assert!(scenario.name.starts_with("recorded-v1-todos-2-"));
/// assert_eq!(scenario.request.match_query_params.get("page"), Some("^1$"));
/// assert_eq!(scenario.request.example_headers.get("Authorization"), Some("Bearer [redacted]"));
/// assert_eq!(scenario.response.match_contents, r#"{"id":"(__number__[+-]?[0-9]{1,10})"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why there is none.
pub fn recording(exchange: &Exchange, options: &FileOptions) -> Result<Recording, NotRecordable> {
    let method = method(exchange.method.as_str()).ok_or(NotRecordable::Method)?;
    if !(200..600).contains(&exchange.status.as_u16()) {
        return Err(NotRecordable::Status);
    }
    let target = exchange.url.path_and_query().map_or("/", |target| target.as_str());
    // Taken apart as a playback will take it apart.
    let asked =
        api_mock_engine::Request::new(exchange.method.clone(), target, http::HeaderMap::new(), Bytes::new());
    let path = path(&asked.path).ok_or(NotRecordable::Path)?;
    // Braces would make directives of what came from outside.
    let group = group_of(&path).replace(['{', '}'], "");
    let mut scenario = Scenario { method, group, path, ..Scenario::default() };
    scenario.description = literal(&format!("recorded for {}", shown_url(exchange, options)));
    add_query(&mut scenario, &asked.query, options);
    add_request(&mut scenario, exchange, options);
    let fixture = add_answer(&mut scenario, exchange, options);
    let said = headers::first(&exchange.headers, &headers::SCENARIO).and_then(valid_name);
    let is_named = said.is_some();
    scenario.name = said.unwrap_or_else(|| name(&scenario));
    no_other_query(&mut scenario, &asked.query, options);
    Ok(Recording { scenario, fixture, is_named })
}

/// A path that means exactly this text.
fn path(decoded: &str) -> Option<String> {
    let mut path = literal_path(decoded);
    // White space at the end of a file's path is none.
    let trimmed = path.trim_end().len();
    if trimmed < path.len() {
        let encoded: String = path[trimmed..].bytes().map(|byte| format!("%{byte:02X}")).collect();
        path.truncate(trimmed);
        path.push_str(&encoded);
    }
    normalized_path(&path).filter(|path| !path.contains("{{"))
}

/// A digest of everything that could tell two answers to the same request apart.
fn name(scenario: &Scenario) -> String {
    let mut whole = scenario.clone();
    if let Some(status) = scenario.response.status_code.fixed().filter(|status| *status != 200) {
        whole.request.match_contents.push_str(&status.to_string());
    }
    for (name, value) in scenario.request.match_headers.iter().filter(|(name, _)| *name != "Content-Type") {
        whole.request.match_contents.push_str(&format!("{name}{value}"));
    }
    recorded_name(&whole)
}

/// The address without what is secret in it.
fn shown_url(exchange: &Exchange, options: &FileOptions) -> String {
    let url = &exchange.url;
    let host = url.authority().map_or("", |host| host.as_str().rsplit('@').next().unwrap_or_default());
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let query = options.redaction.addresses(&query);
    format!("{}://{host}{}{query}", url.scheme_str().unwrap_or("http"), url.path())
}

fn add_query(scenario: &mut Scenario, query: &[(String, String)], options: &FileOptions) {
    let mut examples = Pairs::default();
    let mut rules = Vec::new();
    for (name, value) in query {
        if examples.get(&literal(name)).is_some() {
            continue;
        }
        let is_secret = options.redaction.is_secret_parameter(name);
        let value_kept = if is_secret { super::REDACTED } else { value };
        examples.set(literal(name), literal(value_kept));
        if !is_secret && can_be_named(name) && options.match_query.include(name) {
            // What is missing would be as good as what is empty.
            let present = if value.is_empty() { "__present__" } else { "" };
            rules.push((name.clone(), format!("{present}{}", exactly(value))));
        }
    }
    rules.sort();
    scenario.request.match_query_params = rules.into_iter().collect();
    scenario.request.example_query_params = examples;
}

/// Whether a rule can be about the parameter of this name: braces would be a directive, and a star means others.
fn can_be_named(name: &str) -> bool {
    !name.contains("{{") && name != OTHER_PARAMETERS
}

/// Another query is another request. What is not compared, because it is secret, may be any; where only some names are compared, others are
/// never looked at.
fn no_other_query(scenario: &mut Scenario, query: &[(String, String)], options: &FileOptions) {
    // What cannot be named cannot be excepted.
    if !options.match_query.includes_all() || query.iter().any(|(name, _)| !can_be_named(name)) {
        return;
    }
    let rules = &mut scenario.request.match_query_params;
    for (name, _) in query {
        if rules.get(name).is_none() {
            rules.set(name.as_str(), "__present__");
        }
    }
    rules.set(OTHER_PARAMETERS, ABSENT);
}

/// An expression for this text and no other.
fn exactly(text: &str) -> String {
    format!("^{}$", escaped(text))
}

fn escaped(text: &str) -> String {
    // Two underlines may begin a type tag.
    regex::escape(text).replace("__", "_[_]")
}

fn add_request(scenario: &mut Scenario, exchange: &Exchange, options: &FileOptions) {
    let content_type = headers::first(&exchange.headers, &CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let mut rules = Vec::new();
    if !media_type.is_empty() {
        rules.push(("Content-Type".to_owned(), regex::escape(media_type)));
    }
    let mut examples: Vec<(String, String)> = Vec::new();
    let mut names: Vec<&HeaderName> = exchange.headers.keys().filter(|name| is_example(name)).collect();
    names.sort_by_key(|name| name.as_str());
    let body = exchange.body.as_ref().filter(|body| !body.is_empty());
    let form = body.and_then(|body| Form::of(content_type, body, options));
    for name in names {
        let values = exchange.headers.get_all(name).iter().map(headers::text);
        let values = values.map(|value| options.redaction.header(name, &value).into_owned());
        let values: Vec<String> = match &form {
            Some(form) => values.map(|value| form.header(name, value)).collect(),
            None => values.collect(),
        };
        // What is no text cannot be compared with one.
        let is_text = headers::is_text(&exchange.headers, name);
        let is_rule = is_text && (*name == RANGE || options.match_headers.include(name.as_str()));
        // Nor can what is secret, or has a secret in it.
        let is_secret = exchange.headers.get(name).is_some_and(|value| {
            matches!(options.redaction.header(name, &headers::text(value)), Cow::Owned(_))
        });
        if let (true, false, Some(first)) = (is_rule, is_secret, values.first()) {
            rules.push((headers::written(name), exactly(first)));
        }
        examples.push((headers::written(name), literal(&values.join(", "))));
    }
    let request = &mut scenario.request;
    request.match_headers = rules.into_iter().collect();
    request.example_headers = examples.into_iter().collect();
    let Some(body) = body else { return };
    if let Some(form) = form {
        let example = form.example(&options.redaction).filter(|text| text.len() <= options.fixture_bytes);
        request.example_contents = example.map(|text| literal(&text)).unwrap_or_default();
        request.match_contents = form.rule;
        return;
    }
    // One that breaks off, or has no boundary: neither does it look the same each time, nor is known what is secret in it.
    if media_type.to_ascii_lowercase().starts_with("multipart/") {
        return;
    }
    let kept = options.redaction.body(content_type, body);
    if let Ok(text) = std::str::from_utf8(&kept)
        && text.len() <= options.fixture_bytes
    {
        request.example_contents = literal(text);
    }
    let is_exact = options.match_body == BodyMatch::Exact;
    request.match_contents = match pattern_of(body) {
        Some(pattern) if !is_exact || *kept != **body => literal(&pattern),
        _ if *kept == **body => one_body(body),
        _ => text_pattern(content_type, body, &kept),
    };
}

/// The pattern of a body with secrets, which may be any. The empty one fits any body.
fn text_pattern(content_type: &str, body: &[u8], kept: &[u8]) -> String {
    let Some(text) = std::str::from_utf8(body).ok().filter(|_| is_short_text(body)) else {
        // A digest would tell the secret to those who guess.
        return String::new();
    };
    let kept = String::from_utf8_lossy(kept);
    if !is_form(content_type) {
        let parts: Vec<String> = kept.split(super::REDACTED).map(escaped).collect();
        let pattern = format!("^{}$", parts.join(".*"));
        // Of a number it cannot be seen that it was another one.
        let fits = regex::Regex::new(&pattern).is_ok_and(|regex| regex.is_match(text));
        return if fits { pattern } else { String::new() };
    }
    let pairs = kept.split('&').map(|pair| match pair.strip_suffix(super::REDACTED) {
        Some(name) => format!("{}[^&]*", escaped(name)),
        None => escaped(pair),
    });
    format!("^{}$", pairs.collect::<Vec<_>>().join("&"))
}

/// Text that is compared as it is.
fn is_short_text(body: &[u8]) -> bool {
    body.len() <= EXACT_BYTES && !body.contains(&0) && std::str::from_utf8(body).is_ok()
}

/// The pattern that fits this body and no other.
pub(super) fn one_body(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if is_short_text(body) => exactly(text),
        _ => format!("__sha256__{}", hex(&Sha256::digest(body))),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_example(name: &HeaderName) -> bool {
    let of_each_request = [HOST, CONTENT_LENGTH, ACCEPT_ENCODING].contains(name);
    headers::is_recorded(name) && !of_each_request
}

fn add_answer(
    scenario: &mut Scenario,
    exchange: &Exchange,
    options: &FileOptions,
) -> Option<(String, Bytes)> {
    let response = &mut scenario.response;
    response.status_code = Status::Fixed(exchange.status.as_u16());
    let mut names: Vec<&HeaderName> =
        exchange.answer_headers.keys().filter(|name| headers::is_recorded(name)).collect();
    names.sort_by_key(|name| name.as_str());
    for name in names {
        for value in exchange.answer_headers.get_all(name) {
            let value = headers::text(value);
            response.headers.add(headers::written(name), literal(&options.redaction.header(name, &value)));
        }
    }
    let content_type = headers::first(&exchange.answer_headers, &CONTENT_TYPE).unwrap_or_default();
    let body = match options.redaction.body(content_type, &exchange.answer_body) {
        Cow::Borrowed(_) => exchange.answer_body.clone(),
        Cow::Owned(body) => body.into(),
    };
    response.match_contents = pattern_of(&body).map(|pattern| literal(&pattern)).unwrap_or_default();
    if body.len() <= options.fixture_bytes {
        response.contents = Contents::Literal(body);
        return None;
    }
    let name = format!("recorded-{}", hex(Sha256::digest(&body).get(..16).unwrap_or_default()));
    response.contents_file = name.clone();
    Some((name, body))
}
