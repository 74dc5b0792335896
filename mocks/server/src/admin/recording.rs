//! Calls that are recorded, and the certificate that clients of the proxy are to trust.

use api_mock_engine::Request;
use api_mock_recorder::{CallProblem, Wanted, address_of_call};
use http::header::{CONTENT_DISPOSITION, HOST, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode, Uri};

use super::Asked;
use crate::problem::Problem;
use crate::recording::Recording;
use crate::reply::{self, Reply, ReplyBody, text_of};
use crate::rim::Rim;

const PEM: HeaderValue = HeaderValue::from_static("application/x-pem-file");
const FILE: HeaderValue = HeaderValue::from_static("attachment; filename=\"api-mock-service-ca.pem\"");

/// `/_proxy` with `X-Mock-Url`: calls that address with this request's method, headers and body, and records it, unless
/// the mode or the request itself says otherwise.
pub(super) async fn call(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let Recording { recorder, mode, .. } = recording(rim)?;
    let headers = &asked.head.headers;
    let url = text_of(headers, "x-mock-url").or_else(|| text_of(headers, "mock-url"));
    let url = url.ok_or_else(|| Problem::bad_request("X-Mock-Url must say which address to call"))?;
    let problem = |problem: CallProblem| Problem::new(problem.status(), problem.to_string());
    let url = address_of_call(url).map_err(problem)?;
    let wanted = Wanted::of_call(*mode, headers);
    let played = if wanted.plays { rim.play(elsewhere(&url, &asked), &url, &wanted).await } else { None };
    let mut reply = match played {
        Some(played) => played,
        None => {
            let called = recorder.call(url, asked.head.clone(), asked.body, wanted.records).await;
            called.map_err(problem)?.map(ReplyBody::Passing)
        }
    };
    // Who may read this answer, and what a browser keeps of it, is not for that service to say.
    let theirs = |name: &HeaderName| *name == SET_COOKIE || name.as_str().starts_with("access-control-");
    let unwanted: Vec<HeaderName> = reply.headers().keys().filter(|name| theirs(name)).cloned().collect();
    for name in unwanted {
        reply.headers_mut().remove(name);
    }
    Ok(reply)
}

/// The request as the scenarios would see it at that address.
fn elsewhere(url: &Uri, asked: &Asked<'_>) -> Request {
    let mut headers = asked.head.headers.clone();
    if let Some(host) = url.authority().and_then(|host| host.as_str().parse().ok()) {
        headers.insert(HOST, host);
    }
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    Request::new(asked.head.method.clone(), target, headers, asked.body.clone())
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
