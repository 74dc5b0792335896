//! Bodies of requests.

use serde_json::Value;

use super::{RequestParts, RequestViolation, body_violation, decode, pairs};
use crate::schema::{Direction, Violation};
use crate::spec::{Api, Media, Operation, essence, media_fits};

pub(super) fn check(
    api: &Api,
    operation: &Operation,
    request: &RequestParts<'_>,
    violations: &mut Vec<RequestViolation>,
) {
    let Some(body) = &operation.body else { return };
    if request.body.is_empty() {
        if body.required {
            violations.push(body_violation("is missing"));
        }
        return;
    }
    let sent = request.header("content-type").unwrap_or_default();
    // An exact name goes before a range.
    let mut fitting: Vec<&Media> =
        body.content.iter().filter(|media| media_fits(&media.name, sent)).collect();
    fitting.sort_by_key(|media| media.name.contains('*'));
    let Some(media) = fitting.first() else {
        let names: Vec<&str> = body.content.iter().map(|media| media.name.as_str()).collect();
        let sent = if sent.is_empty() { "of no content type" } else { sent };
        violations.push(body_violation(format!("is {sent}, not {}", names.join(" or "))));
        return;
    };
    let Some(schema) = media.schema else { return };
    let value = match value(api, media, sent, request.body, schema) {
        Ok(Some(value)) => value,
        Ok(None) => return,
        Err(what) => {
            violations.push(body_violation(what));
            return;
        }
    };
    for Violation { at, what } in api.schemas.validate(schema, &value, Direction::Request) {
        violations.push(RequestViolation { part: "body", name: String::new(), at, what });
    }
}

/// The body as a value; `None` if its media type has none that could be checked.
fn value(
    api: &Api,
    media: &Media,
    sent: &str,
    body: &[u8],
    schema: crate::schema::SchemaId,
) -> Result<Option<Value>, String> {
    let sent = essence(sent);
    if crate::spec::is_json(&sent) || (sent.is_empty() && media.is_json()) {
        return serde_json::from_slice(body).map(Some).map_err(|error| format!("is not JSON: {error}"));
    }
    if sent == "application/x-www-form-urlencoded" {
        let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8".to_owned())?;
        return Ok(Some(decode::object(&api.schemas, schema, pairs(text))));
    }
    if sent == "text/plain" {
        return Ok(std::str::from_utf8(body).ok().map(Value::from));
    }
    Ok(None)
}
