//! Services that speak in ways of their own, byte by byte.

use std::net::SocketAddr;

use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Recording, get, mode};

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
