//! Names and groups that are made, not given.

use sha2::{Digest, Sha256};

use crate::model::{Contents, Scenario};
use crate::path::{self, Part};

/// SHA-256 of what makes a recorded or generated scenario what it is, as 64 hexadecimal digits:
/// method, group, path, query patterns by name, body pattern, response body and fixture. The same
/// for the same scenario, always.
///
/// ```
/// use api_mock_scenario::{Scenario, digest};
/// let scenario = Scenario { method: "GET".into(), path: "/a".into(), ..Scenario::default() };
/// assert_eq!(digest(&scenario).len(), 64);
/// ```
#[must_use]
pub fn digest(scenario: &Scenario) -> String {
    let mut hasher = Sha256::new();
    for text in [&scenario.method, &scenario.group, &scenario.path] {
        hasher.update(text.as_bytes());
    }
    let mut query: Vec<(&str, &str)> = scenario.request.match_query_params.iter().collect();
    query.sort_unstable();
    for (name, pattern) in query {
        hasher.update(name.as_bytes());
        hasher.update(pattern.as_bytes());
    }
    hasher.update(scenario.request.match_contents.as_bytes());
    match &scenario.response.contents {
        Contents::Template(text) => hasher.update(text.as_bytes()),
        Contents::Literal(bytes) => hasher.update(bytes),
    }
    hasher.update(scenario.response.contents_file.as_bytes());
    path::hex(&hasher.finalize())
}

/// The name of a recorded scenario: `recorded-<path with hyphens>-<digest>`.
///
/// ```
/// use api_mock_scenario::{Scenario, recorded_name};
/// let scenario = Scenario { path: "/v1/todos/2".into(), ..Scenario::default() };
/// assert!(recorded_name(&scenario).starts_with("recorded-v1-todos-2-"));
/// ```
#[must_use]
pub fn recorded_name(scenario: &Scenario) -> String {
    let digest = digest(scenario);
    match words(&scenario.path.replace('/', "-"), 100).as_str() {
        "" => format!("recorded-{digest}"),
        path => format!("recorded-{path}-{digest}"),
    }
}

/// The name of a scenario made from a specification: `<operation>-<digest>`; without an operation
/// the method and path stand for it.
///
/// ```
/// use api_mock_scenario::{Scenario, generated_name};
/// let scenario = Scenario { method: "GET".into(), path: "/pets/{id}".into(), ..Scenario::default() };
/// assert!(generated_name("showPet", &scenario).starts_with("showPet-"));
/// assert!(generated_name("", &scenario).starts_with("GET-pets-id-"));
/// ```
#[must_use]
pub fn generated_name(operation: &str, scenario: &Scenario) -> String {
    let digest = digest(scenario);
    let operation = words(operation, 100);
    if !operation.is_empty() {
        return format!("{operation}-{digest}");
    }
    let place = format!("{}{}", scenario.method, scenario.path.replace('/', "-"));
    format!("{}-{digest}", words(&place, 100))
}

/// The group of a path: its part before the first variable, with `_` for slashes; `root` if there
/// is none.
///
/// ```
/// use api_mock_scenario::group_of;
/// assert_eq!(group_of("/v1/todos/:id"), "v1_todos");
/// assert_eq!(group_of("/{tenant}/x"), "root");
/// ```
#[must_use]
pub fn group_of(path: &str) -> String {
    let literal =
        path::parts(path).into_iter().map_while(|mut segment| match (segment.pop(), segment.pop()) {
            (Some(Part::Literal(text)), None) => Some(text),
            _ => None,
        });
    let group = literal.collect::<Vec<_>>().join("_");
    let group = group.trim_start_matches('_');
    if group.is_empty() { "root".to_owned() } else { group.to_owned() }
}

/// Letters, digits, `_` and points as they are, all else as single hyphens, none at the ends.
fn words(text: &str, length: usize) -> String {
    let mut words = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') {
            words.push(c);
        } else if matches!(c, '{' | '}') {
            // The braces of variables.
        } else if !words.ends_with('-') {
            words.push('-');
        }
    }
    words.truncate(length);
    words.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Pairs;

    fn scenario(query: &[(&str, &str)]) -> Scenario {
        let mut scenario = Scenario { method: "GET".into(), path: "/x".into(), ..Scenario::default() };
        scenario.request.match_query_params = query.iter().copied().collect::<Pairs>();
        scenario
    }

    #[test]
    fn defect_l24_the_order_of_parameters_does_not_change_the_digest() {
        let one = digest(&scenario(&[("a", "1"), ("b", "2")]));
        assert_eq!(one, digest(&scenario(&[("b", "2"), ("a", "1")])));
        assert_ne!(one, digest(&scenario(&[("a", "1"), ("b", "3")])));
        // SHA-256 of `GET/xa1b2`.
        assert_eq!(one, path::hex(&Sha256::digest(b"GET/xa1b2")));
    }

    #[test]
    fn made_names_are_names() {
        let mut scenario = scenario(&[]);
        for path in ["/", "/a b/é/../x", &"/long".repeat(100), "/:id"] {
            scenario.path = path.to_owned();
            for name in [
                recorded_name(&scenario),
                generated_name("", &scenario),
                generated_name("list all", &scenario),
            ] {
                assert_eq!(path::name(&name).as_deref(), Some(name.as_str()), "{name}");
            }
        }
    }
}
