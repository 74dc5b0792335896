//! Docs name what is there: paths in backticks exist, links inside the repository lead somewhere.

use super::Complaint;
use super::markdown::{anchors, code, links};
use super::tree::Tree;

/// In these, also a path whose first folder is unknown is taken for one, so that a renamed folder shows; it may be
/// one inside some crate (`tests/conformance.rs`).
const MAPS: [&str; 2] = ["ARCHITECTURE.md", "CONTRIBUTING.md"];
const ENDINGS: [&str; 9] = ["/", ".rs", ".toml", ".md", ".sql", ".lua", ".yaml", ".yml", ".sh"];
/// The only signs in a path of ours.
const SIGNS: &str = "._-/*";

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".md")) {
        if !path.contains('/') || path.starts_with("docs/") {
            complaints.extend(check_paths(tree, path, text));
        }
        complaints.extend(check_links(tree, path, text));
    }
    complaints
}

fn check_paths(tree: &Tree, file: &str, text: &str) -> Vec<Complaint> {
    let missing = |path: &str| {
        let near = join(folder_of(file), path);
        let somewhere = MAPS.contains(&file) && tree.has_ending(path);
        !tree.has_like(path) && !near.is_some_and(|near| tree.has_like(&near)) && !somewhere
    };
    let paths = code(text).into_iter().filter(|found| is_path(tree, file, &found.text));
    let named = paths.map(|found| (found.line, without_line(&found.text).trim_end_matches('/').to_owned()));
    named
        .filter(|(_, path)| missing(path))
        .map(|(line, path)| {
            Complaint::new(file, line, format!("`{path}` is not there; mend the path or remove it"))
        })
        .collect()
}

/// `src/lib.rs:12` speaks of a line.
fn without_line(text: &str) -> &str {
    match text.split_once(':') {
        Some((path, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => path,
        _ => text,
    }
}

/// Whether backticked text looks like a path of the repository.
fn is_path(tree: &Tree, file: &str, text: &str) -> bool {
    let text = without_line(text);
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || SIGNS.contains(c));
    let Some((first, _)) =
        text.split_once('/').filter(|(first, _)| plain && !first.is_empty() && *first != "..")
    else {
        return false;
    };
    // What the build makes is not in the repository.
    first != "target"
        && (tree.has(first) || MAPS.contains(&file) && ENDINGS.iter().any(|ending| text.ends_with(ending)))
}

fn check_links(tree: &Tree, file: &str, text: &str) -> Vec<Complaint> {
    let broken = links(text).into_iter().filter_map(|found| {
        let why = check_link(tree, file, text, &found.text)?;
        Some(Complaint::new(file, found.line, format!("the link {} {why}", found.text)))
    });
    broken.collect()
}

/// What is wrong with a link.
fn check_link(tree: &Tree, file: &str, text: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let text = if path.is_empty() {
        text
    } else {
        let Some(path) = join(folder_of(file), path) else { return Some("leads out of the repository") };
        if !tree.has(&path) {
            return Some("leads nowhere; mend it or remove it");
        }
        tree.text(&path).filter(|_| path.ends_with(".md")).unwrap_or("")
    };
    let known = anchor.is_empty() || text.is_empty() || anchors(text).iter().any(|known| known == anchor);
    (!known).then_some("names a heading that is not there")
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Follows a relative path; None when it leaves the repository.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
