//! What came, and what became of it.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::calls::{Calls, What};
use crate::unmet::Seen;
use crate::{NearMiss, Request};

/// What a request occupies besides its texts, about.
const OVERHEAD: usize = 256;
/// Panics that are remembered.
const PANICS: usize = 20;

/// A request that a server received. All of [`Request`] can be read from it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The request.
    pub request: Request,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A scenario answered.
    #[non_exhaustive]
    Answered {
        /// The name of the scenario.
        scenario: Arc<str>,
        /// The status of the answer.
        status: u16,
    },
    /// No scenario answered.
    #[non_exhaustive]
    NotMatched {
        /// The status of the answer: 404, or 400 where method and path were right.
        status: u16,
        /// The nearest scenarios, and why each of them did not match.
        near_misses: Vec<NearMiss>,
    },
    /// It was not as an imported specification wants it.
    #[non_exhaustive]
    Refused {
        /// The status of the answer: 400, mostly.
        status: u16,
        /// What was wrong.
        message: String,
    },
    /// The scenario could not be rendered.
    #[non_exhaustive]
    Failed {
        /// What was wrong.
        message: String,
    },
}

impl ReceivedRequest {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.request.body)
    }

    /// The name of the scenario that answered.
    #[must_use]
    pub fn scenario(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Answered { scenario, .. } => Some(scenario),
            Outcome::NotMatched { .. } | Outcome::Refused { .. } | Outcome::Failed { .. } => None,
        }
    }

    /// Without the wish for a scenario, which would keep it from being like any other.
    pub(crate) fn anonymous(&self) -> std::borrow::Cow<'_, Request> {
        const WISH: &str = "x-mock-scenario";
        if !self.request.headers.contains_key(WISH) {
            return std::borrow::Cow::Borrowed(&self.request);
        }
        let mut request = self.request.clone();
        request.headers.remove(WISH);
        std::borrow::Cow::Owned(request)
    }

    fn bytes(&self) -> usize {
        let request = &self.request;
        let headers: usize = header_bytes(&request.headers);
        let query: usize = request.query.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        OVERHEAD + request.path.len() + query + headers + request.body.len()
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum()
}

impl Deref for ReceivedRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

/// What came: the newest requests whole, as many as fit, and how many there were of all.
#[derive(Debug)]
pub(crate) struct Journal {
    limit: usize,
    kept: Mutex<Kept>,
    /// Grows with each request.
    pub(crate) changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<Arc<ReceivedRequest>>,
    bytes: usize,
    dropped: u64,
    total: u64,
    unmatched: u64,
    by_scenario: HashMap<Arc<str>, u64>,
    panics: Vec<String>,
}

impl Journal {
    pub(crate) fn new(limit: usize) -> Self {
        Journal { limit, kept: Mutex::default(), changes: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // It is never left half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, received: ReceivedRequest) {
        let mut kept = self.lock();
        kept.total += 1;
        match &received.outcome {
            Outcome::Answered { scenario, .. } => {
                *kept.by_scenario.entry(scenario.clone()).or_default() += 1;
            }
            Outcome::NotMatched { .. } | Outcome::Refused { .. } | Outcome::Failed { .. } => {
                kept.unmatched += 1;
            }
        }
        kept.bytes += received.bytes();
        kept.requests.push_back(Arc::new(received));
        while kept.bytes > self.limit {
            let Some(oldest) = kept.requests.pop_front() else { break };
            kept.bytes -= oldest.bytes();
            kept.dropped += 1;
        }
        drop(kept);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets all, also how many there were.
    pub(crate) fn clear(&self) {
        let mut kept = self.lock();
        let panics = std::mem::take(&mut kept.panics);
        *kept = Kept { panics, ..Kept::default() };
    }

    pub(crate) fn note_panic(&self, message: String) {
        let mut kept = self.lock();
        if kept.panics.len() < PANICS {
            kept.panics.push(message);
        }
    }

    /// What functions that answer panicked with.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.lock().panics.clone()
    }

    /// The requests that are kept, the oldest first.
    pub(crate) fn requests(&self) -> Vec<Arc<ReceivedRequest>> {
        self.lock().requests.iter().cloned().collect()
    }

    /// How many there were, and what a message needs.
    pub(crate) fn seen(&self, calls: &Calls) -> Seen {
        let kept = self.lock();
        let requests: Vec<_> = kept.requests.iter().cloned().collect();
        let (total, dropped) = (kept.total, kept.dropped);
        // Numbers are known also of requests that are kept no more.
        let (known, unsure) = match &calls.0 {
            What::All => (Some(total), 0),
            What::Unmatched => (Some(kept.unmatched), 0),
            What::Scenario(name) => (Some(kept.by_scenario.get(name.as_str()).copied().unwrap_or(0)), 0),
            What::Like(_) | What::That { .. } => (None, dropped),
        };
        // The user's function may ask the server.
        drop(kept);
        let counted: Vec<bool> = requests.iter().map(|received| calls.include(received)).collect();
        let count = known.unwrap_or_else(|| counted.iter().filter(|counted| **counted).count() as u64);
        Seen { count, unsure, total, requests, counted }
    }
}
