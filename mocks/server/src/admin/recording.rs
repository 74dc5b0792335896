//! Calls that are recorded, and the certificate that clients of the proxy are to trust.

use http::header::{CONTENT_DISPOSITION, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::Asked;
use crate::problem::Problem;
use crate::recording::Recording;
use crate::reply::{self, Reply, ReplyBody, text_of};
use crate::rim::Rim;

const PEM: HeaderValue = HeaderValue::from_static("application/x-pem-file");
const FILE: HeaderValue = HeaderValue::from_static("attachment; filename=\"api-mock-service-ca.pem\"");

/// `/_proxy` with `X-Mock-Url`: calls that address with this request's method, headers and body, and records it.
pub(super) async fn call(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let recorder = &recording(rim)?.recorder;
    let headers = &asked.head.headers;
    let url = text_of(headers, "x-mock-url").or_else(|| text_of(headers, "mock-url"));
    let url = url.ok_or_else(|| Problem::bad_request("X-Mock-Url must say which address to call"))?;
    let called = recorder.call(url, asked.head.clone(), asked.body).await;
    let answer = called.map_err(|problem| Problem::new(problem.status(), problem.to_string()))?;
    let mut reply = answer.map(ReplyBody::Passing);
    // Who may read this answer, and what a browser keeps of it, is not for that service to say.
    let theirs = |name: &HeaderName| *name == SET_COOKIE || name.as_str().starts_with("access-control-");
    let unwanted: Vec<HeaderName> = reply.headers().keys().filter(|name| theirs(name)).cloned().collect();
    for name in unwanted {
        reply.headers_mut().remove(name);
    }
    Ok(reply)
}

/// `GET /_ca`
pub(super) fn certificate(rim: &Rim) -> Result<Reply, Problem> {
    let pem = recording(rim)?.authority.certificate_pem().to_owned();
    let mut reply = reply::reply(StatusCode::OK, PEM, pem);
    reply.headers_mut().insert(CONTENT_DISPOSITION, FILE);
    Ok(reply)
}

fn recording(rim: &Rim) -> Result<&Recording, Problem> {
    rim.recording.as_ref().ok_or_else(|| Problem::not_found("this server does not record"))
}
