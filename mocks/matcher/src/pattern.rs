//! Regular expressions as scenario files have them: Go's, with type tags and directives.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use api_mock_datagen::strip_type_tags;
use api_mock_scenario::{ABSENT, constant, directives};
use regex::{Regex, RegexBuilder};

/// What a compiled expression may occupy, in bytes.
const REGEX_BYTES: usize = 1 << 20;

/// As many compiled expressions are remembered, if they are no larger than this.
const MOST_KNOWN: usize = 512;
const KNOWN_BYTES: usize = 128 << 10;

/// A pattern that begins so does not fit what is missing, even if it fits what is empty.
const PRESENT: &str = "__present__";

/// A text that a value is compared with, or is searched for as a regular expression.
#[derive(Clone, Debug)]
pub(crate) struct TextPattern {
    text: String,
    /// Compiled when it is first needed: most scenarios of a large set are never asked for.
    /// `None` if it is no regular expression: only the text itself matches.
    regex: OnceLock<Option<Regex>>,
}

impl TextPattern {
    pub(crate) fn new(text: &str) -> Self {
        TextPattern { text: text.to_owned(), regex: OnceLock::new() }
    }

    /// Whether a parameter or a header fits. One that is missing is as good as an empty one, unless the pattern says that
    /// it must be there.
    pub(crate) fn fits(&self, value: Option<&str>) -> bool {
        if self.is_absent() {
            return value.is_none();
        }
        match value {
            Some(value) => self.matches(value),
            None => !self.text.starts_with(PRESENT) && self.matches(""),
        }
    }

    /// Whether nothing may be there.
    pub(crate) fn is_absent(&self) -> bool {
        self.text == ABSENT
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        value == self.text || self.searches(value)
    }

    /// As a regular expression only.
    pub(crate) fn searches(&self, value: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(value))
    }

    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| compile(&self.text)).as_ref()
    }

    /// Whether it is a regular expression.
    pub(crate) fn is_regex(&self) -> bool {
        self.regex().is_some()
    }

    /// Whether it is no regular expression, though it may be meant as one: `*/*` is none, and a text that is often sent.
    pub(crate) fn is_invalid(&self) -> bool {
        !(self.text.starts_with('*') || self.is_regex())
    }

    /// What is wrong with it as a regular expression, on one line.
    pub(crate) fn error(&self) -> Option<String> {
        if !self.is_invalid() {
            return None;
        }
        let error = RegexBuilder::new(&self.source()).size_limit(REGEX_BYTES).build().err()?.to_string();
        let line = error.lines().last().unwrap_or_default();
        Some(line.trim_start_matches("error: ").to_owned())
    }

    /// The expression as the library reads it, be it one or not.
    pub(crate) fn source(&self) -> String {
        source(&self.text)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Compiled once for all: the fields of an API's scenarios have the same few patterns, and compiling takes a hundred times
/// as long as looking one up.
fn compile(text: &str) -> Option<Regex> {
    static KNOWN: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let source = source(text);
    if let Some(regex) = known().get(&source) {
        return Some(regex.clone());
    }
    let build = |bytes: usize| RegexBuilder::new(&source).size_limit(bytes).build().ok();
    // Others go on meanwhile; two that compile the same get the same.
    let Some(regex) = build(KNOWN_BYTES) else { return build(REGEX_BYTES) };
    let mut known = known();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(source, regex.clone());
    Some(regex)
}

/// A pattern as the library reads it. What a directive prints depends on the request, so it stands for any text.
fn source(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    let mut from = 0;
    for at in directives(text) {
        pattern.push_str(text.get(from..at.start).unwrap_or_default());
        pattern.push_str(text.get(at.clone()).and_then(constant).unwrap_or("(?s:.*)"));
        from = at.end;
    }
    pattern.push_str(text.get(from..).unwrap_or_default());
    as_rust(&strip_type_tags(&pattern))
}

/// Where Go reads something that Rust refuses: braces that repeat nothing, and brackets and signs
/// of set operations inside of classes, are just characters.
fn as_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    let mut can_repeat = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                taken += after.chars().next().map_or(0, char::len_utf8);
                out.push_str(rest.get(..taken).unwrap_or_default());
                can_repeat = true;
            }
            '[' if in_class => {
                if !after.starts_with(':') {
                    out.push('\\');
                }
                out.push('[');
                if let Some(end) = after.strip_prefix(':').and_then(|name| name.find(":]")) {
                    taken += 1 + end + 2;
                    out.push_str(rest.get(1..taken).unwrap_or_default());
                }
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '[' => {
                in_class = true;
                out.push('[');
                // A closing bracket right at the begin is a character of the class.
                let begin = after.strip_prefix('^').unwrap_or(after);
                let skip = after.len() - begin.len() + usize::from(begin.starts_with(']'));
                out.push_str(after.get(..skip).unwrap_or_default());
                taken += skip;
            }
            ']' => {
                in_class = false;
                can_repeat = true;
                out.push(']');
            }
            '{' if !(in_class || can_repeat && is_repetition(after)) => {
                out.push_str("\\{");
                can_repeat = true;
            }
            _ => {
                can_repeat = in_class || !matches!(c, '(' | '|');
                out.push(c);
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// `3}`, `3,}` or `3,5}`.
fn is_repetition(text: &str) -> bool {
    let Some((counts, _)) = text.split_once('}') else { return false };
    let (low, high) = counts.split_once(',').unwrap_or((counts, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_regular_expressions() {
        let matches = |pattern: &str, value: &str| TextPattern::new(pattern).matches(value);
        assert!(matches("", "") && matches("", "anything"));
        assert!(matches("application/json", "application/json; charset=utf-8"));
        assert!(TextPattern::new("__present__").fits(Some("")) && TextPattern::new("").fits(None));
        assert!(!TextPattern::new("__present__.*").fits(None));
        assert!(TextPattern::new("__absent__").fits(None));
        assert!(
            !TextPattern::new("__absent__").fits(Some(""))
                && !TextPattern::new("__absent__").fits(Some("__absent__"))
        );
        assert!(matches("*/*", "*/*") && !matches("*/*", "text/html"));
        assert!(matches("Bearer sk_[0-9a-f]{10}$", "Bearer sk_0123456789"));
        assert!(!matches("Bearer sk_[0-9a-f]{10}$", "Bearer sk_012345678"));
        assert!(matches("(__number__[+-]?[0-9]{1,10})", "-12"));
        assert!(matches(r"[\x20-\x7F]{1,32}", "a key"));
        assert!(matches("v{{.x}}!$", "v1.2!") && !matches("v{{.x}}!$", "w!"));
        assert!(matches("{{`{{`}}", "a{{b"));
    }

    #[test]
    fn what_only_go_reads() {
        for (pattern, value) in [
            ("{}", "a {} b"),
            ("a{b}", "a{b}"),
            ("{3}", "{3}"),
            ("x|{2}", "{2}"),
            ("[[a]+", "[a["),
            ("[a&&b]+", "a&b"),
            ("[[:digit:]x]{2}", "7x"),
            ("[]a]+", "]a"),
            ("[^]a]", "b"),
        ] {
            let compiled = compile(pattern).unwrap_or_else(|| panic!("{pattern}: {}", as_rust(pattern)));
            let found = compiled.find(value).map(|found| found.len());
            assert!(found.is_some(), "{pattern} in {value}");
        }
        for kept in [r"a{2,3}\{[0-9]{4,4}[-]", "(a|b){2}", r"\w+.?\w+@\w+", "[a-z]{1,}"] {
            assert_eq!(as_rust(kept), kept);
        }
    }
}
