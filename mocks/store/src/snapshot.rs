//! All scenarios and fixtures at one moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use api_mock_functions::Fixture;
use api_mock_scenario::{GroupConfig, Key, Scenario};
use bytes::Bytes;

/// A scenario of the store.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stored {
    /// What the file says.
    pub scenario: Scenario,
    /// The text of the file, as it is. Always YAML.
    pub text: Arc<str>,
    /// The file, relative to the data folder.
    pub file: PathBuf,
    /// Whether it came from a file that somebody changed, rather than through the store.
    pub by_hand: bool,
}

/// A fixture of the store.
#[derive(Debug)]
pub struct StoredFixture {
    bytes: Bytes,
    text: OnceLock<Option<Arc<Fixture>>>,
}

impl StoredFixture {
    pub(crate) fn new(bytes: Bytes) -> Self {
        StoredFixture { bytes, text: OnceLock::new() }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What template functions read; `None` if the bytes are no text.
    #[must_use]
    pub fn text(&self) -> Option<&Arc<Fixture>> {
        let text = self.text.get_or_init(|| {
            std::str::from_utf8(&self.bytes).ok().map(|text| Arc::new(Fixture::new(text.to_owned())))
        });
        text.as_ref()
    }
}

/// The fixtures of one folder by name.
pub type FixtureFolder = BTreeMap<String, Arc<StoredFixture>>;

/// All scenarios and fixtures at one moment. It never changes: the store makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) scenarios: BTreeMap<Arc<Key>, Arc<Stored>>,
    pub(crate) fixtures: BTreeMap<String, Arc<FixtureFolder>>,
    pub(crate) groups: BTreeMap<String, Arc<GroupConfig>>,
}

impl Snapshot {
    /// Grows with every change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All scenarios in the order of their keys.
    pub fn scenarios(&self) -> impl ExactSizeIterator<Item = (&Arc<Key>, &Arc<Stored>)> {
        self.scenarios.iter()
    }

    /// A scenario.
    #[must_use]
    pub fn scenario(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.scenarios.get(key)
    }

    /// The folders in which fixtures for a folder such as `v1/users/GET` are looked for, the
    /// nearest first: the folder itself, then `v1/GET`, then `GET`. Only those that exist.
    pub fn fixture_folders(&self, folder: &str) -> Vec<Arc<FixtureFolder>> {
        let mut found: Vec<Arc<FixtureFolder>> = Vec::new();
        let (mut path, method) = folder.rsplit_once('/').unwrap_or(("", folder));
        loop {
            let here = if path.is_empty() { method.to_owned() } else { format!("{path}/{method}") };
            found.extend(self.fixtures.get(&here).cloned());
            if path.is_empty() {
                return found;
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }

    /// Whether the fixtures are those of another snapshot.
    #[must_use]
    pub fn same_fixtures(&self, other: &Snapshot) -> bool {
        let pairs = self.fixtures.iter().zip(&other.fixtures);
        self.fixtures.len() == other.fixtures.len()
            && pairs.into_iter().all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
    }

    /// All fixtures, by their folders such as `v1/users/GET`.
    pub fn fixtures(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<FixtureFolder>)> {
        self.fixtures.iter().map(|(folder, fixtures)| (folder.as_str(), fixtures))
    }

    /// What is set for groups, by their names.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<String, Arc<GroupConfig>> {
        &self.groups
    }

    /// The fixtures of a folder itself.
    #[must_use]
    pub fn fixture_folder(&self, folder: &str) -> Option<&Arc<FixtureFolder>> {
        self.fixtures.get(folder)
    }
}
