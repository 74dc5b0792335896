//! Databases that may not, or cannot, be written: a code, words that help, and no damage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::process::Command;

use common::{Place, text, words};

const ACCESS_DENIED: Option<i32> = Some(7);
const UNREACHABLE: Option<i32> = Some(5);

#[test]
fn a_read_only_sqlite_file_can_be_read_but_not_written() {
    let place = Place::new("sqlite");
    let lock = place.json("acquire --key one");
    let read_only = |args: &[&str]| {
        let url = "sqlite:db-locks.sqlite?mode=ro";
        place.command().env("DATABASE_URL", url).args(["-t", &place.tenant]).args(args).output().unwrap()
    };
    for args in [
        &["acquire", "--key", "two"][..],
        &["acquire", "--key", "two", "--semaphore-max-size", "3"],
        &["release", "--key", "one", "--version", text(&lock, "version")],
        &["run", "--key", "two", "--", "true"],
    ] {
        let output = read_only(args);
        let offset = if args[0] == "run" { 100 } else { 0 };
        assert_eq!(
            output.status.code(),
            ACCESS_DENIED.map(|code| code + offset),
            "{args:?}: {}",
            words(&output)
        );
        assert!(
            words(&output).contains("read") && !words(&output).contains("panicked"),
            "{}",
            words(&output)
        );
    }
    let seen = read_only(&["-j", "get-mutex", "--key", "one"]);
    assert!(seen.status.success(), "{}", words(&seen));
    assert_eq!(place.json("get-mutex --key one")["version"], lock["version"]);
}

#[test]
fn a_read_only_postgres_is_access_denied() {
    let place = Place::new("postgres");
    let lock = place.json("acquire --key one");
    let url = std::env::var("DB_LOCKS_TEST_POSTGRES_URL").unwrap();
    let url = format!("{url}?options=-c%20default_transaction_read_only%3Don");
    for args in [
        &["acquire", "--key", "two"][..],
        &["heartbeat", "--key", "one", "--version", text(&lock, "version")],
    ] {
        let output = place
            .command()
            .env("DATABASE_URL", &url)
            .args(["-t", &place.tenant])
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), ACCESS_DENIED, "{args:?}: {}", words(&output));
        assert!(words(&output).contains("read-only"), "{}", words(&output));
    }
    place.json(&format!("release --key one --version {}", text(&lock, "version")));
}

/// A small disk of its own, in a mount namespace that ends with the script.
fn on_a_small_disk(place: &Place, script: &str) -> std::process::Output {
    let disk = place.folder().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = format!("mount -t tmpfs -o size=1m none \"$DISK\" && cd \"$DISK\" || exit 99\n{script}");
    command
        .args(["--mount", "sh", "-c", &script])
        .env("DISK", &disk)
        .env("DB_LOCKS", env!("CARGO_BIN_EXE_db-locks"))
        .env("DATABASE_URL", "sqlite:locks.sqlite")
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_has_a_code_and_words_and_loses_nothing() {
    let place = Place::new("sqlite");
    let output = on_a_small_disk(
        &place,
        r#"
        "$DB_LOCKS" acquire --key before > /dev/null || exit 98
        cat /dev/zero > filler 2> /dev/null
        # More than the room that the log has already.
        "$DB_LOCKS" acquire --key after --data "$(head -c 60000 /dev/zero | tr '\0' x)" > /dev/null
        echo "code $?"
        rm filler
        "$DB_LOCKS" acquire --key before --wait 0 > /dev/null 2>&1
        echo "held: $?"
        "$DB_LOCKS" acquire --key after --wait 0 > /dev/null
        echo "free: $?"
        "#,
    );
    let said = words(&output);
    assert!(output.status.success(), "{said}");
    let unreachable = UNREACHABLE.unwrap();
    assert!(said.contains(&format!("code {unreachable}\n")), "{said}");
    assert!(said.contains("full") && !said.contains("panicked"), "{said}");
    // What was held is held; what was refused is free; and the file still works.
    assert!(said.contains("held: 3\n") && said.contains("free: 0\n"), "{said}");
}

#[test]
fn a_lock_that_cannot_be_told_of_is_given_back() {
    let place = Place::new("sqlite");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        place.command().args(["-t", &place.tenant, "acquire", "--key", "one"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("stdout"), "{}", words(&output));
    place.json("acquire --key one --wait 0");
}
