//! How a run is done.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;

use crate::reach::Reach;

/// Where the data of requests comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// Patterns, but examples for scenarios that were made from a specification.
    #[default]
    Auto,
    /// Examples as they are, patterns where there are none.
    Examples,
    /// Patterns, examples where there are none.
    Patterns,
}

/// How a run is done. The default: five times, one request after the other, a seed of its own, any address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// How often each scenario is tried; 0 counts as 5.
    pub times: u32,
    /// The same seed makes the same requests.
    pub seed: u64,
    /// Requests at a time, from 1 to 256.
    pub concurrency: usize,
    /// Requests per second at most.
    pub rate: Option<f64>,
    /// How long one request may take, its connection included.
    pub timeout: Duration,
    /// How long all of it may take; what is not sent by then is not sent.
    pub deadline: Option<Duration>,
    /// The largest answer, in bytes.
    pub max_response_bytes: usize,
    /// Where the data comes from.
    pub data: Data,
    /// Take any status that a scenario of the same method and path has.
    pub accept_documented: bool,
    /// Headers for each request, which replace those of the scenarios.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Values for path variables, query parameters and templates, which replace those of the scenarios.
    pub parameters: BTreeMap<String, String>,
    /// Which addresses may be asked.
    pub reach: Reach,
    /// Make the requests, and send none.
    pub dry_run: bool,
    /// What the time is for templates in requests; nothing for the system's. The same seed and time make the same
    /// requests.
    pub now: Option<SystemTime>,
    /// Tell secrets in failures and dry runs, instead of `***`.
    pub show_secrets: bool,
    /// Authorities that services may have, besides those that everybody knows.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            times: 5,
            seed: 0,
            concurrency: 1,
            rate: None,
            timeout: Duration::from_secs(30),
            deadline: None,
            max_response_bytes: 10 << 20,
            data: Data::Auto,
            accept_documented: false,
            headers: Vec::new(),
            parameters: BTreeMap::new(),
            reach: Reach::Everything,
            dry_run: false,
            now: None,
            show_secrets: false,
            extra_roots: Vec::new(),
        }
    }
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The base is no address.
    #[error("base_url must be an http or https address, such as http://localhost:8000: {0}")]
    BaseUrl(String),
    /// The address may not be asked.
    #[error("the address of {host} may not be asked: {why}")]
    Refused {
        /// The host.
        host: String,
        /// Which addresses may be.
        why: &'static str,
    },
    /// The host has no address.
    #[error("{host} is not found")]
    NotFound {
        /// The host.
        host: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// More requests than a run may have.
    #[error("{wanted} requests are more than {allowed}")]
    TooMany {
        /// How many it would be.
        wanted: u64,
        /// How many it may be.
        allowed: u64,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}
