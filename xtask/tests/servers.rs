//! The servers that tests use really start, die, come back with the same address, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test's helper fails by panicking.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
const WAIT: Duration = Duration::from_secs(30);

fn xtask(args: &[&str]) -> Output {
    Command::new(XTASK).args(args).output().unwrap()
}

#[track_caller]
fn ok(args: &[&str]) -> String {
    let output = xtask(args);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "xtask {}: {words}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for one server; the server is killed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let base = env::var_os("DB_LOCKS_TEST_TMP").expect("run `cargo xtask test`");
        Self(Path::new(&base).join(format!("xtask-{name}-{}", std::process::id())))
    }

    fn dir(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn start(&self, kind: &str) -> serde_json::Value {
        let line = ok(&["server", "start", kind, "--dir", self.dir(), "--durable"]);
        serde_json::from_str(&line).unwrap()
    }

    fn ports(&self, state: &serde_json::Value) -> Vec<u16> {
        state["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| port.as_u64().unwrap().try_into().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        xtask(&["server", "kill", "--dir", self.dir()]);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn restart(kind: &str) {
    let folder = Folder::new(kind);
    let first = folder.start(kind);
    let port = folder.ports(&first)[0];
    assert!(listens(port));
    assert_eq!(folder.start(kind), first, "a running server is left alone");
    for end in ["kill", "stop"] {
        ok(&["server", end, "--dir", folder.dir()]);
        assert!(!listens(port), "{end}");
        let again = folder.start(kind);
        assert_eq!(again["url"], first["url"], "{end}");
        assert_ne!(again["pid"], first["pid"], "{end}");
        assert!(listens(port), "{end}");
    }
    let other = xtask(&["server", "start", kind, "--dir", folder.dir()]);
    assert_eq!(other.status.code(), Some(2), "not durable is another server");
}

#[test]
fn restart_postgres() {
    restart("postgres");
}

#[test]
fn restart_mysql() {
    restart("mysql");
}

#[test]
fn restart_redis() {
    restart("redis");
}

#[test]
fn restart_redis_cluster() {
    restart("redis-cluster");
}

#[test]
fn restart_dynamodb() {
    restart("dynamodb");
}

#[test]
fn tls_files_are_made_and_kept() {
    let folder = Folder::new("tls");
    let start = || ok(&["server", "start", "redis", "--dir", folder.dir(), "--tls"]);
    let first: serde_json::Value = serde_json::from_str(&start()).unwrap();
    assert!(first["url"].as_str().unwrap().starts_with("rediss://"), "{first}");
    let authority = std::fs::read(first["ca"].as_str().unwrap()).unwrap();
    ok(&["server", "kill", "--dir", folder.dir()]);
    let again: serde_json::Value = serde_json::from_str(&start()).unwrap();
    assert_eq!(authority, std::fs::read(again["ca"].as_str().unwrap()).unwrap());
}

/// `servers up` with one small server: the process, the folder of its run, the port.
fn up() -> (Child, PathBuf, u16) {
    let mut command = Command::new(XTASK);
    command.args(["servers", "up", "redis"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut value = |name: &str| {
        let line = lines.find(|line| line.starts_with(&format!("export {name}='"))).unwrap();
        line.split('\'').nth(1).unwrap().to_owned()
    };
    let url = value("DB_LOCKS_TEST_REDIS_URL");
    let port = url.split([':', '/']).nth(4).unwrap().parse().unwrap();
    let folder = Path::new(&value("DB_LOCKS_TEST_TMP")).parent().unwrap().to_path_buf();
    (child, folder, port)
}

#[test]
fn nothing_is_left_however_a_run_ends() {
    for signal in ["INT", "TERM", "KILL"] {
        let (mut child, folder, port) = up();
        assert!(folder.is_dir() && listens(port));
        let pid = child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -s $0 $1", signal, &pid]).status().unwrap().success());
        child.wait().unwrap();
        let deadline = Instant::now() + WAIT;
        while folder.exists() || listens(port) {
            assert!(Instant::now() < deadline, "{signal} leaves {} or port {port}", folder.display());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn wrong_words_are_refused() {
    for args in
        [&["no"][..], &["server", "start", "oracle", "--dir", "x"], &["server", "kill"], &["tool", "sh"]]
    {
        assert_eq!(xtask(args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(xtask(&["server", "stop", "--dir", "/nonexistent"]).status.code(), Some(1));
    let dynamodb = ["server", "start", "dynamodb", "--tls", "--dir"];
    let folder = Folder::new("no-tls");
    assert_eq!(xtask(&[&dynamodb[..], &[folder.dir()]].concat()).status.code(), Some(2));
}
