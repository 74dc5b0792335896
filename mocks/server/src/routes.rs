//! The paths that are not played back: one table, in which static parts beat parameters.

use http::request::Parts;
use http::{HeaderValue, Method};

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    ListScenarios,
    PutScenario,
    ListGroups,
    GetGroupConfig,
    PutGroupConfig,
    DeleteGroupConfig,
    ListScenarioNames,
    GetScenario,
    DeleteScenario,
    ListFixtures,
    GetFixture,
    PutFixture,
    DeleteFixture,
    TryGroup,
    TryScenario,
    ImportSpecification,
    Call,
    Certificate,
    GetAsset,
    Health,
    Metrics,
    Document,
}

impl Action {
    /// Whether it goes on for as long as some service wants: it must not take the place of uploads.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Action::TryGroup | Action::TryScenario)
    }

    /// Whether what was recorded before it must be there.
    pub(crate) fn sees_recordings(self) -> bool {
        use Action::{Call, Certificate, Document, GetAsset, Health, Metrics};
        !matches!(self, Call | Certificate | Document | GetAsset | Health | Metrics)
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Parts in braces take one part of the path; `{path}`, always the last, takes the rest.
    pub(crate) pattern: &'static str,
    pub(crate) action: Action,
    /// Whether it is served without the admin token.
    pub(crate) is_open: bool,
}

impl Route {
    /// Whether the name in its path is that of a group.
    pub(crate) fn is_for_a_group(&self) -> bool {
        self.pattern.contains("{group}")
    }
}

const fn admin(method: Method, pattern: &'static str, action: Action) -> Route {
    Route { method, pattern, action, is_open: false }
}

const fn open(pattern: &'static str, action: Action) -> Route {
    Route { method: Method::GET, pattern, action, is_open: true }
}

/// All routes; the first that fits is taken.
pub(crate) const ROUTES: &[Route] = &[
    admin(Method::GET, "/_scenarios", Action::ListScenarios),
    admin(Method::POST, "/_scenarios", Action::PutScenario),
    admin(Method::GET, "/_scenarios/groups", Action::ListGroups),
    admin(Method::GET, "/_groups", Action::ListGroups),
    admin(Method::GET, "/_groups/{group}/config", Action::GetGroupConfig),
    admin(Method::PUT, "/_groups/{group}/config", Action::PutGroupConfig),
    admin(Method::DELETE, "/_groups/{group}/config", Action::DeleteGroupConfig),
    admin(Method::GET, "/_scenarios/{method}/names/{path}", Action::ListScenarioNames),
    admin(Method::GET, "/_scenarios/{method}/{name}/{path}", Action::GetScenario),
    admin(Method::DELETE, "/_scenarios/{method}/{name}/{path}", Action::DeleteScenario),
    admin(Method::GET, "/_fixtures/{method}/fixtures/{path}", Action::ListFixtures),
    admin(Method::GET, "/_fixtures/{method}/{name}/{path}", Action::GetFixture),
    admin(Method::POST, "/_fixtures/{method}/{name}/{path}", Action::PutFixture),
    admin(Method::DELETE, "/_fixtures/{method}/{name}/{path}", Action::DeleteFixture),
    admin(Method::POST, "/_chaos/{group}", Action::TryGroup),
    admin(Method::POST, "/_chaos/{method}/{name}/{path}", Action::TryScenario),
    admin(Method::POST, "/_contracts/{group}", Action::TryGroup),
    admin(Method::POST, "/_contracts/{method}/{name}/{path}", Action::TryScenario),
    admin(Method::POST, "/_oapi", Action::ImportSpecification),
    // HEAD is among them, as it is with every GET.
    admin(Method::GET, "/_proxy", Action::Call),
    admin(Method::POST, "/_proxy", Action::Call),
    admin(Method::PUT, "/_proxy", Action::Call),
    admin(Method::PATCH, "/_proxy", Action::Call),
    admin(Method::DELETE, "/_proxy", Action::Call),
    open("/_ca", Action::Certificate),
    admin(Method::GET, "/metrics", Action::Metrics),
    open("/_assets/{path}", Action::GetAsset),
    open("/_health", Action::Health),
    open("/_oapi", Action::Document),
];

/// Calls with methods that the table has not: OPTIONS, which without an address is for us to answer, and unusual ones.
pub(crate) const CALL: Route = admin(Method::OPTIONS, "/_proxy", Action::Call);

/// Whether a request is a call of another service, whatever its method.
pub(crate) fn is_call(head: &Parts) -> bool {
    let says_where = ["x-mock-url", "mock-url"].iter().any(|name| head.headers.contains_key(*name));
    says_where && head.method != Method::CONNECT && parameters(CALL.pattern, head.uri.path()).is_some()
}

/// What the parameters of a path took, still percent-encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters<'p> {
    pub(crate) method: &'p str,
    /// Or the group.
    pub(crate) name: &'p str,
    /// With its leading slash.
    pub(crate) path: &'p str,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Found<'p> {
    Route(&'static Route, Parameters<'p>),
    /// The path is ours, the method is not.
    OtherMethods(HeaderValue),
    /// Everything else is for the scenarios.
    Playback,
}

/// Finds the route of a request.
pub(crate) fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    // Nearly all requests are for scenarios; they are told by their first bytes.
    if !(path.starts_with("/_") || path == "/metrics") {
        return Found::Playback;
    }
    let fitting: Vec<_> =
        ROUTES.iter().filter_map(|route| Some((route, parameters(route.pattern, path)?))).collect();
    // A HEAD is a GET whose body is not sent.
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    if let Some((route, parameters)) = fitting.iter().find(|(route, _)| route.method == *wanted) {
        return Found::Route(route, *parameters);
    }
    if fitting.is_empty() {
        return Found::Playback;
    }
    let mut allowed: Vec<&str> = fitting.iter().map(|(route, _)| route.method.as_str()).collect();
    allowed.extend(allowed.contains(&"GET").then_some("HEAD"));
    allowed.push("OPTIONS");
    allowed.dedup();
    let allow = HeaderValue::from_str(&allowed.join(", "));
    Found::OtherMethods(allow.unwrap_or(HeaderValue::from_static("OPTIONS")))
}

fn parameters<'p>(pattern: &str, path: &'p str) -> Option<Parameters<'p>> {
    let mut taken = Parameters::default();
    let (mut pattern, mut path) = (pattern, path);
    loop {
        if pattern.is_empty() {
            return path.trim_end_matches('/').is_empty().then_some(taken);
        }
        let (part, rest) = next_part(pattern)?;
        if part == "{path}" {
            // The root's scenario: `/_scenarios/GET/name/`, also without the last slash.
            taken.path = if path.is_empty() { "/" } else { path };
            return path.is_empty().then_some(taken).or_else(|| path.starts_with('/').then_some(taken));
        }
        let (said, left) = next_part(path)?;
        match part {
            "{method}" if !said.is_empty() => taken.method = said,
            "{name}" | "{group}" if !said.is_empty() => taken.name = said,
            part if part == said => {}
            _ => return None,
        }
        (pattern, path) = (rest, left);
    }
}

/// `/a/b` is `a` and `/b`.
fn next_part(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    Some(path.split_at(path.find('/').unwrap_or(path.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: Method, path: &str) -> Option<(Action, Parameters<'_>)> {
        match find(&method, path) {
            Found::Route(route, parameters) => Some((route.action, parameters)),
            _ => None,
        }
    }

    #[test]
    fn static_parts_beat_parameters_and_the_last_takes_the_rest() {
        let (found, parameters) = action(Method::GET, "/_scenarios/GET/a/v1/{Sid}/x").unwrap();
        assert_eq!(found, Action::GetScenario);
        assert_eq!(parameters, Parameters { method: "GET", name: "a", path: "/v1/{Sid}/x" });
        assert_eq!(action(Method::GET, "/_scenarios/GET/names/v1").unwrap().0, Action::ListScenarioNames);
        assert_eq!(action(Method::GET, "/_fixtures/GET/fixtures/v1").unwrap().0, Action::ListFixtures);
        assert_eq!(action(Method::GET, "/_scenarios/groups").unwrap().0, Action::ListGroups);
        assert_eq!(action(Method::DELETE, "/_scenarios/GET/names/v1").unwrap().0, Action::DeleteScenario);
    }

    #[test]
    fn the_root_is_a_path_too() {
        for path in ["/_scenarios/GET/home/", "/_scenarios/GET/home"] {
            assert_eq!(action(Method::GET, path).unwrap().1.path, "/", "{path}");
        }
    }

    #[test]
    fn a_last_slash_does_not_matter_and_head_is_get() {
        for path in ["/_scenarios", "/_scenarios/"] {
            assert_eq!(action(Method::GET, path).unwrap().0, Action::ListScenarios);
            assert_eq!(action(Method::HEAD, path).unwrap().0, Action::ListScenarios);
        }
    }

    #[test]
    fn paths_of_others_are_played_back() {
        for path in ["/", "/v1/_scenarios", "/_scenariosx", "/_other", "/metrics/x", "/_scenarios/GET", ""] {
            assert!(matches!(find(&Method::GET, path), Found::Playback), "{path}");
        }
    }

    #[test]
    fn other_methods_of_our_paths_are_told_which_there_are() {
        let Found::OtherMethods(allow) = find(&Method::PATCH, "/_scenarios/GET/a/b") else { panic!() };
        assert_eq!(allow, "GET, DELETE, HEAD, OPTIONS");
    }

    /// The document is written by hand; it names exactly the routes that there are.
    #[test]
    fn the_openapi_document_has_the_routes_of_the_table() {
        let document: serde_json::Value = serde_json::from_str(crate::admin::DOCUMENT).unwrap();
        let mut documented: Vec<(String, String, bool)> = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let is_open = operation["security"] == serde_json::json!([{}]);
                documented.push((method.to_uppercase(), path.clone(), is_open));
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let named = parameters.iter().filter(|parameter| parameter["in"] == "path");
                let named: Vec<_> =
                    named.map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap())).collect();
                let wanted: Vec<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
                assert_eq!(named, wanted, "{method} {path}");
            }
        }
        let mut routes: Vec<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.pattern.to_owned(), route.is_open))
            .collect();
        documented.sort();
        routes.sort();
        assert_eq!(documented, routes);
    }
}
