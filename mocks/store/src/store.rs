//! The store: one writer at a time, readers that never wait.

mod batch;
mod look;

pub use batch::Checked;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_mock_scenario::{
    Format, Key, Scenario, fixture_file, folder, method, method_folder, normalized_path, scenario_file,
    valid_name,
};
use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::disk::{Disk, Stamp};
use crate::error::{LoadProblem, StoreError};
use crate::load::{self, FileKind};
use crate::options::StoreOptions;
use crate::snapshot::{FixtureFolder, Snapshot, Stored, StoredFixture};
use crate::specifications::Specifications;
use crate::watch::Watcher;

/// A file that was written this recently may be half written; it is read the next time.
const SETTLE: Duration = Duration::from_millis(20);

type Listener = Box<dyn Fn(&Arc<Snapshot>) -> bool + Send + Sync>;

/// Scenarios and fixtures. All of its functions that change something wait for the disk; those
/// that read do not.
///
/// ```
/// use api_mock_scenario::{Format, Key};
/// use api_mock_store::{Store, StoreOptions};
///
/// let folder = tempfile::tempdir()?;
/// let (store, problems) = Store::open(StoreOptions::in_folder(folder.path()))?;
/// assert!(problems.is_empty());
/// store.put_text("method: GET\nname: hi\npath: /hi\nresponse:\n  contents: hello\n", Format::Yaml)?;
/// assert!(folder.path().join("hi/GET/hi.scr").exists());
/// assert_eq!(store.names("GET", "/hi")?, ["hi"]);
/// store.delete("GET", "hi", "/hi")?;
/// assert!(store.snapshot().scenarios().next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    /// Ends its thread when the store goes.
    _watcher: Option<Watcher>,
}

pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    pub(crate) disk: Option<Disk>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    writer: Mutex<Writer>,
    specifications: Specifications,
}

/// What only the one writer needs.
#[derive(Default)]
pub(crate) struct Writer {
    /// The files that were read or written, as they were then.
    pub(crate) known: HashMap<PathBuf, Stamp>,
    /// What each file gave.
    keys: HashMap<PathBuf, Arc<Key>>,
    pub(crate) problems: Vec<LoadProblem>,
    listeners: Vec<Listener>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store and reads all of it. Files that are no good are skipped and reported.
    ///
    /// # Errors
    /// The folder cannot be made or opened, or the watching thread not started.
    pub fn open(options: StoreOptions) -> Result<(Store, Vec<LoadProblem>), StoreError> {
        let disk = options.data_dir.as_deref().map(Disk::open).transpose()?;
        if let Some(disk) = &disk {
            disk.clean();
        }
        let watch_every = options.watch_every.filter(|_| disk.is_some());
        let shared = Arc::new(Shared {
            options,
            disk,
            snapshot: ArcSwap::default(),
            writer: Mutex::default(),
            specifications: Specifications::default(),
        });
        shared.read_all(Duration::ZERO);
        let problems = shared.lock().problems.clone();
        let watcher = watch_every.map(|every| Watcher::start(&shared, every)).transpose();
        let watcher = watcher.map_err(StoreError::io("start the thread that watches the data folder"))?;
        Ok((Store { shared, _watcher: watcher }, problems))
    }

    /// All scenarios and fixtures as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Calls a function with each new snapshot from now on, and with the present one at once. The
    /// function is called by whoever changes the store, one call at a time, before that change
    /// returns. When it returns false it is called no more.
    pub fn on_change(&self, listener: impl Fn(&Arc<Snapshot>) -> bool + Send + Sync + 'static) {
        let mut writer = self.shared.lock();
        if listener(&self.shared.snapshot.load_full()) {
            writer.listeners.push(Box::new(listener));
        }
    }

    /// Looks for files that were changed by hand, now.
    pub fn refresh(&self) {
        self.shared.refresh();
    }

    /// What is wrong with files of the data folder now.
    #[must_use]
    pub fn problems(&self) -> Vec<LoadProblem> {
        self.shared.lock().problems.clone()
    }

    /// Adds or replaces a scenario. YAML is kept as it is.
    ///
    /// # Errors
    /// The text is no scenario, or cannot be stored.
    pub fn put_text(&self, text: &str, format: Format) -> Result<Arc<Stored>, StoreError> {
        load::check_size(&FileKind::Scenario(format), text.len() as u64, &self.shared.options)?;
        let scenario = Scenario::parse(text, format).map_err(Box::new)?;
        let text: Arc<str> = match format {
            Format::Yaml => text.into(),
            Format::Json => scenario.to_yaml().into(),
        };
        self.shared.options.check(&scenario, &text)?;
        let stored = self.shared.put(vec![(scenario, text)])?;
        stored.into_iter().next().ok_or_else(|| StoreError::NotFound("scenario".to_owned()))
    }

    /// Adds or replaces scenarios, all of them or, if one is no good, none. (A disk that fails on
    /// the way may leave some of them.) Cheaper than one after the other.
    ///
    /// # Errors
    /// One of them is no good, or cannot be stored.
    pub fn put_all(&self, scenarios: &[Scenario]) -> Result<Vec<Arc<Stored>>, StoreError> {
        let mut checked = Vec::with_capacity(scenarios.len());
        for scenario in scenarios {
            let text: Arc<str> = scenario.to_yaml().into();
            let kind = FileKind::Scenario(Format::Yaml);
            load::check_size(&kind, text.len() as u64, &self.shared.options)?;
            // What was built by a program is checked, and normalised, like what was uploaded.
            let scenario = Scenario::parse(&text, Format::Yaml).map_err(Box::new)?;
            self.shared.options.check(&scenario, &text)?;
            checked.push((scenario, text));
        }
        self.shared.put(checked)
    }

    /// Adds or replaces a scenario.
    ///
    /// # Errors
    /// It is no good, or cannot be stored.
    pub fn put_scenario(&self, scenario: &Scenario) -> Result<Arc<Stored>, StoreError> {
        let stored = self.put_all(std::slice::from_ref(scenario))?;
        stored.into_iter().next().ok_or_else(|| StoreError::NotFound("scenario".to_owned()))
    }

    /// A scenario. If there is none of exactly this path, the only one of this name in the folder
    /// of the path will do.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, method: &str, name: &str, path: &str) -> Result<Arc<Stored>, StoreError> {
        find(&self.snapshot(), method, name, path).map(|(_, stored)| stored)
    }

    /// Deletes a scenario, found as by [`Store::get`].
    ///
    /// # Errors
    /// There is none, or it cannot be deleted.
    pub fn delete(&self, method: &str, name: &str, path: &str) -> Result<(), StoreError> {
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        let (key, stored) = find(&snapshot, method, name, path)?;
        if let Some(disk) = &self.shared.disk {
            disk.delete(&stored.file)?;
        }
        writer.known.remove(&stored.file);
        writer.keys.remove(&stored.file);
        snapshot.scenarios.remove(&key);
        self.shared.publish(&writer, snapshot);
        Ok(())
    }

    pub(crate) fn kept(&self) -> (&Specifications, Option<&Disk>) {
        (&self.shared.specifications, self.shared.disk.as_ref())
    }

    /// All scenarios, or those of a group, in the order of their keys.
    #[must_use]
    pub fn list(&self, group: Option<&str>) -> Vec<Arc<Stored>> {
        let snapshot = self.snapshot();
        let wanted = |stored: &&Arc<Stored>| group.is_none_or(|group| stored.scenario.group == group);
        snapshot.scenarios.values().filter(wanted).cloned().collect()
    }

    /// The names of the scenarios in the folder of a path: of all paths that are the same up to
    /// the first variable.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn names(&self, method: &str, path: &str) -> Result<Vec<String>, StoreError> {
        let (method, path) = (check_method(method)?, check_path(path)?);
        let wanted = folder(&path);
        let snapshot = self.snapshot();
        let here =
            snapshot.scenarios.keys().filter(|key| key.method == method && folder(&key.path) == wanted);
        let mut names: Vec<String> = here.map(|key| key.name.clone()).collect();
        if names.is_empty() {
            return Err(StoreError::NotFound(format!("scenario for {method} {path}")));
        }
        names.dedup();
        Ok(names)
    }

    /// The groups that scenarios are in, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let named = snapshot.scenarios.values().map(|stored| stored.scenario.group.clone());
        let groups: std::collections::BTreeSet<String> = named.filter(|group| !group.is_empty()).collect();
        groups.into_iter().collect()
    }

    /// Adds or replaces a fixture, for the scenarios of this method at and below the path.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn put_fixture(&self, method: &str, name: &str, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let place = FixturePlace::new(method, name, path)?;
        let kind = FileKind::Fixture { folder: String::new(), name: String::new() };
        load::check_size(&kind, bytes.len() as u64, &self.shared.options)?;
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        let count: usize = snapshot.fixtures.values().map(|folder| folder.len()).sum();
        if count >= self.shared.options.max_fixtures {
            return Err(StoreError::TooMany(count));
        }
        if let Some(disk) = &self.shared.disk {
            let stamp = disk.write(&place.file, &bytes)?;
            writer.known.insert(place.file.clone(), stamp);
        }
        let folder = Arc::make_mut(snapshot.fixtures.entry(place.folder).or_default());
        folder.insert(place.name, Arc::new(StoredFixture::new(bytes)));
        self.shared.publish(&writer, snapshot);
        Ok(())
    }

    /// A fixture of exactly this path.
    ///
    /// # Errors
    /// There is none.
    pub fn fixture(&self, method: &str, name: &str, path: &str) -> Result<Arc<StoredFixture>, StoreError> {
        let place = FixturePlace::new(method, name, path)?;
        let snapshot = self.snapshot();
        let found = snapshot.fixtures.get(&place.folder).and_then(|folder| folder.get(&place.name));
        found.cloned().ok_or_else(|| place.not_found())
    }

    /// Deletes a fixture.
    ///
    /// # Errors
    /// There is none, or it cannot be deleted.
    pub fn delete_fixture(&self, method: &str, name: &str, path: &str) -> Result<(), StoreError> {
        let place = FixturePlace::new(method, name, path)?;
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        if !remove_fixture(&mut snapshot, &place.folder, &place.name) {
            return Err(place.not_found());
        }
        if let Some(disk) = &self.shared.disk {
            disk.delete(&place.file)?;
        }
        writer.known.remove(&place.file);
        self.shared.publish(&writer, snapshot);
        Ok(())
    }

    /// The names of the fixtures of a method and path, in order; none if there are none.
    ///
    /// # Errors
    /// The method or path is one that nothing can have.
    pub fn fixture_names(&self, method: &str, path: &str) -> Result<Vec<String>, StoreError> {
        let wanted = method_folder(&check_path(path)?, &check_method(method)?);
        let snapshot = self.snapshot();
        let names = snapshot.fixtures.get(&wanted).map(|folder| folder.keys().cloned().collect());
        Ok(names.unwrap_or_default())
    }
}

/// Where a fixture belongs.
struct FixturePlace {
    folder: String,
    name: String,
    file: PathBuf,
}

impl FixturePlace {
    fn new(method: &str, name: &str, path: &str) -> Result<Self, StoreError> {
        let (method, path) = (check_method(method)?, check_path(path)?);
        let expected = "a name of 1 to 200 characters without slashes";
        let name = valid_name(name).ok_or(StoreError::Invalid { field: "name", expected })?;
        let file = fixture_file(&path, &method, &name);
        Ok(FixturePlace { folder: method_folder(&path, &method), name, file })
    }

    fn not_found(&self) -> StoreError {
        StoreError::NotFound(format!("fixture {} in {}", self.name, self.folder))
    }
}

fn check_method(text: &str) -> Result<String, StoreError> {
    method(text).ok_or(StoreError::Invalid { field: "method", expected: "an HTTP method" })
}

fn check_path(text: &str) -> Result<String, StoreError> {
    let expected = "a path such as /v1/users/:id, without . or .. as a part";
    normalized_path(text).ok_or(StoreError::Invalid { field: "path", expected })
}

fn find(
    snapshot: &Snapshot,
    method: &str,
    name: &str,
    path: &str,
) -> Result<(Arc<Key>, Arc<Stored>), StoreError> {
    let key = Key { method: check_method(method)?, name: name.to_owned(), path: check_path(path)? };
    if let Some((key, stored)) = snapshot.scenarios.get_key_value(&key) {
        return Ok((key.clone(), stored.clone()));
    }
    // Keys are in the order of method, name, path: those of one name stand together.
    let first = Key { path: String::new(), ..key.clone() };
    let wanted = folder(&key.path);
    let mut same = snapshot
        .scenarios
        .range::<Key, _>(first..)
        .take_while(|(other, _)| other.method == key.method && other.name == key.name)
        .filter(|(other, _)| folder(&other.path) == wanted);
    match (same.next(), same.next()) {
        (Some((key, stored)), None) => Ok((key.clone(), stored.clone())),
        _ => Err(StoreError::NotFound(format!("scenario {key}"))),
    }
}

fn remove_fixture(snapshot: &mut Snapshot, folder: &str, name: &str) -> bool {
    let Some(fixtures) = snapshot.fixtures.get_mut(folder) else { return false };
    let fixtures: &mut FixtureFolder = Arc::make_mut(fixtures);
    let removed = fixtures.remove(name).is_some();
    if fixtures.is_empty() {
        snapshot.fixtures.remove(folder);
    }
    removed
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panicking writer published nothing; what it knew of files is looked at again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, writer: &Writer, mut snapshot: Snapshot) {
        snapshot.generation += 1;
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(snapshot.clone());
        // One that is done stays in the list until the next full look, and is asked in vain.
        writer.listeners.iter().for_each(|listener| {
            listener(&snapshot);
        });
    }

    /// Where a new scenario goes: its usual file, or one beside it if another scenario of the same
    /// folder and name has that.
    fn free_file(&self, writer: &Writer, key: &Key) -> PathBuf {
        let usual = scenario_file(&key.path, &key.method, &key.name);
        let taken = |file: &Path| match writer.keys.get(file) {
            Some(other) => **other != *key,
            // A file that could not be read is somebody's work.
            None => self.disk.as_ref().is_some_and(|disk| disk.exists(file)),
        };
        if !taken(&usual) {
            return usual;
        }
        let beside = |number: u32| {
            let path = key.path.trim_start_matches('/').replace(['/', ':', '{', '}'], "-");
            let stem = usual.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let mut stem: String = stem.chars().take(120).collect();
            stem.push('~');
            stem.extend(path.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(60));
            if number > 0 {
                stem.push_str(&format!("~{number}"));
            }
            usual.with_file_name(format!("{stem}.scr"))
        };
        (0..).map(beside).find(|file| !taken(file)).unwrap_or(usual.clone())
    }

    pub(crate) fn refresh(&self) {
        let before = self.lock().problems.clone();
        self.read_all(SETTLE);
        let Some(report) = &self.options.report else { return };
        // Another refresh at the same time may tell of the same once more.
        let now = self.lock().problems.clone();
        now.iter().filter(|problem| !before.contains(problem)).for_each(|problem| report(problem));
    }
}
