//! Whether requests, and answers, are what the specification wants.

mod content;
mod decode;
mod multipart;
mod route;
mod security;
mod xml;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Value, json};

use crate::documents::percent_decoded;
use crate::schema::{Direction, Violation};
use crate::spec::{Api, Location, Operation, Parameter};

use content::Sent;
use decode::Raw;
pub(crate) use route::{Base, Router};
use route::{Found, Wanted};
pub(crate) use xml::document as xml_document;

/// What a body of another content type than those of the specification breaks.
const CONTENT_TYPE: &str = "content-type";

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

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub struct ResponseParts<'r> {
    /// The status.
    pub status: u16,
    /// Names and values.
    pub headers: &'r [(&'r str, &'r str)],
    /// The body.
    pub body: &'r [u8],
}

/// The value of a header; of one that is there several times, all of them.
fn header<'r>(headers: &[(&str, &'r str)], name: &str) -> Option<Cow<'r, str>> {
    let mut all =
        headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let first = all.next()?;
    match all.next() {
        None => Some(first.into()),
        Some(second) => {
            let list: Vec<&str> = [first, second].into_iter().chain(all).collect();
            Some(list.join(",").into())
        }
    }
}

/// Something about a request, or an answer, that the specification does not allow. It holds no value that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestViolation {
    /// `path`, `query`, `header`, `cookie`, `body` or `security`; of an answer also `status`.
    pub part: &'static str,
    /// The name of the parameter or of the security scheme; empty for the body.
    pub name: String,
    /// Which part of its value, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
    /// What it breaks: a keyword of JSON Schema, or `content-type`, `syntax`, `security`.
    pub keyword: &'static str,
    /// What that wants: the types, the least number, the name of the missing member, the content types.
    pub expected: Value,
}

impl RequestViolation {
    /// For programs: `in`, `name`, `pointer`, `keyword`, `expected` and `message`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "in": self.part, "name": self.name, "pointer": self.at, "keyword": self.keyword,
            "expected": self.expected, "message": self.what,
        })
    }

    /// The status that a service usually answers with: 401, 415 or 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.keyword {
            "security" => 401,
            CONTENT_TYPE => 415,
            _ => 400,
        }
    }
}

/// `query parameter "limit": is less than 1`.
impl fmt::Display for RequestViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            "body" | "status" => f.write_str(self.part)?,
            "security" => write!(f, "security {:?}", self.name)?,
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
    /// A path is known with other methods, and the request is wrong for the operation of another path, which has a
    /// variable where this one has a literal.
    #[error("the specification has this path only with {}", allowed.join(", "))]
    NearerPath {
        /// The methods of the path.
        allowed: Vec<String>,
    },
}

impl Api {
    /// The operation that a request is for.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, method: &str, path: &str) -> Result<&Operation, Refused> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let wanted = Wanted { method, query: &pairs(query) };
        self.route(path, &wanted).map(|found| found.operation)
    }

    /// The same, with paths only where an import puts its scenarios: below [`Api::base_path`] if it was told so
    /// ([`crate::ImportOptions::base_path`]), else as they stand in the specification. Without this, both will do.
    #[must_use]
    pub fn only_at_base_path(mut self, is_below: bool) -> Self {
        self.base = if is_below { Base::With } else { Base::Without };
        self
    }

    fn route(&self, path: &str, wanted: &Wanted<'_>) -> Result<Found<'_, &Operation>, Refused> {
        let paths = self.base.paths(&self.base_path, path);
        let Found { operation, variables, nearer } = self.router.find(paths, wanted)?;
        let operation = self.operations.get(operation).ok_or(Refused::UnknownPath)?;
        Ok(Found { operation, variables, nearer })
    }

    /// Everything about a request that its operation does not allow; nothing if it is as it should
    /// be. Credentials have to be there if the operation wants some; whether they are good is not asked. What the
    /// specification does not speak of, such as other query parameters, is allowed.
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
        self.check_request_of(request, &|_| true)
    }

    /// The same, and where the operation wants credentials, those that are shown must be accepted. They are told
    /// without the `Basic` or `Bearer` before them.
    ///
    /// # Errors
    /// There is no such operation.
    pub fn check_request_of(
        &self,
        request: &RequestParts<'_>,
        accepts: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<RequestViolation>, Refused> {
        let query = pairs(request.query);
        let wanted = Wanted { method: request.method, query: &query };
        let Found { operation, variables, nearer } = self.route(request.path, &wanted)?;
        let mut violations = Vec::new();
        let cookies = cookies(request);
        for parameter in &operation.parameters {
            let raw = match parameter.location {
                Location::Path => {
                    let value = variables.iter().find(|(name, _)| *name == parameter.name);
                    value.map(|(_, value)| Raw::Text(value.clone()))
                }
                Location::Header => {
                    header(request.headers, &parameter.name).map(|value| Raw::Text(value.into_owned()))
                }
                Location::Query => decode::raw(parameter, &query, self),
                Location::Cookie => decode::raw(parameter, &cookies, self),
            };
            self.parameter(parameter, raw, &mut violations);
        }
        let shown = security::Shown { request, query: &query, cookies: &cookies, accepts };
        security::check(self, operation, &shown, &mut violations);
        if let Some(body) = &operation.body {
            let media = request.header("content-type").unwrap_or_default();
            let sent = Sent { media, bytes: request.body, direction: Direction::Request };
            // A form of which nothing is sent has no members; who sends no form does not say that it is one.
            let is_empty_form = crate::spec::essence(media) == "application/x-www-form-urlencoded";
            match (request.body.is_empty(), body.required) {
                (true, _) if is_empty_form => content::check(self, &body.content, sent, &mut violations),
                (true, true) => {
                    violations.push(RequestViolation { keyword: "required", ..body_violation("is missing") });
                }
                (true, false) => {}
                (false, _) => content::check(self, &body.content, sent, &mut violations),
            }
        }
        // What would be right for neither was meant for the nearer path.
        if !violations.is_empty() && !nearer.is_empty() {
            return Err(Refused::NearerPath { allowed: nearer });
        }
        Ok(violations)
    }

    /// Everything about an answer that its operation does not allow.
    ///
    /// ```
    /// use api_mock_openapi::{ImportOptions, NoDocuments, ResponseParts, parse};
    /// let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/pets": {"get": {
    ///     "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "array"}}}}}}}}}"#;
    /// let (api, _) = parse(spec, &ImportOptions::default(), &NoDocuments)?;
    /// let operation = api.find("GET", "/pets").unwrap();
    /// let headers = [("content-type", "application/json")];
    /// let answer = ResponseParts { status: 200, headers: &headers, body: b"{}" };
    /// let found = api.check_response(operation, &answer);
    /// assert_eq!(found[0].to_string(), "body: is object, not array");
    /// # Ok::<(), api_mock_openapi::ImportError>(())
    /// ```
    #[must_use]
    pub fn check_response(&self, operation: &Operation, answer: &ResponseParts<'_>) -> Vec<RequestViolation> {
        let status = answer.status.to_string();
        let range = format!("{}XX", status.get(..1).unwrap_or_default());
        let told = |wanted: &str| operation.responses.iter().find(|response| response.status == wanted);
        let Some(response) = told(&status).or_else(|| told(&range)).or_else(|| told("default")) else {
            let all: Vec<&str> = operation.responses.iter().map(|one| one.status.as_str()).collect();
            let what = format!("is {status}, not {}", all.join(" or "));
            return vec![RequestViolation {
                part: "status",
                keyword: "status",
                expected: json!(all),
                ..body_violation(what)
            }];
        };
        let mut violations = Vec::new();
        for wanted in &response.headers {
            let parameter = wanted.as_parameter();
            let value = header(answer.headers, &wanted.name).map(|value| Raw::Text(value.into_owned()));
            self.parameter(&parameter, value, &mut violations);
        }
        if !response.content.is_empty() && !answer.body.is_empty() {
            let media = header(answer.headers, "content-type").unwrap_or_default();
            let sent = Sent { media: &media, bytes: answer.body, direction: Direction::Response };
            content::check(self, &response.content, sent, &mut violations);
        }
        violations
    }

    fn parameter(&self, parameter: &Parameter, raw: Option<Raw>, violations: &mut Vec<RequestViolation>) {
        let part = match parameter.location {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        };
        let mut add = |Violation { at, what, keyword, expected }: Violation| {
            let name = parameter.name.clone();
            violations.push(RequestViolation { part, name, at, what, keyword, expected });
        };
        let whole =
            |what: String, keyword| Violation { at: String::new(), what, keyword, expected: Value::Null };
        let Some(raw) = raw else {
            if parameter.required {
                add(Violation {
                    expected: json!(parameter.name),
                    ..whole("is missing".to_owned(), "required")
                });
            }
            return;
        };
        match decode::value(parameter, raw, self) {
            Ok(value) => {
                self.schemas.validate(parameter.schema, &value, Direction::Request).into_iter().for_each(add);
            }
            Err(what) => add(whole(what, "syntax")),
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

fn body_violation(what: impl Into<String>) -> RequestViolation {
    RequestViolation {
        part: "body",
        name: String::new(),
        at: String::new(),
        what: what.into(),
        keyword: "",
        expected: Value::Null,
    }
}
