//! Services that speak in ways of their own, byte by byte.

use std::net::SocketAddr;

use api_mock_recorder::{Mode, RecorderOptions};
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
