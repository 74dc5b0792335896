//! Looks at the data folder: what is new in it, what changed, what is gone.

use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api_mock_scenario::Key;

use super::{Shared, Writer, remove_fixture};
use crate::disk::{Scan, Stamp};
use crate::error::{LoadProblem, StoreError};
use crate::load::{self, FileContents, FileKind, with_slashes};
use crate::snapshot::{Snapshot, Stored};

/// The scenario that a file was before it changed.
type Former = (Arc<Key>, Arc<Stored>);

impl Shared {
    /// Reads what is new or changed, forgets what is gone. What is no good leaves what was there
    /// before in place.
    pub(super) fn read_all(&self, settle: Duration) {
        let Some(disk) = &self.disk else { return };
        let mut writer = self.lock();
        let Scan { files, mut problems } = disk.scan();
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        let mut changed = self.forget_missing(&mut writer, &mut snapshot, &files);
        let is_new = |(file, stamp): &(PathBuf, Stamp)| {
            writer.known.get(file) != Some(stamp)
                && !stamp.is_fresh(settle)
                && load::kind(file) != FileKind::Other
        };
        let mut new: Vec<(PathBuf, Stamp)> = files.iter().filter(|file| is_new(file)).cloned().collect();
        if !new.is_empty() {
            // What changed may make room for what was skipped.
            let skipped = |(file, stamp): &&(PathBuf, Stamp)| {
                writer.known.get(file) == Some(stamp)
                    && writer.problems.binary_search_by(|problem| problem.file.cmp(file)).is_ok()
            };
            new.extend(files.iter().filter(skipped).cloned());
            new.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let read = load::read_files(disk, &new, &self.options);
        // All that become other scenarios give up what they were before any takes its place: two may change places.
        let former = new.iter().zip(&read).map(|((file, _), read)| {
            let FileContents::Scenario(stored) = read.as_ref().ok()? else { return None };
            give_up(&mut writer, &mut snapshot, file, &stored.scenario.key())
        });
        let former: Vec<Option<Former>> = former.collect();
        let mut refused = Vec::new();
        for (((file, stamp), read), former) in new.into_iter().zip(read).zip(former) {
            writer.known.insert(file.clone(), stamp);
            writer.problems.retain(|problem| problem.file != file);
            match read.and_then(|read| self.take(&mut writer, &mut snapshot, &file, read)) {
                Ok(taken) => changed |= taken,
                Err(message) => {
                    refused.extend(former.map(|former| (file.clone(), former)));
                    problems.push((file, message));
                }
            }
        }
        for (file, former) in refused {
            restore(&mut writer, &mut snapshot, file, former);
        }
        let is_link = |problem: &LoadProblem| problems.iter().any(|(file, _)| *file == problem.file);
        writer.problems.retain(|problem| !is_link(problem));
        writer.problems.extend(problems.into_iter().map(|(file, message)| LoadProblem { file, message }));
        writer.problems.sort_by(|a, b| a.file.cmp(&b.file));
        if changed {
            self.publish(&writer, snapshot);
        }
    }

    fn forget_missing(
        &self,
        writer: &mut Writer,
        snapshot: &mut Snapshot,
        files: &[(PathBuf, Stamp)],
    ) -> bool {
        let there = |file: &PathBuf| files.binary_search_by(|(known, _)| known.cmp(file)).is_ok();
        let gone: Vec<PathBuf> = writer.known.keys().filter(|file| !there(file)).cloned().collect();
        writer.problems.retain(|problem| there(&problem.file));
        let mut changed = false;
        for file in &gone {
            writer.known.remove(file);
            if let Some(key) = writer.keys.remove(file) {
                changed |= snapshot.scenarios.remove(&key).is_some();
            }
            changed |= match load::kind(file) {
                FileKind::Fixture { folder, name } => remove_fixture(snapshot, &folder, &name),
                FileKind::Group(group) => snapshot.groups.remove(&group).is_some(),
                _ => false,
            };
        }
        if changed {
            // A second file for the same scenario can now take the place of the first.
            for problem in &writer.problems {
                writer.known.remove(&problem.file);
            }
        }
        changed
    }

    /// Takes over what was read from a file, and says whether that changes anything.
    fn take(
        &self,
        writer: &mut Writer,
        snapshot: &mut Snapshot,
        file: &Path,
        read: FileContents,
    ) -> Result<bool, String> {
        let stored = match read {
            FileContents::Nothing => return Ok(false),
            FileContents::Fixture { folder, name, fixture } => {
                Arc::make_mut(snapshot.fixtures.entry(folder).or_default()).insert(name, fixture);
                return Ok(true);
            }
            FileContents::Group { name, config } => {
                snapshot.groups.insert(name, config);
                return Ok(true);
            }
            FileContents::Scenario(stored) => stored,
        };
        let key = Arc::new(stored.scenario.key());
        let other = snapshot.scenarios.get(&key).map(|other| &other.file).filter(|other| *other != file);
        if let Some(other) = other {
            let (file, other) = (with_slashes(file), with_slashes(other));
            return Err(format!("{file}: is the same scenario as {other}: {key}"));
        }
        if snapshot.scenarios.len() >= self.options.max_scenarios && !snapshot.scenarios.contains_key(&key) {
            let error = StoreError::TooMany(snapshot.scenarios.len());
            return Err(format!("{}: {error}", with_slashes(file)));
        }
        writer.keys.insert(file.to_path_buf(), key.clone());
        snapshot.scenarios.insert(key, stored);
        Ok(true)
    }
}

/// Takes away what a file was, if it is another scenario now.
fn give_up(writer: &mut Writer, snapshot: &mut Snapshot, file: &Path, now: &Key) -> Option<Former> {
    let former = writer.keys.get(file).filter(|former| ***former != *now)?.clone();
    writer.keys.remove(file);
    Some((former.clone(), snapshot.scenarios.remove(&former)?))
}

/// Gives a file back what it was, as it cannot be what it says now; unless another file is that.
fn restore(writer: &mut Writer, snapshot: &mut Snapshot, file: PathBuf, (key, stored): Former) {
    if let Entry::Vacant(place) = snapshot.scenarios.entry(key.clone()) {
        writer.keys.insert(file, key);
        place.insert(stored);
    }
}
