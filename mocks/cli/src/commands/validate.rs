//! `api-mock-service validate`

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use api_mock_engine::{InvalidPattern, invalid_patterns};
use api_mock_scenario::{Format, GroupConfig, Key, Scenario};
use api_mock_store::is_scenario;

use super::{Outcome, print};
use crate::exit::{self, Failure};
use crate::say::say;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// folders, which are searched, or files
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
}

/// How deep folders are searched.
const DEEPEST: usize = 64;
/// The largest file that is read.
const LARGEST_BYTES: u64 = 32 << 20;

pub(crate) fn run(args: &Args) -> Outcome {
    let mut files = Vec::new();
    for path in &args.paths {
        let folder = path.is_dir().then_some(path.as_path());
        let mut here = Vec::new();
        collect(path, 0, &mut here)?;
        files.extend(here.into_iter().map(|file| (file, folder)));
    }
    files.sort();
    let mut report = String::new();
    let mut known = Known::default();
    let (mut good, mut bad) = (0, 0);
    for (file, folder) in &files {
        match check(file, *folder, &mut known) {
            Checked::Good => good += 1,
            Checked::NoScenario => {}
            Checked::Bad(message) => {
                bad += 1;
                // Writing to a string does not fail.
                let _ = writeln!(report, "{message}");
            }
        }
    }
    print(report.as_bytes())?;
    say!("api-mock-service: {good} scenarios are good, {bad} are not");
    match (good, bad) {
        (_, 1..) => Ok(exit::BAD_SCENARIO),
        (0, 0) => Err(Failure::new(exit::BAD_SCENARIO, "there is no scenario to check")),
        _ => Ok(exit::OK),
    }
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let at = |error: std::io::Error| Failure::new(exit::USAGE, format!("{}: {error}", path.display()));
    // Links in folders are not followed: they may lead in circles.
    let kind = if depth == 0 { path.metadata() } else { path.symlink_metadata() }.map_err(at)?;
    if kind.is_file() && (depth == 0 || is_scenario_name(path)) {
        files.push(path.to_owned());
    } else if kind.is_dir() && depth < DEEPEST {
        for entry in path.read_dir().map_err(at)? {
            collect(&entry.map_err(at)?.path(), depth + 1, files)?;
        }
    }
    Ok(())
}

fn is_scenario_name(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["scr", "yaml", "yml", "json"].iter().any(|known| ending == *known))
}

enum Checked {
    Good,
    /// A fixture or the like.
    NoScenario,
    Bad(String),
}

/// The scenarios so far, of each folder and of the files that were named, and where they are.
type Known = HashMap<(Option<PathBuf>, Key), PathBuf>;

/// Checks a file of a folder, or one that was named itself.
fn check(file: &Path, folder: Option<&Path>, known: &mut Known) -> Checked {
    let shown = file.display();
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => return Checked::Bad(format!("{shown}: {error}")),
    };
    if is_group(file, &text) {
        return match GroupConfig::parse(&text) {
            Ok(_) => Checked::Good,
            Err(error) => Checked::Bad(error.in_file(shown.to_string()).to_string()),
        };
    }
    if file.extension().is_none_or(|ending| ending != "scr") && !looks_like_one(&text) {
        return Checked::NoScenario;
    }
    let told = scenario(file, &text).and_then(|scenario| {
        patterns(&scenario, file, &text)?;
        let is_served =
            folder.is_none_or(|folder| is_scenario(file.strip_prefix(folder).unwrap_or(file), &text));
        if is_served { unique(scenario.key(), file, folder, known) } else { Ok(()) }
    });
    told.map_or_else(Checked::Bad, |()| Checked::Good)
}

/// A server compares requests with the texts of patterns that are no regular expressions; nobody means that.
fn patterns(scenario: &Scenario, file: &Path, text: &str) -> Result<(), String> {
    let told = |wrong: &InvalidPattern| {
        // Only where the line is sure to be that of the pattern.
        let is_here = |line: &str| {
            let key = line.trim_start().trim_start_matches(['"', '\'', '-']).trim_start();
            key.starts_with(&wrong.name) && line.contains(&wrong.pattern)
        };
        let line = text.lines().position(is_here).map(|at| format!(":{}", at + 1)).unwrap_or_default();
        let InvalidPattern { field, error, .. } = wrong;
        format!("{}{line}: {field}: not a regular expression: {error}", file.display())
    };
    let wrong: Vec<String> = invalid_patterns(scenario).iter().map(told).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// A server takes the first of two files that are the same scenario, and skips the other.
fn unique(key: Key, file: &Path, folder: Option<&Path>, known: &mut Known) -> Result<(), String> {
    match known.entry((folder.map(Into::into), key)) {
        Entry::Occupied(other) if other.get() != file => {
            let (key, other) = (&other.key().1, other.get().display());
            Err(format!("{}: is the same scenario as {other}: {key}", file.display()))
        }
        Entry::Occupied(_) => Ok(()),
        Entry::Vacant(place) => {
            place.insert(file.to_owned());
            Ok(())
        }
    }
}

/// Whether it sets something for a group: `groups/NAME.json`.
fn is_group(file: &Path, text: &str) -> bool {
    let is_here = file.parent().and_then(Path::file_name).is_some_and(|folder| folder == "groups");
    is_here && file.extension().is_none_or(|ending| ending != "scr") && !looks_like_one(text)
}

/// What is wrong with the text of a file.
pub(super) fn problem(file: &Path, text: &str) -> Option<String> {
    scenario(file, text).err()
}

/// The scenario of a file, or what is wrong with it.
fn scenario(file: &Path, text: &str) -> Result<Scenario, String> {
    let shown = file.display().to_string();
    let scenario =
        Scenario::parse(text, format_of(file)).map_err(|error| error.in_file(&shown).to_string())?;
    api_mock_engine::check(&scenario, text).map_err(|error| {
        let place = [error.line(), error.column()].into_iter().flatten();
        let place: String = place.map(|at| format!(":{at}")).collect();
        format!("{shown}{place}: {error}")
    })?;
    Ok(scenario)
}

/// JSON if it is called so.
pub(super) fn format_of(file: &Path) -> Format {
    if file.extension().is_some_and(|ending| ending == "json") { Format::Json } else { Format::Yaml }
}

pub(super) fn read(file: &Path) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    if length > LARGEST_BYTES {
        return Err(std::io::Error::other(format!("{length} bytes are more than {LARGEST_BYTES}")));
    }
    std::fs::read_to_string(file)
}

/// Whether a file of any name has what only scenarios have.
fn looks_like_one(text: &str) -> bool {
    let has = |key: &str| {
        text.lines().any(|line| {
            line.trim_start_matches([' ', '{', '"'])
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
        })
    };
    has("response") || has("path") && has("method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_are_not_taken_for_scenarios() {
        assert!(looks_like_one("method: GET\npath: /\n") && looks_like_one("response:\n"));
        assert!(looks_like_one("{\"response\": {}}"));
        assert!(
            !looks_like_one("name: a\nmethod: POST\namount: 1\n") && !looks_like_one("a response: none\n")
        );
    }

    #[test]
    fn what_is_set_for_groups_is_checked_too() {
        let file = Path::new("data/groups/a.json");
        assert!(
            is_group(file, "{\"faults\": []}") && !is_group(Path::new("data/a.json"), "{\"faults\": []}")
        );
        assert!(!is_group(file, "{\"response\": {}}"), "a scenario may lie anywhere");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let file = Path::new("dir/a.scr");
        let good = "method: GET\nname: aa\npath: /a\nresponse:\n  contents: x\n";
        assert_eq!(problem(file, good), None);
        let wrong = problem(file, &good.replace("contents: x", "status_code: many")).unwrap();
        assert!(wrong.starts_with("dir/a.scr:5: response.status_code: "), "{wrong}");
        let wrong = problem(file, &good.replace("contents: x", "contents: '{{NoSuch 1}}'")).unwrap();
        assert!(wrong.starts_with("dir/a.scr:5:") && wrong.contains("NoSuch"), "{wrong}");
    }
}
