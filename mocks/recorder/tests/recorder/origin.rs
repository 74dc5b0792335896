//! A service to record.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api_mock_recorder::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// A service that counts its requests, and stops when dropped.
pub struct Service {
    pub address: SocketAddr,
    pub hits: Arc<AtomicUsize>,
    /// What the last request had.
    pub seen: Arc<std::sync::Mutex<HeaderMap>>,
    pub certificate: CertificateDer<'static>,
    /// Lets `/gated` send its end.
    pub gate: Arc<Notify>,
    /// Bytes of request bodies that came to `/length`.
    pub received: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
    hits: Arc<AtomicUsize>,
    seen: Arc<std::sync::Mutex<HeaderMap>>,
    gate: Arc<Notify>,
    received: Arc<AtomicUsize>,
    repositories: Option<PathBuf>,
}

/// How a service is.
#[derive(Default)]
pub struct Kind {
    pub tls: bool,
    /// Clients must show a certificate that this one vouches for.
    pub clients: Option<CertificateDer<'static>>,
    /// What `/git/` serves.
    pub repositories: Option<PathBuf>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    pub async fn start(tls: bool) -> Service {
        Service::start_as(Kind { tls, ..Kind::default() }).await
    }

    pub async fn start_as(kind: Kind) -> Service {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = tls_config(certificate.clone(), key, kind.clients);
        let acceptor = kind.tls.then(|| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Shared {
            hits: Arc::default(),
            seen: Arc::default(),
            gate: Arc::default(),
            received: Arc::default(),
            repositories: kind.repositories,
        };
        let Shared { hits, seen, gate, received, .. } = shared.clone();
        let task = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                running.spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            serve(stream, shared).await;
                        }
                        None => serve(stream, shared).await,
                    }
                });
            }
        });
        Service { address, hits, seen, certificate, gate, received, task }
    }

    /// Its address under the name that its certificate is for.
    pub fn secure_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn tls_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    clients: Option<CertificateDer<'static>>,
) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(root) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Shared) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        shared.hits.fetch_add(1, Ordering::SeqCst);
        *shared.seen.lock().unwrap() = request.headers().clone();
        async move { Ok::<_, Infallible>(route(request, shared).await) }
    });
    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn all_bytes() -> Vec<u8> {
    (0..=255).collect()
}

async fn route(mut request: Request<Incoming>, shared: Shared) -> Response<Body> {
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
        "/large" => *response.body_mut() = full(all_bytes().repeat(400 << 10)),
        "/page" => {
            *response.body_mut() = full(PAGE);
            response.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
        }
        "/gated" => {
            let (tx, rx) = mpsc::channel(1);
            tx.try_send(Ok(Bytes::from_static(b"first "))).unwrap();
            tokio::spawn(async move {
                shared.gate.notified().await;
                let _ = tx.send(Ok(Bytes::from_static(b"last"))).await;
            });
            *response.body_mut() = Parts(rx).boxed_unsync();
        }
        "/length" => {
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(Ok(frame)) = body.frame().await {
                let came = frame.data_ref().map_or(0, Bytes::len);
                length += came;
                shared.received.fetch_add(came, Ordering::SeqCst);
            }
            *response.body_mut() = full(length.to_string());
        }
        "/grpc.Service/Call" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let end = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )]);
            let body = Full::new(body).with_trailers(async move { Some(Ok(end)) });
            *response.body_mut() = body.map_err(|never| match never {}).boxed_unsync();
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        }
        path if path.starts_with("/git/") => {
            return git(request, &shared.repositories.unwrap()).await;
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

/// Says what the service says, and how large the picture is.
const PAGE: &str = r#"<!doctype html><title>page</title><p id="said">nothing</p><script>
const said = document.getElementById("said");
Promise.all([
    fetch("/v1/x").then((answer) => answer.json()),
    fetch("/todos", {method: "POST", headers: {"content-type": "application/json"}, body: '{"id": 7}'}).then((answer) => answer.json()),
    fetch("/binary").then((answer) => answer.arrayBuffer()),
]).then(([one, two, three]) => { said.textContent = [one.object, two.id, three.byteLength].join(" "); });
</script>"#;

/// Git's own server side, as any web server would run it.
async fn git(request: Request<Incoming>, repositories: &Path) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repositories)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", head.uri.path().strip_prefix("/git").unwrap())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "tester")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let sending = tokio::spawn(async move {
        // It may answer without reading all.
        let _ = input.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap().stdout;
    sending.await.unwrap();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut response = Response::new(full(output[end + 4..].to_vec()));
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            response.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
    }
    response
}
