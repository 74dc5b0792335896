//! How many tests were run, from what the runners say.

/// Tests that were run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    pub(super) fn all(&self) -> u64 {
        self.passed + self.failed
    }

    /// The closing line of the test command.
    pub(super) fn line(&self) -> String {
        format!("total: {} passed, {} failed", self.passed, self.failed)
    }

    /// nextest's JUnit report: the numbers stand in its first element.
    pub(super) fn add_report(&mut self, xml: &str) {
        let Some(element) = xml.split("<testsuites").nth(1).and_then(|rest| rest.split('>').next()) else {
            return;
        };
        let number = |name: &str| {
            let value = element.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
            value.parse::<u64>().ok()
        };
        let failed = number("failures").unwrap_or(0) + number("errors").unwrap_or(0);
        self.failed += failed;
        self.passed += number("tests").unwrap_or(0).saturating_sub(failed);
    }

    /// A line of `cargo test`: `test result: ok. 3 passed; 0 failed; ...`, perhaps with colours.
    pub(super) fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |name: &str| {
            let before =
                result.split(&format!(" {name};")).next().filter(|part| part.len() < result.len())?;
            before.rsplit([' ', '.', ';']).next()?.parse::<u64>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_counted() {
        let mut count = Count::default();
        count.add_report(
            "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"12\" failures=\"1\" errors=\"2\" \
             uuid=\"x\">\n<testsuite tests=\"7\"/>",
        );
        count.add_line("test result: \u{1b}[32mok\u{1b}[0m. 5 passed; 1 failed; 2 ignored; 0 measured");
        count.add_line("test result: ok. 3 passed; 0 failed; 0 ignored");
        count.add_line("nothing");
        count.add_report("");
        assert_eq!(count.line(), "total: 17 passed, 4 failed");
        assert_eq!(count.all(), 21);
    }
}
