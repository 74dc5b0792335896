//! A small HTTP/1.1 client: one connection for each worker, every wait and every body bounded.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::answer::Answer;
use crate::options::{RunError, RunOptions};
use crate::plan::Prepared;

/// Where a run goes.
pub(crate) struct Target {
    /// `https://host:port/base`, without a slash at the end.
    pub(crate) origin: String,
    base_path: String,
    host: HeaderValue,
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, rustls::pki_types::ServerName<'static>)>,
    timeout: Duration,
    max_bytes: usize,
}

impl Target {
    /// Looks the host up, once, and looks at what it is.
    pub(crate) async fn find(base_url: &str, options: &RunOptions) -> Result<Target, RunError> {
        let wrong = || RunError::BaseUrl("it is none".to_owned());
        let uri: Uri = base_url.trim().parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(RunError::BaseUrl("it must not hold a password; use a header".to_owned()));
        }
        if uri.query().is_some() {
            return Err(RunError::BaseUrl("it must not have a query".to_owned()));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = look_up(&host, port, options).await?;
        let base_path = uri.path().trim_end_matches('/').to_owned();
        let scheme = if is_tls { "https" } else { "http" };
        Ok(Target {
            origin: format!("{scheme}://{authority}{base_path}"),
            base_path,
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            addresses,
            tls: if is_tls { Some(tls(&host, options)?) } else { None },
            timeout: options.timeout,
            max_bytes: options.max_response_bytes,
        })
    }
}

impl Target {
    async fn connect(&self) -> Result<Connection, String> {
        let stream =
            TcpStream::connect(&*self.addresses).await.map_err(|error| told("cannot connect", &error))?;
        // Small requests go out at once; a system that cannot do that is as good.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                handshake(stream.map_err(|error| told("TLS fails", &error))?).await
            }
        }
    }
}

async fn look_up(host: &str, port: u16, options: &RunOptions) -> Result<Vec<SocketAddr>, RunError> {
    let not_found = |source| RunError::NotFound { host: host.to_owned(), source };
    let found = match tokio::time::timeout(options.timeout, tokio::net::lookup_host((host, port))).await {
        Ok(found) => found.map_err(not_found)?,
        Err(_) => return Err(not_found(std::io::ErrorKind::TimedOut.into())),
    };
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() {
        return Err(not_found(std::io::ErrorKind::NotFound.into()));
    }
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| options.reach.allows(address.ip())).collect();
    if allowed.is_empty() {
        return Err(RunError::Refused { host: host.to_owned(), why: options.reach.rule() });
    }
    Ok(allowed)
}

fn tls(
    host: &str,
    options: &RunOptions,
) -> Result<(TlsConnector, rustls::pki_types::ServerName<'static>), RunError> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in &options.extra_roots {
        roots.add(root.clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|_| RunError::BaseUrl("its host is no name for TLS".to_owned()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Reads and writes as long as it is asked to.
type Wire = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// A connection. It has no task of its own, so a request wakes nobody but its worker; nothing happens on it between
/// requests, and it ends with its worker.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` when it has ended.
    wire: Option<Wire>,
}

impl Connection {
    /// Works on something for which the wire must be read or written.
    async fn with<T>(wire: &mut Option<Wire>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if let Some(open) = wire
                && open.as_mut().poll(cx).is_ready()
            {
                // What went wrong is told to who sends.
                *wire = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }

    async fn is_ready(&mut self) -> bool {
        Connection::with(&mut self.wire, self.sender.ready()).await.is_ok()
    }
}

/// One worker's way to the service.
pub(crate) struct Client {
    target: Arc<Target>,
    connection: Option<Connection>,
}

impl Client {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Client { target, connection: None }
    }

    /// Sends a request and reads the answer. Redirects are not followed.
    pub(crate) async fn send(&mut self, request: &Prepared) -> Result<Answer, String> {
        let begun = Instant::now();
        let limit = self.target.timeout;
        match tokio::time::timeout(limit, self.exchange(request, begun)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.connection = None;
                Err(format!("no answer within {} s", limit.as_secs_f64()))
            }
        }
    }

    async fn exchange(&mut self, request: &Prepared, begun: Instant) -> Result<Answer, String> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && !connection.is_ready().await
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        let sent = connection.sender.try_send_request(self.wire(request)?);
        let mut was_sent = Connection::with(&mut connection.wire, sent).await;
        // The service closed a connection that was kept, before it took the request: nothing happened there.
        if was_sent.as_mut().is_err_and(|error| error.take_message().is_some()) {
            connection = self.target.connect().await?;
            let sent = connection.sender.try_send_request(self.wire(request)?);
            was_sent = Connection::with(&mut connection.wire, sent).await;
        }
        let answer = was_sent.map_err(|error| told("no answer", &error.into_error()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.target.max_bytes).collect();
        let body = Connection::with(&mut connection.wire, body).await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                format!("the answer is larger than {} bytes", self.target.max_bytes)
            } else {
                told("the answer breaks off", &*error)
            }
        })?;
        self.connection = Some(connection);
        let elapsed_ms = begun.elapsed().as_secs_f64() * 1000.0;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes(), elapsed_ms })
    }

    fn wire(&self, request: &Prepared) -> Result<Request<Full<Bytes>>, String> {
        let target = format!("{}{}", self.target.base_path, request.target);
        let mut wire = Request::new(Full::new(request.body.clone()));
        *wire.method_mut() = request.method.clone();
        *wire.uri_mut() = Uri::try_from(target).map_err(|_| "its path is no address".to_owned())?;
        let headers = wire.headers_mut();
        headers.insert(HOST, self.target.host.clone());
        for (name, value) in &request.headers {
            headers.append(name.clone(), value.clone());
        }
        Ok(wire)
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(256 << 10)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| told("cannot connect", &error))?;
    Ok(Connection { sender, wire: Some(Box::pin(connection)) })
}

fn told(what: &str, error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = chain.map(ToString::to_string).collect();
    format!("{what}: {}", causes.join(": "))
}
