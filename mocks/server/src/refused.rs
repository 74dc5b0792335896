//! Refusals in the shape that the specification gives them.

use api_mock_openapi::{Api, Direction, Media, Operation, Response, SchemaId};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::reply::{self, Reply};

/// What is wrong, where the body has no room for it.
const VIOLATIONS: HeaderName = HeaderName::from_static("x-mock-violations");
/// So much of it.
const MOST_TOLD: usize = 1000;
/// Members that are there to tell people something.
const FOR_PEOPLE: [&str; 6] = ["message", "detail", "description", "error", "reason", "title"];

/// A refusal with a body of our own, or, if the specification says what its body is like and ours is not so, with a
/// valid one that holds as much of ours as is allowed.
pub(crate) fn reply(api: &Api, operation: &Operation, status: StatusCode, own: Value) -> Reply {
    let status = documented_status(operation, status);
    let wanted =
        documented(operation, status).and_then(|response| response.content.iter().find(|one| one.is_json()));
    let Some((media, schema)) = wanted.and_then(|media| Some((media, media.schema?))) else {
        return reply::json(status, &own);
    };
    let body = if is_valid(api, schema, &own) { Some(own.clone()) } else { valid(api, schema, &own) };
    let Some(body) = body else { return reply::json(status, &own) };
    let mut reply = reply::json(status, &body);
    if let Some(content_type) = content_type(media) {
        reply.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    if body.get("violations") != own.get("violations")
        && let Some(told) = told(&own)
    {
        reply.headers_mut().insert(VIOLATIONS, told);
    }
    reply
}

/// Some services say 422 where others say 400, 403 where others say 401, and 400 where others say 415.
fn documented_status(operation: &Operation, status: StatusCode) -> StatusCode {
    let other = match status {
        StatusCode::BAD_REQUEST => StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
        _ => return status,
    };
    let is_other = documented(operation, status).is_none()
        && operation.responses.iter().any(|response| response.status == other.as_str());
    if is_other { other } else { status }
}

fn documented(operation: &Operation, status: StatusCode) -> Option<&Response> {
    let told = |wanted: &str| operation.responses.iter().find(|response| response.status == wanted);
    let range = format!("{}XX", status.as_u16() / 100);
    told(status.as_str()).or_else(|| told(&range)).or_else(|| told("default"))
}

fn is_valid(api: &Api, schema: SchemaId, value: &Value) -> bool {
    api.schemas.validate(schema, value, Direction::Response).is_empty()
}

/// A valid body that says what ours does, as far as it may.
fn valid(api: &Api, schema: SchemaId, own: &Value) -> Option<Value> {
    let mut best = api.example(schema, Direction::Response, 0).ok()?;
    let Some(members) = own.as_object().filter(|_| best.is_object()) else { return Some(best) };
    for name in FOR_PEOPLE {
        let mut next = best.clone();
        match next.get_mut(name).filter(|value| value.is_string()) {
            Some(value) => *value = own["message"].clone(),
            None => continue,
        }
        if is_valid(api, schema, &next) {
            best = next;
        }
    }
    let mut all = best.clone();
    if let Some(all) = all.as_object_mut() {
        for (name, value) in members {
            all.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }
    Some(if is_valid(api, schema, &all) { all } else { best })
}

fn content_type(media: &Media) -> Option<HeaderValue> {
    let name = if media.name.contains('*') { "application/json" } else { media.name.as_str() };
    HeaderValue::from_str(name).ok()
}

/// On one line, of characters that a header may have.
fn told(own: &Value) -> Option<HeaderValue> {
    let message = own["message"].as_str()?;
    let plain = message.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    HeaderValue::from_str(&plain.take(MOST_TOLD).collect::<String>()).ok()
}
