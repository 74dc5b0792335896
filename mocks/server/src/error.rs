//! Why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is taken, is not of this machine, or needs rights.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The folder of assets is not there and cannot be made.
    #[error("cannot use the asset folder {}", path.display())]
    Assets {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or key cannot be read, written or used.
    #[error("certificate {}: {message}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Generate(#[source] rcgen::Error),
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("the certificate cannot be used")]
    Tls(#[from] rustls::Error),
    /// An empty token would let everybody in.
    #[error("the admin token is empty")]
    EmptyToken,
    /// The certificate authority of the proxy cannot be read or made.
    #[error("cannot use the certificate authority")]
    Authority(#[from] api_mock_recorder::CaError),
    /// Recording cannot begin.
    #[error("cannot record")]
    Recorder(#[from] api_mock_recorder::OpenError),
    /// The service behind this one is no address, or this one.
    #[error("upstream: {0}")]
    Upstream(String),
    /// The metrics have the same names as others.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}
