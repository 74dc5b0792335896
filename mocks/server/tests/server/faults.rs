//! Faults as clients meet them: on plain sockets, under TLS, over HTTP/2.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use api_mock_server::Identity;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::encrypted::{connect, request};
use crate::support::TestServer;
use crate::support::http::{Connection, ask, get, upload};

/// A scenario that says `hello world`, with faults below.
fn faulty(name: &str, faults: &str) -> String {
    format!(
        "method: GET\nname: {name}\npath: /{name}\nresponse:\n  contents: hello world\nfaults:\n{}\n",
        faults.lines().map(|line| format!("  {line}\n")).collect::<String>()
    )
}

/// What is on the wire, and how it ended.
fn raw(address: SocketAddr, path: &str) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all).map(drop).map_err(|error| error.kind());
    (all, ended)
}

fn parts(all: &[u8]) -> (String, Vec<u8>) {
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8(all[..at].to_vec()).unwrap().to_lowercase(), all[at + 4..].to_vec())
}

const FAULTS: [(&str, &str); 7] = [
    ("reset", "- fault: connection_reset"),
    ("reset-late", "- fault: connection_reset\n  after_bytes: 5"),
    ("empty", "- fault: empty_response"),
    ("truncated", "- fault: truncated_body\n  after_bytes: 4"),
    ("garbage", "- fault: garbage"),
    ("chunk", "- fault: malformed_chunk"),
    ("length", "- fault: wrong_content_length"),
];

#[test]
fn http1_connections_are_reset_emptied_truncated_and_spoilt() {
    let server = TestServer::start();
    for (name, fault) in FAULTS {
        assert_eq!(upload(server.address, &faulty(name, fault)).status, 200, "{name}");
    }
    assert_eq!(raw(server.address, "/reset"), (Vec::new(), Err(ErrorKind::ConnectionReset)));
    assert_eq!(raw(server.address, "/empty"), (Vec::new(), Ok(())));

    let (all, ended) = raw(server.address, "/reset-late");
    let (head, body) = parts(&all);
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("content-length: 11"), "{head}");
    assert!(head.contains("x-mock-fault: connection_reset"), "{head}");
    assert_eq!((body.as_slice(), ended), (&b"hello"[..], Err(ErrorKind::ConnectionReset)));

    let (all, ended) = raw(server.address, "/truncated");
    let (head, body) = parts(&all);
    assert!(head.contains("content-length: 11"), "{head}");
    assert_eq!((body.as_slice(), ended), (&b"hell"[..], Ok(())));

    let (all, ended) = raw(server.address, "/garbage");
    assert!(all.len() == 256 && all[0] >= 0x80 && !all.starts_with(b"HTTP"), "{all:?}");
    assert_eq!(ended, Ok(()));

    let (all, _) = raw(server.address, "/chunk");
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&all[..at]).contains("transfer-encoding: chunked"));
    assert!(all[at + 4] >= 0x80, "no size in hexadecimal digits");

    let (all, ended) = raw(server.address, "/length");
    let (head, body) = parts(&all);
    assert!(head.contains("content-length: 111"), "{head}");
    assert_eq!((body.as_slice(), ended), (&b"hello world"[..], Ok(())));

    let metrics = get(server.address, "/metrics");
    for kind in ["connection_reset\"} 2", "garbage\"} 1", "malformed_chunk\"} 1", "wrong_content_length\"} 1"]
    {
        assert!(metrics.text().contains(&format!("api_mock_faults_total{{fault=\"{kind}")), "{kind}");
    }
}

#[test]
fn what_was_asked_before_on_the_same_connection_is_answered() {
    let server = TestServer::start();
    upload(server.address, &faulty("cut", "- fault: truncated_body\n  after: 1"));
    let mut connection = Connection::open(server.address);
    connection.write("GET /cut HTTP/1.1\r\nHost: x\r\n\r\nGET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.read(false).unwrap().text(), "hello world");
    assert_eq!(connection.read(true).unwrap().header("content-length"), Some("11"));
    assert_eq!(raw(server.address, "/cut").1, Ok(()));
}

#[test]
fn a_slow_drip_comes_whole_in_pieces() {
    let server = TestServer::start();
    upload(server.address, &faulty("slow", "- bytes_per_second: 20"));
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut all, mut reads) = (Vec::new(), 0);
    loop {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        reads += 1;
        all.extend_from_slice(&piece[..count]);
    }
    let (head, body) = parts(&all);
    assert!(head.contains("content-length: 11") && head.contains("x-mock-fault: slow_drip"), "{head}");
    assert_eq!(body, b"hello world");
    assert!(reads > 3, "it came in {reads} pieces");
}

#[test]
fn waits_end_at_the_limit_of_the_server() {
    // Each of them would take hours.
    let server = TestServer::with(|config, _| config.timeouts.longest_wait = Duration::from_millis(60));
    upload(server.address, &faulty("late", "- delay: 2h\n- delay: 1h..2h"));
    upload(
        server.address,
        &faulty("slow", &format!("- bytes_per_second: 1\n  contents: {}", "x".repeat(9_999))),
    );
    upload(
        server.address,
        &faulty(
            "cut",
            &format!(
                "- bytes_per_second: 1\n  fault: wrong_content_length\n  contents: {}",
                "x".repeat(9_999)
            ),
        ),
    );
    assert_eq!(get(server.address, "/late").text(), "hello world");
    assert_eq!(get(server.address, "/slow").body.len(), 9_999);
    assert_eq!(parts(&raw(server.address, "/cut").0).1.len(), 9_999);
}

#[test]
fn faults_change_status_headers_and_body_and_count() {
    let server = TestServer::start();
    let faults = "- name: throttled\n  first: 2\n  status: 429\n  headers: {Retry-After: 1}\n  contents: slow down\n- every: 3\n  delay: 1ms";
    upload(server.address, &faulty("busy", faults));
    let answers: Vec<_> = (0..4).map(|_| get(server.address, "/busy")).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [429, 429, 200, 200]);
    assert_eq!((answers[0].text(), answers[0].header("retry-after")), ("slow down", Some("1")));
    assert_eq!(answers[0].header("x-mock-fault"), Some("throttled (status)"));
    assert_eq!((answers[2].text(), answers[2].header("x-mock-fault")), ("hello world", Some("delay")));
    assert_eq!(answers[3].header("x-mock-fault"), None);
    assert_eq!(answers[3].header("x-mock-chaos-enabled"), None);
}

#[test]
fn a_request_can_ask_for_a_fault() {
    let server = TestServer::start();
    upload(server.address, &faulty("fine", "[]").replace("faults:\n  []\n", ""));
    let with = |fault: &str| ask(server.address, "GET", "/fine", &[("X-Mock-Fault", fault)], b"");
    let answer = with("status=503; contents=no; delay=1ms..2ms");
    assert_eq!((answer.status, answer.text()), (503, "no"));
    assert_eq!(answer.header("x-mock-fault"), Some("status, status (delay)"));
    assert_eq!(with(r#"{"status": [500], "headers": {"A": "b"}}"#).header("a"), Some("b"));
    assert_eq!(with("status=503; probability=0").status, 200);
    let answer = with("explosion");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("X-Mock-Fault: fault: expected connection_reset"), "{}", answer.text());
    let mut connection = Connection::open(server.address);
    connection.send("GET", "/fine", &[("X-Mock-Fault", "connection_reset")], b"");
    assert!(connection.read(false).is_none());
}

#[test]
fn groups_have_faults_and_variables_over_the_admin_api() {
    let server = TestServer::start();
    let text = "method: GET\nname: one\npath: /one\ngroup: shop\nresponse:\n  contents: 'in {{.city}}'\n";
    upload(server.address, text);
    let config = "/_groups/shop/config";
    assert_eq!(get(server.address, config).status, 404);
    assert_eq!(get(server.address, "/one").header("x-mock-chaos-enabled"), None);

    let put = |body: &str| ask(server.address, "PUT", config, &[], body.as_bytes());
    let answer = put(
        r#"{"variables": {"city": "Ulm"}, "chaos_enabled": true, "mean_time_between_failure": 1, "http_errors": [502]}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = get(server.address, "/one");
    assert_eq!((answer.status, answer.text()), (502, "in Ulm"));
    assert_eq!(answer.header("x-mock-chaos-enabled"), Some("true"));
    assert_eq!(answer.header("x-mock-fault"), Some("failure (status)"));
    assert!(server.folder().join("groups/shop.json").is_file());
    assert_eq!(get(server.address, config).json()["http_errors"], serde_json::json!([502]));

    assert_eq!(put(r#"{"chaos_enabled": false, "faults": [{"status": 500}]}"#).status, 200);
    let answer = get(server.address, "/one");
    assert_eq!((answer.status, answer.header("x-mock-chaos-enabled")), (200, Some("false")));

    let answer = put("faults:\n  - status: 500\n  - delay: soon\n");
    assert_eq!(answer.status, 400);
    assert_eq!(
        (answer.json()["field"].as_str(), answer.json()["line"].as_u64()),
        (Some("faults[1].delay"), Some(3))
    );
    assert_eq!(ask(server.address, "DELETE", config, &[], b"").status, 200);
    assert_eq!(ask(server.address, "DELETE", config, &[], b"").status, 404);
    assert_eq!(get(server.address, "/one").header("x-mock-chaos-enabled"), None);
}

#[test]
fn a_group_may_be_called_like_a_path() {
    let server = TestServer::start();
    let text =
        "method: GET\nname: one\npath: /one\ngroup: /comments/1\nresponse:\n  contents: 'in {{.city}}'\n";
    upload(server.address, text);
    let config = "/_groups/%2Fcomments%2F1/config";
    let put = ask(server.address, "PUT", config, &[], br#"{"variables": {"city": "Ulm"}}"#);
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(get(server.address, "/one").text(), "in Ulm");
    assert!(server.folder().join("groups/%2Fcomments%2F1.json").is_file());
    assert_eq!(get(server.address, config).json()["variables"]["city"], "Ulm");
    assert_eq!(ask(server.address, "DELETE", config, &[], b"").status, 200);
    assert_eq!(get(server.address, config).status, 404);
    for bad in ["%2E%2E", ".", "a%00b"] {
        let answer = ask(server.address, "PUT", &format!("/_groups/{bad}/config"), &[], b"{}");
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
    }
}

#[test]
fn an_upload_with_a_wrong_fault_is_refused_with_its_place() {
    let server = TestServer::start();
    let answer = upload(server.address, &faulty("bad", "- status: 500\n- probability: 2\n  status: 500"));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["field"], "faults[1].probability");
    assert_eq!(answer.json()["line"], 8);
}

async fn over_http2(sender: &mut SendRequest<Full<Bytes>>, path: &str) -> Result<Bytes, hyper::Error> {
    let answer = sender.send_request(request("GET", &format!("http://localhost{path}"), "")).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

#[test]
fn over_http2_only_the_stream_is_reset() {
    let server = TestServer::start();
    for (name, fault) in FAULTS {
        upload(server.address, &faulty(name, fault));
    }
    upload(server.address, &faulty("slow", "- bytes_per_second: 40"));
    server.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        for (name, _) in FAULTS {
            let answered = over_http2(&mut sender, &format!("/{name}")).await;
            assert!(answered.is_err(), "{name}: {answered:?}");
            // The other streams do not notice.
            assert_eq!(over_http2(&mut sender, "/slow").await.unwrap(), "hello world", "after {name}");
        }
        let request = request("GET", "http://localhost/reset-late", "");
        let mut body = sender.send_request(request).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "hello");
        assert!(body.frame().await.unwrap().is_err());
        drop(sender);
        driver.abort();
    });
}

#[test]
fn under_tls_it_is_the_connection_below_that_is_reset() {
    let identity = Identity::generate(["localhost"]).unwrap();
    let pem = identity.certificate_pem().to_owned();
    let server = TestServer::with(|config, folder| {
        config.identity = Some(identity);
        for (name, fault) in FAULTS {
            std::fs::create_dir_all(folder.join("GET")).unwrap();
            std::fs::write(folder.join(format!("GET/{name}.scr")), faulty(name, fault)).unwrap();
        }
    });
    server.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for (name, wanted) in [
            ("reset", Err(ErrorKind::ConnectionReset)),
            ("reset-late", Err(ErrorKind::ConnectionReset)),
            ("truncated", Ok(())),
            ("garbage", Ok(())),
        ] {
            let mut stream = connect(&server, &pem, &["http/1.1"]).await;
            let asked = format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut all = Vec::new();
            let ended = stream.read_to_end(&mut all).await.map(drop).map_err(|error| error.kind());
            assert_eq!(ended, wanted, "{name}");
            if name == "truncated" {
                assert_eq!(parts(&all).1, b"hell");
            }
        }
        let mut stream = connect(&server, &pem, &["h2"]).await;
        stream.flush().await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let answered = sender.send_request(request("GET", "https://localhost/reset", "")).await;
        assert!(answered.is_err());
        let answer = sender.send_request(request("GET", "https://localhost/_health", "")).await.unwrap();
        assert_eq!(answer.status(), 200);
        driver.abort();
    });
}

#[test]
fn what_the_recording_proxy_forwards_is_broken_too() {
    let folder = tempfile::tempdir().unwrap();
    let (server, service) = (crate::recording::recording(folder.path(), &[]), TestServer::start());
    upload(service.address, "method: GET\nname: own\npath: /own\nresponse:\n  contents: hello world\n");
    let proxy = server.proxy.unwrap();
    let url = format!("http://{}/own", service.address);
    let over = |fault: &str| {
        let mut stream = std::net::TcpStream::connect(proxy).unwrap();
        let head = format!(
            "GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Mock-Record: false\r\nX-Mock-Fault: {fault}\r\n\r\n"
        );
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut all = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut all);
        String::from_utf8_lossy(&all).into_owned()
    };
    for fault in ["connection_reset", "empty_response", "garbage"] {
        assert_eq!(over(fault), "", "{fault}");
    }
    let status = over("status=503; contents=busy");
    assert!(status.starts_with("HTTP/1.1 503") && status.ends_with("\r\n\r\nbusy"), "{status}");
    assert!(status.to_ascii_lowercase().contains("x-mock-fault: status"), "{status}");
    let late = over("delay=10ms");
    assert!(late.starts_with("HTTP/1.1 200") && late.ends_with("hello world"), "{late}");
    let truncated = over("truncated_body; after_bytes=5");
    assert!(truncated.contains("content-length: 11") && truncated.ends_with("\r\n\r\nhello"), "{truncated}");
    assert!(over("bytes_per_second=100").ends_with("hello world"));
    assert!(over("no_such=1").starts_with("HTTP/1.1 400"));
    // The group of all requests; what the service answered is what is recorded.
    let faults = r#"{"faults": [{"name": "lost", "status": 500, "contents": "lost", "stage": "after_upstream", "first": 1},
        {"name": "cut", "fault": "truncated_body", "after_bytes": 4, "after": 1, "first": 1}]}"#;
    assert_eq!(ask(server.address, "PUT", "/_groups/_all/config", &[], faults.as_bytes()).status, 200);
    let lost = ask(proxy, "GET", &url, &[("X-Mock-Record", "true")], b"");
    assert_eq!((lost.status, lost.text(), lost.header("x-mock-fault")), (500, "lost", Some("lost (status)")));
    let cut = raw(proxy, &url).0;
    assert!(cut.ends_with(b"\r\n\r\nhell"), "{}", String::from_utf8_lossy(&cut));
    let played = ask(proxy, "GET", &url, &[], b"");
    assert_eq!((played.status, played.text()), (200, "hello world"));
    assert!(played.header("x-mock-scenario").unwrap().starts_with("recorded-"));
    let metrics = get(server.address, "/metrics");
    assert!(
        metrics.text().contains(r#"api_mock_faults_total{fault="truncated_body"} 2"#),
        "{}",
        metrics.text()
    );
}

#[test]
fn what_the_recording_proxy_plays_back_is_broken_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::recording::recording(folder.path(), &[]);
    for (name, fault) in FAULTS {
        upload(server.address, &faulty(name, fault));
    }
    upload(server.address, &faulty("status", "- status: 503"));
    let proxy = server.proxy.unwrap();
    let over = |name: &str| raw(proxy, &format!("http://shop.example/{name}"));
    for name in ["reset", "empty", "garbage", "chunk"] {
        assert_eq!(over(name).0, b"", "{name}");
    }
    for (name, wanted) in [("reset-late", "hello"), ("truncated", "hell"), ("length", "hello world")] {
        let (head, body) = parts(&over(name).0);
        let length = if name == "length" { "111" } else { "11" };
        assert!(head.contains(&format!("content-length: {length}")), "{name}: {head}");
        assert_eq!(String::from_utf8(body).unwrap(), wanted, "{name}");
    }
    let mut connection = Connection::open(proxy);
    let answer = connection.ask("GET", "http://shop.example/status", &[], b"");
    assert_eq!((answer.status, answer.header("x-mock-fault")), (503, Some("status")));
}
