//! What a scenario demands of a request besides method and path.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::OnceLock;

use api_mock_scenario::{OTHER_PARAMETERS, Pairs, Scenario};
use http::HeaderName;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

use crate::json::{self, Scalar};
use crate::miss::Reason;
use crate::parts::{FormPart, FormRule, form_parts};
use crate::pattern::TextPattern;
use crate::request::Request;
use crate::sieve::Place;

/// How to match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchOptions {
    /// Parts of the body that a scenario has patterns for must be there. By default only those
    /// are checked that are.
    pub strict_contents: bool,
    /// A variable at the end of a path takes all the rest of it, as in the service that this one
    /// follows. By default each variable takes one segment, and `{name*}` takes the rest.
    pub last_variable_takes_rest: bool,
}

/// A request, and what was found out about it on the way.
pub(crate) struct Probe<'r> {
    pub(crate) request: &'r Request,
    /// The body if it is text, then its scalars if it is JSON.
    body: OnceCell<Option<&'r str>>,
    scalars: OnceCell<Option<Vec<Scalar>>>,
    digest: OnceCell<String>,
    form: OnceCell<Option<Vec<FormPart>>>,
}

impl<'r> Probe<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        Probe {
            request,
            body: OnceCell::new(),
            scalars: OnceCell::new(),
            digest: OnceCell::new(),
            form: OnceCell::new(),
        }
    }

    /// The body if it is text.
    pub(crate) fn body(&self) -> Option<&'r str> {
        *self.body.get_or_init(|| std::str::from_utf8(&self.request.body).ok())
    }

    /// The SHA-256 of the body in hexadecimal.
    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            Sha256::digest(&self.request.body).iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// The parts of the body, if it is a form of parts.
    pub(crate) fn form(&self) -> Option<&[FormPart]> {
        let parts = || {
            let content_type = self.request.header(CONTENT_TYPE)?;
            form_parts(content_type, &self.request.body)
        };
        self.form.get_or_init(parts).as_deref()
    }

    fn scalars(&self) -> Option<&[Scalar]> {
        self.scalars.get_or_init(|| self.body().and_then(json::flatten)).as_deref()
    }

    /// The first value of a flattened key, if the body is JSON and has one.
    pub(crate) fn field(&self, key: &str) -> Option<&str> {
        if !is_json_like(self.body()?) {
            return None;
        }
        let scalar = self.scalars()?.iter().find(|scalar| scalar.key == key);
        scalar.map(|scalar| scalar.text.as_str())
    }
}

/// The rules of one scenario, compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    query: Vec<(String, TextPattern)>,
    /// For each parameter that has no pattern of its own.
    other_query: Option<TextPattern>,
    headers: Vec<(String, Option<HeaderName>, TextPattern)>,
    content_type: Option<TextPattern>,
    contents: Option<Contents>,
}

#[derive(Debug)]
pub(crate) struct Contents {
    whole: TextPattern,
    /// Patterns by flattened key, and those by exact place; `None` if the text is no JSON object.
    fields: OnceLock<Option<Fields>>,
    form: Option<FormRule>,
    strict: bool,
}

/// A rule of this and the SHA-256 in hexadecimal fits one body only, which may be binary or long.
const DIGEST: &str = "__sha256__";

#[derive(Debug, Default)]
struct Fields {
    by_key: HashMap<String, TextPattern>,
    by_place: Vec<(String, TextPattern)>,
}

impl Rules {
    pub(crate) fn new(scenario: &Scenario, options: &MatchOptions) -> Rules {
        let request = &scenario.request;
        let compile = |pairs: &Pairs| -> Vec<(String, TextPattern)> {
            pairs.iter().map(|(name, text)| (name.to_owned(), TextPattern::new(text))).collect()
        };
        let header = |(name, pattern): (String, TextPattern)| {
            let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
            (name, parsed, pattern)
        };
        let given = |text: &str| (!text.is_empty()).then(|| TextPattern::new(text));
        let (others, query): (Vec<_>, Vec<_>) =
            compile(&request.match_query_params).into_iter().partition(|(name, _)| name == OTHER_PARAMETERS);
        Rules {
            query,
            other_query: others.into_iter().next().map(|(_, pattern)| pattern),
            headers: compile(&request.match_headers).into_iter().map(header).collect(),
            content_type: given(&request.match_content_type),
            contents: given(&request.match_contents).map(|whole| Contents::new(whole, options)),
        }
    }

    /// Whether a request fits.
    pub(crate) fn fit(&self, probe: &Probe<'_>) -> bool {
        let request = probe.request;
        self.query.iter().all(|(name, pattern)| pattern.fits(request.query_value(name)))
            && self.bad_other(request).is_none()
            && self.contents.as_ref().is_none_or(|contents| contents.fit(probe).is_ok())
            && self.headers.iter().all(|(_, name, pattern)| pattern.fits(header(request, name.as_ref())))
            && self.content_type.as_ref().is_none_or(|pattern| content_type_fits(pattern, request))
    }

    /// The first query parameter that has no pattern of its own and does not fit that for all such.
    fn bad_other<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let pattern = self.other_query.as_ref()?;
        let is_other = |name: &str| !self.query.iter().any(|(known, _)| known == name);
        let mut others = request.query.iter().filter(|(name, _)| is_other(name));
        others.find(|(_, value)| !pattern.fits(Some(value))).map(|(name, _)| name.as_str())
    }

    /// The patterns that a request must match at certain places, or for fields: must not miss, unless its body fits as
    /// a whole.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Place<'_>, &TextPattern)> {
        let query = self.query.iter().map(|(name, pattern)| (Place::Query(name), pattern));
        let headers = self.headers.iter().filter_map(|(_, name, pattern)| {
            let name = name.as_ref()?;
            Some((Place::Header(name.as_str()), pattern))
        });
        let fields = self.contents.as_ref().and_then(Contents::fields);
        let fields = fields.into_iter().flat_map(|fields| &fields.by_key);
        let present = query.chain(headers).filter(|(_, pattern)| !pattern.is_absent());
        present.chain(fields.map(|(key, pattern)| (Place::Field(key), pattern)))
    }

    /// The pattern for the body.
    pub(crate) fn whole_body(&self) -> Option<&TextPattern> {
        self.contents.as_ref().map(|contents| &contents.whole)
    }

    /// All that does not fit.
    pub(crate) fn reasons(&self, probe: &Probe<'_>) -> Vec<Reason> {
        let request = probe.request;
        let mut reasons = Vec::new();
        for (name, pattern) in &self.query {
            let value = request.query_value(name);
            if !pattern.fits(value) {
                let (name, missing, expected) = (name.clone(), value.is_none(), shown(name, pattern));
                let invalid_pattern = pattern.is_invalid();
                reasons.push(Reason::Query { name, missing, expected, invalid_pattern });
            }
        }
        if let Some(name) = self.bad_other(request) {
            let name = name.to_owned();
            reasons.push(Reason::Query { name, missing: false, expected: None, invalid_pattern: false });
        }
        if let Some(Err(reason)) = self.contents.as_ref().map(|contents| contents.fit(probe)) {
            reasons.push(reason);
        }
        for (name, parsed, pattern) in &self.headers {
            let value = header(request, parsed.as_ref());
            if !pattern.fits(value) {
                let (name, missing, expected) = (name.clone(), value.is_none(), shown(name, pattern));
                let invalid_pattern = pattern.is_invalid();
                reasons.push(Reason::Header { name, missing, expected, invalid_pattern });
            }
        }
        if let Some(pattern) =
            self.content_type.as_ref().filter(|pattern| !content_type_fits(pattern, request))
        {
            let (expected, invalid_pattern) = (pattern.text().to_owned(), pattern.is_invalid());
            reasons.push(Reason::ContentType { expected, invalid_pattern });
        }
        reasons
    }
}

fn header<'r>(request: &'r Request, name: Option<&HeaderName>) -> Option<&'r str> {
    let value = request.headers.get(name?)?;
    std::str::from_utf8(value.as_bytes()).ok()
}

/// The rule of the first files: the type may also be a part of what is expected, or not there.
fn content_type_fits(pattern: &TextPattern, request: &Request) -> bool {
    let sent = request.header("content-type").unwrap_or_default();
    pattern.text().contains(sent) || pattern.searches(sent)
}

/// The pattern, unless it could be a secret.
fn shown(name: &str, pattern: &TextPattern) -> Option<String> {
    const SECRET: [&str; 9] =
        ["auth", "cookie", "key", "token", "secret", "passw", "session", "credential", "signature"];
    let name = name.to_ascii_lowercase();
    (!SECRET.iter().any(|word| name.contains(word))).then(|| pattern.text().to_owned())
}

fn fields(text: &str) -> Option<Fields> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let mut fields = Fields::default();
    for (key, value) in object {
        let pattern = match value {
            serde_json::Value::String(text) => TextPattern::new(&text),
            serde_json::Value::Null => continue,
            value => TextPattern::new(&value.to_string()),
        };
        let place = key.strip_prefix("$.").or_else(|| key.strip_prefix('$'));
        match place {
            Some(place) => fields.by_place.push((place.to_owned(), pattern)),
            None if key.contains('[') => fields.by_place.push((key, pattern)),
            None => {
                fields.by_key.insert(key, pattern);
            }
        }
    }
    Some(fields)
}

impl Contents {
    pub(crate) fn new(whole: TextPattern, options: &MatchOptions) -> Self {
        let form = FormRule::of(whole.text());
        Contents { fields: OnceLock::new(), form, whole, strict: options.strict_contents }
    }

    /// A body that is part of the rule's text fits (so an empty one always does), one in which the
    /// rule is found as a regular expression, and JSON whose parts fit the patterns for them. Where
    /// the rule says that parts must be there, only the last will do.
    pub(crate) fn fit(&self, probe: &Probe<'_>) -> Result<(), Reason> {
        if let Some(digest) = self.whole.text().strip_prefix(DIGEST) {
            let is_it = digest.trim_end().eq_ignore_ascii_case(probe.digest());
            return if is_it { Ok(()) } else { Err(Reason::Contents) };
        }
        if let Some(form) = &self.form {
            return form.fit(probe);
        }
        let body = probe.body();
        let found = body.is_some_and(|body| self.whole.text().contains(body) || self.whole.searches(body));
        let fields = self.fields();
        let demands = fields.is_some_and(|fields| fields.demand(self.strict));
        if found && !demands {
            return Ok(());
        }
        let fields = fields.ok_or(Reason::Contents)?;
        // What is no JSON, forms for example, has no parts to check.
        if !body.is_some_and(is_json_like) {
            return if demands { Err(Reason::Contents) } else { Ok(()) };
        }
        let scalars = probe.scalars().ok_or(Reason::Contents)?;
        fields.fit(scalars, self.strict)
    }

    /// As `fit` for a part of a form, where what is empty fits only rules for what is empty.
    pub(crate) fn fit_part(&self, probe: &Probe<'_>) -> bool {
        if self.whole.text().starts_with(DIGEST) {
            return self.fit(probe).is_ok();
        }
        let Some(text) = probe.body() else { return false };
        let fields = self.fields().filter(|_| is_json_like(text));
        let has_fields = || Some(fields?.fit(probe.scalars()?, self.strict).is_ok());
        self.whole.searches(text) || has_fields().unwrap_or(false)
    }

    fn fields(&self) -> Option<&Fields> {
        self.fields.get_or_init(|| fields(self.whole.text())).as_ref()
    }
}

impl Fields {
    /// Whether some part must be there.
    fn demand(&self, strict: bool) -> bool {
        !self.by_place.is_empty() || strict && !self.by_key.is_empty()
    }

    fn fit(&self, scalars: &[Scalar], strict: bool) -> Result<(), Reason> {
        for scalar in scalars {
            if self.by_key.get(&scalar.key).is_some_and(|pattern| !pattern.matches(&scalar.text)) {
                return Err(Reason::Field { name: scalar.key.clone(), missing: false });
            }
        }
        for (place, pattern) in &self.by_place {
            let mut found = scalars.iter().filter(|scalar| is_at(&scalar.exact, place)).peekable();
            let missing = found.peek().is_none();
            if missing || !found.all(|scalar| pattern.matches(&scalar.text)) {
                return Err(Reason::Field { name: place.clone(), missing });
            }
        }
        if strict {
            let absent =
                self.by_key.keys().filter(|key| !scalars.iter().any(|scalar| scalar.key == **key)).min();
            if let Some(name) = absent {
                return Err(Reason::Field { name: name.clone(), missing: true });
            }
        }
        Ok(())
    }
}

/// What has parts to check.
fn is_json_like(body: &str) -> bool {
    body.trim_start().starts_with(['{', '['])
}

/// Whether a place is the one meant; `[*]` means any place in an array.
fn is_at(exact: &str, place: &str) -> bool {
    if !place.contains("[*]") {
        return exact == place;
    }
    let mut parts = place.split("[*]");
    let Some(mut rest) = parts.next().and_then(|first| exact.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(after) = rest.strip_prefix('[') else { return false };
        let Some((number, after)) = after.split_once(']') else { return false };
        let Some(after) =
            after.strip_prefix(part).filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    fn rules(build: impl FnOnce(&mut Scenario)) -> Rules {
        let mut scenario = Scenario::default();
        build(&mut scenario);
        Rules::new(&scenario, &MatchOptions::default())
    }

    fn post(body: &'static str, content_type: Option<&'static str>) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert("content-type", value.parse().unwrap());
        }
        Request::new(Method::POST, "/x", headers, body.into())
    }

    fn fits(rules: &Rules, request: &Request) -> bool {
        let probe = Probe::new(request);
        assert_eq!(rules.fit(&probe), rules.reasons(&probe).is_empty());
        rules.fit(&probe)
    }

    #[test]
    fn the_content_type_rule_of_the_first_files() {
        let rules = rules(|s| s.request.match_content_type = "application/json; charset=utf-8".into());
        assert!(fits(&rules, &post("", None)));
        assert!(fits(&rules, &post("", Some("application/json"))));
        assert!(fits(&rules, &post("", Some("application/json; charset=utf-8"))));
        assert!(!fits(&rules, &post("", Some("text/xml"))));
    }

    #[test]
    fn bodies() {
        let json = r#"{"id":"(__number__[+-]?[0-9]{1,10})","a.b":"^x","items[0].n":"^1$"}"#;
        let by_place = rules(|s| s.request.match_contents = json.into());
        assert!(
            !fits(&by_place, &post("", None)) && !fits(&by_place, &post("id", None)),
            "places must be there"
        );
        assert!(fits(&by_place, &post(r#"{"id": 5, "a": [{"b": "xy"}], "items": [{"n": 1}]}"#, None)));
        assert!(!fits(&by_place, &post(r#"{"id": 5, "items": [{"n": 2}]}"#, None)));
        assert!(!fits(&by_place, &post(r#"{"id": 5}"#, None)), "places must be there");
        let simple = rules(|s| s.request.match_contents = r#"{"id":"[0-9]+","a.b":"^x"}"#.into());
        assert!(fits(&simple, &post("", None)), "an empty body fits where nothing must be there");
        assert!(fits(&simple, &post(r#"{"other": 1}"#, None)), "keys need not be there");
        assert!(!fits(&simple, &post(r#"{"id": "five"}"#, None)));
        assert!(!fits(&simple, &post(r#"{"a": [{"b": "x"}, {"b": "y"}]}"#, None)));
        assert!(!fits(&simple, &post(r#"{"id": 5"#, None)), "broken JSON");
        assert!(fits(&simple, &post("id=five", None)), "a form has no parts");
        let whole = rules(|s| s.request.match_contents = "<id>[0-9]+</id>".into());
        assert!(fits(&whole, &post("<a><id>12</id></a>", None)));
        assert!(!fits(&whole, &post("<a><id>x</id></a>", None)));
        let empty = rules(|s| s.request.match_contents = "{}".into());
        assert!(fits(&empty, &post("", None)) && fits(&empty, &post(r#"{"a":1}"#, None)));
    }

    #[test]
    fn other_parameters_can_be_refused_and_named_ones_too() {
        let get = |query: &str| Request::new(Method::GET, query, HeaderMap::new(), bytes::Bytes::new());
        let only = rules(|s| {
            s.request.match_query_params = [("page", "^1$"), ("*", "__absent__")].into_iter().collect();
        });
        assert!(fits(&only, &get("/x?page=1")) && !fits(&only, &get("/x?page=1&q=2")));
        assert!(!fits(&only, &get("/x?q=")) && !fits(&only, &get("/x?page=2")));
        let none = rules(|s| s.request.match_query_params = [("*", "__absent__")].into_iter().collect());
        assert!(fits(&none, &get("/x")) && !fits(&none, &get("/x?a")));
        let without = rules(|s| s.request.match_query_params = [("q", "__absent__")].into_iter().collect());
        assert!(fits(&without, &get("/x?page=1")) && !fits(&without, &get("/x?q")));
        let numbers = rules(|s| s.request.match_query_params = [("*", "^[0-9]+$")].into_iter().collect());
        assert!(fits(&numbers, &get("/x?a=1&b=2")) && !fits(&numbers, &get("/x?a=1&b=c")));
    }

    #[test]
    fn a_digest_fits_one_body_only() {
        let rule = "__sha256__ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let rules = rules(|s| s.request.match_contents = rule.into());
        assert!(fits(&rules, &post("abc", None)));
        assert!(!fits(&rules, &post("abcd", None)) && !fits(&rules, &post("", None)));
        assert!(!fits(&rules, &post(rule, None)));
        let mut binary = post("", None);
        binary.body = bytes::Bytes::from_static(b"\xff\x00");
        assert!(!fits(&rules, &binary));
    }

    #[test]
    fn defect_l16_large_numbers_are_compared_as_they_are_written() {
        let rules = rules(|s| s.request.match_contents = r#"{"id":"^1234567890123456789$"}"#.into());
        assert!(fits(&rules, &post(r#"{"id": 1234567890123456789}"#, None)));
        assert!(!fits(&rules, &post(r#"{"id": 1234567890123456800}"#, None)));
    }

    #[test]
    fn strict_bodies_must_have_all_parts() {
        let mut scenario = Scenario::default();
        scenario.request.match_contents = r#"{"id":".+","name":".+"}"#.into();
        let options = MatchOptions { strict_contents: true, ..MatchOptions::default() };
        let rules = Rules::new(&scenario, &options);
        assert!(fits(&rules, &post(r#"{"id": 1, "name": "n"}"#, None)));
        let request = post(r#"{"id": 1}"#, None);
        let reason = Reason::Field { name: "name".into(), missing: true };
        assert_eq!(rules.reasons(&Probe::new(&request)), [reason]);
        assert!(!fits(&rules, &post("", None)) && !fits(&rules, &post("id=1", None)));
        let nothing = Scenario {
            request: api_mock_scenario::RequestRules { match_contents: "{}".into(), ..Default::default() },
            ..Scenario::default()
        };
        assert!(fits(&Rules::new(&nothing, &options), &post("", None)), "as recordings of GET have it");
    }

    #[test]
    fn defect_l05_reasons_hold_no_secrets() {
        let rules = rules(|s| {
            s.request.match_headers =
                [("Authorization", "Bearer hunter2"), ("X-Kind", "^a$")].into_iter().collect();
            s.request.match_query_params = [("api_key", "hunter3"), ("page", r"^\d+$")].into_iter().collect();
        });
        let mut request = post("", None);
        request.headers.insert("authorization", "Bearer mine".parse().unwrap());
        request.query = vec![("page".into(), "hunter4".into())];
        let text = serde_json::to_string(&rules.reasons(&Probe::new(&request))).unwrap();
        assert!(!text.contains("hunter") && !text.contains("mine"), "{text}");
        assert!(text.contains(r#"{"kind":"header","name":"Authorization","missing":false}"#), "{text}");
        assert!(
            text.contains(r#"{"kind":"query","name":"page","missing":false,"expected":"^\\d+$"}"#),
            "{text}"
        );
    }

    #[test]
    fn a_pattern_that_is_no_regular_expression_is_told_of() {
        let rules = rules(|s| {
            s.request.match_headers = [("X-Kind", "(a"), ("Accept", "*/*")].into_iter().collect();
            s.request.match_query_params = [("page", "[0-9")].into_iter().collect();
            s.request.match_content_type = "text/(".into();
        });
        let request = post("", Some("text/xml"));
        let reasons = serde_json::to_value(rules.reasons(&Probe::new(&request))).unwrap();
        let told: Vec<_> =
            reasons.as_array().unwrap().iter().map(|reason| &reason["invalid_pattern"]).collect();
        // The last is meant as a text.
        let (page, kind, content_type) = (true.into(), true.into(), true.into());
        assert_eq!(told, [&page, &kind, &serde_json::Value::Null, &content_type], "{reasons}");
    }

    #[test]
    fn any_place_in_an_array() {
        assert!(is_at("items[12].id", "items[*].id") && is_at("a[0][1]", "a[*][*]"));
        assert!(!is_at("items.id", "items[*].id") && !is_at("items[0].idx", "items[*].id"));
    }
}
