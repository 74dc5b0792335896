//! A scenario, ready to answer.

use std::path::Path;
use std::sync::Arc;

use api_mock_functions::{Fixture, FixtureSource};
use api_mock_scenario::method_folder;
use api_mock_store::{FixtureFolder, Snapshot, Stored};
use api_mock_template::{Functions, Template};
use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::data::Variables;
use crate::plan::{Plan, parse};
use crate::problem::RenderProblem;

/// A scenario, ready to answer.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) stored: Arc<Stored>,
    pub(crate) name: Arc<str>,
    pub(crate) path: Arc<str>,
    /// `None` if the file is no template; what is wrong is found again when it is asked for.
    plan: Option<Plan>,
    predicate: Option<Template>,
    pub(crate) variables: Variables,
    /// Whether it can ask for fixtures.
    needs_fixtures: bool,
    fixtures: ArcSwap<Fixtures>,
}

impl Compiled {
    pub(crate) fn new(stored: &Arc<Stored>, snapshot: &Snapshot, functions: &Functions) -> Self {
        let (scenario, text) = (&stored.scenario, &*stored.text);
        let predicate = Some(scenario.predicate.trim()).filter(|text| !text.is_empty());
        let compiled = Compiled {
            stored: stored.clone(),
            name: scenario.name.as_str().into(),
            path: scenario.path.as_str().into(),
            plan: Plan::new(scenario, text, functions).ok(),
            // One that is no template is as good as none.
            predicate: predicate.and_then(|text| parse("predicate", text, functions).ok()),
            variables: Variables::new(scenario, text, functions),
            needs_fixtures: text.contains("contents_file") || text.contains("File"),
            fixtures: ArcSwap::default(),
        };
        compiled.find_fixtures(snapshot);
        compiled
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
        match &self.plan {
            Some(plan) => Ok(plan),
            None => match Plan::new(&self.stored.scenario, &self.stored.text, functions) {
                Err(problem) => Err(problem),
                Ok(_) => Err(RenderProblem::Unreadable { field: "response" }),
            },
        }
    }

    pub(crate) fn predicate(&self) -> Option<&Template> {
        self.predicate.as_ref()
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
