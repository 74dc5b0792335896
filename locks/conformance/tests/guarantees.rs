//! `docs/locks/guarantees.md` cites a trial for each thing that it promises: all of them must exist.
#![allow(missing_docs)]

use std::path::Path;

/// What stands between backticks and names a test: `group::trial`, or `crate/file::test`.
fn citations(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter_map(|words| words.split_once("::")).collect()
}

/// Where the tests of this place are written.
fn source(place: &str) -> String {
    match place.split_once('/') {
        None => format!("conformance/src/trials/{place}.rs"),
        Some((of, file)) => format!("{of}/tests/{file}.rs"),
    }
}

#[test]
fn every_trial_that_is_cited_exists() {
    let locks = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(locks.join("../docs/locks/guarantees.md")).unwrap();
    let cited = citations(&page);
    assert!(cited.len() > 50, "only {} trials are cited", cited.len());
    for (place, name) in cited {
        let file = locks.join(source(place));
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(text.contains(&format!("fn {name}(")), "{place} has no trial {name}");
    }
}
