//! What a scenario file says.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use api_mock_template::time::GoDuration;
use bytes::Bytes;

use crate::directive::literal;
use crate::fault::FaultRule;
use crate::pairs::{HeaderLists, Pairs};

/// Fields of newer files that playback has no use for, kept as they are.
pub type Extra = BTreeMap<String, serde_json::Value>;

/// A scenario: which requests it is for, and what it answers.
///
/// Texts may hold template directives (`{{…}}`), as in the file. In texts that come from elsewhere
/// (a recording, a specification) they must be made [`literal`] first.
///
/// ```
/// use api_mock_scenario::{Format, Scenario};
/// let text = "method: get\nname: hello\npath: /hello/:who\nresponse:\n  contents: Hi {{.who}}\n";
/// let scenario = Scenario::parse(text, Format::Yaml)?;
/// assert_eq!((scenario.method.as_str(), scenario.path.as_str()), ("GET", "/hello/:who"));
/// assert_eq!(scenario.response.contents.as_text(), Some("Hi {{.who}}"));
/// # Ok::<(), api_mock_scenario::ScenarioError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The name, unique for its method and path.
    pub name: String,
    /// The path, with variables as `:name` or `{name}`.
    pub path: String,
    /// Words for people.
    pub description: String,
    /// The group; empty for none.
    pub group: String,
    /// A template; where it prints `false` the scenario stands back.
    pub predicate: String,
    /// The order in which a client run takes scenarios.
    pub order: i64,
    /// Labels.
    pub tags: Vec<String>,
    /// Which requests it is for.
    pub request: RequestRules,
    /// What it answers.
    pub response: ResponsePlan,
    /// How long the answer waits.
    pub wait_before_reply: Wait,
    /// What goes wrong with the answer.
    pub faults: Vec<FaultRule>,
    /// Other known fields.
    pub extra: Extra,
}

/// Which requests a scenario is for, and examples of them. Patterns are regular expressions that
/// are searched for, with type tags such as `__number__`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestRules {
    /// Pattern for each query parameter that is looked at.
    pub match_query_params: Pairs,
    /// Pattern for each header that is looked at.
    pub match_headers: Pairs,
    /// Pattern for the content type.
    pub match_content_type: String,
    /// A JSON object of patterns for the parts of the body, or a pattern for all of it.
    pub match_contents: String,
    /// Values for path variables, for clients.
    pub example_path_params: Pairs,
    /// Values for query parameters, for clients.
    pub example_query_params: Pairs,
    /// Values for headers, for clients.
    pub example_headers: Pairs,
    /// A body, for clients.
    pub example_contents: String,
    /// What must hold of a request.
    pub assertions: Vec<String>,
    /// Other known fields.
    pub extra: Extra,
}

/// Instead of a query parameter's name: all that have no pattern of their own.
pub const OTHER_PARAMETERS: &str = "*";
/// A pattern that fits only what is missing.
pub const ABSENT: &str = "__absent__";

impl RequestRules {
    /// The patterns for query parameters that may be there, by their names.
    pub fn query_patterns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.match_query_params
            .iter()
            .filter(|(name, pattern)| *name != OTHER_PARAMETERS && *pattern != ABSENT)
    }
}

/// What a scenario answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponsePlan {
    /// Headers, each with its values.
    pub headers: HeaderLists,
    /// The content type, if the headers have none.
    pub content_type: String,
    /// The body.
    pub contents: Contents,
    /// The fixture that is the body, instead of contents.
    pub contents_file: String,
    /// The status.
    pub status_code: Status,
    /// Patterns that headers of a real service must match.
    pub match_headers: Pairs,
    /// Patterns that the body of a real service must match.
    pub match_contents: String,
    /// What must hold of the answer of a real service.
    pub assertions: Vec<String>,
    /// Names of values that later requests of a client run take from the answer.
    pub pipe_properties: Vec<String>,
    /// Other known fields.
    pub extra: Extra,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Text in which directives count.
    Template(String),
    /// Bytes that are sent as they are.
    Literal(Bytes),
}

impl Default for Contents {
    fn default() -> Self {
        Contents::Template(String::new())
    }
}

impl Contents {
    /// The text, if it is one; in [`Contents::Literal`] only where nothing had to be escaped.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Contents::Template(text) => Some(text),
            Contents::Literal(bytes) => std::str::from_utf8(bytes).ok().filter(|text| !text.contains("{{")),
        }
    }

    /// The text as it stands in a file; `None` if the bytes are no text.
    #[must_use]
    pub fn template_text(&self) -> Option<String> {
        match self {
            Contents::Template(text) => Some(text.clone()),
            Contents::Literal(bytes) => std::str::from_utf8(bytes).ok().map(literal),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Contents::Template(text) => text.is_empty(),
            Contents::Literal(bytes) => bytes.is_empty(),
        }
    }
}

/// How long an answer waits: a duration, or a template that prints one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A known duration.
    Fixed(Duration),
    /// A text with directives.
    Template(String),
}

impl Default for Wait {
    fn default() -> Self {
        Wait::Fixed(Duration::ZERO)
    }
}

impl Wait {
    /// Reads `1.5s`, `300ms`, an integer of nanoseconds, or nothing. A unit alone, left over from
    /// a directive that printed nothing, is no wait; so is a negative duration.
    #[must_use]
    pub fn read(text: &str) -> Option<Duration> {
        let text = text.trim();
        if matches!(text, "" | "ns" | "us" | "ms" | "s" | "m" | "h") {
            return Some(Duration::ZERO);
        }
        let duration = match text.parse::<i64>() {
            Ok(nanoseconds) => GoDuration::from_nanoseconds(nanoseconds),
            Err(_) => GoDuration::from_str(text).ok()?,
        };
        Some(duration.to_std().unwrap_or(Duration::ZERO))
    }

    /// The duration, if it is known without rendering.
    #[must_use]
    pub fn fixed(&self) -> Option<Duration> {
        match self {
            Wait::Fixed(duration) => Some(*duration),
            Wait::Template(_) => None,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Fixed(duration) => {
                let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
                GoDuration::from_nanoseconds(nanoseconds).fmt(f)
            }
            Wait::Template(text) => f.write_str(text),
        }
    }
}

/// The status of an answer: a number, or a template that prints one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// A known status.
    Fixed(u16),
    /// A text with directives.
    Template(String),
}

/// 200, as in files that say nothing.
impl Default for Status {
    fn default() -> Self {
        Status::Fixed(200)
    }
}

impl Status {
    /// Reads a status from 200 to 599; `None` for anything else. Empty and 0 are 200.
    #[must_use]
    pub fn read(text: &str) -> Option<u16> {
        match text.trim() {
            "" | "0" => Some(200),
            text => text.parse().ok().filter(|status| (200..600).contains(status)),
        }
    }

    /// The status, if it is known without rendering.
    #[must_use]
    pub fn fixed(&self) -> Option<u16> {
        match self {
            Status::Fixed(status) => Some(*status),
            Status::Template(_) => None,
        }
    }
}

/// What tells a scenario from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The method, in capitals.
    pub method: String,
    /// The name.
    pub name: String,
    /// The path, with its variables.
    pub path: String,
}

/// `GET /todos/:id (todo-get)`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.name)
    }
}

impl Scenario {
    /// What tells it from all others.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { method: self.method.clone(), name: self.name.clone(), path: self.path.clone() }
    }
}
