//! How a server is put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_mock_engine::{Engine, EngineOptions};
use api_mock_server::{Identity, ServerConfig};
use api_mock_store::StoreOptions;
use bytes::Bytes;

use crate::background;
use crate::error::StartError;
use crate::files;
use crate::mock::Source;
use crate::server::{MockServer, Mounted};

/// What is put into the store, in the order in which it was said.
#[derive(Debug)]
enum Step {
    Scenario(Source),
    ScenarioFile(PathBuf),
    Folder(PathBuf),
    Specification(PathBuf),
    Fixture { method: String, path: String, name: String, bytes: Bytes },
}

/// Puts a [`MockServer`] together.
///
/// ```
/// # fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use api_mock_service::{MockServer, get};
/// let server = MockServer::builder()
///     .seed(7)                                        // the same random data in each run
///     .scenario(get("/hello/:who").text("Hello {{.who}}, {{RandName}} greets you"))
///     .scenario("method: GET\nname: yaml\npath: /yaml\nresponse:\n    contents: from YAML\n")
///     .scenario_file("tests/mocks/devices.yaml")
///     .folder("tests/mocks/customers")
///     .start_blocking()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a server runs once it is started"]
pub struct MockServerBuilder {
    steps: Vec<Step>,
    engine: EngineOptions,
    server: ServerConfig,
    journal_bytes: usize,
    tls: bool,
}

impl Default for MockServerBuilder {
    fn default() -> Self {
        let mut server = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
        // Who drops a server is done with it.
        server.timeouts.shutdown = Duration::ZERO;
        let (steps, engine) = (Vec::new(), EngineOptions::default());
        MockServerBuilder { steps, engine, server, journal_bytes: 64 << 20, tls: false }
    }
}

impl MockServerBuilder {
    /// Adds a scenario: a [`Mock`](crate::Mock), a [`Scenario`](crate::Scenario), or the YAML of one.
    pub fn scenario(mut self, scenario: impl Into<Source>) -> Self {
        self.steps.push(Step::Scenario(scenario.into()));
        self
    }

    /// Adds the scenario of a file, YAML or (`.json`) JSON. Files beside it that it speaks of are its fixtures.
    pub fn scenario_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.steps.push(Step::ScenarioFile(file.into()));
        self
    }

    /// Adds all scenarios and fixtures of a data folder, as a running service keeps it. They are read once; nothing
    /// that the test does changes the folder. A file that is no good is an error.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.steps.push(Step::Folder(folder.into()));
        self
    }

    /// Adds scenarios made of an OpenAPI or Swagger document. Parts of it that cannot be used are left out.
    pub fn openapi_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.steps.push(Step::Specification(file.into()));
        self
    }

    /// Adds a fixture, for the scenarios of a method, at a path and below.
    pub fn fixture(
        mut self,
        method: impl Into<String>,
        path: impl Into<String>,
        name: impl Into<String>,
        bytes: impl Into<Bytes>,
    ) -> Self {
        let (method, path, name, bytes) = (method.into(), path.into(), name.into(), bytes.into());
        self.steps.push(Step::Fixture { method, path, name, bytes });
        self
    }

    /// Makes all random data the same in each run: the n-th request always gets the same.
    pub fn seed(mut self, seed: u64) -> Self {
        self.engine.seed = Some(seed);
        self
    }

    /// What the time is for `{{Time}}` and its like. Default: the system's clock.
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.engine.clock =
            Arc::new(move || now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        self
    }

    /// Cuts all waits of scenarios to this; zero for tests that do not want to wait. Default: 5 min.
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.server.timeouts.longest_wait = wait;
        self
    }

    /// Bytes of received requests that are kept for [`MockServer::received_requests`] and for verification by rules;
    /// the oldest go first. Default: 64 MiB.
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// Listens there. Default: a free port of 127.0.0.1.
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.server.address = address.into();
        self
    }

    /// Speaks TLS with a certificate for `localhost`, 127.0.0.1 and ::1 that is made at the start; clients trust
    /// [`MockServer::certificate_pem`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Changes what else there is to say: limits, timeouts, an admin token.
    ///
    /// ```
    /// let small = api_mock_service::MockServer::builder().configure(|server| server.limits.body_bytes = 1024);
    /// # let _ = small;
    /// ```
    pub fn configure(mut self, change: impl FnOnce(&mut ServerConfig)) -> Self {
        change(&mut self.server);
        self
    }

    /// Starts the server, on a thread of its own. Works under any runtime.
    ///
    /// # Errors
    /// A scenario, a fixture or a file is no good, or the address cannot be used.
    pub async fn start(self) -> Result<MockServer, StartError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        background::start(self, move |started| drop(tell.send(started)))?;
        told.await.unwrap_or_else(|_| Err(StartError::Thread(std::io::ErrorKind::BrokenPipe.into())))
    }

    /// As [`MockServerBuilder::start`], for tests that are not async.
    ///
    /// # Errors
    /// As there.
    pub fn start_blocking(self) -> Result<MockServer, StartError> {
        let (tell, told) = std::sync::mpsc::channel();
        background::start(self, move |started| drop(tell.send(started)))?;
        told.recv().unwrap_or_else(|_| Err(StartError::Thread(std::io::ErrorKind::BrokenPipe.into())))
    }

    /// Makes what the server needs. Reads files.
    pub(crate) fn prepare(self) -> Result<(Arc<Mounted>, ServerConfig), StartError> {
        let MockServerBuilder { steps, engine, mut server, journal_bytes, tls } = self;
        let (engine, _) = Engine::open(StoreOptions::in_memory(), engine)?;
        let mounted = Arc::new(Mounted::new(engine, journal_bytes));
        let store = mounted.engine.store();
        for step in steps {
            match step {
                Step::Scenario(source) => drop(mounted.mount(source)?),
                Step::ScenarioFile(file) => files::scenario(store, &file)?,
                Step::Folder(folder) => files::folder(store, &folder)?,
                Step::Specification(file) => files::specification(store, &file)?,
                Step::Fixture { method, path, name, bytes } => store
                    .put_fixture(&method, &name, &path, bytes)
                    .map_err(|source| StartError::Fixture { name, source })?,
            }
        }
        if tls {
            server.identity = Some(Identity::generate(["localhost", "127.0.0.1", "::1"])?);
        }
        server.on_answer = Some(mounted.observer());
        Ok((mounted, server))
    }
}
