//! From requests to answers.

use std::sync::Arc;
use std::time::Duration;

use api_mock_functions::FunctionLimits;
use api_mock_matcher::Request;
use api_mock_store::Store;
use api_mock_template::time::CivilTime;

use crate::answer::{Answer, Refusal};

/// What the time is; told in the zone that templates are to show.
pub type Clock = Arc<dyn Fn() -> CivilTime + Send + Sync>;

/// How an engine works.
#[derive(Clone)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Makes all chance repeatable: the n-th request of a run always draws the same. Without it
    /// every run is different.
    pub seed: Option<u64>,
    /// What one rendering may spend.
    pub template: api_mock_template::Limits,
    /// How much one call of a template function may make.
    pub functions: FunctionLimits,
    /// The longest wait; longer ones are cut.
    pub max_wait: Duration,
    /// The largest request body whose fields templates see, in bytes.
    pub max_parsed_body: usize,
    /// What the time is; the system's clock in UTC by default.
    pub clock: Clock,
}

impl Default for EngineOptions {
    /// No seed, the default limits, waits of up to five minutes, bodies of up to 1 MiB.
    fn default() -> Self {
        EngineOptions {
            seed: None,
            template: api_mock_template::Limits::default(),
            functions: FunctionLimits::default(),
            max_wait: Duration::from_secs(300),
            max_parsed_body: 1 << 20,
            clock: Arc::new(utc_now),
        }
    }
}

fn utc_now() -> CivilTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    CivilTime::from_unix(i64::try_from(now.as_secs()).unwrap_or_default(), now.subsec_nanos(), 0, "UTC")
}

/// Answers requests from the scenarios of a store. It follows the store's changes by itself, and
/// never blocks: call it from any thread.
pub struct Engine {
    store: Arc<Store>,
}

impl Engine {
    /// An engine for the scenarios of a store.
    #[must_use]
    pub fn new(store: Arc<Store>, options: EngineOptions) -> Engine {
        let _ = options;
        Engine { store }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The answer to a request. Counts as a use of the chosen scenario.
    ///
    /// # Errors
    /// Why there is none; a server sends [`Refusal::to_json`] with [`Refusal::status`].
    pub fn answer(&self, request: &Request) -> Result<Answer, Refusal> {
        Err(Refusal::NoMatch {
            method: request.method.clone(),
            path: request.path.clone(),
            only_rules: false,
            near_misses: Vec::new(),
        })
    }

    /// What is known of each scenario, of one group or all, in the order of their keys: what
    /// `GET /_scenarios` lists.
    #[must_use]
    pub fn list(&self, group: Option<&str>) -> Vec<KeyData> {
        let _ = group;
        Vec::new()
    }
}

/// What a listing says of a scenario.
#[derive(Clone, Debug, serde::Serialize)]
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
    pub match_query_params: api_mock_scenario::Pairs,
    /// Patterns for headers.
    pub match_headers: api_mock_scenario::Pairs,
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
    /// The key of the listing: `/_scenarios/<METHOD>/<name><path>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("/_scenarios/{}/{}{}", self.method, self.name, self.path)
    }
}
