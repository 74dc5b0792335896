//! HTTP itself: methods, keep-alive, limits, slow clients.

use std::time::Duration;

use crate::support::http::{Connection, ask, get, upload};
use crate::support::{TestServer, simple, wait_until};

#[test]
fn a_connection_serves_many_requests() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "one", "/one", "1"));
    let mut connection = Connection::open(server.address);
    for count in 1..=50 {
        let answer = connection.ask("GET", "/one", &[], b"");
        assert_eq!((answer.status, answer.text()), (200, "1"));
        assert_eq!(answer.header("x-mock-request-count"), Some(count.to_string().as_str()));
    }
    let answer = connection.ask("GET", "/one", &[("Connection", "close")], b"");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.is_ended());
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "echo", "/echo/:id", "{{.id}}"));
    let mut connection = Connection::open(server.address);
    let many: String = (0..40).map(|id| format!("GET /echo/{id} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    connection.write(many);
    for id in 0..40 {
        assert_eq!(connection.read(false).unwrap().text(), id.to_string());
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = TestServer::start();
    upload(server.address, &simple("HEAD", "head", "/thing", "hello"));
    let mut connection = Connection::open(server.address);
    let answer = connection.ask("HEAD", "/thing", &[], b"");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    // A body would now stand in the way.
    assert_eq!(connection.ask("HEAD", "/thing", &[], b"").status, 200);
}

#[test]
fn a_head_without_a_scenario_of_its_own_takes_that_of_get() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "get", "/thing", "hello"));
    let answer = ask(server.address, "HEAD", "/thing", &[], b"");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
}

#[test]
fn all_methods_are_played_back() {
    let server = TestServer::start();
    for method in ["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let stored = upload(server.address, &simple(method, "any", "/any", method));
        assert_eq!(stored.status, 200, "{method}: {}", stored.text());
    }
    for method in ["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = ask(server.address, method, "/any", &[], b"");
        assert_eq!((answer.status, answer.text()), (200, method));
    }
}

#[test]
fn statuses_without_a_body_have_none() {
    let server = TestServer::start();
    for status in ["204", "304", "205"] {
        let path = format!("/s{status}");
        let text = simple("GET", "none", &path, "text") + &format!("    status_code: {status}\n");
        assert_eq!(upload(server.address, &text).status, 200);
        let mut connection = Connection::open(server.address);
        for _ in 0..2 {
            let answer = connection.ask("GET", &path, &[], b"");
            assert_eq!((answer.status.to_string().as_str(), answer.body.as_slice()), (status, &b""[..]));
        }
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_and_while_it_comes() {
    let server = TestServer::with(|config, _| config.limits.body_bytes = 1000);
    upload(server.address, &simple("POST", "post", "/post", "ok"));
    assert_eq!(ask(server.address, "POST", "/post", &[], &[b'x'; 1000]).status, 200);
    let mut connection = Connection::open(server.address);
    connection
        .write("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    let answer = connection.read(false).unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.json()["message"].as_str().unwrap().contains("1000"));
    let mut connection = Connection::open(server.address);
    connection.write("POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..4 {
        let _ = connection.try_write(format!("12c\r\n{}\r\n", "x".repeat(300)));
    }
    assert_eq!(connection.read(false).unwrap().status, 413);
}

#[test]
fn an_upload_that_is_too_large_is_refused() {
    let server = TestServer::with(|config, _| config.limits.upload_bytes = 500);
    assert_eq!(upload(server.address, &simple("GET", "big", "/big", &"x".repeat(500))).status, 413);
    assert_eq!(ask(server.address, "POST", "/_fixtures/GET/f.txt/a", &[], &[b'x'; 501]).status, 413);
    assert_eq!(ask(server.address, "POST", "/_fixtures/GET/f.txt/a", &[], &[b'x'; 500]).status, 200);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = TestServer::with(|config, _| {
        config.limits.header_bytes = 8 << 10;
        config.limits.headers = 20;
    });
    let mut connection = Connection::open(server.address);
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n");
    for _ in 0..20 {
        let _ = connection.try_write(format!("X: {}\r\n", "y".repeat(1000)));
    }
    assert_eq!(connection.read(false).unwrap().status, 431);
    let many: String = (0..30).map(|n| format!("X-{n}: y\r\n")).collect();
    let mut connection = Connection::open(server.address);
    connection.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"));
    assert_eq!(connection.read(false).unwrap().status, 431);
}

#[test]
fn what_is_no_http_is_refused() {
    let server = TestServer::start();
    for nonsense in [
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        connection.write(nonsense);
        if let Some(answer) = connection.read(false) {
            assert_eq!(answer.status, 400, "{nonsense:?}");
        }
        assert!(connection.is_ended());
    }
    assert_eq!(get(server.address, "/_health").status, 200);
}

/// Both lengths said at once is how requests are smuggled past a proxy.
#[test]
fn a_request_with_two_lengths_is_not_misread() {
    let server = TestServer::start();
    upload(server.address, &simple("POST", "post", "/post", "ok"));
    let mut connection = Connection::open(server.address);
    connection.write(
        "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcGET /evil HTTP/1.1\r\n\r\n",
    );
    assert_eq!(connection.read(false).unwrap().status, 400);
    assert!(connection.is_ended());
}

#[test]
fn slow_heads_are_cut_and_others_go_on() {
    let server = TestServer::with(|config, _| config.timeouts.idle = Duration::from_millis(300));
    upload(server.address, &simple("GET", "one", "/one", "1"));
    // As much as could begin HTTP/2, nothing, and a head that never ends.
    let mut slow: Vec<_> = (0..3).map(|_| Connection::open(server.address)).collect();
    slow[0].write("PRI");
    slow[2].write("GET /one HTTP/1.1\r\nHost: x\r\n");
    let dripping = std::thread::scope(|scope| {
        let dripping = scope.spawn(|| {
            let mut connection = Connection::open(server.address);
            connection.write("GET /one HTTP/1.1\r\n");
            // It writes all the time, and is cut all the same.
            (0..6000).any(|n| {
                std::thread::sleep(Duration::from_millis(10));
                connection.try_write(format!("X-{n}: y\r\n")).is_err()
            })
        });
        for connection in &mut slow {
            assert!(connection.is_ended());
        }
        assert_eq!(get(server.address, "/one").text(), "1");
        dripping.join().unwrap()
    });
    assert!(dripping);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_forever() {
    let server = TestServer::with(|config, _| config.timeouts.body = Duration::from_millis(200));
    let mut connection = Connection::open(server.address);
    connection.write("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(connection.read(false).unwrap().status, 408);
    assert!(connection.is_ended());
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut() {
    let server = TestServer::with(|config, folder| {
        config.timeouts.idle = Duration::from_millis(300);
        let assets = folder.join("assets");
        std::fs::create_dir_all(&assets).unwrap();
        let file = std::fs::File::create(assets.join("large.bin")).unwrap();
        file.set_len(256 << 20).unwrap();
        config.asset_dir = Some(assets);
    });
    let mut connection = Connection::open(server.address);
    connection.send("GET", "/_assets/large.bin", &[], b"");
    let open = |address| {
        let text = get(address, "/metrics").text().to_owned();
        let line = text.lines().find(|line| line.starts_with("api_mock_connections ")).unwrap().to_owned();
        line.split(' ').nth(1).unwrap().parse::<u32>().unwrap()
    };
    // This one and that of the question.
    wait_until("the end of the connection", || open(server.address) == 1);
}

#[test]
fn connections_above_the_limit_wait_for_their_turn() {
    let server = TestServer::with(|config, _| config.limits.connections = 2);
    let mut first = Connection::open(server.address);
    let mut second = Connection::open(server.address);
    assert_eq!(first.ask("GET", "/_health", &[], b"").status, 200);
    assert_eq!(second.ask("GET", "/_health", &[], b"").status, 200);
    let mut third = Connection::open(server.address);
    third.send("GET", "/_health", &[], b"");
    assert_eq!(first.ask("GET", "/_health", &[], b"").status, 200);
    drop(first);
    assert_eq!(third.read(false).unwrap().status, 200);
}

#[test]
fn waits_are_cut_at_the_longest() {
    let server = TestServer::with(|config, _| config.timeouts.longest_wait = Duration::from_millis(20));
    upload(server.address, &simple("GET", "one", "/one", "1"));
    let answer = ask(server.address, "GET", "/one", &[("X-Mock-Wait-Before-Reply", "8760h")], b"");
    assert_eq!(answer.text(), "1");
}

#[test]
fn paths_are_decoded_once_and_queries_too() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "who", "/hello/:who", "{{.who}} and {{.more}}"));
    let answer = get(server.address, "/hello/J%C3%BCrgen%20%252F?more=a+b%26c");
    assert_eq!((answer.status, answer.text()), (200, "Jürgen %2F and a b&c"));
}
