//! Many scenarios of one path: which of them can fit, found without asking each.
//!
//! The scenarios of a path are looked at in groups. For each group that place of a request is chosen (a query parameter,
//! a header, a field of the body) for which most of them have a pattern, and all these patterns are tried in one pass.
//! What is left is a few scenarios, whose rules are then all checked: a sieve may let too many through, never too few.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use regex::{RegexSet, RegexSetBuilder};

use crate::pattern::TextPattern;
use crate::rules::{Probe, Rules};

/// Fewer scenarios than this are just asked.
const FEW: usize = 12;
/// How many scenarios a sieve is for. A request makes one at most, so this bounds what that costs it.
const GROUP: usize = 128;
/// After how many requests since the last change sieves are made: scenarios may still be on their way.
const WORTH: usize = 16;
/// What a set of expressions may occupy in bytes, and its automaton.
const SET_BYTES: usize = 8 << 20;
const AUTOMATON_BYTES: usize = 256 << 10;

/// A place of a request that patterns are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place<'p> {
    Query(&'p str),
    Header(&'p str),
    /// A flattened key of a JSON body.
    Field(&'p str),
}

/// The sieves of one path. A clone, which is made to be changed, starts anew.
#[derive(Debug, Default)]
pub(crate) struct Sieves {
    requests: AtomicUsize,
    groups: OnceLock<Box<[OnceLock<Option<Sieve>>]>>,
}

impl Clone for Sieves {
    fn clone(&self) -> Self {
        Sieves::default()
    }
}

impl Sieves {
    /// The places of those entries that can fit, in order; `None` for all.
    pub(crate) fn sift<E>(
        &self,
        entries: &[E],
        rules: impl Fn(&E) -> &Rules,
        probe: &Probe<'_>,
    ) -> Option<Vec<usize>> {
        if entries.len() < FEW {
            return None;
        }
        let groups = self.groups.get_or_init(|| {
            let count = entries.len().div_ceil(GROUP);
            (0..count).map(|_| OnceLock::new()).collect()
        });
        self.make(groups, entries, rules);
        let mut found = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let first = number * GROUP;
            match group.get().and_then(Option::as_ref).and_then(|sieve| sieve.sift(probe)) {
                Some(sifted) => found.extend(sifted.into_iter().map(|at| first + at)),
                None => found.extend(first..entries.len().min(first + GROUP)),
            }
        }
        Some(found)
    }

    /// Makes the next sieve that is missing. Meanwhile other threads do without.
    fn make<E>(&self, groups: &[OnceLock<Option<Sieve>>], entries: &[E], rules: impl Fn(&E) -> &Rules) {
        if self.requests.load(Ordering::Relaxed) >= WORTH + groups.len() {
            return;
        }
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let Some(number) = request.checked_sub(WORTH) else { return };
        if let (Some(group), Some(entries)) = (groups.get(number), entries.chunks(GROUP).nth(number)) {
            let rules: Vec<&Rules> = entries.iter().map(rules).collect();
            // Each number is drawn once, so nobody else sets it.
            let _ = group.set(Sieve::new(&rules));
        }
    }
}

/// The patterns of a group for one place.
#[derive(Debug)]
struct Sieve {
    place: OwnedPlace,
    /// Those that have no pattern for it.
    free: Vec<usize>,
    /// Patterns match their own text, too.
    texts: HashMap<String, Vec<usize>>,
    patterns: Set,
    /// Of fields: a body can also fit as a whole.
    wholes: Option<Set>,
    /// Their texts, which a body may be a part of.
    whole_texts: Vec<(usize, String)>,
}

#[derive(Debug)]
enum OwnedPlace {
    Query(String),
    Header(String),
    Field(String),
}

/// Expressions, and whose they are.
#[derive(Debug)]
struct Set {
    set: RegexSet,
    of: Vec<usize>,
}

impl Set {
    fn new(patterns: &[(usize, &TextPattern)]) -> Option<Set> {
        let build = |patterns: &[(usize, &TextPattern)]| {
            let sources = patterns.iter().map(|(_, pattern)| pattern.source());
            let set =
                RegexSetBuilder::new(sources).size_limit(SET_BYTES).dfa_size_limit(AUTOMATON_BYTES).build();
            set.ok().map(|set| Set { set, of: patterns.iter().map(|(at, _)| *at).collect() })
        };
        // What is no expression at all matches only its own text.
        build(patterns).or_else(|| {
            let good: Vec<_> = patterns.iter().filter(|(_, pattern)| pattern.is_regex()).copied().collect();
            build(&good)
        })
    }

    fn matches(&self, text: &str) -> impl Iterator<Item = usize> {
        self.set.matches(text).into_iter().filter_map(|number| self.of.get(number).copied())
    }
}

impl Sieve {
    fn new(group: &[&Rules]) -> Option<Sieve> {
        let mut places: BTreeMap<Place<'_>, Vec<(usize, &TextPattern)>> = BTreeMap::new();
        for (at, rules) in group.iter().enumerate() {
            for (place, pattern) in rules.places() {
                places.entry(place).or_default().push((at, pattern));
            }
        }
        let different = |patterns: &[(usize, &TextPattern)]| {
            patterns.iter().map(|(_, pattern)| pattern.text()).collect::<HashSet<&str>>().len()
        };
        // What all want alike tells nobody apart.
        let (place, patterns) = places.into_iter().max_by_key(|(_, patterns)| different(patterns))?;
        if different(&patterns) < 2 {
            return None;
        }
        let mut texts: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, pattern) in &patterns {
            texts.entry(pattern.text().to_owned()).or_default().push(*at);
        }
        let has_pattern = |at: &usize| patterns.iter().any(|(known, _)| known == at);
        let free = (0..group.len()).filter(|at| !has_pattern(at)).collect();
        let wholes = group.iter().enumerate().filter(|(at, _)| has_pattern(at));
        let wholes: Vec<(usize, &TextPattern)> = match place {
            Place::Field(_) => wholes.filter_map(|(at, rules)| Some((at, rules.whole_body()?))).collect(),
            Place::Query(_) | Place::Header(_) => Vec::new(),
        };
        Some(Sieve {
            free,
            texts,
            patterns: Set::new(&patterns)?,
            whole_texts: wholes.iter().map(|(at, pattern)| (*at, pattern.text().to_owned())).collect(),
            wholes: if wholes.is_empty() { None } else { Some(Set::new(&wholes)?) },
            place: match place {
                Place::Query(name) => OwnedPlace::Query(name.to_owned()),
                Place::Header(name) => OwnedPlace::Header(name.to_owned()),
                Place::Field(key) => OwnedPlace::Field(key.to_owned()),
            },
        })
    }

    /// Those that can fit, in order; `None` if this request does not tell.
    fn sift(&self, probe: &Probe<'_>) -> Option<Vec<usize>> {
        let value = match &self.place {
            OwnedPlace::Query(name) => probe.request.query_value(name).unwrap_or_default(),
            OwnedPlace::Header(name) => probe.request.header(name).unwrap_or_default(),
            OwnedPlace::Field(key) => probe.field(key)?,
        };
        let mut found = self.free.clone();
        found.extend(self.texts.get(value).into_iter().flatten());
        found.extend(self.patterns.matches(value));
        if let (Some(wholes), Some(body)) = (&self.wholes, probe.body()) {
            found.extend(wholes.matches(body));
            found.extend(self.whole_texts.iter().filter(|(_, text)| text.contains(body)).map(|(at, _)| at));
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::rules::MatchOptions;
    use api_mock_datagen::Rng;
    use api_mock_scenario::Scenario;
    use http::{HeaderMap, Method};

    const PATTERNS: [&str; 14] =
        ["^a", "a", "b$", "[0-9]+", "^1{2}$", "*/*", "(x", "", ".", "^k7-", "k7-12", "{{.any}}z", "é", "a b"];
    const VALUES: [&str; 14] =
        ["a", "b", "ab", "11", "7", "*/*", "(x", "", "k7-12", "zz", "é", "a b", "A", "null"];

    fn rules(rng: &mut Rng) -> Rules {
        let mut scenario = Scenario::default();
        let request = &mut scenario.request;
        let pick = |rng: &mut Rng| *rng.pick(&PATTERNS).unwrap();
        let some = |rng: &mut Rng, names: &[&'static str]| -> Vec<(&'static str, &'static str)> {
            let kept: Vec<&str> = names.iter().copied().filter(|_| rng.coin()).collect();
            kept.into_iter().map(|name| (name, pick(rng))).collect()
        };
        request.match_query_params = some(rng, &["q", "r"]).into_iter().collect();
        request.match_headers = some(rng, &["X-One", "x-two"]).into_iter().collect();
        request.match_contents = match rng.index(3) {
            0 => String::new(),
            1 => pick(rng).to_owned(),
            _ => {
                let fields = some(rng, &["kind", "size", "a.b", "$.kind"]);
                let fields: serde_json::Map<String, serde_json::Value> =
                    fields.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
                serde_json::Value::from(fields).to_string()
            }
        };
        let options = MatchOptions { strict_contents: rng.coin(), ..MatchOptions::default() };
        Rules::new(&scenario, &options)
    }

    fn request(rng: &mut Rng) -> Request {
        let pick = |rng: &mut Rng| *rng.pick(&VALUES).unwrap();
        let mut headers = HeaderMap::new();
        if rng.coin() {
            headers.insert("x-one", http::HeaderValue::from_bytes(pick(rng).as_bytes()).unwrap());
        }
        let body = match rng.index(4) {
            0 => String::new(),
            1 => pick(rng).to_owned(),
            2 => format!(
                "{{\"kind\": {:?}, \"a\": [{{\"b\": {:?}}}, {{\"b\": \"a\"}}]}}",
                pick(rng),
                pick(rng)
            ),
            _ => format!("[{{\"kind\": {:?}}}, {{\"kind\": {:?}}}", pick(rng), pick(rng)) + pick(rng) + "]",
        };
        let mut request = Request::new(Method::POST, "/", headers, body.into());
        if rng.coin() {
            request.query.push(("q".to_owned(), pick(rng).to_owned()));
        }
        request
    }

    #[test]
    fn whatever_fits_passes_the_sieve() {
        let (mut sifted, mut fitting) = (0, 0);
        for seed in 0..12 {
            let mut rng = Rng::seeded(seed);
            let all: Vec<Rules> = (0..FEW + rng.index(3 * GROUP)).map(|_| rules(&mut rng)).collect();
            let sieves = Sieves::default();
            for _ in 0..WORTH + 60 {
                let request = request(&mut rng);
                let probe = Probe::new(&request);
                let found = sieves.sift(&all, |rules| rules, &probe).unwrap();
                assert!(found.is_sorted_by(|a, b| a < b), "each once and in order");
                for (at, rules) in all.iter().enumerate().filter(|(_, rules)| rules.fit(&probe)) {
                    assert!(found.binary_search(&at).is_ok(), "{seed} {request:?} {rules:?}");
                    fitting += 1;
                }
                sifted += all.len() - found.len();
            }
        }
        assert!(sifted > 2_000 && fitting > 50, "{sifted} {fitting}");
    }

    #[test]
    fn of_many_patterns_one_is_left() {
        let rules: Vec<Rules> = (0..3 * GROUP)
            .map(|number| {
                let mut scenario = Scenario::default();
                let pattern = format!("^k{number}-[0-9]+$");
                scenario.request.match_query_params = [("q", pattern.as_str())].into_iter().collect();
                Rules::new(&scenario, &MatchOptions::default())
            })
            .collect();
        let sieves = Sieves::default();
        let request = Request::new(Method::GET, "/?q=k300-77", HeaderMap::new(), bytes::Bytes::new());
        let sift = || sieves.sift(&rules, |rules| rules, &Probe::new(&request)).unwrap();
        assert_eq!(sift().len(), 3 * GROUP, "nothing is made for one request");
        for _ in 0..WORTH + 3 {
            sift();
        }
        assert_eq!(sift(), [300]);
    }
}
