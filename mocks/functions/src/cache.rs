//! Regular expressions, compiled once: templates call with the same ones over and over.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use api_mock_datagen::{Pattern, PatternError, strip_type_tags};
use api_mock_template::FuncError;
use regex::Regex;

/// More than any set of templates has; when it is reached, all is forgotten.
const CAPACITY: usize = 2_000;
/// What a compiled expression may occupy, in bytes.
const REGEX_BYTES: usize = 1 << 20;

/// Results by the text that they were computed from.
struct Cache<T> {
    known: LazyLock<RwLock<HashMap<Box<str>, T>>>,
}

impl<T: Clone> Cache<T> {
    const fn new() -> Self {
        Cache { known: LazyLock::new(|| RwLock::new(HashMap::new())) }
    }

    fn get_or(&self, text: &str, make: impl FnOnce() -> T) -> T {
        // What a panicking thread left behind is whole: entries are put in complete.
        let found = self.known.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(text).cloned();
        if let Some(found) = found {
            return found;
        }
        let made = make();
        let mut known = self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(text.into(), made.clone());
        made
    }
}

static PATTERNS: Cache<Result<Arc<Pattern>, Arc<PatternError>>> = Cache::new();
/// Shared, not cloned: a clone of an expression has nothing to search with until it has made it anew.
static REGEXES: Cache<Result<Arc<Regex>, Arc<str>>> = Cache::new();

/// The generator for a regular expression.
pub(crate) fn pattern(regex: &str) -> Result<Arc<Pattern>, Arc<PatternError>> {
    PATTERNS.get_or(regex, || Pattern::parse(regex).map(Arc::new).map_err(Arc::new))
}

/// A regular expression to search with; type tags in it mean nothing.
pub(crate) fn regex(text: &str) -> Result<Arc<Regex>, FuncError> {
    let compiled = REGEXES.get_or(text, || {
        let builder = regex::RegexBuilder::new(&strip_type_tags(text)).size_limit(REGEX_BYTES).build();
        builder.map(Arc::new).map_err(|error| error.to_string().into())
    });
    compiled.map_err(|error| FuncError::new(format!("not a regular expression: {error}")))
}
