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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::io::Begun;
use super::spoken::{Spoken, spoken};
use super::{Inside, Shared, serve};
use crate::upstream::ConnectError;

/// A client that says nothing for so long may wait for the service to speak first.
const SILENCE: Duration = Duration::from_millis(300);
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
    let heard = tokio::select! {
        heard = listen(&mut client, &mut begin, &target, shared) => heard,
        () = shared.shutdown.cancelled() => return,
    };
    let Some((spoken, upstream)) = heard else { return };
    let client = Begun::new(begin.freeze(), client, Arc::default());
    match spoken {
        Spoken::Tls => encrypted(client, target, shared).await,
        Spoken::Http => {
            let inside = Inside { scheme: Scheme::HTTP, authority: target };
            serve(client, Arc::clone(shared), Some(inside)).await;
        }
        Spoken::Other => {
            let upstream = match upstream {
                Some(upstream) => Ok(upstream),
                None => dial(&target, shared).await,
            };
            match upstream {
                Ok(upstream) => copy(client, upstream, shared).await,
                Err(error) => tracing::debug!(%error, "a tunnel leads nowhere"),
            }
        }
    }
}

/// Listens to a client until it is clear what it speaks; `None` if it says nothing. Where it is silent at first, the
/// service may be who speaks first, as those of mail do: then there is a connection to it.
async fn listen(
    client: &mut (impl AsyncRead + Unpin),
    begin: &mut BytesMut,
    target: &Authority,
    shared: &Shared,
) -> Option<(Spoken, Option<TcpStream>)> {
    if let Ok(spoken) = tokio::time::timeout(SILENCE, spoken(client, begin)).await {
        return Some((spoken?, None));
    }
    // Half a word, and nothing more: some protocol in which the service must answer to that.
    let is_silent = begin.is_empty();
    let service = async {
        let Ok(upstream) = dial(target, shared).await else { return std::future::pending().await };
        if is_silent {
            let _ = upstream.readable().await;
        }
        upstream
    };
    tokio::select! {
        spoken = tokio::time::timeout(shared.config.timeouts.idle, spoken(client, begin)) => {
            Some((spoken.ok()??, None))
        }
        upstream = service => Some((Spoken::Other, Some(upstream))),
    }
}

async fn dial(target: &Authority, shared: &Shared) -> Result<TcpStream, ConnectError> {
    let host = target.host().trim_matches(['[', ']']);
    shared.recorder.upstream.dial(host, target.port_u16().unwrap_or(443)).await
}

/// Shows a certificate in the name of the host, and answers what comes.
async fn encrypted<S>(client: S, target: Authority, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let host = target.host().trim_matches(['[', ']']).to_owned();
    let config = match shared.authority.server_config(&host) {
        Ok(config) => config,
        Err(error) => return tracing::warn!(%error, "a connection cannot be intercepted"),
    };
    let accepted = TlsAcceptor::from(config).accept(client);
    match tokio::time::timeout(shared.config.timeouts.idle, accepted).await {
        Ok(Ok(stream)) => {
            let inside = Inside { scheme: Scheme::HTTPS, authority: target };
            serve(stream, Arc::clone(shared), Some(inside)).await;
        }
        // Mostly clients that do not trust the certificate.
        Ok(Err(error)) => tracing::info!(%host, %error, "a client refused the intercepted connection"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
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
