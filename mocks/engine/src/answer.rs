//! Answers and refusals.

use std::sync::Arc;
use std::time::Duration;

use api_mock_matcher::NearMiss;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::fault::FaultPlan;
use crate::problem::RenderProblem;

/// What a request is answered with. Cloning copies nothing but a few pointers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers of the scenario, then `X-Mock-Scenario` and `X-Mock-Path`, but not
    /// `X-Mock-Request-Count`, which is [`Answer::count`]. None of them says anything about
    /// framing (`Content-Length`, `Transfer-Encoding`, `Connection` …): that is the server's.
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// The body. For a HEAD request it is what a GET would have got: the server sends its length
    /// at most.
    pub body: Bytes,
    /// How long the server waits before it answers.
    pub wait: Duration,
    /// How often the scenarios that match this request were used, this time included.
    pub count: u64,
    /// The name of the chosen scenario.
    pub scenario: Arc<str>,
    /// The path of the chosen scenario, with its variables.
    pub path: Arc<str>,
    /// What goes wrong. Status, headers, body and wait are those of the fault already; what its `after` says of the
    /// connection and of the speed is for the server to carry out.
    pub fault: Option<Box<FaultPlan>>,
}

/// The header that carries [`Answer::count`].
pub const REQUEST_COUNT: HeaderName = HeaderName::from_static("x-mock-request-count");

impl Answer {
    /// All headers, that with the count included.
    pub fn all_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let count = (REQUEST_COUNT, HeaderValue::from(self.count));
        self.headers.iter().cloned().chain(std::iter::once(count))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No scenario is for this method and path (404), or there are some, but the request does
    /// not fit their rules (400).
    #[error("no scenario matches {method} {path}")]
    NoMatch {
        /// The method of the request.
        method: Method,
        /// The path of the request.
        path: String,
        /// Whether method and path were right, and only other rules failed.
        only_rules: bool,
        /// The nearest scenarios, and why each of them does not match.
        near_misses: Vec<NearMiss>,
    },
    /// The chosen scenario cannot be rendered.
    #[error("scenario {scenario} cannot answer: {problem}")]
    Broken {
        /// The name of the scenario.
        scenario: String,
        /// What is wrong.
        problem: RenderProblem,
    },
    /// The request is not as an imported specification wants it. The engine itself never says so: servers that check
    /// requests do.
    #[error("{}", .0.message)]
    Invalid(Box<Invalid>),
    /// The request asks, with `X-Mock-Fault`, for something that is not understood.
    #[error("X-Mock-Fault: {message}")]
    BadFault {
        /// What is not.
        message: String,
    },
}

/// What a request is answered that is not as a specification wants it.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// The status.
    pub status: StatusCode,
    /// What is wrong, for people.
    pub message: String,
    /// The headers: the content type, and what the status asks for.
    pub headers: HeaderMap,
    /// The body: JSON, in the shape that the specification gives it, if it does.
    pub body: Bytes,
}

impl Refusal {
    /// The status to answer with: 404, 400 or 500, or what the specification says.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NoMatch { only_rules: true, .. } | Refusal::BadFault { .. } => StatusCode::BAD_REQUEST,
            Refusal::NoMatch { .. } => StatusCode::NOT_FOUND,
            Refusal::Broken { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Invalid(invalid) => invalid.status,
        }
    }

    /// The body to answer with: `message`, and what a program needs to know. Holds no value of
    /// the request but its method and path, no secret of a scenario, and no place on disk.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Refusal::NoMatch { method, path, near_misses, .. } => json!({
                "message": self.to_string(),
                "method": method.as_str(),
                "path": path,
                "near_misses": near_misses,
            }),
            Refusal::Broken { scenario, problem } => json!({
                "message": self.to_string(),
                "scenario": scenario,
                "line": problem.line(),
                "column": problem.column(),
            }),
            Refusal::Invalid(invalid) => serde_json::from_slice(&invalid.body).unwrap_or_default(),
            Refusal::BadFault { .. } => json!({ "message": self.to_string() }),
        }
    }
}
