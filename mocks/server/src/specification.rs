//! Specifications become scenarios of the store, again and again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api_mock_openapi::{Import, ImportError, ImportOptions, Loader, Problem, import, update};
use api_mock_scenario::{Format, Key, Scenario};
use api_mock_store::{Store, StoreError, Stored};
use serde::Serialize;

use crate::kept::{Kept, Seen};

/// Why a specification was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecificationError {
    /// It cannot be read at all.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Its scenarios cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something that was left out, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// A document (empty for the specification itself), `#` and a JSON pointer; or a scenario.
    pub at: String,
    /// What is wrong, and what was done about it.
    pub what: String,
}

/// A scenario of an import. It is written as the scenario itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reported {
    /// It is stored, perhaps as somebody changed it.
    Stored(Arc<Stored>),
    /// It would be stored.
    Planned(Box<Scenario>),
}

impl Reported {
    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        match self {
            Reported::Stored(stored) => &stored.scenario,
            Reported::Planned(scenario) => scenario,
        }
    }
}

impl Serialize for Reported {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.scenario().serialize(serializer)
    }
}

/// What an import did. Scenarios are told by their addresses, as in the listing.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The scenarios of the specification as they are stored now, in its order.
    pub scenarios: Vec<Reported>,
    /// New ones.
    pub added: Vec<String>,
    /// Those that the specification changed.
    pub changed: Vec<String>,
    /// How many are as they were.
    pub unchanged: usize,
    /// Those that stay because somebody changed them by hand.
    pub kept: Vec<String>,
    /// Those that the specification has no use for any more.
    pub removed: Vec<String>,
    /// What was left out.
    pub problems: Vec<LeftOut>,
}

/// Makes scenarios of a specification, and makes the store follow it: what an earlier import wrote is replaced or
/// deleted, what somebody changed by hand stays. The specification itself is kept, too: a server with
/// [`crate::ServerConfig::validate_requests`] checks requests by it. With `dry_run` it only tells what it would do.
///
/// Takes its time, and blocks: not for a thread of the runtime.
///
/// # Errors
/// The specification cannot be read at all, or the store fails. What is wrong in parts of it is in the report.
pub fn import_specification(
    store: &Store,
    bytes: &[u8],
    options: &ImportOptions,
    loader: &dyn Loader,
    dry_run: bool,
) -> Result<ImportReport, SpecificationError> {
    let seen = Seen::new(loader);
    let mut imported = import(bytes, options, &seen)?;
    // Nothing is checked by it here, and it is the largest part of all: its memory is for the files.
    drop((std::mem::take(&mut imported.api.schemas), std::mem::take(&mut imported.api.operations)));
    let todo = update(&stored_of(store, &imported), &imported);
    let kept = Kept::new(bytes, options, &imported, seen);
    let Import { group, scenarios, problems, .. } = imported;
    let mut report = ImportReport::default();
    report.problems.extend(problems.into_iter().map(|Problem { at, what, .. }| LeftOut { at, what }));
    report.unchanged = todo.unchanged.len();
    report.kept = todo.kept.iter().map(|kept| address(&kept.key)).collect();
    report.removed = todo.removed.iter().map(address).collect();
    let count_added = todo.added.len();
    let (keys, texts): (Vec<Key>, Vec<String>) =
        todo.added.into_iter().chain(todo.changed).map(|file| (file.key, file.text)).unzip();
    let in_order: Vec<(Key, Option<Scenario>)> = scenarios
        .into_iter()
        // Large specifications make many scenarios; those that are stored need not be here, too.
        .map(|made| (made.key(), dry_run.then_some(made.scenario)))
        .collect();
    let bad: HashMap<usize, String> = if dry_run {
        texts.iter().enumerate().filter_map(|(number, text)| Some((number, unusable(text)?))).collect()
    } else {
        let bad = store.put_good_texts(texts)?.into_iter();
        bad.map(|(number, error)| (number, format!("left out: {error}"))).collect()
    };
    for (number, key) in keys.iter().enumerate() {
        match bad.get(&number) {
            Some(what) => report.problems.push(LeftOut { at: address(key), what: what.clone() }),
            None if number < count_added => report.added.push(address(key)),
            None => report.changed.push(address(key)),
        }
    }
    if !dry_run {
        store.delete_all(&todo.removed)?;
        keep(store, kept, group.as_deref())?;
    }
    let left_out: HashSet<&Key> = bad.keys().filter_map(|number| keys.get(*number)).collect();
    let snapshot = store.snapshot();
    report.scenarios = in_order
        .into_iter()
        .filter(|(key, _)| !left_out.contains(key))
        .filter_map(|(key, made)| match snapshot.scenario(&key) {
            Some(stored) => Some(Reported::Stored(Arc::clone(stored))),
            None => made.map(|scenario| Reported::Planned(Box::new(scenario))),
        })
        .collect();
    Ok(report)
}

/// Keeps the specification for checking requests by it.
fn keep(store: &Store, kept: Option<Kept>, group: Option<&str>) -> Result<(), StoreError> {
    // What was imported is text, and text can be written.
    let Some(bytes) = kept.and_then(|kept| kept.bytes().ok()) else { return Ok(()) };
    store.put_specification(group.unwrap_or_default(), bytes.into())
}

/// What could be in the way of the import, or be left over from the last one.
fn stored_of(store: &Store, imported: &Import) -> Vec<api_mock_openapi::Stored> {
    let made = &imported.scenarios;
    let mut groups: HashSet<&str> = made.iter().map(|made| made.scenario.group.as_str()).collect();
    groups.extend(imported.group.as_deref());
    let keys: HashSet<Key> = made.iter().map(api_mock_openapi::Imported::key).collect();
    let snapshot = store.snapshot();
    let wanted = snapshot
        .scenarios()
        .filter(|(key, stored)| keys.contains(&***key) || groups.contains(stored.scenario.group.as_str()));
    wanted
        .map(|(key, stored)| api_mock_openapi::Stored { key: Key::clone(key), text: stored.text.to_string() })
        .collect()
}

/// Why the store would not take a text.
fn unusable(text: &str) -> Option<String> {
    let scenario = match Scenario::parse(text, Format::Yaml) {
        Ok(scenario) => scenario,
        Err(error) => return Some(format!("left out: {error}")),
    };
    api_mock_engine::check(&scenario, text).err().map(|error| format!("left out: {error}"))
}

fn address(key: &Key) -> String {
    format!("/_scenarios/{}/{}{}", key.method, key.name, key.path)
}
