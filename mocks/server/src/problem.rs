//! What is said when a request of the admin API cannot be served, or a request is no good at all.

use api_mock_engine::RenderProblem;
use api_mock_store::StoreError;
use http::header::{ALLOW, CONNECTION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::reply::{Reply, json};

/// An error with its status. Its message is for clients: no secret, no path of this machine.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    said: Box<Said>,
    allow: Option<HeaderValue>,
}

#[derive(Debug, Default, Serialize)]
struct Said {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let said = Said { message: message.into(), ..Said::default() };
        Problem { status, said: Box::new(said), allow: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
    }

    pub(crate) fn timeout() -> Self {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
    }

    pub(crate) fn unauthorized() -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, "this wants `Authorization: Bearer` and the admin token")
    }

    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Self {
        let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not know that method");
        problem.allow = Some(allow);
        problem
    }

    /// Something failed here; the log says what.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain: Vec<String> =
            std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
        tracing::error!(error = %chain.join(": "), "a request failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    /// Says where in an uploaded text it is.
    pub(crate) fn at(mut self, field: Option<String>, line: Option<usize>, column: Option<usize>) -> Self {
        (self.said.field, self.said.line, self.said.column) = (field, line, column);
        self
    }
}

/// What the store says is for its caller to read; what the system says is for the log.
/// Whether the service was given a folder that it may not change, as for playback alone.
fn is_read_only(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Io { source, .. } if is_read_only(source) => {
                tracing::warn!(error = %source, "the data folder cannot be changed");
                Problem::new(StatusCode::CONFLICT, "the data folder of the service may only be read")
            }
            StoreError::Io { .. } => Problem::internal(&error),
            StoreError::Scenario(wrong) => {
                let field = Some(wrong.field().to_owned()).filter(|field| !field.is_empty());
                Problem::bad_request(error.to_string()).at(field, wrong.line(), None)
            }
            StoreError::Rejected { source } => {
                let wrong = source.downcast_ref::<RenderProblem>();
                let line = wrong.and_then(RenderProblem::line);
                Problem::bad_request(source.to_string()).at(None, line, wrong.and_then(RenderProblem::column))
            }
            _ => {
                let status = StatusCode::from_u16(error.kind().status());
                Problem::new(status.unwrap_or(StatusCode::BAD_REQUEST), error.to_string())
            }
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Reply {
        let mut reply = json(problem.status, &*problem.said);
        let headers = reply.headers_mut();
        if let Some(allow) = problem.allow {
            headers.insert(ALLOW, allow);
        }
        match problem.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        reply
    }
}
