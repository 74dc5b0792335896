//! Why a scenario does not match.

use serde::Serialize;

/// A scenario that is near to a request that nothing matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The name of the scenario.
    pub scenario: String,
    /// Its method.
    pub method: String,
    /// Its path, with variables.
    pub path: String,
    /// All that does not fit.
    pub reasons: Vec<Reason>,
}

/// What does not fit. Never holds a value of the request, nor a pattern for a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The scenario is for another method.
    Method,
    /// The scenario is for another path.
    Path,
    /// The request asks for a scenario of another name.
    Name,
    /// A query parameter.
    Query {
        /// Its name.
        name: String,
        /// Whether the request has it not at all.
        missing: bool,
        /// What it should match; left out where it could be a secret.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<String>,
        /// Whether the scenario's pattern is no regular expression, so that only its very text would do.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        invalid_pattern: bool,
    },
    /// A header.
    Header {
        /// Its name.
        name: String,
        /// Whether the request has it not at all.
        missing: bool,
        /// What it should match; left out where it could be a secret.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<String>,
        /// Whether the scenario's pattern is no regular expression, so that only its very text would do.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        invalid_pattern: bool,
    },
    /// The content type.
    ContentType {
        /// What it should match.
        expected: String,
        /// Whether the scenario's pattern is no regular expression, so that only its very text would do.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        invalid_pattern: bool,
    },
    /// The body as a whole: it is not the JSON that is wanted, or does not match the pattern.
    Contents,
    /// A part of the body.
    Field {
        /// Where in the body, for example `user.id`.
        name: String,
        /// Whether the body has it not at all.
        missing: bool,
    },
}
