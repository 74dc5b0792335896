//! Importing a changed specification again: what the tool wrote is updated, what a hand changed
//! stays.

use std::collections::{BTreeMap, HashSet};

use api_mock_scenario::{Format, Key, Scenario};

use super::Import;

/// How the first line of an imported file begins. A digest of the rest of the file follows.
const MARK: &str = "# Imported from a specification; what you change here is kept. ";

/// A scenario file as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which scenario it is.
    pub key: Key,
    /// The text of the file.
    pub text: String,
}

/// What is to be done to the stored scenarios.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// New files.
    pub added: Vec<Stored>,
    /// Files whose text is to be replaced: the specification changed, and nobody else did.
    pub changed: Vec<Stored>,
    /// Files that are as they should be.
    pub unchanged: Vec<Key>,
    /// Files that stay because somebody changed them.
    pub kept: Vec<Kept>,
    /// Files to be deleted: the specification has no use for them any more, and nobody changed them.
    pub removed: Vec<Key>,
}

/// A file that somebody changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Which scenario it is.
    pub key: Key,
    /// What the specification makes of it now, if it still has it.
    pub wanted: Option<String>,
}

/// Works out what to do with the stored scenarios of the import's group, so that they follow the
/// specification.
///
/// Files without the mark of an import are somebody's own: they stay, also where the import has a
/// scenario of the same key.
///
/// ```
/// use api_mock_openapi::{ImportOptions, NoDocuments, Stored, import, update};
/// # let spec = |text: &str| format!("openapi: 3.0.0\ninfo: {{title: T, version: '1'}}\npaths:\n  /a:\n    get:\n      description: {text}\n      responses: {{200: {{description: ok}}}}\n");
/// let first = import(spec("old").as_bytes(), &ImportOptions::default(), &NoDocuments)?;
/// let stored: Vec<Stored> = update(&[], &first).added;
///
/// let second = import(spec("new").as_bytes(), &ImportOptions::default(), &NoDocuments)?;
/// let todo = update(&stored, &second);
/// assert_eq!((todo.added.len(), todo.changed.len(), todo.kept.len()), (0, 1, 0));
/// assert!(todo.changed[0].text.contains("description: new"));
/// # Ok::<(), api_mock_openapi::ImportError>(())
/// ```
#[must_use]
pub fn update(stored: &[Stored], import: &Import) -> Update {
    let files: Vec<Stored> = import
        .scenarios
        .iter()
        .map(|imported| Stored { key: imported.key(), text: imported.text() })
        .collect();
    let made: Vec<Made<'_>> = import
        .scenarios
        .iter()
        .zip(&files)
        .map(|(imported, Stored { key, text })| Made { key, group: &imported.scenario.group, text })
        .collect();
    let Comparison { fates, kept, removed } = compare(stored, import.group.as_deref(), &made);
    let mut update = Update { removed, ..Update::default() };
    for (file, fate) in files.into_iter().zip(fates) {
        match fate {
            Fate::Added => update.added.push(file),
            Fate::Changed => update.changed.push(file),
            Fate::Unchanged => update.unchanged.push(file.key),
            Fate::Kept => update.kept.push(Kept { key: file.key, wanted: Some(file.text) }),
        }
    }
    update.kept.extend(kept.into_iter().map(|key| Kept { key, wanted: None }));
    update
}

/// A file that an import made.
#[derive(Clone, Copy, Debug)]
pub struct Made<'m> {
    /// Which scenario it is.
    pub key: &'m Key,
    /// Its group.
    pub group: &'m str,
    /// The text of the file.
    pub text: &'m str,
}

/// What is to be done with a file that an import made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Added,
    /// It replaces one that nobody changed.
    Changed,
    /// It is there already.
    Unchanged,
    /// Another one stays in its place, because somebody changed that.
    Kept,
}

/// What comes of the files of an import, and of those that are stored and that it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// One for each file.
    pub fates: Vec<Fate>,
    /// Stored ones that stay because somebody changed them.
    pub kept: Vec<Key>,
    /// Stored ones to be deleted.
    pub removed: Vec<Key>,
}

/// As [`update`], for files that were made of the scenarios of an import of this group.
#[must_use]
pub fn compare(stored: &[Stored], group: Option<&str>, made: &[Made<'_>]) -> Comparison {
    let known: BTreeMap<&Key, &str> = stored.iter().map(|file| (&file.key, file.text.as_str())).collect();
    // A specification that has no operation any more is still followed.
    let groups: HashSet<&str> = group.into_iter().chain(made.iter().map(|file| file.group)).collect();
    let wanted: HashSet<&Key> = made.iter().map(|file| file.key).collect();
    let fate = |file: &Made<'_>| match known.get(file.key) {
        None => Fate::Added,
        Some(old) if *old == file.text => Fate::Unchanged,
        Some(old) if is_untouched(old) => Fate::Changed,
        Some(_) => Fate::Kept,
    };
    let mut comparison = Comparison { fates: made.iter().map(fate).collect(), ..Comparison::default() };
    for file in stored.iter().filter(|file| !wanted.contains(&file.key)) {
        let Some(rest) = body(&file.text) else { continue };
        let same_group = Scenario::parse(rest, Format::Yaml)
            .is_ok_and(|scenario| groups.contains(scenario.group.as_str()));
        if !same_group {
            continue;
        }
        let list = if is_untouched(&file.text) { &mut comparison.removed } else { &mut comparison.kept };
        list.push(file.key.clone());
    }
    comparison
}

/// A file with the mark of an import before it.
#[must_use]
pub fn mark(text: &str) -> String {
    format!("{MARK}{:016x}\n{text}", digest(text))
}

/// The text without the mark, if it has one and nobody changed the rest.
#[must_use]
pub fn unmarked(text: &str) -> Option<&str> {
    let (first, rest) = text.strip_prefix(MARK)?.split_once('\n')?;
    let told = u64::from_str_radix(first.trim(), 16).ok()?;
    (told == digest(rest)).then_some(rest)
}

fn is_untouched(text: &str) -> bool {
    unmarked(text).is_some()
}

fn body(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)?.split_once('\n').map(|(_, rest)| rest)
}

/// FNV-1a: it tells whether a text was changed, not who did it. Line ends of editors do not count.
fn digest(text: &str) -> u64 {
    let bytes = text.bytes().filter(|byte| *byte != b'\r');
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
