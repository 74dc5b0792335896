//! What an answer must be like.

use api_mock_matcher::{BodyPattern, Reason, ValuePattern};
use api_mock_scenario::Status;
use api_mock_template::{Map, Template, Value};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::make::{Draw, template};
use crate::secret;
use crate::source::Contract;

/// How much of a body is shown.
const SHOWN: usize = 200;

/// An answer of a service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) elapsed_ms: f64,
}

/// The rules of a scenario for answers.
#[derive(Debug)]
pub(crate) struct AnswerPlan {
    /// `None` where it depends on what a mock has answered before.
    pub(crate) status: Option<u16>,
    headers: Vec<(String, Option<HeaderName>, ValuePattern)>,
    body: Option<BodyPattern>,
    assertions: Vec<Assertion>,
    has_body: bool,
    show_secrets: bool,
}

#[derive(Debug)]
struct Assertion {
    text: String,
    /// `None` if it is no template.
    template: Option<Template>,
}

impl AnswerPlan {
    pub(crate) fn new(contract: &Contract, show_secrets: bool) -> AnswerPlan {
        let rules = &contract.scenario.response;
        let status = match rules.status_code {
            Status::Fixed(status) => Some(status),
            Status::Template(_) => None,
        };
        let headers = rules.match_headers.iter().map(|(name, pattern)| {
            (name.to_owned(), HeaderName::from_bytes(name.as_bytes()).ok(), ValuePattern::new(pattern))
        });
        let patterns = Some(rules.match_contents.trim()).filter(|text| !matches!(*text, "" | "{}" | "null"));
        AnswerPlan {
            status,
            headers: headers.collect(),
            body: patterns.map(BodyPattern::new),
            assertions: rules.assertions.iter().map(|text| Assertion::new(text)).collect(),
            has_body: contract.scenario.method != "HEAD" && !matches!(status, Some(204 | 205 | 304)),
            show_secrets,
        }
    }

    /// Whether its rules look at what was sent.
    pub(crate) fn wants_data(&self) -> bool {
        !self.assertions.is_empty()
    }

    pub(crate) fn accepts(&self, status: StatusCode) -> bool {
        match self.status {
            Some(wanted) => wanted == status.as_u16(),
            None => status.as_u16() < 400,
        }
    }

    /// The first thing that is wrong.
    pub(crate) fn check(
        &self,
        answer: &Answer,
        method: &Method,
        data: &Value,
        draw: &mut Draw,
    ) -> Result<(), String> {
        if !self.accepts(answer.status) {
            return Err(self.wrong_status(answer));
        }
        for (name, parsed, pattern) in &self.headers {
            let value = parsed.as_ref().and_then(|name| answer.headers.get(name));
            let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()));
            match value {
                None => return Err(format!("the answer has no header {name}")),
                Some(value) if !pattern.matches(&value) => {
                    return Err(format!("the header {name} of the answer does not match {}", pattern.text()));
                }
                Some(_) => {}
            }
        }
        if let Some(pattern) = self.body.as_ref().filter(|_| self.has_body && method != Method::HEAD) {
            if answer.body.is_empty() {
                return Err("the answer has no body".to_owned());
            }
            pattern.check(&answer.body).map_err(|reason| self.said(&reason, answer))?;
        }
        if self.assertions.is_empty() {
            return Ok(());
        }
        let seen = seen(answer, data);
        self.assertions.iter().try_for_each(|assertion| assertion.check(&seen, draw))
    }

    fn wrong_status(&self, answer: &Answer) -> String {
        let wanted = self.status.map_or_else(|| "one below 400".to_owned(), |status| status.to_string());
        let got = answer.status.as_u16();
        format!(
            "failed to execute request with status {got} instead of {wanted} due to {}",
            self.shown(&answer.body)
        )
    }

    fn said(&self, reason: &Reason, answer: &Answer) -> String {
        match reason {
            Reason::Field { name, missing: true } => format!("`{name}` is missing in the body of the answer"),
            Reason::Field { name, .. } => {
                format!("`{name}` in the body of the answer does not match its pattern")
            }
            _ => format!("the body of the answer does not match: {}", self.shown(&answer.body)),
        }
    }

    fn shown(&self, body: &[u8]) -> String {
        if body.is_empty() {
            return "no body".to_owned();
        }
        if self.show_secrets {
            return begin(body);
        }
        match secret::without(body) {
            Some(body) => begin(&body),
            None => format!("{} bytes", body.len()),
        }
    }
}

/// The begin of a body, on one line.
fn begin(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body));
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if body.len() > SHOWN { format!("{line}…") } else { line }
}

impl Assertion {
    fn new(text: &str) -> Assertion {
        let text = text.trim();
        let text = if text.starts_with("{{") { text.to_owned() } else { format!("{{{{{}}}}}", call(text)) };
        Assertion { template: template(&text), text }
    }

    fn check(&self, seen: &Value, draw: &mut Draw) -> Result<(), String> {
        let Some(template) = &self.template else {
            return Err(format!("failed to assert '{}': it is no template", self.text));
        };
        let value = draw.render(template, seen)?;
        match value.trim() {
            "true" => Ok(()),
            value => Err(format!("failed to assert '{}' with value '{value}'", self.text)),
        }
    }
}

/// `VariableContains contents.id 10` as a template has it: what follows the function are strings.
fn call(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '`') && !words.is_empty());
        let end = match quote.and_then(|quote| Some(1 + rest.get(1..)?.find(quote)? + 1)) {
            Some(end) => end,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        let is_quoted = quote.is_some() && word.len() > 1 && word.ends_with(['"', '`']);
        words.push(if words.is_empty() || is_quoted {
            word.to_owned()
        } else {
            format!("\"{}\"", word.replace('\\', r"\\").replace('"', r#"\""#))
        });
        rest = after.trim_start();
    }
    words.join(" ")
}

/// What an assertion sees.
fn seen(answer: &Answer, data: &Value) -> Value {
    let mut all: Map = data.as_map().cloned().unwrap_or_default();
    let mut headers = Map::new();
    for name in answer.headers.keys() {
        let value =
            answer.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let value = value.unwrap_or_default();
        headers.insert(name.as_str(), value.as_str());
        headers.insert(canonical(name.as_str()), value);
    }
    let contents = match serde_json::from_slice::<serde_json::Value>(&answer.body) {
        Ok(json) => Value::from(json),
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned().into(),
    };
    all.insert("headers", Value::from(headers));
    all.insert("contents", contents);
    all.insert("status", u64::from(answer.status.as_u16()));
    all.insert("elapsed", answer.elapsed_ms);
    Value::from(all)
}

/// `Content-Type`.
fn canonical(name: &str) -> String {
    let mut up = true;
    let letter = |c: char| {
        if std::mem::replace(&mut up, c == '-') { c.to_ascii_uppercase() } else { c }
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_calls_with_strings() {
        assert_eq!(call("VariableContains contents.id 10"), r#"VariableContains "contents.id" "10""#);
        assert_eq!(
            call(r#"VariableContains contents.t "a b" x"#),
            r#"VariableContains "contents.t" "a b" "x""#
        );
        assert_eq!(call(r"PropertyMatches contents.t ^\d+$"), r#"PropertyMatches "contents.t" "^\\d+$""#);
        assert_eq!(canonical("x-request-id"), "X-Request-Id");
    }
}
