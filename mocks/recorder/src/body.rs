//! Bodies on their way: nothing is held back, and a part of them is kept.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::record::{Exchange, Kept, Queue, Slot};
use crate::upstream::BoxError;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The body of a request on its way, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Sent {
    kept: Kept,
    is_done: bool,
}

impl Sent {
    pub(crate) fn new(kept: Kept) -> Arc<Mutex<Sent>> {
        Arc::new(Mutex::new(Sent { kept, is_done: false }))
    }
}

/// What is recorded when the answer is whole.
pub(crate) struct Plan {
    pub(crate) exchange: Exchange,
    /// Where the request's body is, if the exchange does not have it.
    pub(crate) sent: Option<Arc<Mutex<Sent>>>,
    pub(crate) kept: Kept,
    /// What the exchange's own body occupies.
    pub(crate) asked: Option<Kept>,
    pub(crate) slot: Slot,
    pub(crate) queue: Arc<Queue>,
}

impl Plan {
    fn carry_out(mut self) {
        let Some(body) = self.kept.whole() else {
            tracing::warn!("an answer was too large to record; it was only forwarded");
            return;
        };
        self.exchange.answer_body = body;
        if let Some(sent) = &self.sent {
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            // Who answers before the request is whole did not look at all of it.
            self.exchange.body = if sent.is_done { sent.kept.whole() } else { None };
        }
        let kept = [Some(self.kept), self.asked].into_iter().flatten().collect();
        self.queue.record(self.exchange, self.slot, kept);
    }
}

/// What becomes of the bytes that pass.
pub(crate) enum Tap {
    Nothing,
    Request(Arc<Mutex<Sent>>),
    Answer(Box<Plan>),
}

impl Tap {
    fn data(&mut self, bytes: &Bytes) {
        match self {
            Tap::Nothing => {}
            Tap::Request(sent) => sent.lock().unwrap_or_else(PoisonError::into_inner).kept.add(bytes),
            Tap::Answer(plan) => plan.kept.add(bytes),
        }
    }

    fn end(&mut self) {
        match std::mem::replace(self, Tap::Nothing) {
            Tap::Nothing => {}
            Tap::Request(sent) => sent.lock().unwrap_or_else(PoisonError::into_inner).is_done = true,
            Tap::Answer(plan) => plan.carry_out(),
        }
    }
}

/// A body that passes. One without a byte for `idle` is ended.
pub(crate) struct Passing {
    prefix: Option<Bytes>,
    inner: Incoming,
    tap: Tap,
    idle: Duration,
    /// Only there while bytes are waited for.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Passing {
    /// The body of an answer that has none, whatever a service sends nevertheless.
    pub(crate) fn nothing(mut tap: Tap) -> Body {
        tap.end();
        whole(Bytes::new())
    }

    pub(crate) fn body(prefix: Bytes, inner: Incoming, mut tap: Tap, idle: Duration) -> Body {
        let prefix = (!prefix.is_empty()).then_some(prefix);
        if prefix.is_none() && http_body::Body::is_end_stream(&inner) {
            // Nobody will ask for what is not there.
            tap.end();
        }
        Passing { prefix, inner, tap, idle, sleep: None }.boxed_unsync()
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(prefix) = this.prefix.take() {
            this.tap.data(&prefix);
            if http_body::Body::is_end_stream(&this.inner) {
                this.tap.end();
            }
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => {
                let idle = this.idle;
                let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                match sleep.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        this.tap = Tap::Nothing;
                        Poll::Ready(Some(Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())))
                    }
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.sleep = None;
                if let Some(bytes) = frame.data_ref() {
                    this.tap.data(bytes);
                }
                // After trailers nothing comes, and who sends them on does not ask again.
                if frame.is_trailers() || http_body::Body::is_end_stream(&this.inner) {
                    this.tap.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.tap = Tap::Nothing;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.tap.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && http_body::Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = http_body::Body::size_hint(&self.inner);
        let before = self.prefix.as_ref().map_or(0, |prefix| prefix.len() as u64);
        match inner.exact() {
            Some(length) => SizeHint::with_exact(length + before),
            None => SizeHint::default(),
        }
    }
}

/// What came of a body within a limit.
pub(crate) enum Collected {
    Whole(Bytes, Kept),
    /// It is longer: what came so far, and what still comes.
    More(Bytes, Incoming),
    Failed,
    TooSlow,
}

/// Reads a body as far as it may be kept.
pub(crate) async fn collect(mut body: Incoming, mut kept: Kept, timeout: Duration) -> Collected {
    if http_body::Body::is_end_stream(&body) {
        return Collected::Whole(Bytes::new(), kept);
    }
    if http_body::Body::size_hint(&body).lower() > kept.most() as u64 {
        return Collected::More(Bytes::new(), body);
    }
    let mut over = Bytes::new();
    let read = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Some(false) };
            let Ok(data) = frame.into_data() else { continue };
            if !kept.add_if_room(&data) {
                over = data;
                return None;
            }
        }
        Some(true)
    };
    let read = tokio::time::timeout(timeout, read).await;
    let so_far = kept.whole().unwrap_or_default();
    match read {
        Ok(Some(true)) => Collected::Whole(so_far, kept),
        Ok(Some(false)) => Collected::Failed,
        Ok(None) => Collected::More([so_far, over].concat().into(), body),
        Err(_) => Collected::TooSlow,
    }
}
