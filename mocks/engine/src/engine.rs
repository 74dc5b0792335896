//! From requests to answers.

use std::cmp::Ordering::{Equal, Less};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use api_mock_datagen::Rng;
use api_mock_functions::{FunctionLimits, State};
use api_mock_matcher::{Choice, Entry, Index, MatchOptions, Mismatch, Request, Usage};
use api_mock_scenario::{Key, Scenario};
use api_mock_store::{LoadProblem, Snapshot, Store, StoreError, StoreOptions, Stored};
use api_mock_template::time::{CivilTime, GoDuration};
use api_mock_template::{Context, Functions, Limits};
use arc_swap::ArcSwap;
use http::{HeaderName, Method, StatusCode};

use crate::answer::{Answer, Refusal};
use crate::compiled::Compiled;
use crate::fault::FaultPlan;
use crate::group::{Chance, Groups};
use crate::head::Body;
use crate::key_data::KeyData;
use crate::plan::{Plan, Rendering, functions};
use crate::problem::RenderProblem;

/// The headers by which a request says how it wants to be answered.
static RESPONSE_STATUS: HeaderName = HeaderName::from_static("x-mock-response-status");
static WAIT_BEFORE_REPLY: HeaderName = HeaderName::from_static("x-mock-wait-before-reply");

/// What the time is, since the begin of 1970 in UTC.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How an engine works.
#[derive(Clone)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Makes all chance repeatable: the n-th request of a run always draws the same. Without it
    /// every run is different.
    pub seed: Option<u64>,
    /// How requests are matched.
    pub matching: MatchOptions,
    /// What one rendering may spend.
    pub template: Limits,
    /// How much one call of a template function may make.
    pub functions: FunctionLimits,
    /// The longest wait; longer ones are cut.
    pub max_wait: Duration,
    /// The largest request body whose fields templates see, in bytes.
    pub max_parsed_body: usize,
    /// What the time is; the system's clock by default.
    pub clock: Clock,
    /// The zone in which templates tell the time: seconds east of Greenwich, and its name.
    pub zone: (i32, String),
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Default for EngineOptions {
    /// No seed, the default limits, waits of up to five minutes, bodies of up to 1 MiB, UTC.
    fn default() -> Self {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        EngineOptions {
            seed: None,
            matching: MatchOptions::default(),
            template: Limits::default(),
            functions: FunctionLimits::default(),
            max_wait: Duration::from_secs(300),
            max_parsed_body: 1 << 20,
            clock: Arc::new(now),
            zone: (0, "UTC".to_owned()),
        }
    }
}

/// Answers requests from the scenarios of a store. It follows the store's changes by itself, and
/// never blocks: call it from any thread. Clones are the same engine.
///
/// ```
/// use api_mock_engine::{Engine, EngineOptions, Request};
/// use api_mock_scenario::Format;
/// use api_mock_store::StoreOptions;
///
/// let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default())?;
/// let file = "method: GET\nname: hi\npath: /hi/:who\nresponse:\n  contents: Hello {{.who}}\n  status_code: 201\n";
/// engine.store().put_text(file, Format::Yaml)?;
///
/// let request = Request::new(http::Method::GET, "/hi/you", Default::default(), Default::default());
/// let answer = engine.answer(&request)?;
/// assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"Hello you"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    store: Arc<Store>,
    inner: Arc<Inner>,
}

struct Inner {
    options: EngineOptions,
    functions: Functions,
    seed: u64,
    /// The number of the next request.
    next: AtomicU64,
    live: ArcSwap<Live>,
}

/// What answers now.
#[derive(Default)]
struct Live {
    snapshot: Arc<Snapshot>,
    index: Index<Compiled>,
    entries: BTreeMap<Arc<Key>, Arc<Entry<Compiled>>>,
    groups: Groups,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// Whether a scenario can be rendered as far as this can be known before a request comes: its text
/// is a template with known functions, and what needs no rendering is good.
///
/// # Errors
/// What is wrong, with line and column.
pub fn check(scenario: &Scenario, text: &str) -> Result<(), RenderProblem> {
    static FUNCTIONS: std::sync::LazyLock<Functions> = std::sync::LazyLock::new(functions);
    crate::plan::check(scenario, text, &FUNCTIONS)
}

impl Engine {
    /// Opens a store that takes only scenarios which pass [`check`], and an engine for it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(
        store: StoreOptions,
        options: EngineOptions,
    ) -> Result<(Engine, Vec<LoadProblem>), StoreError> {
        let check = |scenario: &Scenario, text: &str| check(scenario, text).map_err(Into::into);
        let (store, problems) = Store::open(store.checked(check))?;
        Ok((Engine::new(Arc::new(store), options), problems))
    }

    /// An engine for the scenarios of a store.
    #[must_use]
    pub fn new(store: Arc<Store>, options: EngineOptions) -> Engine {
        let seed = options.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let (functions, live) = (functions(), ArcSwap::default());
        let inner = Arc::new(Inner { options, functions, seed, next: AtomicU64::new(0), live });
        let weak: Weak<Inner> = Arc::downgrade(&inner);
        store.on_change(move |snapshot| {
            let inner = weak.upgrade();
            inner.as_ref().inspect(|inner| inner.follow(snapshot)).is_some()
        });
        Engine { store, inner }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether there are scenarios of a request's method and path. If not, no body can make a difference.
    #[must_use]
    pub fn may_answer(&self, request: &Request) -> bool {
        let index = &self.inner.live.load().index;
        index.has(request.method.as_str(), &request.path)
            || request.method == Method::HEAD && index.has("GET", &request.path)
    }

    /// The answer to a request. Counts as a use of the chosen scenario. A HEAD request that no
    /// scenario is for is answered as a GET.
    ///
    /// # Errors
    /// Why there is none; a server sends [`Refusal::to_json`] with [`Refusal::status`].
    pub fn answer(&self, request: &Request) -> Result<Answer, Refusal> {
        let live = self.inner.live.load();
        match self.inner.answer(&live, request) {
            Err(Refusal::NoMatch { only_rules: false, .. }) if request.method == Method::HEAD => {
                let get = Request { method: Method::GET, ..request.clone() };
                self.inner.answer(&live, &get)
            }
            result => result,
        }
    }

    /// What goes wrong with a request that no scenario is for and that is forwarded to a real service: the faults that
    /// are set for all requests, and those that it asks for itself.
    ///
    /// # Errors
    /// It asks for something that is not understood.
    pub fn faults(&self, request: &Request) -> Result<Option<Box<FaultPlan>>, Refusal> {
        let inner = &self.inner;
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        inner.live.load().groups.plan_of_others(request, inner.chance(number, (inner.options.clock)()))
    }

    /// What is known of each scenario, of one group or all, in the order of their keys: what
    /// `GET /_scenarios` lists.
    #[must_use]
    pub fn list(&self, group: Option<&str>) -> Vec<KeyData> {
        let live = self.inner.live.load();
        let all = live.entries.values();
        let wanted =
            all.filter(|entry| group.is_none_or(|group| entry.data().stored.scenario.group == group));
        wanted.map(|entry| KeyData::new(&entry.data().stored.scenario, entry.usage())).collect()
    }
}

/// What a snapshot has that does not yet answer, and what answers that it has not.
#[derive(Default)]
struct Changes<'a> {
    gone: Vec<(&'a Arc<Key>, &'a Arc<Entry<Compiled>>)>,
    new: Vec<Newer<'a>>,
}

/// What a snapshot says anew, and what answers until now.
struct Newer<'a> {
    key: &'a Arc<Key>,
    stored: &'a Arc<Stored>,
    present: Option<&'a Arc<Entry<Compiled>>>,
}

/// Both are in the order of their keys, and mostly they are the same: one pass over both looks nothing up.
fn changes<'a>(entries: &'a BTreeMap<Arc<Key>, Arc<Entry<Compiled>>>, snapshot: &'a Snapshot) -> Changes<'a> {
    let mut changes = Changes::default();
    let mut known = entries.iter().peekable();
    for (key, stored) in snapshot.scenarios() {
        let order = |other: &Arc<Key>| if Arc::ptr_eq(other, key) { Equal } else { other.cmp(key) };
        while let Some((gone, entry)) = known.next_if(|(other, _)| order(other) == Less) {
            changes.gone.push((gone, entry));
        }
        let present = known.next_if(|(other, _)| order(other) == Equal).map(|(_, entry)| entry);
        if !present.is_some_and(|entry| Arc::ptr_eq(&entry.data().stored, stored)) {
            changes.new.push(Newer { key, stored, present });
        }
    }
    changes.gone.extend(known);
    changes
}

impl Inner {
    /// Makes the store's new snapshot answer. What did not change is kept as it is.
    fn follow(&self, snapshot: &Arc<Snapshot>) {
        let old = self.live.load();
        let (mut index, mut entries) = (old.index.clone(), old.entries.clone());
        let now = (self.options.clock)();
        let changes = changes(&old.entries, snapshot);
        for (key, entry) in changes.gone {
            index.remove(entry);
            entries.remove(key);
        }
        for Newer { key, stored, present } in changes.new {
            // Uploading starts to count anew, editing a file does not.
            let usage = present
                .filter(|_| stored.by_hand)
                .map_or_else(Arc::<Usage>::default, |entry| entry.usage().clone());
            let compiled = Compiled::new(stored, snapshot, now);
            let entry = Arc::new(Entry::new(&stored.scenario, compiled, usage, &self.options.matching));
            index.insert(entry.clone());
            entries.insert(key.clone(), entry);
        }
        if !snapshot.same_fixtures(&old.snapshot) {
            entries.values().for_each(|entry| entry.data().find_fixtures(snapshot));
        }
        let groups = Groups::new(snapshot, &old.groups, now);
        self.live.store(Arc::new(Live { snapshot: snapshot.clone(), index, entries, groups }));
    }

    fn chance(&self, number: u64, now: Duration) -> Chance {
        Chance { seed: self.seed, number, now, longest: self.options.max_wait }
    }

    fn answer(&self, live: &Live, request: &Request) -> Result<Answer, Refusal> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let now = (self.options.clock)();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let chance = self.chance(number, now);
        let predicate = |entry: &Entry<Compiled>, values: &[&str], total: u64| {
            self.holds(live, entry.data(), request, values, total, chance)
        };
        let choice = live.index.choose(request, now_ms, predicate).map_err(|mismatch| {
            let Mismatch { only_rules, near_misses } = mismatch;
            Refusal::NoMatch {
                method: request.method.clone(),
                path: request.path.clone(),
                only_rules,
                near_misses,
            }
        })?;
        let compiled = choice.entry.data();
        let mut answer = self
            .render(live, &choice, request, number, now)
            .map_err(|problem| Refusal::Broken { scenario: compiled.name.to_string(), problem })?;
        live.groups.disturb(compiled, request, chance, &mut answer)?;
        Ok(answer)
    }

    /// Whether a predicate lets its scenario answer. One that fails does.
    fn holds(
        &self,
        live: &Live,
        compiled: &Compiled,
        request: &Request,
        values: &[&str],
        total: u64,
        chance: Chance,
    ) -> bool {
        let ready = compiled.ready(&self.functions);
        let Some(predicate) = &ready.predicate else { return true };
        let group = live.groups.variables(compiled);
        let data = ready.variables.data(request, values, total, self.options.max_parsed_body, group);
        let mut state = self.state(compiled, chance.number, chance.now);
        let mut context = Context::with_state(&mut state).limits(self.options.template);
        predicate.render_with(&data, &mut context).map_or(true, |text| text.trim() == "true")
    }

    fn state(&self, compiled: &Compiled, number: u64, now: Duration) -> State {
        // Far apart for neighbouring numbers.
        let seed = self.seed.rotate_left(17) ^ number.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95);
        let (offset, zone) = &self.options.zone;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let now = CivilTime::from_unix(seconds, now.subsec_nanos(), *offset, zone);
        State::new(Rng::seeded(seed), now).fixtures(compiled.fixtures()).limits(self.options.functions)
    }

    fn render(
        &self,
        live: &Live,
        choice: &Choice<'_, '_, Compiled>,
        request: &Request,
        number: u64,
        now: Duration,
    ) -> Result<Answer, RenderProblem> {
        let compiled = choice.entry.data();
        let head = match compiled.plan(&self.functions)? {
            Plan::Static(head) => head.mine().clone(),
            plan => {
                let data = compiled.ready(&self.functions).variables.data(
                    request,
                    &choice.values,
                    choice.count,
                    self.options.max_parsed_body,
                    live.groups.variables(compiled),
                );
                plan.render(&Rendering {
                    name: &compiled.name,
                    path: &compiled.path,
                    data: &data,
                    limits: self.options.template,
                    state: &|| self.state(compiled, number, now),
                })?
            }
        };
        let body = match head.body {
            Body::Bytes(bytes) => bytes,
            Body::Fixture(name) => {
                compiled.fixtures().bytes(name.trim()).ok_or(RenderProblem::NoFixture(name))?
            }
        };
        let (status, wait) = if asks_for_anything(request) {
            (asked_status(request), asked_wait(request))
        } else {
            (None, None)
        };
        Ok(Answer {
            status: status.unwrap_or(head.status),
            headers: head.headers,
            body,
            wait: wait.unwrap_or(head.wait).min(self.options.max_wait),
            count: choice.count,
            scenario: head.name,
            path: head.path,
            fault: None,
        })
    }
}

/// Whether there are headers of ours. Few requests have any, and looking up each of them takes longer.
pub(crate) fn asks_for_anything(request: &Request) -> bool {
    request.headers.keys().any(|name| name.as_str().starts_with("x-mock-"))
}

/// The status that the request asks for, if it does and it is one.
fn asked_status(request: &Request) -> Option<StatusCode> {
    let status: u16 = request.header(&RESPONSE_STATUS)?.trim().parse().ok()?;
    StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status))
}

/// The wait that the request asks for; what is no duration asks for none.
fn asked_wait(request: &Request) -> Option<Duration> {
    let text = request.header(&WAIT_BEFORE_REPLY)?.trim();
    let wait = text.parse::<GoDuration>().ok().and_then(GoDuration::to_std);
    Some(wait.unwrap_or_default())
}
