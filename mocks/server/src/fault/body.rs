//! Bodies that come slowly, or break off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::Pace;

/// What was sent before a body breaks off is on its way by then.
pub(super) const SENT: Duration = Duration::from_millis(20);

/// A body that comes slowly, or breaks off.
pub(crate) struct SlowBody {
    left: Bytes,
    pace: Option<Pace>,
    breaks_off: bool,
    /// Until the next piece, or the end.
    pause: Option<Pin<Box<Sleep>>>,
}

impl SlowBody {
    /// All of it.
    pub(super) fn whole(bytes: Bytes, pace: Option<Pace>) -> Self {
        SlowBody { left: bytes, pace, breaks_off: false, pause: None }
    }

    /// These bytes, and then an error.
    pub(super) fn cut(bytes: Bytes, pace: Option<Pace>) -> Self {
        SlowBody { breaks_off: true, ..SlowBody::whole(bytes, pace) }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            if self.left.is_empty() {
                return Poll::Ready(self.breaks_off.then(|| Err(io::Error::other(super::Cut))));
            }
        }
        if self.left.is_empty() {
            if !self.breaks_off {
                return Poll::Ready(None);
            }
            self.pause = Some(Box::pin(tokio::time::sleep(SENT)));
            return self.poll(cx);
        }
        let (count, pause) = match self.pace {
            Some(pace) => pace.piece(self.left.len()),
            None => (self.left.len(), Duration::ZERO),
        };
        let piece = self.left.split_to(count);
        if !(self.left.is_empty() || pause.is_zero()) {
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    pub(crate) fn is_end(&self) -> bool {
        self.left.is_empty() && !self.breaks_off
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.breaks_off { SizeHint::default() } else { SizeHint::with_exact(self.left.len() as u64) }
    }
}
