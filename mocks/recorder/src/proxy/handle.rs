//! What becomes of a request: the admin API, played back, forwarded, recorded.

use std::sync::Arc;

use api_mock_engine::{Answer, REQUEST_COUNT, Refusal};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;

use super::{Inside, ProxyConfig, Shared, disturb, tunnel, upgrade};
use crate::body::{self, Body, Collected};
use crate::headers;
use crate::recorder::{CallProblem, Recorder, Source};
use crate::slow;
use crate::wanted::Wanted;

/// What is left of a slow body after this long comes at once.
pub(super) const LONGEST: std::time::Duration = std::time::Duration::from_secs(300);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Answers any request.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    inside: Option<Inside>,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.method() == Method::CONNECT && upgrade::protocol_of(&request).is_none() {
        if inside.is_some() {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "there is no tunnel inside of a tunnel");
        }
        return connect(shared, request).await;
    }
    if shared.local.is_local(request.method(), request.uri().path()) && !is_of_a_page(&request) {
        return shared.local.answer(request).await;
    }
    let Some(target) = target(inside, request.uri()) else {
        let message = "this is a proxy: use it as one (curl -x), or ask the other port";
        return problem(StatusCode::BAD_REQUEST, message);
    };
    let (mut head, body) = request.into_parts();
    head.uri = target;
    match exchange(shared, head, body).await {
        Ok(answer) => answer,
        Err(error) => problem(error.status(), &error.to_string()),
    }
}

/// Whether a web page asks, rather than a person or a program: pages of the hosts behind the proxy have no business with
/// the admin API.
fn is_of_a_page(request: &Request<Incoming>) -> bool {
    let is_said = request.headers().get(SEC_FETCH_SITE).is_some_and(|site| site.as_bytes() != b"none");
    let is_here = request.uri().authority().is_none_or(|host| {
        let host = host.host().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    is_said && !is_here
}

/// The whole address of a request.
fn target(inside: Option<Inside>, uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    if let Some(Inside { scheme, authority }) = inside {
        // A default port is not said.
        let port = authority.port_u16();
        let is_default = port == Some(if scheme == Scheme::HTTPS { 443 } else { 80 });
        let short = if is_default { authority.host().parse().ok() } else { None };
        parts.authority = Some(short.unwrap_or(authority));
        parts.scheme = Some(scheme);
    } else if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return None;
    }
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).ok()
}

/// Begins a tunnel.
async fn connect(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let target: Option<Authority> = request.uri().authority().cloned();
    let Some(target) = target.filter(|target| target.port_u16().is_some() && !target.as_str().contains('@'))
    else {
        return problem(StatusCode::BAD_REQUEST, "CONNECT wants a host and a port");
    };
    let host = target.host().trim_matches(['[', ']']);
    if shared.config.leaves_alone(host) {
        match shared.recorder.upstream.dial(host, target.port_u16().unwrap_or(443)).await {
            Ok(upstream) => tunnel::untouched(shared, request, upstream),
            Err(error) => return problem(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    } else {
        tunnel::intercepted(shared, request, target);
    }
    Response::new(body::whole(Bytes::new()))
}

/// Whether a request is only passed on, whatever it says.
fn is_left_alone(config: &ProxyConfig, head: &Parts) -> bool {
    config.leaves_alone(head.uri.host().unwrap_or_default().trim_matches(['[', ']']))
}

async fn exchange(
    shared: &Arc<Shared>,
    mut head: Parts,
    body: Incoming,
) -> Result<Response<Body>, CallProblem> {
    let is_left_alone = is_left_alone(&shared.config, &head);
    let wanted =
        if is_left_alone { Wanted::PASSED_ON } else { Wanted::of(shared.config.mode, &head.headers) };
    let recorder = &shared.recorder;
    let timeouts = &shared.config.timeouts;
    if upgrade::is_wanted(&head) {
        return match play_only(shared, &mut head, &wanted).await {
            Some(played) => Ok(played),
            None => upgrade::pass_on(shared, head).await,
        };
    }
    // Calls of gRPC go on while they are answered: they can be neither held back nor replayed.
    let is_grpc = headers::is_grpc(&head.headers);
    let records = wanted.records && !is_grpc;
    let has_body = !http_body::Body::is_end_stream(&body);
    let source = if wanted.plays && !is_grpc && is_body_needed(shared, &head, has_body, &wanted).await {
        let kept = recorder.kept(recorder.options.max_matched_bytes);
        match body::collect(body, kept, timeouts.body).await {
            Collected::Whole(bytes, kept) => {
                if let Some(played) = play(shared, &mut head, &bytes, wanted.only_plays).await {
                    return Ok(played);
                }
                Source::Kept(bytes, kept)
            }
            Collected::More(bytes, rest) => Source::Stream(bytes, rest),
            Collected::Failed => {
                return Err(CallProblem::new(StatusCode::BAD_REQUEST, "the body cannot be read"));
            }
            Collected::TooSlow => {
                return Err(CallProblem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
            }
        }
    } else {
        Source::Stream(Bytes::new(), body)
    };
    if wanted.only_plays {
        return Err(CallProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large to be matched"));
    }
    let known = match &source {
        Source::Kept(bytes, _) => bytes.clone(),
        _ => Bytes::new(),
    };
    let plan = match disturb::plan_of(&recorder.engine, &mut head, known) {
        _ if is_left_alone => None,
        Ok(plan) => plan,
        Err(refusal) => return Ok(json(refusal.status(), &refusal.to_json())),
    };
    let asked = recorder.forward(&recorder.upstream, head, source, records, timeouts.stream);
    let Some(plan) = plan else { return Ok(asked.await?) };
    shared.local.disturbed(&plan);
    let asked = Box::pin(async { Ok(asked.await?) });
    Ok(disturb::disturbed(*plan, asked, recorder.options.max_matched_bytes).await)
}

/// Whether a scenario can be chosen, or refused, only by those who know the body. What nobody is for is not held back.
async fn is_body_needed(shared: &Shared, head: &Parts, has_body: bool, wanted: &Wanted) -> bool {
    if wanted.only_plays || !has_body {
        return true;
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let request = api_mock_engine::Request::new(head.method.clone(), target, HeaderMap::new(), Bytes::new());
    let recorder = &shared.recorder;
    recorder.engine.may_answer(&request)
        || recorder.queue.settled(&head.method, head.uri.path()).await && recorder.engine.may_answer(&request)
}

/// The answer to a request for another protocol where nothing but playback is wanted.
async fn play_only(shared: &Shared, head: &mut Parts, wanted: &Wanted) -> Option<Response<Body>> {
    if wanted.only_plays { play(shared, head, &Bytes::new(), true).await } else { None }
}

/// The answer of a scenario; `None` if no one is for this request, unless nothing else is wanted.
async fn play(shared: &Shared, head: &mut Parts, body: &Bytes, only: bool) -> Option<Response<Body>> {
    let recorder = &shared.recorder;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = api_mock_engine::Request::new(
        head.method.clone(),
        target,
        std::mem::take(&mut head.headers),
        body.clone(),
    );
    let named = !request.headers.contains_key(HOST);
    if let (true, Some(host)) = (named, head.uri.authority().and_then(|host| host.as_str().parse().ok())) {
        request.headers.insert(HOST, host);
    }
    let answered = match shared.local.refusal(&request, &head.uri) {
        // Nobody but a scenario would answer.
        Some(refusal) if only => Some(Err(refusal)),
        refusal => match (matched(recorder, &request, head.uri.path()).await, refusal) {
            // The service itself may know better.
            (Err(Refusal::NoMatch { .. }), _) if !only => None,
            (_, Some(refusal)) => Some(Err(refusal)),
            (answered, None) => Some(answered),
        },
    };
    let Some(mut answered) = answered else {
        head.headers = request.headers;
        return None;
    };
    shared.local.played(&request, &mut answered);
    head.headers = request.headers;
    match answered {
        Ok(answer) => {
            if !answer.wait.is_zero() {
                Box::pin(tokio::time::sleep(answer.wait)).await;
            }
            Some(played(answer, head.method == Method::HEAD))
        }
        Err(Refusal::Invalid(invalid)) => {
            let mut response = Response::new(body::whole(invalid.body));
            (*response.status_mut(), *response.headers_mut()) = (invalid.status, invalid.headers);
            Some(response)
        }
        Err(refusal) => Some(json(refusal.status(), &refusal.to_json())),
    }
}

/// What the scenarios say; those that are just being written, too.
async fn matched(
    recorder: &Recorder,
    request: &api_mock_engine::Request,
    path: &str,
) -> Result<Answer, Refusal> {
    let answered = recorder.engine.answer(request);
    let is_missed = matches!(answered, Err(Refusal::NoMatch { .. }));
    if is_missed && recorder.queue.settled(&request.method, path).await {
        return recorder.engine.answer(request);
    }
    answered
}

fn played(answer: Answer, is_head: bool) -> Response<Body> {
    let length = answer.body.len();
    let no_body = is_head || matches!(answer.status.as_u16(), 204 | 205 | 304);
    let bytes = if no_body { Bytes::new() } else { answer.body };
    let spoilable = if answer.fault.is_some() { bytes.clone() } else { Bytes::new() };
    let mut response = Response::new(body::whole(bytes));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    for (name, value) in answer.headers.iter() {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(REQUEST_COUNT, HeaderValue::from(answer.count));
    if is_head && length > 0 {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(plan) = answer.fault.as_deref() {
        slow::spoil(plan, &mut response, spoilable, LONGEST);
    }
    response
}

pub(super) fn problem(status: StatusCode, message: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "message": message }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(body::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
