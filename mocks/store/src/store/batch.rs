//! Changes of many scenarios at once.

use std::path::PathBuf;
use std::sync::Arc;

use api_mock_scenario::{Format, Key, Scenario, computing_threads, in_parts};

use super::{Shared, Store, Writer};
use crate::error::StoreError;
use crate::load::{self, FileKind};
use crate::snapshot::{Snapshot, Stored};

/// A scenario that has its place.
struct Placed {
    file: PathBuf,
    /// A file whose place it takes.
    replaced: Option<PathBuf>,
    stored: Arc<Stored>,
}

/// Texts as they are stored; each is freed when it was taken over.
fn shared(texts: Vec<String>) -> Vec<Arc<str>> {
    texts.into_iter().map(Arc::from).collect()
}

/// A scenario that a store would take: see [`Store::check_text`].
#[derive(Debug)]
pub struct Checked {
    scenario: Scenario,
    text: Arc<str>,
}

impl Checked {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scenario.
    #[must_use]
    pub fn into_scenario(self) -> Scenario {
        self.scenario
    }
}

/// So many texts are worth a thread.
const FOR_A_THREAD: usize = 32;

impl Store {
    /// Adds or replaces scenarios from YAML, which is kept as it is: all of them or, if one is no good, none. (A disk
    /// that fails on the way may leave some of them.) Cheaper than one after the other.
    ///
    /// # Errors
    /// One of the texts is no scenario, or cannot be stored.
    pub fn put_texts(&self, texts: Vec<String>) -> Result<Vec<Arc<Stored>>, StoreError> {
        let checked: Result<Vec<_>, StoreError> = self.shared.check_all(shared(texts)).into_iter().collect();
        self.put_checked(checked?)
    }

    /// Whether YAML is a scenario that can be stored; on any thread, before [`Store::put_checked`].
    ///
    /// # Errors
    /// It is none.
    pub fn check_text(&self, text: &str) -> Result<Checked, StoreError> {
        self.shared.check(&text.into())
    }

    /// Adds or replaces scenarios that were checked by this store. (A disk that fails on the way may leave some of them.)
    ///
    /// # Errors
    /// They cannot be stored.
    pub fn put_checked(&self, checked: Vec<Checked>) -> Result<Vec<Arc<Stored>>, StoreError> {
        self.shared.put(checked.into_iter().map(|Checked { scenario, text }| (scenario, text)).collect())
    }

    /// The same, but those that are no good are left out: their numbers, and what is wrong with each.
    ///
    /// # Errors
    /// The good ones cannot be stored.
    pub fn put_good_texts(&self, texts: Vec<String>) -> Result<Vec<(usize, StoreError)>, StoreError> {
        let (mut good, mut bad) = (Vec::with_capacity(texts.len()), Vec::new());
        for (number, checked) in self.shared.check_all(shared(texts)).into_iter().enumerate() {
            match checked {
                Ok(checked) => good.push(checked),
                Err(error) => bad.push((number, error)),
            }
        }
        self.put_checked(good)?;
        Ok(bad)
    }

    /// Deletes scenarios; those that are not there are no error. Cheaper than one after the other.
    ///
    /// # Errors
    /// One cannot be deleted.
    pub fn delete_all(&self, keys: &[Key]) -> Result<(), StoreError> {
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        let gone: Vec<Arc<Stored>> = keys.iter().filter_map(|key| snapshot.scenarios.remove(key)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        if let Some(disk) = &self.shared.disk {
            let files: Vec<PathBuf> = gone.iter().map(|stored| stored.file.clone()).collect();
            disk.delete_all(&files)?;
        }
        for stored in &gone {
            writer.known.remove(&stored.file);
            writer.keys.remove(&stored.file);
        }
        self.shared.publish(&writer, snapshot);
        Ok(())
    }
}

impl Shared {
    /// Reads and checks texts, many of them by several threads.
    fn check_all(&self, texts: Vec<Arc<str>>) -> Vec<Result<Checked, StoreError>> {
        let check = |texts: &[Arc<str>]| texts.iter().map(|text| self.check(text)).collect::<Vec<_>>();
        in_parts(&texts, computing_threads(), FOR_A_THREAD, check).into_iter().flatten().collect()
    }

    fn check(&self, text: &Arc<str>) -> Result<Checked, StoreError> {
        let kind = FileKind::Scenario(Format::Yaml);
        load::check_size(&kind, text.len() as u64, &self.options)?;
        let scenario = Scenario::parse(text, Format::Yaml).map_err(Box::new)?;
        self.options.check(&scenario, text)?;
        Ok(Checked { scenario, text: Arc::clone(text) })
    }

    /// Adds or replaces all of them. If the disk fails, none answers, and those that were written are found by the next
    /// look at the folder.
    pub(super) fn put(&self, scenarios: Vec<(Scenario, Arc<str>)>) -> Result<Vec<Arc<Stored>>, StoreError> {
        let mut writer = self.lock();
        let present = self.snapshot.load();
        let known = |scenario: &Scenario| present.scenarios.contains_key(&scenario.key());
        let new = scenarios.iter().filter(|(scenario, _)| !known(scenario)).count();
        if present.scenarios.len() + new > self.options.max_scenarios {
            return Err(StoreError::TooMany(present.scenarios.len()));
        }
        if scenarios.is_empty() {
            return Ok(Vec::new());
        }
        let mut snapshot = Snapshot::clone(&present);
        let mut placed = Vec::with_capacity(scenarios.len());
        let mut taken = Vec::new();
        for (scenario, text) in scenarios {
            placed.push(self.place(&mut writer, &mut snapshot, (scenario, text), &mut taken));
        }
        if let Err(error) = self.write(&mut writer, &placed) {
            taken.iter().for_each(|file| {
                writer.keys.remove(file);
            });
            return Err(error);
        }
        if !writer.problems.is_empty() {
            writer.problems.retain(|problem| !placed.iter().any(|one| one.file == problem.file));
        }
        self.publish(&writer, snapshot);
        Ok(placed.into_iter().map(|one| one.stored).collect())
    }

    /// Finds the file of a scenario and puts it into the snapshot. Files that are new are noted as taken.
    fn place(
        &self,
        writer: &mut Writer,
        snapshot: &mut Snapshot,
        (scenario, text): (Scenario, Arc<str>),
        taken: &mut Vec<PathBuf>,
    ) -> Placed {
        let key = Arc::new(scenario.key());
        let present = snapshot.scenarios.get(&key).map(|stored| stored.file.clone());
        // JSON files are not written, so a new one takes the place of such a file.
        let (replaced, present) = match present {
            Some(file) if file.extension().is_some_and(|extension| extension == "json") => (Some(file), None),
            present => (None, present),
        };
        let file = present.unwrap_or_else(|| self.free_file(writer, &key));
        if writer.keys.insert(file.clone(), key.clone()).is_none() {
            taken.push(file.clone());
        }
        let stored = Arc::new(Stored { scenario, text, file: file.clone(), by_hand: false });
        snapshot.scenarios.insert(key, stored.clone());
        Placed { file, replaced, stored }
    }

    fn write(&self, writer: &mut Writer, placed: &[Placed]) -> Result<(), StoreError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let files: Vec<_> =
            placed.iter().map(|one| (one.file.as_path(), one.stored.text.as_bytes())).collect();
        let stamps = disk.write_all(&files)?;
        writer.known.extend(placed.iter().map(|one| one.file.clone()).zip(stamps));
        for replaced in placed.iter().filter_map(|one| one.replaced.as_ref()) {
            disk.delete(replaced)?;
            writer.known.remove(replaced);
            writer.keys.remove(replaced);
        }
        Ok(())
    }
}
