//! Streams, HTTP/2 and other protocols.

use std::sync::atomic::Ordering;
use std::time::Duration;

use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::origin::Service;
use crate::support::{Recording, ask, get, mode, request, root_of, secure, trusting, tunnel};

async fn start(folder: &std::path::Path) -> Recording {
    Recording::start(folder, ProxyConfig::default(), RecorderOptions::default()).await
}

/// Speaks HTTP/2 through an intercepted tunnel.
async fn http2(proxy: &Recording, service: &Service) -> http2::SendRequest<Full<Bytes>> {
    let authority = format!("localhost:{}", service.address.port());
    let stream = secure(proxy.address, root_of(&proxy.authority), b"h2", &authority).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request2(method: &str, url: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(url).version(Version::HTTP_2);
    request.body(Full::new(body.into())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_not_held_back_and_other_protocols_pass() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let events = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", service.url("/events"));
    stream.write_all(events.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut bytes = [0; 1024];
    // It never ends, so all that comes was not held back.
    while !seen.contains("data: 3") {
        let n =
            tokio::time::timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.unwrap().unwrap();
        assert_ne!(n, 0, "{seen}");
        seen.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
    }
    drop(stream);
    let mut tunnels = vec![tokio::net::TcpStream::connect(proxy.address).await.unwrap()];
    tunnels.push(tunnel(proxy.address, &service.address.to_string()).await);
    for (mut stream, target) in tunnels.into_iter().zip([service.url("/socket"), "/socket".to_owned()]) {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            service.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        stream.write_all(b"ping").await.unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"ping");
    }
    assert!(proxy.names().await.is_empty());
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_passed_on_as_it_comes_and_recorded_whole() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let stream = TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut answer = sender.send_request(request("GET", &service.url("/gated"), &[], "")).await.unwrap();
    // The service sends no more before it is told to.
    let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first ");
    assert!(proxy.names().await.is_empty());
    service.gate.notify_one();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "last");
    assert_eq!(proxy.names().await.len(), 1);
    let url = service.url("/gated");
    drop(service);
    assert_eq!(get(proxy.address, &url).await.text(), "first last");
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_passed_on_as_it_comes_where_no_scenario_could_be_for_it() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head =
        format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345", service.url("/length"));
    stream.write_all(head.as_bytes()).await.unwrap();
    let came = async {
        while service.received.load(Ordering::SeqCst) < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), came).await.unwrap();
    stream.write_all(b"67890").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n10") {
        answer.push(char::from(stream.read_u8().await.unwrap()));
    }
    // All of the body was recorded: another one is not answered with this.
    assert_eq!(proxy.names().await.len(), 1);
    let url = service.url("/length");
    let again = ask(proxy.address, request("POST", &url, &[], "1234567890")).await;
    assert_eq!((again.text(), service.hits()), ("10", 1));
    drop(service);
    assert_eq!(ask(proxy.address, request("POST", &url, &[], "1234567891")).await.status, 502);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_are_played_back_too_and_each_to_its_own() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = start(folder.path()).await;
    let url = service.url("/length");
    // Over what the main port takes, and two that differ in their last byte only.
    let bodies = ["x".repeat(12 << 20), format!("{}y", "x".repeat((12 << 20) - 1)), "x".repeat(9 << 10)];
    for body in &bodies {
        let got = ask(proxy.address, request("POST", &url, &[], body)).await;
        assert_eq!(got.text(), body.len().to_string());
        proxy.names().await;
    }
    assert_eq!((proxy.names().await.len(), service.hits()), (3, 3));
    drop(service);
    for body in &bodies {
        assert_eq!(ask(proxy.address, request("POST", &url, &[], body)).await.text(), body.len().to_string());
    }
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_of_one_connection_carry_large_bodies_both_ways() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let proxy = Recording::start(folder.path(), mode(Mode::Record), trusting(&service)).await;
    let sender = http2(&proxy, &service).await;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..100_u32 {
        let (mut sender, url) = (sender.clone(), service.secure_url(&format!("/todos?n={n}")));
        running.spawn(async move {
            let body: Bytes = (0..100_000_u32).map(|at| (at.wrapping_mul(n + 1) >> 3) as u8).collect();
            let answer = sender.send_request(request2("POST", &url, body.clone())).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (201, Version::HTTP_2));
            assert!(answer.into_body().collect().await.unwrap().to_bytes() == body, "{n}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert_eq!((proxy.names().await.len(), service.hits()), (100, 100));
    drop(sender);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_and_calls_of_grpc_are_not_recorded() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), trusting(&service)).await;
    let mut sender = http2(&proxy, &service).await;
    let mut call = request2("POST", &service.secure_url("/grpc.Service/Call"), &b"\0\0\0\0\x01x"[..]);
    for (name, value) in [("content-type", "application/grpc+proto"), ("te", "trailers")] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = sender.send_request(call).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap().get("grpc-status").unwrap(), "0");
    assert_eq!(answer.to_bytes(), &b"\0\0\0\0\x01x"[..]);
    assert_eq!(service.seen.lock().unwrap().get("te").unwrap(), "trailers");
    assert!(proxy.names().await.is_empty());
    drop(sender);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_over_http2_is_passed_on() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), trusting(&service)).await;
    let mut sender = http2(&proxy, &service).await;
    // What the proxy can do is known to the client after its first answer.
    let first = sender.send_request(request2("GET", &service.secure_url("/x"), "")).await.unwrap();
    first.into_body().collect().await.unwrap();
    let ask = |protocol: &'static str, path: &str| {
        let mut request = request2("CONNECT", &service.secure_url(path), "");
        request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
        request
    };
    let answer = sender.send_request(ask("websocket", "/socket")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = service.seen.lock().unwrap().clone();
    assert_eq!(seen.get("sec-websocket-key").unwrap().len(), 24);
    assert_eq!(seen.get("upgrade").unwrap(), "websocket");
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    for word in ["ping", "pong"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, word.as_bytes());
    }
    // Where there is no such thing, the client does not believe that there is; the connection lives on.
    assert_eq!(sender.send_request(ask("websocket", "/x")).await.unwrap().status(), 502);
    assert_eq!(sender.send_request(ask("connect-udp", "/socket")).await.unwrap().status(), 501);
    assert_eq!(proxy.names().await.len(), 1);
    drop((stream, sender));
    proxy.end().await;
}
