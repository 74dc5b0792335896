//! Load: wrk where it is installed, else connections of our own on one thread.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;

/// How much load, and whose.
pub(crate) struct Load {
    pub(crate) round: Duration,
    pub(crate) connections: usize,
    pub(crate) with_wrk: bool,
}

pub(crate) fn has_wrk() -> bool {
    // It has no option that ends well; that it starts is enough.
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Load {
    pub(crate) fn name(&self) -> String {
        let tool = if self.with_wrk { "wrk -t1" } else { "own load, one thread" };
        format!("{tool}, {} connections, rounds of {} s", self.connections, self.round.as_secs())
    }

    /// Requests a second, all of them answered with 200.
    pub(crate) fn run(&self, address: SocketAddr, path: &str) -> Result<f64, Failure> {
        if self.with_wrk { self.wrk(address, path) } else { self.own(address, path, self.round) }
    }

    fn wrk(&self, address: SocketAddr, path: &str) -> Result<f64, Failure> {
        let out = Command::new("wrk")
            .args(["-t1", &format!("-c{}", self.connections), &format!("-d{}s", self.round.as_secs())])
            .arg(format!("http://{address}{path}"))
            .output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("not all was answered well:\n{text}").into());
        }
        let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        Ok(line.ok_or_else(|| format!("wrk said:\n{text}"))?.trim().parse()?)
    }

    pub(crate) fn own(&self, address: SocketAddr, path: &str, round: Duration) -> Result<f64, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let begun = Instant::now();
        let total = runtime.block_on(async {
            let mut all = JoinSet::new();
            for _ in 0..self.connections {
                all.spawn(one(address, request.clone().into_bytes(), begun + round));
            }
            let mut total = 0_u32;
            while let Some(done) = all.join_next().await {
                total += done??;
            }
            Ok::<_, Failure>(total)
        })?;
        Ok(f64::from(total) / begun.elapsed().as_secs_f64())
    }
}

async fn one(address: SocketAddr, request: Vec<u8>, end: Instant) -> Result<u32, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut count, mut buffer) = (0, Vec::with_capacity(4096));
    while Instant::now() < end {
        stream.write_all(&request).await?;
        buffer.clear();
        let whole = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the server ended a connection".into());
            }
            if let Some(whole) = length(&buffer)? {
                break whole;
            }
        };
        while buffer.len() < whole {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("an answer broke off".into());
            }
        }
        count += 1;
    }
    Ok(count)
}

/// The length of an answer whose head is there.
fn length(buffer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(format!("the server said {text}").into());
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(Some(head + 4 + length.ok_or("an answer without a length")?.trim().parse::<usize>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_answer_is_head_and_body() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap(), Some(41));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert!(length(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
