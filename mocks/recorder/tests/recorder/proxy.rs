//! The proxy: real sockets on all sides.

use std::time::Duration;

use api_mock_recorder::{AddressGuard, Mode, ProxyConfig, RecorderOptions, address_of_call};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::origin::{Service, all_bytes};
use crate::support::{Recording, ask, ask_securely, files, get, mode, request, trusting, tunnel};

async fn start(folder: &std::path::Path) -> Recording {
    Recording::start(folder, ProxyConfig::default(), RecorderOptions::default()).await
}

const PATHS: [&str; 8] = [
    "/v1/customers/cus_1/cash_balance",
    "/binary",
    "/big",
    "/query?a=1",
    "/query?a=2&b=%20",
    "/gone",
    "/cookie",
    "/a%20b/%C3%A9",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_played_back_when_the_service_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(false).await;
    let proxy = start(folder.path()).await;
    let mut first = Vec::new();
    for path in PATHS {
        first.push(get(proxy.address, &service.url(path)).await);
    }
    let post =
        |url: &str| request("POST", url, &[("content-type", "application/json")], r#"{"id": 1, "b": ""}"#);
    first.push(ask(proxy.address, post(&service.url("/todos"))).await);
    assert_eq!(service.hits(), PATHS.len() + 1);
    assert_eq!((first[1].body.as_ref(), first[2].body.len()), (&all_bytes()[..], 256 * (8 << 10)));
    // The second time nothing is asked for.
    for (path, before) in PATHS.iter().zip(&first) {
        let again = get(proxy.address, &service.url(path)).await;
        assert_eq!((again.status, &again.body), (before.status, &before.body), "{path}");
        assert!(again.header("x-mock-scenario").unwrap().starts_with("recorded-"), "{path}");
    }
    assert_eq!(service.hits(), PATHS.len() + 1);
    let base = service.url("");
    drop(service);
    assert_eq!(proxy.end().await, 0);
    // Also by another process, later.
    let proxy = start(folder.path()).await;
    for (path, before) in PATHS.iter().zip(&first) {
        let again = get(proxy.address, &format!("{base}{path}")).await;
        assert_eq!((again.status, &again.body), (before.status, &before.body), "{path}");
        assert_eq!(again.header("content-type"), before.header("content-type"), "{path}");
        assert_eq!(
            again.headers.get_all("content-length").iter().count().min(1),
            usize::from(before.status != 204)
        );
    }
    let again = ask(proxy.address, post(&format!("{base}/todos"))).await;
    assert_eq!((again.status, again.text()), (201, r#"{"id": 1, "b": ""}"#));
    let cookies = get(proxy.address, &format!("{base}/cookie")).await;
    let cookies: Vec<_> = cookies.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(cookies, ["sid=[redacted]; Path=/", "b=[redacted]"]);
    assert_eq!(get(proxy.address, &format!("{base}/unknown")).await.status, 502);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_session_gives_the_same_files() {
    let service = Service::start(false).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Recording::start(folder.path(), mode(Mode::Record), RecorderOptions::default()).await;
        for path in PATHS.iter().chain(&PATHS) {
            get(proxy.address, &service.url(path)).await;
        }
        proxy.end().await;
        let found = files(folder.path());
        // One of them has a fixture.
        assert_eq!(found.len(), PATHS.len() + 1, "{:?}", found.iter().map(|f| &f.0).collect::<Vec<_>>());
        sessions.push(found);
    }
    assert_eq!(service.hits(), PATHS.len() * 4);
    assert!(sessions[0] == sessions[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_l02_https_is_recorded_with_our_own_authority_and_verified_upstream() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let url = format!("https://localhost:{}/v1/x?page=1", service.address.port());
    let ask_for = |url: &str| request("GET", url, &[("authorization", "Bearer s3cret")], "");
    // A certificate that nobody vouches for is refused.
    let proxy = start(folder.path()).await;
    let refused = ask_securely(proxy.address, &proxy.authority, b"http/1.1", ask_for(&url)).await.unwrap();
    assert_eq!((refused.status, service.hits()), (502, 0), "{}", refused.text());
    assert!(refused.text().contains("no secure connection to localhost"), "{}", refused.text());
    assert!(proxy.names().await.is_empty());
    proxy.end().await;
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), trusting(&service)).await;
    let one = ask_securely(proxy.address, &proxy.authority, b"http/1.1", ask_for(&url)).await.unwrap();
    assert_eq!((one.status, one.text()), (200, r#"{"path": "/v1/x", "object": "cash_balance"}"#));
    assert_eq!(service.seen.lock().unwrap().get("authorization").unwrap(), "Bearer s3cret");
    drop(service);
    let two = ask_securely(proxy.address, &proxy.authority, b"h2", ask_for(&url)).await.unwrap();
    assert_eq!((&two.body, two.header("x-request-id")), (&one.body, Some("req_2")));
    let text: String = files(folder.path()).into_iter().map(|f| String::from_utf8(f.1).unwrap()).collect();
    assert!(!text.contains("s3cret") && text.contains("Bearer [redacted]"), "{text}");
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_and_the_header_say_what_happens() {
    // Mode, header, requests that reach the service of two equal ones, recordings.
    for (config, header, hits, recordings) in [
        (Mode::RecordMissing, "", 1, 1),
        (Mode::RecordMissing, "true", 2, 1),
        (Mode::RecordMissing, "false", 2, 0),
        (Mode::Record, "", 2, 1),
        (Mode::Playback, "", 0, 0),
        (Mode::Playback, "true", 2, 1),
        (Mode::Passthrough, "", 2, 0),
        (Mode::Passthrough, "true", 2, 1),
        (Mode::Spy, "", 2, 0),
    ] {
        let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
        let proxy = Recording::start(folder.path(), mode(config), RecorderOptions::default()).await;
        for _ in 0..2 {
            let headers = [("x-mock-record", header)];
            let headers = if header.is_empty() { &headers[..0] } else { &headers[..] };
            let got = ask(proxy.address, request("GET", &service.url("/x"), headers, "")).await;
            assert_eq!(got.status, if hits == 0 { 404 } else { 200 }, "{config:?} {header}");
        }
        let found = (service.hits(), proxy.names().await.len());
        assert_eq!(found, (hits, recordings), "{config:?} {header}");
        assert!(!service.seen.lock().unwrap().keys().any(|name| name.as_str().starts_with("x-mock")));
        proxy.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spies_play_back_what_is_there() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = Recording::start(folder.path(), mode(Mode::Spy), RecorderOptions::default()).await;
    let file = "method: GET\nname: mine\npath: /v1/:id\nresponse:\n  contents: mocked {{.id}}\n";
    proxy.engine.store().put_text(file, api_mock_scenario::Format::Yaml).unwrap();
    assert_eq!(get(proxy.address, &service.url("/v1/7")).await.text(), "mocked 7");
    assert_eq!(get(proxy.address, &service.url("/v2/7")).await.status, 200);
    let late = request("GET", &service.url("/v1/7"), &[("x-mock-response-status", "503")], "");
    assert_eq!(ask(proxy.address, late).await.status, 503);
    assert_eq!(service.hits(), 1);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_can_be_given_a_name() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    for body in ["{\"a\":1}", "{\"a\":\"x\"}"] {
        let headers = [("x-mock-scenario", "mine"), ("x-mock-record", "true")];
        ask(proxy.address, request("POST", &service.url("/todos"), &headers, body)).await;
    }
    assert_eq!(proxy.names().await, ["mine"]);
    let kept = proxy.engine.store().get("POST", "mine", "/todos").unwrap();
    assert_eq!(kept.scenario.response.contents.as_text(), Some("{\"a\":\"x\"}"));
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hand_changed_in_a_recording_stays() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = Recording::start(folder.path(), mode(Mode::Record), RecorderOptions::default()).await;
    get(proxy.address, &service.url("/x")).await;
    let name = proxy.names().await.remove(0);
    let mut edited = proxy.engine.store().get("GET", &name, "/x").unwrap().scenario.clone();
    edited.description = "mine".to_owned();
    proxy.engine.store().put_scenario(&edited).unwrap();
    get(proxy.address, &service.url("/x")).await;
    proxy.names().await;
    assert_eq!(proxy.engine.store().get("GET", &name, "/x").unwrap().scenario.description, "mine");
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_l18_the_admin_api_answers_for_any_host_but_not_for_longer_paths_and_pages() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    assert_eq!(get(proxy.address, "http://anything.test/_scenarios").await.text(), "admin");
    assert_ne!(get(proxy.address, &service.url("/shop/_scenarios")).await.text(), "admin");
    let direct = ask(proxy.address, request("GET", "/_scenarios", &[], "")).await;
    assert_eq!(direct.text(), "admin");
    let direct = ask(proxy.address, request("GET", "/else", &[], "")).await;
    assert_eq!(direct.status, 400);
    assert!(direct.text().contains("this is a proxy"));
    let page = request("GET", "http://evil.test/_scenarios", &[("sec-fetch-site", "same-origin")], "");
    assert_ne!(ask(proxy.address, page).await.text(), "admin");
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_proxy_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(folder.path()).await;
    let got = get(proxy.address, &format!("http://{}/x", proxy.address)).await;
    assert_eq!(
        (got.status, got.text()),
        (403, r#"{"message":"this request would come back to this proxy"}"#)
    );
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_off_are_passed_on_as_broken_and_not_recorded() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let asked = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", service.url("/half"));
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("content-length: 100") && text.ends_with("half"), "{text}");
    assert!(proxy.names().await.is_empty());
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_l04_bodies_over_the_limits_are_forwarded_whole_and_not_kept() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let options = RecorderOptions {
        max_body_bytes: 64 << 10,
        max_matched_bytes: 1 << 10,
        ..RecorderOptions::default()
    };
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), options).await;
    assert_eq!(get(proxy.address, &service.url("/big")).await.body.len(), 256 * (8 << 10));
    assert!(proxy.names().await.is_empty());
    // One that is too long to be matched is still forwarded, and recorded.
    let long = "x".repeat(32 << 10);
    let got = ask(proxy.address, request("POST", &service.url("/todos"), &[], &long)).await;
    assert_eq!((got.status, got.body), (201, Bytes::from(long)));
    assert_eq!(proxy.names().await.len(), 1);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_l22_what_concerns_one_connection_is_neither_forwarded_nor_recorded() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let headers = [
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("proxy-authorization", "Basic s3cret"),
        ("proxy-connection", "keep-alive"),
        ("accept-encoding", "gzip, br"),
        ("if-none-match", "\"1\""),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("x-stays", "1"),
    ];
    ask(proxy.address, request("GET", &service.url("/x"), &headers, "")).await;
    let seen = service.seen.lock().unwrap().clone();
    let mut names: Vec<&str> = seen.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-encoding", "host", "x-stays"]);
    assert_eq!(seen["accept-encoding"], "identity");
    assert_eq!(seen["host"], service.address.to_string());
    let name = proxy.names().await.remove(0);
    let text = proxy.engine.store().get("GET", &name, "/x").unwrap().text.to_ascii_lowercase();
    for never in ["content-length", "connection", "s3cret", "date:", "transfer-encoding", "x-hop"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    proxy.end().await;
}

async fn call(proxy: &Recording, url: &str) -> Result<u16, (u16, String)> {
    let (head, ()) = Request::builder().header("host", "admin").body(()).unwrap().into_parts();
    let called = async { proxy.recorder.call(address_of_call(url)?, head, Bytes::new(), true).await };
    let called = called.await;
    called.map(|answer| answer.status().as_u16()).map_err(|why| (why.status().as_u16(), why.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_l03_calls_for_others_go_only_where_they_may() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let port = service.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"] {
        let (status, why) = call(&proxy, &format!("http://{host}:{port}/x")).await.unwrap_err();
        assert!(status == 403 || host == "127.1" && status == 502, "{host}: {status} {why}");
    }
    assert_eq!(service.hits(), 0);
    for (url, status) in [("file:///etc/passwd", 400), ("/x", 400), ("http://me:x@a.test/", 400), ("", 400)] {
        assert_eq!(call(&proxy, url).await.unwrap_err().0, status, "{url}");
    }
    proxy.end().await;
    let guard = AddressGuard::public_only().allow(["127.0.0.0/8"]).unwrap();
    let options = RecorderOptions { guard, ..RecorderOptions::default() };
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), options).await;
    assert_eq!(call(&proxy, &service.url("/x?a=1")).await.unwrap(), 200);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_a_time_record_each_exchange_once() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let mut running = tokio::task::JoinSet::new();
    for client in 0..8 {
        let (address, base) = (proxy.address, service.url(""));
        running.spawn(async move {
            for n in 0..20 {
                let path = format!("/item/{}", (n + client) % 20);
                let got = get(address, &format!("{base}{path}")).await;
                assert_eq!(got.text(), format!("{{\"path\": \"{path}\", \"object\": \"cash_balance\"}}"));
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert_eq!(proxy.names().await.len(), 20);
    assert_eq!(proxy.recorder.counts(), (20, 0));
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_proxy_does_not_wait_for_streams_without_end() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let mut config = ProxyConfig::default();
    config.timeouts.shutdown = Duration::from_millis(200);
    let proxy = Recording::start(folder.path(), config, RecorderOptions::default()).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let events = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", service.url("/events"));
    stream.write_all(events.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    let idle = tunnel(proxy.address, "silent.test:443").await;
    assert_eq!(proxy.end().await, 1);
    drop(idle);
}
