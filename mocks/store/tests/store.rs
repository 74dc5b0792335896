//! The store on a real disk.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api_mock_scenario::{Format, Key, Scenario};
use api_mock_store::{Store, StoreError, StoreErrorKind, StoreOptions};

fn scenario_text(name: &str, path: &str, contents: &str) -> String {
    format!("method: GET\nname: {name}\npath: {path}\nresponse:\n  contents: {contents}\n")
}

/// A store that is looked through only when it is told to.
fn open(folder: &Path) -> Store {
    let mut options = StoreOptions::in_folder(folder);
    options.watch_every = None;
    Store::open(options).unwrap().0
}

fn contents(store: &Store, name: &str, path: &str) -> Option<String> {
    let stored = store.get("GET", name, path).ok()?;
    stored.scenario.response.contents.as_text().map(str::to_owned)
}

/// Writes like a hand does, and lets the file rest long enough to be read.
fn edit(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    let before = std::time::SystemTime::now() - Duration::from_secs(5);
    fs::File::options().write(true).open(file).unwrap().set_modified(before).unwrap();
}

fn all_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(all_files(&entry.path()));
        } else {
            files.push(entry.path().to_string_lossy().into_owned());
        }
    }
    files.sort();
    files
}

#[test]
fn scenarios_survive_a_restart_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let text = "# mine\nmethod: GET\nname: todo\npath: /todos/:id\nresponse:\n  contents: {{.id}}\n";
    {
        let store = open(folder.path());
        store.put_text(text, Format::Yaml).unwrap();
        store.put_fixture("GET", "a.bin", "/todos/:id", vec![0, 255].into()).unwrap();
    }
    assert_eq!(fs::read_to_string(folder.path().join("todos/GET/todo.scr")).unwrap(), text);
    let store = open(folder.path());
    assert_eq!(&*store.get("GET", "todo", "/todos/:id").unwrap().text, text);
    assert_eq!(store.fixture("get", "a.bin", "/todos").unwrap().bytes()[..], [0, 255]);
    // Nothing half written is left.
    assert_eq!(all_files(folder.path()).len(), 2);
}

#[test]
fn defect_l11_one_bad_file_is_reported_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    edit(
        &folder.path().join("a/GET/bad.scr"),
        "method: GET\nname: bad\npath: /a\nresponse:\n  status_code: abc\n",
    );
    edit(&folder.path().join("a/GET/good.scr"), &scenario_text("good", "/a", "g"));
    edit(&folder.path().join("b.scr"), "\u{0}\u{1}");
    fs::write(folder.path().join("c.scr"), [0xff, 0xfe]).unwrap();
    let (store, problems) = Store::open(StoreOptions::in_folder(folder.path())).unwrap();
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages[0],
        "a/GET/bad.scr:5: response.status_code: expected a status from 200 to 599, found \"abc\""
    );
    assert!(messages[1].starts_with("b.scr"), "{messages:?}");
    assert!(messages[2].starts_with("c.scr: expected text"), "{messages:?}");
    assert_eq!(store.names("GET", "/a").unwrap(), ["good"]);
}

#[test]
fn a_check_refuses_uploads_and_files() {
    let folder = tempfile::tempdir().unwrap();
    edit(&folder.path().join("x.scr"), &scenario_text("no", "/x", "a"));
    let check = |scenario: &Scenario, _: &str| {
        if scenario.name == "no" { Err("not this one".into()) } else { Ok(()) }
    };
    let (store, problems) = Store::open(StoreOptions::in_folder(folder.path()).checked(check)).unwrap();
    assert_eq!(problems[0].message, "x.scr: not this one");
    let error = store.put_text(&scenario_text("no", "/y", "a"), Format::Yaml).unwrap_err();
    assert_eq!((error.kind().status(), error.to_string().as_str()), (400, "not this one"));
    store.put_text(&scenario_text("yes", "/y", "a"), Format::Yaml).unwrap();
}

#[test]
fn files_that_turn_bad_are_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = told.clone();
    let mut options = StoreOptions::in_folder(folder.path());
    options.watch_every = None;
    let options = options.reporting(move |problem| keep.lock().unwrap().push(problem.to_string()));
    let (store, _) = Store::open(options).unwrap();
    let file = folder.path().join("x/GET/s.scr");
    edit(&file, "method: GET\nname: s\npath: [\n");
    (0..3).for_each(|_| store.refresh());
    edit(&file, &scenario_text("s", "/x", "good"));
    store.refresh();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("x/GET/s.scr:"), "{told:?}");
}

#[test]
fn files_changed_by_hand_are_picked_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let file = folder.path().join("x/GET/s.scr");
    edit(&file, &scenario_text("s", "/x", "one"));
    store.refresh();
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("one"));
    // Until it is good again, the old one stays.
    edit(&file, "method: GET\nname: s\npath: [\n");
    store.refresh();
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("one"));
    assert!(store.problems()[0].message.starts_with("x/GET/s.scr:"), "{:?}", store.problems());
    edit(&file, &scenario_text("s", "/x", "two three"));
    store.refresh();
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("two three"));
    assert!(store.problems().is_empty());
    assert!(store.get("GET", "s", "/x").unwrap().by_hand);
    // Another name in the same file.
    edit(&file, &scenario_text("t", "/x", "four"));
    store.refresh();
    assert_eq!((contents(&store, "s", "/x"), contents(&store, "t", "/x")), (None, Some("four".into())));
    fs::remove_file(&file).unwrap();
    store.refresh();
    assert_eq!(contents(&store, "t", "/x"), None);
    // Fixtures too.
    edit(&folder.path().join("x/GET/l.txt.dat"), "a\n");
    store.refresh();
    assert_eq!(store.fixture_names("GET", "/x").unwrap(), ["l.txt"]);
}

#[test]
fn the_watching_thread_sees_changes_and_ends_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::in_folder(folder.path());
    options.watch_every = Some(Duration::from_millis(5));
    let (store, _) = Store::open(options).unwrap();
    let alive = Arc::new(AtomicBool::new(true));
    let seen = alive.clone();
    store.on_change(move |_| seen.load(Ordering::Relaxed));
    edit(&folder.path().join("x/GET/s.scr"), &scenario_text("s", "/x", "one"));
    let begin = Instant::now();
    while contents(&store, "s", "/x").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing was seen");
        std::thread::sleep(Duration::from_millis(5));
    }
    alive.store(false, Ordering::Relaxed);
    // Waits for the thread.
    drop(store);
}

#[test]
fn a_second_file_of_the_same_scenario_waits_for_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    edit(&folder.path().join("a.scr"), &scenario_text("s", "/x", "first"));
    edit(&folder.path().join("b.scr"), &scenario_text("s", "/x", "second"));
    let store = open(folder.path());
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("first"));
    assert_eq!(store.problems()[0].message, "b.scr: is the same scenario as a.scr: GET /x (s)");
    fs::remove_file(folder.path().join("a.scr")).unwrap();
    store.refresh();
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("second"));
    assert!(store.problems().is_empty());
}

/// At once, or one after the other: then the first is skipped until the other has changed, too.
#[test]
fn two_files_can_exchange_their_scenarios() {
    for at_once in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (m, n) = (folder.path().join("m.scr"), folder.path().join("n.scr"));
        edit(&m, &scenario_text("mm", "/x", "1"));
        edit(&n, &scenario_text("nn", "/x", "2"));
        let store = open(folder.path());
        edit(&m, &scenario_text("nn", "/x", "m's"));
        if !at_once {
            store.refresh();
            assert_eq!(store.problems()[0].message, "m.scr: is the same scenario as n.scr: GET /x (nn)");
            assert_eq!(contents(&store, "mm", "/x").as_deref(), Some("1"), "what was there stays");
        }
        edit(&n, &scenario_text("mm", "/x", "n's"));
        store.refresh();
        assert!(store.problems().is_empty(), "{:?}", store.problems());
        assert_eq!(contents(&store, "mm", "/x").as_deref(), Some("n's"));
        assert_eq!(contents(&store, "nn", "/x").as_deref(), Some("m's"));
    }
}

#[test]
fn a_skipped_file_takes_the_scenario_that_another_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.scr"), folder.path().join("b.scr"));
    edit(&a, &scenario_text("s", "/x", "a's"));
    edit(&b, &scenario_text("s", "/x", "b's"));
    let store = open(folder.path());
    assert_eq!(store.problems().len(), 1);
    edit(&a, &scenario_text("t", "/x", "a's"));
    store.refresh();
    assert!(store.problems().is_empty(), "{:?}", store.problems());
    assert_eq!(contents(&store, "s", "/x").as_deref(), Some("b's"));
    assert_eq!(contents(&store, "t", "/x").as_deref(), Some("a's"));
}

#[test]
fn defect_l18_scenarios_that_share_folder_and_name_share_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for path in ["/v1/customers/:customer/balance", "/v1/customers/:c/x", "/v1/customers"] {
        store.put_text(&scenario_text("same", path, &path.replace([':', '/'], "")), Format::Yaml).unwrap();
    }
    assert_eq!(all_files(folder.path()).len(), 3);
    let again = open(folder.path());
    assert_eq!(contents(&again, "same", "/v1/customers/:c/x").as_deref(), Some("v1customerscx"));
    // Writing one again goes to its own file.
    again.put_text(&scenario_text("same", "/v1/customers/:c/x", "new"), Format::Yaml).unwrap();
    assert_eq!(all_files(folder.path()).len(), 3);
    assert_eq!(
        contents(&open(folder.path()), "same", "/v1/customers/:customer/balance").as_deref(),
        Some("v1customerscustomerbalance")
    );
    assert_eq!(again.names("GET", "/v1/customers/:any").unwrap(), ["same"]);
    // Which one is meant is not clear from the folder alone.
    assert_eq!(again.delete("GET", "same", "/v1/customers/:z").unwrap_err().kind(), StoreErrorKind::NotFound);
    again.delete("GET", "same", "/v1/customers/:c/x").unwrap();
    assert_eq!(all_files(folder.path()).len(), 2);
}

#[test]
fn defect_l01_uploads_stay_in_the_data_folder() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("data");
    let store = open(&inner);
    for (method, name, path) in [
        ("GET", "n", "/../../x"),
        ("GET", "n", "/a/%2e%2e/%2e%2e/x"),
        ("GET", "../../n", "/a"),
        ("GET", "..", "/a"),
        ("../..", "n", "/a"),
        ("GET", "n", "/a\\..\\..\\x"),
    ] {
        let error = store.put_fixture(method, name, path, "x".into()).unwrap_err();
        assert_eq!(error.kind().status(), 400, "{method} {name} {path}");
        assert!(
            store.fixture(method, name, path).is_err() && store.delete_fixture(method, name, path).is_err()
        );
        let text = format!("method: '{method}'\nname: '{name}'\npath: '{path}'\n");
        assert_eq!(store.put_text(&text, Format::Yaml).unwrap_err().kind().status(), 400, "{text}");
    }
    assert_eq!(all_files(outer.path()), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn defect_l01_symbolic_links_lead_nowhere_outside() {
    let outer = tempfile::tempdir().unwrap();
    let (inner, secret) = (outer.path().join("data"), outer.path().join("secret"));
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("s.scr"), scenario_text("s", "/leak", "secret")).unwrap();
    fs::create_dir_all(inner.join("x/GET")).unwrap();
    std::os::unix::fs::symlink(&secret, inner.join("out")).unwrap();
    std::os::unix::fs::symlink(secret.join("s.scr"), inner.join("x/GET/s.scr")).unwrap();
    edit(&inner.join("x/GET/real.scr"), &scenario_text("real", "/x", "r"));
    std::os::unix::fs::symlink(inner.join("x/GET/real.scr"), inner.join("alias.yml")).unwrap();
    let store = open(&inner);
    assert_eq!(store.snapshot().scenarios().count(), 1, "{:?}", store.problems());
    assert!(
        store.problems().iter().all(|problem| !problem.message.contains("secret")),
        "{:?}",
        store.problems()
    );
    let error = store.put_text(&scenario_text("n", "/out", "x"), Format::Yaml).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    let error = store.put_fixture("GET", "f", "/out/deep", "x".into()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    assert_eq!(all_files(&secret).len(), 1);
}

#[test]
fn defect_l14_unusual_names_are_stored_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let long = format!("/{}", "segment-".repeat(60));
    for path in ["/a b/~c,(d)=+%25", "/é/日本", "/v1.2/x.y.z", long.as_str()] {
        let name = "a name, with: signs?";
        let scenario =
            Scenario { method: "GET".into(), name: name.into(), path: path.into(), ..Scenario::default() };
        store.put_scenario(&scenario).unwrap();
        let key = Key { method: "GET".into(), name: name.into(), path: path.into() };
        assert!(open(folder.path()).snapshot().scenario(&key).is_some(), "{path}");
    }
}

/// Many at once are written by several threads, and made last together.
#[cfg(unix)]
#[test]
fn of_many_scenarios_all_are_there_or_none() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let text = |number: usize| scenario_text("s", &format!("/many/{number}"), &number.to_string());
    let stored = store.put_texts((0..400).map(text).collect()).unwrap();
    assert_eq!(stored.len(), 400);
    let read = |number: usize| fs::read_to_string(folder.path().join(format!("many/{number}/GET/s.scr")));
    assert!((0..400).all(|number| read(number).unwrap() == text(number)));
    assert_eq!(open(folder.path()).snapshot().scenarios().count(), 400);
    // One of the next has no place.
    std::os::unix::fs::symlink(outside.path(), folder.path().join("many/799")).unwrap();
    let error = store.put_texts((400..800).map(text).collect()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    assert_eq!(store.snapshot().scenarios().count(), 400);
    assert_eq!(all_files(folder.path()).len(), 400, "also none that was begun");
    assert!(all_files(outside.path()).is_empty());
}

#[test]
fn readers_never_see_a_torn_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let long = |letter: &str| scenario_text("s", "/x", &letter.repeat(20_000));
    store.put_text(&long("a"), Format::Yaml).unwrap();
    let file = folder.path().join("x/GET/s.scr");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..40 {
                store.put_text(&long(if round % 2 == 0 { "b" } else { "a" }), Format::Yaml).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text == long("a") || text == long("b"), "{} bytes", text.len());
            let body = contents(&store, "s", "/x").unwrap();
            assert!(body.len() == 20_000 && (body.starts_with('a') != body.ends_with('b')));
        }
    });
    assert_eq!(all_files(folder.path()).len(), 1);
}

#[test]
fn what_a_killed_writer_left_is_no_scenario_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("x/GET/.writing-1-0");
    edit(&left, &scenario_text("s", "/x", "half"));
    let store = open(folder.path());
    assert!(store.snapshot().scenarios().next().is_none() && !left.exists());
}

#[test]
fn fixtures_are_seen_from_below() {
    let store = Store::open(StoreOptions::in_memory()).unwrap().0;
    store.put_fixture("GET", "a", "/", "root".into()).unwrap();
    store.put_fixture("GET", "b", "/devices", "devices".into()).unwrap();
    store.put_fixture("POST", "c", "/devices", "post".into()).unwrap();
    let found: Vec<String> = store
        .snapshot()
        .fixture_folders("devices/deep/GET")
        .iter()
        .flat_map(|folder| folder.keys().cloned())
        .collect();
    assert_eq!(found, ["b", "a"]);
    assert_eq!(store.fixture("GET", "a", "/devices").unwrap_err().kind(), StoreErrorKind::NotFound);
    store.delete_fixture("GET", "b", "/devices/:id").unwrap();
    assert_eq!(store.fixture_names("GET", "/devices").unwrap(), Vec::<String>::new());
    assert_eq!(store.delete_fixture("GET", "b", "/devices").unwrap_err().kind().status(), 404);
}

#[test]
fn groups_and_lists() {
    let store = Store::open(StoreOptions::in_memory()).unwrap().0;
    for (name, group) in [("a", "g2"), ("b", "g1"), ("c", ""), ("d", "g1")] {
        let scenario = Scenario {
            method: "get".into(),
            name: name.into(),
            path: "x".into(),
            group: group.into(),
            ..Scenario::default()
        };
        store.put_scenario(&scenario).unwrap();
    }
    assert_eq!(store.groups(), ["g1", "g2"]);
    let names: Vec<String> =
        store.list(Some("g1")).iter().map(|stored| stored.scenario.name.clone()).collect();
    assert_eq!(names, ["b", "d"]);
    assert_eq!(store.list(None).len(), 4);
    assert_eq!(store.names("GET", "/none").unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[test]
fn limits_hold_for_uploads_and_files() {
    let folder = tempfile::tempdir().unwrap();
    edit(&folder.path().join("big.scr"), &scenario_text("s", "/x", &"x".repeat(2_000)));
    let mut options = StoreOptions::in_folder(folder.path());
    options.max_scenario_bytes = 1_000;
    options.max_fixture_bytes = 10;
    options.max_scenarios = 2;
    let (store, problems) = Store::open(options).unwrap();
    assert!(problems[0].message.contains("over the limit of 1000"), "{problems:?}");
    let text = scenario_text("s", "/x", &"x".repeat(2_000));
    assert_eq!(store.put_text(&text, Format::Yaml).unwrap_err().kind().status(), 413);
    assert_eq!(store.put_fixture("GET", "f", "/", vec![0; 11].into()).unwrap_err().kind().status(), 413);
    for name in ["a", "b"] {
        store.put_text(&scenario_text(name, "/x", "y"), Format::Yaml).unwrap();
    }
    let error = store.put_text(&scenario_text("c", "/x", "y"), Format::Yaml).unwrap_err();
    assert!(matches!(error, StoreError::TooMany(2)), "{error}");
    store.put_text(&scenario_text("b", "/x", "again"), Format::Yaml).unwrap();
}

#[test]
fn listeners_hear_of_every_change_before_it_returns() {
    let store = Store::open(StoreOptions::in_memory()).unwrap().0;
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = heard.clone();
    store.on_change(move |snapshot| {
        list.lock().unwrap().push((snapshot.generation(), snapshot.scenarios().count()));
        true
    });
    store.put_text(&scenario_text("a", "/x", "y"), Format::Yaml).unwrap();
    assert_eq!(*heard.lock().unwrap(), [(0, 0), (1, 1)]);
    let scenario = |name: &str| Scenario {
        method: "GET".into(),
        name: name.into(),
        path: "/x".into(),
        ..Scenario::default()
    };
    store.put_all(&[scenario("b"), scenario("c")]).unwrap();
    store.delete("GET", "a", "/x").unwrap();
    assert_eq!(heard.lock().unwrap()[2..], [(2, 3), (3, 2)]);
    // All or none.
    assert!(store.put_all(&[scenario("d"), scenario("")]).is_err());
    assert_eq!(heard.lock().unwrap().len(), 4);
}

#[test]
fn what_is_set_for_groups_is_kept_and_followed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(StoreOptions::in_folder(folder.path())).unwrap();
    store.put_group_config("my shop", r#"{"faults": [{"status": 500}]}"#).unwrap();
    let file = folder.path().join("groups/my%20shop.json");
    assert!(file.is_file());
    let (again, problems) = Store::open(StoreOptions::in_folder(folder.path())).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(again.group_config("my shop").unwrap().faults.len(), 1);

    std::fs::write(folder.path().join("groups/hand.yaml"), "faults:\n  - delay: 1s\n  - status: many\n")
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    store.refresh();
    let told = store.problems();
    assert_eq!(told.len(), 1);
    assert!(told[0].message.starts_with("groups/hand.yaml:3: faults[1].status: "), "{}", told[0].message);
    assert!(store.group_config("hand").is_err());

    store.delete_group_config("my shop").unwrap();
    assert!(!file.exists() && store.delete_group_config("my shop").is_err());
}
