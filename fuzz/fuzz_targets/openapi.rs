//! Imports any text as a specification, alone and with a document beside it: no panic, no hang, and what is made holds
//! what is promised. Bodies are valid by their own schemas, example requests are found again, a second import gives the
//! same files, and checking any request ends.
#![no_main]

use std::cell::Cell;

use api_mock_openapi::{Direction, Import, ImportOptions, LoadError, RequestParts, Stored, import, unmarked, update};
use libfuzzer_sys::fuzz_target;

/// More scenarios than this are not looked at.
const MOST: usize = 60;

fuzz_target!(|input: &[u8]| {
    // What stands behind a NUL is the other document, whatever it is called.
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (spec, other) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let asked = Cell::new(0);
    let load = |location: &str| -> Result<Vec<u8>, LoadError> {
        asked.set(asked.get() + 1);
        assert!(asked.get() <= 1000, "documents are asked for without end");
        let is_inside = !location.starts_with('/') && location.split('/').all(|part| part != ".." && part != ".");
        assert!(is_inside && !location.contains("://"), "{location}");
        Ok(other.to_vec())
    };
    let mut options = ImportOptions::default();
    options.location = "spec.yaml".to_owned();
    options.max_bytes = 1 << 16;
    let Ok(made) = import(spec, &options, &load) else { return };
    let again = import(spec, &options, &load).expect("it was read before");
    check(&made, &again);
});

fn check(made: &Import, again: &Import) {
    let stored: Vec<Stored> = update(&[], made).added;
    let todo = update(&stored, again);
    assert!(todo.added.is_empty() && todo.changed.is_empty() && todo.removed.is_empty() && todo.kept.is_empty());
    for file in stored.iter().take(MOST) {
        assert!(unmarked(&file.text).is_some());
    }
    for scenario in made.scenarios.iter().take(MOST) {
        if let Some(schema) = scenario.schema {
            if let Ok(value) = made.api.example(schema, Direction::Response, 7) {
                let found = made.api.schemas.validate(schema, &value, Direction::Response);
                assert!(found.is_empty(), "{}: {value} {found:?}", scenario.scenario.name);
            }
        }
    }
    for operation in made.api.operations.iter().take(MOST) {
        for (media, body) in [("application/json", "{\"a\":[1]}"), ("application/xml", "<a b='1'><c>2</c></a>"), ("multipart/form-data; boundary=b", "--b\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--b--")]
        {
            let request = RequestParts {
                method: &operation.method,
                path: &operation.path,
                query: "a=1&b[c]=2&d=e|f",
                headers: &[("content-type", media), ("cookie", "a=1"), ("authorization", "Bearer x")],
                body: body.as_bytes(),
            };
            if let Ok(found) = made.api.check_request(&request) {
                found.iter().for_each(|one| assert!(one.to_json().is_object()));
            }
        }
    }
}
