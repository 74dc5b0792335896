//! A TCP proxy inside the trial's process, to stand between a client and its database and to misbehave on command.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};
use crate::fixture::sleep_ms;

/// What the proxy does with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything goes through.
    Pass,
    /// The next request goes through and is answered, but instead of the answer its client gets a closed connection;
    /// then [`Mode::Pass`].
    LoseReply,
    /// Connections stay open and nothing goes through, in either direction. What was swallowed is missing for good, so a connection
    /// that has lost something is closed when the silence ends: no network drops the middle of a stream.
    Silent,
    /// Requests go through and are answered, but no answer comes back: a connection that only one side still has.
    HalfOpen,
    /// All that goes through, either way, comes this many milliseconds later.
    Delay(u16),
    /// Connections are closed, new ones too.
    Cut,
}

/// Listens on a port of its own until dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// Stands before `server` (`host:port`).
    pub(crate) async fn before(server: &str) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let (server, shared) = (server.to_string(), Arc::clone(&mode));
        let listener = tokio::spawn(async move {
            // Dropping the set ends the connections with the listener.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, server.clone(), Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, mode, listener })
    }

    /// Behaves like this from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// `url` with the proxy's address in place of the server's.
    pub(crate) fn url(&self, url: &str) -> Outcome<String> {
        replace_address(url, &self.address.to_string())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Serves one connection until either side or the mode ends it. Errors end it too: that is what a client would see.
async fn connection(mut client: TcpStream, server: String, mode: Arc<watch::Sender<Mode>>) {
    let mut changes = mode.subscribe();
    if *changes.borrow_and_update() == Mode::Cut {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    // The reply to what this connection sent last shall be lost.
    let mut losing = false;
    let mut swallowed = false;
    loop {
        let now = *changes.borrow_and_update();
        let is_deaf = matches!(now, Mode::Silent | Mode::HalfOpen);
        if now == Mode::Cut || (swallowed && !is_deaf) {
            return;
        }
        let delay = if let Mode::Delay(ms) = now { ms } else { 0 };
        let written = tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(length) if length > 0 => {
                    losing |= *mode.borrow() == Mode::LoseReply;
                    if now == Mode::Silent {
                        swallowed = true;
                        continue;
                    }
                    sleep_ms(delay.into()).await;
                    server.write_all(&from_client[..length]).await
                }
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(_) if losing => {
                    mode.send_if_modified(|mode| std::mem::replace(mode, Mode::Pass) != Mode::Pass);
                    return;
                }
                Ok(length) if length > 0 => {
                    if is_deaf {
                        swallowed = true;
                        continue;
                    }
                    sleep_ms(delay.into()).await;
                    client.write_all(&from_server[..length]).await
                }
                _ => return,
            },
            _ = changes.changed() => continue,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Where the address stands in `scheme://user:password@host:port/path`.
fn address_range(url: &str) -> Outcome<std::ops::Range<usize>> {
    let wrong = || Failure::new("the URL is not of the form scheme://host:port");
    let start = url.find("://").ok_or_else(wrong)? + 3;
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    if url[start..end].contains(':') && !url[start..end].contains(',') {
        Ok(start..end)
    } else {
        Err(wrong())
    }
}

/// The `host:port` of a URL.
pub(crate) fn address_of(url: &str) -> Outcome<&str> {
    Ok(&url[address_range(url)?])
}

/// The URL with another `host:port`.
pub(crate) fn replace_address(url: &str, address: &str) -> Outcome<String> {
    let range = address_range(url)?;
    Ok(format!("{}{address}{}", &url[..range.start], &url[range.end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_urls() {
        assert_eq!(address_of("postgres://u:p@w@localhost:5432/db?x=1").unwrap(), "localhost:5432");
        assert_eq!(replace_address("redis://:pw@h:1", "p:2").unwrap(), "redis://:pw@p:2");
        assert_eq!(replace_address("http://127.0.0.1:8000/", "p:2").unwrap(), "http://p:2/");
        assert!(address_of("redis://a:1,redis://b:2").is_err());
        assert!(address_of("sqlite:file").is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_reply_is_lost_after_its_request_arrived() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let (seen, mut requests) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    while let Ok(request) = stream.read_u8().await {
                        seen.send(request).await.unwrap();
                        stream.write_u8(request).await.unwrap();
                    }
                });
            }
        });
        let proxy = Proxy::before(&address).await.unwrap();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_u8(1).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 1);
        proxy.set(Mode::LoseReply);
        client.write_u8(2).await.unwrap();
        assert!(client.read_u8().await.is_err());
        assert_eq!((requests.recv().await, requests.recv().await), (Some(1), Some(2)));
        assert_eq!(*proxy.mode.borrow(), Mode::Pass);
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_u8(3).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 3);
    }
}
