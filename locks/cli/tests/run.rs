//! `db-locks run`: environment, exit codes, signals, and the end of the program when its lock is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::process::{Child, Command};
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
