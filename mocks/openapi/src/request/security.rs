//! Whether a request shows who sends it. What it shows is never told.

use serde_json::{Value, json};

use super::{RequestParts, RequestViolation};
use crate::spec::{Api, Operation, Requirement, SecurityScheme};

/// A request, with what was read of it already.
pub(super) struct Shown<'r> {
    pub(super) request: &'r RequestParts<'r>,
    pub(super) query: &'r [(String, String)],
    pub(super) cookies: &'r [(String, String)],
    /// Whether a credential, without the word before it, is a good one.
    pub(super) accepts: &'r dyn Fn(&str) -> bool,
}

pub(super) fn check(
    api: &Api,
    operation: &Operation,
    shown: &Shown<'_>,
    violations: &mut Vec<RequestViolation>,
) {
    let is_met = |all: &Vec<Requirement>| {
        // There is one header `Authorization`: of several schemes that want it, one can be shown.
        let wants_it = |one: &&Requirement| {
            let kind = scheme(api, one).map(|scheme| scheme.kind.as_str());
            matches!(kind, Some("http" | "oauth2" | "openIdConnect"))
        };
        let (in_it, others): (Vec<&Requirement>, Vec<&Requirement>) = all.iter().partition(wants_it);
        let is_shown = |one: &&Requirement| shown.meets(api, one);
        others.iter().all(is_shown) && (in_it.is_empty() || in_it.iter().any(is_shown))
    };
    if operation.security.is_empty() || operation.security.iter().any(is_met) {
        return;
    }
    let schemes = |all: &Vec<Requirement>| -> Vec<&SecurityScheme> {
        all.iter().filter_map(|one| scheme(api, one)).collect()
    };
    let alternatives: Vec<Vec<&SecurityScheme>> = operation.security.iter().map(schemes).collect();
    let wanted: Vec<String> = alternatives
        .iter()
        .map(|all| all.iter().map(|scheme| place(scheme)).collect::<Vec<_>>().join(" and "))
        .collect();
    let expected: Vec<Vec<Value>> =
        alternatives.iter().map(|all| all.iter().map(|scheme| told(scheme)).collect()).collect();
    violations.push(RequestViolation {
        part: "security",
        name: alternatives.iter().flatten().next().map(|scheme| scheme.name.clone()).unwrap_or_default(),
        at: String::new(),
        what: format!("wants {}", wanted.join(", or ")),
        keyword: "security",
        expected: json!(expected),
    });
}

fn scheme<'a>(api: &'a Api, requirement: &Requirement) -> Option<&'a SecurityScheme> {
    api.security.iter().find(|scheme| scheme.name == requirement.name)
}

impl Shown<'_> {
    /// What is no scheme of the specification, or is not shown in the request, cannot be missed.
    fn meets(&self, api: &Api, requirement: &Requirement) -> bool {
        let Some(scheme) = scheme(api, requirement) else { return true };
        let among = |pairs: &[(String, String)]| {
            pairs.iter().any(|(name, value)| *name == scheme.key && self.is_good(value))
        };
        match (scheme.kind.as_str(), scheme.location.as_str()) {
            ("apiKey", "query") => among(self.query),
            ("apiKey", "cookie") => among(self.cookies),
            ("apiKey", _) => self.request.header(&scheme.key).is_some_and(|value| self.is_good(value)),
            ("http" | "oauth2" | "openIdConnect", _) => {
                let told = self.request.header("authorization").unwrap_or_default().trim();
                let (word, rest) = told.split_once(' ').unwrap_or((told, ""));
                word.eq_ignore_ascii_case(word_of(scheme)) && self.is_good(rest)
            }
            _ => true,
        }
    }

    fn is_good(&self, value: &str) -> bool {
        let value = value.trim();
        !value.is_empty() && (self.accepts)(value)
    }
}

/// With what `Authorization` begins.
fn word_of(scheme: &SecurityScheme) -> &str {
    let named = Some(scheme.scheme.as_str()).filter(|name| scheme.kind == "http" && !name.is_empty());
    match named {
        Some(name) if name.eq_ignore_ascii_case("basic") => "Basic",
        Some(name) if name.eq_ignore_ascii_case("bearer") => "Bearer",
        Some(name) => name,
        None => "Bearer",
    }
}

/// Where a scheme wants something, for people.
fn place(scheme: &SecurityScheme) -> String {
    match (scheme.kind.as_str(), scheme.location.as_str()) {
        ("apiKey", "query") => format!("the query parameter {:?}", scheme.key),
        ("apiKey", "cookie") => format!("the cookie {:?}", scheme.key),
        ("apiKey", _) => format!("the header {:?}", scheme.key),
        _ => format!("the header \"Authorization: {} …\"", word_of(scheme)),
    }
}

/// The same for programs.
fn told(scheme: &SecurityScheme) -> Value {
    if scheme.kind == "apiKey" {
        let place = if scheme.location.is_empty() { "header" } else { scheme.location.as_str() };
        return json!({"scheme": scheme.name, "type": "apiKey", "in": place, "name": scheme.key});
    }
    json!({
        "scheme": scheme.name, "type": scheme.kind, "in": "header", "name": "Authorization",
        "begins": word_of(scheme),
    })
}
