//! The reference system's own scenario files, where they lie beside the repository: each uploads
//! and answers, also those that the reference itself refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use std::path::{Path, PathBuf};

use api_mock_scenario::Format;
use common::{engine, header, request, text};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenarios");
    if !folder.exists() {
        eprintln!("skipped: there is no folder {}", folder.display());
        return None;
    }
    Some(folder)
}

/// A file, and a request that fits it: method, target and headers. Then the status of the answer;
/// 0 where chance decides.
type Fitting = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], u16);

const REQUESTS: [Fitting; 20] = [
    ("account", "POST", "/v1/AuthTokens/Promote", &[("CTag", "any")], 200),
    ("devices", "GET", "/devices?page=1&pageSize=3", &[], 0),
    ("get_comment", "GET", "/comments/1", &[], 200),
    ("get_root", "GET", "/", &[], 200),
    (
        "get_todo",
        "GET",
        "/todos/10",
        &[("Mock-Url", "https://jsonplaceholder.typicode.com/todos/10"), ("x-api-key", "k")],
        200,
    ),
    ("image", "GET", "/images/mock_image", &[], 200),
    ("jobs-create", "POST", "/v2/jobs", &[("Authorization", "Bearer sk_test_01234")], 200),
    ("list_comments", "GET", "/comments", &[], 200),
    ("post_posts", "POST", "/posts", &[("Content-Type", "application/x-www-form-urlencoded")], 201),
    (
        "post_todo",
        "POST",
        "/todos/2",
        &[
            ("Mock-Url", "https://jsonplaceholder.typicode.com/todos/2"),
            ("x-api-key", "k"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        200,
    ),
    ("put_posts", "PUT", "/posts/1", &[("Content-Type", "application/x-www-form-urlencoded")], 200),
    ("put_todo", "PUT", "/todos/202", &[("Content-Type", "application/x-www-form-urlencoded")], 200),
    (
        "scenario1",
        "POST",
        "/devices?id=5&PageSize=2&Page=1",
        &[("Authorization", "Bearer sk_test_0123456789"), ("Content-Type", "application/json")],
        200,
    ),
    ("scenario2", "GET", "/groups?a=1&b=2&PageSize=2&Page=1&Nonce=5", &[("CTag", "x")], 200),
    ("scenario2", "GET", "/groups?a=1&b=2&PageSize=2&Page=1&Nonce=15", &[("CTag", "x")], 400),
    ("scenario3", "GET", "/apps?a=1&b=2&PageSize=2&Page=1", &[("CTag", "x")], 200),
    (
        "stripe-customer",
        "GET",
        "/v1/customers/1/cash_balance",
        &[("Authorization", "Bearer sk_test_0123456789")],
        200,
    ),
    (
        "stripe-customer-failure",
        "GET",
        "/v1/customers/1/cash_balance",
        &[("Authorization", "Bearer sk_test_0123456789")],
        500,
    ),
    ("stripe-get-balance", "GET", "/v1/balance", &[("Authorization", "Bearer sk_test_0123456789")], 200),
    ("users", "GET", "/users", &[], 200),
];

#[test]
fn every_reference_file_uploads_and_answers() {
    let Some(folder) = folder() else { return };
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "props")
        .collect();
    files.sort();
    for (name, method, target, headers, status) in REQUESTS {
        // Each alone, for some share a path.
        let engine = engine();
        let store = engine.store();
        for (fixture, at) in
            [("lines.txt", "/"), ("props.yaml", "/devices"), ("mockup.png", "/images/mock_image")]
        {
            let bytes = std::fs::read(folder.join(fixture)).unwrap();
            for method in ["GET", "POST"] {
                store.put_fixture(method, fixture, at, bytes.clone().into()).unwrap();
            }
        }
        let yaml = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        store.put_text(&yaml, Format::Yaml).unwrap_or_else(|error| panic!("{name}: {error}"));
        let request = request(method, target, headers, "");
        for _ in 0..4 {
            let answer =
                engine.answer(&request).unwrap_or_else(|refusal| panic!("{name}: {}", refusal.to_json()));
            if status > 0 && name != "jobs-create" {
                assert_eq!(answer.status.as_u16(), status, "{name}");
            }
            assert!(!answer.body.is_empty(), "{name}");
            assert!(header(&answer, "transfer-encoding").is_empty(), "{name}");
        }
        files.retain(|file| file != name);
    }
    assert!(files.is_empty(), "no request for {files:?}");
}

#[test]
fn a_picture_and_conditions_between_the_lines() {
    let Some(folder) = folder() else { return };
    let engine = engine();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let put = |name: &str| {
        let text = String::from_utf8(read(name)).unwrap();
        engine.store().put_text(&text, Format::Yaml).unwrap();
    };
    put("image.yaml");
    put("jobs-create.yaml");
    engine.store().put_fixture("GET", "mockup.png", "/images/mock_image", read("mockup.png").into()).unwrap();
    let picture = common::answer(&engine, &common::get("/images/mock_image"));
    assert_eq!(picture.body, read("mockup.png"));
    assert_eq!(header(&picture, "content-type"), ["image/png"]);
    assert_eq!(header(&picture, "last-modified"), ["2023-11-14T22:13:20Z"]);
    let job = request("POST", "/v2/jobs", &[("Authorization", "Bearer sk_test_01234")], "");
    for number in 1..=6 {
        let answer = common::answer(&engine, &job);
        let text = text(&answer);
        if number % 3 == 0 {
            assert!(
                matches!(answer.status.as_u16(), 400 | 429 | 500 | 501) && text.contains("\"message\""),
                "{text}"
            );
        } else {
            assert_eq!(answer.status.as_u16(), 200);
            let status = if number >= 5 { ["Failed", "Completed"] } else { ["Running", "Pending"] };
            assert!(status.iter().any(|status| text.contains(status)), "{number}: {text}");
        }
    }
}
