//! One scenario as a pattern for requests.

use std::sync::Arc;

use api_mock_matcher::{Entry, Index, MatchOptions, NearMiss};
use api_mock_scenario::{Scenario, method, normalized_path};

use crate::Request;

/// A pattern that a request fits or does not.
#[derive(Debug)]
pub(crate) struct Pattern {
    index: Index<()>,
    /// For people: `GET /hello/:who`.
    pub(crate) words: String,
}

impl Pattern {
    /// What this scenario answers. One without a good method or path answers nothing.
    pub(crate) fn new(scenario: &Scenario, options: &MatchOptions) -> Self {
        let words = format!("{} {}", scenario.method, scenario.path);
        let mut index = Index::new();
        if let (Some(method), Some(path)) = (method(&scenario.method), normalized_path(&scenario.path)) {
            let scenario = Scenario { method, path, ..scenario.clone() };
            index.insert(Arc::new(Entry::new(&scenario, (), Arc::default(), options)));
        }
        Pattern { index, words }
    }

    /// The path's variables of a request that fits.
    pub(crate) fn variables(&self, request: &Request) -> Option<Vec<(String, String)>> {
        let choice = self.index.choose(request, 0, |_, _, _| true).ok()?;
        let names = choice.entry.variables().iter().cloned();
        Some(names.zip(choice.values.iter().map(|value| (*value).to_owned())).collect())
    }

    /// Why a request does not fit; nothing if it does.
    pub(crate) fn miss(&self, request: &Request) -> Result<(), Option<NearMiss>> {
        match self.index.choose(request, 0, |_, _, _| true) {
            Ok(_) => Ok(()),
            Err(mismatch) => Err(mismatch.near_misses.into_iter().next()),
        }
    }
}
