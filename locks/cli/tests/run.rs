//! `db-locks run`: environment, exit codes, signals, and the end of the program when its lock is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use common::{Place, text, words};
use rustix::process::{Pid, Signal, kill_process};

fn run(place: &Place, options: &[&str], program: &[&str]) -> Command {
    let mut command = place.command();
    command.args(["-t", &place.tenant, place.provider, "run"]).args(options).arg("--").args(program);
    command.stdin(std::process::Stdio::null());
    command
}

fn wait_for(file: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !file.exists() {
        assert!(Instant::now() < deadline, "{} did not come", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_program_finds_the_lock_in_its_environment_and_gives_the_exit_code() {
    let place = Place::new("sqlite");
    let script =
        r#"echo "$DB_LOCKS_KEY $DB_LOCKS_SEMAPHORE_KEY $DB_LOCKS_FENCING_TOKEN $DB_LOCKS_VERSION"; exit 7"#;
    let output =
        run(&place, &["--key", "job", "--semaphore-max-size", "2"], &["sh", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", words(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = said.split_whitespace().collect();
    assert_eq!((parts[0], parts[1]), ("job_0000000000", "job"));
    assert!(parts[2].parse::<u64>().unwrap() > 1_000_000 && parts[3].len() == 36, "{said}");
    assert_eq!(place.json("get-semaphore --key job")["busy_count"], 0, "released when the program ended");
}

#[test]
fn what_cannot_be_run_is_126_or_127_and_the_lock_is_released() {
    let place = Place::new("sqlite");
    assert_eq!(
        run(&place, &["--key", "job"], &["no-such-program"]).output().unwrap().status.code(),
        Some(127)
    );
    assert_eq!(run(&place, &["--key", "job"], &["/etc/passwd"]).output().unwrap().status.code(), Some(126));
    assert_eq!(
        run(&place, &["--key", "job", "--wait", "0"], &["true"]).output().unwrap().status.code(),
        Some(0)
    );
}

#[test]
fn a_held_lock_is_103_or_what_was_asked_for() {
    let place = Place::new("sqlite");
    place.json("acquire --key job --lease 60");
    let output = run(&place, &["--key", "job", "--wait", "0"], &["touch", "ran"]).output().unwrap();
    assert_eq!(output.status.code(), Some(103), "{}", words(&output));
    let quiet = ["--key", "job", "--wait", "0", "--not-granted-code", "0"];
    assert_eq!(run(&place, &quiet, &["touch", "ran"]).output().unwrap().status.code(), Some(0));
    assert!(!place.folder().join("ran").exists());
}

#[test]
fn the_lease_is_renewed_while_the_program_runs() {
    let place = Place::new("sqlite");
    let mut child = run(&place, &["--key", "job", "--lease", "1"], &["sh", "-c", "touch started; sleep 3"])
        .spawn()
        .unwrap();
    wait_for(&place.folder().join("started"));
    std::thread::sleep(Duration::from_millis(1_800));
    place.fails(3, "acquire --key job --wait 0");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    place.json("acquire --key job --wait 0");
}

#[test]
fn signals_reach_the_program() {
    let place = Place::new("sqlite");
    let script =
        "trap 'touch got-usr1' USR1; trap 'exit 9' TERM; touch started; while :; do sleep 0.05; done";
    let mut child = run(&place, &["--key", "job"], &["sh", "-c", script]).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    signal(&child, Signal::USR1);
    wait_for(&place.folder().join("got-usr1"));
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(9));
    let killed = run(&place, &["--key", "job"], &["sh", "-c", "kill -9 $$"]).output().unwrap();
    assert_eq!(killed.status.code(), Some(128 + 9));
}

#[test]
fn a_stolen_lock_ends_the_program_and_its_children() {
    let place = Place::new("sqlite");
    // Neither the shell nor its child ends by itself, and both ignore SIGTERM.
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; touch started; while :; do touch alive; sleep 0.05; done' & wait; while :; do sleep 0.05; done";
    let child = run(&place, &["--key", "job", "--lease", "2"], &["sh", "-c", script])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&place.folder().join("started"));
    let held = place.json("get-mutex --key job");
    place.json(&format!("release --key job --version {}", text(&held, "version")));
    place.json("acquire --key job --lease 60 --wait 0");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(106), "{}", words(&output));
    assert!(words(&output).contains("taken away"), "{}", words(&output));
    let alive = place.folder().join("alive");
    std::fs::remove_file(&alive).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!alive.exists(), "the program's child outlived the lock");
}

/// `eprintln!` panics then; the program would have run on without its lock.
#[test]
fn a_stolen_lock_ends_the_program_though_nobody_reads_what_is_said() {
    let place = Place::new("sqlite");
    let script = "touch started; while :; do sleep 0.05; done";
    let mut child = run(&place, &["--key", "job", "--lease", "2"], &["sh", "-c", script])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    wait_for(&place.folder().join("started"));
    let held = place.json("get-mutex --key job");
    place.json(&format!("release --key job --version {}", text(&held, "version")));
    place.json("acquire --key job --lease 60 --wait 0");
    assert_eq!(child.wait().unwrap().code(), Some(106));
}

#[test]
fn the_program_dies_with_a_killed_runner() {
    let place = Place::new("sqlite");
    let script = "touch started; while :; do touch alive; sleep 0.05; done";
    let mut child = run(&place, &["--key", "job", "--lease", "1"], &["sh", "-c", script]).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let alive = place.folder().join("alive");
    let _ = std::fs::remove_file(&alive);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!alive.exists(), "the program outlived its runner");
    place.json("acquire --key job --wait 5");
}

/// Who stops it stops the program too, which must not work on when nobody renews.
#[test]
fn the_program_stands_still_while_its_runner_is_stopped() {
    let place = Place::new("sqlite");
    let script = "touch started; while :; do touch alive; sleep 0.05; done";
    let mut child = run(&place, &["--key", "job", "--lease", "1"], &["sh", "-c", script]).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    let alive = place.folder().join("alive");
    let lives = || {
        let _ = std::fs::remove_file(&alive);
        std::thread::sleep(Duration::from_millis(300));
        alive.exists()
    };
    assert!(lives());
    signal(&child, Signal::TSTP);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!lives(), "the program works on without its runner");
    place.json("acquire --key job --wait 5 --lease 60");
    signal(&child, Signal::CONT);
    assert_eq!(child.wait().unwrap().code(), Some(106), "the lock is another's");
    assert!(!lives());
}

#[test]
fn a_runner_that_goes_on_in_time_goes_on() {
    let place = Place::new("sqlite");
    let script = "touch started; while [ ! -e go ]; do sleep 0.05; done";
    let mut child = run(&place, &["--key", "job", "--lease", "60"], &["sh", "-c", script]).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    signal(&child, Signal::TSTP);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::CONT);
    std::fs::write(place.folder().join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A private Redis that keeps what it confirms; dropping it kills it.
struct Server {
    folder: tempfile::TempDir,
    port: u64,
    pid: i32,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, pid) = Self::start_in(folder.path());
        Self { folder, port, pid }
    }

    fn start_in(folder: &Path) -> (u64, i32) {
        let output = xtask(folder, &["server", "start", "redis", "--durable"]);
        assert!(output.status.success(), "{}", words(&output));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        (number(&line["ports"][0]), i32::try_from(number(&line["pid"])).unwrap())
    }

    /// From now on it answers nothing, and refuses nobody.
    fn fall_silent(&self) {
        kill_process(Pid::from_raw(self.pid).unwrap(), Signal::STOP).unwrap();
    }

    fn kill(&self) {
        assert!(xtask(self.folder.path(), &["server", "kill"]).status.success());
    }

    fn start_again(&self) {
        assert_eq!(Self::start_in(self.folder.path()).0, self.port);
    }

    /// One command in words; the last line of the answer.
    fn say(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(self.port).unwrap())).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer = answer.trim_end().trim_end_matches("+OK").trim_end();
        answer.lines().next_back().unwrap_or_default().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        xtask(self.folder.path(), &["server", "kill"]);
    }
}

fn xtask(folder: &Path, args: &[&str]) -> Output {
    let program =
        std::env::var_os("DB_LOCKS_XTASK").expect("DB_LOCKS_XTASK is not set: run `cargo xtask test`");
    Command::new(program)
        .args(args)
        .arg("--dir")
        .arg(folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

/// SIGTERM first, SIGKILL before anybody else could have the lock: by the clock of the server, which is this machine's.
#[test]
fn a_database_that_is_gone_ends_the_program_before_its_lease_does() {
    let (server, mut place) = (Server::start(), Place::new("sqlite"));
    place.provider = "redis";
    let script = r#"trap 'touch termed' TERM; touch started; while :; do date +%s%6N > alive.new; mv alive.new alive; sleep 0.02; done"#;
    let mut command = run(&place, &["--key", "job", "--lease", "4"], &["sh", "-c", script]);
    command.env("REDIS_URL", format!("redis://127.0.0.1:{}", server.port));
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    server.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(106), "{}", words(&output));
    assert!(place.folder().join("termed").exists(), "the program was not asked to end by itself");
    server.start_again();
    let key = server.say("KEYS *:m:job*");
    let lease_ends_us: u64 = server.say(&format!("HGET {key} e")).parse().unwrap();
    let alive = std::fs::read_to_string(place.folder().join("alive")).unwrap();
    let last_alive_us: u64 = alive.trim().parse().unwrap();
    assert!(
        last_alive_us < lease_ends_us,
        "the program was there {} us too long",
        last_alive_us - lease_ends_us
    );
}

/// What its program said counts; the lock ends with its lease.
#[test]
fn a_silent_database_does_not_keep_the_runner_of_an_ended_program() {
    let (server, mut place) = (Server::start(), Place::new("sqlite"));
    place.provider = "redis";
    let script = "touch started; while [ ! -e go ]; do sleep 0.02; done; exit 3";
    let mut command = run(&place, &["--key", "job", "--lease", "4"], &["sh", "-c", script]);
    command.env("REDIS_URL", format!("redis://127.0.0.1:{}", server.port));
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(&place.folder().join("started"));
    server.fall_silent();
    std::fs::write(place.folder().join("go"), "").unwrap();
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("will end with its lease"), "{}", words(&output));
    // The lease is 4 s; all tries together, each with its time-out, would be 30.
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
}
