//! A service to record, a proxy, and clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_recorder::{Body, CertificateAuthority, Local, Proxy, ProxyConfig, Recorder, RecorderOptions};
use api_mock_store::StoreOptions;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A service that counts its requests, and stops when dropped.
pub struct Service {
    pub address: SocketAddr,
    pub hits: Arc<AtomicUsize>,
    /// What the last request had.
    pub seen: Arc<std::sync::Mutex<HeaderMap>>,
    pub certificate: CertificateDer<'static>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    pub async fn start(tls: bool) -> Service {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tls.then(|| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (hits, seen) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let counted = (Arc::clone(&hits), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let (acceptor, counted) = (acceptor.clone(), counted.clone());
                running.spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            serve(stream, counted).await;
                        }
                        None => serve(stream, counted).await,
                    }
                });
            }
        });
        Service { address, hits, seen, certificate, task }
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

type Counted = (Arc<AtomicUsize>, Arc<std::sync::Mutex<HeaderMap>>);

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, counted: Counted) {
    let service = service_fn(move |request: Request<Incoming>| {
        counted.0.fetch_add(1, Ordering::SeqCst);
        *counted.1.lock().unwrap() = request.headers().clone();
        async move { Ok::<_, Infallible>(route(request).await) }
    });
    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn all_bytes() -> Vec<u8> {
    (0..=255).collect()
}

async fn route(mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut response = Response::new(full(""));
    let json = http::HeaderValue::from_static("application/json");
    match path.as_str() {
        "/todos" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            *response.status_mut() = StatusCode::CREATED;
            *response.body_mut() = full(body);
            response.headers_mut().insert("content-type", json);
        }
        "/binary" => *response.body_mut() = full(all_bytes()),
        "/big" => *response.body_mut() = full(all_bytes().repeat(8 << 10)),
        "/query" => *response.body_mut() = full(request.uri().query().unwrap_or_default().to_owned()),
        "/gone" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/cookie" => {
            response.headers_mut().append("set-cookie", "sid=s3cret; Path=/".parse().unwrap());
            response.headers_mut().append("set-cookie", "b=2".parse().unwrap());
        }
        "/events" => {
            let (tx, rx) = mpsc::channel(1);
            tokio::spawn(async move {
                let mut n = 0;
                while tx.send(Ok(format!("data: {n}\n\n").into())).await.is_ok() {
                    n += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            *response.body_mut() = Parts(rx).boxed_unsync();
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        }
        "/socket" => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut bytes = [0; 64];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..n]).await.unwrap();
                }
            });
        }
        "/half" => {
            response.headers_mut().insert("content-length", "100".parse().unwrap());
            let (tx, rx) = mpsc::channel(2);
            tx.try_send(Ok(Bytes::from_static(b"half"))).unwrap();
            tokio::spawn(async move {
                // The begin is on its way by then.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = tx.send(Err("ended".into())).await;
            });
            *response.body_mut() = Parts(rx).boxed_unsync();
        }
        _ => {
            *response.body_mut() = full(format!("{{\"path\": \"{path}\", \"object\": \"cash_balance\"}}"));
            response.headers_mut().insert("content-type", json);
            response.headers_mut().insert("x-request-id", "req_2".parse().unwrap());
        }
    }
    response
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that comes part by part.
struct Parts(mpsc::Receiver<Result<Bytes, BoxError>>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

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
        let (engine, problems) =
            Engine::open(StoreOptions::in_folder(folder), EngineOptions::default()).unwrap();
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
    let root = CertificateDer::from_pem_slice(trusted.certificate_pem().as_bytes()).unwrap();
    ask_trusting(proxy, root, alpn, request).await
}

pub async fn ask_trusting(
    proxy: SocketAddr,
    root: CertificateDer<'static>,
    alpn: &[u8],
    mut request: Request<Full<Bytes>>,
) -> std::io::Result<Got> {
    let uri = request.uri().clone();
    let stream = tunnel(proxy, uri.authority().unwrap().as_str()).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from(uri.host().unwrap().to_owned()).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let is_h2 = alpn == b"h2";
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    if !is_h2 {
        *request.uri_mut() = uri.path_and_query().unwrap().as_str().parse().unwrap();
    } else {
        request.headers_mut().remove("host");
    }
    send(stream, is_h2, request).await
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
