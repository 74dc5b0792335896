//! All scenarios by method and path, and the choice among those that fit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api_mock_scenario::{Key, Part, Scenario, path_parts};
use http::HeaderName;

use crate::miss::{NearMiss, Reason};
use crate::request::Request;
use crate::rules::{MatchOptions, Probe, Rules};
use crate::segment::Segment;
use crate::sieve::Sieves;
use crate::usage::Usage;

/// The header that asks for a scenario by its name.
static SCENARIO: HeaderName = HeaderName::from_static("x-mock-scenario");
/// How many near misses are told.
const MISSES: usize = 5;
/// How many nodes are looked at for them.
const VISITS: usize = 200;

/// A scenario in an [`Index`].
#[derive(Debug)]
pub struct Entry<T> {
    key: Arc<Key>,
    shape: Vec<Segment>,
    variables: Vec<String>,
    has_predicate: bool,
    rules: Rules,
    usage: Arc<Usage>,
    data: T,
}

impl<T> Entry<T> {
    /// Compiles a scenario. `data` is the caller's own.
    pub fn new(scenario: &Scenario, data: T, usage: Arc<Usage>, options: &MatchOptions) -> Self {
        let mut segments = path_parts(&scenario.path);
        if options.last_variable_takes_rest
            && let Some(last) = segments.last_mut()
            && let [Part::Variable(name)] = last.as_slice()
        {
            *last = vec![Part::Rest(name.clone())];
        }
        let variables = segments.iter().flatten().filter_map(|part| match part {
            Part::Variable(name) | Part::Rest(name) => Some(name.clone()),
            Part::Literal(_) => None,
        });
        Entry {
            key: Arc::new(scenario.key()),
            variables: variables.collect(),
            shape: segments.iter().map(|parts| Segment::new(parts)).collect(),
            has_predicate: !scenario.predicate.trim().is_empty(),
            rules: Rules::new(scenario, options),
            usage,
            data,
        }
    }

    /// Method, name and path.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The names of the variables of the path, in order.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// How often it was used, and when.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// What the caller keeps with it.
    pub fn data(&self) -> &T {
        &self.data
    }
}

/// The scenario that answers a request.
#[derive(Debug)]
pub struct Choice<'i, 'r, T> {
    /// The scenario.
    pub entry: &'i Arc<Entry<T>>,
    /// The values of its path variables, in the order of [`Entry::variables`].
    pub values: Vec<&'r str>,
    /// How often the scenarios that fit this request were used, this time included.
    pub count: u64,
}

/// No scenario fits.
#[derive(Debug)]
pub struct Mismatch {
    /// Whether there are scenarios of this method and path, and only other rules failed.
    pub only_rules: bool,
    /// The nearest scenarios, those with the fewest reasons first.
    pub near_misses: Vec<NearMiss>,
}

/// Scenarios by method and path. Clones share all that is the same, so that a changed clone can
/// take the place of the index while others still read it.
///
/// ```
/// use api_mock_matcher::{Entry, Index, MatchOptions, Request};
/// use api_mock_scenario::Scenario;
/// use http::Method;
///
/// let mut index = Index::new();
/// for (name, path) in [("any", "/users/:id"), ("me", "/users/me")] {
///     let scenario = Scenario { method: "GET".into(), name: name.into(), path: path.into(), ..Scenario::default() };
///     index.insert(Entry::new(&scenario, (), Default::default(), &MatchOptions::default()).into());
/// }
/// let get = |path: &str| Request::new(Method::GET, path, Default::default(), Default::default());
/// let (me, seven, none) = (get("/users/me"), get("/users/7"), get("/user/7"));
/// assert_eq!(index.choose(&me, 0, |_, _, _| true).unwrap().entry.key().name, "me");
/// assert_eq!(index.choose(&seven, 0, |_, _, _| true).unwrap().values, ["7"]);
/// assert!(index.has("GET", "/users/7") && !index.has("PUT", "/users/7") && !index.has("GET", "/users"));
/// assert!(!index.choose(&none, 0, |_, _, _| true).unwrap_err().only_rules);
/// ```
#[derive(Debug)]
pub struct Index<T> {
    methods: HashMap<String, Arc<Node<T>>>,
    /// Grows with every use of any scenario: who was used longest ago is next.
    clock: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<Box<str>, Arc<Node<T>>>,
    /// Segments of text and variables, those with the most text first.
    mixed: Vec<(Segment, Arc<Node<T>>)>,
    variable: Option<Arc<Node<T>>>,
    rest: Option<Arc<Terminal<T>>>,
    here: Option<Arc<Terminal<T>>>,
}

/// The scenarios of one path.
#[derive(Debug)]
struct Terminal<T> {
    entries: Vec<Arc<Entry<T>>>,
    /// Held while one of several is chosen, so that they take turns exactly.
    turn: Arc<Mutex<()>>,
    sieves: Sieves,
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        Index { methods: self.methods.clone(), clock: self.clock.clone() }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Node {
            literals: self.literals.clone(),
            mixed: self.mixed.clone(),
            variable: self.variable.clone(),
            rest: self.rest.clone(),
            here: self.here.clone(),
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { literals: HashMap::new(), mixed: Vec::new(), variable: None, rest: None, here: None }
    }
}

impl<T> Clone for Terminal<T> {
    fn clone(&self) -> Self {
        Terminal { entries: self.entries.clone(), turn: self.turn.clone(), sieves: self.sieves.clone() }
    }
}

impl<T> Default for Terminal<T> {
    fn default() -> Self {
        Terminal { entries: Vec::new(), turn: Arc::default(), sieves: Sieves::default() }
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Index::new()
    }
}

impl<T> Index<T> {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Index { methods: HashMap::new(), clock: Arc::default() }
    }

    /// Adds a scenario, or puts it in the place of that with the same key.
    pub fn insert(&mut self, entry: Arc<Entry<T>>) {
        let root = Arc::make_mut(self.methods.entry(entry.key.method.clone()).or_default());
        let terminal = root.terminal_mut(&entry.shape);
        terminal.sieves = Sieves::default();
        match terminal.entries.iter_mut().find(|other| other.key == entry.key) {
            Some(other) => *other = entry,
            None => terminal.entries.push(entry),
        }
    }

    /// Removes a scenario that was inserted.
    pub fn remove(&mut self, entry: &Entry<T>) {
        let Some(root) = self.methods.get_mut(&entry.key.method) else { return };
        if Arc::make_mut(root).remove(&entry.shape, &entry.key) {
            self.methods.remove(&entry.key.method);
        }
    }

    /// Whether there are scenarios of this method and path, whatever else they want. The path is decoded.
    #[must_use]
    pub fn has(&self, method: &str, path: &str) -> bool {
        let Some(root) = self.methods.get(method) else { return false };
        root.visit(path, &segments(path), &mut Vec::new(), &mut |_, _| true)
    }

    /// Chooses the scenario for a request and counts the use. Of the paths that match, the one
    /// with the most text decides. Of its scenarios whose rules fit, the predicate (given path
    /// values and the count of uses so far) takes some out, but never all, and that of the rest is
    /// chosen that was used longest ago. `now_ms` is kept as the time of use.
    ///
    /// # Errors
    /// None fits.
    pub fn choose<'i, 'r>(
        &'i self,
        request: &'r Request,
        now_ms: u64,
        mut predicate: impl FnMut(&Entry<T>, &[&'r str], u64) -> bool,
    ) -> Result<Choice<'i, 'r, T>, Mismatch> {
        let probe = Probe::new(request);
        let name = request.header(&SCENARIO);
        let segments = segments(&request.path);
        let mut choice = None;
        let mut rejected: Vec<Arc<Entry<T>>> = Vec::new();
        if let Some(root) = self.methods.get(request.method.as_str()) {
            let mut values = Vec::new();
            root.visit(&request.path, &segments, &mut values, &mut |terminal, values| {
                choice = self.choose_of(terminal, &probe, name, values, now_ms, &mut predicate);
                if choice.is_none() && rejected.len() < MISSES {
                    rejected.extend(terminal.entries.iter().take(MISSES).cloned());
                }
                choice.is_some()
            });
        }
        choice.ok_or_else(|| self.mismatch(&probe, name, &segments, &rejected))
    }

    fn choose_of<'i, 'r>(
        &self,
        terminal: &'i Terminal<T>,
        probe: &Probe<'r>,
        name: Option<&str>,
        values: &[&'r str],
        now_ms: u64,
        predicate: &mut impl FnMut(&Entry<T>, &[&'r str], u64) -> bool,
    ) -> Option<Choice<'i, 'r, T>> {
        let fits =
            |entry: &&Arc<Entry<T>>| name.is_none_or(|name| entry.key.name == name) && entry.rules.fit(probe);
        let chosen = |entry: &'i Arc<Entry<T>>, others: u64| {
            let turn = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
            let count = entry.usage.use_once(turn, now_ms) + others;
            Choice { entry, values: values.to_vec(), count }
        };
        if let [entry] = terminal.entries.as_slice() {
            return fits(&entry).then(|| chosen(entry, 0));
        }
        let mut candidates: Vec<&'i Arc<Entry<T>>> =
            match terminal.sieves.sift(&terminal.entries, |entry| &entry.rules, probe) {
                Some(places) => {
                    places.into_iter().filter_map(|at| terminal.entries.get(at)).filter(fits).collect()
                }
                None => terminal.entries.iter().filter(fits).collect(),
            };
        if candidates.len() > 1 {
            let _turn = terminal.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let total: u64 = candidates.iter().map(|entry| entry.usage.count()).sum();
            let holds = |entry: &&Arc<Entry<T>>| !entry.has_predicate || predicate(entry, values, total);
            let kept: Vec<&Arc<Entry<T>>> = candidates.iter().copied().filter(holds).collect();
            if !kept.is_empty() {
                candidates = kept;
            }
            let next = candidates
                .iter()
                .min_by_key(|entry| (entry.usage.turn(), &entry.key.name, &entry.key.path))?;
            let others = candidates.iter().filter(|entry| !Arc::ptr_eq(entry, next));
            return Some(chosen(next, others.map(|entry| entry.usage.count()).sum()));
        }
        candidates.first().map(|entry| chosen(entry, 0))
    }

    fn mismatch(
        &self,
        probe: &Probe<'_>,
        name: Option<&str>,
        segments: &[(usize, &str)],
        rejected: &[Arc<Entry<T>>],
    ) -> Mismatch {
        let request = probe.request;
        let miss = |entry: &Entry<T>, first: Option<Reason>| {
            let mut reasons: Vec<Reason> = first.into_iter().collect();
            if name.is_some_and(|name| entry.key.name != name) {
                reasons.push(Reason::Name);
            }
            if !matches!(reasons.first(), Some(Reason::Path)) {
                reasons.extend(entry.rules.reasons(probe));
            }
            let Key { method, name, path } = &*entry.key;
            NearMiss { scenario: name.clone(), method: method.clone(), path: path.clone(), reasons }
        };
        let mut near_misses: Vec<NearMiss> = rejected.iter().map(|entry| miss(entry, None)).collect();
        let only_rules = !near_misses.is_empty();
        if near_misses.is_empty() {
            let mut methods: Vec<_> = self.methods.iter().collect();
            methods.sort_by_key(|(method, _)| *method);
            for (_, root) in methods.into_iter().filter(|(method, _)| *method != request.method.as_str()) {
                root.visit(&request.path, segments, &mut Vec::new(), &mut |terminal, _| {
                    near_misses
                        .extend(terminal.entries.iter().map(|entry| miss(entry, Some(Reason::Method))));
                    true
                });
            }
        }
        if near_misses.is_empty()
            && let Some(root) = self.methods.get(request.method.as_str())
        {
            let near = root.nearest(segments);
            near_misses.extend(near.iter().map(|entry| miss(entry, Some(Reason::Path))));
        }
        near_misses.sort_by(|a, b| (a.reasons.len(), &a.scenario).cmp(&(b.reasons.len(), &b.scenario)));
        near_misses.truncate(MISSES);
        Mismatch { only_rules, near_misses }
    }
}

/// The segments of a path with their places; runs of slashes count as one.
fn segments(path: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut segments = Vec::new();
    for segment in path.split('/') {
        if !segment.is_empty() {
            segments.push((at, segment));
        }
        at += segment.len() + 1;
    }
    segments
}

impl<T> Node<T> {
    fn terminal_mut(&mut self, shape: &[Segment]) -> &mut Terminal<T> {
        let Some((first, rest)) = shape.split_first() else {
            return Arc::make_mut(self.here.get_or_insert_default());
        };
        let next = match first {
            Segment::Rest => return Arc::make_mut(self.rest.get_or_insert_default()),
            Segment::Variable => self.variable.get_or_insert_default(),
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default(),
            mixed @ Segment::Mixed(_) => {
                let at = match self.mixed.iter().position(|(known, _)| known == mixed) {
                    Some(at) => at,
                    None => {
                        let more = |other: &Segment| other.literal_bytes() >= mixed.literal_bytes();
                        let at = self.mixed.iter().take_while(|(other, _)| more(other)).count();
                        self.mixed.insert(at, (mixed.clone(), Arc::default()));
                        at
                    }
                };
                // The place was just found or filled.
                match self.mixed.get_mut(at) {
                    Some((_, node)) => node,
                    None => return Arc::make_mut(self.here.get_or_insert_default()),
                }
            }
        };
        Arc::make_mut(next).terminal_mut(rest)
    }

    /// Removes an entry, and says whether nothing is left.
    fn remove(&mut self, shape: &[Segment], key: &Key) -> bool {
        fn from_terminal<T>(terminal: &mut Option<Arc<Terminal<T>>>, key: &Key) {
            if let Some(inner) = terminal {
                let inner = Arc::make_mut(inner);
                inner.entries.retain(|entry| *entry.key != *key);
                inner.sieves = Sieves::default();
                if inner.entries.is_empty() {
                    *terminal = None;
                }
            }
        }
        match shape.split_first() {
            None => from_terminal(&mut self.here, key),
            Some((Segment::Rest, _)) => from_terminal(&mut self.rest, key),
            Some((Segment::Variable, rest)) => {
                if self.variable.as_mut().is_some_and(|node| Arc::make_mut(node).remove(rest, key)) {
                    self.variable = None;
                }
            }
            Some((Segment::Literal(text), rest)) => {
                if self.literals.get_mut(text).is_some_and(|node| Arc::make_mut(node).remove(rest, key)) {
                    self.literals.remove(text);
                }
            }
            Some((mixed, rest)) => {
                let found = self.mixed.iter_mut().find(|(known, _)| known == mixed);
                if found.is_some_and(|(_, node)| Arc::make_mut(node).remove(rest, key)) {
                    self.mixed.retain(|(known, _)| known != mixed);
                }
            }
        }
        self.literals.is_empty()
            && self.mixed.is_empty()
            && self.variable.is_none()
            && self.rest.is_none()
            && self.here.is_none()
    }

    /// Shows `found` the scenarios of all paths that match, the most special path first, until it
    /// says that it is done.
    fn visit<'i, 'r>(
        &'i self,
        path: &'r str,
        segments: &[(usize, &'r str)],
        values: &mut Vec<&'r str>,
        found: &mut impl FnMut(&'i Terminal<T>, &[&'r str]) -> bool,
    ) -> bool {
        let Some(((at, segment), rest)) = segments.split_first() else {
            return self.here.as_ref().is_some_and(|terminal| found(terminal, values));
        };
        if self.literals.get(*segment).is_some_and(|node| node.visit(path, rest, values, found)) {
            return true;
        }
        let known = values.len();
        for (pattern, node) in &self.mixed {
            if pattern.capture(segment, values) && node.visit(path, rest, values, found) {
                return true;
            }
            values.truncate(known);
        }
        if let Some(node) = &self.variable {
            values.push(segment);
            if node.visit(path, rest, values, found) {
                return true;
            }
            values.truncate(known);
        }
        if let Some(terminal) = &self.rest {
            values.push(path.get(*at..).unwrap_or_default().trim_end_matches('/'));
            if found(terminal, values) {
                return true;
            }
            values.truncate(known);
        }
        false
    }

    /// Some scenarios whose paths begin like this one.
    fn nearest(&self, segments: &[(usize, &str)]) -> Vec<Arc<Entry<T>>> {
        let mut node = self;
        for (_, segment) in segments {
            let next = node.literals.get(*segment).or(node.variable.as_ref());
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        let mut found: Vec<Arc<Entry<T>>> = Vec::new();
        let mut nodes = std::collections::VecDeque::from([node]);
        for _ in 0..VISITS {
            let Some(node) = nodes.pop_front().filter(|_| found.len() < MISSES) else { break };
            for terminal in node.here.iter().chain(&node.rest) {
                found.extend(terminal.entries.iter().cloned());
            }
            // In order, so that answers do not change by chance (but of very many, any are taken).
            let mut names: Vec<_> = node.literals.keys().take(VISITS).collect();
            names.sort_unstable();
            nodes.extend(names.into_iter().filter_map(|name| node.literals.get(name)).map(|node| &**node));
            nodes.extend(node.mixed.iter().map(|(_, node)| &**node));
            nodes.extend(node.variable.as_deref());
        }
        found.truncate(MISSES);
        found
    }
}
