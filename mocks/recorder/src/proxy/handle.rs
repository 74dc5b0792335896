//! What becomes of a request: the admin API, played back, forwarded, recorded.

use std::sync::Arc;

use api_mock_engine::{Answer, REQUEST_COUNT, Refusal};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::{Inside, Shared, tunnel};
use crate::body::{self, Body, Collected};
use crate::headers;
use crate::options::Mode;
use crate::recorder::{CallProblem, Source, upwards};
use crate::slow;

/// What is left of a slow body after this long comes at once.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(300);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Answers any request.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    inside: Option<Inside>,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.method() == Method::CONNECT && inside.is_none() {
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

/// What a request wants, by the mode and its own headers.
struct Wanted {
    plays: bool,
    only_plays: bool,
    records: bool,
}

impl Wanted {
    fn of(mode: Mode, head: &HeaderMap) -> Wanted {
        let said = headers::first(head, &headers::RECORD).map(|said| said.trim().to_ascii_lowercase());
        let is_forced = said.as_deref() == Some("true");
        let is_forbidden = said.as_deref() == Some("false");
        Wanted {
            plays: mode.plays() && !is_forced,
            only_plays: mode == Mode::Playback && !is_forced,
            records: (mode.records() || is_forced) && !is_forbidden,
        }
    }
}

async fn exchange(
    shared: &Arc<Shared>,
    mut head: Parts,
    body: Incoming,
) -> Result<Response<Body>, CallProblem> {
    let wanted = Wanted::of(shared.config.mode, &head.headers);
    let recorder = &shared.recorder;
    let timeouts = &shared.config.timeouts;
    if head.version != Version::HTTP_2 && is_upgrade(&head.headers) && !wanted.only_plays {
        return switch(shared, head).await;
    }
    // Calls of gRPC go on while they are answered: they can be neither held back nor replayed.
    let is_grpc = headers::is_grpc(&head.headers);
    let records = wanted.records && !is_grpc;
    let source = if wanted.plays && !is_grpc {
        match body::collect(body, recorder.options.max_matched_bytes, timeouts.body).await {
            Collected::Whole(bytes) => {
                if let Some(played) = play(shared, &mut head, &bytes, wanted.only_plays).await {
                    return Ok(played);
                }
                Source::Whole(bytes)
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
    Ok(recorder.forward(&recorder.upstream, head, source, records, timeouts.stream).await?)
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
    let mut answered = recorder.engine.answer(&request);
    let path = head.uri.path();
    if matches!(answered, Err(Refusal::NoMatch { .. })) && recorder.queue.settled(&head.method, path).await {
        // What was just being written may be for this request.
        answered = recorder.engine.answer(&request);
    }
    head.headers = request.headers;
    match answered {
        Ok(answer) => {
            if !answer.wait.is_zero() {
                Box::pin(tokio::time::sleep(answer.wait)).await;
            }
            Some(played(answer, head.method == Method::HEAD))
        }
        Err(Refusal::NoMatch { .. }) if !only => None,
        Err(refusal) => Some(json(refusal.status(), &refusal.to_json())),
    }
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

fn is_upgrade(headers: &HeaderMap) -> bool {
    let says = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut words = says.flat_map(|value| value.split(','));
    headers.contains_key(UPGRADE) && words.any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// A request for another protocol, WebSocket mostly: passed on, and not recorded.
async fn switch(shared: &Arc<Shared>, mut head: Parts) -> Result<Response<Body>, CallProblem> {
    let client = head.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let protocol = head.headers.get(UPGRADE).cloned();
    let mut head = upwards(head, false);
    let both_ways = |headers: &mut HeaderMap, protocol: &HeaderValue| {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    };
    if let Some(protocol) = &protocol {
        both_ways(&mut head.headers, protocol);
    }
    let request = Request::from_parts(head, body::whole(Bytes::new()));
    let answer = shared.recorder.upstream.call(request, true).await?;
    let protocol = answer.headers().get(UPGRADE).cloned();
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut head, body) = answer.into_parts();
        headers::remove_hop_by_hop(&mut head.headers);
        let idle = shared.config.timeouts.stream;
        let body = body::Passing::body(Bytes::new(), body, body::Tap::Nothing, idle);
        return Ok(Response::from_parts(head, body));
    }
    let mut response = Response::new(body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    headers::remove_hop_by_hop(response.headers_mut());
    if let Some(protocol) = &protocol {
        both_ways(response.headers_mut(), protocol);
    }
    if let Some(client) = client {
        tunnel::switched(shared, client, answer);
    }
    Ok(response)
}

fn problem(status: StatusCode, message: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "message": message }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(body::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
