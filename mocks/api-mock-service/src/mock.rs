//! Scenarios, written in Rust.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api_mock_scenario::{Contents, Scenario, Status, Wait, literal};
use bytes::Bytes;
use serde_json::Value as Json;

use crate::Request;
use crate::calls::Times;
use crate::reply::Reply;

/// Makes an answer of a request.
pub(crate) type Responder = Arc<dyn Fn(&Call<'_>) -> Reply + Send + Sync>;

/// A scenario, written in Rust: for a request like this, answer that. Texts of the answer are templates,
/// as in scenario files; what is demanded of requests is exact unless it says `matches`.
///
/// ```
/// use api_mock_service::{get, post};
/// use serde_json::json;
///
/// let greet = get("/hello/:who").query("page", "2").json(json!({"hello": "{{.who}}", "id": "{{Udid}}"}));
/// let refuse = post("/jobs").name("refuse").json_body(json!({"kind": "mail"})).status(422).expect(1);
/// # let _ = (greet, refuse);
/// ```
#[derive(Clone)]
#[must_use = "a mock answers once it is given to a server"]
pub struct Mock {
    pub(crate) scenario: Scenario,
    pub(crate) responder: Option<Responder>,
    pub(crate) expected: Option<Times>,
}

/// For GET requests to this path: `/users/:id` and `/users/{id}` take one part, `{rest*}` at the end takes all the rest.
pub fn get(path: impl Into<String>) -> Mock {
    request("GET", path)
}

/// For POST requests to this path.
pub fn post(path: impl Into<String>) -> Mock {
    request("POST", path)
}

/// For PUT requests to this path.
pub fn put(path: impl Into<String>) -> Mock {
    request("PUT", path)
}

/// For PATCH requests to this path.
pub fn patch(path: impl Into<String>) -> Mock {
    request("PATCH", path)
}

/// For DELETE requests to this path.
pub fn delete(path: impl Into<String>) -> Mock {
    request("DELETE", path)
}

/// For HEAD requests to this path. Without such a mock they are answered like GET, without the body.
pub fn head(path: impl Into<String>) -> Mock {
    request("HEAD", path)
}

/// For OPTIONS requests to this path.
pub fn options(path: impl Into<String>) -> Mock {
    request("OPTIONS", path)
}

/// For requests of any method to this path.
pub fn request(method: impl Into<String>, path: impl Into<String>) -> Mock {
    let scenario = Scenario { method: method.into(), path: path.into(), ..Scenario::default() };
    Mock { scenario, responder: None, expected: None }
}

impl Mock {
    /// The name by which verification and `X-Mock-Scenario` know it. Default: one made of method and path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.scenario.name = name.into();
        self
    }

    // What is demanded of requests.

    /// Only requests whose first query parameter of this name is exactly this.
    pub fn query(self, name: &str, value: &str) -> Self {
        self.query_matches(name, &exactly(value))
    }

    /// Only requests in whose first query parameter of this name the regular expression finds something.
    pub fn query_matches(mut self, name: &str, regex: &str) -> Self {
        self.scenario.request.match_query_params.set(name, regex);
        self
    }

    /// Only requests whose first header of this name is exactly this.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.header_matches(name, &exactly(value))
    }

    /// Only requests in whose first header of this name the regular expression finds something.
    pub fn header_matches(mut self, name: &str, regex: &str) -> Self {
        self.scenario.request.match_headers.set(name, regex);
        self
    }

    /// Only requests in whose body the regular expression finds something. Replaces [`Mock::json_body`].
    pub fn body_matches(mut self, regex: &str) -> Self {
        self.scenario.request.match_contents = regex.to_owned();
        self
    }

    /// Only requests whose body is JSON that holds at least all these values, in the same places. Nulls, empty lists
    /// and empty objects demand nothing. Replaces [`Mock::body_matches`].
    pub fn json_body(mut self, value: impl Into<Json>) -> Self {
        let mut places = serde_json::Map::new();
        demand(&value.into(), "$", &mut places);
        self.scenario.request.match_contents = Json::Object(places).to_string();
        self
    }

    /// A template that prints `true` for requests that it may answer, such as `{{NthRequest 3}}`. If no scenario may,
    /// all may.
    pub fn predicate(mut self, template: &str) -> Self {
        self.scenario.predicate = template.to_owned();
        self
    }

    // What is answered.

    /// The status; default: 200.
    pub fn status(mut self, status: u16) -> Self {
        self.scenario.response.status_code = Status::Fixed(status);
        self
    }

    /// A template that prints the status: `{{if LTRequest 3}}503{{else}}200{{end}}`.
    pub fn status_template(mut self, template: &str) -> Self {
        self.scenario.response.status_code = Status::Template(template.to_owned());
        self
    }

    /// A header of the answer; several of one name are all sent. The value is a template.
    pub fn response_header(mut self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case("content-type") {
            self.scenario.response.headers.remove(name);
        }
        self.scenario.response.headers.add(name, value);
        self
    }

    /// A text, which is a template; as `text/plain` unless a content type was said.
    pub fn text(self, template: impl Into<String>) -> Self {
        self.contents("text/plain; charset=utf-8", Contents::Template(template.into()))
    }

    /// JSON, whose texts are templates: `json!({"id": "{{.id}}"})`. For a number or a list from a template, write the
    /// whole body with [`Mock::text`].
    pub fn json(self, value: impl Into<Json>) -> Self {
        self.contents("application/json", Contents::Template(value.into().to_string()))
    }

    /// Bytes as they are, no template.
    pub fn bytes(self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.contents(content_type, Contents::Literal(bytes.into()))
    }

    /// The bytes of a fixture.
    pub fn fixture(mut self, content_type: &str, name: &str) -> Self {
        self.scenario.response.contents_file = name.to_owned();
        self.contents(content_type, Contents::default())
    }

    /// How long the answer waits.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.scenario.wait_before_reply = Wait::Fixed(wait);
        self
    }

    /// A function that makes the answer, in place of all that was said of it. It is called on the server's one thread,
    /// so it must not block. What it panics with fails the test when the server is verified or dropped.
    ///
    /// ```
    /// use api_mock_service::{Reply, post};
    /// let echo = post("/echo/:times").answer(|call| {
    ///     let times = call.variable("times").and_then(|times| times.parse().ok()).unwrap_or(1);
    ///     Reply::bytes(call.body.repeat(times))
    /// });
    /// # let _ = echo;
    /// ```
    pub fn answer(mut self, answer: impl Fn(&Call<'_>) -> Reply + Send + Sync + 'static) -> Self {
        self.responder = Some(Arc::new(answer));
        self
    }

    /// These answers, one after the other; the last one again and again.
    ///
    /// ```
    /// use api_mock_service::{Reply, get};
    /// let flaky = get("/flaky").in_turn([Reply::status(503), Reply::status(503), Reply::text("at last")]);
    /// # let _ = flaky;
    /// ```
    pub fn in_turn(self, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        let next = AtomicUsize::new(0);
        self.answer(move |_| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let reply = replies.get(number).or(replies.last());
            reply.cloned().unwrap_or_else(|| Reply::status(200))
        })
    }

    /// How often it must have answered when the server is verified or dropped: `2`, `1..`, `..=3`, `0`.
    pub fn expect(mut self, times: impl Into<Times>) -> Self {
        self.expected = Some(times.into());
        self
    }

    fn contents(mut self, content_type: &str, contents: Contents) -> Self {
        self.scenario.response.content_type = content_type.to_owned();
        self.scenario.response.contents = contents;
        self
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mock");
        shown.field("scenario", &self.scenario).field("expected", &self.expected);
        shown.finish_non_exhaustive()
    }
}

/// A regular expression for exactly this text.
fn exactly(text: &str) -> String {
    let mut regex = String::with_capacity(text.len() + 2);
    regex.push('^');
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex.push('$');
    literal(&regex)
}

/// What JSON must hold, each place with a pattern.
fn demand(value: &Json, place: &str, places: &mut serde_json::Map<String, Json>) {
    match value {
        Json::Null => {}
        Json::Object(fields) => {
            fields.iter().for_each(|(name, value)| demand(value, &format!("{place}.{name}"), places));
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| demand(value, &format!("{place}[{at}]"), places));
        }
        Json::String(text) => {
            places.insert(place.to_owned(), exactly(text).into());
        }
        scalar => {
            places.insert(place.to_owned(), exactly(&scalar.to_string()).into());
        }
    }
}

/// What a function that answers knows: the request, and more.
///
/// ```
/// use api_mock_service::{Reply, get};
/// let user = get("/users/:id").answer(|call| match call.variable("id") {
///     Some("0") => Reply::status(404),
///     _ if call.query_value("slow").is_some() => Reply::text(format!("call {}", call.count)).wait(std::time::Duration::from_secs(1)),
///     _ => Reply::text(call.header("user-agent").unwrap_or("?")),
/// });
/// # let _ = user;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<'r> {
    /// The request.
    pub request: &'r Request,
    /// How often the scenarios that match this request have answered, this time included.
    pub count: u64,
    /// The variables of the path.
    pub variables: Vec<(String, String)>,
}

impl Call<'_> {
    /// A variable of the path.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Deref for Call<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

/// What a server takes as a scenario: a [`Mock`], a [`Scenario`], or the YAML of a scenario file.
#[derive(Debug)]
pub struct Source(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Mock(Box<Mock>),
    Text(String),
}

impl From<Mock> for Source {
    fn from(mock: Mock) -> Self {
        Source(Kind::Mock(Box::new(mock)))
    }
}

impl From<Scenario> for Source {
    fn from(scenario: Scenario) -> Self {
        Mock { scenario, responder: None, expected: None }.into()
    }
}

impl From<&str> for Source {
    fn from(yaml: &str) -> Self {
        Source(Kind::Text(yaml.to_owned()))
    }
}

impl From<String> for Source {
    fn from(yaml: String) -> Self {
        Source(Kind::Text(yaml))
    }
}
