//! The patterns of scenarios, for answers of real services.

use http::{HeaderMap, Method};

use crate::miss::Reason;
use crate::pattern::TextPattern;
use crate::request::Request;
use crate::rules::{Contents, MatchOptions, Probe};

/// A pattern for one value: a header, a parameter.
///
/// ```
/// use api_mock_matcher::ValuePattern;
/// assert!(ValuePattern::new("application/json").matches("application/json; charset=utf-8"));
/// ```
#[derive(Clone, Debug)]
pub struct ValuePattern(TextPattern);

impl ValuePattern {
    /// A pattern as it stands in a scenario, with type tags.
    #[must_use]
    pub fn new(text: &str) -> Self {
        ValuePattern(TextPattern::new(text))
    }

    /// Whether a value is the text, or has something that the pattern finds.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.0.matches(value)
    }

    /// The pattern as it stands in the scenario.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.text()
    }
}

/// A pattern for a body: `match_contents` of a scenario.
///
/// ```
/// use api_mock_matcher::BodyPattern;
/// let pattern = BodyPattern::new(r#"{"owner.id": "__number__[0-9]+"}"#);
/// assert!(pattern.check(br#"{"owner": {"id": 7}}"#).is_ok());
/// assert!(pattern.check(br#"{"owner": {"id": "x"}}"#).is_err());
/// ```
#[derive(Debug)]
pub struct BodyPattern(Contents);

impl BodyPattern {
    /// A JSON object of patterns, or a pattern for all of the body.
    #[must_use]
    pub fn new(text: &str) -> Self {
        BodyPattern(Contents::new(TextPattern::new(text), &MatchOptions::default()))
    }

    /// Whether a body fits.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self, body: &[u8]) -> Result<(), Reason> {
        let body = bytes::Bytes::copy_from_slice(body);
        let request = Request::new(Method::POST, "/", HeaderMap::new(), body);
        self.0.fit(&Probe::new(&request))
    }
}
