//! DynamoDB is spoken to over TLS, so a connection a call is a handshake a call. Local engines have none: here is one.
//!
//! The certificate is trusted through `SSL_CERT_FILE`, which both sides' HTTP client reads; since a program cannot change its own
//! environment safely, the measurement runs in a copy of this program.

use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Outcome;

/// The argument of the copy.
pub(crate) const COPY: &str = "--dynamodb-over-tls";

/// Runs the copy against a TLS front of the engine at `url`, until it ends.
pub(crate) fn measure(url: &str, folder: &std::path::Path) -> Outcome {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()])?;
    let roots = folder.join("roots.pem");
    std::fs::write(&roots, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
    let engine = url.trim_start_matches("http://").trim_end_matches('/').to_string();
    let (listener, port) = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        (listener, port)
    };
    // A thread of its own, which ends with the program.
    std::thread::spawn(move || -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(front(listener, TlsAcceptor::from(Arc::new(config)), engine))
    });
    let status = Command::new(std::env::current_exe()?)
        .arg(COPY)
        .env("SSL_CERT_FILE", &roots)
        .env("DB_LOCKS_TEST_DYNAMODB_URL", format!("https://localhost:{port}"))
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("the copy of this program: {status}").into()) }
}

async fn front(listener: std::net::TcpListener, tls: TlsAcceptor, engine: String) -> Outcome {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let (tls, engine) = (tls.clone(), engine.clone());
        tokio::spawn(async move {
            let (Ok(mut client), Ok(mut server)) =
                (tls.accept(client).await, TcpStream::connect(engine.as_str()).await)
            else {
                return;
            };
            let _ = server.set_nodelay(true);
            // Either side may end it at any time.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
