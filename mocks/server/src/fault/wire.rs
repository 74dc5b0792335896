//! What is done to the socket of a connection of HTTP/1.1.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use api_mock_recorder::{Pace, SENT};

use super::{Says, Spoilt};

/// How long a client has to close its side, so that what was sent is not lost.
const LINGER: Duration = Duration::from_millis(500);

/// A socket, with TLS or without.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The connection itself.
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What is written to a socket before its end, and what that end is.
#[derive(Debug)]
pub(crate) struct Sabotage {
    head: Bytes,
    body: Bytes,
    pace: Option<Pace>,
    is_reset: bool,
}

impl Sabotage {
    pub(super) fn new(head: &Parts, spoilt: Spoilt, pace: Option<Pace>) -> Self {
        let head = match spoilt.says {
            Says::Nothing => Bytes::new(),
            Says::Length(length) => written(head, &format!("content-length: {length}")),
            Says::Chunked => written(head, "transfer-encoding: chunked"),
        };
        Sabotage { head, body: spoilt.body, pace, is_reset: spoilt.is_reset }
    }
}

/// A head as HTTP/1.1 has it.
fn written(head: &Parts, framing: &str) -> Bytes {
    let mut text = BytesMut::with_capacity(512);
    let reason = head.status.canonical_reason().unwrap_or_default();
    text.put_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16()).as_bytes());
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(framing.as_bytes());
    text.put_slice(b"\r\n\r\n");
    text.freeze()
}

/// Writes what is to be written, and ends the connection. A client that takes nothing for `idle` is not waited for.
pub(crate) async fn carry_out(mut socket: Box<dyn Socket>, sabotage: Sabotage, idle: Duration) {
    let is_silent = sabotage.head.is_empty() && sabotage.body.is_empty();
    if let Err(error) = write(&mut socket, &sabotage, idle).await {
        tracing::debug!(%error, "a client went before its fault was complete");
        return;
    }
    if sabotage.is_reset {
        if !is_silent {
            tokio::time::sleep(SENT).await;
        }
        // Closed so, a socket sends a reset and forgets what is unsent.
        if let Err(error) = socket.tcp().set_zero_linger() {
            tracing::warn!(%error, "a connection cannot be reset, and is closed instead");
        }
        return;
    }
    let closed = async {
        socket.shutdown().await?;
        let mut bytes = [0; 4 << 10];
        while socket.read(&mut bytes).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = tokio::time::timeout(LINGER, closed).await;
}

async fn write(socket: &mut Box<dyn Socket>, sabotage: &Sabotage, idle: Duration) -> io::Result<()> {
    let mut left = sabotage.body.clone();
    let mut next = BytesMut::from(&*sabotage.head);
    loop {
        let (count, pause) = match sabotage.pace {
            Some(pace) if !left.is_empty() => pace.piece(left.len()),
            _ => (left.len(), Duration::ZERO),
        };
        next.extend_from_slice(&left.split_to(count));
        let sent = async {
            socket.write_all(&next).await?;
            socket.flush().await
        };
        tokio::time::timeout(idle, sent).await.map_err(io::Error::other)??;
        if left.is_empty() {
            return Ok(());
        }
        next.clear();
        tokio::time::sleep(pause).await;
    }
}
