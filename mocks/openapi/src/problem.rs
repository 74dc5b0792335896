//! What could not be used, and where it stands.

use std::cell::RefCell;
use std::fmt;

/// Something in a specification that was left out or could not be used as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// Where: a document (empty for the specification itself), `#` and a JSON pointer.
    pub at: String,
    /// What is wrong, and what was done about it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// More problems than this are counted, not kept.
const MAX_PROBLEMS: usize = 1000;

/// The problems that were met so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(crate) fn add(&self, at: &Place<'_>, what: impl Into<String>) {
        self.add_at(at.to_string(), what);
    }

    pub(crate) fn add_at(&self, at: String, what: impl Into<String>) {
        let mut list = self.list.borrow_mut();
        let problem = Problem { at, what: what.into() };
        if list.len() < MAX_PROBLEMS && !list.iter().rev().take(50).any(|known| *known == problem) {
            list.push(problem);
        }
    }

    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.list.into_inner()
    }
}

/// A place in a document, as a chain of the steps to it.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    /// A document and a pointer in it.
    Start {
        document: &'p str,
        pointer: &'p str,
    },
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(crate) fn key(&'p self, key: &'p str) -> Place<'p> {
        Place::Key(self, key)
    }

    pub(crate) fn index(&'p self, index: usize) -> Place<'p> {
        Place::Index(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Start { document, pointer } => write!(f, "{document}#{pointer}"),
            // Most keys are plain, and there are many of them.
            Place::Key(parent, key) if !key.contains(['~', '/']) => write!(f, "{parent}/{key}"),
            Place::Key(parent, key) => write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1")),
            Place::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_json_pointers() {
        let start = Place::Start { document: "a.yaml", pointer: "" };
        let paths = start.key("paths");
        let path = paths.key("/a~b");
        assert_eq!(path.index(3).to_string(), "a.yaml#/paths/~1a~0b/3");
    }
}
