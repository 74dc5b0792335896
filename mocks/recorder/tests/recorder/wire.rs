//! Services that speak in ways of their own, byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::Service;
use crate::support::{Recording, get, mode, tunnel};

/// Answers each head with these bytes, and closes.
async fn answering(bytes: Vec<u8>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = socket.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                read_head(&mut client).await;
                client.write_all(&bytes).await.unwrap();
            });
        }
    });
    address
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_trailers_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                  5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let service = answering(answer.into()).await;
    let proxy = Recording::start(folder.path(), mode(Mode::Record), RecorderOptions::default()).await;
    let url = format!("http://{service}/x");
    assert_eq!(get(proxy.address, &url).await.text(), "hello");
    assert_eq!(proxy.names().await.len(), 1);
    proxy.end().await;
    let player = Recording::start(folder.path(), mode(Mode::Playback), RecorderOptions::default()).await;
    assert_eq!(get(player.address, &url).await.text(), "hello");
    player.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_hundreds_of_headers_are_passed_on_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let headers: String = (0..500).map(|n| format!("x-header-{n}: {n}\r\n")).collect();
    let service = answering(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n").into()).await;
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), RecorderOptions::default()).await;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let asked = format!("GET http://{service}/x HTTP/1.1\r\nHost: {service}\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("x-header-499: 499\r\n"), "{head}");
        assert_eq!(proxy.names().await.len(), 1);
    }
    proxy.end().await;
}

/// Speaks first if it has something to say, and then says all that it hears again.
async fn echo(first: &'static str) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = socket.accept().await {
            tokio::spawn(async move {
                client.write_all(first.as_bytes()).await.unwrap();
                let (mut read, mut write) = client.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn hears(stream: &mut TcpStream, wanted: &str) {
    let mut heard = vec![0; wanted.len()];
    tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_speak_first_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), RecorderOptions::default()).await;
    let service = echo("220 mail.test ESMTP\r\n").await;
    let mut stream = tunnel(proxy.address, &service.to_string()).await;
    hears(&mut stream, "220 mail.test ESMTP\r\n").await;
    stream.write_all(b"EHLO me.test\r\n").await.unwrap();
    hears(&mut stream, "EHLO me.test\r\n").await;
    drop(stream);
    assert!(proxy.names().await.is_empty());
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_http_only_at_first_is_passed_on_whole() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), RecorderOptions::default()).await;
    let service = echo("").await;
    for words in [&["SSH-2.0-OpenSSH_9.2\r\n"][..], &["EHLO me.test\r\n"], &["PI", "NG"], &["QUIT"]] {
        let mut stream = tunnel(proxy.address, &service.to_string()).await;
        for word in words {
            stream.write_all(word.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        hears(&mut stream, &words.concat()).await;
        stream.write_all(b" and more").await.unwrap();
        hears(&mut stream, " and more").await;
    }
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_their_time_are_still_understood() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), RecorderOptions::default()).await;
    let target = service.address.to_string();
    let mut stream = tunnel(proxy.address, &target).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    for part in ["G", "ET ", "/v1/x HTTP/1.1\r\nHost: x\r\n\r\n"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!((proxy.names().await.len(), service.hits()), (1, 1));
    // Also where the service is gone, and what it said is played back.
    drop(service);
    let mut stream = tunnel(proxy.address, &target).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    stream.write_all(b"GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.to_ascii_lowercase().contains("x-mock-scenario: recorded-"));
    proxy.end().await;
}
