//! In front of a real service: requests that no scenario is for are passed on, with faults on both sides.

use crate::support::TestServer;
use crate::support::http::{Connection, ask, get, upload};

/// A service that counts what it was asked to do, and one in front of it.
fn pair(group: &str) -> (TestServer, TestServer) {
    let service = TestServer::start();
    let text = "method: POST\nname: apply\npath: /apply\nresponse:\n  headers: {X-Own: a}\n  contents: 'done {{._RequestCount}} times'\n";
    upload(service.address, text);
    let base = format!("http://{}", service.address).parse().unwrap();
    let front = TestServer::with(|config, _| config.upstream = Some(base));
    if !group.is_empty() {
        let put = ask(front.address, "PUT", "/_groups/_all/config", &[], group.as_bytes());
        assert_eq!(put.status, 200, "{}", put.text());
    }
    (service, front)
}

fn apply(server: &TestServer, headers: &[(&str, &str)]) -> crate::support::http::Answer {
    ask(server.address, "POST", "/apply?x=1", headers, b"body")
}

fn is_cut(server: &TestServer) -> bool {
    let mut connection = Connection::open(server.address);
    connection.send("POST", "/apply", &[], b"");
    connection.read(false).is_none()
}

#[test]
fn what_no_scenario_answers_is_passed_on_and_comes_back() {
    let (_service, front) = pair("");
    let answer = apply(&front, &[]);
    assert_eq!((answer.status, answer.text(), answer.header("x-own")), (200, "done 1 times", Some("a")));
    upload(front.address, "method: POST\nname: own\npath: /apply\nresponse:\n  contents: mine\n");
    assert_eq!(apply(&front, &[]).text(), "mine");
    assert_eq!(get(front.address, "/else").status, 404);
    assert!(get(front.address, "/metrics").text().contains(r#"requests_total{outcome="forwarded"} 2"#));
}

#[test]
fn a_fault_before_the_service_leaves_it_alone() {
    let (_service, front) = pair(
        r#"{"faults": [{"name": "throttled", "first": 2, "status": 503, "contents": "slow down",
            "request": {"method": "POST", "match_headers": {"X-Amz-Target": "UpdateItem$"}}}]}"#,
    );
    let target = [("X-Amz-Target", "DynamoDB_20120810.UpdateItem")];
    assert_eq!(apply(&front, &[("X-Amz-Target", "DynamoDB_20120810.GetItem")]).text(), "done 1 times");
    for _ in 0..2 {
        let answer = apply(&front, &target);
        assert_eq!((answer.status, answer.text()), (503, "slow down"));
        assert_eq!(answer.header("x-mock-fault"), Some("throttled (status)"));
    }
    assert_eq!(apply(&front, &target).text(), "done 2 times");
}

#[test]
fn a_fault_after_the_service_has_answered_lets_it_do_its_work() {
    let (service, front) = pair(
        r#"{"faults": [
            {"first": 1, "fault": "connection_reset", "stage": "after_upstream"},
            {"after": 1, "first": 1, "status": 500, "stage": "after_upstream"},
            {"after": 2, "first": 1, "fault": "truncated_body", "after_bytes": 4},
            {"after": 3, "first": 1, "bytes_per_second": 1000, "delay": "1ms"},
            {"after": 4, "fault": "empty_response"}]}"#,
    );
    assert!(is_cut(&front));
    let replaced = apply(&front, &[]);
    assert_eq!((replaced.status, replaced.text()), (500, "done 2 times"));
    let mut connection = Connection::open(front.address);
    connection.send("POST", "/apply", &[], b"");
    assert_eq!(connection.read(true).unwrap().header("content-length"), Some("12"));
    assert_eq!(apply(&front, &[]).text(), "done 4 times");
    // Before it is asked.
    assert!(is_cut(&front));
    assert_eq!(apply(&service, &[]).text(), "done 5 times");
}

#[test]
fn a_request_that_is_passed_on_can_ask_for_faults_too() {
    let (_service, front) = pair("");
    assert_eq!(apply(&front, &[("X-Mock-Fault", "status=429")]).status, 429);
    assert_eq!(apply(&front, &[("X-Mock-Fault", "status=teapot")]).status, 400);
    assert_eq!(apply(&front, &[]).text(), "done 1 times");
}

#[test]
fn a_service_that_is_away_is_a_bad_gateway() {
    let (service, front) = pair("");
    drop(service);
    assert_eq!(apply(&front, &[]).status, 502);
}
