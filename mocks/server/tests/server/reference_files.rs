//! The reference service's own scenario files, where they are at hand: each uploads and answers.

use std::path::{Path, PathBuf};

use crate::support::TestServer;
use crate::support::http::{ask, get, upload};

/// Folder with the files; not part of the repository.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scenarios");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the reference's scenario files are not here");
    None
}

/// What a request needs besides the path that the file names.
struct Case {
    file: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const NO_WAIT: (&str, &str) = ("X-Mock-Wait-Before-Reply", "0s");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const KEY: (&str, &str) = ("Authorization", "Bearer sk_test_0123456789");
const URL: &str = "Mock-Url";

const CASES: &[Case] = &[
    Case {
        file: "account.yaml",
        method: "POST",
        target: "/v1/AuthTokens/Promote?ETag=x",
        headers: &[("CTag", "x")],
        body: "",
    },
    Case {
        file: "devices.yaml",
        method: "GET",
        target: "/devices?page=0&pageSize=2",
        headers: &[("Content-Type", "application/json; charset=utf-8")],
        body: "",
    },
    Case { file: "get_comment.yaml", method: "GET", target: "/comments/1", headers: &[], body: "" },
    Case { file: "get_root.yaml", method: "GET", target: "/", headers: &[], body: "" },
    Case {
        file: "get_todo.yaml",
        method: "GET",
        target: "/todos/10",
        headers: &[(URL, "https://jsonplaceholder.typicode.com/todos/10"), ("x-api-key", "abc")],
        body: "",
    },
    Case { file: "image.yaml", method: "GET", target: "/images/mock_image", headers: &[], body: "" },
    Case {
        file: "jobs-create.yaml",
        method: "POST",
        target: "/v2/jobs",
        headers: &[("Authorization", "Bearer sk_test_01234")],
        body: "",
    },
    Case { file: "list_comments.yaml", method: "GET", target: "/comments", headers: &[], body: "" },
    Case { file: "post_posts.yaml", method: "POST", target: "/posts", headers: &[FORM], body: "" },
    Case {
        file: "post_todo.yaml",
        method: "POST",
        target: "/todos/2",
        headers: &[FORM, (URL, "https://jsonplaceholder.typicode.com/todos/2"), ("x-api-key", "abc")],
        body: "",
    },
    Case {
        file: "put_posts.yaml",
        method: "PUT",
        target: "/posts/1",
        headers: &[FORM],
        body: "{\"id\": 1, \"title\": \"a\"}",
    },
    Case {
        file: "put_todo.yaml",
        method: "PUT",
        target: "/todos/202",
        headers: &[FORM],
        body: "{\"id\": 1, \"completed\": false}",
    },
    Case {
        file: "scenario1.yaml",
        method: "POST",
        target: "/devices?id=7&PageSize=1&ETag=x&page=0&Page=0&Nonce=1&SleepSecs=0",
        headers: &[KEY, ("Content-Type", "application/json")],
        body: "",
    },
    Case {
        file: "scenario2.yaml",
        method: "GET",
        target: "/groups?a=1&b=2&ETag=x&PageSize=2&Page=0&Nonce=1&SleepSecs=0",
        headers: &[("CTag", "x"), ("Content-Type", "application/json; charset=utf-8")],
        body: "",
    },
    Case {
        file: "scenario3.yaml",
        method: "GET",
        target: "/apps?a=1&b=2&ETag=x&PageSize=2&Page=0&Nonce=1&SleepSecs=0",
        headers: &[("CTag", "x"), ("Content-Type", "application/json; charset=utf-8")],
        body: "",
    },
    Case {
        file: "stripe-customer-failure.yaml",
        method: "GET",
        target: "/v1/customers/123/cash_balance",
        headers: &[KEY],
        body: "",
    },
    Case {
        file: "stripe-customer.yaml",
        method: "GET",
        target: "/v1/customers/123/cash_balance?page=2&pageSize=55",
        headers: &[KEY],
        body: "",
    },
    Case { file: "stripe-get-balance.yaml", method: "GET", target: "/v1/balance", headers: &[KEY], body: "" },
    Case { file: "users.yaml", method: "GET", target: "/users", headers: &[], body: "" },
];

fn put_fixtures(server: &TestServer, folder: &Path) {
    for (name, path, method) in [
        ("lines.txt", "devices", "GET"),
        ("props.yaml", "devices", "GET"),
        ("lines.txt", "devices", "POST"),
        ("lines.txt", "apps", "GET"),
        ("mockup.png", "images/mock_image", "GET"),
    ] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let stored = ask(server.address, "POST", &format!("/_fixtures/{method}/{name}/{path}"), &[], &bytes);
        assert_eq!(stored.status, 200, "{name}: {}", stored.text());
    }
}

/// Each alone on a server, so that no other answers in its place.
#[test]
fn every_file_uploads_and_answers() {
    let Some(folder) = folder() else { return };
    for case in CASES {
        let server = TestServer::start();
        put_fixtures(&server, &folder);
        let stored = upload(server.address, &std::fs::read_to_string(folder.join(case.file)).unwrap());
        assert_eq!(stored.status, 200, "{}: {}", case.file, stored.text());
        let name = stored.json()["name"].as_str().unwrap().to_owned();
        let mut headers = case.headers.to_vec();
        headers.push(NO_WAIT);
        let answer = ask(server.address, case.method, case.target, &headers, case.body.as_bytes());
        assert_eq!(
            answer.header("x-mock-scenario"),
            Some(name.as_str()),
            "{}: {} {}",
            case.file,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("{{"), "{}: {text}", case.file);
    }
}

#[test]
fn no_file_is_forgotten() {
    let Some(folder) = folder() else { return };
    let fixtures = ["props.yaml"];
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let known = CASES.iter().any(|case| case.file == name) || fixtures.contains(&name.as_str());
        assert!(known || !name.ends_with(".yaml"), "{name} has no case");
    }
}

#[test]
fn all_files_together_are_listed() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start();
    for case in CASES {
        upload(server.address, &std::fs::read_to_string(folder.join(case.file)).unwrap());
    }
    assert_eq!(get(server.address, "/_scenarios").json().as_object().unwrap().len(), CASES.len());
}

#[test]
fn the_picture_comes_back_byte_for_byte() {
    let Some(folder) = folder() else { return };
    let server = TestServer::start();
    put_fixtures(&server, &folder);
    upload(server.address, &std::fs::read_to_string(folder.join("image.yaml")).unwrap());
    let answer = get(server.address, "/images/mock_image");
    assert_eq!(answer.body, std::fs::read(folder.join("mockup.png")).unwrap());
    assert_eq!(answer.header("content-type"), Some("image/png"));
}
