#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod ca;
mod fault;
mod fetch;
mod guard;
mod headers;
mod options;
mod proxy;
mod record;
mod recorder;
mod reverse;
mod slow;
mod upstream;
mod wanted;

pub use body::Body;
pub use ca::{CaError, CertificateAuthority};
pub use fault::{answer_of_fault, replace_head};
pub use fetch::{FetchError, Fetched, Fetcher};
pub use guard::{AddressGuard, BadRule};
pub use options::{BodyMatch, FileOptions, Mode, Names, ProxyTimeouts, RecorderOptions, UnknownMode};
pub use proxy::{Local, Proxy, ProxyConfig};
pub use record::{Exchange, NotRecordable, REDACTED, Recording, Redaction, pattern_of, recording};
pub use recorder::{CallProblem, OpenError, Recorder, address_of_call};
pub use slow::{Pace, SENT, SlowBody, TOO_LONG_BYTES};
pub use upstream::{BadProxy, PemError, UpstreamOptions, UpstreamProxy, certificates, private_key};
pub use wanted::Wanted;
