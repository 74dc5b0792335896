//! Bodies that come slowly, or break off: what faults leave of them.

use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use api_mock_engine::{ConnectionFault, FaultPlan};
use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Sleep;

use crate::body::Body;

/// What was sent before a body breaks off is on its way by then.
pub const SENT: Duration = Duration::from_millis(20);
/// How much more than there is a wrong `Content-Length` says, in bytes.
pub const TOO_LONG_BYTES: u64 = 100;

/// How fast bytes go out.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bytes_per_second: NonZeroU64,
    until: Instant,
}

impl Pace {
    /// So many bytes a second; what is left after `longest` comes at once.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64, longest: Duration) -> Self {
        Pace { bytes_per_second, until: Instant::now() + longest }
    }

    /// How many of the bytes that are left go out now, and how long it takes until the next may.
    #[must_use]
    pub fn piece(self, left: usize) -> (usize, Duration) {
        if Instant::now() >= self.until {
            return (left, Duration::ZERO);
        }
        let rate = self.bytes_per_second.get();
        // Twenty pieces a second, if there are so many bytes.
        let piece = usize::try_from((rate / 20).max(1)).unwrap_or(left).min(left);
        (piece, Duration::from_secs_f64(piece as f64 / rate as f64))
    }
}

/// A body that comes slowly, or breaks off.
#[derive(Debug)]
pub struct SlowBody {
    left: Bytes,
    pace: Option<Pace>,
    breaks_off: bool,
    was_begun: bool,
    /// Until the next piece, or the end.
    pause: Option<Pin<Box<Sleep>>>,
}

impl SlowBody {
    /// All of it.
    #[must_use]
    pub fn whole(bytes: Bytes, pace: Option<Pace>) -> Self {
        SlowBody { left: bytes, pace, breaks_off: false, was_begun: false, pause: None }
    }

    /// These bytes, and then an error.
    #[must_use]
    pub fn cut(bytes: Bytes, pace: Option<Pace>) -> Self {
        SlowBody { breaks_off: true, ..SlowBody::whole(bytes, pace) }
    }
}

impl http_body::Body for SlowBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.left.is_empty() && this.breaks_off && this.was_begun && this.pause.is_none() {
            this.pause = Some(Box::pin(tokio::time::sleep(SENT)));
        }
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        if this.left.is_empty() {
            let cut = || Err(io::Error::other("cut by an injected fault"));
            return Poll::Ready(this.breaks_off.then(cut));
        }
        let (count, pause) = match this.pace {
            Some(pace) => pace.piece(this.left.len()),
            None => (this.left.len(), Duration::ZERO),
        };
        let piece = this.left.split_to(count);
        this.was_begun = true;
        if !(this.left.is_empty() || pause.is_zero()) {
            this.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        if self.breaks_off { SizeHint::default() } else { SizeHint::with_exact(self.left.len() as u64) }
    }
}

/// Does to an answer what its fault says, as far as can be done without the socket: instead of a reset there is a close,
/// and no answer at all instead of a garbled one.
pub(crate) fn spoil(plan: &FaultPlan, response: &mut Response<Body>, bytes: Bytes, longest: Duration) {
    let effects = &plan.after;
    let pace = effects.bytes_per_second.map(|rate| Pace::new(rate, longest));
    let length = bytes.len();
    let first = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(length);
    let (says, body) = match effects.connection {
        None if pace.is_none() => return,
        None => (None, SlowBody::whole(bytes, pace)),
        Some(ConnectionFault::WrongContentLength { content_length }) => {
            let says = content_length.unwrap_or(length as u64 + TOO_LONG_BYTES);
            (Some(says), SlowBody::cut(bytes.slice(..first(says)), pace))
        }
        Some(
            ConnectionFault::Truncated { after_bytes }
            | ConnectionFault::Reset { after_bytes: after_bytes @ Some(_) },
        ) => {
            let count = after_bytes.unwrap_or(length as u64 / 2);
            (Some(length as u64), SlowBody::cut(bytes.slice(..first(count)), pace))
        }
        Some(_) => (None, SlowBody::cut(Bytes::new(), None)),
    };
    if let Some(says) = says {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(says));
    }
    *response.body_mut() = body.map_err(Into::into).boxed_unsync();
}
