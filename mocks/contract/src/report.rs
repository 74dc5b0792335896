//! What came out.

use std::fmt::Write;

use serde::Serialize;

/// A request that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The address of the scenario.
    pub scenario: String,
    /// The how many-th request of the scenario it was.
    pub execution: u64,
    /// What went wrong.
    pub reason: String,
    /// The request as a line for a shell; secrets are `***` in it unless they were asked for.
    pub curl: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}: {}; {}", self.scenario, self.execution, self.reason, self.curl)
    }
}

/// What came out for one scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScenarioReport {
    /// Its address.
    pub scenario: String,
    /// How many requests were answered as promised.
    pub succeeded: u64,
    /// How many were not.
    pub failed: u64,
}

/// What came out of a run. As JSON it begins with `errors`, `failed` and `succeeded`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// A line for each of the first failures; nothing if there were none.
    pub errors: Option<Vec<String>>,
    /// How many requests were not answered as promised.
    pub failed: u64,
    /// How many were.
    pub succeeded: u64,
    /// How many were not sent, because time was up.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_sent: u64,
    /// The seed that makes these requests again.
    pub seed: u64,
    /// The time that templates in them saw, in seconds since the begin of 1970.
    pub now: i64,
    /// Each scenario.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<ScenarioReport>,
    /// Scenarios of which no request was made: errors that only a mock can be told to answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// The first failures, in parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The requests of a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Report {
    /// Whether all requests were sent and answered as promised.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.not_sent == 0
    }

    /// For build servers: a test case for each scenario.
    ///
    /// ```
    /// let xml = api_mock_contract::Report::default().to_junit("todos");
    /// assert!(xml.contains(r#"<testsuite name="todos" tests="0" failures="0" skipped="0">"#));
    /// ```
    #[must_use]
    pub fn to_junit(&self, suite: &str) -> String {
        let failed = self.scenarios.iter().filter(|scenario| scenario.failed > 0).count();
        let tests = self.scenarios.len() + self.skipped.len();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // Writing to a string does not fail.
        let _ = writeln!(
            xml,
            "<testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failed}\" skipped=\"{}\">",
            escaped(suite),
            self.skipped.len()
        );
        for scenario in &self.scenarios {
            let name = escaped(&scenario.scenario);
            if scenario.failed == 0 {
                let _ = writeln!(xml, "  <testcase name=\"{name}\"/>");
                continue;
            }
            let all = scenario.failed + scenario.succeeded;
            let _ = writeln!(xml, "  <testcase name=\"{name}\">");
            let _ = write!(xml, "    <failure message=\"{} of {all} requests failed\">", scenario.failed);
            for failure in self.failures.iter().filter(|failure| failure.scenario == scenario.scenario) {
                let line = format!("#{}: {}\n{}\n", failure.execution, failure.reason, failure.curl);
                xml.push_str(&escaped(&line));
            }
            xml.push_str("</failure>\n  </testcase>\n");
        }
        for name in &self.skipped {
            let _ = writeln!(xml, "  <testcase name=\"{}\"><skipped/></testcase>", escaped(name));
        }
        xml.push_str("</testsuite>\n");
        xml
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for request in &self.requests {
            let _ = writeln!(text, "{request}");
        }
        for failure in &self.failures {
            let _ = writeln!(
                text,
                "failed {} #{}\n    {}\n    {}",
                failure.scenario, failure.execution, failure.reason, failure.curl
            );
        }
        let shown = self.failures.len() as u64;
        if self.failed > shown {
            let _ = writeln!(text, "{} more failed", self.failed - shown);
        }
        if self.not_sent > 0 {
            let _ = writeln!(text, "{} were not sent: time was up", self.not_sent);
        }
        if !self.skipped.is_empty() {
            let _ =
                writeln!(text, "{} scenarios were left out: they are errors of the mock", self.skipped.len());
        }
        // Who wants to see a failure again may need the time, too.
        let now = if self.failed > 0 { format!(", now {}", self.now) } else { String::new() };
        let _ =
            writeln!(text, "{} succeeded, {} failed (seed {}{now})", self.succeeded, self.failed, self.seed);
        text
    }
}

/// Text in XML; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
