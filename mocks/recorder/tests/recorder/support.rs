//! A proxy, and clients.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_recorder::{
    Body, CertificateAuthority, Local, Mode, Proxy, ProxyConfig, Recorder, RecorderOptions, UpstreamOptions,
};
use api_mock_store::StoreOptions;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::origin::{Service, full};

/// Answers for the admin API.
struct Admin;

impl Local for Admin {
    fn is_local(&self, _: &Method, path: &str) -> bool {
        path == "/_scenarios"
    }

    fn answer(&self, _: Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        Box::pin(async { Response::new(full("admin")) })
    }
}

/// A proxy with a store of its own.
pub struct Recording {
    pub address: SocketAddr,
    pub engine: Arc<Engine>,
    pub recorder: Arc<Recorder>,
    pub authority: Arc<CertificateAuthority>,
    end: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<usize>>,
}

impl Recording {
    pub async fn start(folder: &Path, config: ProxyConfig, options: RecorderOptions) -> Recording {
        let mut store = StoreOptions::in_folder(folder);
        // As the service does it.
        store.max_fixture_bytes = 128 << 20;
        let (engine, problems) = Engine::open(store, EngineOptions::default()).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let engine = Arc::new(engine);
        let recorder = Recorder::open(Arc::clone(&engine), options).unwrap();
        let authority = CertificateAuthority::kept_in(&folder.join(".ca")).unwrap();
        let config = ProxyConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
        let proxy = Proxy::bind(config, Arc::clone(&recorder), Arc::clone(&authority), Arc::new(Admin))
            .await
            .unwrap();
        let address = proxy.address();
        let (end, asked) = oneshot::channel::<()>();
        let task = tokio::spawn(proxy.serve(async {
            let _ = asked.await;
        }));
        Recording { address, engine, recorder, authority, end: Some(end), task: Some(task) }
    }

    /// Ends it, and says how many connections were cut off.
    pub async fn end(mut self) -> usize {
        drop(self.end.take());
        self.task.take().unwrap().await.unwrap()
    }

    pub async fn names(&self) -> Vec<String> {
        self.recorder.flush(Duration::from_secs(10)).await;
        let snapshot = self.engine.store().snapshot();
        snapshot.scenarios().map(|(key, _)| key.name.clone()).collect()
    }
}

/// What a client got.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "host") {
        let host = url.parse::<Uri>().unwrap().authority().map(ToString::to_string);
        request = request.header("host", host.unwrap_or_else(|| "localhost".to_owned()));
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// Sends one request through a proxy.
pub async fn ask(proxy: SocketAddr, request: Request<Full<Bytes>>) -> Got {
    let stream = TcpStream::connect(proxy).await.unwrap();
    send(stream, false, request).await.unwrap()
}

pub async fn get(proxy: SocketAddr, url: &str) -> Got {
    ask(proxy, request("GET", url, &[], "")).await
}

/// Opens a tunnel and speaks TLS inside of it.
pub async fn ask_securely(
    proxy: SocketAddr,
    trusted: &CertificateAuthority,
    alpn: &[u8],
    request: Request<Full<Bytes>>,
) -> std::io::Result<Got> {
    ask_trusting(proxy, root_of(trusted), alpn, request).await
}

pub async fn ask_trusting(
    proxy: SocketAddr,
    root: CertificateDer<'static>,
    alpn: &[u8],
    mut request: Request<Full<Bytes>>,
) -> std::io::Result<Got> {
    let uri = request.uri().clone();
    let stream = secure(proxy, root, alpn, uri.authority().unwrap().as_str()).await?;
    let is_h2 = alpn == b"h2";
    if !is_h2 {
        *request.uri_mut() = uri.path_and_query().unwrap().as_str().parse().unwrap();
    } else {
        request.headers_mut().remove("host");
    }
    send(stream, is_h2, request).await
}

/// TLS inside of a tunnel.
pub async fn secure(
    proxy: SocketAddr,
    root: CertificateDer<'static>,
    alpn: &[u8],
    authority: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = tunnel(proxy, authority).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from(authority.split(':').next().unwrap().to_owned()).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    Ok(stream)
}

/// The certificate that clients of a proxy trust.
pub fn root_of(authority: &CertificateAuthority) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()
}

/// The inside of a tunnel.
pub async fn tunnel(proxy: SocketAddr, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn send<S>(stream: S, is_h2: bool, request: Request<Full<Bytes>>) -> std::io::Result<Got>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let answer = if is_h2 {
        let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
        let (mut sender, connection) = made.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let made = hyper::client::conn::http1::handshake(io).await;
        let (mut sender, connection) = made.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let (head, body) = answer.map_err(std::io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    Ok(Got { status: head.status.as_u16(), headers: head.headers, body })
}

/// All files below a folder that are no certificates, with what they hold.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != ".ca" {
                folders.push(path);
            } else if path.is_file() {
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Trusts a service's own certificate.
pub fn trusting(service: &Service) -> RecorderOptions {
    let upstream =
        UpstreamOptions { extra_roots: vec![service.certificate.clone()], ..UpstreamOptions::default() };
    RecorderOptions { upstream, ..RecorderOptions::default() }
}

pub fn mode(mode: Mode) -> ProxyConfig {
    ProxyConfig { mode, ..ProxyConfig::default() }
}
