//! What came is not what was expected, and what was nearest.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::calls::{Calls, Times, What};
use crate::journal::{Outcome, ReceivedRequest};
use crate::{NearMiss, Reason};

/// How many requests a message tells of.
const TOLD: usize = 20;

/// What a journal knows of some calls.
#[derive(Debug)]
pub(crate) struct Seen {
    /// How many are surely among them.
    pub(crate) count: u64,
    /// How many may be among them, but are kept no more.
    pub(crate) unsure: u64,
    /// How many requests there were.
    pub(crate) total: u64,
    /// Those that are kept.
    pub(crate) requests: Vec<Arc<ReceivedRequest>>,
    /// Which of them are among the calls.
    pub(crate) counted: Vec<bool>,
}

impl Seen {
    pub(crate) fn fits(&self, times: Times) -> bool {
        times.contains(self.count) && times.contains(self.count.saturating_add(self.unsure))
    }
}

/// What came is not what was expected. Both its `Display` and its `Debug` say what was expected, what came, and why
/// that was not counted. They hold no value of a header, a query parameter or a body.
#[derive(Clone, PartialEq, Eq)]
pub struct Unmet {
    text: String,
}

impl Unmet {
    pub(crate) fn new(calls: &Calls, times: Times, seen: &Seen) -> Self {
        let count = seen.count;
        let mut text = format!(
            "expected {calls} {times}, but there {} {count}",
            if count == 1 { "was" } else { "were" }
        );
        if seen.unsure > 0 {
            let unsure = seen.unsure;
            let _ = write!(text, " (and {unsure} older requests are not kept any more: raise journal_bytes)");
        }
        text.push('\n');
        tell_requests(&mut text, calls, seen);
        Unmet { text }
    }

    /// Nobody is there who could still receive anything.
    pub(crate) fn of_the_end() -> Self {
        Unmet { text: "the thread of the server has ended".to_owned() }
    }

    pub(crate) fn of_panics(panics: &[String]) -> Self {
        let mut text = "a function that answers panicked:\n".to_owned();
        panics.iter().for_each(|panic| text.push_str(&format!("  {panic}\n")));
        Unmet { text }
    }

    /// Several in one.
    pub(crate) fn all(unmet: Vec<Unmet>) -> Result<(), Unmet> {
        if unmet.is_empty() {
            return Ok(());
        }
        Err(Unmet { text: unmet.into_iter().map(|unmet| unmet.text).collect::<Vec<_>>().join("\n") })
    }
}

fn tell_requests(text: &mut String, calls: &Calls, seen: &Seen) {
    if seen.total == 0 {
        text.push_str("no request was received\n");
        return;
    }
    let from = seen.requests.len().saturating_sub(TOLD);
    let told = seen.requests.len() - from;
    let _ = match seen.total {
        total if total == told as u64 => writeln!(text, "received, {total} in all:"),
        total => writeln!(text, "received, {total} in all, the last {told} of them:"),
    };
    let first = seen.total - told as u64 + 1;
    let shown = seen.requests.iter().zip(&seen.counted).skip(from);
    for (number, (received, counted)) in (first..).zip(shown) {
        let mark = if *counted { '+' } else { ' ' };
        let _ = writeln!(text, "{mark} {number}. {}", line(received));
        if !counted {
            tell_why(text, calls, received);
        }
    }
}

/// A request and what became of it, without a value of its own but the path.
fn line(received: &ReceivedRequest) -> String {
    let mut line = format!("{} {}", received.method, received.path);
    for (at, (name, _)) in received.query.iter().enumerate() {
        line.push(if at == 0 { '?' } else { '&' });
        line.push_str(name);
        line.push_str("=…");
    }
    if !received.body.is_empty() {
        let _ = write!(line, " with {} bytes", received.body.len());
    }
    let _ = match &received.outcome {
        Outcome::Answered { scenario, status } => write!(line, " -> {status} by {scenario}"),
        Outcome::NotMatched { status, .. } => write!(line, " -> {status}, no scenario matches"),
        Outcome::Refused { status, message } => write!(line, " -> {status}, {message}"),
        Outcome::Failed { message } => write!(line, " -> 500, {message}"),
    };
    line
}

/// Why a request was not counted.
fn tell_why(text: &mut String, calls: &Calls, received: &ReceivedRequest) {
    let miss = match (&calls.0, &received.outcome) {
        (What::Like(pattern), _) => pattern.miss(&received.anonymous()).err(),
        (What::Scenario(name), Outcome::NotMatched { near_misses, .. }) => {
            near_misses.iter().find(|miss| miss.scenario == *name).cloned().map(Some)
        }
        _ => None,
    };
    let reasons = match miss {
        Some(Some(NearMiss { reasons, .. })) => reasons.iter().map(told).collect::<Vec<_>>().join("; "),
        // So far from it that it is no near miss.
        Some(None) => "the method or the path is another".to_owned(),
        None => return,
    };
    let _ = writeln!(text, "       not counted: {reasons}");
}

fn no_regex(invalid_pattern: bool) -> &'static str {
    if invalid_pattern { ", which is no regular expression" } else { "" }
}

/// A reason in words.
fn told(reason: &Reason) -> String {
    let value = |what: &str, name: &str, missing: bool, expected: Option<&String>| {
        let wanted = expected.map(|text| format!(", expected {text}")).unwrap_or_default();
        format!("{what} {name:?} {}{wanted}", if missing { "is missing" } else { "is another" })
    };
    match reason {
        Reason::Method => "the method is another".to_owned(),
        Reason::Path => "the path is another".to_owned(),
        Reason::Name => "X-Mock-Scenario asks for another scenario".to_owned(),
        Reason::Query { name, missing, expected, invalid_pattern } => {
            value("query parameter", name, *missing, expected.as_ref()) + no_regex(*invalid_pattern)
        }
        Reason::Header { name, missing, expected, invalid_pattern } => {
            value("header", name, *missing, expected.as_ref()) + no_regex(*invalid_pattern)
        }
        Reason::ContentType { expected, invalid_pattern } => {
            format!("the content type is another, expected {expected}{}", no_regex(*invalid_pattern))
        }
        Reason::Contents => "the body is another".to_owned(),
        Reason::Field { name, missing } => value("field of the body", name, *missing, None),
        other => format!("{other:?}"),
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// As [`fmt::Display`], for this is what `unwrap` and a test that returns an error print.
impl fmt::Debug for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unmet {}
