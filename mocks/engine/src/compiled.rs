//! A scenario, ready to answer.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api_mock_functions::{Fixture, FixtureSource};
use api_mock_scenario::method_folder;
use api_mock_store::{FixtureFolder, Snapshot, Stored};
use api_mock_template::{Functions, Template};
use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::data::Variables;
use crate::fault::RuleSet;
use crate::plan::{Plan, parse};
use crate::problem::RenderProblem;

/// A scenario, ready to answer.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) stored: Arc<Stored>,
    pub(crate) name: Arc<str>,
    pub(crate) path: Arc<str>,
    /// Made when it is first needed: most scenarios of a large set are never asked for.
    ready: OnceLock<Ready>,
    /// Whether it can ask for fixtures.
    needs_fixtures: bool,
    fixtures: ArcSwap<Fixtures>,
    /// What goes wrong with its answers.
    pub(crate) faults: Option<RuleSet>,
}

/// What answering takes.
#[derive(Debug)]
pub(crate) struct Ready {
    /// `None` if the file is no template; what is wrong is found again when it is asked for.
    plan: Option<Plan>,
    pub(crate) predicate: Option<Template>,
    pub(crate) variables: Variables,
}

impl Compiled {
    pub(crate) fn new(stored: &Arc<Stored>, snapshot: &Snapshot, now: Duration) -> Self {
        let compiled = Compiled {
            stored: stored.clone(),
            name: stored.scenario.name.as_str().into(),
            path: stored.scenario.path.as_str().into(),
            ready: OnceLock::new(),
            needs_fixtures: stored.text.contains("contents_file") || stored.text.contains("File"),
            fixtures: ArcSwap::default(),
            faults: RuleSet::new(&stored.scenario.faults, &stored.scenario.key().to_string(), now),
        };
        compiled.find_fixtures(snapshot);
        compiled
    }

    pub(crate) fn ready(&self, functions: &Functions) -> &Ready {
        self.ready.get_or_init(|| {
            let (scenario, text) = (&self.stored.scenario, &*self.stored.text);
            let predicate = Some(scenario.predicate.trim()).filter(|text| !text.is_empty());
            Ready {
                plan: Plan::new(scenario, text, functions).ok(),
                // One that is no template is as good as none.
                predicate: predicate.and_then(|text| parse("predicate", text, functions).ok()),
                variables: Variables::new(scenario, text, functions),
            }
        })
    }

    /// Looks up the fixtures that it can see.
    pub(crate) fn find_fixtures(&self, snapshot: &Snapshot) {
        if !self.needs_fixtures {
            return;
        }
        let folder = method_folder(&self.stored.scenario.path, &self.stored.scenario.method);
        let mut folders = Vec::new();
        // A file that was put elsewhere by hand has its own folder, too.
        let own = self.stored.file.parent().unwrap_or(Path::new(""));
        let own =
            own.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if own != folder {
            folders.extend(snapshot.fixture_folder(&own).cloned());
        }
        folders.extend(snapshot.fixture_folders(&folder));
        self.fixtures.store(Arc::new(Fixtures { folders }));
    }

    pub(crate) fn fixtures(&self) -> Arc<Fixtures> {
        self.fixtures.load_full()
    }

    pub(crate) fn plan(&self, functions: &Functions) -> Result<&Plan, RenderProblem> {
        match &self.ready(functions).plan {
            Some(plan) => Ok(plan),
            None => match Plan::new(&self.stored.scenario, &self.stored.text, functions) {
                Err(problem) => Err(problem),
                Ok(_) => Err(RenderProblem::Unreadable { field: "response" }),
            },
        }
    }
}

/// The fixtures that a scenario sees: those of its folder, then those of the folders above.
#[derive(Debug, Default)]
pub(crate) struct Fixtures {
    folders: Vec<Arc<FixtureFolder>>,
}

impl Fixtures {
    pub(crate) fn bytes(&self, name: &str) -> Option<Bytes> {
        self.folders.iter().find_map(|folder| folder.get(name)).map(|fixture| fixture.bytes().clone())
    }
}

impl FixtureSource for Fixtures {
    fn fixture(&self, name: &str) -> Option<Arc<Fixture>> {
        self.folders.iter().find_map(|folder| folder.get(name))?.text().cloned()
    }
}
