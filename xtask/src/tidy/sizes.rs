//! Files stay short. Exceptions stand in a list whose numbers may only shrink.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Complaint;
use super::tree::Tree;

/// Lines of a Rust file.
const LONGEST: usize = 600;
const LIST: &str = "xtask/tidy-allow.toml";

/// The list of exceptions.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// Path to lines.
    #[serde(default)]
    lines: BTreeMap<String, usize>,
}

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let list = tree.text(LIST).unwrap_or("");
    let allowed: Allowed = match toml::from_str(list) {
        Ok(allowed) => allowed,
        Err(error) => return vec![Complaint::new(LIST, 0, format!("cannot be read: {error}"))],
    };
    let rust = tree.files().filter(|(path, _)| path.ends_with(".rs"));
    let too_long = rust.filter_map(|(path, text)| check_file(path, text.lines().count(), &allowed));
    let entries = allowed.lines.iter().filter_map(|(path, number)| {
        let text = check_entry(tree.text(path).map(|text| text.lines().count()), *number)?;
        let line = list.lines().position(|line| line.contains(path.as_str())).map_or(0, |at| at + 1);
        Some(Complaint::new(LIST, line, format!("{path} {text}")))
    });
    too_long.chain(entries).collect()
}

fn check_file(path: &str, lines: usize, allowed: &Allowed) -> Option<Complaint> {
    let limit = allowed.lines.get(path).copied().unwrap_or(LONGEST).max(LONGEST);
    let text = match limit {
        LONGEST => format!("{lines} lines, and {LONGEST} are the limit; split it by thought"),
        limit => format!("{lines} lines, and its exception in {LIST} says {limit}: it may only shrink"),
    };
    (lines > limit).then(|| Complaint::new(path, lines, text))
}

/// What is wrong with an exception, when its file has so many lines.
fn check_entry(lines: Option<usize>, number: usize) -> Option<String> {
    match lines {
        None => Some("is not there; remove its line".into()),
        Some(lines) if lines <= LONGEST => {
            Some(format!("needs no exception any more ({lines} lines); remove its line"))
        }
        Some(lines) if lines < number => Some(format!("has shrunk; write {lines} instead of {number}")),
        Some(_) => None,
    }
}
