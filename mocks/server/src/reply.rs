//! Answers: their bodies, and JSON for those that are ours.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use tokio::task::JoinHandle;

/// An answer on its way out.
pub(crate) type Reply = Response<ReplyBody>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const YAML: HeaderValue = HeaderValue::from_static("application/yaml");

/// How much of a file is read at a time.
const PIECE_BYTES: u64 = 64 << 10;

/// The body of an answer.
pub(crate) enum ReplyBody {
    /// All of it, or nothing when it was sent.
    Bytes(Option<Bytes>),
    /// A file, read piece by piece on threads that may block.
    File(FileBody),
    /// What a service sends, as it comes.
    Passing(api_mock_recorder::Body),
    /// What a fault lets through.
    Slow(Box<api_mock_recorder::SlowBody>),
}

/// A file that was read on, and what was read.
type Piece = (File, Vec<u8>);

pub(crate) struct FileBody {
    file: Option<File>,
    reading: Option<JoinHandle<std::io::Result<Piece>>>,
    left: u64,
}

impl ReplyBody {
    pub(crate) fn empty() -> Self {
        ReplyBody::Bytes(None)
    }

    /// The first `length` bytes of a file.
    pub(crate) fn file(file: File, length: u64) -> Self {
        ReplyBody::File(FileBody { file: Some(file), reading: None, left: length })
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        ReplyBody::Bytes((!bytes.is_empty()).then_some(bytes))
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            ReplyBody::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::File(body) => body.poll(cx),
            ReplyBody::Slow(body) => Pin::new(&mut **body).poll_frame(cx),
            ReplyBody::Passing(body) => {
                Pin::new(body).poll_frame(cx).map(|part| part.map(|part| part.map_err(std::io::Error::other)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Bytes(bytes) => bytes.is_none(),
            ReplyBody::File(body) => body.left == 0,
            ReplyBody::Slow(body) => body.is_end_stream(),
            ReplyBody::Passing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            ReplyBody::File(body) => SizeHint::with_exact(body.left),
            ReplyBody::Slow(body) => body.size_hint(),
            ReplyBody::Passing(body) => body.size_hint(),
        }
    }
}

impl FileBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let (true, Some(mut file)) = (self.left > 0, self.file.take()) {
            let most = self.left.min(PIECE_BYTES);
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let mut piece = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
                file.by_ref().take(most).read_to_end(&mut piece)?;
                Ok((file, piece))
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = std::task::ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(Ok((_, piece))) if piece.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok((file, piece))) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.file = Some(file);
                Ok(Frame::data(Bytes::from(piece)))
            }
            Ok(Err(error)) => Err(error),
            Err(error) => Err(std::io::Error::other(error)),
        }))
    }
}

/// An answer with this body.
pub(crate) fn reply(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::from(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// 200 without a body.
pub(crate) fn done() -> Reply {
    Response::new(ReplyBody::empty())
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            reply(StatusCode::INTERNAL_SERVER_ERROR, JSON, r#"{"message":"Internal Server Error"}"#)
        }
    }
}

/// Takes the body off where HTTP has none, and keeps the length that it would have had for HEAD.
pub(crate) fn without_body_where_none_may_be(reply: &mut Reply, is_head: bool) {
    let status = reply.status();
    let none = status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status == StatusCode::RESET_CONTENT;
    if !(none || is_head) {
        return;
    }
    let length = http_body::Body::size_hint(reply.body()).exact().unwrap_or_default();
    *reply.body_mut() = ReplyBody::empty();
    if none {
        reply.headers_mut().remove(CONTENT_LENGTH);
    } else if length > 0 || !reply.headers().contains_key(CONTENT_LENGTH) {
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// The first value of a header, as text.
pub(crate) fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
