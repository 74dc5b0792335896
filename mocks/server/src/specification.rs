//! Specifications become scenarios of the store, again and again.

use std::collections::HashSet;
use std::sync::Arc;

use api_mock_openapi::{
    Comparison, Fate, Import, ImportError, ImportOptions, Imported, Loader, Made, Problem, compare,
    import_each,
};
use api_mock_scenario::{Key, Scenario};
use api_mock_store::{Checked, Snapshot, Store, StoreError, Stored};
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
    let before = store.snapshot();
    let mut imported = import_each(bytes, options, &seen, |made| File::of(made, store, &before))?;
    // Nothing is checked by it here, and it is the largest part of all: its memory is for the files.
    drop((std::mem::take(&mut imported.api.schemas), std::mem::take(&mut imported.api.operations)));
    let Import { group, scenarios: files, problems, .. } = imported;
    let made: Vec<Made<'_>> = files.iter().map(File::made).collect();
    let Comparison { fates, kept, removed, .. } =
        compare(&stored_of(&before, group.as_deref(), &made), group.as_deref(), &made);
    let kept_specification = Kept::new(bytes, options, made.iter().map(|file| file.group).collect(), seen);

    let mut report = ImportReport::default();
    report.problems.extend(problems.into_iter().map(|Problem { at, what, .. }| LeftOut { at, what }));
    report.removed = removed.iter().map(address).collect();
    let (mut good, mut in_order) = (Vec::new(), Vec::with_capacity(files.len()));
    for (file, fate) in files.into_iter().zip(fates) {
        let address = address(&file.key);
        let list = match fate {
            Fate::Added => &mut report.added,
            Fate::Changed => &mut report.changed,
            Fate::Kept => &mut report.kept,
            Fate::Unchanged => {
                report.unchanged += 1;
                in_order.push((file.key, None));
                continue;
            }
        };
        // Of one that stays as somebody changed it nothing is stored.
        let is_kept = fate == Fate::Kept;
        match file.checked {
            Err(error) if !is_kept => {
                report.problems.push(LeftOut { at: address, what: format!("left out: {error}") });
                continue;
            }
            Ok(Some(checked)) if dry_run => in_order.push((file.key, Some(checked.into_scenario()))),
            Ok(Some(checked)) if !is_kept => {
                good.push(checked);
                in_order.push((file.key, None));
            }
            _ => in_order.push((file.key, None)),
        }
        list.push(address);
    }
    report.kept.extend(kept.iter().map(address));
    if !dry_run {
        store.put_checked(good)?;
        store.delete_all(&removed)?;
        keep(store, kept_specification, group.as_deref())?;
    }
    let snapshot = store.snapshot();
    report.scenarios = in_order
        .into_iter()
        .filter_map(|(key, planned)| match snapshot.scenario(&key) {
            Some(stored) => Some(Reported::Stored(Arc::clone(stored))),
            None => planned.map(|scenario| Reported::Planned(Box::new(scenario))),
        })
        .collect();
    Ok(report)
}

/// A file that an import made, checked while it made others.
struct File {
    key: Key,
    group: String,
    /// None: it is stored already.
    checked: Result<Option<Checked>, StoreError>,
    /// Where that is not in what was checked.
    text: String,
}

impl File {
    fn of(made: Imported, store: &Store, before: &Snapshot) -> Self {
        let (key, text) = (made.key(), made.text());
        let group = made.scenario.group;
        let is_there = before.scenario(&key).is_some_and(|stored| *stored.text == *text);
        let checked = if is_there { Ok(None) } else { store.check_text(&text).map(Some) };
        // A large specification makes many of them: each is held once.
        let text = if matches!(checked, Ok(Some(_))) { String::new() } else { text };
        File { key, group, checked, text }
    }

    fn made(&self) -> Made<'_> {
        let text = match &self.checked {
            Ok(Some(checked)) => checked.text(),
            _ => &self.text,
        };
        Made { key: &self.key, group: &self.group, text }
    }
}

/// Keeps the specification for checking requests by it.
fn keep(store: &Store, kept: Option<Kept>, group: Option<&str>) -> Result<(), StoreError> {
    // What was imported is text, and text can be written.
    let Some(bytes) = kept.and_then(|kept| kept.bytes().ok()) else { return Ok(()) };
    store.put_specification(group.unwrap_or_default(), bytes.into())
}

/// What could be in the way of the import, or be left over from the last one.
fn stored_of(before: &Snapshot, group: Option<&str>, made: &[Made<'_>]) -> Vec<api_mock_openapi::Stored> {
    let groups: HashSet<&str> = group.into_iter().chain(made.iter().map(|file| file.group)).collect();
    let keys: HashSet<&Key> = made.iter().map(|file| file.key).collect();
    let wanted = before
        .scenarios()
        .filter(|(key, stored)| keys.contains(&***key) || groups.contains(stored.scenario.group.as_str()));
    wanted
        .map(|(key, stored)| api_mock_openapi::Stored { key: Key::clone(key), text: stored.text.to_string() })
        .collect()
}

fn address(key: &Key) -> String {
    format!("/_scenarios/{}/{}{}", key.method, key.name, key.path)
}
