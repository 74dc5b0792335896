//! Whether requests are what the specification wants.

mod content;
mod decode;
mod route;

use std::fmt;

use crate::documents::percent_decoded;
use crate::schema::{Direction, Violation};
use crate::spec::{Api, Location, Operation, Parameter};

use decode::Raw;

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'r> {
    /// The method, in capitals.
    pub method: &'r str,
    /// The path, percent-encoded as it came.
    pub path: &'r str,
    /// The query without `?`, percent-encoded as it came.
    pub query: &'r str,
    /// Names and values.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body.
    pub body: &'r [u8],
}

impl<'r> RequestParts<'r> {
    fn header(&self, name: &str) -> Option<&'r str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// Something about a request that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestViolation {
    /// `path`, `query`, `header`, `cookie` or `body`.
    pub part: &'static str,
    /// The name of the parameter; empty for the body.
    pub name: String,
    /// Which part of its value, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
}

/// `query parameter "limit": is less than 1`.
impl fmt::Display for RequestViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            "body" => f.write_str("body")?,
            "header" => write!(f, "header {:?}", self.name)?,
            "cookie" => write!(f, "cookie {:?}", self.name)?,
            part => write!(f, "{part} parameter {:?}", self.name)?,
        }
        if !self.at.is_empty() {
            write!(f, " at {}", self.at)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a request belongs to no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No path of the specification is like this one.
    #[error("the specification has no such path")]
    UnknownPath,
    /// The path is known, with other methods.
    #[error("the specification has this path only with {}", allowed.join(", "))]
    UnknownMethod {
        /// Those methods.
        allowed: Vec<String>,
    },
}

impl Api {
    /// The operation that a request is for.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, method: &str, path: &str) -> Result<&Operation, Refused> {
        route::find(self, method, path).map(|(operation, _)| operation)
    }

    /// Everything about a request that its operation does not allow; nothing if it is as it should
    /// be.
    ///
    /// ```
    /// use api_mock_openapi::{ImportOptions, NoDocuments, RequestParts, parse};
    /// let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/pets": {"get": {
    ///     "parameters": [{"name": "limit", "in": "query", "required": true, "schema": {"type": "integer", "maximum": 9}}],
    ///     "responses": {"200": {"description": "ok"}}}}}}"#;
    /// let (api, _) = parse(spec, &ImportOptions::default(), &NoDocuments)?;
    /// let check = |query| {
    ///     let request = RequestParts { method: "GET", path: "/pets", query, headers: &[], body: b"" };
    ///     api.check_request(&request).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    /// };
    /// assert!(check("limit=9").is_empty());
    /// assert_eq!(check("limit=10"), ["query parameter \"limit\": is greater than 9"]);
    /// assert_eq!(check(""), ["query parameter \"limit\": is missing"]);
    /// # Ok::<(), api_mock_openapi::ImportError>(())
    /// ```
    ///
    /// # Errors
    /// There is no such operation.
    pub fn check_request(&self, request: &RequestParts<'_>) -> Result<Vec<RequestViolation>, Refused> {
        let (operation, variables) = route::find(self, request.method, request.path)?;
        let mut violations = Vec::new();
        let query = pairs(request.query);
        let cookies = cookies(request);
        for parameter in &operation.parameters {
            let raw = match parameter.location {
                Location::Path => {
                    let value = variables.iter().find(|(name, _)| *name == parameter.name);
                    value.map(|(_, value)| Raw::Text(value.clone()))
                }
                Location::Header => request.header(&parameter.name).map(|value| Raw::Text(value.to_owned())),
                Location::Query => decode::raw(parameter, &query, self),
                Location::Cookie => decode::raw(parameter, &cookies, self),
            };
            self.parameter(parameter, raw, &mut violations);
        }
        content::check(self, operation, request, &mut violations);
        Ok(violations)
    }

    fn parameter(&self, parameter: &Parameter, raw: Option<Raw>, violations: &mut Vec<RequestViolation>) {
        let part = match parameter.location {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        };
        let mut add = |at: String, what: String| {
            violations.push(RequestViolation { part, name: parameter.name.clone(), at, what });
        };
        let Some(raw) = raw else {
            if parameter.required {
                add(String::new(), "is missing".to_owned());
            }
            return;
        };
        match decode::value(parameter, raw, self) {
            Ok(value) => {
                let found = self.schemas.validate(parameter.schema, &value, Direction::Request);
                found.into_iter().for_each(|Violation { at, what }| add(at, what));
            }
            Err(what) => add(String::new(), what),
        }
    }
}

/// The pairs of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn cookies(request: &RequestParts<'_>) -> Vec<(String, String)> {
    let all = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    all.flat_map(|(_, value)| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), percent_decoded(value.trim().trim_matches('"'))))
        .collect()
}

pub(crate) fn body_violation(what: impl Into<String>) -> RequestViolation {
    RequestViolation { part: "body", name: String::new(), at: String::new(), what: what.into() }
}
