//! The chaos client as a program, against a service that is a program too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

const TODO: &str = "method: GET
name: get-todo
path: /todos/:id
group: todos
response:
    content_type: application/json
    contents: '{\"id\": {{.id}}, \"title\": \"TITLE\"}'
    match_contents: '{\"id\":\"__number__[0-9]+\"}'
    assertions:
        - VariableContains contents.title illo
";

/// Holds what it writes to, which must stay open.
struct Service(Child, #[allow(dead_code)] BufReader<ChildStderr>, String);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-mock-service"));
    command.current_dir(folder).env_clear().env("HOME", folder);
    command
}

/// A service whose title may not be what was promised.
fn start(folder: &Path, title: &str) -> Service {
    let data = folder.join("served/todos/GET");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("get-todo.scr"), TODO.replace("TITLE", title)).unwrap();
    let mut child = program(folder)
        .args(["--httpPort", "0", "--proxyPort", "0", "--dataDir", "served"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    words.read_line(&mut said).unwrap();
    let port = said.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    Service(child, words, url)
}

fn chaos(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(folder).arg("chaos").args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_good_service_is_exit_code_0_and_the_seed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), "illo");
    for url in ["--base_url", "--base-url"] {
        let (code, out, err) = chaos(
            folder.path(),
            &[url, &service.2, "--group=todos", "--times=7", "--dataDir=served", "--seed=3"],
        );
        assert_eq!((code, out.as_str()), (Some(0), "7 succeeded, 0 failed (seed 3)\n"), "{err}");
        // There is no terminal: no bar.
        assert_eq!(err, "");
    }
    let (code, out, err) = chaos(
        folder.path(),
        &["--base_url", &service.2, "--group=todos", "--dataDir=served", "--report=json", "--concurrency=4"],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with(r#"{"errors":null,"failed":0,"succeeded":10,"#), "{out}");
}

#[test]
fn defect_l15_a_failed_run_is_no_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), "other");
    let all = ["--base_url", &service.2, "--group", "todos", "--times", "2", "--data-dir", "served"];
    let (code, out, err) = chaos(folder.path(), &all);
    assert_eq!(code, Some(8), "{err}");
    assert!(out.contains("failed to assert") && out.contains("curl 'http://127.0.0.1:"), "{out}");
    assert!(out.contains("0 succeeded, 2 failed (seed "), "{out}");
    let (code, out, _) = chaos(folder.path(), &[&all[..], &["--report", "junit"]].concat());
    assert_eq!(code, Some(8));
    assert!(out.contains(r#"<testsuite name="todos" tests="1" failures="1" skipped="0">"#), "{out}");
}

#[test]
fn a_dry_run_prints_requests_and_wrong_uses_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), "illo");
    let dry = ["--base_url=http://h.invalid:1", "--group=todos", "--dataDir=served", "--dry-run"];
    // The host is looked up even so: a name that is wrong is told.
    assert_eq!(chaos(folder.path(), &dry).0, Some(2));
    let url = format!("--base_url={}", service.2);
    let (code, out, err) = chaos(
        folder.path(),
        &[&url, "--group=todos", "--dataDir=served", "--dry-run", "--times=1", "--param=id=12", "-H", "A: b"],
    );
    assert_eq!(code, Some(0), "{err}");
    let wanted = format!("curl '{}/todos/12' -H 'a: b'\n", service.2);
    assert!(out.starts_with(&wanted), "{out}");
    for wrong in [
        vec!["--group=todos"],
        vec![url.as_str()],
        vec![&url, "--group=nobody", "--dataDir=served"],
        vec!["--base_url=nothing", "--group=todos", "--dataDir=served"],
        vec![&url, "--group=todos", "--dataDir=served", "-H", "nothing"],
    ] {
        let (code, _, err) = chaos(folder.path(), &wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {err}");
    }
}

/// On a terminal a bar says how far it is.
#[test]
fn there_is_a_bar_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), "illo");
    let line = format!(
        "{} chaos --base_url {} --group todos --times 9 --dataDir served --seed 3",
        env!("CARGO_BIN_EXE_api-mock-service"),
        service.2
    );
    let made = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: there is no `script`, which makes terminals");
        return;
    };
    let said = String::from_utf8_lossy(&made.stdout);
    assert!(said.contains("\r\u{1b}[K[") && said.contains("of 9, 0 failed"), "{said:?}");
    assert!(said.contains("9 succeeded, 0 failed (seed 3)"), "{said:?}");
}

#[test]
fn secrets_are_shown_to_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let service = start(folder.path(), "illo");
    let all = [
        "--base_url",
        &service.2,
        "--group=todos",
        "--dataDir=served",
        "--dry-run",
        "--times=1",
        "-HApi-Key:hunter2",
    ];
    let (code, out, _) = chaos(folder.path(), &all);
    assert_eq!(code, Some(0));
    assert!(out.contains("-H 'api-key: ***'") && !out.contains("hunter2"), "{out}");
    let (_, out, _) = chaos(folder.path(), &[&all[..], &["--show-secrets"]].concat());
    assert!(out.contains("-H 'api-key: hunter2'"), "{out}");
    let (code, _, err) = chaos(folder.path(), &[&all[..], &["--cacert", "none.pem"]].concat());
    assert!(code == Some(2) && err.contains("--cacert none.pem"), "{err}");
}
