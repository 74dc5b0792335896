//! Files and what is made of them, without a server: `render` and `validate`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-mock-service"));
    command.current_dir(folder).env_clear().env("HOME", folder);
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    program(folder).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn file(folder: &Path, name: &str, scenario: &str, contents: &str) {
    let place = folder.join(name);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    let text =
        format!("method: GET\nname: {scenario}\npath: /{scenario}\nresponse:\n    contents: '{contents}'\n");
    std::fs::write(place, text).unwrap();
}

/// Templates tell the time of the zone that `TZ` names, as a program that is run by somebody should.
#[test]
fn templates_tell_local_time() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "t.yaml", "tt", "{{TimeFormat \"-0700 MST\"}} {{Time}}");
    let in_zone = |zone: Option<&str>| {
        let mut command = program(folder.path());
        command.args(["render", "t.yaml", "--only-body"]);
        out(&command.envs(zone.map(|zone| ("TZ", zone))).output().unwrap())
    };
    let india = in_zone(Some("IST-5:30"));
    assert!(india.starts_with("+0530 IST ") && india.ends_with("+05:30\n"), "{india}");
    assert!(in_zone(Some("No/Such")).starts_with("+0000 UTC "), "{}", in_zone(Some("No/Such")));
    if Path::new("/usr/share/zoneinfo/America/Los_Angeles").exists() {
        let angeles = in_zone(Some("America/Los_Angeles"));
        assert!(angeles.starts_with("-0800 PST ") || angeles.starts_with("-0700 PDT "), "{angeles}");
    }
}

#[test]
fn a_seed_may_be_negative() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "u.yaml", "uu", "{{Udid}}");
    let with = |args: &[&str]| {
        let output = run(folder.path(), &[&["render", "u.yaml", "--only-body"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        out(&output)
    };
    let first = with(&["--seed", "-5"]);
    assert_eq!((with(&["--seed=-5"]), first == with(&["--seed", "5"])), (first.clone(), false));
    let bad = run(folder.path(), &["render", "u.yaml", "--seed", "-5.5"]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
    // One that is checked too late would start a service: it takes this seed, and no such port.
    let service = run(folder.path(), &["--seed", "-5", "--httpPort", "none"]);
    assert!(String::from_utf8(service.stderr).unwrap().contains("http_port"));
}

#[test]
fn head_shows_no_body() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "h.yaml", "hh", "hello");
    let shown = out(&run(folder.path(), &["render", "h.yaml", "--method", "HEAD"]));
    assert!(shown.starts_with("HTTP/1.1 200 OK\n") && shown.ends_with("\n\n"), "{shown}");
    assert!(!shown.contains("hello"), "{shown}");
    assert_eq!(out(&run(folder.path(), &["render", "h.yaml", "--method", "HEAD", "--only-body"])), "");
    assert!(out(&run(folder.path(), &["render", "h.yaml"])).ends_with("\nhello\n"));
}

#[test]
fn validate_tells_of_files_that_are_the_same_scenario() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "data/aa/GET/one.scr", "aa", "1");
    file(folder.path(), "data/bb/GET/two.scr", "bb", "1");
    // A server does not read these.
    file(folder.path(), "data/history/aa.yaml", "aa", "1");
    file(folder.path(), "data/.old/GET/aa.scr", "aa", "1");
    // Another folder is that of another server.
    file(folder.path(), "other/aa/GET/one.scr", "aa", "1");
    let good = run(folder.path(), &["validate", "data", "other"]);
    assert_eq!((good.status.code(), out(&good).as_str()), (Some(0), ""));

    file(folder.path(), "data/aa/GET/two.scr", "aa", "2");
    let bad = run(folder.path(), &["validate", "data"]);
    let told = "data/aa/GET/two.scr: is the same scenario as data/aa/GET/one.scr: GET /aa (aa)\n";
    assert_eq!((bad.status.code(), out(&bad).as_str()), (Some(3), told));
    let bad = run(folder.path(), &["validate", "data/aa/GET/one.scr", "data/aa/GET/two.scr"]);
    assert_eq!((bad.status.code(), out(&bad).as_str()), (Some(3), told));
}

#[test]
fn validate_tells_of_patterns_that_are_no_regular_expressions() {
    let folder = tempfile::tempdir().unwrap();
    let text = "method: GET\nname: pp\npath: /pp\nrequest:\n    match_headers:\n        X-Kind: (a\n        Accept: '*/*'\n    match_query_params:\n        page: '[0-9'\n    match_content_type: text/(\nresponse:\n    contents: x\n";
    std::fs::write(folder.path().join("p.yaml"), text).unwrap();
    let bad = run(folder.path(), &["validate", "p.yaml"]);
    let told = "p.yaml:9: request.match_query_params.page: not a regular expression: unclosed character class\n\
        p.yaml:6: request.match_headers.X-Kind: not a regular expression: unclosed group\n\
        p.yaml:10: request.match_content_type: not a regular expression: unclosed group\n";
    assert_eq!((bad.status.code(), out(&bad).as_str()), (Some(3), told));
}
