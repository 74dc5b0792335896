//! HTTP/2 in clear text and under TLS, with a real client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use api_mock_server::Identity;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::support::http::upload;
use crate::support::{TestServer, simple};

pub(crate) type Request = http::Request<Full<Bytes>>;

pub(crate) fn request(method: &str, uri: &str, body: &'static str) -> Request {
    http::Request::builder().method(method).uri(uri).body(Full::from(body)).unwrap()
}

#[test]
fn http2_with_prior_knowledge_serves_streams_side_by_side() {
    let server = TestServer::start();
    upload(server.address, &simple("POST", "echo", "/echo/:id", "{{.id}}"));
    upload(server.address, &simple("HEAD", "head", "/head", "hello"));
    server.block_on(async {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut all = tokio::task::JoinSet::new();
        for id in 0..100 {
            let mut sender = sender.clone();
            all.spawn(async move {
                let request = request("POST", &format!("http://localhost/echo/{id}"), "body");
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.version(), http::Version::HTTP_2);
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, id.to_string());
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        let mut sender = sender;
        let answer = sender.send_request(request("HEAD", "http://localhost/head", "")).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "5");
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
        let answer = sender.send_request(request("GET", "http://localhost/_scenarios", "")).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(sender);
        driver.abort();
    });
}

/// A body of pieces of 64 KiB that does not tell its length: what is too long is noticed while it comes.
struct Pieces {
    left: usize,
    /// Whether all of it was sent.
    taken: Arc<AtomicBool>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.left.checked_sub(1) else {
            self.taken.store(true, Ordering::SeqCst);
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; 64 << 10])))))
    }
}

/// What is refused before its body is read is answered all the same: the whole body is sent, and the answer comes.
#[test]
fn http2_tells_why_it_refuses_a_request_with_a_body() {
    let server = TestServer::with(|config, _| {
        config.admin_token = Some("s3cret".to_owned().into());
        config.limits.body_bytes = 1 << 20;
        config.limits.upload_bytes = 4 << 20;
    });
    server.block_on(async {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let asked = [
            ("POST", "/_scenarios", 401),
            ("POST", "/_health", 405),
            ("POST", "/nothing/here", 413),
            ("PUT", "/nothing/here", 413),
        ];
        for (method, path, status) in asked.into_iter().cycle().take(20) {
            let uri = format!("http://localhost{path}");
            let taken = Arc::new(AtomicBool::new(false));
            let body = Pieces { left: 48, taken: taken.clone() };
            let request = http::Request::builder().method(method).uri(uri).body(body).unwrap();
            let answer = sender.clone().send_request(request).await.unwrap();
            assert_eq!(answer.status(), status, "{method} {path}");
            let told = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(told.starts_with(b"{"), "{method} {path}: {told:?}");
            assert!(taken.load(Ordering::SeqCst), "{method} {path}: the request was reset");
        }
        drop(sender);
        driver.abort();
    });
}

pub(crate) async fn connect(
    server: &TestServer,
    pem: &str,
    protocols: &[&str],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[test]
fn tls_speaks_http2_or_http1_as_the_client_likes() {
    let identity = Identity::generate(["localhost", "127.0.0.1"]).unwrap();
    let pem = identity.certificate_pem().to_owned();
    let server = TestServer::with(|config, _| config.identity = Some(identity));
    server.block_on(async {
        let stream = connect(&server, &pem, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request("GET", "https://localhost/_health", "")).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, http::Version::HTTP_2));
        drop(sender);
        driver.abort();

        let stream = connect(&server, &pem, &["http/1.1"]).await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request("GET", "/_health", "")).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, http::Version::HTTP_11));
        drop(sender);
        driver.abort();
    });
}

#[test]
fn a_made_certificate_is_kept_and_its_key_is_for_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let first = Identity::kept_in(folder.path(), ["localhost"]).unwrap();
    let second = Identity::kept_in(folder.path(), ["localhost"]).unwrap();
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    let given =
        Identity::from_files(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    assert_eq!(given.certificate_pem(), first.certificate_pem());
    let error =
        Identity::from_files(&folder.path().join("key.pem"), &folder.path().join("key.pem")).unwrap_err();
    assert!(error.to_string().contains("no PEM certificate"), "{error}");
    assert!(Identity::from_files(&folder.path().join("no.pem"), &folder.path().join("key.pem")).is_err());
}

#[test]
fn clear_text_to_a_tls_port_ends_and_harms_nobody() {
    let identity = Identity::generate(["localhost"]).unwrap();
    let pem = identity.certificate_pem().to_owned();
    let server = TestServer::with(|config, _| config.identity = Some(identity));
    let mut connection = crate::support::http::Connection::open(server.address);
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut rest = Vec::new();
    // An alert of TLS, then the end.
    while !connection.is_ended() {
        rest.push(());
        assert!(rest.len() < 1000);
    }
    server.block_on(async { connect(&server, &pem, &["h2"]).await });
}
