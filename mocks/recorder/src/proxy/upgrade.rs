//! Requests for another protocol, WebSocket mostly: passed on, and not recorded.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::Protocol;

use super::{Shared, tunnel};
use crate::body::{self, Body, Passing, Tap};
use crate::headers;
use crate::recorder::{CallProblem, upwards};

/// The protocol that a CONNECT of HTTP/2 names (RFC 8441).
pub(super) fn protocol_of(request: &Request<Incoming>) -> Option<&Protocol> {
    request.extensions().get::<Protocol>()
}

/// Whether a request is for another protocol.
pub(super) fn is_wanted(head: &Parts) -> bool {
    head.extensions.get::<Protocol>().is_some()
        || head.version != Version::HTTP_2 && is_upgrade(&head.headers)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let says = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut words = says.flat_map(|value| value.split(','));
    headers.contains_key(UPGRADE) && words.any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// Asks the service for the protocol, and joins both sides if it agrees. Services are asked in HTTP/1.1, in which all
/// that speak WebSocket understand it, also for clients that ask in HTTP/2.
pub(super) async fn pass_on(shared: &Arc<Shared>, mut head: Parts) -> Result<Response<Body>, CallProblem> {
    let client = head.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let named = head.extensions.remove::<Protocol>();
    let is_h2 = named.is_some();
    let protocol = match named {
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => {
            head.method = Method::GET;
            head.headers.insert(SEC_WEBSOCKET_KEY, websocket_key()?);
            Some(HeaderValue::from_static("websocket"))
        }
        Some(_) => {
            let what = "of the protocols over HTTP/2, only WebSocket is passed on";
            return Err(CallProblem::new(StatusCode::NOT_IMPLEMENTED, what));
        }
        None => head.headers.get(UPGRADE).cloned(),
    };
    let mut head = upwards(head, false);
    if let Some(protocol) = &protocol {
        ask_for(&mut head.headers, protocol);
    }
    let request = Request::from_parts(head, body::whole(Bytes::new()));
    let answer = shared.recorder.upstream.call(request, true).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return refused(shared, answer, is_h2);
    }
    let mut response = Response::new(body::whole(Bytes::new()));
    *response.headers_mut() = answer.headers().clone();
    headers::remove_hop_by_hop(response.headers_mut());
    if is_h2 {
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        if let Some(protocol) = answer.headers().get(UPGRADE) {
            ask_for(response.headers_mut(), protocol);
        }
    }
    if let Some(client) = client {
        tunnel::switched(shared, client, answer);
    }
    Ok(response)
}

fn ask_for(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// The service answers with something else.
fn refused(shared: &Shared, answer: Response<Incoming>, is_h2: bool) -> Result<Response<Body>, CallProblem> {
    if is_h2 && answer.status().is_success() {
        // In HTTP/2 any success would mean that it agreed.
        return Err(CallProblem::new(StatusCode::BAD_GATEWAY, "the service does not speak WebSocket there"));
    }
    let (mut head, body) = answer.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    let body = Passing::body(Bytes::new(), body, Tap::Nothing, shared.config.timeouts.stream);
    Ok(Response::from_parts(head, body))
}

/// Only tells answers of caches from others; HTTP/2 has none.
fn websocket_key() -> Result<HeaderValue, CallProblem> {
    let half = || RandomState::new().hash_one(0_u8).to_be_bytes();
    let key = BASE64_STANDARD.encode([half(), half()].concat());
    key.parse().map_err(|_| CallProblem::new(StatusCode::INTERNAL_SERVER_ERROR, "no key for WebSocket"))
}
