//! Connecting: names, addresses that are allowed, TLS, a proxy in between.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::link::Link;
use super::{UpstreamOptions, UpstreamProxy};
use crate::guard::AddressGuard;

/// The head of a proxy's answer.
const HEAD_BYTES: usize = 8 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0} is no address of a service")]
    Address(String),
    #[error("the name {host} is not known: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host} is at {address}, which is not public and not allowed")]
    Forbidden { host: String, address: IpAddr },
    #[error("this request would come back to this proxy")]
    Loop,
    #[error("cannot connect to {host}: {source}")]
    Io { host: String, source: io::Error },
    #[error("no secure connection to {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("connecting to {host} took too long")]
    Timeout { host: String },
    #[error("the proxy in between does not connect to {host}; it answers {status}")]
    Proxy { host: String, status: String },
}

/// Makes connections. Clones share which address is avoided.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: tokio_rustls::TlsConnector,
    guard: Option<Arc<AddressGuard>>,
    proxy: Option<Arc<UpstreamProxy>>,
    timeout: Duration,
    avoided: Arc<OnceLock<SocketAddr>>,
}

impl Connector {
    pub(super) fn new(
        tls: Arc<rustls::ClientConfig>,
        guard: Option<AddressGuard>,
        options: &UpstreamOptions,
    ) -> Self {
        Connector {
            tls: tls.into(),
            guard: guard.map(Arc::new),
            proxy: options.proxy.clone().map(Arc::new),
            timeout: options.connect_timeout,
            avoided: Arc::default(),
        }
    }

    pub(super) fn sharing(mut self, other: &Connector) -> Self {
        self.avoided = Arc::clone(&other.avoided);
        self
    }

    pub(super) fn avoid(&self, address: SocketAddr) {
        let _ = self.avoided.set(address);
    }

    /// A connection for bytes; through the proxy in between if there is one.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let connected = tokio::time::timeout(self.timeout, async {
            let stream = self.reach(host, port).await?;
            match self.proxy.as_deref() {
                Some(proxy) => tunnel(stream, proxy, host, port).await,
                None => Ok(stream),
            }
        });
        connected.await.unwrap_or_else(|_| Err(ConnectError::Timeout { host: host.to_owned() }))
    }

    /// A connection to a host, or to the proxy before it.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = match self.proxy.as_deref() {
            Some(proxy) => {
                // Names that only the proxy in between knows are its matter, unless a guard must know where they lead.
                if self.guard.is_some() || is_local(host) {
                    self.allowed(host, port).await?;
                }
                resolve(proxy.host(), proxy.port()).await?
            }
            None => self.allowed(host, port).await?,
        };
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(ConnectError::Io { host: host.to_owned(), source: failure })
    }

    /// The addresses of a host, if all of them may be connected to.
    async fn allowed(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let addresses = resolve(host, port).await?;
        for address in &addresses {
            if self.guard.as_deref().is_some_and(|guard| !guard.permits(host, address.ip())) {
                return Err(ConnectError::Forbidden { host: host.to_owned(), address: address.ip() });
            }
            if self.avoided.get().is_some_and(|own| is_same(own, address)) {
                return Err(ConnectError::Loop);
            }
        }
        Ok(addresses)
    }

    async fn link(self, uri: Uri) -> Result<TokioIo<Link>, ConnectError> {
        let bad = || ConnectError::Address(uri.to_string());
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let linked = async {
            if !is_tls {
                let (stream, is_proxy) = (self.reach(&host, port).await?, self.proxy.is_some());
                return Ok(Link::Plain { stream, is_proxy });
            }
            let mut stream = self.reach(&host, port).await?;
            if let Some(proxy) = self.proxy.as_deref() {
                stream = tunnel(stream, proxy, &host, port).await?;
            }
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            let secured = self.tls.connect(name, stream).await;
            let stream = secured.map_err(|source| ConnectError::Tls { host: host.clone(), source })?;
            Ok(Link::Tls(Box::new(stream)))
        };
        match tokio::time::timeout(self.timeout, linked).await {
            Ok(linked) => linked.map(TokioIo::new),
            Err(_) => Err(ConnectError::Timeout { host: host.clone() }),
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| ConnectError::Resolve { host: host.to_owned(), source })?;
    Ok(found.collect())
}

/// A host that is known without asking anybody.
fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// Whether a connection to an address ends at our own socket.
fn is_same(own: &SocketAddr, other: &SocketAddr) -> bool {
    let address = other.ip().to_canonical();
    own.port() == other.port()
        && (own.ip() == address
            || own.ip().is_unspecified() && (address.is_loopback() || address.is_unspecified()))
}

/// Asks a proxy for a way through.
async fn tunnel(
    mut stream: TcpStream,
    proxy: &UpstreamProxy,
    host: &str,
    port: u16,
) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Io { host: host.to_owned(), source };
    let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut asked = format!("CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n").into_bytes();
    if let Some(authorization) = proxy.authorization() {
        asked.extend_from_slice(&[&b"Proxy-Authorization: "[..], authorization.as_bytes(), b"\r\n"].concat());
    }
    asked.extend_from_slice(b"\r\n");
    stream.write_all(&asked).await.map_err(failed)?;
    let mut head = Vec::new();
    // Byte by byte, so that nothing of what follows is taken.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES {
            return Err(ConnectError::Proxy { host: host.to_owned(), status: "too much".to_owned() });
        }
        head.push(stream.read_u8().await.map_err(failed)?);
    }
    let status = head.get(9..12).filter(|_| head.starts_with(b"HTTP/1.")).unwrap_or(b"nothing of HTTP");
    if status.starts_with(b"2") {
        return Ok(stream);
    }
    Err(ConnectError::Proxy { host: host.to_owned(), status: String::from_utf8_lossy(status).into_owned() })
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Link>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().link(uri))
    }
}

/// Trusts every certificate; for those who asked for that.
#[derive(Debug)]
pub(super) struct AcceptAny {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AcceptAny {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        AcceptAny { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
