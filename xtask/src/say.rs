//! Words for people. A closed terminal or pipe must never end a chore half-way, so a failed write is ignored.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// One line on standard output: data.
pub(crate) fn out(line: &str) {
    let mut to = io::stdout().lock();
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}

/// One line on standard error: words.
pub(crate) fn err(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A duration as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Takes the time of the steps of a command.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Announces a step, runs it, keeps its time whether or not it worked.
    pub(crate) fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> T) -> T {
        err(&format!("xtask: {name} ..."));
        let start = Instant::now();
        let result = step();
        self.done.push((name, start.elapsed()));
        result
    }

    /// All steps with their times, on one line.
    pub(crate) fn summary(&self) -> String {
        let steps: Vec<String> =
            self.done.iter().map(|(name, time)| format!("{name} {}", seconds(*time))).collect();
        format!("xtask: {}", steps.join(", "))
    }
}
