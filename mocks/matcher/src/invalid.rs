//! Patterns that are no regular expressions.

use api_mock_scenario::{Pairs, Scenario};

use crate::pattern::TextPattern;

/// A pattern of a scenario that is no regular expression, so that only its very text fits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPattern {
    /// Where it stands: `request.match_headers.Accept`.
    pub field: String,
    /// The name of the parameter or header, or of the field.
    pub name: String,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub error: String,
}

impl InvalidPattern {
    fn find(field: String, name: &str, pattern: &str) -> Option<Self> {
        let error = TextPattern::new(pattern).error()?;
        Some(InvalidPattern { field, name: name.to_owned(), pattern: pattern.to_owned(), error })
    }
}

/// The patterns for query parameters, headers and the content type that are no regular expressions. Requests are
/// compared with their texts; that is seldom what was meant.
///
/// ```
/// use api_mock_scenario::Scenario;
/// let mut scenario = Scenario::default();
/// scenario.request.match_query_params = [("page", "[0-9")].into_iter().collect();
/// let wrong = api_mock_matcher::invalid_patterns(&scenario);
/// assert_eq!(wrong[0].field, "request.match_query_params.page");
/// assert_eq!(wrong[0].error, "unclosed character class");
/// ```
#[must_use]
pub fn invalid_patterns(scenario: &Scenario) -> Vec<InvalidPattern> {
    let request = &scenario.request;
    let of = |field: &str, pairs: &Pairs| -> Vec<InvalidPattern> {
        let pairs = pairs.iter();
        pairs
            .filter_map(|(name, text)| InvalidPattern::find(format!("request.{field}.{name}"), name, text))
            .collect()
    };
    let mut invalid = of("match_query_params", &request.match_query_params);
    invalid.extend(of("match_headers", &request.match_headers));
    let name = "match_content_type";
    invalid.extend(InvalidPattern::find(format!("request.{name}"), name, &request.match_content_type));
    invalid
}
