//! The pages for users: what they tell to type works, and prints what they say.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

/// The blocks of a page, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, body)), None) => *body += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// Holds what it writes to, which must stay open.
struct Service(Child, #[allow(dead_code)] BufReader<ChildStderr>);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the service and gives its port.
fn start(folder: &Path) -> (Service, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_api-mock-service"))
        .args(["--httpPort", "0", "--proxyPort", "0"])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    words.read_line(&mut said).unwrap();
    let port = said.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (Service(child, words), port)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn try_page(page: &str) {
    if !has("bash") || !has("curl") {
        eprintln!("skipped: the pages are tried with bash and curl");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_service, port) = start(folder.path());
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_api-mock-service"));
    let path = format!("{}:{}", programs.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut printed: Option<String> = None;
    let mut checked = 0;
    for (language, body) in blocks(&text) {
        match language.as_str() {
            "sh" => {
                let script = body.replace("localhost:8080", &format!("127.0.0.1:{port}"));
                let output = Command::new("bash")
                    .args(["-euc", &script])
                    .current_dir(folder.path())
                    .env("PATH", &path)
                    .output()
                    .unwrap();
                let err = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{page}: {body}\n{err}");
                printed = Some(String::from_utf8(output.stdout).unwrap());
            }
            "text" => {
                let printed = printed.take().unwrap_or_else(|| panic!("{page}: nothing printed {body}"));
                assert_eq!(printed.trim_end(), body.trim_end(), "{page}");
                checked += 1;
            }
            _ => {}
        }
    }
    assert!(checked > 0, "{page} shows no output");
}

#[test]
fn the_page_on_playing_back_works_as_printed() {
    try_page("docs/mocks/play-back-an-api.md");
}

#[test]
fn the_page_on_breaking_an_api_works_as_printed() {
    try_page("docs/mocks/break-an-api.md");
}

#[test]
fn the_page_on_scenario_files_works_as_printed() {
    try_page("docs/mocks/scenario-files.md");
}

#[test]
fn the_page_on_templates_works_as_printed() {
    try_page("docs/mocks/templates.md");
}

#[test]
fn the_page_on_specifications_works_as_printed() {
    try_page("docs/mocks/import-openapi.md");
}

#[test]
fn the_page_on_testing_a_service_works_as_printed() {
    try_page("docs/mocks/test-a-service.md");
}
