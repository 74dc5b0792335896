//! What a connection is doing, so that idle, slow and stalled ones can be ended without a timer for each request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::fault::{Sabotage, Socket};
use crate::rim::Rim;

/// Shared by a connection's socket, its requests, and the watchdog.
pub(crate) struct Activity {
    /// Here, so that a request counts one thing that it shares, and none that connections of other threads count too.
    rim: Arc<Rim>,
    /// Grows with each request head and each write that the client took. Bytes that only trickle in do not count.
    progress: AtomicU64,
    in_flight: AtomicUsize,
    ending: AtomicBool,
    /// What a fault is to do with the socket, and, when hyper has let go of it, the socket.
    sabotage: Mutex<Option<Sabotage>>,
    is_sabotaged: AtomicBool,
    socket: Mutex<Option<Box<dyn Socket>>>,
}

impl Activity {
    /// Of a connection to this.
    pub(crate) fn new(rim: Arc<Rim>) -> Self {
        Activity {
            rim,
            progress: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            sabotage: Mutex::default(),
            is_sabotaged: AtomicBool::new(false),
            socket: Mutex::default(),
        }
    }

    pub(crate) fn rim(&self) -> &Rim {
        &self.rim
    }

    /// A request has come.
    pub(crate) fn note_request(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// A request takes longer; it ends when the answer is handed over.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
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

    /// The connection will end, and its socket is not to be closed but kept.
    pub(crate) fn sabotage(&self, sabotage: Sabotage) {
        *self.sabotage.lock().unwrap_or_else(PoisonError::into_inner) = Some(sabotage);
        self.is_sabotaged.store(true, Ordering::Release);
    }

    /// The socket of a connection that has ended, and what is to be done with it.
    pub(crate) fn sabotaged(&self) -> Option<(Box<dyn Socket>, Sabotage)> {
        if !self.is_sabotaged.load(Ordering::Acquire) {
            return None;
        }
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((socket, self.sabotage.lock().unwrap_or_else(PoisonError::into_inner).take()?))
    }

    /// How far it is; None while requests are worked on, whose own limits hold then.
    pub(crate) fn progress(&self) -> Option<u64> {
        (self.in_flight.load(Ordering::Relaxed) == 0).then(|| self.progress.load(Ordering::Relaxed))
    }
}

/// A request that is worked on.
pub(crate) struct InFlight(Arc<Activity>);

impl InFlight {
    pub(crate) fn rim(&self) -> &Rim {
        self.0.rim()
    }

    /// The connection's.
    pub(crate) fn activity(&self) -> &Activity {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a socket whose last answer was sent is read on. One that is closed with something unread loses the answer
/// on its way: a client that still sends a body would not learn that it is too large.
const LINGER: Duration = Duration::from_millis(500);

/// A socket that tells what the client takes.
pub(crate) struct Watched<S: Socket> {
    /// Until the end.
    inner: Option<S>,
    activity: Arc<Activity>,
    /// Set when our side is closed.
    linger: Option<Pin<Box<Sleep>>>,
    /// Whether the client's side is.
    is_open: bool,
}

impl<S: Socket> Drop for Watched<S> {
    fn drop(&mut self) {
        if self.activity.is_sabotaged.load(Ordering::Acquire)
            && let Some(socket) = self.inner.take()
        {
            *self.activity.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(socket));
        }
    }
}

impl<S: Socket> Watched<S> {
    pub(crate) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Watched { inner: Some(inner), activity, linger: None, is_open: true }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut S>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.activity.progress.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl<S: Socket> Watched<S> {
    /// Reads and forgets what has come.
    fn drain(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 8 << 10];
        // What does not fit into some rounds waits for the next.
        for _ in 0..64 {
            let mut buffer = ReadBuf::new(&mut bytes);
            let Ok(inner) = self.inner() else { return };
            match inner.poll_read(cx, &mut buffer) {
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

impl<S: Socket> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner()?.poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.inner()?.poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.inner()?.poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(self.inner()?.poll_shutdown(cx))?;
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
