//! Puts any paths into an index and looks up any path: no panic, no hang; what matches agrees with
//! the pattern, and what was removed matches no more.
#![no_main]

use std::sync::Arc;

use api_mock_matcher::{Entry, Index, MatchOptions, Request};
use api_mock_scenario::{Scenario, normalized_path};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines().take(20);
    let Some(target) = lines.next() else { return };
    let mut index = Index::new();
    let mut entries = Vec::new();
    for (number, path) in lines.filter_map(normalized_path).enumerate() {
        let mut scenario =
            Scenario { method: "POST".into(), name: format!("s{number}"), path, ..Scenario::default() };
        scenario.request.match_contents = target.to_owned();
        scenario.request.match_query_params = [("q", target)].into_iter().collect();
        let entry = Arc::new(Entry::new(&scenario, (), Arc::default(), &MatchOptions::default()));
        index.insert(entry.clone());
        entries.push(entry);
    }
    let body = bytes::Bytes::copy_from_slice(target.as_bytes());
    let request = Request::new(Method::POST, &format!("{target}?q={target}"), HeaderMap::new(), body);
    if let Ok(choice) = index.choose(&request, 0, |_, _, _| true) {
        assert_eq!(choice.values.len(), choice.entry.variables().len());
        assert!(choice.values.iter().all(|value| !value.is_empty() && request.path.contains(value)));
        assert_eq!(choice.count, 1);
    }
    entries.iter().for_each(|entry| index.remove(entry));
    let mismatch = index.choose(&request, 0, |_, _, _| true).expect_err("nothing is left");
    assert!(mismatch.near_misses.is_empty());
});
