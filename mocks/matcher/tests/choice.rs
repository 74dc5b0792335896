//! Choosing among scenarios.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::HashMap;
use std::sync::Arc;

use api_mock_matcher::{Entry, Index, MatchOptions, Reason, Request};
use api_mock_scenario::Scenario;
use http::{HeaderMap, Method};

type TestIndex = Index<()>;

fn scenario(name: &str, path: &str) -> Scenario {
    Scenario { method: "GET".into(), name: name.into(), path: path.into(), ..Scenario::default() }
}

fn index_with(scenarios: &[Scenario], options: &MatchOptions) -> TestIndex {
    let mut index = Index::new();
    for scenario in scenarios {
        index.insert(Arc::new(Entry::new(scenario, (), Arc::default(), options)));
    }
    index
}

fn index(paths: &[(&str, &str)]) -> TestIndex {
    let scenarios: Vec<Scenario> = paths.iter().map(|(name, path)| scenario(name, path)).collect();
    index_with(&scenarios, &MatchOptions::default())
}

fn get(target: &str) -> Request {
    Request::new(Method::GET, target, HeaderMap::new(), bytes::Bytes::new())
}

fn name_of(index: &TestIndex, request: &Request) -> Option<String> {
    index.choose(request, 0, |_, _, _| true).ok().map(|choice| choice.entry.key().name.clone())
}

fn chosen(index: &TestIndex, target: &str) -> Option<String> {
    name_of(index, &get(target))
}

#[test]
fn defect_l18_paths_are_anchored_and_taken_as_text() {
    let index = index(&[("ab", "/d/a.b"), ("pq", "/p/q"), ("id", "/t/v1/:id")]);
    assert_eq!(chosen(&index, "/d/a.b").as_deref(), Some("ab"));
    for other in ["/d/aXb", "/p/x/p/q", "/p/q/r", "/x/p/q", "/t/v1/7/8", "/t/v1/", "/t/v1"] {
        assert_eq!(chosen(&index, other), None, "{other}");
    }
}

#[test]
fn defect_l18_a_path_may_start_with_a_variable() {
    let index = index(&[("tenant", "/:tenant/x"), ("all", "/{any*}")]);
    assert_eq!(chosen(&index, "/acme/x").as_deref(), Some("tenant"));
    assert_eq!(chosen(&index, "/acme/y/z").as_deref(), Some("all"));
    assert_eq!(chosen(&index, "/"), None);
}

#[test]
fn defect_l18_one_name_at_two_paths_is_two_scenarios() {
    let index = index(&[("same", "/v1/a"), ("same", "/v1/b")]);
    assert_eq!(chosen(&index, "/v1/a").as_deref(), Some("same"));
    assert_eq!(chosen(&index, "/v1/b").as_deref(), Some("same"));
}

#[test]
fn text_goes_before_variables_and_both_styles_mix() {
    let index = index(&[
        ("var", "/users/:id/{part}"),
        ("me", "/users/me/{part}"),
        ("file", "/users/:id/f{n}.txt"),
        ("rest", "/users/{path*}"),
        ("root", "/"),
    ]);
    for (target, wanted) in [
        ("/users/7/x", "var"),
        ("/users/me/x", "me"),
        ("/users/7/f12.txt", "file"),
        // `me` has no such file: its variable comes before the text elsewhere.
        ("/users/me/f12.txt", "me"),
        ("/users/7", "rest"),
        ("/users/7/x/y", "rest"),
        ("/", "root"),
        ("", "root"),
        ("//users//7///x/", "var"),
    ] {
        assert_eq!(chosen(&index, target).as_deref(), Some(wanted), "{target}");
    }
    let request = get("/users/a%20b/f%2F1.txt");
    let choice = index.choose(&request, 0, |_, _, _| true).unwrap();
    assert_eq!(
        (choice.values, choice.entry.variables().to_vec()),
        (vec!["a b/f/1.txt"], vec!["path".to_owned()])
    );
}

#[test]
fn the_next_path_is_asked_when_the_rules_of_the_first_do_not_fit() {
    let mut strict = scenario("strict", "/a/b");
    strict.request.match_query_params = [("k", "^1$")].into_iter().collect();
    let index = index_with(&[strict, scenario("loose", "/a/:x")], &MatchOptions::default());
    assert_eq!(chosen(&index, "/a/b?k=1").as_deref(), Some("strict"));
    assert_eq!(chosen(&index, "/a/b?k=2").as_deref(), Some("loose"));
}

#[test]
fn the_last_variable_takes_the_rest_if_asked_to() {
    let mut options = MatchOptions::default();
    options.last_variable_takes_rest = true;
    let index = index_with(&[scenario("id", "/t/:v/:id")], &options);
    let request = get("/t/v1/7/8");
    assert_eq!(index.choose(&request, 0, |_, _, _| true).unwrap().values, ["v1", "7/8"]);
}

#[test]
fn defect_l08_scenarios_take_turns_however_fast_requests_come() {
    let index = index(&[("rb", "/r"), ("ra", "/r"), ("rc", "/r")]);
    let names: Vec<String> = (0..9).map(|_| chosen(&index, "/r").unwrap()).collect();
    assert_eq!(names, ["ra", "rb", "rc", "ra", "rb", "rc", "ra", "rb", "rc"]);
}

#[test]
fn turns_and_counts_are_exact_with_several_threads() {
    let index = index(&[("a", "/r"), ("b", "/r"), ("c", "/r")]);
    let results: Vec<(String, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let request = get("/r");
                    let choose = || index.choose(&request, 1, |_, _, _| true).unwrap();
                    let result = |_| {
                        let choice = choose();
                        (choice.entry.key().name.clone(), choice.count)
                    };
                    (0..750).map(result).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut uses: HashMap<&str, u64> = HashMap::new();
    results.iter().for_each(|(name, _)| *uses.entry(name).or_default() += 1);
    assert_eq!(uses, HashMap::from([("a", 1000), ("b", 1000), ("c", 1000)]));
    let mut counts: Vec<u64> = results.iter().map(|(_, count)| *count).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=3000).collect::<Vec<u64>>());
}

/// The count that a predicate sees is that before the present use, so the first request is the
/// 0th, and 0 is a multiple of everything.
#[test]
fn predicates_take_out_some_but_never_all() {
    let mut failing = scenario("er1", "/p");
    failing.predicate = "{{NthRequest 3}}".into();
    let index = index_with(&[scenario("ok1", "/p"), failing], &MatchOptions::default());
    let request = get("/p");
    let nth = |_: &Entry<()>, _: &[&str], total: u64| total.is_multiple_of(3);
    let names: Vec<String> =
        (0..7).map(|_| index.choose(&request, 0, nth).unwrap().entry.key().name.clone()).collect();
    assert_eq!(names, ["er1", "ok1", "ok1", "er1", "ok1", "ok1", "er1"]);

    let mut never = scenario("never", "/q");
    never.predicate = "false".into();
    let mut neither = scenario("neither", "/q");
    neither.predicate = "false".into();
    let index = index_with(&[never, neither], &MatchOptions::default());
    let request = get("/q");
    let choice = index.choose(&request, 0, |_, _, _| false).unwrap();
    assert_eq!((choice.entry.key().name.as_str(), choice.count), ("neither", 1));
}

#[test]
fn a_request_may_name_its_scenario() {
    let index = index(&[("a", "/r"), ("b", "/r")]);
    let mut request = get("/r");
    request.headers.insert("X-Mock-Scenario", "b".parse().unwrap());
    assert_eq!(name_of(&index, &request).as_deref(), Some("b"));
    assert_eq!(name_of(&index, &request).as_deref(), Some("b"));
    request.headers.insert("X-Mock-Scenario", "no".parse().unwrap());
    let mismatch = index.choose(&request, 0, |_, _, _| true).unwrap_err();
    assert!(mismatch.only_rules);
    assert_eq!(mismatch.near_misses[0].reasons, [Reason::Name]);
}

#[test]
fn near_misses_are_the_nearest() {
    let mut post = scenario("create", "/v1/users");
    post.method = "POST".into();
    let index = index_with(
        &[scenario("one", "/v1/users/:id"), scenario("far", "/other"), post],
        &MatchOptions::default(),
    );
    let misses = |target: &str| {
        let request = get(target);
        let mismatch = index.choose(&request, 0, |_, _, _| true).unwrap_err();
        assert!(!mismatch.only_rules);
        let show = |miss: api_mock_matcher::NearMiss| (miss.scenario, miss.reasons);
        mismatch.near_misses.into_iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(misses("/v1/users"), [("create".to_owned(), vec![Reason::Method])]);
    assert_eq!(misses("/v1/users/7/x")[0], ("one".to_owned(), vec![Reason::Path]));
    assert_eq!(misses("/v1/nothing")[0].0, "one");
}

#[test]
fn removed_scenarios_answer_no_more_and_clones_are_apart() {
    let paths = ["/a", "/a/:b", "/a/x{n}", "/{all*}"];
    let entries: Vec<Arc<Entry<()>>> = paths
        .iter()
        .map(|path| Arc::new(Entry::new(&scenario("s", path), (), Arc::default(), &MatchOptions::default())))
        .collect();
    let mut index = Index::new();
    entries.iter().for_each(|entry| index.insert(entry.clone()));
    let before = index.clone();
    let request = get("/a/x1");
    let mut seen = Vec::new();
    while let Ok(choice) = index.choose(&request, 0, |_, _, _| true) {
        seen.push(choice.entry.key().path.clone());
        let entry = choice.entry.clone();
        index.remove(&entry);
    }
    assert_eq!(seen, ["/a/x{n}", "/a/:b", "/{all*}"]);
    assert_eq!(before.choose(&request, 0, |_, _, _| true).unwrap().entry.key().path, "/a/x{n}");
    index.remove(&entries[0]);
    assert_eq!(chosen(&index, "/a"), None);
}

#[test]
fn an_entry_of_the_same_key_takes_the_place() {
    let mut index = index(&[("a", "/x")]);
    let entry = Arc::new(Entry::new(&scenario("a", "/x"), (), Arc::default(), &MatchOptions::default()));
    index.insert(entry.clone());
    let request = get("/x");
    let choice = index.choose(&request, 5, |_, _, _| true).unwrap();
    assert!(Arc::ptr_eq(choice.entry, &entry));
    assert_eq!((choice.count, entry.usage().last_used_ms()), (1, 5));
}

#[test]
fn of_many_scenarios_of_one_path_the_right_one_answers_also_after_changes() {
    let scenarios: Vec<Scenario> = (0..400)
        .map(|number| {
            let mut scenario = scenario(&format!("s{number}"), "/many");
            scenario.method = "POST".into();
            scenario.request.match_contents = format!("{{\"kind\": \"^k{number}$\"}}");
            scenario
        })
        .collect();
    let mut index = index_with(&scenarios, &MatchOptions::default());
    let ask = |index: &TestIndex, number: usize| {
        let body = format!("{{\"kind\": \"k{number}\"}}");
        name_of(index, &Request::new(Method::POST, "/many", HeaderMap::new(), body.into()))
    };
    for round in 0..3 {
        for number in 0..400 {
            assert_eq!(ask(&index, number), Some(format!("s{number}")), "{round}");
        }
        assert_eq!(ask(&index, 400), None);
    }
    let gone = Entry::new(&scenarios[7], (), Arc::default(), &MatchOptions::default());
    index.remove(&gone);
    for _ in 0..30 {
        assert_eq!((ask(&index, 7), ask(&index, 399)), (None, Some("s399".to_owned())));
    }
}
