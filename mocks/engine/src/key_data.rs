//! What a listing says of a scenario.

use api_mock_matcher::Usage;
use api_mock_scenario::{Pairs, Scenario};
use serde::Serialize;

/// What a listing says of a scenario.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyData {
    /// The method.
    pub method: String,
    /// The name.
    pub name: String,
    /// The path, with its variables.
    pub path: String,
    /// The group.
    pub group: String,
    /// The predicate.
    pub predicate: String,
    /// Patterns for query parameters.
    pub match_query_params: Pairs,
    /// Patterns for headers.
    pub match_headers: Pairs,
    /// The pattern for the content type.
    pub match_content_type: String,
    /// The pattern for the body.
    pub match_contents: String,
    /// When it was last used, in seconds since 1970; 0 for never.
    #[serde(rename = "LastUsageTime")]
    pub last_usage_time: u64,
    /// How often it was used.
    #[serde(rename = "RequestCount")]
    pub request_count: u64,
}

impl KeyData {
    pub(crate) fn new(scenario: &Scenario, usage: &Usage) -> KeyData {
        let request = &scenario.request;
        KeyData {
            method: scenario.method.clone(),
            name: scenario.name.clone(),
            path: scenario.path.clone(),
            group: scenario.group.clone(),
            predicate: scenario.predicate.clone(),
            match_query_params: request.match_query_params.clone(),
            match_headers: request.match_headers.clone(),
            match_content_type: request.match_content_type.clone(),
            match_contents: request.match_contents.clone(),
            last_usage_time: usage.last_used_ms() / 1000,
            request_count: usage.count(),
        }
    }

    /// The key of the listing: `/_scenarios/<METHOD>/<name><path>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("/_scenarios/{}/{}{}", self.method, self.name, self.path)
    }
}
