//! What `import-openapi` can be told.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

fn import(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-mock-service"));
    command.current_dir(folder).env_clear().env("HOME", folder).env("PROXY_PORT", "0");
    command.args(["import-openapi", "pets.yaml", "--json", "--dry-run"]).args(args).output().unwrap()
}

#[test]
fn examples_of_bodies_and_the_path_of_the_server_are_taken_if_told() {
    let folder = tempfile::tempdir().unwrap();
    let spec = "openapi: 3.0.0\ninfo: {title: S, version: '1'}\nservers: [{url: /api/v3}]\npaths: {/pet: {get: {responses: {200: {description: ok, \
        content: {application/json: {schema: {type: object}, example: {name: Rex}}}}}}}}\n";
    std::fs::write(folder.path().join("pets.yaml"), spec).unwrap();
    let report = |args: &[&str]| -> serde_json::Value {
        let done = import(folder.path(), args);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let told = |report: &serde_json::Value| {
        let scenario = &report["scenarios"][0];
        (scenario["path"].as_str().unwrap().to_owned(), scenario.to_string().contains("Rex"))
    };
    assert_eq!(told(&report(&[])), ("/pet".to_owned(), false));
    assert_eq!(told(&report(&["--body-examples", "--base-path"])), ("/api/v3/pet".to_owned(), true));
}
