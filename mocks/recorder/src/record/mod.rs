//! From an exchange to a scenario file.

mod form;
mod infer;
mod kept;
mod loose;
mod queue;
mod redact;
mod scenario;
mod seen;
mod shape;

use bytes::Bytes;
use http::uri::Uri;
use http::{HeaderMap, Method, StatusCode};

pub use infer::pattern_of;
pub(crate) use kept::{Budget, Kept};
pub(crate) use queue::{Queue, Slot};
pub use redact::{REDACTED, Redaction};
pub use scenario::{NotRecordable, Recording, recording};

/// A request and what it was answered with.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The whole address: scheme, host, path, query.
    pub url: Uri,
    /// The headers of the request, as the client sent them.
    pub headers: HeaderMap,
    /// The body of the request; `None` if it was too large to keep.
    pub body: Option<Bytes>,
    /// The status of the answer.
    pub status: StatusCode,
    /// The headers of the answer.
    pub answer_headers: HeaderMap,
    /// The body of the answer.
    pub answer_body: Bytes,
}
