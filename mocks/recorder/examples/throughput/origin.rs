//! The services behind the proxy: hyper alone, with or without TLS.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Failure;

pub(crate) const BODY: &str = r#"{"object": "cash_balance", "available": null, "customer": "cus_123", "livemode": false, "settings": {"reconciliation_mode": "automatic"}}"#;

/// Makes a certificate for `localhost` and its key.
pub(crate) fn make_identity(folder: &Path) -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// Serves `http`, `https`, or `h2` (HTTPS that speaks HTTP/2, too) with the certificate of a folder.
pub(crate) async fn serve(kind: &str, folder: &Path) -> Result<(), Failure> {
    let acceptor = match kind {
        "http" => None,
        "https" => Some(acceptor(folder, &[b"http/1.1"])?),
        _ => Some(acceptor(folder, &[b"h2", b"http/1.1"])?),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match acceptor.clone() {
            None => drop(tokio::spawn(connection(stream))),
            Some(acceptor) => drop(tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    connection(stream).await;
                }
            })),
        }
    }
}

fn acceptor(folder: &Path, protocols: &[&[u8]]) -> Result<TlsAcceptor, Failure> {
    let chain = api_mock_recorder::certificates(&folder.join("cert.pem"))?;
    let key = api_mock_recorder::private_key(&folder.join("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config).into())
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let http = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is no error of ours.
    let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-request-id", HeaderValue::from_static("req_1234567"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    Ok(response)
}
