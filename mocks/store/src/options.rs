//! How a store works.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_mock_scenario::Scenario;

use crate::error::{LoadProblem, StoreError};

/// Looks at a scenario that was read, and at its text.
type Check = dyn Fn(&Scenario, &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Is told of a file that is no good.
type Report = dyn Fn(&LoadProblem) + Send + Sync;

/// How a store works.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The data folder, which is made if needed; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// How often to look for files changed by hand; `None` for never.
    pub watch_every: Option<Duration>,
    /// The largest scenario, in bytes.
    pub max_scenario_bytes: u64,
    /// The largest fixture, in bytes. Fixtures are kept in memory.
    pub max_fixture_bytes: u64,
    /// How many scenarios there may be.
    pub max_scenarios: usize,
    /// How many fixtures there may be.
    pub max_fixtures: usize,
    pub(crate) check: Option<Arc<Check>>,
    pub(crate) report: Option<Arc<Report>>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("StoreOptions");
        all.field("data_dir", &self.data_dir).field("watch_every", &self.watch_every);
        all.finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// A store in a folder that looks for changes every second, with limits of 16 MiB for a
    /// scenario, 64 MiB for a fixture, 100,000 scenarios and 10,000 fixtures.
    #[must_use]
    pub fn in_folder(data_dir: impl Into<PathBuf>) -> Self {
        let watch_every = Some(Duration::from_secs(1));
        StoreOptions { data_dir: Some(data_dir.into()), watch_every, ..StoreOptions::in_memory() }
    }

    /// A store in memory, with the same limits.
    #[must_use]
    pub fn in_memory() -> Self {
        StoreOptions {
            data_dir: None,
            watch_every: None,
            max_scenario_bytes: 16 << 20,
            max_fixture_bytes: 64 << 20,
            max_scenarios: 100_000,
            max_fixtures: 10_000,
            check: None,
            report: None,
        }
    }

    /// Takes only scenarios that a check finds good, from files too.
    #[must_use]
    pub fn checked(
        mut self,
        check: impl Fn(&Scenario, &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Tells of each file that is found to be no good after the store was opened: what was there before stays.
    #[must_use]
    pub fn reporting(mut self, report: impl Fn(&LoadProblem) + Send + Sync + 'static) -> Self {
        self.report = Some(Arc::new(report));
        self
    }

    pub(crate) fn check(&self, scenario: &Scenario, text: &str) -> Result<(), StoreError> {
        let found = self.check.as_ref().map_or(Ok(()), |check| check(scenario, text));
        found.map_err(|source| StoreError::Rejected { source })
    }
}
