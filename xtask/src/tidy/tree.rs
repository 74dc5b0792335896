//! All text files of a source tree, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::failure::{Context, Result};

/// Bigger files are data.
const LARGEST: u64 = 1 << 20;

/// Paths are relative to the root, with `/` between the parts.
pub(super) struct Tree {
    /// The text files.
    files: BTreeMap<String, String>,
    /// Everything, folders too.
    paths: BTreeSet<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { files: BTreeMap::new(), paths: BTreeSet::new() };
        tree.add_folder(root, "")?;
        Ok(tree)
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder).context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.context(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().context(|| format!("cannot see {name}"))?;
            let path = format!("{prefix}{name}");
            // In a second work tree it is a file.
            if name == ".git" {
                continue;
            }
            if kind.is_dir() {
                // A target folder is cargo's, wherever it stands.
                if name == "target" || name == "node_modules" {
                    continue;
                }
                self.add_folder(&entry.path(), &format!("{path}/"))?;
            } else if entry.metadata().is_ok_and(|of| of.len() <= LARGEST)
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                self.files.insert(path.clone(), text);
            }
            self.paths.insert(path);
        }
        Ok(())
    }

    /// All text files, in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is a file or folder of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    /// Whether a path inside any folder ends like this.
    pub(super) fn has_ending(&self, end: &str) -> bool {
        self.paths.iter().any(|path| path.strip_suffix(end).is_some_and(|begin| begin.ends_with('/')))
    }

    /// Whether a path with `*` in it names anything. A star stands for a part of one name.
    pub(super) fn has_like(&self, pattern: &str) -> bool {
        if !pattern.contains('*') {
            return self.has(pattern);
        }
        self.paths.iter().any(|path| {
            let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
            parts.len() == wanted.len() && parts.iter().zip(wanted).all(|(part, like)| is_like(part, like))
        })
    }
}

/// Whether a name is like a pattern; only the first and the last star of several matter here.
fn is_like(name: &str, pattern: &str) -> bool {
    match (pattern.split_once('*'), pattern.rsplit_once('*')) {
        (Some((begin, _)), Some((_, end))) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
        _ => name == pattern,
    }
}
