//! Forms of parts, `multipart/form-data`: the boundary between the parts is another one each time, so a body is compared
//! part by part.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use crate::miss::Reason;
use crate::pattern::TextPattern;
use crate::request::Request;
use crate::rules::{Contents, MatchOptions, Probe};

/// A rule of this and a JSON list of parts fits a form of these parts, in this order.
const RULE: &str = "__parts__";
/// More parts than this are no form.
const MOST_PARTS: usize = 1_000;

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormPart {
    /// Its name; empty if it has none.
    pub name: String,
    /// What its own content type is; empty if it does not say.
    pub content_type: String,
    /// Where in the body its bytes are, without its headers.
    pub at: Range<usize>,
}

/// The boundary that a content type tells, without the dashes before it.
#[must_use]
pub fn boundary(content_type: &str) -> Option<String> {
    let is_form = content_type.trim_start().get(..10).is_some_and(|it| it.eq_ignore_ascii_case("multipart/"));
    if is_form { parameter(content_type, "boundary").filter(|it| !it.is_empty()) } else { None }
}

/// The parts of a body; `None` if it is no such form, or not a whole one.
///
/// ```
/// use api_mock_matcher::form_parts;
/// let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--x--\r\n";
/// let parts = form_parts("multipart/form-data; boundary=x", body).unwrap();
/// assert_eq!((parts[0].name.as_str(), &body[parts[0].at.clone()]), ("a", &b"value"[..]));
/// assert!(form_parts("application/json", body).is_none());
/// ```
#[must_use]
pub fn form_parts(content_type: &str, body: &[u8]) -> Option<Vec<FormPart>> {
    let boundary = boundary(content_type)?;
    let between = [b"\r\n--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    // The first may stand at the very begin.
    let mut at = if body.starts_with(between.get(2..)?) {
        between.len() - 2
    } else {
        find(body, &between)? + between.len()
    };
    while !body.get(at..)?.starts_with(b"--") {
        if parts.len() >= MOST_PARTS {
            return None;
        }
        // Blanks may follow the boundary.
        let line_end = at + find(body.get(at..)?, b"\r\n")?;
        let end = line_end + find(body.get(line_end..)?, &between)?;
        parts.push(part(body, line_end..end)?);
        at = end + between.len();
    }
    Some(parts)
}

/// A part: its headers, each after the end of a line, an empty line, its bytes.
fn part(body: &[u8], at: Range<usize>) -> Option<FormPart> {
    let whole = body.get(at.clone())?;
    let (head, begin) = match find(whole, b"\r\n\r\n") {
        Some(end) => (whole.get(..end)?, at.start + end + 4),
        None => (whole, at.end),
    };
    let head = String::from_utf8_lossy(head);
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let name = header("content-disposition").and_then(|value| parameter(&value, "name"));
    Some(FormPart {
        name: name.unwrap_or_default(),
        content_type: header("content-type").unwrap_or_default(),
        at: begin.min(at.end)..at.end,
    })
}

/// `x` of `a; name="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (known, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        // What stands before a semicolon is a word without a value.
        let known = known.rsplit(';').next().unwrap_or_default();
        if known.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim_end().to_owned());
        }
        rest = after.split_once(';')?.1;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

/// The parts that a form must have.
#[derive(Debug)]
pub(crate) struct FormRule {
    /// `None` if the list cannot be read: then no form fits.
    parts: Option<Vec<PartRule>>,
}

#[derive(Debug)]
struct PartRule {
    name: String,
    /// None if its bytes may be any.
    contents: Option<Contents>,
}

impl FormRule {
    /// The rule, if the text is one.
    pub(crate) fn of(text: &str) -> Option<FormRule> {
        let list = text.trim_start().strip_prefix(RULE)?;
        let list: Option<Vec<Value>> = serde_json::from_str(list).ok();
        let parts = list.map(|list| list.iter().map(PartRule::new).collect());
        Some(FormRule { parts })
    }

    pub(crate) fn fit(&self, probe: &Probe<'_>) -> Result<(), Reason> {
        let parts = probe.form().ok_or(Reason::Contents)?;
        let rules = self.parts.as_ref().ok_or(Reason::Contents)?;
        for (number, rule) in rules.iter().enumerate() {
            let part = parts.get(number).filter(|part| part.name == rule.name);
            let Some(part) = part else {
                return Err(Reason::Field { name: rule.name.clone(), missing: true });
            };
            if !rule.fits(probe.request.body.slice(part.at.clone())) {
                return Err(Reason::Field { name: rule.name.clone(), missing: false });
            }
        }
        if parts.len() > rules.len() { Err(Reason::Contents) } else { Ok(()) }
    }
}

impl PartRule {
    fn new(rule: &Value) -> PartRule {
        let text = |key: &str| rule.get(key).and_then(Value::as_str);
        PartRule {
            name: text("name").unwrap_or_default().to_owned(),
            contents: text("contents")
                .map(|text| Contents::new(TextPattern::new(text), &MatchOptions::default())),
        }
    }

    fn fits(&self, bytes: Bytes) -> bool {
        let Some(contents) = &self.contents else { return true };
        let request = Request { body: bytes, ..Request::default() };
        contents.fit_part(&Probe::new(&request))
    }
}

/// The rule for a form of these parts, with what must hold for the bytes of each; `None` for what may be any.
#[must_use]
pub fn form_rule<'p>(parts: impl IntoIterator<Item = (&'p str, Option<String>)>) -> String {
    let parts = parts.into_iter().map(|(name, contents)| match contents {
        Some(contents) => serde_json::json!({"name": name, "contents": contents}),
        None => serde_json::json!({"name": name}),
    });
    // Two braces would begin a directive; where they can stand, in texts, this means the same.
    format!("{RULE}{}", Value::Array(parts.collect())).replace("{{", "{\\u007b")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, Method};

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x-1\"";

    fn fit(rule: &FormRule, request: &Request) -> Result<(), Reason> {
        rule.fit(&Probe::new(request))
    }

    fn names(body: &[u8]) -> Option<Vec<(String, String)>> {
        let parts = form_parts(TYPE, body)?;
        let text = |part: FormPart| (part.name, String::from_utf8_lossy(&body[part.at]).into_owned());
        Some(parts.into_iter().map(text).collect())
    }

    #[test]
    fn parts_are_found() {
        let body = b"before\r\n--x-1\r\nContent-Disposition: form-data; name=\"a; b=c\"\r\n\r\n5\r\n--x-1  \r\n\
            content-disposition: form-data; filename=\"n;name=z\"; name=f\r\nContent-Type: image/png\r\n\r\n\r\n--x\r\n--x-1\r\n\
            Content-Disposition: form-data; name=empty\r\n\r\n\r\n--x-1--\r\nafter";
        let told = [("a; b=c", "5"), ("f", "\r\n--x"), ("empty", "")];
        assert_eq!(names(body).unwrap(), told.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(form_parts(TYPE, body).unwrap()[1].content_type, "image/png");
        assert_eq!(names(b"--x-1--").unwrap(), []);
        for broken in ["", "--x-1", "--x-1\r\na", "--x-1\r\n\r\nabc", "y"] {
            assert_eq!(names(broken.as_bytes()), None, "{broken:?}");
        }
        assert!(boundary("text/plain; boundary=x").is_none() && boundary("multipart/mixed").is_none());
    }

    #[test]
    fn a_form_fits_whatever_its_boundary() {
        let form = |boundary: &str, parts: &[(&str, &str)]| {
            let parts = parts.iter().map(|(name, text)| {
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
            });
            let body = parts.collect::<String>() + &format!("--{boundary}--\r\n");
            let mut headers = HeaderMap::new();
            let content_type = format!("multipart/form-data; boundary={boundary}");
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            Request::new(Method::POST, "/", headers, body.into())
        };
        let json = r#"{"id":"^[0-9]+$"}"#.to_owned();
        let text = form_rule([("a", Some("^5$".to_owned())), ("any", None), ("json", Some(json))]);
        let rule = FormRule::of(&text).unwrap();
        let good = [("a", "5"), ("any", "thing"), ("json", r#"{"id": 7}"#)];
        assert!(fit(&rule, &form("one", &good)).is_ok() && fit(&rule, &form("two", &good)).is_ok());
        let with = |place: usize, part: (&'static str, &'static str)| {
            let mut parts = good.to_vec();
            parts[place] = part;
            fit(&rule, &form("b", &parts)).unwrap_err()
        };
        let field = |name: &str, missing: bool| Reason::Field { name: name.to_owned(), missing };
        assert_eq!(with(0, ("a", "55")), field("a", false));
        assert_eq!(with(0, ("a", "")), field("a", false), "nothing is not 5");
        assert_eq!(with(1, ("other", "thing")), field("any", true));
        assert_eq!(with(2, ("json", r#"{"id": "x"}"#)), field("json", false));
        assert_eq!(fit(&rule, &form("b", &good[..2])).unwrap_err(), field("json", true));
        let more = [good.as_slice(), &[("more", "x")]].concat();
        assert_eq!(fit(&rule, &form("b", &more)).unwrap_err(), Reason::Contents);
        assert!(FormRule::of("^--x").is_none());
        assert!(fit(&FormRule::of("__parts__{").unwrap(), &form("b", &good)).is_err());
    }
}
