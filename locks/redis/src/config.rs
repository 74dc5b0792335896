//! From URLs to what the driver needs.
//!
//! `redis://user:password@host:port/database`, `rediss://` for TLS, `redis+unix:///path`. Parameters:
//! `cluster=true`, `cacert=FILE`, `cert=FILE` with `key=FILE` (PEM, as `redis-cli` calls them), `protocol=resp2` (no push),
//! `group_commit=false` (a script of its own for every call), `wait_replicas=N` (what is confirmed is on so many replicas),
//! and the fragment `#insecure` (TLS without checking the certificate). Several nodes of a cluster are separated by commas;
//! a node without a scheme takes scheme, user and password of the first.

use std::time::Duration;

use db_locks_core::error::redact_url;
use db_locks_core::{LockError, LockResult, LocksConfig};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ClientTlsConfig, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates};

/// The configuration's field, for error messages.
const FIELD: &str = "redis_url";
/// How long a silent connection is trusted before the kernel asks the other side, and between its questions.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// What a URL and a configuration mean.
#[derive(Debug)]
pub(crate) struct Settings {
    /// One server, or nodes of one cluster.
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) tls: Option<TlsCertificates>,
    /// The server can call us (RESP3).
    pub(crate) push: bool,
    /// Calls that come while others are on their way go together.
    pub(crate) group_commit: bool,
    /// So many replicas must have what is confirmed.
    pub(crate) wait_replicas: u32,
    /// What every key begins with.
    pub(crate) prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// The URL without secrets, for messages.
    pub(crate) shown: String,
}

/// The parameters that are ours, not the driver's.
#[derive(Debug, Default, PartialEq)]
struct Parameters {
    cluster: bool,
    cacert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    resp2: bool,
    apart: bool,
    wait_replicas: u32,
}

impl Settings {
    /// Reads the URLs of `config` and the files that they name.
    ///
    /// # Errors
    /// `Validation` for a malformed URL (which is not repeated: it may hold a password), `Runtime` for an unreadable file.
    pub(crate) async fn new(config: &LocksConfig) -> LockResult<Self> {
        config.validate()?;
        let urls = split_urls(&config.redis_url())?;
        let mut parameters = Parameters::default();
        let mut nodes = Vec::with_capacity(urls.len());
        for url in &urls {
            parameters.read(url)?;
            nodes.push(node(url, config.request_timeout())?);
        }
        let (cluster, wait_replicas) = (parameters.cluster || nodes.len() > 1, parameters.wait_replicas);
        if cluster && wait_replicas > 0 {
            return Err(LockError::validation(FIELD, "has wait_replicas, which only a single server takes"));
        }
        let (push, group_commit) = (!parameters.resp2, !parameters.apart);
        let protocol = if push { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let with_protocol = |node: ConnectionInfo| {
            let redis = node.redis_settings().clone().set_protocol(protocol);
            node.set_redis_settings(redis.set_lib_name("db-locks", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            cluster,
            nodes: nodes.into_iter().map(with_protocol).collect(),
            tls: parameters.certificates().await?,
            push,
            group_commit,
            wait_replicas,
            prefix: config.mutexes_table_name.clone().unwrap_or_else(|| "db-locks".to_string()),
            connect_timeout: config.connect_timeout(),
            request_timeout: config.request_timeout(),
            shown: urls.iter().map(|url| redact_url(url)).collect::<Vec<_>>().join(","),
        })
    }
}

/// The URLs, each whole.
fn split_urls(list: &str) -> LockResult<Vec<String>> {
    let mut urls: Vec<String> = Vec::new();
    for piece in list.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        match urls.first() {
            Some(first) if !piece.contains("://") => {
                let (scheme, rest) = first.split_once("://").unwrap_or(("redis", first));
                let user = rest.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
                let whole = format!("{scheme}://{user}{piece}");
                urls.push(whole);
            }
            _ => urls.push(piece.to_string()),
        }
    }
    if urls.is_empty() {
        return Err(LockError::validation(FIELD, "names no server"));
    }
    Ok(urls)
}

fn node(url: &str, request_timeout: Duration) -> LockResult<ConnectionInfo> {
    let info = redis::parse_redis_url(url)
        .ok_or_else(|| LockError::validation(FIELD, "is not a URL of the form redis://host:port"))?
        .into_connection_info()
        // The driver's words name the part at fault and hold nothing of the URL but a host or a number.
        .map_err(|error| LockError::validation(FIELD, error.to_string()))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE.0).with_interval(KEEPALIVE.1);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    Ok(info.set_tcp_settings(bound_silence(tcp, request_timeout)))
}

/// The kernel ends a connection on which nothing is acknowledged for so long.
#[cfg(target_os = "linux")]
fn bound_silence(tcp: TcpSettings, longest: Duration) -> TcpSettings {
    tcp.set_user_timeout(longest)
}

#[cfg(not(target_os = "linux"))]
fn bound_silence(tcp: TcpSettings, _: Duration) -> TcpSettings {
    tcp
}

impl Parameters {
    /// Reads those of one URL.
    fn read(&mut self, url: &str) -> LockResult<()> {
        let Some(url) = redis::parse_redis_url(url) else { return Ok(()) };
        for (name, value) in url.query_pairs() {
            let value = value.into_owned();
            match name.as_ref() {
                "cluster" => self.cluster |= truth("cluster", &value)?,
                "cacert" => self.cacert = Some(value),
                "cert" => self.cert = Some(value),
                "key" => self.key = Some(value),
                "group_commit" => self.apart |= !truth("group_commit", &value)?,
                "wait_replicas" => {
                    let number = value.parse().ok().filter(|number| (1..=100).contains(number));
                    self.wait_replicas = number.ok_or_else(|| {
                        LockError::validation(
                            FIELD,
                            "has a parameter wait_replicas that is no number from 1 to 100",
                        )
                    })?;
                }
                "protocol" => self.resp2 = value == "2" || value == "resp2",
                _ => {}
            }
        }
        Ok(())
    }

    /// The files that they name; none if they name none.
    async fn certificates(self) -> LockResult<Option<TlsCertificates>> {
        let client = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(LockError::validation(FIELD, "has one of cert and key; they go together")),
        };
        if client.is_none() && self.cacert.is_none() {
            return Ok(None);
        }
        // Files are read away from the runtime's own threads.
        let files = tokio::task::spawn_blocking(move || {
            let client_tls = match client {
                Some((cert, key)) => {
                    Some(ClientTlsConfig { client_cert: read(&cert)?, client_key: read(&key)? })
                }
                None => None,
            };
            Ok(TlsCertificates { client_tls, root_cert: self.cacert.as_deref().map(read).transpose()? })
        });
        files.await.map_err(|error| LockError::runtime_from("cannot read TLS files", error))?.map(Some)
    }
}

fn read(path: &str) -> LockResult<Vec<u8>> {
    std::fs::read(path).map_err(|error| LockError::runtime_from(format!("cannot read {path:?}"), error))
}

fn truth(name: &str, value: &str) -> LockResult<bool> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(LockError::validation(
            FIELD,
            format!("has a parameter {name} that is neither true nor false"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn settings(url: &str) -> LockResult<Settings> {
        let mut config = LocksConfig::new("t");
        config.redis_url = Some(url.to_string());
        Settings::new(&config).await
    }

    #[tokio::test]
    async fn one_server_or_a_cluster() {
        assert!(!settings("redis://h:1/3").await.unwrap().cluster);
        assert!(settings("redis://h:1?cluster=true").await.unwrap().cluster);
        let nodes = settings("rediss://u:p%2C@h:1#insecure, h:2,redis://other:3").await.unwrap();
        assert!(nodes.cluster);
        assert_eq!(nodes.nodes.len(), 3);
        assert_eq!(nodes.nodes[1].redis_settings().password(), Some("p,"));
        assert_eq!(nodes.nodes[1].addr().to_string(), "h:2");
    }

    #[tokio::test]
    async fn bad_urls_are_refused_without_repeating_them() {
        for url in [
            "",
            " , ",
            "no url",
            "http://h",
            "redis://:s3cret@",
            "redis://:s3cret@h/x",
            "redis://h?cluster=2",
            "redis://h?group_commit=maybe",
            "redis://h?wait_replicas=all",
            "redis://h?wait_replicas=1&cluster=true",
        ] {
            let error = settings(url).await.unwrap_err();
            assert_eq!(error.kind(), db_locks_core::ErrorKind::Validation, "{url}: {error}");
            assert!(!error.chain().contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_shows_a_password() {
        let settings = settings("redis://u:s3cret@h:1,h:2").await.unwrap();
        assert_eq!(settings.shown, "redis://u:***@h:1,redis://u:***@h:2");
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_missing_certificate_is_named() {
        let error = settings("rediss://h?cacert=/no/such/file").await.unwrap_err();
        assert!(error.to_string().contains("/no/such/file"));
        assert!(settings("rediss://h?cert=a").await.is_err());
    }
}
