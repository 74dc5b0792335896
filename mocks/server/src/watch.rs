//! What a connection is doing, so that idle, slow and stalled ones can be ended without a timer for each request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Shared by a connection's socket, its requests, and the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Grows with each request head and each write that the client took. Bytes that only trickle in do not count.
    progress: AtomicU64,
    in_flight: AtomicUsize,
    ending: AtomicBool,
}

impl Activity {
    /// A request begins; it ends when the answer is handed over.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// The server ends: sockets are not kept for a moment more.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// How far it is; None while requests are worked on, whose own limits hold then.
    pub(crate) fn progress(&self) -> Option<u64> {
        (self.in_flight.load(Ordering::Relaxed) == 0).then(|| self.progress.load(Ordering::Relaxed))
    }
}

/// A request that is worked on.
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a socket whose last answer was sent is read on. One that is closed with something unread loses the answer
/// on its way: a client that still sends a body would not learn that it is too large.
const LINGER: Duration = Duration::from_millis(500);

/// A socket that tells what the client takes.
pub(crate) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
    /// Set when our side is closed.
    linger: Option<Pin<Box<Sleep>>>,
    /// Whether the client's side is.
    is_open: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Watched { inner, activity, linger: None, is_open: true }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.activity.progress.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads and forgets what has come.
    fn drain(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 8 << 10];
        // What does not fit into some rounds waits for the next.
        for _ in 0..64 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => {
                    self.is_open = false;
                    return;
                }
            }
        }
        cx.waker().wake_by_ref();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            if self.activity.is_ending() {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        self.drain(cx);
        if self.linger.as_mut().is_some_and(|linger| linger.as_mut().poll(cx).is_pending()) && self.is_open {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}
