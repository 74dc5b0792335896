//! What goes wrong with an answer, as a plan: the engine draws it, a server carries it out.

mod draw;
mod rules;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use api_mock_scenario::ConnectionFault;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

pub(crate) use rules::RuleSet;

use crate::answer::Answer;

/// The header that says which faults an answer has, and with which a request asks for some.
pub const FAULT: HeaderName = HeaderName::from_static("x-mock-fault");
/// The header that says whether a group's faults are switched on, where there is something to switch.
pub const CHAOS_ENABLED: HeaderName = HeaderName::from_static("x-mock-chaos-enabled");

/// What goes wrong with one answer. All that is left to chance was drawn.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FaultPlan {
    /// What happens before a real service is asked; nothing where none is.
    pub before: FaultEffects,
    /// What happens to the answer.
    pub after: FaultEffects,
    /// Which faults these are.
    pub injected: Vec<InjectedFault>,
    /// For random bytes.
    pub seed: u64,
}

/// What faults do.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FaultEffects {
    /// How long to wait.
    pub delay: Duration,
    /// What takes the place of the answer, or of parts of it. Of two the first counts: its gaps are not filled from the other.
    pub replacement: Option<Replacement>,
    /// What the connection does.
    pub connection: Option<ConnectionFault>,
    /// How slowly the body comes.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// Parts of an answer that take the place of its own.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Replacement {
    /// The status.
    pub status: Option<StatusCode>,
    /// Headers, in the place of those of the same names.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub contents: Option<Bytes>,
}

/// A fault that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InjectedFault {
    /// The name of its rule, or of what it does.
    pub rule: Arc<str>,
    /// What it does: `status`, `delay`, `slow_drip`, `body`, or the name of what the connection does.
    pub kind: &'static str,
}

impl FaultPlan {
    /// The value of [`FAULT`]: `throttled (status), delay`.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let named = self.injected.iter().map(|fault| match &*fault.rule {
            rule if rule == fault.kind => rule.to_owned(),
            rule => format!("{rule} ({})", fault.kind),
        });
        HeaderValue::from_str(&named.collect::<Vec<_>>().join(", "))
            .unwrap_or(HeaderValue::from_static("unnamed"))
    }

    /// Cuts delays that are longer than a limit.
    pub(crate) fn within(mut self, longest: Duration) -> Self {
        self.before.delay = self.before.delay.min(longest);
        self.after.delay = self.after.delay.min(longest);
        self
    }

    /// Does to an answer what can be done to it without a connection, and leaves the rest for the server in
    /// [`Answer::fault`].
    pub(crate) fn spoil(mut self, answer: &mut Answer) {
        let FaultEffects { delay, replacement, connection, bytes_per_second } =
            std::mem::take(&mut self.before);
        self.after.delay += delay;
        self.after.replacement = replacement.or(self.after.replacement.take());
        self.after.connection = connection.or(self.after.connection);
        self.after.bytes_per_second = bytes_per_second.or(self.after.bytes_per_second);
        answer.wait = answer.wait.saturating_add(self.after.delay);
        let mut headers = answer.headers.to_vec();
        if let Some(replacement) = &self.after.replacement {
            answer.status = replacement.status.unwrap_or(answer.status);
            answer.body = replacement.contents.clone().unwrap_or_else(|| answer.body.clone());
            headers.retain(|(name, _)| !replacement.headers.iter().any(|(other, _)| other == name));
            headers.extend(replacement.headers.iter().cloned());
        }
        headers.push((FAULT, self.header()));
        answer.headers = headers.into();
        answer.fault = Some(Box::new(self));
    }
}

impl Replacement {
    /// What a fault answers where there is no other answer.
    #[must_use]
    pub fn whole(&self, rule: &str) -> (StatusCode, Vec<(HeaderName, HeaderValue)>, Bytes) {
        let mut headers = self.headers.clone();
        let body = match &self.contents {
            Some(contents) => contents.clone(),
            None => {
                if !headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
                    headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
                }
                serde_json::json!({ "message": format!("fault injected: {rule}") }).to_string().into()
            }
        };
        (self.status.unwrap_or(StatusCode::OK), headers, body)
    }
}

impl FaultEffects {
    /// Adds what a later rule does: delays add up, of the rest the first counts.
    fn add(&mut self, other: FaultEffects) {
        self.delay = self.delay.saturating_add(other.delay);
        self.replacement = self.replacement.take().or(other.replacement);
        self.connection = self.connection.or(other.connection);
        self.bytes_per_second = self.bytes_per_second.or(other.bytes_per_second);
    }

    /// Whether a service need not be asked: there is an answer already, or there will be none.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.connection.is_some()
            || self.replacement.as_ref().is_some_and(|it| it.status.is_some() || it.contents.is_some())
    }
}
