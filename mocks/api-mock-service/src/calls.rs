//! Which requests are meant, and how many of them there should be.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use api_mock_matcher::MatchOptions;

use crate::journal::{Outcome, ReceivedRequest};
use crate::mock::Mock;
use crate::pattern::Pattern;

/// How often: a number, or a range of them.
///
/// ```
/// use api_mock_service::Times;
/// assert_eq!(Times::from(1..).to_string(), "at least once");
/// assert_eq!(Times::from(0).to_string(), "never");
/// assert_eq!(Times::from(2..=3).to_string(), "2 to 3 times");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Times {
    /// Whether this is so often.
    #[must_use]
    pub fn contains(self, count: u64) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |count: u64| match count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        match (self.least, self.most) {
            (0, 0) => f.write_str("never"),
            (0, u64::MAX) => f.write_str("any number of times"),
            (least, u64::MAX) => write!(f, "at least {}", times(least)),
            (0, most) => write!(f, "at most {}", times(most)),
            (least, most) if least == most => write!(f, "exactly {}", times(least)),
            (least, most) => write!(f, "{least} to {most} times"),
        }
    }
}

impl From<u64> for Times {
    fn from(count: u64) -> Self {
        Times { least: count, most: count }
    }
}

impl From<RangeInclusive<u64>> for Times {
    fn from(range: RangeInclusive<u64>) -> Self {
        Times { least: *range.start(), most: *range.end() }
    }
}

impl From<Range<u64>> for Times {
    /// An empty range is never right.
    fn from(range: Range<u64>) -> Self {
        match range.end.checked_sub(1) {
            Some(most) => Times { least: range.start, most },
            None => Times { least: 1, most: 0 },
        }
    }
}

impl From<RangeFrom<u64>> for Times {
    fn from(range: RangeFrom<u64>) -> Self {
        Times { least: range.start, most: u64::MAX }
    }
}

impl From<RangeTo<u64>> for Times {
    fn from(range: RangeTo<u64>) -> Self {
        (0..range.end).into()
    }
}

impl From<RangeToInclusive<u64>> for Times {
    fn from(range: RangeToInclusive<u64>) -> Self {
        Times { least: 0, most: range.end }
    }
}

impl From<RangeFull> for Times {
    fn from(_: RangeFull) -> Self {
        Times { least: 0, most: u64::MAX }
    }
}

/// Requests that a server received, of some kind.
///
/// ```
/// use api_mock_service::{Calls, post};
/// let by_name = Calls::to("greet");                            // or just "greet"
/// let by_rules = Calls::like(post("/jobs").header("X-Tenant", "a"));   // or just the mock
/// let by_function = Calls::that("have a large body", |request| request.body.len() > 1000);
/// # let _ = (by_name, by_rules, by_function);
/// ```
pub struct Calls(pub(crate) What);

pub(crate) enum What {
    All,
    Unmatched,
    Scenario(String),
    Like(Box<Pattern>),
    That { words: String, test: Box<dyn Fn(&ReceivedRequest) -> bool + Send + Sync> },
}

impl Calls {
    /// All requests.
    #[must_use]
    pub fn all() -> Self {
        Calls(What::All)
    }

    /// Those that no scenario answered.
    #[must_use]
    pub fn unmatched() -> Self {
        Calls(What::Unmatched)
    }

    /// Those that the scenario of this name answered.
    pub fn to(scenario: impl Into<String>) -> Self {
        Calls(What::Scenario(scenario.into()))
    }

    /// Those that are as this mock demands, whoever answered them.
    #[must_use]
    pub fn like(mock: Mock) -> Self {
        Calls(What::Like(Box::new(Pattern::new(&mock.scenario, &MatchOptions::default()))))
    }

    /// Those for which a function returns true. The words stand in the message: "requests that …".
    pub fn that(
        words: impl Into<String>,
        test: impl Fn(&ReceivedRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        Calls(What::That { words: words.into(), test: Box::new(test) })
    }

    pub(crate) fn include(&self, received: &ReceivedRequest) -> bool {
        match &self.0 {
            What::All => true,
            What::Unmatched => !matches!(received.outcome, Outcome::Answered { .. }),
            What::Scenario(name) => received.scenario() == Some(name),
            What::Like(pattern) => pattern.miss(&received.anonymous()).is_ok(),
            What::That { test, .. } => test(received),
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::All => f.write_str("any request"),
            What::Unmatched => f.write_str("a request that no scenario answers"),
            What::Scenario(name) => write!(f, "a request to scenario {name:?}"),
            What::Like(pattern) => write!(f, "a request like {}", pattern.words),
            What::That { words, .. } => write!(f, "a request that {words}"),
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({self})")
    }
}

impl From<&str> for Calls {
    fn from(scenario: &str) -> Self {
        Calls::to(scenario)
    }
}

impl From<Mock> for Calls {
    fn from(mock: Mock) -> Self {
        Calls::like(mock)
    }
}
