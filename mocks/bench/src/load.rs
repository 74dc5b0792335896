//! Load: wrk where it is installed, else connections of our own on one thread.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;

/// How much load, and whose.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) round: Duration,
    pub(crate) connections: usize,
    pub(crate) with_wrk: bool,
}

pub(crate) fn has_wrk() -> bool {
    // It has no option that ends well; that it starts is enough.
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What a round showed.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Where it was measured.
    pub(crate) p99_ms: Option<f64>,
    /// Answers that took too long for the load generator.
    pub(crate) timeouts: u64,
}

impl Load {
    pub(crate) fn name(&self) -> String {
        let tool = if self.with_wrk { "wrk -t1" } else { "own load, one thread" };
        format!("{tool}, {} connections, rounds of {} s", self.connections, self.round.as_secs())
    }

    /// Requests a second, all of them answered with 200.
    pub(crate) fn run(&self, address: SocketAddr, path: &str) -> Result<f64, Failure> {
        let look = self.look(address, path)?;
        if look.timeouts > 0 {
            return Err(format!("{} answers to {path} came late", look.timeouts).into());
        }
        Ok(look.rate)
    }

    /// The same, with how long answers took; that some took too long is no error.
    pub(crate) fn look(&self, address: SocketAddr, path: &str) -> Result<Look, Failure> {
        if !self.with_wrk {
            return Ok(Look { rate: self.own(address, path, self.round)?, p99_ms: None, timeouts: 0 });
        }
        let out = Command::new("wrk")
            .args(["-t1", &format!("-c{}", self.connections), &format!("-d{}s", self.round.as_secs())])
            .arg("--latency")
            .arg(format!("http://{address}{path}"))
            .output()?;
        look(&String::from_utf8_lossy(&out.stdout))
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

/// Reads what wrk says.
fn look(text: &str) -> Result<Look, Failure> {
    let line = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    let errors = line("Socket errors:").unwrap_or_default();
    let counts: Vec<u64> = errors.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    let (others, timeouts) = match counts.as_slice() {
        [others @ .., timeouts] => (others.iter().sum(), *timeouts),
        [] => (0, 0),
    };
    let rate = line("Requests/sec:").and_then(|rate| rate.parse().ok());
    match rate {
        Some(rate) if others == 0 && !text.contains("Non-2xx") => {
            Ok(Look { rate, p99_ms: line("99%").and_then(milliseconds), timeouts })
        }
        _ => Err(format!("not all was answered well:\n{text}").into()),
    }
}

/// `3.80ms`, `980.00us` or `1.20s`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    let (number, unit) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    Some(number.parse::<f64>().ok()? * unit)
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
    fn what_wrk_says() {
        let said =
            "  Latency Distribution\n     50%  560.00us\n     99%    3.80ms\n  100 requests in 3.00s\n";
        let good = look(&format!("{said}Requests/sec:  59900.50\n")).unwrap();
        assert_eq!((good.rate, good.p99_ms, good.timeouts), (59_900.5, Some(3.8), 0));
        let late =
            format!("{said}  Socket errors: connect 0, read 0, write 0, timeout 32\nRequests/sec: 3.6\n");
        assert_eq!(look(&late).unwrap().timeouts, 32);
        assert!(look(&late.replace("read 0", "read 1")).is_err());
        assert!(look(&format!("{said}  Non-2xx or 3xx responses: 7\nRequests/sec: 3.6\n")).is_err());
        assert_eq!((milliseconds("980.00us"), milliseconds("1.20s")), (Some(0.98), Some(1_200.0)));
        assert!(look("").is_err());
    }

    #[test]
    fn the_length_of_an_answer_is_head_and_body() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap(), Some(41));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        assert!(length(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
