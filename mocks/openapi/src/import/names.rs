//! Names, groups and paths of imported scenarios. None of them depends on what bodies are like, so
//! that a changed specification finds its scenarios again.

use api_mock_scenario::{Scenario, generated_name, group_of, normalized_path};

use super::ImportOptions;
use crate::spec::{Api, Operation};

/// What distinguishes the scenarios of one operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity<'i> {
    pub(super) status: &'i str,
    /// The media types; the first one of several is not told.
    pub(super) response_media: Option<&'i str>,
    pub(super) request_media: Option<&'i str>,
    pub(super) variant: Option<&'i str>,
}

/// `<operation>-<status>[-<what else there is to tell>]-<digest>`.
pub(super) fn name(operation: &Operation, group: &str, path: &str, identity: &Identity<'_>) -> String {
    let usual = format!("{}{}", operation.method, operation.path.replace(['/', '.'], "-"));
    let mut words: String = operation.id.as_deref().unwrap_or(&usual).chars().take(60).collect();
    for part in [Some(identity.status), identity.variant] {
        words.extend(part.map(|part| format!("-{}", part.chars().take(20).collect::<String>())));
    }
    for media in [identity.response_media, identity.request_media] {
        let kind = media.and_then(|media| media.split(['/', '+', ';']).nth(1));
        words.extend(kind.map(|kind| format!("-{}", kind.trim().chars().take(20).collect::<String>())));
    }
    // The digest is that of a scenario that has nothing but what never changes.
    let mut stable = Scenario {
        method: operation.method.clone(),
        path: path.to_owned(),
        group: group.to_owned(),
        ..Scenario::default()
    };
    stable.response.contents_file = [
        operation.id.as_deref().unwrap_or_default(),
        identity.status,
        identity.response_media.unwrap_or_default(),
        identity.request_media.unwrap_or_default(),
        identity.variant.unwrap_or_default(),
    ]
    .join("\n");
    // One point is all that names of older versions had.
    generated_name(&words.replace('.', "-"), &stable)
}

/// The group: the title, or what the path begins with.
pub(super) fn group(api: &Api, options: &ImportOptions, path: &str) -> String {
    named_group(api, options).unwrap_or_else(|| group_of(path))
}

/// The group, as far as the path does not matter.
pub(super) fn named_group(api: &Api, options: &ImportOptions) -> Option<String> {
    let given = options.group.as_deref().unwrap_or(&api.title).trim();
    let clean = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '-' } else { c };
    let group: String = given.chars().map(clean).collect();
    Some(group).filter(|group| !group.is_empty())
}

/// The path of the scenarios of an operation, and query parameters that stand in it (some
/// specifications tell operations apart by those).
pub(super) fn path(
    api: &Api,
    options: &ImportOptions,
    operation: &Operation,
) -> Option<(String, Vec<(String, String)>)> {
    let path = operation.path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let base = if options.base_path { api.base_path.as_str() } else { "" };
    let mut whole = String::new();
    let mut before = ' ';
    let mut in_braces = false;
    for c in format!("{base}{path}").chars() {
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            _ => {}
        }
        // A colon would begin a variable.
        if c == ':' && !in_braces && !before.is_alphanumeric() {
            whole.push_str("%3A");
        } else {
            whole.push(c);
        }
        before = c;
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty() && !pair.contains('{')).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let pattern =
            if value.is_empty() { String::new() } else { format!("^{}$", regex_syntax::escape(value)) };
        (name.to_owned(), pattern)
    });
    Some((normalized_path(&whole)?, pairs.collect()))
}
