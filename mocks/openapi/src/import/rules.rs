//! What requests must be like for a scenario: only what the specification requires.

use api_mock_scenario::{RequestRules, Scenario, literal};
use serde_json::{Value, json};

use super::{Examples, ImportOptions};
use crate::plan::scalar_pattern;
use crate::problem::Problems;
use crate::spec::{Api, Body, Location, Media, Operation, Parameter, SecurityScheme, Style, is_xml};

/// What is the same for all scenarios of an operation.
pub(super) fn parameters(
    api: &Api,
    options: &ImportOptions,
    operation: &Operation,
    examples: &mut Examples<'_>,
    problems: &Problems,
) -> RequestRules {
    let mut rules = RequestRules::default();
    for parameter in &operation.parameters {
        match examples.parameter(parameter) {
            Some(values) => example(&mut rules, parameter, values),
            None => problems
                .add_at(operation.at.clone(), format!("no example for the parameter {:?}", parameter.name)),
        }
        if parameter.required {
            demand(&mut rules, api, parameter);
        }
    }
    security(&mut rules, api, options, operation);
    rules
}

fn example(rules: &mut RequestRules, parameter: &Parameter, values: Vec<(String, String)>) {
    let text = |values: Vec<(String, String)>| {
        values.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(",")
    };
    match parameter.location {
        Location::Path => rules.example_path_params.set(parameter.name.as_str(), text(values)),
        Location::Header => rules.example_headers.set(canonical(&parameter.name), text(values)),
        Location::Cookie => {
            let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let known =
                rules.example_headers.get("Cookie").map(|known| format!("{known}; ")).unwrap_or_default();
            rules.example_headers.set("Cookie", format!("{known}{}", pairs.join("; ")));
        }
        Location::Query => {
            for (name, value) in values {
                // A file has room for one value of a name; several are written as in a query.
                let several =
                    rules.example_query_params.get(&name).map(|known| format!("{known}&{name}={value}"));
                rules.example_query_params.set(name, several.unwrap_or(value));
            }
        }
    }
}

fn demand(rules: &mut RequestRules, api: &Api, parameter: &Parameter) {
    let spread = matches!(parameter.location, Location::Query | Location::Cookie)
        && (parameter.style == Style::DeepObject || parameter.explode)
        && !is_scalar(api, parameter);
    let pattern = parameter_pattern(api, parameter);
    match parameter.location {
        Location::Path => {}
        Location::Header => rules.match_headers.set(canonical(&parameter.name), pattern),
        // Objects that are spread over several names have none of their own.
        Location::Query if spread && is_object(api, parameter) => {}
        Location::Query => rules.match_query_params.set(parameter.name.as_str(), pattern),
        Location::Cookie => {
            let name = regex_syntax::escape(&parameter.name);
            rules.match_headers.set("Cookie", format!(r"(^|;\s*){name}="));
        }
    }
}

fn is_scalar(api: &Api, parameter: &Parameter) -> bool {
    scalar_pattern(&api.schemas, parameter.schema).is_some()
}

fn is_object(api: &Api, parameter: &Parameter) -> bool {
    let schema = api.schemas.get(api.schemas.follow(parameter.schema));
    schema.types.allows(crate::schema::Types::OBJECT)
}

/// The pattern for the text of a parameter that must be there. It may be empty if its schema lets it.
fn parameter_pattern(api: &Api, parameter: &Parameter) -> String {
    let pattern = scalar_pattern(&api.schemas, parameter.schema).filter(|_| parameter.media.is_none());
    let pattern = match pattern.as_deref() {
        Some(pattern) if pattern.starts_with("__number__[+-]?[0-9]{1,10}") => {
            r"__number__^[+-]?\d+(\.0+)?$".to_owned()
        }
        Some(pattern) if pattern.starts_with("__number__") => r"__number__^[+-]?(\d|\.\d)".to_owned(),
        Some(pattern) if pattern.starts_with("__boolean__") => "__boolean__^(false|true)$".to_owned(),
        None => "__present__.*".to_owned(),
        Some(pattern) if may_be_empty(pattern) => {
            format!("__present__{}", pattern.strip_prefix("__string__").unwrap_or(pattern))
        }
        Some(pattern) => pattern.to_owned(),
    };
    literal(&pattern)
}

/// Whether a pattern finds something in an empty text.
fn may_be_empty(pattern: &str) -> bool {
    let parsed = regex_syntax::parse(pattern.strip_prefix("__string__").unwrap_or(pattern));
    parsed.is_ok_and(|parsed| parsed.properties().minimum_len() == Some(0))
}

/// What the body must be like: its content type and the patterns of its members.
pub(super) fn body(rules: &mut RequestRules, body: &Body, media: &Media, examples: &mut Examples<'_>) {
    let concrete = !media.name.contains('*');
    if concrete {
        let name = crate::spec::essence(&media.name);
        let pattern = regex_syntax::escape(&name);
        // A body that may be missing comes without a content type.
        let pattern = if body.required { format!("(?i)^{pattern}") } else { format!("(?i)^({pattern}|$)") };
        rules.match_headers.set("Content-Type", pattern);
    }
    let sent = if concrete { media.name.as_str() } else { "application/json" };
    rules.example_headers.set("Content-Type", sent);
    let Some(schema) = media.schema else {
        // Anything will do, but there must be something.
        let any = if media.is_json() {
            "{}"
        } else if is_xml(&media.name) {
            "<root/>"
        } else {
            "example"
        };
        rules.example_contents = if body.required { any.to_owned() } else { String::new() };
        return;
    };
    let given: Vec<Value> = media.examples.iter().map(|(_, value)| value.clone()).collect();
    if media.is_json() {
        rules.match_contents = examples.patterns(schema).to_string();
        rules.example_contents = examples.json(schema, &given).to_string();
        return;
    }
    let name = crate::spec::essence(&media.name);
    rules.example_contents = match name.as_str() {
        "application/x-www-form-urlencoded" => examples.form(schema, &given),
        // The chaos client writes the members as the parts of such a form.
        "multipart/form-data" => examples.json(schema, &given).to_string(),
        name if is_xml(name) => examples.xml(schema, &given),
        _ => examples.text(schema, &given),
    };
}

/// `x-request-id` as `X-Request-Id`.
pub(super) fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut start = true;
    for c in name.chars() {
        out.push(if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        start = c == '-';
    }
    out
}

/// Examples of credentials, and patterns for them if they are demanded.
fn security(rules: &mut RequestRules, api: &Api, options: &ImportOptions, operation: &Operation) {
    let Some(wanted) = operation.security.iter().find(|all| !all.is_empty()) else { return };
    // Who may come without credentials is not asked for any.
    let demanded = options.demand_security && operation.security.iter().all(|all| !all.is_empty());
    for requirement in wanted {
        let Some(scheme) = api.security.iter().find(|scheme| scheme.name == requirement.name) else {
            continue;
        };
        let (example, pattern) = credentials(scheme);
        match (scheme.kind.as_str(), scheme.location.as_str()) {
            ("apiKey", "query") => {
                rules.example_query_params.set(scheme.key.as_str(), example);
                if demanded {
                    rules.match_query_params.set(scheme.key.as_str(), pattern);
                }
            }
            ("apiKey", place) => {
                let (name, example) = match place {
                    "cookie" => ("Cookie".to_owned(), format!("{}={example}", scheme.key)),
                    _ => (canonical(&scheme.key), example),
                };
                rules.example_headers.set(name.as_str(), example);
                if demanded {
                    rules.match_headers.set(name, pattern);
                }
            }
            ("mutualTLS", _) => {}
            _ => {
                rules.example_headers.set("Authorization", example);
                if demanded {
                    rules.match_headers.set("Authorization", pattern);
                }
            }
        }
    }
}

fn credentials(scheme: &SecurityScheme) -> (String, String) {
    let word = match (scheme.kind.as_str(), scheme.scheme.to_ascii_lowercase().as_str()) {
        ("apiKey", _) => return ("example-key".to_owned(), ".+".to_owned()),
        // `user:password`.
        ("http", "basic") => return ("Basic dXNlcjpwYXNzd29yZA==".to_owned(), "(?i)^Basic .+".to_owned()),
        ("http", "digest") => return ("Digest username=\"user\"".to_owned(), "(?i)^Digest .+".to_owned()),
        ("http", "bearer" | "") => "Bearer",
        ("http", _) => scheme.scheme.as_str(),
        _ => "Bearer",
    };
    (format!("{word} example-token"), format!("(?i)^{} .+", regex_syntax::escape(word)))
}

/// Who may call, for readers and clients.
pub(super) fn authentication(scenario: &mut Scenario, api: &Api, operation: &Operation) {
    let mut all = serde_json::Map::new();
    for requirement in operation.security.iter().flatten() {
        let Some(scheme) = api.security.iter().find(|scheme| scheme.name == requirement.name) else {
            continue;
        };
        let scopes = if requirement.scopes.is_empty() { &scheme.scopes } else { &requirement.scopes };
        let entry = json!({
            "type": scheme.kind, "name": scheme.key, "in": scheme.location, "format": scheme.format,
            "scheme": scheme.scheme, "url": scheme.url, "description": scheme.description, "scopes": scopes,
        });
        all.insert(scheme.name.clone(), entry);
    }
    if !all.is_empty() {
        scenario.extra.insert("authentication".to_owned(), Value::Object(all));
    }
}
