//! The seeds' command lines on every database: acquire, heartbeat, release, get, delete, with the JSON shapes shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Place, text};
use serde_json::json;

/// Runs a test on every database, as `postgres::mutexes`.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        on_every_database!(@ sqlite $($test)*);
        on_every_database!(@ postgres $($test)*);
        on_every_database!(@ mysql $($test)*);
        on_every_database!(@ redis $($test)*);
        on_every_database!(@ dynamodb $($test)*);
    };
    (@ $database:ident $($test:ident)*) => {
        mod $database {
            $(#[test]
            fn $test() {
                super::$test(&super::Place::new(stringify!($database)));
            })*
        }
    };
}

on_every_database!(
    mutexes,
    semaphores,
    fair_semaphores,
    fair_locks_by_bare_key,
    waiting_and_refusal,
    migrate_says_what_it_did
);

fn mutexes(place: &Place) {
    let lock = place.json("acquire --key one");
    assert_eq!((&lock["mutex_key"], &lock["tenant_id"]), (&json!("one"), &json!(place.tenant)));
    assert_eq!((&lock["lease_duration_ms"], &lock["locked"]), (&json!(15_000), &json!(true)));
    assert_eq!(text(&lock, "expires_at").len(), "2022-10-11T03:04:43.126542".len());
    assert!(lock.get("semaphore_key").is_none());
    let token = lock["fencing_token"].as_u64().unwrap();

    let renewed = place.json(&format!("heartbeat --key one --version {}", text(&lock, "version")));
    assert_ne!(renewed["version"], lock["version"]);
    let version = text(&renewed, "version");
    assert_eq!(place.json("get-mutex --key one")["version"], renewed["version"]);
    place.fails(8, &format!("delete-mutex --key one --version {version}"));
    assert_eq!(place.json(&format!("release --key one --version {version}")), json!({"released": true}));
    assert_eq!(place.json("get-mutex --key one")["locked"], json!(false));

    let next = place.json("acquire -k one -l 20 -d notes");
    assert!(next["fencing_token"].as_u64().unwrap() > token);
    assert_eq!((&next["lease_duration_ms"], &next["data"]), (&json!(20_000), &json!("notes")));
    place.json(&format!("release -k one -v {}", text(&next, "version")));
    assert_eq!(
        place.json(&format!("delete-mutex --key one --version {}", text(&next, "version"))),
        json!({"deleted": 1})
    );
    place.fails(4, "get-mutex --key one");
    assert_eq!(place.json("create-mutex --key one"), json!({"created": 1}));
    assert_eq!(place.json("create-mutex --key one"), json!({"created": 0}));
}

fn semaphores(place: &Place) {
    let lock = place.json("acquire --key one --semaphore-max-size 10");
    assert_eq!((text(&lock, "mutex_key"), text(&lock, "semaphore_key")), ("one_0000000000", "one"));
    let semaphore = place.json("get-semaphore --key one");
    assert_eq!(semaphore["max_size"], json!(10));
    assert_eq!((&semaphore["busy_count"], &semaphore["fair_semaphore"]), (&json!(1), &json!(false)));
    let mutexes = place.json("get-semaphore-mutexes --key one");
    assert_eq!(mutexes.as_array().unwrap().len(), 10);
    assert_eq!((&mutexes[1]["mutex_key"], &mutexes[1]["locked"]), (&json!("one_0000000001"), &json!(false)));
    assert_eq!(place.json("get-mutex --key one_0000000000")["version"], lock["version"]);

    let handle = "--key one_0000000000 --semaphore-key one --version";
    let renewed = place.json(&format!("heartbeat {handle} {}", text(&lock, "version")));
    place.fails(4, &format!("heartbeat {handle} {}", text(&lock, "version")));
    place.fails(8, &format!("delete-semaphore --key one --version {}", text(&semaphore, "version")));
    assert_eq!(
        place.json(&format!("release {handle} {}", text(&renewed, "version"))),
        json!({"released": true})
    );
    place.json("create-semaphore --key one --max-size 2");
    let resized = place.json("get-semaphore --key one");
    assert_eq!(resized["max_size"], json!(2));
    let version = text(&resized, "version");
    assert_eq!(place.json(&format!("delete-semaphore --key one --version {version}")), json!({"deleted": 1}));
    place.fails(4, "get-semaphore --key one");
}

fn fair_semaphores(place: &Place) {
    let fair = "--fair-semaphore true";
    let lock = place.json(&format!("{fair} | acquire --key one --semaphore-max-size 10"));
    let version = text(&lock, "version");
    assert_eq!(text(&lock, "mutex_key"), format!("one_{version}"));
    assert_eq!(text(&lock, "semaphore_key"), "one");
    let semaphore = place.json(&format!("{fair} | get-semaphore --key one"));
    assert_eq!((&semaphore["busy_count"], &semaphore["fair_semaphore"]), (&json!(1), &json!(true)));
    let mutexes = place.json(&format!("{fair} | get-semaphore-mutexes --key one"));
    assert_eq!(mutexes[0]["version"], json!(version));
    assert_eq!((&mutexes[1]["mutex_key"], &mutexes[1]["version"]), (&json!("one_0000000001"), &json!("")));

    let handle = format!("--key one_{version} --semaphore-key one --version {version}");
    assert_eq!(place.json(&format!("{fair} | heartbeat {handle}"))["version"], json!(version));
    assert_eq!(place.json(&format!("{fair} | release {handle}")), json!({"released": true}));
}

fn fair_locks_by_bare_key(place: &Place) {
    let lock = place.json("-f true | acquire --lease 20 --key one");
    let version = text(&lock, "version");
    place.fails(3, "-f | acquire --key one --wait 0");
    assert_eq!(place.json("-f true | get-mutex --key one")["version"], json!(version));
    assert_eq!(
        place.json(&format!("-f true | heartbeat --key one --version {version}"))["version"],
        json!(version)
    );
    assert_eq!(
        place.json(&format!("-f true | release --key one --version {version}")),
        json!({"released": true})
    );
}

fn waiting_and_refusal(place: &Place) {
    let lock = place.json("acquire --key one --lease 60");
    let said = place.fails(3, "acquire --key one --wait 1");
    assert!(said.contains("was not granted within") && said.contains("held by"), "{said}");
    let said = place.fails(4, "release --key one --version somebody-elses");
    assert!(said.contains("not the current one"), "{said}");
    place.fails(4, "heartbeat --key one --version somebody-elses");
    place.fails(4, "release --key unknown --version v");
    place.fails(4, "acquire --key unknown --only-if-exists");
    assert_eq!(place.json("get-mutex --key one")["version"], lock["version"], "refusals change nothing");
}

fn migrate_says_what_it_did(place: &Place) {
    let first = place.json("migrate");
    assert!(first["applied"].is_array(), "{first}");
    assert_eq!(place.json("migrate"), json!({"applied": []}));
}
