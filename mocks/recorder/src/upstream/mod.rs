//! The client side: how real services are reached.

mod between;
mod connect;
mod link;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use between::{BadProxy, UpstreamProxy};
pub(crate) use connect::{ConnectError, Connector};

use crate::guard::AddressGuard;

/// Anything that can go wrong with a body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Headers of an answer. Some services send more than the hundred that hyper takes by itself.
const MOST_HEADERS: usize = 1_000;

/// The body of a request on its way up.
pub(crate) type UpBody = UnsyncBoxBody<Bytes, BoxError>;

/// How services are reached.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// Certificates are not verified. Default: they are.
    pub insecure: bool,
    /// Certificates to trust besides those of the system.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// What this client shows to services that ask who it is.
    pub client_identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    /// The proxy behind which services are. Default: none.
    pub proxy: Option<UpstreamProxy>,
    /// A connection, its TLS included, must stand by then. Default: 10 s.
    pub connect_timeout: Duration,
    /// The head of an answer must have come by then. Default: 60 s.
    pub head_timeout: Duration,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        UpstreamOptions {
            insecure: false,
            extra_roots: Vec::new(),
            client_identity: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for UpstreamOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamOptions").field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

/// A file with certificates or keys is no good.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct PemError {
    path: PathBuf,
    message: String,
}

/// The certificates of a PEM file. Blocks.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let wrong = |message: String| PemError { path: path.to_owned(), message };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?.collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("no PEM certificate in it".to_owned())) } else { Ok(found) }
}

/// The key of a PEM file. Blocks.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| PemError { path: path.to_owned(), message: error.to_string() })
}

/// Clients with their connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    any: Client<Connector, UpBody>,
    /// For connections that become something else than HTTP.
    http1: Client<Connector, UpBody>,
    connector: Connector,
    head_timeout: Duration,
    /// For the proxy in between, which sees the requests that are not encrypted.
    authorization: Option<HeaderValue>,
    has_proxy: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the service did not answer in time")]
    Timeout,
    #[error("{0}")]
    Failed(String, #[source] hyper_util::client::legacy::Error),
    #[error("the proxy in between wants a user and password, or others")]
    Between,
    /// Somewhere it must not go.
    #[error("{0}")]
    Forbidden(String),
}

impl Upstream {
    /// With a guard, only some addresses are connected to. Blocks while it reads the system's certificates.
    pub(crate) fn new(options: &UpstreamOptions, guard: Option<AddressGuard>) -> Result<Self, rustls::Error> {
        let tls = tls_config(options)?;
        let connector = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Connector::new(Arc::new(tls), guard.clone(), options)
        };
        let one = connector(&[b"http/1.1"]);
        let both = connector(&[b"h2", b"http/1.1"]).sharing(&one);
        Ok(Upstream {
            any: client(both),
            http1: client(one.clone()),
            connector: one,
            head_timeout: options.head_timeout,
            authorization: options.proxy.as_ref().and_then(UpstreamProxy::authorization).cloned(),
            has_proxy: options.proxy.is_some(),
        })
    }

    /// Sends a request with a whole address. `is_upgrade` for those that want another protocol.
    pub(crate) async fn call(
        &self,
        mut request: Request<UpBody>,
        is_upgrade: bool,
    ) -> Result<Response<Incoming>, CallError> {
        let is_plain = request.uri().scheme() == Some(&Scheme::HTTP);
        if let Some(authorization) = self.authorization.as_ref().filter(|_| is_plain) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let client = if is_upgrade { &self.http1 } else { &self.any };
        match tokio::time::timeout(self.head_timeout, client.request(request)).await {
            Err(_) => Err(CallError::Timeout),
            // That is for us, not for the client, who must not be asked for a password of another proxy.
            Ok(Ok(response))
                if is_plain
                    && self.has_proxy
                    && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                Err(CallError::Between)
            }
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(explained(error)),
        }
    }

    /// A connection for bytes that nobody looks at.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<tokio::net::TcpStream, ConnectError> {
        self.connector.dial(host, port).await
    }

    /// Never connect to this one: it is our own.
    pub(crate) fn avoid(&self, address: SocketAddr) {
        // Clones of a connector share what they avoid.
        self.connector.avoid(address);
    }
}

fn explained(error: hyper_util::client::legacy::Error) -> CallError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<ConnectError>() {
            let text = found.to_string();
            return match found {
                ConnectError::Forbidden { .. } | ConnectError::Loop => CallError::Forbidden(text),
                _ => CallError::Failed(text, error),
            };
        }
        last = inner.to_string();
        cause = inner.source();
    }
    CallError::Failed(last, error)
}

fn client(connector: Connector) -> Client<Connector, UpBody> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(64)
        .http1_max_buf_size(256 << 10)
        .http1_max_headers(MOST_HEADERS)
        .http2_adaptive_window(true);
    builder.build(connector)
}

fn tls_config(options: &UpstreamOptions) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(connect::AcceptAny::new(&provider)))
    } else {
        builder.with_root_certificates(roots(options))
    };
    match options.client_identity.as_deref() {
        Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// What the system trusts; where it has nothing to say, what Mozilla trusts.
fn roots(options: &UpstreamOptions) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(options.extra_roots.iter().cloned());
    roots
}
