//! The proxy: sockets, connections, and their end.

mod disturb;
mod handle;
mod io;
mod spoken;
mod tunnel;
mod upgrade;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::{Answer, FaultPlan, Refusal};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::ca::CertificateAuthority;
use crate::options::{Mode, ProxyTimeouts};
use crate::recorder::Recorder;

/// A pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is answered here whatever host a request is for: the admin API.
pub trait Local: Send + Sync + 'static {
    /// Whether a path is one of ours.
    fn is_local(&self, method: &Method, path: &str) -> bool;

    /// What is wrong with a request that would be played back, if requests are checked. By default nothing is.
    fn refusal(&self, _request: &api_mock_engine::Request, _uri: &http::Uri) -> Option<Refusal> {
        None
    }

    /// Sees what is played back, and may change it.
    fn played(&self, _request: &api_mock_engine::Request, _answered: &mut Result<Answer, Refusal>) {}

    /// Sees what goes wrong with a request that is forwarded.
    fn disturbed(&self, _plan: &FaultPlan) {}

    /// Answers a request to such a path.
    fn answer(&self, request: Request<Incoming>)
    -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>>;
}

/// Where and how the proxy listens.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Address and port; port 0 takes a free one. Default: `127.0.0.1:8081`.
    pub address: SocketAddr,
    /// What happens to requests.
    pub mode: Mode,
    /// Hosts whose connections are passed on untouched, and whose plain requests are neither played back nor recorded:
    /// `example.com`, with all hosts below it `.example.com`.
    pub leave_alone: Vec<String>,
    /// Connections at a time; further ones wait in the system's queue. Default: 2,000.
    pub connections: usize,
    /// Bytes of a request line and its headers. At least 8 KiB. Default: 64 KiB.
    pub header_bytes: usize,
    /// HTTP/2 streams of one connection. Default: 200.
    pub streams: u32,
    /// Times.
    pub timeouts: ProxyTimeouts,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        ProxyConfig {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081),
            mode: Mode::default(),
            leave_alone: Vec::new(),
            connections: 2_000,
            header_bytes: 64 << 10,
            streams: 200,
            timeouts: ProxyTimeouts::default(),
        }
    }
}

impl ProxyConfig {
    fn leaves_alone(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.leave_alone.iter().any(|rule| {
            let rule = rule.to_ascii_lowercase();
            host == rule.trim_start_matches('.') || rule.starts_with('.') && host.ends_with(&rule)
        })
    }
}

/// A proxy that has its port, and serves when told to.
pub struct Proxy {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) authority: Arc<CertificateAuthority>,
    pub(crate) local: Arc<dyn Local>,
    pub(crate) config: ProxyConfig,
    http: auto::Builder<TokioExecutor>,
    /// Tunnels, and what was upgraded.
    pub(crate) tunnels: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// Where requests of a connection are for, if they do not say it themselves.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

impl Proxy {
    /// Takes the port.
    ///
    /// # Errors
    /// The port is taken, or the address is not of this machine.
    pub async fn bind(
        config: ProxyConfig,
        recorder: Arc<Recorder>,
        authority: Arc<CertificateAuthority>,
        local: Arc<dyn Local>,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.address).await?;
        let address = socket.local_addr()?;
        recorder.avoid(address);
        let (tunnels, shutdown, http) = (TaskTracker::new(), CancellationToken::new(), http(&config));
        let shared = Arc::new(Shared { recorder, authority, local, config, http, tunnels, shutdown });
        Ok(Proxy { socket, address, shared })
    }

    /// Where it listens; with the real port where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then gives what runs the shutdown time to end, and says how many connections it
    /// cut off. What was recorded is in the store then.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> usize {
        let shared = self.shared;
        let slots = Arc::new(Semaphore::new(shared.config.connections.max(1)));
        let mut running = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, self.socket.accept().await)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = running.join_next(), if !running.is_empty() => {}
                (slot, accepted) = next => match (slot, accepted) {
                    (Ok(slot), Ok((stream, _))) => {
                        let shared = Arc::clone(&shared);
                        running.spawn(async move {
                            accepted_one(stream, shared).await;
                            drop(slot);
                        });
                    }
                    (_, Err(error)) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    (Err(_), _) => break,
                },
            }
        }
        drop(self.socket);
        shared.shutdown.cancel();
        shared.tunnels.close();
        let grace = shared.config.timeouts.shutdown;
        let all = async {
            while running.join_next().await.is_some() {}
            shared.tunnels.wait().await;
        };
        let clean = tokio::time::timeout(grace, all).await.is_ok();
        let cut = if clean { 0 } else { running.len() + shared.tunnels.len() };
        running.shutdown().await;
        shared.recorder.flush(grace).await;
        cut
    }
}

fn http(config: &ProxyConfig) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    let header_bytes = config.header_bytes.max(8 << 10);
    http.http1()
        .timer(TokioTimer::new())
        .max_buf_size(header_bytes)
        .header_read_timeout(config.timeouts.idle)
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(config.streams)
        .enable_connect_protocol()
        // So large that most uploads need not wait on their way: curl 7.88 does not always go on after it had to.
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .keep_alive_interval(config.timeouts.idle)
        .keep_alive_timeout(Duration::from_secs(20));
    http
}

async fn accepted_one(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    serve(stream, shared, None).await;
}

/// Serves HTTP on a connection, or on what is inside of a tunnel.
pub(crate) async fn serve<S>(stream: S, shared: Arc<Shared>, inside: Option<Inside>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(io::Patient::new(stream, shared.config.timeouts.stream));
    // Of its own: all connections would contend for the proxy's at each wake-up.
    let shutdown = shared.shutdown.child_token();
    let service = service_fn(|request| {
        let (shared, inside) = (Arc::clone(&shared), inside.clone());
        async move { Ok::<_, Infallible>(handle::answer(&shared, inside, request).await) }
    });
    let connection = shared.http.serve_connection_with_upgrades(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
