//! Faults in files, as the commands that read files see them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

const PAY: &str = "method: GET\nname: pay\npath: /pay/:who\nresponse:\n    contents: '{{.who}} has paid'\n";

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-mock-service"));
    command.current_dir(folder).env_clear().env("HOME", folder).args(args).output().unwrap()
}

#[test]
fn render_shows_what_would_go_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let faults = "faults:\n  - status: 503\n    delay: 5ms\n  - fault: truncated_body\n    after_bytes: 4\n    bytes_per_second: 9\n";
    std::fs::write(folder.path().join("pay.yaml"), format!("{PAY}{faults}")).unwrap();
    let shown = String::from_utf8(run(folder.path(), &["render", "pay.yaml"]).stdout).unwrap();
    assert!(shown.starts_with("HTTP/1.1 503 "), "{shown}");
    let said = "x-mock-fault: status, status (delay), truncated_body, truncated_body (slow_drip)";
    assert!(shown.contains(said), "{shown}");
    let wire = "# truncated_body after 4 bytes\n# at 9 bytes a second\n# after 5ms\n";
    assert!(shown.contains(wire), "{shown}");
}

#[test]
fn validate_checks_the_faults_of_scenarios_and_groups() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("groups")).unwrap();
    std::fs::write(folder.path().join("groups/good.json"), r#"{"faults": [{"status": 500}]}"#).unwrap();
    let good = run(folder.path(), &["validate", "."]);
    assert_eq!((good.status.code(), good.stdout.as_slice()), (Some(0), &b""[..]));
    std::fs::write(folder.path().join("groups/shop.json"), "{\n \"faults\": [{\"status\": 999}]\n}").unwrap();
    std::fs::write(folder.path().join("bad.yaml"), format!("{PAY}faults:\n  - delay: soon\n")).unwrap();
    let checked = run(folder.path(), &["validate", "."]);
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(3));
    assert!(told.contains("./groups/shop.json:2: faults[0].status: expected a status"), "{told}");
    assert!(told.contains("./bad.yaml:7: faults[0].delay: expected a duration"), "{told}");
}

#[test]
fn a_service_behind_needs_a_whole_address() {
    let folder = tempfile::tempdir().unwrap();
    let bad = run(folder.path(), &["--upstream", "127.0.0.1:8000"]);
    assert_eq!(bad.status.code(), Some(2));
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(told.contains("upstream must be an address such as http://127.0.0.1:8000"), "{told}");
}
