//! From paths to operations.

use super::Refused;
use crate::documents::percent_decoded;
use crate::spec::{Api, Operation};

/// The operation for a request, and the variables of its path, decoded.
pub(super) fn find<'a>(
    api: &'a Api,
    method: &str,
    path: &str,
) -> Result<(&'a Operation, Variables), Refused> {
    let mut best: Option<(&Operation, Matched)> = None;
    let mut allowed: Vec<String> = Vec::new();
    // With and without the path of the server, whichever the mock answers at.
    let below = path.strip_prefix(api.base_path.as_str()).filter(|_| !api.base_path.is_empty());
    for operation in &api.operations {
        let template = operation.path.split(['?', '#']).next().unwrap_or_default();
        let found = matched(template, path).or_else(|| below.and_then(|path| matched(template, path)));
        let Some(found) = found else { continue };
        if operation.method != method {
            allowed.push(operation.method.clone());
            continue;
        }
        // Literal parts go before variables, from the left.
        if best.as_ref().is_none_or(|(_, known)| found.1 > known.1) {
            best = Some((operation, found));
        }
    }
    match best {
        Some((operation, (variables, _))) => Ok((operation, variables)),
        None if allowed.is_empty() => Err(Refused::UnknownPath),
        None => {
            allowed.sort();
            allowed.dedup();
            Err(Refused::UnknownMethod { allowed })
        }
    }
}

/// Names and decoded values.
type Variables = Vec<(String, String)>;
/// The variables, and which segments are literal.
type Matched = (Variables, Vec<bool>);

/// The variables, and which segments are literal.
fn matched(template: &str, path: &str) -> Option<Matched> {
    let wanted: Vec<&str> = template.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    // A slash at the end makes no difference.
    let trim = |parts: &[&str]| parts.len() - usize::from(parts.len() > 1 && parts.last() == Some(&""));
    let (wanted, given) = (wanted.get(..trim(&wanted))?, given.get(..trim(&given))?);
    if wanted.len() != given.len() {
        return None;
    }
    let mut variables = Vec::new();
    let mut literal = Vec::new();
    for (wanted, given) in wanted.iter().zip(given) {
        literal.push(!wanted.contains('{'));
        segment(wanted, given, &mut variables)?;
    }
    Some((variables, literal))
}

fn segment(template: &str, text: &str, variables: &mut Vec<(String, String)>) -> Option<()> {
    let Some((before, rest)) = template.split_once('{') else {
        return (template == text || percent_decoded(template) == percent_decoded(text)).then_some(());
    };
    let (name, after) = rest.split_once('}')?;
    let text = text.strip_prefix(before)?;
    // Up to the next literal text, or to the end.
    let next = after.split('{').next().unwrap_or_default();
    let end = match (after.is_empty(), next.is_empty()) {
        (true, _) | (_, true) => text.len(),
        _ if next == after => text.strip_suffix(next)?.len(),
        _ => text.find(next)?,
    };
    let (value, rest) = text.split_at_checked(end)?;
    if value.is_empty() {
        return None;
    }
    variables.push((name.to_owned(), percent_decoded(value)));
    segment(after, rest, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_segment_by_segment() {
        let variables = |template, path| {
            matched(template, path).map(|(variables, _)| {
                variables
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(variables("/a/{id}", "/a/x%20y").as_deref(), Some("id=x y"));
        assert_eq!(variables("/a/{id}/", "/a/1").as_deref(), Some("id=1"));
        assert_eq!(variables("/a/{id}", "/a/1/2"), None);
        assert_eq!(variables("/a/{id}", "/a/"), None);
        assert_eq!(variables("/{name}.{ext}", "/a.json").as_deref(), Some("name=a ext=json"));
        assert_eq!(variables("/{name}.json", "/a.b.json").as_deref(), Some("name=a.b"));
        assert_eq!(variables("/v{n}:batch", "/v1:batch").as_deref(), Some("n=1"));
        assert_eq!(variables("/", "/").as_deref(), Some(""));
    }
}
