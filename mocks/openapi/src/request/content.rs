//! Bodies, of requests and of answers.

use serde_json::{Value, json};

use super::{RequestViolation, body_violation, decode, multipart, pairs, xml};
use crate::schema::{Direction, SchemaId, Violation};
use crate::spec::{Api, Media, essence, is_json, is_xml, media_fits};

/// A body as it came.
#[derive(Clone, Copy)]
pub(super) struct Sent<'r> {
    /// Its content type; empty if it has none.
    pub(super) media: &'r str,
    pub(super) bytes: &'r [u8],
    pub(super) direction: Direction,
}

/// Checks a body against the media types that are allowed.
pub(super) fn check(api: &Api, allowed: &[Media], sent: Sent<'_>, violations: &mut Vec<RequestViolation>) {
    // An exact name goes before a range.
    let fitting = allowed.iter().filter(|media| media_fits(&media.name, sent.media));
    let Some(media) = fitting.min_by_key(|media| media.name.matches('*').count()) else {
        let names: Vec<&str> = allowed.iter().map(|media| media.name.as_str()).collect();
        let told: String = essence(sent.media).chars().take(100).collect();
        let told = if told.is_empty() { "of no content type".to_owned() } else { told };
        violations.push(RequestViolation {
            keyword: super::CONTENT_TYPE,
            expected: json!(names),
            ..body_violation(format!("is {told}, not {}", names.join(" or ")))
        });
        return;
    };
    let Some(schema) = media.schema else { return };
    let value = match value(api, media, sent, schema) {
        Ok(Some(value)) => value,
        Ok(None) => return,
        // Who takes anything does not look into it.
        Err(_) if media.name.contains('*') && !is_json(&essence(sent.media)) => return,
        Err(what) => {
            violations.push(RequestViolation {
                keyword: "syntax",
                expected: json!(essence(&media.name)),
                ..body_violation(what)
            });
            return;
        }
    };
    let found = api.schemas.validate(schema, &value, sent.direction);
    violations.extend(found.into_iter().map(|Violation { at, what, keyword, expected }| RequestViolation {
        at,
        keyword,
        expected,
        ..body_violation(what)
    }));
}

/// The body as a value; `None` if its media type has none that could be checked.
fn value(api: &Api, media: &Media, sent: Sent<'_>, schema: SchemaId) -> Result<Option<Value>, String> {
    let name = essence(sent.media);
    let text = || std::str::from_utf8(sent.bytes).map_err(|_| "is not UTF-8".to_owned());
    if is_json(&name) || (name.is_empty() && media.is_json()) {
        return serde_json::from_slice(sent.bytes).map(Some).map_err(|error| format!("is not JSON: {error}"));
    }
    if name == "application/x-www-form-urlencoded" {
        let mut form = decode::object(&api.schemas, schema, pairs(text()?));
        if let Value::Object(members) = &mut form {
            decode::add_empty_lists(&api.schemas, schema, members);
        }
        return Ok(Some(form));
    }
    if name == "multipart/form-data" {
        return form_with_files(api, sent, schema).map(Some);
    }
    if is_xml(&name) {
        return xml::value(&api.schemas, schema, text()?).map(Some);
    }
    // What a text says of itself is checked; bytes have nothing that could be.
    if name.starts_with("text/") {
        let text = text()?;
        let value = decode::scalar(&api.schemas, schema, text);
        return Ok(Some(value).filter(|_| decode::Kind::of(&api.schemas, schema) == decode::Kind::Scalar));
    }
    Ok(None)
}

fn form_with_files(api: &Api, sent: Sent<'_>, schema: SchemaId) -> Result<Value, String> {
    let fields = multipart::fields(sent.media, sent.bytes)?;
    let mut texts = Vec::new();
    let mut values = Vec::new();
    for field in fields {
        match field.json() {
            Some(Ok(value)) => values.push((field.name, value)),
            Some(Err(error)) => return Err(format!("is not JSON in one of its parts: {error}")),
            // Of files nothing but that they are there is looked at.
            None if field.is_file => texts.push((field.name.clone(), String::from("file"))),
            None => texts.push((field.name.clone(), field.text())),
        }
    }
    let mut object = decode::object(&api.schemas, schema, texts);
    if let Value::Object(members) = &mut object {
        members.extend(values);
        decode::add_empty_lists(&api.schemas, schema, members);
    }
    Ok(object)
}
