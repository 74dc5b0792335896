//! Which scenarios are tried.

use std::sync::LazyLock;

use api_mock_scenario::{Scenario, Status};
use api_mock_store::{Store, Stored};

/// A scenario, as something that a real service promises.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Contract {
    /// The scenario.
    pub scenario: Scenario,
    /// Whether it was made from a specification: its examples are valid, its patterns say less.
    pub is_imported: bool,
}

/// How the first line of an imported file begins.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let marked = api_mock_openapi::mark("");
    marked.trim_end().rsplit_once(' ').map_or_else(|| marked.clone(), |(words, _)| words.to_owned())
});

impl Contract {
    /// A scenario on its own.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Contract { scenario, is_imported: false }
    }

    /// A scenario of the store.
    #[must_use]
    pub fn of(stored: &Stored) -> Self {
        Contract { scenario: stored.scenario.clone(), is_imported: stored.text.starts_with(MARK.as_str()) }
    }

    /// Its address, as in the listing of all scenarios.
    #[must_use]
    pub fn address(&self) -> String {
        format!("/_scenarios/{}/{}{}", self.scenario.method, self.scenario.name, self.scenario.path)
    }

    /// Whether no request brings its answer forth: an error that only a predicate makes a mock answer.
    #[must_use]
    pub fn is_only_for_mocks(&self) -> bool {
        let is_error = matches!(self.scenario.response.status_code, Status::Fixed(400..));
        is_error && !self.scenario.predicate.trim().is_empty()
    }
}

/// The scenarios of a group in their order; empty if there is no such group.
#[must_use]
pub fn of_group(store: &Store, group: &str) -> Vec<Contract> {
    let mut found: Vec<Contract> =
        store.list(Some(group)).iter().map(|stored| Contract::of(stored)).collect();
    // The sort is stable: scenarios without an order stay in that of their addresses.
    found.sort_by_key(|contract| contract.scenario.order);
    found
}
