//! The house's own rules, checked by `cargo xtask tidy` and by a test.
//!
//! Each rule reads a source tree and adds complaints: where, what is wrong, and what to do about it.

mod docs;
mod layers;
mod manifest;
mod markdown;
mod sizes;
mod stores;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

pub(crate) use manifest::members;

use crate::failure::Result;
use crate::{say, workspace};
use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, PartialOrd, Eq, Ord)]
pub(crate) struct Complaint {
    /// Relative to the root.
    file: String,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    text: String,
}

impl Complaint {
    fn new(file: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.into(), line, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

/// `cargo xtask tidy`
pub(crate) fn command(args: &[String]) -> Result<u8> {
    if !args.is_empty() {
        return Err(crate::usage("`tidy` takes no arguments"));
    }
    let complaints = check(&workspace::root()?)?;
    for complaint in &complaints {
        say::err(&complaint.to_string());
    }
    match complaints.len() {
        0 => say::err("xtask: tidy"),
        number => say::err(&format!("xtask: {number} complaint(s); the rules are in CONTRIBUTING.md")),
    }
    Ok(u8::from(!complaints.is_empty()))
}

/// Checks all rules on the workspace in `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Complaint>> {
    let tree = Tree::read(root)?;
    let members = members(root)?;
    let mut complaints = Vec::new();
    complaints.extend(layers::check(&members));
    complaints.extend(stores::check(&tree, &members));
    complaints.extend(sizes::check(&tree));
    complaints.extend(docs::check(&tree));
    complaints.extend(words::check(&tree));
    complaints.sort();
    Ok(complaints)
}
