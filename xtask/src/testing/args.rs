//! What of nextest's arguments also chooses doctests.

/// Flags that choose packages or features, with the values that follow them.
const SELECTS: [&str; 6] = ["-p", "--package", "--exclude", "-F", "--features", "--cargo-profile"];
const SELECTS_ALONE: [&str; 4] = ["--workspace", "--all-features", "--no-default-features", "--release"];
/// Flags with a value that say how, not which.
const HOW: [&str; 12] = [
    "-P",
    "--profile",
    "-j",
    "--test-threads",
    "--retries",
    "--build-jobs",
    "--color",
    "--failure-output",
    "--success-output",
    "--status-level",
    "--final-status-level",
    "--max-fail",
];
const HOW_ALONE: [&str; 7] = [
    "--no-fail-fast",
    "--fail-fast",
    "--no-capture",
    "--nocapture",
    "-v",
    "--verbose",
    "--hide-progress-bar",
];

/// nextest's arguments, sorted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Selection {
    all: Vec<String>,
    /// Those that doctests understand too.
    shared: Vec<String>,
    packages: Vec<String>,
    /// Single tests or targets are chosen: doctests do not belong to them.
    filtered: bool,
}

/// Sorts the arguments.
pub(super) fn split(arguments: &[String]) -> Selection {
    let mut selection = Selection { all: arguments.to_vec(), ..Selection::default() };
    let mut rest = arguments.iter();
    while let Some(arg) = rest.next() {
        let (name, inner) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => match arg.strip_prefix("-p") {
                Some(package) if !package.is_empty() => ("-p", Some(package.to_owned())),
                _ => (arg.as_str(), None),
            },
        };
        if SELECTS.contains(&name) {
            let Some(value) = inner.or_else(|| rest.next().cloned()) else { continue };
            if name == "-p" || name == "--package" {
                selection.packages.push(value.clone());
            }
            let name = if name == "--cargo-profile" { "--profile" } else { name };
            selection.shared.extend([name.to_owned(), value]);
        } else if SELECTS_ALONE.contains(&name) {
            selection.shared.push(name.to_owned());
        } else if HOW.contains(&name) {
            if inner.is_none() {
                rest.next();
            }
        } else if !HOW_ALONE.contains(&name) {
            selection.filtered = true;
        }
    }
    selection
}

impl Selection {
    /// Only a part of the tests is wanted.
    pub(super) fn is_partial(&self) -> bool {
        self.filtered || !self.packages.is_empty()
    }

    /// Whether a package was asked for by its name.
    pub(super) fn names(&self, package: &str) -> bool {
        self.packages.iter().any(|name| name == package)
    }

    /// What nextest gets.
    pub(super) fn nextest(&self) -> Vec<String> {
        let whole = self.packages.is_empty() && !self.shared.iter().any(|arg| arg == "--workspace");
        whole.then(|| "--workspace".to_owned()).into_iter().chain(self.all.iter().cloned()).collect()
    }

    /// What `cargo test --doc` gets; None: no doctests. `libraries`: the packages that can have some.
    pub(super) fn doctests(&self, libraries: &[String]) -> Option<Vec<String>> {
        if self.filtered {
            return None;
        }
        if self.packages.is_empty() {
            let whole = !self.shared.iter().any(|arg| arg == "--workspace");
            return Some(
                whole.then(|| "--workspace".to_owned()).into_iter().chain(self.shared.clone()).collect(),
            );
        }
        self.packages.iter().all(|name| libraries.contains(name)).then(|| self.shared.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Selection {
        split(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    fn doctests(line: &str) -> Option<String> {
        of(line).doctests(&["core".into()]).map(|args| args.join(" "))
    }

    #[test]
    fn nothing_said_means_everything() {
        assert_eq!(of("").nextest(), ["--workspace"]);
        assert_eq!(doctests("").unwrap(), "--workspace");
        assert!(!of("--profile ci --no-fail-fast").is_partial());
        assert_eq!(doctests("--profile ci -j 4").unwrap(), "--workspace");
        assert_eq!(of("--exclude x").nextest(), ["--workspace", "--exclude", "x"]);
    }

    #[test]
    fn packages_choose_doctests_too() {
        for line in ["-p core", "-pcore", "--package=core", "--package core"] {
            assert!(of(line).is_partial(), "{line}");
            assert!(doctests(line).unwrap().ends_with("core"), "{line}");
            assert!(!of(line).nextest().contains(&"--workspace".to_owned()), "{line}");
        }
        assert_eq!(doctests("-p binary-only"), None);
    }

    #[test]
    fn single_tests_have_no_doctests() {
        for line in ["name", "-p core name", "-E test(x)", "--test conformance", "-- --skip slow"] {
            assert_eq!(doctests(line), None, "{line}");
            assert!(of(line).is_partial(), "{line}");
        }
    }
}
