//! Servers in tests, as users start them and ask them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../server/tests/support/http.rs"]
mod http;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_mock_service::{Calls, Mock, MockServer, Outcome, Reply, Times, get, post, put, request};
use http::{Connection, ask};
use serde_json::json;

fn start(mocks: impl IntoIterator<Item = Mock>) -> MockServer {
    let builder = MockServer::builder();
    mocks.into_iter().fold(builder, |builder, mock| builder.scenario(mock)).start_blocking().unwrap()
}

fn text(server: &MockServer, target: &str) -> String {
    http::get(server.address(), target).text().to_owned()
}

fn status(server: &MockServer, target: &str) -> u16 {
    http::get(server.address(), target).status
}

fn send(server: &MockServer, target: &str, body: &str) -> u16 {
    ask(server.address(), "POST", target, &[], body.as_bytes()).status
}

/// What a drop panics with.
fn dropped(server: MockServer) -> Option<String> {
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    dropped.err().map(|panic| panic.downcast_ref::<String>().unwrap().clone())
}

#[test]
fn scenarios_in_rust_answer_with_templates() {
    let server = start([
        get("/hello/:who").text("Hello {{.who}}, {{.greeting}}"),
        get("/json/{id}").json(json!({"id": "{{.id}}", "list": [1, 2.5, null]})).response_header("ETag", "a"),
        get("/raw").bytes("image/png", &b"\x89PNG {{.x}}"[..]),
        put("/made").status(201),
        get("/count").status_template("{{if NthRequest 2}}503{{else}}200{{end}}"),
    ]);
    assert_eq!(text(&server, "/hello/you?greeting=hi"), "Hello you, hi");
    let answer = http::get(server.address(), "/json/7");
    assert_eq!(answer.json(), json!({"id": "7", "list": [1, 2.5, null]}));
    assert_eq!((answer.header("content-type"), answer.header("etag")), (Some("application/json"), Some("a")));
    assert_eq!(http::get(server.address(), "/raw").body, b"\x89PNG {{.x}}");
    assert_eq!(ask(server.address(), "PUT", "/made", &[], b"").status, 201);
    assert_eq!(
        [status(&server, "/count"), status(&server, "/count"), status(&server, "/count")],
        [200, 503, 200]
    );
    assert_eq!(ask(server.address(), "HEAD", "/hello/x", &[], b"").header("content-length"), Some("9"));
}

#[test]
fn demands_are_exact_unless_they_say_that_they_match() {
    let server = start([
        get("/q").query("a", "1.5").header("X-Kind", "<a>.[b]{c}$ \\ {{d}}").text("exact"),
        get("/r").query_matches("a", "^[0-9]+$").header_matches("X-Kind", "^b").text("regex"),
        post("/body").body_matches("<id>[0-9]+</id>").text("xml"),
    ]);
    let asked =
        |target: &str, kind: &str| ask(server.address(), "GET", target, &[("X-Kind", kind)], b"").status;
    assert_eq!(asked("/q?a=1.5", "<a>.[b]{c}$ \\ {{d}}"), 200);
    assert_eq!(asked("/q?a=1x5", "<a>.[b]{c}$ \\ {{d}}"), 400);
    assert_eq!(asked("/q?a=11.5", "<a>.[b]{c}$ \\ {{d}}"), 400);
    assert_eq!(asked("/q?a=1.5", "<a>.[b]{c}$ \\ {{dd}}"), 400);
    assert_eq!((asked("/r?a=12", "bcd"), asked("/r?a=x", "bcd"), asked("/r?a=1", "cb")), (200, 400, 400));
    assert_eq!((send(&server, "/body", "<id>1</id>"), send(&server, "/body", "<id/>")), (200, 400));
}

#[test]
fn a_json_body_must_hold_what_is_demanded() {
    let wanted = json!({"kind": "mail", "to": [{"name": "Ann"}, {"name": "B.b"}], "size": 3, "urgent": true, "no": null});
    let server = start([post("/jobs").json_body(wanted.clone()).status(201)]);
    assert_eq!(send(&server, "/jobs", &wanted.to_string()), 201);
    let mut more = wanted.clone();
    more["more"] = json!("x");
    assert_eq!(send(&server, "/jobs", &more.to_string()), 201);
    for change in ["/kind", "/to/0/name", "/to/1/name", "/size", "/urgent"] {
        let mut other = wanted.clone();
        *other.pointer_mut(change).unwrap() = json!("Bxb");
        assert_eq!(send(&server, "/jobs", &other.to_string()), 400, "{change}");
        *other.pointer_mut(change).unwrap() = json!(null);
        assert_eq!(send(&server, "/jobs", &other.to_string()), 400, "{change} missing");
    }
    for body in ["", "{}", "[]", "kind=mail", "mail", "{\"kind\": "] {
        assert_eq!(send(&server, "/jobs", body), 400, "{body:?}");
    }
}

#[test]
fn functions_answer() {
    let server = start([
        request("POST", "/echo/:id/x").answer(|call| {
            let id = call.variable("id").unwrap().to_owned();
            let said = String::from_utf8_lossy(&call.body).into_owned();
            Reply::json(&json!({"id": id, "said": said, "count": call.count}))
                .with_status(202)
                .header("X-A", "b")
        }),
        get("/flaky").in_turn([Reply::status(503), Reply::status(429), Reply::text("{{.at}} last")]),
        get("/bad").answer(|_| Reply::status(99)),
    ]);
    let answer = ask(server.address(), "POST", "/echo/7/x", &[], b"hello");
    assert_eq!(answer.json(), json!({"id": "7", "said": "hello", "count": 1}));
    assert_eq!((answer.status, answer.header("x-a")), (202, Some("b")));
    assert_eq!(answer.header("x-mock-path"), Some("/echo/:id/x"));
    let statuses: Vec<u16> = (0..4).map(|_| status(&server, "/flaky")).collect();
    assert_eq!(statuses, [503, 429, 200, 200]);
    assert_eq!(text(&server, "/flaky"), "{{.at}} last", "what functions make is no template");
    let bad = http::get(server.address(), "/bad");
    assert_eq!((bad.status, bad.text()), (500, "get-bad: 99 is no status from 200 to 599\n"));
}

#[test]
fn a_panic_of_a_function_is_an_answer_and_fails_the_test() {
    let server = start([get("/p").name("picky").answer(|_| panic!("not what I want"))]);
    let answer = http::get(server.address(), "/p");
    assert_eq!(
        (answer.status, answer.text()),
        (500, "a function that answers panicked: picky: not what I want\n")
    );
    assert_eq!(status(&server, "/p"), 500, "it goes on");
    assert!(server.verify().unwrap_err().to_string().contains("picky: not what I want"));
    assert!(dropped(server).unwrap().contains("not what I want"));
}

#[test]
fn what_came_is_told() {
    let server = start([post("/jobs/:queue").name("job").status(201)]);
    ask(server.address(), "POST", "/jobs/mail?dry=1", &[("X-Kind", "a")], br#"{"to": "ann"}"#);
    status(&server, "/nothing");
    let received = server.received_requests();
    assert_eq!(received.len(), 2);
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/jobs/mail"));
    assert_eq!((received[0].query_value("dry"), received[0].header("x-kind")), (Some("1"), Some("a")));
    assert_eq!(received[0].json::<serde_json::Value>().unwrap(), json!({"to": "ann"}));
    assert_eq!(received[0].scenario(), Some("job"));
    assert!(matches!(&received[0].outcome, Outcome::Answered { status: 201, .. }));
    assert!(matches!(&received[1].outcome, Outcome::NotMatched { status: 404, .. }));
    server.forget_requests();
    assert!(server.received_requests().is_empty());
    assert_eq!((server.count("job"), server.count(Calls::all())), (0, 0));
}

#[test]
fn what_a_specification_refuses_came_too() {
    let server =
        MockServer::builder().configure(|config| config.validate_requests = true).start_blocking().unwrap();
    let specification = r#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"get": {
        "parameters": [{"name": "n", "in": "query", "schema": {"type": "integer"}}],
        "responses": {"200": {"description": "good"}}}}}}"#;
    assert_eq!(ask(server.address(), "POST", "/_oapi", &[], specification.as_bytes()).status, 200);
    assert_eq!((status(&server, "/a?n=1"), status(&server, "/a?n=x")), (200, 400));
    let received = server.received_requests();
    assert!(
        matches!(&received[1].outcome, Outcome::Refused { status: 400, message, .. } if message.contains("\"T\""))
    );
    assert_eq!((server.count(Calls::all()), server.count(Calls::unmatched())), (2, 1));
}

#[test]
fn calls_are_counted_by_scenario_rules_and_function() {
    let server = start([get("/a/:x").name("a"), get("/b").name("b")]);
    for target in ["/a/1", "/a/2?page=1", "/b", "/c"] {
        status(&server, target);
    }
    ask(server.address(), "GET", "/a/3", &[("X-Mock-Scenario", "a")], b"");
    assert_eq!((server.count("a"), server.count("b"), server.count("c")), (3, 1, 0));
    assert_eq!(server.count(get("/a/:any")), 3, "also one that asked for a scenario");
    assert_eq!((server.count(get("/a/2").query("page", "1")), server.count(post("/a/2"))), (1, 0));
    assert_eq!((server.count(Calls::unmatched()), server.count(Calls::all())), (1, 5));
    assert_eq!(server.count(Calls::that("end in 2", |request| request.path.ends_with('2'))), 1);
    server.assert("a", 3);
    server.assert("a", 1..4);
    server.assert("a", ..=3);
    server.assert("b", 1..);
    assert!(
        server.check("b", 2..).is_err() && server.check("b", 0).is_err() && server.check("b", ..).is_ok()
    );
}

#[test]
fn a_failure_shows_what_came_and_why_it_does_not_count() {
    let server =
        start([post("/jobs").name("job").header("Authorization", "Bearer s3cret").query("dry", "no")]);
    let credentials = [("Authorization", "Bearer hunter2")];
    ask(server.address(), "POST", "/jobs?dry=yes&token=hunter3", &credentials, b"hunter4");
    ask(server.address(), "POST", "/jobs?dry=no", &[("Authorization", "Bearer s3cret")], b"");
    status(&server, "/job");
    let wanted = "expected a request to scenario \"job\" exactly 2 times, but there was 1\n\
        received, 3 in all:\n  \
        1. POST /jobs?dry=…&token=… with 7 bytes -> 400, no scenario matches\n       \
        not counted: query parameter \"dry\" is another, expected ^no$; header \"Authorization\" is another\n\
        + 2. POST /jobs?dry=… -> 200 by job\n  \
        3. GET /job -> 404, no scenario matches";
    let unmet = server.check("job", 2).unwrap_err();
    assert_eq!(unmet.to_string(), wanted);
    assert_eq!(format!("{unmet:?}"), unmet.to_string(), "a test prints it like that");
    let unmet = server.check(post("/jobs").query("page", "1"), 1..).unwrap_err().to_string();
    assert!(
        unmet.starts_with("expected a request like POST /jobs at least once, but there were 0\n"),
        "{unmet}"
    );
    assert!(unmet.contains("not counted: query parameter \"page\" is missing, expected ^1$\n"), "{unmet}");
    assert!(unmet.contains("not counted: the method or the path is another"), "{unmet}");
    assert!(!unmet.contains("hunter"), "{unmet}");
    let silent = start([]);
    let unmet = silent.check(Calls::all(), 1).unwrap_err().to_string();
    assert_eq!(unmet, "expected any request exactly once, but there were 0\nno request was received");
}

#[test]
fn expectations_are_checked_at_the_end() {
    let kept = start([get("/a").expect(1..), get("/b").expect(0)]);
    status(&kept, "/a");
    kept.verify().unwrap();
    assert_eq!(dropped(kept), None);
    let broken = start([get("/a").name("a").expect(2), get("/b").name("b").expect(1..=3)]);
    status(&broken, "/a");
    let message = broken.verify().unwrap_err().to_string();
    assert!(message.contains("scenario \"a\" exactly 2 times, but there was 1"), "{message}");
    assert!(message.contains("scenario \"b\" 1 to 3 times, but there were 0"), "{message}");
    assert_eq!(dropped(broken), Some(message));
    let reset = start([get("/a").expect(2)]);
    reset.reset();
    assert_eq!(status(&reset, "/a"), 404);
    assert_eq!(dropped(reset), None, "what was taken away expects nothing");
}

#[test]
fn the_journal_is_bounded_and_says_so() {
    let server = MockServer::builder().scenario(post("/big").name("big")).journal_bytes(100_000);
    let server = server.start_blocking().unwrap();
    for _ in 0..20 {
        send(&server, "/big", &"x".repeat(10_000));
    }
    let kept = server.received_requests().len();
    assert!((5..10).contains(&kept), "{kept}");
    server.assert("big", 20);
    server.assert(Calls::all(), 20);
    // At least so many are certain; more cannot be known.
    server.assert(post("/big"), 5..);
    let unmet = server.check(post("/big"), 0..20).unwrap_err().to_string();
    assert!(unmet.contains("older requests are not kept any more: raise journal_bytes"), "{unmet}");
    send(&server, "/big", &"x".repeat(200_000));
    assert_eq!(server.received_requests().len(), 0, "one that is larger than all is not kept");
    server.assert("big", 21);
}

#[test]
fn parallel_servers_do_not_see_each_other() {
    let threads: Vec<_> = (0..16)
        .map(|number| {
            std::thread::spawn(move || {
                let server = start([get("/who").name("who").text(format!("{number}"))]);
                let mut connection = Connection::open(server.address());
                for _ in 0..50 {
                    assert_eq!(connection.ask("GET", "/who", &[], b"").text(), number.to_string());
                }
                server.assert("who", 50);
                server.address()
            })
        })
        .collect();
    let ports: std::collections::HashSet<_> =
        threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(ports.len() > 1);
}

#[test]
fn a_drop_ends_the_thread_cuts_connections_and_frees_the_port() {
    let mocks = [get("/slow").wait(Duration::from_secs(3600)), get("/fast")];
    let server = start(mocks);
    let address = server.address();
    let (mut idle, mut waiting) = (Connection::open(address), Connection::open(address));
    idle.ask("GET", "/fast", &[], b"");
    waiting.send("GET", "/slow", &[], b"");
    server.wait_for_blocking(get("/slow"), 1, Duration::from_secs(30)).unwrap();
    drop(server);
    assert!(idle.is_ended() && waiting.is_ended());
    std::net::TcpListener::bind(address).expect("the port is free");
    let again = MockServer::builder().address(address).start_blocking().expect("for a mock server, too");
    assert_eq!(again.address(), address);
}

#[cfg(target_os = "linux")]
#[test]
fn no_thread_stays() {
    let own = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.trim() == "mock-server").count()
    };
    // Other tests of this process have servers of their own at the same time: not more than they.
    for _ in 0..100 {
        let server = start([get("/a")]);
        status(&server, "/a");
        drop(server);
    }
    assert!(own() < 60, "{}", own());
}

#[test]
fn seeds_and_clocks_make_answers_repeatable() {
    let template = "{{Udid}} {{RandName}} {{RandNumMinMax 1 1000000}} {{Time}}";
    let run = |seed: Option<u64>| {
        let mut builder = MockServer::builder().scenario(get("/r").text(template));
        if let Some(seed) = seed {
            builder =
                builder.seed(seed).clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        }
        let server = builder.start_blocking().unwrap();
        [text(&server, "/r"), text(&server, "/r")]
    };
    let (first, other) = (run(Some(0)), run(Some(1)));
    assert_eq!(first, run(Some(0)));
    assert!(first[0] != first[1] && first != other && run(None) != run(None));
    assert!(first[0].ends_with("2023-11-14T22:13:20Z"), "{first:?}");
}

#[test]
fn waits_can_be_cut() {
    let mock = get("/slow").name("slow").wait(Duration::from_secs(3600));
    let server = MockServer::builder().scenario(mock).longest_wait(Duration::ZERO).start_blocking().unwrap();
    assert_eq!(status(&server, "/slow"), 200);
    server.assert("slow", 1);
}

#[test]
fn files_folders_fixtures_and_specifications() {
    let folder = tempfile::tempdir().unwrap();
    let at = |place: &str| folder.path().join(place);
    std::fs::create_dir_all(at("data/v1/a b/GET")).unwrap();
    std::fs::write(
        at("one.yaml"),
        "method: GET\nname: one\npath: /one\nresponse:\n    contents: '{{RandFileLine \"lines.txt\"}}'\n",
    )
    .unwrap();
    std::fs::write(at("lines.txt"), "a line\n").unwrap();
    let scenario = "method: GET\nname: two\npath: /v1/a%20b/:id\nresponse:\n    contents_file: two.bin\n";
    std::fs::write(at("data/v1/a b/GET/two.scr"), scenario).unwrap();
    std::fs::create_dir_all(at("data/v1/a%20b/GET")).unwrap();
    std::fs::write(at("data/v1/a%20b/GET/two.bin.dat"), b"\x00\x01").unwrap();
    let spec = "openapi: 3.0.0\ninfo: {title: Pets, version: '1'}\npaths:\n  /pets/{id}:\n    get:\n      operationId: pet\n      parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n      responses:\n        '200': {description: ok, content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}}}\n";
    std::fs::write(at("pets.yaml"), spec).unwrap();
    let server = MockServer::builder()
        .scenario_file(at("one.yaml"))
        .folder(at("data"))
        .openapi_file(at("pets.yaml"))
        .fixture("GET", "/", "three.txt", "three")
        .scenario(get("/three").fixture("text/plain", "three.txt"))
        .scenario("method: GET\nname: four\npath: /four\nresponse:\n    contents: four\n".to_owned())
        .start_blocking()
        .unwrap();
    assert_eq!(
        (text(&server, "/one"), text(&server, "/three"), text(&server, "/four")),
        ("a line".into(), "three".into(), "four".into())
    );
    assert_eq!(http::get(server.address(), "/v1/a%20b/7").body, b"\x00\x01");
    assert!(http::get(server.address(), "/pets/7").json()["name"].is_string());
    let before = std::fs::read_dir(at("data")).unwrap().count();
    http::upload(server.address(), "method: GET\nname: five\npath: /five\nresponse:\n    contents: five\n");
    assert_eq!(text(&server, "/five"), "five", "the admin API is there");
    assert_eq!(std::fs::read_dir(at("data")).unwrap().count(), before, "and changes no file of the test");
}

#[test]
fn what_does_not_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("GET")).unwrap();
    std::fs::write(
        folder.path().join("GET/bad.scr"),
        "method: GET\nname: bad\npath: /b\nresponse:\n    status_code: many\n",
    )
    .unwrap();
    let said =
        |builder: api_mock_service::MockServerBuilder| format!("{:?}", builder.start_blocking().unwrap_err());
    let text = said(MockServer::builder().folder(folder.path()));
    assert!(
        text.contains("GET/bad.scr:5: response.status_code: expected a status from 200 to 599"),
        "{text}"
    );
    let text = said(MockServer::builder().scenario_file(folder.path().join("GET/bad.scr")));
    assert!(text.contains("bad.scr") && text.contains("5: response.status_code"), "{text}");
    let text = said(MockServer::builder().scenario_file("no/such/file.yaml"));
    assert!(text.starts_with("cannot read no/such/file.yaml: "), "{text}");
    let text = said(MockServer::builder().folder("no/such/folder"));
    assert!(text.starts_with("cannot read no/such/folder: "), "{text}");
    let text = said(MockServer::builder().scenario(get("/x").name("x").text("{{Nope}}")));
    assert!(text.starts_with("scenario \"x\" is no good: "), "{text}");
    let text = said(MockServer::builder().scenario(request("GE T", "/x")));
    assert!(text.contains("method"), "{text}");
    let taken = MockServer::builder().start_blocking().unwrap();
    let text = said(MockServer::builder().address(taken.address()));
    assert!(text.starts_with(&format!("cannot listen on {}: ", taken.address())), "{text}");
}

#[test]
fn scenarios_come_and_go_while_it_runs() {
    let server = start([]);
    assert_eq!(server.mount(get("/a/:b").text("1")).unwrap(), "get-a-b");
    assert_eq!(server.mount(get("/a/:b").text("2")).unwrap(), "get-a-b-2");
    let mut two = [text(&server, "/a/x"), text(&server, "/a/x")];
    two.sort();
    assert_eq!(two, ["1", "2"], "they take turns");
    server.mount(get("/a/:b").name("get-a-b").text("3")).unwrap();
    assert!(server.unmount("get-a-b-2") && !server.unmount("get-a-b-2"));
    assert_eq!([text(&server, "/a/x"), text(&server, "/a/x")], ["3", "3"]);
    server.mount(get("/a/:b").name("get-a-b").answer(|_| Reply::text("made"))).unwrap();
    assert_eq!(text(&server, "/a/x"), "made");
    server.mount("method: GET\nname: get-a-b\npath: /a/:b\nresponse:\n    contents: 4\n").unwrap();
    assert_eq!(text(&server, "/a/x"), "4", "the function went with its mock");
    server.put_fixture("GET", "/f", "f.txt", "bytes").unwrap();
    server.mount(get("/f").fixture("text/plain", "f.txt")).unwrap();
    assert_eq!(text(&server, "/f"), "bytes");
    assert!(server.mount("no: scenario").is_err());
}

#[test]
fn a_function_may_ask_the_server_itself() {
    let server = Arc::new(start([]));
    let weak = Arc::downgrade(&server);
    let count = move || weak.upgrade().map_or(0, |server| server.count(Calls::all()));
    server.mount(get("/n").answer(move |_| Reply::text(count().to_string()))).unwrap();
    assert_eq!([text(&server, "/n"), text(&server, "/n")], ["0", "1"]);
}

#[tokio::test]
async fn it_starts_and_waits_in_async_tests_of_one_thread() {
    let server =
        MockServer::builder().scenario(post("/hook").name("hook").status(202)).start().await.unwrap();
    let address = server.address();
    let client = std::thread::spawn(move || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(5));
            ask(address, "POST", "/hook", &[], b"{}");
        }
    });
    server.wait_for("hook", 3, Duration::from_secs(30)).await.unwrap();
    // Blocks the runtime's only thread; the server has its own.
    client.join().unwrap();
    let unmet = server.wait_for("hook", 4, Duration::from_millis(10)).await.unwrap_err();
    assert!(
        unmet
            .to_string()
            .starts_with("expected a request to scenario \"hook\" at least 4 times, but there were 3")
    );
    let empty = MockServer::start().await.unwrap();
    assert_eq!(empty.url("/a"), format!("{}/a", empty.uri()));
}

#[test]
fn tls_with_a_certificate_of_its_own() {
    let server = MockServer::builder().tls().scenario(get("/s").text("secret")).start_blocking().unwrap();
    assert!(server.uri().starts_with("https://127.0.0.1:"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server.certificate_pem().unwrap()).unwrap();
    let mut curl = std::process::Command::new("curl");
    let Ok(output) = curl.arg("-sS").arg("--cacert").arg(file.path()).arg(server.url("s")).output() else {
        eprintln!("skipped: it is tried with curl");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "secret",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn limits_and_tokens_are_those_of_the_server() {
    let server = MockServer::builder().configure(|server| {
        server.limits.body_bytes = 10;
        server.admin_token = Some("t0ken".to_owned().into());
    });
    let server = server.scenario(post("/p")).start_blocking().unwrap();
    assert_eq!((send(&server, "/p", "short"), send(&server, "/p", "longer than ten")), (200, 413));
    assert_eq!(status(&server, "/_scenarios"), 401);
}

#[test]
fn numbers_of_times_read_well() {
    let shown = |times: Times| times.to_string();
    assert_eq!(shown(1.into()), "exactly once");
    assert_eq!(shown((..3).into()), "at most 2 times");
    assert_eq!(shown((..).into()), "any number of times");
    assert!(!Times::from(3..3).contains(3));
}
