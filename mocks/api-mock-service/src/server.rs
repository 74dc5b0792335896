//! A running server, and what the test asks it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_mock_engine::{Answer, Engine, Refusal};
use api_mock_matcher::MatchOptions;
use api_mock_scenario::{Format, Key, Scenario};
use api_mock_server::OnAnswer;
use bytes::Bytes;
use tokio::runtime::Handle;

use crate::Request;
use crate::background::Background;
use crate::builder::MockServerBuilder;
use crate::calls::{Calls, Times};
use crate::error::{MountError, StartError};
use crate::journal::{Journal, Outcome, ReceivedRequest};
use crate::mock::{Call, Kind, Mock, Responder, Source};
use crate::pattern::Pattern;
use crate::reply::Reply;
use crate::unmet::Unmet;

/// A mock server that runs until it is dropped.
///
/// It has a thread, a port, scenarios and counts of its own, so tests that run at the same time do not see each other.
/// Dropping it ends the thread, frees the port, and fails the test if a mock was not called as often as it
/// [expects](Mock::expect) or a function that answers panicked (unless the test fails anyway).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use api_mock_service::{MockServer, get};
///
/// let server = MockServer::builder().scenario(get("/hello/:who").name("greet").text("Hello {{.who}}")).start_blocking()?;
/// # let client = |url: String| -> std::io::Result<String> {
/// #     use std::io::{Read, Write};
/// #     let (host, path) = url["http://".len()..].split_once('/').unwrap();
/// #     let mut stream = std::net::TcpStream::connect(host)?;
/// #     write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
/// #     let mut answer = String::new();
/// #     stream.read_to_string(&mut answer)?;
/// #     Ok(answer.split_once("\r\n\r\n").unwrap().1.to_owned())
/// # };
/// assert_eq!(client(server.url("/hello/world"))?, "Hello world");
/// server.assert("greet", 1);
/// assert_eq!(server.received_requests()[0].path, "/hello/world");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    certificate: Option<String>,
    mounted: Arc<Mounted>,
    runtime: Handle,
    background: Option<Background>,
}

/// What the server's thread and the test share.
pub(crate) struct Mounted {
    pub(crate) engine: Engine,
    journal: Journal,
    mocks: Mutex<HashMap<Key, Arc<Extra>>>,
}

/// What a mock has that no scenario has.
struct Extra {
    answers: Option<(Pattern, Responder)>,
    expected: Option<Times>,
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl MockServer {
    /// Puts a server together.
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder::default()
    }

    /// Starts a server without scenarios on a free port.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub async fn start() -> Result<Self, StartError> {
        MockServer::builder().start().await
    }

    /// On the thread of the server.
    pub(crate) fn new(
        address: SocketAddr,
        certificate: Option<String>,
        mounted: Arc<Mounted>,
        background: Background,
    ) -> Self {
        let runtime = Handle::current();
        MockServer { address, certificate, mounted, runtime, background: Some(background) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for clients, without a slash at the end: `http://127.0.0.1:41234`.
    #[must_use]
    pub fn uri(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The address of a path: `http://127.0.0.1:41234/hello`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}/{}", self.uri(), path.trim_start_matches('/'))
    }

    /// The certificate that clients are to trust, if the server speaks TLS.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Adds a scenario, or replaces that of the same method, path and name; gives its name.
    ///
    /// # Errors
    /// It is no good.
    pub fn mount(&self, scenario: impl Into<Source>) -> Result<String, MountError> {
        self.mounted.mount(scenario.into())
    }

    /// Takes the scenarios of this name away; whether there were any.
    pub fn unmount(&self, name: &str) -> bool {
        self.mounted.remove(|key| key.name == name)
    }

    /// Adds a fixture, for the scenarios of a method, at a path and below.
    ///
    /// # Errors
    /// Method, path or name are no good, or the bytes too many.
    pub fn put_fixture(
        &self,
        method: &str,
        path: &str,
        name: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<(), StartError> {
        let put = self.mounted.engine.store().put_fixture(method, name, path, bytes.into());
        put.map_err(|source| StartError::Fixture { name: name.to_owned(), source })
    }

    /// Takes all scenarios away, with what they expect, and forgets the requests.
    pub fn reset(&self) {
        self.mounted.remove(|_| true);
        self.forget_requests();
    }

    /// Forgets the requests that came until now: they count no more.
    pub fn forget_requests(&self) {
        self.mounted.journal.clear();
    }

    /// The requests that came, the oldest first, as many of the newest as fit into the journal.
    #[must_use]
    pub fn received_requests(&self) -> Vec<Arc<ReceivedRequest>> {
        self.mounted.journal.requests()
    }

    /// How many requests of a kind came; of those that are kept, if the kind is not a scenario's name.
    #[must_use]
    pub fn count(&self, calls: impl Into<Calls>) -> u64 {
        self.mounted.journal.seen(&calls.into()).count
    }

    /// Fails the test unless so many requests of a kind came: a scenario's name, a mock whose demands they meet, or
    /// any [`Calls`]. The message shows what came, and why it was not counted.
    ///
    /// ```no_run
    /// # fn check(server: &api_mock_service::MockServer) {
    /// use api_mock_service::{Calls, post};
    /// server.assert("greet", 2);
    /// server.assert(post("/jobs").header("X-Tenant", "a"), 1..);
    /// server.assert(Calls::unmatched(), 0);
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it is not so.
    #[track_caller]
    #[allow(clippy::panic, reason = "fails the test that asks")]
    pub fn assert(&self, calls: impl Into<Calls>, times: impl Into<Times>) {
        if let Err(unmet) = self.check(calls, times) {
            panic!("{unmet}");
        }
    }

    /// As [`MockServer::assert`], with an error instead of a panic.
    ///
    /// # Errors
    /// What was expected, what came, and why that was not counted.
    pub fn check(&self, calls: impl Into<Calls>, times: impl Into<Times>) -> Result<(), Unmet> {
        self.mounted.check(&calls.into(), times.into())
    }

    /// Whether each mock was called as often as it [expects](Mock::expect), and no function that answers panicked. A
    /// drop does the same.
    ///
    /// # Errors
    /// All that is not so.
    pub fn verify(&self) -> Result<(), Unmet> {
        self.mounted.verify()
    }

    /// Waits until so many requests of a kind have come, for requests that a test does not wait for otherwise.
    ///
    /// ```no_run
    /// # async fn check(server: &api_mock_service::MockServer) -> Result<(), api_mock_service::Unmet> {
    /// use std::time::Duration;
    /// server.wait_for("webhook", 1, Duration::from_secs(5)).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// They have not come in time.
    pub async fn wait_for(
        &self,
        calls: impl Into<Calls>,
        at_least: u64,
        timeout: Duration,
    ) -> Result<(), Unmet> {
        // Over there is a clock, whatever runs here.
        let waiting = self.runtime.spawn(self.waiting(calls.into(), at_least, timeout));
        waiting.await.unwrap_or_else(|_| Err(Unmet::of_the_end()))
    }

    /// As [`MockServer::wait_for`], for tests that are not async.
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_blocking(
        &self,
        calls: impl Into<Calls>,
        at_least: u64,
        timeout: Duration,
    ) -> Result<(), Unmet> {
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = self.waiting(calls.into(), at_least, timeout);
        self.runtime.spawn(async move { tell.send(waiting.await) });
        told.recv().unwrap_or_else(|_| Err(Unmet::of_the_end()))
    }

    fn waiting(
        &self,
        calls: Calls,
        at_least: u64,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), Unmet>> + Send + use<> {
        let (mounted, times) = (self.mounted.clone(), Times::from(at_least..));
        async move {
            // The last look decides, whatever ended the waiting.
            let _ = tokio::time::timeout(timeout, mounted.come(&calls, times)).await;
            mounted.check(&calls, times)
        }
    }
}

impl Drop for MockServer {
    #[allow(clippy::panic, reason = "fails the test that expected something")]
    fn drop(&mut self) {
        drop(self.background.take());
        if let (false, Err(unmet)) = (std::thread::panicking(), self.mounted.verify()) {
            panic!("{unmet}");
        }
    }
}

impl Mounted {
    pub(crate) fn new(engine: Engine, journal_bytes: usize) -> Self {
        Mounted { engine, journal: Journal::new(journal_bytes), mocks: Mutex::default() }
    }

    fn mocks(&self) -> MutexGuard<'_, HashMap<Key, Arc<Extra>>> {
        self.mocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mount(&self, source: Source) -> Result<String, MountError> {
        // Held all the while: a request that finds the scenario waits for what belongs to it.
        let mut mocks = self.mocks();
        let store = self.engine.store();
        let mut mock = match source.0 {
            Kind::Mock(mock) => *mock,
            Kind::Text(text) => {
                let stored = store.put_text(&text, Format::Yaml);
                let stored = stored.map_err(|source| MountError { name: "in YAML".to_owned(), source })?;
                mocks.remove(&stored.scenario.key());
                return Ok(stored.scenario.name.clone());
            }
        };
        if mock.scenario.name.is_empty() {
            mock.scenario.name = self.free_name(&mock.scenario);
        }
        let Mock { scenario, responder, expected } = mock;
        let put = store.put_scenario(&scenario);
        let stored = put.map_err(|source| MountError { name: scenario.name.clone(), source })?;
        let scenario = &stored.scenario;
        let answers = responder.map(|answer| (Pattern::new(scenario, &MatchOptions::default()), answer));
        mocks.insert(scenario.key(), Arc::new(Extra { answers, expected }));
        Ok(scenario.name.clone())
    }

    /// A name made of method and path that no other scenario has.
    fn free_name(&self, scenario: &Scenario) -> String {
        let text = format!("{}{}", scenario.method, scenario.path).to_ascii_lowercase();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let words: Vec<&str> = text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
        let name: String = words.join("-").chars().take(100).collect();
        let snapshot = self.engine.store().snapshot();
        let taken = |name: &str| snapshot.scenarios().any(|(key, _)| key.name == name);
        if !taken(&name) {
            return name;
        }
        let mut numbered = (2_u64..).map(|number| format!("{name}-{number}"));
        numbered.find(|name| !taken(name)).unwrap_or(name)
    }

    fn remove(&self, unwanted: impl Fn(&Key) -> bool) -> bool {
        let store = self.engine.store();
        let keys: Vec<Key> = store.snapshot().scenarios().map(|(key, _)| Key::clone(key)).collect();
        let mut removed = false;
        for key in keys.into_iter().filter(|key| unwanted(key)) {
            removed |= store.delete(&key.method, &key.name, &key.path).is_ok();
        }
        self.mocks().retain(|key, _| !unwanted(key));
        removed
    }

    /// What the server calls with each request.
    pub(crate) fn observer(self: &Arc<Self>) -> OnAnswer {
        let mounted = self.clone();
        OnAnswer::new(move |request, answer| mounted.observe(request, answer))
    }

    fn observe(&self, request: &Request, answered: &mut Result<Answer, Refusal>) {
        let outcome = match answered {
            Ok(answer) => {
                self.make(request, answer);
                Outcome::Answered { scenario: answer.scenario.clone(), status: answer.status.as_u16() }
            }
            Err(Refusal::NoMatch { near_misses, only_rules, .. }) => {
                let status = if *only_rules { 400 } else { 404 };
                Outcome::NotMatched { status, near_misses: near_misses.clone() }
            }
            Err(Refusal::Invalid(invalid)) => {
                Outcome::Refused { status: invalid.status.as_u16(), message: invalid.message.clone() }
            }
            Err(refusal) => Outcome::Failed { message: refusal.to_string() },
        };
        self.journal.add(ReceivedRequest { request: request.clone(), outcome });
    }

    /// Lets the function of a mock answer, if it has one.
    fn make(&self, request: &Request, answer: &mut Answer) {
        let key = |method: &str| Key {
            method: method.to_owned(),
            name: answer.scenario.to_string(),
            path: answer.path.to_string(),
        };
        let mocks = self.mocks();
        // What no mock for HEAD answered is answered like GET.
        let extra = mocks.get(&key(request.method.as_str())).or_else(|| mocks.get(&key("GET"))).cloned();
        // The function may ask the server.
        drop(mocks);
        let Some((pattern, responder)) = extra.as_ref().and_then(|extra| extra.answers.as_ref()) else {
            return;
        };
        let variables = pattern.variables(request).unwrap_or_default();
        let call = Call { request, count: answer.count, variables };
        let reply = catch_unwind(AssertUnwindSafe(|| responder(&call))).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            let message = format!("{}: {}", answer.scenario, said.unwrap_or_else(|| "no words".to_owned()));
            self.journal.note_panic(message.clone());
            Reply::text(format!("a function that answers panicked: {message}\n")).with_status(500)
        });
        take_over(reply, answer);
    }

    /// Done when enough has come.
    async fn come(&self, calls: &Calls, times: Times) {
        let mut changes = self.journal.changes.subscribe();
        while self.check(calls, times).is_err() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn check(&self, calls: &Calls, times: Times) -> Result<(), Unmet> {
        let seen = self.journal.seen(calls);
        if seen.fits(times) { Ok(()) } else { Err(Unmet::new(calls, times, &seen)) }
    }

    fn verify(&self) -> Result<(), Unmet> {
        let mut expected: Vec<(String, Times)> = Vec::new();
        for (key, extra) in self.mocks().iter() {
            expected.extend(extra.expected.map(|times| (key.name.clone(), times)));
        }
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let unmet =
            expected.into_iter().filter_map(|(name, times)| self.check(&Calls::to(name), times).err());
        let mut unmet: Vec<Unmet> = unmet.collect();
        let panics = self.journal.panics();
        if !panics.is_empty() {
            unmet.push(Unmet::of_panics(&panics));
        }
        Unmet::all(unmet)
    }
}

/// Puts what a function made in the place of what the scenario says. The headers that say who answered stay.
fn take_over(reply: Reply, answer: &mut Answer) {
    let reply = match &reply.problem {
        Some(problem) => Reply::text(format!("{}: {problem}\n", answer.scenario)).with_status(500),
        None => reply,
    };
    let ours = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-mock-")).cloned();
    let own = reply.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    answer.headers = own.chain(ours).collect();
    answer.status = reply.status;
    answer.body = reply.body;
    answer.wait = reply.wait;
}
