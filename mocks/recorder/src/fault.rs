//! What faults make of answers, whatever body these have.

use api_mock_engine::{FaultEffects, FaultPlan};
use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

/// The answer of a fault in place of a service that is not asked; a bare one where the connection is spoilt.
#[must_use]
pub fn answer_of_fault(plan: &FaultPlan) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    let rule = plan.injected.first().map_or("", |fault| &fault.rule);
    if let Some(replacement) = &plan.before.replacement {
        let (status, headers, body) = replacement.whole(rule);
        *answer.status_mut() = status;
        for (name, value) in headers {
            answer.headers_mut().append(name, value);
        }
        *answer.body_mut() = body;
    }
    answer
}

/// Replaces of an answer's head what a fault replaces; its body is for the caller to replace with what comes back.
pub fn replace_head<B>(effects: &FaultEffects, answer: &mut Response<B>) -> Option<Bytes> {
    let replacement = effects.replacement.as_ref()?;
    if let Some(status) = replacement.status {
        *answer.status_mut() = status;
    }
    let headers = answer.headers_mut();
    for (name, _) in &replacement.headers {
        headers.remove(name);
    }
    for (name, value) in &replacement.headers {
        headers.append(name.clone(), value.clone());
    }
    let contents = replacement.contents.clone()?;
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
    Some(contents)
}
