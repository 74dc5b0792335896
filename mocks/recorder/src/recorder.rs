//! Forwards requests and records what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::Engine;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, EXPECT, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, TE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::body::{self, Body, Passing, Plan, Sent, Tap};
use crate::headers;
use crate::options::RecorderOptions;
use crate::record::{Budget, Exchange, Kept, Queue};
use crate::upstream::{CallError, Upstream};

/// Why recording cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The thread that writes does not start.
    #[error("cannot start the thread that writes recordings")]
    Thread(#[from] std::io::Error),
    /// A client certificate is no good.
    #[error("the client certificate cannot be used")]
    Tls(#[from] rustls::Error),
}

/// Why a call to a service gave no answer. Its words are for clients.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallProblem {
    status: StatusCode,
    message: String,
}

impl CallProblem {
    /// What to answer: 400, 403, 502 or 504.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        CallProblem { status, message: message.into() }
    }
}

impl From<CallError> for CallProblem {
    fn from(error: CallError) -> Self {
        let status = match &error {
            CallError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            CallError::Failed(..) | CallError::Between => StatusCode::BAD_GATEWAY,
            CallError::Forbidden(_) => StatusCode::FORBIDDEN,
        };
        CallProblem::new(status, error.to_string())
    }
}

/// The body of a request that is forwarded.
pub(crate) enum Source {
    Whole(Bytes),
    /// As `Whole`, with what it occupies.
    Kept(Bytes, Kept),
    /// What was read of it, and what still comes.
    Stream(Bytes, Incoming),
}

/// Forwards requests to real services, and has what comes back recorded in the store of an engine.
pub struct Recorder {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: RecorderOptions,
    pub(crate) queue: Arc<Queue>,
    budget: Arc<Budget>,
    /// For the proxy: its clients reach all of this by themselves.
    pub(crate) upstream: Upstream,
    /// For those who ask over the admin API.
    guarded: Upstream,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder for the scenarios of an engine. Blocks while it reads the certificates that the system trusts.
    ///
    /// # Errors
    /// The thread that writes does not start, or a certificate is no good.
    pub fn open(engine: Arc<Engine>, options: RecorderOptions) -> Result<Arc<Self>, OpenError> {
        let queue = Arc::new(Queue::start(Arc::clone(engine.store()), options.files.clone())?);
        Ok(Arc::new(Recorder {
            engine,
            queue,
            budget: Arc::new(Budget::new(options.max_memory_bytes)),
            upstream: Upstream::new(&options.upstream, None)?,
            guarded: Upstream::new(&options.upstream, Some(options.guard.clone()))?,
            options,
        }))
    }

    /// Calls a service for a client of the admin API, records the exchange if `records`, and gives its answer back.
    /// Headers that are meant for this service stay here.
    ///
    /// # Errors
    /// The address is not allowed, or does not answer.
    pub async fn call(
        &self,
        url: Uri,
        mut head: Parts,
        body: Bytes,
        records: bool,
    ) -> Result<Response<Body>, CallProblem> {
        head.uri = url;
        Ok(self.forward(&self.guarded, head, Source::Whole(body), records, Duration::from_secs(60)).await?)
    }

    /// Sends a request with a whole address up. What comes back is passed on as it comes.
    pub(crate) async fn forward(
        &self,
        upstream: &Upstream,
        head: Parts,
        source: Source,
        records: bool,
        idle: Duration,
    ) -> Result<Response<Body>, CallError> {
        let slot = if records { self.queue.slot().await } else { None };
        let kept = || self.kept(self.options.max_body_bytes);
        let (source, asked) = match source {
            Source::Kept(bytes, kept) => (Source::Whole(bytes), Some(kept)),
            source => (source, None),
        };
        let (mut sent, mut known) = (None, None);
        let up_body = match source {
            Source::Whole(bytes) | Source::Kept(bytes, _) => {
                known = slot.is_some().then(|| bytes.clone());
                body::whole(bytes)
            }
            Source::Stream(prefix, rest) => {
                sent = slot.is_some().then(|| Sent::new(kept()));
                let tap = sent.clone().map_or(Tap::Nothing, Tap::Request);
                Passing::body(prefix, rest, tap, idle)
            }
        };
        let exchange = slot.as_ref().map(|_| {
            let (method, url, mut headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
            headers::remove_hop_by_hop(&mut headers);
            Exchange { method, url, headers, body: known, ..Exchange::default() }
        });
        let is_head = head.method == Method::HEAD;
        let request = Request::from_parts(upwards(head, slot.is_some()), up_body);
        let answer = upstream.call(request, false).await?;
        let (mut head, body) = answer.into_parts();
        headers::remove_hop_by_hop(&mut head.headers);
        let tap = match (slot, exchange) {
            (Some(slot), Some(mut exchange)) => {
                exchange.status = head.status;
                exchange.answer_headers = head.headers.clone();
                let queue = Arc::clone(&self.queue);
                Tap::Answer(Box::new(Plan { exchange, sent, kept: kept(), asked, slot, queue }))
            }
            _ => Tap::Nothing,
        };
        head.version = Version::HTTP_11;
        let has_none = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body =
            if has_none { Passing::nothing(tap) } else { Passing::body(Bytes::new(), body, tap, idle) };
        Ok(Response::from_parts(head, body))
    }

    /// A place for a body of up to `most` bytes.
    pub(crate) fn kept(&self, most: usize) -> Kept {
        Kept::new(Arc::clone(&self.budget), most)
    }

    /// Waits until all that was recorded before this call is in the store, or for `patience`.
    pub async fn flush(&self, patience: Duration) {
        self.queue.flush(patience).await;
    }

    /// Waits until no recording of this method and (encoded) path is on its way into the store, or for some seconds; says
    /// whether there was one.
    pub async fn settled(&self, method: &Method, path: &str) -> bool {
        self.queue.settled(method, path).await
    }

    /// How many exchanges were recorded, and how many could not be.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.queue.counts()
    }

    /// Requests must not come back to this address, at which our own proxy listens.
    pub(crate) fn avoid(&self, address: SocketAddr) {
        self.upstream.avoid(address);
        self.guarded.avoid(address);
    }
}

/// The address that `X-Mock-Url` says.
///
/// # Errors
/// It is none, or holds a password.
pub fn address_of_call(url: &str) -> Result<Uri, CallProblem> {
    let bad = |what: &str| CallProblem::new(StatusCode::BAD_REQUEST, what);
    let url: Uri = url.trim().parse().map_err(|_| bad("X-Mock-Url is not an address"))?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    let authority = url.authority().filter(|_| is_web);
    let authority = authority.ok_or_else(|| bad("X-Mock-Url must begin with http:// or https://"))?;
    if authority.as_str().contains('@') {
        return Err(bad("X-Mock-Url must not hold a password; send an Authorization header"));
    }
    Ok(url)
}

/// The head of a request as the service gets it.
pub(crate) fn upwards(mut head: Parts, records: bool) -> Parts {
    head.extensions = http::Extensions::new();
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    // Services of gRPC want to be told that trailers are welcome; they always are.
    let wants_trailers = headers::is_grpc(headers) && headers.contains_key(TE);
    headers::remove_hop_by_hop(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    // Whoever waited for a word before sending has had it from us.
    headers.remove(EXPECT);
    headers::remove_ours(headers);
    // Made anew from the address.
    headers.remove(HOST);
    if records {
        // A recording should be an answer for everybody: readable, and whole.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(IF_NONE_MATCH);
        headers.remove(IF_MODIFIED_SINCE);
    }
    head.uri = without_password(head.uri);
    head
}

/// Takes `user:password@` out of an address.
fn without_password(uri: Uri) -> Uri {
    let Some((_, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return uri;
    };
    let Ok(authority) = host.parse() else { return uri };
    let mut parts = uri.into_parts();
    parts.authority = Some(authority);
    Uri::from_parts(parts).unwrap_or_default()
}
