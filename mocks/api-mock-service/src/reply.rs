//! Answers that are made in Rust.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// An answer that is made in Rust, sent as it is: directives in it are text.
///
/// ```
/// use std::time::Duration;
/// use api_mock_service::Reply;
/// let busy = Reply::status(503).header("Retry-After", "3").wait(Duration::from_millis(20));
/// let user = Reply::json(&serde_json::json!({"name": "Ann"}));
/// # let _ = (busy, user);
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) wait: Duration,
    /// What cannot be sent; the client gets a 500 that says so.
    pub(crate) problem: Option<String>,
}

impl Reply {
    /// An answer without a body. From 200 to 599.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let reply = Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            wait: Duration::ZERO,
            problem: None,
        };
        reply.with_status(status)
    }

    /// 200 with a text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Reply::bytes(text.into()).header("Content-Type", "text/plain; charset=utf-8")
    }

    /// 200 with a value as JSON.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Reply::bytes(body).header("Content-Type", "application/json"),
            Err(error) => Reply::status(500).broken(format!("the body is no JSON: {error}")),
        }
    }

    /// 200 with bytes, and no content type.
    #[must_use]
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Reply { body: body.into(), ..Reply::status(200) }
    }

    /// With another status, from 200 to 599.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        match StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status)) {
            Some(status) => self.status = status,
            None => return self.broken(format!("{status} is no status from 200 to 599")),
        }
        self
    }

    /// With a header; the content type replaces the one that is there, all else is added.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        match parsed {
            Some((name, value)) if name == CONTENT_TYPE => {
                self.headers.insert(name, value);
            }
            Some((name, value)) => {
                self.headers.append(name, value);
            }
            None => {
                return self.broken(format!("header {name:?} has a name or value that HTTP does not know"));
            }
        }
        self
    }

    /// Sent so much later.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    fn broken(mut self, problem: String) -> Self {
        self.problem.get_or_insert(problem);
        self
    }
}
