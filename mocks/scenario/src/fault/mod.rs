//! Faults: what goes wrong with an answer, how often, when, and for which requests.

mod read;
mod write;

use std::num::NonZeroU64;
use std::time::Duration;

use crate::model::RequestRules;
use crate::pairs::HeaderLists;

/// One thing that goes wrong: when, for which requests, and what. In a scenario, a group, or a request's header.
///
/// ```
/// use api_mock_scenario::{ConnectionFault, FaultRule};
/// let rule = FaultRule::parse("connection_reset; after_bytes=10; probability=0.5")?;
/// assert_eq!(rule.connection, Some(ConnectionFault::Reset { after_bytes: Some(10) }));
/// assert!(FaultRule::parse(r#"{"delay": {"distribution": "lognormal", "median": "80ms", "sigma": 0.4}}"#).is_ok());
/// assert!(FaultRule::parse("status=teapot").is_err());
/// # Ok::<(), api_mock_scenario::ScenarioError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultRule {
    /// What it is called in the debug header; empty for the name of its kind.
    pub name: String,
    /// Which requests it is for; all that come by for none.
    pub request: Option<Box<FaultRequest>>,
    /// How often and when.
    pub timing: FaultTiming,
    /// On which side of a service that is asked it happens; `None` for what suits the fault.
    pub stage: Option<FaultStage>,
    /// The answer waits.
    pub delay: Option<Delay>,
    /// The answer has one of these statuses, chosen by chance.
    pub status: Vec<u16>,
    /// The answer has these headers, in place of those of the same names.
    pub headers: HeaderLists,
    /// The answer has this body.
    pub contents: Option<String>,
    /// The connection does not do what it should.
    pub connection: Option<ConnectionFault>,
    /// The body comes this slowly.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// Which requests a fault is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultRequest {
    /// The method in capitals; empty for any.
    pub method: String,
    /// The path, with variables; empty for any.
    pub path: String,
    /// Patterns for headers, query and body.
    pub rules: RequestRules,
}

/// How often and when a fault happens. Requests are counted from the time when the rule came into force, and only
/// those that it is for. All of it must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultTiming {
    /// The chance, from 0 to 1.
    pub probability: f64,
    /// So many requests are left alone first.
    pub after: u64,
    /// Then only that many are looked at.
    pub first: Option<u64>,
    /// Of those, each n-th.
    pub every: u64,
    /// Not before this time has passed.
    pub from: Duration,
    /// And only until this time has.
    pub until: Option<Duration>,
    /// After which the times begin anew.
    pub period: Option<Duration>,
}

impl Default for FaultTiming {
    /// Always.
    fn default() -> Self {
        FaultTiming {
            probability: 1.0,
            after: 0,
            first: None,
            every: 1,
            from: Duration::ZERO,
            until: None,
            period: None,
        }
    }
}

impl FaultTiming {
    /// Whether the n-th request, from 1, is one of those that are meant.
    #[must_use]
    pub fn counts(&self, number: u64) -> bool {
        let Some(number) = number.checked_sub(self.after).filter(|number| *number > 0) else { return false };
        self.first.is_none_or(|first| number <= first) && number % self.every.max(1) == 0
    }

    /// Whether it is the time, `age` after the rule came into force.
    #[must_use]
    pub fn is_time(&self, age: Duration) -> bool {
        let age = match self.period {
            Some(period) if !period.is_zero() => {
                let nanoseconds = age.as_nanos() % period.as_nanos();
                Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
            }
            _ => age,
        };
        age >= self.from && self.until.is_none_or(|until| age < until)
    }
}

/// On which side of a service that is asked a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStage {
    /// Before: the service is not asked if the fault has an answer or ends the connection.
    BeforeUpstream,
    /// After the service has answered, and so done what it was asked to do.
    AfterUpstream,
}

/// A delay, drawn anew for each answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Around a mean; never below 0.
    Normal {
        /// The mean.
        mean: Duration,
        /// The standard deviation.
        stddev: Duration,
    },
    /// With a long tail, as delays of real services have.
    LogNormal {
        /// Half of the delays are shorter.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// As measured: percents of all delays with what they are shorter than, rising. Between two of them delays are
    /// spread evenly; none is shorter than the first or longer than the last.
    Percentiles(Vec<(f64, Duration)>),
}

/// What the connection does instead of carrying a good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// It is reset (a TCP RST): before anything was sent, or in the middle of the body.
    Reset {
        /// So much of the body comes first; nothing of the answer at all for `None`.
        after_bytes: Option<u64>,
    },
    /// It is closed without an answer.
    Empty,
    /// It is closed in the middle of the body.
    Truncated {
        /// After so much of it; after half for `None`.
        after_bytes: Option<u64>,
    },
    /// Random bytes come in place of an answer, then it is closed.
    Garbage,
    /// The head is good, and random bytes come where the first chunk of the body should begin.
    MalformedChunk,
    /// The whole body comes, with a `Content-Length` that is not its length.
    WrongContentLength {
        /// What is said; for `None` more than there is.
        content_length: Option<u64>,
    },
}

impl ConnectionFault {
    /// Its name in files.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            ConnectionFault::Reset { .. } => "connection_reset",
            ConnectionFault::Empty => "empty_response",
            ConnectionFault::Truncated { .. } => "truncated_body",
            ConnectionFault::Garbage => "garbage",
            ConnectionFault::MalformedChunk => "malformed_chunk",
            ConnectionFault::WrongContentLength { .. } => "wrong_content_length",
        }
    }

    /// By its name, or by that of other tools.
    fn named(name: &str) -> Option<ConnectionFault> {
        Some(match name.to_ascii_lowercase().replace('-', "_").as_str() {
            "connection_reset" | "connection_reset_by_peer" | "reset_peer" => {
                ConnectionFault::Reset { after_bytes: None }
            }
            "empty_response" => ConnectionFault::Empty,
            "truncated_body" => ConnectionFault::Truncated { after_bytes: None },
            "garbage" | "random_data_then_close" => ConnectionFault::Garbage,
            "malformed_chunk" | "malformed_response_chunk" => ConnectionFault::MalformedChunk,
            "wrong_content_length" => ConnectionFault::WrongContentLength { content_length: None },
            _ => return None,
        })
    }

    /// Whether it needs an answer to spoil.
    #[must_use]
    pub fn needs_answer(self) -> bool {
        match self {
            ConnectionFault::Reset { after_bytes } => after_bytes.is_some(),
            ConnectionFault::Truncated { .. }
            | ConnectionFault::MalformedChunk
            | ConnectionFault::WrongContentLength { .. } => true,
            ConnectionFault::Empty | ConnectionFault::Garbage => false,
        }
    }
}

impl FaultRule {
    /// Where it happens, if it does not say so: faults that need an answer to spoil come after a service has given
    /// one, all others before it is asked.
    #[must_use]
    pub fn stage(&self) -> FaultStage {
        self.stage.unwrap_or_else(|| {
            let changes = self.contents.is_some() || !self.headers.is_empty();
            let spoils = self.connection.is_some_and(ConnectionFault::needs_answer)
                || self.bytes_per_second.is_some()
                || changes && self.status.is_empty();
            if spoils { FaultStage::AfterUpstream } else { FaultStage::BeforeUpstream }
        })
    }

    /// Its name, or that of what it does.
    #[must_use]
    pub fn label(&self) -> &str {
        match (self.name.as_str(), self.connection) {
            ("", Some(connection)) => connection.kind(),
            ("", None) if !self.status.is_empty() => "status",
            ("", None) if self.bytes_per_second.is_some() => "slow_drip",
            ("", None) if self.delay.is_some() => "delay",
            ("", None) => "body",
            (name, _) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(timing: &str) -> Vec<u64> {
        let rule = FaultRule::parse(&format!("status=500;{timing}")).unwrap();
        (1..=12).filter(|number| rule.timing.counts(*number)).collect()
    }

    #[test]
    fn counts_are_the_first_and_every_nth() {
        assert_eq!(met("first=2"), [1, 2]);
        assert_eq!(met("every=5"), [5, 10]);
        assert_eq!(met("after=3;first=2"), [4, 5]);
        assert_eq!(met("after=1;every=4;first=8"), [5, 9]);
        assert_eq!(met("first=1;every=2"), [] as [u64; 0]);
    }

    #[test]
    fn windows_may_come_again() {
        let timing = |text: &str| FaultRule::parse(&format!("status=500;{text}")).unwrap().timing;
        let at = |timing: &FaultTiming, seconds| timing.is_time(Duration::from_secs(seconds));
        let once = timing("from=10s;until=20s");
        assert_eq!([9, 10, 19, 20, 70].map(|s| at(&once, s)), [false, true, true, false, false]);
        let again = timing("until=5s;period=1m");
        assert_eq!(
            [0, 4, 5, 59, 60, 64, 65].map(|s| at(&again, s)),
            [true, true, false, false, true, true, false]
        );
    }

    #[test]
    fn other_tools_names_are_understood() {
        for (theirs, ours) in [
            ("CONNECTION_RESET_BY_PEER", "connection_reset"),
            ("RANDOM_DATA_THEN_CLOSE", "garbage"),
            ("MALFORMED_RESPONSE_CHUNK", "malformed_chunk"),
            ("EMPTY_RESPONSE", "empty_response"),
            ("truncated-body", "truncated_body"),
        ] {
            assert_eq!(FaultRule::parse(theirs).unwrap().connection.unwrap().kind(), ours);
        }
    }
}
