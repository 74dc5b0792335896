//! What follows a CONNECT, and connections that become something else than HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::{Authority, Scheme};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::io::Begun;
use super::{Inside, Shared, serve};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// How often within the idle time it is looked whether something passed.
const LOOKS: u32 = 4;

/// Passes on, both ways, what nobody looks at, to a connection that stands already.
pub(super) fn untouched(shared: &Arc<Shared>, request: Request<Incoming>, upstream: TcpStream) {
    let at_work = Arc::clone(shared);
    shared.tunnels.spawn(async move {
        let Some(client) = upgraded(hyper::upgrade::on(request), &at_work).await else { return };
        copy(TokioIo::new(client), upstream, &at_work).await;
    });
}

/// Answers what comes through a tunnel in the name of its host.
pub(super) fn intercepted(shared: &Arc<Shared>, request: Request<Incoming>, target: Authority) {
    let at_work = Arc::clone(shared);
    shared.tunnels.spawn(async move {
        let Some(client) = upgraded(hyper::upgrade::on(request), &at_work).await else { return };
        look_inside(client, target, &at_work).await;
    });
}

async fn upgraded(client: OnUpgrade, shared: &Shared) -> Option<Upgraded> {
    match tokio::time::timeout(shared.config.timeouts.idle, client).await {
        Ok(Ok(client)) => Some(client),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a tunnel did not begin");
            None
        }
        Err(_) => None,
    }
}

/// TLS, HTTP without it, or something else that is passed on as it is.
async fn look_inside(client: Upgraded, target: Authority, shared: &Arc<Shared>) {
    let mut client = TokioIo::new(client);
    let mut begin = BytesMut::with_capacity(1024);
    let idle = shared.config.timeouts.idle;
    let read = tokio::select! {
        read = tokio::time::timeout(idle, client.read_buf(&mut begin)) => read,
        () = shared.shutdown.cancelled() => return,
    };
    if !matches!(read, Ok(Ok(1..))) {
        return;
    }
    let begin = begin.freeze();
    let client = Begun::new(begin.clone(), client, Arc::default());
    let host = target.host().trim_matches(['[', ']']).to_owned();
    match begin.first() {
        Some(&TLS_HANDSHAKE) => {
            let config = match shared.authority.server_config(&host) {
                Ok(config) => config,
                Err(error) => return tracing::warn!(%error, "a connection cannot be intercepted"),
            };
            match tokio::time::timeout(idle, TlsAcceptor::from(config).accept(client)).await {
                Ok(Ok(stream)) => {
                    let inside = Inside { scheme: Scheme::HTTPS, authority: target };
                    serve(stream, Arc::clone(shared), Some(inside)).await;
                }
                // Mostly clients that do not trust the certificate.
                Ok(Err(error)) => {
                    tracing::info!(%host, %error, "a client refused the intercepted connection")
                }
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
        Some(byte) if byte.is_ascii_uppercase() => {
            let inside = Inside { scheme: Scheme::HTTP, authority: target };
            serve(client, Arc::clone(shared), Some(inside)).await;
        }
        _ => match shared.recorder.upstream.dial(&host, target.port_u16().unwrap_or(443)).await {
            Ok(upstream) => copy(client, upstream, shared).await,
            Err(error) => tracing::debug!(%error, "a tunnel leads nowhere"),
        },
    }
}

/// Joins two connections that both agreed to speak another protocol.
pub(super) fn switched(shared: &Arc<Shared>, client: OnUpgrade, answer: Response<Incoming>) {
    let at_work = Arc::clone(shared);
    shared.tunnels.spawn(async move {
        let both = async { tokio::try_join!(client, hyper::upgrade::on(answer)) };
        match tokio::time::timeout(at_work.config.timeouts.idle, both).await {
            Ok(Ok((client, upstream))) => copy(TokioIo::new(client), TokioIo::new(upstream), &at_work).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection did not switch"),
            Err(_) => {}
        }
    });
}

/// Copies both ways until one side ends, nothing passes for too long, or the proxy ends.
async fn copy<A, B>(client: A, upstream: B, shared: &Shared)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let passed = Arc::new(AtomicU64::new(0));
    let mut client = Begun::new(Bytes::new(), client, Arc::clone(&passed));
    let mut upstream = Begun::new(Bytes::new(), upstream, Arc::clone(&passed));
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
        () = silence(&passed, shared.config.timeouts.stream) => {}
        () = shared.shutdown.cancelled() => {}
    }
}

/// Ends when nothing passed for a while.
async fn silence(passed: &AtomicU64, patience: Duration) {
    let (mut seen, mut still) = (0, 0);
    while still < LOOKS {
        tokio::time::sleep((patience / LOOKS).max(Duration::from_millis(1))).await;
        let now = passed.load(Ordering::Relaxed);
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
    }
}
