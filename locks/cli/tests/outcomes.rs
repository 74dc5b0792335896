//! Exit codes, words, and what must never happen: a panic, a password in a message, bad input that reaches a database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use common::{Place, text, words};

#[test]
fn bad_input_is_a_usage_error_and_no_database_is_made() {
    let place = Place::new("sqlite");
    let long = "k".repeat(10_240);
    let cases: [&[&str]; 14] = [
        &["acquire", "--key", ""],
        &["acquire", "--key", &long],
        &["acquire", "--key", "a\nb"],
        &["acquire", "--key", "k", "--lease", "0"],
        &["acquire", "--key", "k", "--lease", "-1"],
        &["acquire", "--key", "k", "--lease", "9223372036854775807"],
        &["acquire", "--key", "k", "--lease", "9223372036854775808"],
        &["acquire", "--key", "k", "--semaphore-max-size", "0"],
        &["acquire", "--key", "k", "--semaphore-max-size", "1000000000"],
        &["create-semaphore", "--key", "k", "--max-size", "0"],
        &["heartbeat", "--key", "k", "--version", ""],
        &["heartbeat", "--key", "k"],
        &["acquire"],
        &["no-such-command"],
    ];
    for case in cases {
        let args: Vec<&OsStr> = case.iter().map(OsStr::new).collect();
        let output = place.run_args(&args);
        assert_eq!(output.status.code(), Some(2), "{case:?}: {}", words(&output));
        assert!(!words(&output).contains("panicked"), "{case:?}");
    }
    let output =
        place.run_args(&[OsStr::new("acquire"), OsStr::new("--key"), OsStr::from_bytes(b"\xff\xfe")]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(place.has_no_database(), "a database was made for nothing");
}

/// What cannot be right is said before anybody is asked, also where nobody would answer; `run` has codes of its own.
#[test]
fn bad_input_is_told_before_a_server_is_asked() {
    let place = Place::new("sqlite");
    for (code, case) in [
        (2, &["acquire", "--key", ""][..]),
        (2, &["release", "--key", "", "--version", "v"]),
        (2, &["get-mutex", "--key", ""]),
        (2, &["create-semaphore", "--key", "k", "--max-size", "0"]),
        (102, &["run", "--key", "", "--", "true"]),
        (102, &["run", "--key", "k", "--lease", "0", "--", "true"]),
        (102, &["run", "--", "true"]),
        (102, &["run", "--key", "k", "true"]),
    ] {
        let output = place
            .command()
            .env("DATABASE_URL", "postgres://app:x@127.0.0.1:1/x")
            .args(case)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{case:?}: {}", words(&output));
    }
}

#[test]
fn unreachable_servers_have_a_code_and_keep_their_password_to_themselves() {
    let place = Place::new("sqlite");
    for (provider, variable, url) in [
        ("rdb", "DATABASE_URL", "postgres://app:s3cret@127.0.0.1:1/x"),
        ("rdb", "DATABASE_URL", "mysql://app:s3cret@127.0.0.1:1/x"),
        ("redis", "REDIS_URL", "redis://:s3cret@127.0.0.1:1/0"),
        ("ddb", "AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ] {
        let started = Instant::now();
        let output =
            place.command().env(variable, url).args([provider, "acquire", "--key", "one"]).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{url}: {}", words(&output));
        assert!(!words(&output).contains("s3cret"), "{}", words(&output));
        assert!(started.elapsed() < Duration::from_secs(30), "{url}");
    }
}

#[test]
fn wrong_passwords_are_access_denied_and_not_shown() {
    let place = Place::new("sqlite");
    let redis = std::env::var("DB_LOCKS_TEST_MYSQL_URL").unwrap();
    let at = redis.rsplit_once('@').unwrap().1;
    let url = format!("mysql://app:s3cret@{at}");
    let output = place.command().env("DATABASE_URL", url).args(["acquire", "--key", "one"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", words(&output));
    assert!(!words(&output).contains("s3cret"), "{}", words(&output));
}

#[test]
fn unknown_schemes_are_told_without_repeating_the_url() {
    let place = Place::new("sqlite");
    let output = place
        .command()
        .env("DATABASE_URL", "oracle://u:s3cret@h")
        .args(["acquire", "--key", "one"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(
        words(&output).contains("postgres://") && !words(&output).contains("s3cret"),
        "{}",
        words(&output)
    );
}

#[test]
fn the_configuration_file_is_used_and_options_go_before_it() {
    let place = Place::new("sqlite");
    let file = place.folder().join("locks.yaml");
    std::fs::write(&file, "tenant_id: from-file\ndatabase_url: sqlite:other.sqlite\nfair_semaphore: true\n")
        .unwrap();
    let run = |args: &[&str]| {
        let output = place.command().args(["-j", "-c"]).arg(&file).args(args).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let lock = run(&["acquire", "--key", "one"]);
    assert_eq!((text(&lock, "tenant_id"), text(&lock, "semaphore_key")), ("from-file", "one"));
    let lock = run(&["-t", "from-option", "-f", "false", "acquire", "--key", "one"]);
    assert_eq!((text(&lock, "tenant_id"), text(&lock, "mutex_key")), ("from-option", "one"));
    assert!(place.folder().join("other.sqlite").exists());
    std::fs::write(&file, "tenant: x\n").unwrap();
    let output = place.command().arg("-c").arg(&file).args(["acquire", "--key", "one"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("locks.yaml"), "{}", words(&output));
}

#[test]
fn help_is_shown_without_arguments() {
    let place = Place::new("sqlite");
    let output = place.command().output().unwrap();
    let text = words(&output);
    assert!(text.contains("Usage: db-locks [OPTIONS] [PROVIDER] <COMMAND>"), "{text}");
    for word in
        ["acquire", "get-semaphore-mutexes", "[default: rdb]", "[default: local-host-name]", "Exit codes"]
    {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let place = Place::new("sqlite");
    for shell in ["bash", "zsh", "fish"] {
        let output = place.command().args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && words(&output).contains("get-semaphore-mutexes"), "{shell}");
    }
    let output = place.command().arg("man").output().unwrap();
    assert!(
        words(&output).contains(".TH db-locks") && words(&output).contains("not\\-granted\\-code"),
        "{}",
        words(&output)
    );
}

#[test]
fn an_interrupted_wait_leaves_no_ticket() {
    let place = Place::new("sqlite");
    let lock = place.json("acquire --key one --lease 60");
    let mut waiter = place.command().args(["-t", &place.tenant, "acquire", "--key", "one"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&waiter);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(waiter.wait().unwrap().code(), Some(130));
    place.json(&format!("release --key one --version {}", text(&lock, "version")));
    // A ticket left behind would be a live waiter for a while, and this would be refused.
    place.json("acquire --key one --wait 0");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new("sqlite");
    let binary = env!("CARGO_BIN_EXE_db-locks");
    let line = format!("{binary} completions bash | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}");
    let output = place.command().args(["--help"]).output().unwrap();
    assert!(output.status.success());
    let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{}", words(&output));
}
