//! Sockets: accepts connections, serves HTTP/1.1 and HTTP/2 on each, ends them when it is time.

use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::config::{ServerConfig, ServerLimits};
use crate::fault::{self, Cut, Socket, WireFault};
use crate::rarely::Rarely;
use crate::reply::Reply;
use crate::rim::{Rim, Work};
use crate::watch::{Activity, InFlight, Watched};
use crate::{StartError, metrics};

/// A pause after an error of `accept`, such as too many open files, which would else come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often within the idle time the watchdog of a connection looks.
const LOOKS: u32 = 4;

/// A bound socket that is not yet served.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Shared,
}

/// What each connection gets.
#[derive(Clone)]
struct Shared {
    rim: Arc<Rim>,
    http: Arc<auto::Builder<TokioExecutor>>,
    idle: Duration,
    shutdown: CancellationToken,
}

impl Shared {
    /// With a token of its own: all connections would contend for that of the server at each wake-up.
    fn of_connection(&self) -> Shared {
        Shared { shutdown: self.shutdown.child_token(), ..self.clone() }
    }
}

impl Listener {
    pub(crate) async fn bind(config: &ServerConfig, rim: Arc<Rim>) -> Result<Self, StartError> {
        let address = config.address;
        let socket =
            TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let tls = config.identity.clone().map(crate::Identity::acceptor).transpose()?;
        let shared = Shared {
            rim,
            http: Arc::new(http(&config.limits)),
            idle: config.timeouts.idle,
            shutdown: CancellationToken::new(),
        };
        Ok(Listener { socket, tls, shared })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown` is done, then gives what runs `grace` to end.
    pub(crate) async fn serve(
        self,
        connections: usize,
        grace: Duration,
        shutdown: impl Future<Output = ()>,
    ) -> Ended {
        let slots = Arc::new(Semaphore::new(connections.max(1)));
        let mut running = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // The slot comes first: whom there is none for waits in the system's queue.
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
                        running.spawn(connection(stream, self.tls.clone(), self.shared.of_connection(), slot));
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
        self.shared.shutdown.cancel();
        let all = async { while running.join_next().await.is_some() {} };
        let clean = tokio::time::timeout(grace, all).await.is_ok();
        let cut = running.len();
        running.shutdown().await;
        if clean { Ended::Clean } else { Ended::Cut { connections: cut } }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All answers were sent.
    Clean,
    /// Some took longer than the shutdown may.
    Cut {
        /// How many connections were cut off.
        connections: usize,
    },
}

fn http(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    let header_bytes = limits.header_bytes.max(8 << 10);
    http.http1()
        .max_buf_size(header_bytes)
        .header_read_timeout(None)
        // `pipeline_flush` stays off: with it, hyper never sends its answer to a head that it cannot read.
        // A client that closed its sending side still gets its answer.
        .half_close(true);
    // At its own default hyper needs no memory for each request to hold them.
    if limits.headers != ServerLimits::default().headers {
        http.http1().max_headers(limits.headers);
    }
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams);
    http
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Shared,
    _slot: OwnedSemaphorePermit,
) {
    let _open = metrics::Open::new(&shared.rim.metrics.connections);
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, shared).await };
    match tokio::time::timeout(shared.idle, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn serve<S: Socket>(stream: S, shared: Shared) {
    let (activity, idle) = (Arc::new(Activity::new(Arc::clone(&shared.rim))), shared.idle);
    converse(stream, shared, &activity).await;
    // All that held the socket is gone; a fault may have kept it.
    if let Some((socket, sabotage)) = activity.sabotaged() {
        Box::pin(fault::carry_out(socket, sabotage, idle)).await;
    }
}

async fn converse<S: Socket>(stream: S, shared: Shared, activity: &Arc<Activity>) {
    let Shared { http, idle, mut shutdown, .. } = shared;
    let io = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let service = service_fn(|request: Request<Incoming>| {
        let (is_head, version) = (request.method() == Method::HEAD, request.version());
        activity.note_request();
        match activity.rim().at_once(request) {
            Ok(answer) if answer.extensions().is_empty() => Either::Left(ready(Ok::<_, Cut>(answer))),
            at_once => Either::Right(carry_on(at_once, activity.enter(), is_head, version)),
        }
    });
    let mut connection = std::pin::pin!(http.serve_connection(io, service));
    // Polled only when it is woken itself, not with each request.
    let pause = (idle / LOOKS).max(Duration::from_millis(1));
    let mut event = Rarely::new(next_event(shutdown.clone(), pause));
    let (mut seen, mut still) = (None, 0);
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            happened = &mut event => match happened {
                Event::Shutdown => {
                    activity.end();
                    connection.as_mut().graceful_shutdown();
                    // Never a second time.
                    shutdown = CancellationToken::new();
                    event.set(next_event(shutdown.clone(), pause));
                }
                Event::Look => {
                    let now = activity.progress();
                    still = if now.is_some() && now == seen { still + 1 } else { 0 };
                    seen = now;
                    if still >= LOOKS {
                        return;
                    }
                    event.set(next_event(shutdown.clone(), pause));
                }
            },
        }
    }
}

/// What takes longer. Boxed, as all that is rare.
fn carry_on(
    at_once: Result<Reply, Box<Work>>,
    in_flight: InFlight,
    is_head: bool,
    version: Version,
) -> Pin<Box<dyn Future<Output = Result<Reply, Cut>> + Send>> {
    Box::pin(async move {
        let mut answer = match at_once {
            Ok(answer) => answer,
            Err(work) => in_flight.rim().answer(*work).await,
        };
        let Some(fault) = answer.extensions_mut().remove::<WireFault>() else { return Ok(answer) };
        let bounds = in_flight.rim().bounds();
        fault::begin(fault, answer, is_head, version, in_flight.activity(), bounds).await
    })
}

/// What a connection is woken for, besides its requests.
enum Event {
    Shutdown,
    Look,
}

async fn next_event(shutdown: CancellationToken, pause: Duration) -> Event {
    tokio::select! {
        () = shutdown.cancelled_owned() => Event::Shutdown,
        () = tokio::time::sleep(pause) => Event::Look,
    }
}
