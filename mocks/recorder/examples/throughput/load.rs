//! Load: clients on one thread, each with a connection that it keeps.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// How clients come to a service.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) origin: SocketAddr,
    pub(crate) proxy: Option<SocketAddr>,
    /// The certificate that is trusted; none for HTTP.
    pub(crate) tls: Option<TlsConnector>,
}

/// How much is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    /// From one request of a connection to its next; none: as soon as it is answered.
    pub(crate) pause: Option<Duration>,
    /// Each request has a path of its own, and so a file.
    pub(crate) is_new: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// The time of each request in milliseconds, the shortest first.
    pub(crate) milliseconds: Vec<f64>,
}

impl Measured {
    pub(crate) fn at(&self, part: f64) -> f64 {
        let place = (self.milliseconds.len() as f64 * part) as usize;
        self.milliseconds
            .get(place.min(self.milliseconds.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

pub(crate) fn trusting(certificate: &Path) -> Result<TlsConnector, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(api_mock_recorder::certificates(certificate)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

pub(crate) fn run(way: &Way, load: Load, round: usize) -> Result<Measured, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (begun, taken) = runtime.block_on(async {
        let mut all = JoinSet::new();
        // Connections stand before the clock runs.
        let mut streams = Vec::new();
        for _ in 0..load.connections {
            streams.push(connect(way).await?);
        }
        let begun = Instant::now();
        for (number, stream) in streams.into_iter().enumerate() {
            let name = format!("r{round}c{number}");
            // Paced connections do not all ask at the same time.
            let pause = load.pause.unwrap_or_default();
            let first = begun + pause * u32::try_from(number)? / u32::try_from(load.connections)?;
            all.spawn(client(stream, way.clone(), load, (first, begun + load.time), name));
        }
        let mut taken = Vec::new();
        while let Some(done) = all.join_next().await {
            taken.extend(done??);
        }
        Ok::<_, Failure>((begun, taken))
    })?;
    let per_second = taken.len() as f64 / begun.elapsed().as_secs_f64();
    let mut milliseconds: Vec<f64> = taken.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    milliseconds.sort_by(f64::total_cmp);
    Ok(Measured { per_second, milliseconds })
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(way: &Way) -> Result<Box<dyn Stream>, Failure> {
    let mut stream = TcpStream::connect(way.proxy.unwrap_or(way.origin)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &way.tls else { return Ok(Box::new(stream)) };
    if way.proxy.is_some() {
        let host = format!("localhost:{}", way.origin.port());
        stream.write_all(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&head).into_owned().into());
        }
    }
    Ok(Box::new(tls.connect(ServerName::try_from("localhost")?, stream).await?))
}

async fn client(
    mut stream: Box<dyn Stream>,
    way: Way,
    load: Load,
    (first, end): (Instant, Instant),
    name: String,
) -> Result<Vec<Duration>, Failure> {
    let host = format!("localhost:{}", way.origin.port());
    let begin = match (&way.proxy, &way.tls) {
        (Some(_), None) => format!("http://{host}"),
        _ => String::new(),
    };
    let request = |number: usize| {
        let path = if load.is_new { format!("{name}n{number}") } else { format!("{}", number % 100) };
        format!(
            "GET {begin}/v1/customers/{path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nUser-Agent: load\r\n\r\n"
        )
    };
    let (mut taken, mut buffer) = (Vec::new(), Vec::with_capacity(4096));
    let mut turn = first;
    tokio::time::sleep_until(turn.into()).await;
    while Instant::now() < end {
        let asked = Instant::now();
        stream.write_all(request(taken.len()).as_bytes()).await?;
        stream.flush().await?;
        answer(&mut stream, &mut buffer).await?;
        taken.push(asked.elapsed());
        if let Some(pause) = load.pause {
            turn += pause;
            tokio::time::sleep_until(turn.into()).await;
        }
    }
    Ok(taken)
}

/// Reads one answer, which must be good and whole.
async fn answer(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    buffer.clear();
    let mut whole = usize::MAX;
    while buffer.len() < whole {
        if stream.read_buf(buffer).await? == 0 {
            return Err(format!("an answer broke off: {}", String::from_utf8_lossy(buffer)).into());
        }
        if whole == usize::MAX {
            whole = length(buffer)?.unwrap_or(usize::MAX);
        }
    }
    Ok(())
}

/// The length of an answer whose head is there.
fn length(buffer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(format!("the answer was {}", String::from_utf8_lossy(buffer)).into());
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(Some(head + 4 + length.ok_or("an answer without a length")?.trim().parse::<usize>()?))
}
