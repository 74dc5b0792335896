//! An answer without its body.

use std::sync::Arc;
use std::time::Duration;

use api_mock_scenario::{Contents, Scenario};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::problem::RenderProblem;

/// Headers that say something about one connection or the framing of one message: the server
/// makes its own. Recordings are full of them.
const NOT_OURS: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Names and values that nearly all answers have. Constants are cheaper to clone than what is shared: threads that answer
/// at the same time do not contend for them.
const SCENARIO: HeaderName = HeaderName::from_static("x-mock-scenario");
const PATH: HeaderName = HeaderName::from_static("x-mock-path");
const TYPES: [&str; 5] = ["application/json", "application/xml", "text/html", "text/plain", "text/xml"];

/// An answer without its body, and where that comes from.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: Arc<[(HeaderName, HeaderValue)]>,
    pub(crate) wait: Duration,
    pub(crate) body: Body,
    /// Name and path of the scenario.
    pub(crate) name: Arc<str>,
    pub(crate) path: Arc<str>,
}

/// Longer bodies are not copied for each thread.
const COPIED_BYTES: usize = 16 << 10;

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Bytes(Bytes),
    Fixture(String),
}

impl Head {
    /// The answer of a scenario as it is read, every text as it stands there. Name and path are
    /// those under which it is known.
    pub(crate) fn new(scenario: &Scenario, name: &str, path: &str) -> Result<Head, RenderProblem> {
        let response = &scenario.response;
        let unreadable = |field| move || RenderProblem::Unreadable { field };
        let status = response.status_code.fixed().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(unreadable("response.status_code"))?;
        let wait = scenario.wait_before_reply.fixed().ok_or_else(unreadable("wait_before_reply"))?;
        let body = match &response.contents {
            _ if response.contents.is_empty() && !response.contents_file.is_empty() => {
                Body::Fixture(response.contents_file.clone())
            }
            Contents::Template(text) => Body::Bytes(Bytes::copy_from_slice(text.as_bytes())),
            Contents::Literal(bytes) => Body::Bytes(bytes.clone()),
        };
        Ok(Head {
            status,
            headers: headers(scenario, name, path)?,
            wait,
            body,
            name: name.into(),
            path: path.into(),
        })
    }

    /// The same, sharing nothing that is counted, so that threads can clone their own.
    pub(crate) fn detached(&self) -> Head {
        let own = |(name, value): &(HeaderName, HeaderValue)| {
            let detached = self::value_of(value.as_bytes());
            // One that was a value is one.
            (name_of(name), detached.unwrap_or_else(|| value.clone()))
        };
        let body = match &self.body {
            Body::Bytes(bytes) if bytes.len() <= COPIED_BYTES => Body::Bytes(Bytes::copy_from_slice(bytes)),
            body => body.clone(),
        };
        Head {
            status: self.status,
            headers: self.headers.iter().map(own).collect(),
            wait: self.wait,
            body,
            name: (*self.name).into(),
            path: (*self.path).into(),
        }
    }
}

/// The same name; those that nearly all answers have are constants.
fn name_of(name: &HeaderName) -> HeaderName {
    let constant = [SCENARIO, PATH].into_iter().find(|known| known == name);
    constant.or_else(|| HeaderName::from_bytes(name.as_str().as_bytes()).ok()).unwrap_or_else(|| name.clone())
}

fn value_of(bytes: &[u8]) -> Option<HeaderValue> {
    match TYPES.iter().find(|known| known.as_bytes() == bytes) {
        Some(known) => Some(HeaderValue::from_static(known)),
        None => HeaderValue::from_bytes(bytes).ok(),
    }
}

fn headers(
    scenario: &Scenario,
    name: &str,
    path: &str,
) -> Result<Arc<[(HeaderName, HeaderValue)]>, RenderProblem> {
    let response = &scenario.response;
    let mut headers = Vec::with_capacity(response.headers.len() + 3);
    let parse = |name: &str, value: &str| {
        let parsed = HeaderName::from_bytes(name.trim().as_bytes()).ok();
        parsed.zip(value_of(value.trim().as_bytes())).ok_or_else(|| RenderProblem::Header(name.to_owned()))
    };
    for (name, values) in response.headers.iter() {
        if NOT_OURS.iter().any(|other| name.trim().eq_ignore_ascii_case(other)) {
            continue;
        }
        for value in values {
            headers.push(parse(name, value)?);
        }
    }
    let typed = headers.iter().any(|(name, value)| *name == header::CONTENT_TYPE && !value.is_empty());
    if !typed && !response.content_type.trim().is_empty() {
        headers.retain(|(name, _)| *name != header::CONTENT_TYPE);
        headers.push(parse("content-type", &response.content_type)?);
    }
    for (known, text) in [(SCENARIO, name), (PATH, path)] {
        let value =
            value_of(text.trim().as_bytes()).ok_or_else(|| RenderProblem::Header(known.to_string()))?;
        headers.push((known, value));
    }
    Ok(headers.into())
}
