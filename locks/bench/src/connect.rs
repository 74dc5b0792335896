//! Connections of our own beside those of db-locks, from the same URLs: also to servers that speak TLS.

use std::path::PathBuf;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Outcome;

/// A URL as a driver takes it, and the file of the authority that signed the server's certificate, if it speaks TLS.
struct Address {
    url: String,
    authority: Option<PathBuf>,
}

/// Takes the parameters off that db-locks has for TLS: `sslrootcert`, `ssl-ca`, `cacert` and those that go with them.
fn address(url: &str) -> Address {
    let Some((base, query)) = url.split_once('?') else {
        return Address { url: url.to_string(), authority: None };
    };
    let (mut authority, mut others) = (None, Vec::new());
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslrootcert" | "ssl-ca" | "cacert", path)) => authority = Some(PathBuf::from(path)),
            Some(("sslmode" | "ssl-mode", _)) => {}
            _ => others.push(parameter),
        }
    }
    let question = if others.is_empty() { "" } else { "?" };
    Address { url: format!("{base}{question}{}", others.join("&")), authority }
}

/// Connects to PostgreSQL.
pub(crate) async fn postgres(url: &str) -> Outcome<tokio_postgres::Client> {
    let Address { url, authority } = address(url);
    let mut config: tokio_postgres::Config = url.parse()?;
    let mut roots = RootCertStore::empty();
    if let Some(authority) = authority {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        roots.add(CertificateDer::from_pem_slice(&std::fs::read(authority)?)?)?;
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
    tokio::spawn(async move {
        // Ends with the client.
        let _ = connection.await;
    });
    Ok(client)
}

/// Connects to MySQL or MariaDB.
pub(crate) async fn mysql(url: &str) -> Outcome<mysql_async::Conn> {
    let Address { url, authority } = address(url);
    let options = mysql_async::OptsBuilder::from_opts(mysql_async::Opts::from_url(&url)?);
    let tls = authority.map(|authority| {
        mysql_async::SslOpts::default()
            .with_root_certs(vec![authority.into()])
            .with_disable_built_in_roots(true)
    });
    Ok(mysql_async::Conn::new(options.ssl_opts(tls)).await?)
}

/// Connects to Redis.
pub(crate) async fn redis(url: &str) -> Outcome<MultiplexedConnection> {
    let Address { url, authority } = address(url);
    let client = match authority {
        None => redis::Client::open(url)?,
        Some(authority) => {
            let root_cert = Some(std::fs::read(authority)?);
            redis::Client::build_with_tls(url, redis::TlsCertificates { client_tls: None, root_cert })?
        }
    };
    Ok(client.get_multiplexed_async_connection().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_taken_off_a_url() {
        let taken = |url| {
            let Address { url, authority } = address(url);
            (url, authority.map(|path| path.display().to_string()))
        };
        assert_eq!(taken("redis://h:1/0"), ("redis://h:1/0".to_string(), None));
        let tls = "mysql://u@h:1/d?ssl-mode=VERIFY_CA&ssl-ca=/tmp/ca.pem";
        assert_eq!(taken(tls), ("mysql://u@h:1/d".to_string(), Some("/tmp/ca.pem".to_string())));
        let tls = "postgres://h/d?sslmode=verify-full&connect_timeout=3&sslrootcert=/ca";
        assert_eq!(taken(tls), ("postgres://h/d?connect_timeout=3".to_string(), Some("/ca".to_string())));
    }
}
