//! What a server is told when it starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::{Answer, Refusal, Request};
use api_mock_recorder::{ProxyConfig, RecorderOptions};
use http::{HeaderValue, Uri};

use crate::tls::Identity;

/// Where and how a server listens. The default is safe: loopback, no TLS, an admin API without a token that
/// only this machine reaches.
///
/// ```
/// use api_mock_server::ServerConfig;
/// let config = ServerConfig { admin_token: Some("s3cret".to_owned().into()), ..ServerConfig::default() };
/// assert!(config.address.ip().is_loopback());
/// assert!(!format!("{config:?}").contains("s3cret"));
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one. Default: `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// Speak TLS with this certificate. Default: none, plain HTTP.
    pub identity: Option<Identity>,
    /// What `Authorization: Bearer …` must say for the admin API. Default: nothing is asked.
    pub admin_token: Option<AdminToken>,
    /// Folder whose files `/_assets/` serves. Default: none.
    pub asset_dir: Option<PathBuf>,
    /// Origins whose web pages may use the admin API. Default: none.
    pub admin_origins: Vec<HeaderValue>,
    /// Record, with `/_proxy` and a proxy. Default: not.
    pub recording: Option<RecordingConfig>,
    /// The real service to which requests go that no scenario is for. Default: none, they are answered 404.
    pub upstream: Option<Uri>,
    /// Whether the chaos client, asked through the admin API, may try services in private networks. It may always try
    /// those of this machine and public ones. Default: it may not.
    pub chaos_private: bool,
    /// Sees what is played back, and may change it. Default: nobody does.
    pub on_answer: Option<OnAnswer>,
    /// Whether requests to operations of imported specifications must be as these want them; else they are refused with
    /// all that is wrong about them. Default: they need not be.
    pub validate_requests: bool,
    /// The credentials that are good, where `validate_requests` asks for some: keys, tokens, what follows `Basic`.
    /// Default: none are told, and all are good.
    pub credentials: Credentials,
    /// Sizes and numbers.
    pub limits: ServerLimits,
    /// Times.
    pub timeouts: Timeouts,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            identity: None,
            admin_token: None,
            asset_dir: None,
            admin_origins: Vec::new(),
            chaos_private: false,
            on_answer: None,
            recording: None,
            upstream: None,
            validate_requests: false,
            credentials: Credentials::default(),
            limits: ServerLimits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Called with each request that is played back, and with what the engine says to it, which it may change.
type Observer = dyn Fn(&Request, &mut Result<Answer, Refusal>) + Send + Sync;

/// A function that sees each request that is played back, and what it will be answered; it may change that. It is
/// called on the threads that serve, so it must not block.
///
/// ```
/// use api_mock_server::{OnAnswer, ServerConfig};
/// let told = OnAnswer::new(|request, answer| println!("{} {}: {}", request.method, request.path, answer.is_ok()));
/// let config = ServerConfig { on_answer: Some(told), ..ServerConfig::default() };
/// # assert!(config.on_answer.is_some());
/// ```
#[derive(Clone)]
pub struct OnAnswer(Arc<Observer>);

impl OnAnswer {
    /// Wraps the function.
    pub fn new(observer: impl Fn(&Request, &mut Result<Answer, Refusal>) + Send + Sync + 'static) -> Self {
        OnAnswer(Arc::new(observer))
    }

    pub(crate) fn call(&self, request: &Request, answer: &mut Result<Answer, Refusal>) {
        (self.0)(request, answer);
    }
}

impl std::fmt::Debug for OnAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnAnswer(…)")
    }
}

/// Credentials, which nobody sees.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(Vec<String>);

impl Credentials {
    /// Whether one is good: if none are told, all are.
    pub(crate) fn accept(&self, shown: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|good| good == shown)
    }
}

impl<S: Into<String>> FromIterator<S> for Credentials {
    fn from_iter<I: IntoIterator<Item = S>>(all: I) -> Self {
        Credentials(all.into_iter().map(Into::into).collect())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} credentials", self.0.len())
    }
}

/// How a server records.
#[derive(Clone, Debug)]
pub struct RecordingConfig {
    /// What is recorded, and how services are reached.
    pub recorder: RecorderOptions,
    /// Where the proxy listens, and what it does. Without one only `/_proxy` records.
    pub proxy: Option<ProxyConfig>,
    /// The folder of the certificate authority, which is made there at the first start.
    pub authority_dir: PathBuf,
}

/// How much the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time; further ones wait in the system's queue. Default: 10,000.
    pub connections: usize,
    /// Bytes of a request line and its headers. At least 8 KiB. Default: 64 KiB.
    pub header_bytes: usize,
    /// Headers of a request. Default: 100.
    pub headers: usize,
    /// Bytes of a body that is played back to. Default: 10 MiB.
    pub body_bytes: usize,
    /// Bytes of an uploaded scenario or fixture. Default: 32 MiB.
    pub upload_bytes: usize,
    /// Requests to the admin API that are worked on at a time; further ones wait. Default: 8.
    pub admin_requests: usize,
    /// HTTP/2 streams of one connection. Default: 200.
    pub streams: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections: 10_000,
            header_bytes: 64 << 10,
            headers: 100,
            body_bytes: 10 << 20,
            upload_bytes: 32 << 20,
            admin_requests: 8,
            streams: 200,
        }
    }
}

/// How long the server waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection that neither completes a request head nor takes a byte of an answer for this long is closed: idle
    /// ones, slow ones, and TLS handshakes. It may live half as long again. Default: 30 s.
    pub idle: Duration,
    /// The body of a request must have come by then. Default: 30 s.
    pub body: Duration,
    /// The longest wait before an answer that a scenario or `X-Mock-Wait-Before-Reply` may ask for; longer ones are cut.
    /// Default: 5 min.
    pub longest_wait: Duration,
    /// What is still running this long after the shutdown began is cut off. Default: 10 s.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            idle: Duration::from_secs(30),
            body: Duration::from_secs(30),
            longest_wait: Duration::from_secs(300),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// A secret that is compared in constant time and never shown.
#[derive(Clone)]
pub struct AdminToken(String);

impl From<String> for AdminToken {
    fn from(token: String) -> Self {
        AdminToken(token)
    }
}

impl AdminToken {
    /// Whether a client said the right one. How long it takes tells nothing but the length.
    pub(crate) fn is(&self, said: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(said).into()
    }

    /// Whether it is empty, and so would let everybody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(…)")
    }
}
