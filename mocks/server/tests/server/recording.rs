//! Recording through `/_proxy` and through the proxy, with a second server as the service that is recorded.

use std::net::SocketAddr;
use std::path::Path;

use api_mock_recorder::{AddressGuard, Mode, ProxyConfig, RecorderOptions};
use api_mock_server::{Ended, RecordingConfig};

use crate::support::http::{Answer, ask, get, upload};
use crate::support::{BALANCE, TestServer, simple};

const BEARER: (&str, &str) = ("Authorization", "Bearer sk_test_0123456789");
const PATH: &str = "/v1/customers/cus_1/cash_balance";

/// A server that records in a folder; `/_proxy` may reach what the rules say.
pub(crate) fn recording(folder: &Path, rules: &[&str]) -> TestServer {
    recording_in(Mode::default(), folder, rules)
}

fn recording_in(mode: Mode, folder: &Path, rules: &[&str]) -> TestServer {
    let guard = AddressGuard::public_only().allow(rules.iter().copied()).unwrap();
    TestServer::in_folder(folder, |config, folder| {
        config.recording = Some(RecordingConfig {
            recorder: RecorderOptions { guard, ..RecorderOptions::default() },
            proxy: Some(ProxyConfig { address: ([127, 0, 0, 1], 0).into(), mode, ..ProxyConfig::default() }),
            authority_dir: folder.join(".ca"),
        });
    })
}

/// The service that is recorded.
fn origin() -> TestServer {
    let origin = TestServer::start();
    assert_eq!(upload(origin.address, BALANCE).status, 200);
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        upload(origin.address, &simple(method, "any", "/any", &format!("{method} it is")));
    }
    origin
}

fn call(server: SocketAddr, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = [&[("X-Mock-Url", url)][..], headers].concat();
    ask(server, method, "/_proxy", &headers, body)
}

fn recordings(server: &TestServer) -> Vec<String> {
    let listed = get(server.address, "/_scenarios").json();
    listed.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_walk_through_of_recording_by_the_api_and_playing_back() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let server = recording(folder.path(), &["127.0.0.1"]);
    let url = format!("http://{}{PATH}?page=2", origin.address);
    let answer = call(server.address, "GET", &url, &[BEARER], b"");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(answer.text().contains("\"customer\": cus_1") && answer.text().contains("\"page\": 2"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(recordings(&server).len(), 1, "who asks sees what was recorded before");
    // The query is that of the address, not that of the call.
    let again = get(server.address, &format!("{PATH}?page=2"));
    assert_eq!((again.status, &again.body), (200, &answer.body));
    assert_eq!(again.header("stripe-version"), Some("2018-09-06"));
    assert!(
        again.header("x-mock-scenario").unwrap().starts_with("recorded-v1-customers-cus_1-cash_balance-")
    );
    assert_eq!(get(server.address, &format!("{PATH}?page=3")).status, 400);
    drop(server);
    let file = std::fs::read_dir(folder.path().join("v1/customers/cus_1/cash_balance/GET")).unwrap();
    let text = std::fs::read_to_string(file.into_iter().next().unwrap().unwrap().path()).unwrap();
    assert!(!text.contains("sk_test") && text.contains("Authorization: 'Bearer [redacted]'"), "{text}");
}

#[test]
fn all_methods_are_called_and_played_back() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let server = recording(folder.path(), &["127.0.0.0/8"]);
    let url = format!("http://{}/any", origin.address);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer =
            call(server.address, method, &url, &[("Content-Type", "application/json")], b"{\"a\": 1}");
        assert_eq!((answer.status, answer.text()), (200, &*format!("{method} it is")));
    }
    assert_eq!(call(server.address, "HEAD", &url, &[], b"").status, 200);
    assert_eq!(recordings(&server).len(), 5);
    drop(origin);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let again =
            ask(server.address, method, "/any", &[("Content-Type", "application/json")], b"{\"a\": 7}");
        assert_eq!((again.status, again.text()), (200, &*format!("{method} it is")));
    }
}

#[test]
fn options_is_called_where_it_says_which_address() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let server = recording(folder.path(), &["127.0.0.1"]);
    let url = format!("http://{}/any", origin.address);
    for address in [server.address, server.proxy.unwrap()] {
        let answer = call(address, "OPTIONS", &url, &[], b"");
        assert_eq!((answer.status, answer.text()), (200, "OPTIONS it is"));
        let ours = ask(address, "OPTIONS", "/_proxy", &[], b"");
        assert_eq!((ours.status, ours.header("allow").is_some()), (204, true));
    }
    assert_eq!(recordings(&server).len(), 1);
    // Forwarded, but no scenario can have it.
    assert_eq!(call(server.address, "PROPFIND", &url, &[], b"").status, 404);
    assert_eq!(ask(server.address, "PROPFIND", "/_proxy", &[], b"").status, 405);
    assert_eq!(recordings(&server).len(), 1);
    let page = ("Origin", "http://evil.test");
    assert_eq!(call(server.address, "OPTIONS", &url, &[page], b"").status, 403);
}

#[test]
fn the_mode_and_the_header_say_what_happens_to_calls() {
    let origin = origin();
    // Mode, header, whether it is called, whether it is recorded, whether a scenario of ours answers then.
    for (mode, said, is_called, is_recorded, plays) in [
        (Mode::RecordMissing, "", true, true, false),
        (Mode::RecordMissing, "false", true, false, false),
        (Mode::Record, "", true, true, false),
        (Mode::Record, "False", true, false, false),
        (Mode::Passthrough, "", true, false, false),
        (Mode::Passthrough, "true", true, true, false),
        (Mode::Spy, "", true, false, true),
        (Mode::Spy, "true", true, true, false),
        (Mode::Playback, "", false, false, true),
        (Mode::Playback, "false", false, false, true),
        (Mode::Playback, "true", true, true, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = recording_in(mode, folder.path(), &["127.0.0.1"]);
        let url = format!("http://{}/any", origin.address);
        let headers = if said.is_empty() { vec![] } else { vec![("X-Mock-Record", said)] };
        let answer = call(server.address, "POST", &url, &headers, b"");
        assert_eq!(answer.status, if is_called { 200 } else { 404 }, "{mode:?} {said}: {}", answer.text());
        assert_eq!(recordings(&server).len(), usize::from(is_recorded), "{mode:?} {said}");
        upload(server.address, &simple("POST", "ours", "/any", "ours"));
        let headers = [&headers[..], &[("X-Mock-Scenario", "ours")]].concat();
        let answer = call(server.address, "POST", &url, &headers, b"");
        let wanted = if plays { "ours" } else { "POST it is" };
        assert_eq!((answer.status, answer.text()), (200, wanted), "{mode:?} {said}");
    }
}

#[test]
fn defect_l03_calls_do_not_reach_what_only_this_machine_reaches() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let server = recording(folder.path(), &[]);
    let port = origin.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1"] {
        let answer = call(server.address, "GET", &format!("http://{host}:{port}/any"), &[], b"");
        assert_eq!(answer.status, 403, "{host}: {}", answer.text());
    }
    for (url, words) in [
        ("/any", "must begin with"),
        ("ftp://a.test/", "must begin with"),
        ("http://u:p@a.test/", "password"),
    ] {
        let answer = call(server.address, "GET", url, &[], b"");
        assert!(answer.status == 400 && answer.text().contains(words), "{url}: {}", answer.text());
    }
    assert_eq!(get(server.address, "/_proxy").status, 400);
    assert!(recordings(&server).is_empty());
}

#[test]
fn the_proxy_records_plays_back_and_knows_the_admin_api() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let server = recording(folder.path(), &[]);
    let proxy = server.proxy.unwrap();
    let url = format!("http://{}{PATH}?page=1", origin.address);
    let first = ask(proxy, "GET", &url, &[BEARER], b"");
    assert_eq!((first.status, first.header("x-mock-scenario")), (200, Some("stripe-cash-balance")));
    let again = ask(proxy, "GET", &url, &[BEARER], b"");
    assert_eq!(again.body, first.body);
    assert!(again.header("x-mock-scenario").unwrap().starts_with("recorded-"));
    assert_eq!(again.header("content-type"), Some("application/json"));
    // Whatever the host, and with a type.
    let listed = ask(proxy, "GET", "http://anything.test/_scenarios", &[], b"");
    assert_eq!((listed.status, listed.header("content-type")), (200, Some("application/json")));
    assert_eq!(listed.json().as_object().unwrap().len(), 1);
    assert_eq!(get(proxy, "/_scenarios").status, 200);
    // Only a path that is ours, not one that ends like it.
    let theirs = ask(proxy, "GET", &format!("http://{}/shop/_scenarios", origin.address), &[], b"");
    assert_eq!(theirs.status, 404);
    assert_eq!(server.ended(), Ended::Clean);
}

#[test]
fn the_certificate_is_given_out_and_its_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = recording(folder.path(), &[]);
    for address in [server.address, server.proxy.unwrap()] {
        let answer = get(address, "/_ca");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-pem-file")));
        assert!(
            answer.text().starts_with("-----BEGIN CERTIFICATE-----") && !answer.text().contains("PRIVATE")
        );
    }
    assert_eq!(get(TestServer::start().address, "/_ca").status, 404);
}

#[test]
fn the_token_guards_recording_and_the_admin_api_behind_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::in_folder(folder.path(), |config, folder| {
        config.admin_token = Some("s3cret".to_owned().into());
        config.recording = Some(RecordingConfig {
            recorder: RecorderOptions::default(),
            proxy: Some(ProxyConfig { address: ([127, 0, 0, 1], 0).into(), ..ProxyConfig::default() }),
            authority_dir: folder.join(".ca"),
        });
    });
    assert_eq!(call(server.address, "GET", "http://a.test/", &[], b"").status, 401);
    assert_eq!(ask(server.proxy.unwrap(), "GET", "http://a.test/_scenarios", &[], b"").status, 401);
    let right = ("Authorization", "Bearer s3cret");
    assert_eq!(ask(server.proxy.unwrap(), "GET", "http://a.test/_scenarios", &[right], b"").status, 200);
}
