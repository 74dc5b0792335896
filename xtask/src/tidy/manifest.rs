//! The workspace's crates, as their Cargo.toml files describe them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::failure::{Context, Failure, Result};

/// One crate of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// Its folder, relative to the root.
    pub(super) folder: String,
    pub(super) house: Option<House>,
    pub(super) has_lints: bool,
    pub(super) dependencies: Vec<Dependency>,
    /// The text of Cargo.toml.
    pub(super) text: String,
    pub(super) table: Table,
}

/// `[package.metadata.house]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct House {
    pub(super) product: String,
    pub(super) layer: u32,
}

/// A line of a dependency table.
#[derive(Debug, PartialEq)]
pub(super) struct Dependency {
    /// The package's name, also where it is renamed.
    pub(super) name: String,
    pub(super) is_dev: bool,
    pub(super) is_optional: bool,
}

impl Member {
    /// Where Cargo.toml is, for a complaint.
    pub(super) fn file(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line of Cargo.toml that names this dependency.
    pub(super) fn line_of(&self, dependency: &str) -> usize {
        let names = |line: &str| {
            line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
                || line.contains(&format!("\"{dependency}\""))
        };
        self.text.lines().position(|line| names(line.trim_start())).map_or(0, |at| at + 1)
    }
}

/// Reads the members of the workspace in `root`.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>> {
    let (_, workspace) = read(&root.join("Cargo.toml"))?;
    let patterns = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("members")?.as_array())
        .ok_or_else(|| Failure::new("the root Cargo.toml lists no workspace members"))?;
    let mut members = Vec::new();
    for pattern in patterns.iter().filter_map(Value::as_str) {
        for folder in folders(root, pattern)? {
            members.push(member(root, folder)?);
        }
    }
    Ok(members)
}

/// `locks/*`, or the name of one folder.
fn folders(root: &Path, pattern: &str) -> Result<Vec<String>> {
    let Some(parent) = pattern.strip_suffix("/*") else { return Ok(vec![pattern.to_owned()]) };
    let entries = fs::read_dir(root.join(parent)).context(|| format!("cannot list {parent}"))?;
    let mut folders: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| format!("{parent}/{}", entry.file_name().to_string_lossy()))
        .collect();
    folders.sort();
    Ok(folders)
}

fn read(path: &Path) -> Result<(String, Table)> {
    let text = fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
    let table = text.parse().context(|| format!("{} is not TOML", path.display()))?;
    Ok((text, table))
}

fn member(root: &Path, folder: String) -> Result<Member> {
    let dir = root.join(&folder);
    let (text, table) = read(&dir.join("Cargo.toml"))?;
    let package = table.get("package");
    let name = package.and_then(|package| package.get("name")?.as_str()).unwrap_or(&folder).to_owned();
    let house = package.and_then(|package| package.get("metadata")?.get("house").cloned());
    let lints = table.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    Ok(Member {
        name,
        dir,
        folder,
        house: house.and_then(|house| house.try_into().ok()),
        has_lints: lints == Some(true),
        dependencies: dependencies(&table),
        text,
        table,
    })
}

/// The dependency tables of a manifest, those for single targets too.
fn dependencies(table: &Table) -> Vec<Dependency> {
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, table)| table.as_table()).chain([table]);
    let mut all = Vec::new();
    for table in tables {
        for (kind, is_dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let name = value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
                let is_optional = value.get("optional").and_then(Value::as_bool) == Some(true);
                all.push(Dependency { name, is_dev, is_optional });
            }
        }
    }
    all
}
