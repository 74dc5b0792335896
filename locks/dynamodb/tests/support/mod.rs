//! A proxy that understands HTTP: it counts requests, answers some of them itself, and loses replies.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use db_locks_core::models::new_version;
use db_locks_core::{AcquireRequest, LockId, LocksConfig, MutexLock, ReleaseRequest, RenewRequest};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of the next request that has no other fate.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// The proxy answers; the engine never hears of it.
    Refused { status: u16, code: &'static str },
    /// The engine does it; the reply is lost with the connection.
    ReplyLost,
    /// The engine does it, and does it again before the `after`th request of this connection from now.
    Repeated { after: usize },
    /// The engine does it; the client gives up before the reply comes.
    ReplyLate { ms: u64 },
    /// The engine does it, but seems to have answered otherwise.
    Edited { edit: fn(&mut Value) },
}

/// One request as the client sent it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `UpdateItem`, `GetItem`, …
    pub(crate) operation: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    fates: VecDeque<(&'static str, Fate)>,
}

/// A proxy before the engine that the environment names.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let engine = engine_url().trim_start_matches("http://").trim_end_matches('/').to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (engine, state) = (engine.clone(), shared.clone());
                serving.spawn(async move { serve(client, &engine, &state).await });
            }
        });
        Self { url, state, accepting }
    }

    /// The next request of this operation has this fate; further ones of the list follow.
    pub(crate) fn next(&self, operation: &'static str, fates: impl IntoIterator<Item = Fate>) {
        self.state.lock().unwrap().fates.extend(fates.into_iter().map(|fate| (operation, fate)));
    }

    /// The requests since the last time that somebody asked.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// Their operations.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.take_seen().into_iter().map(|seen| seen.operation).collect()
    }

    /// A configuration that goes through the proxy.
    pub(crate) fn config(&self) -> LocksConfig {
        let mut config = direct_config();
        config.ddb_endpoint_url = Some(self.url.clone());
        config.wait_before_server_error_retries_ms = Some(1);
        config
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn engine_url() -> String {
    std::env::var("DB_LOCKS_TEST_DYNAMODB_URL")
        .expect("no DB_LOCKS_TEST_DYNAMODB_URL in the environment: run `cargo xtask test`")
}

/// A configuration of a new tenant that goes straight to the engine.
pub(crate) fn direct_config() -> LocksConfig {
    let mut config = LocksConfig::new(&new_version());
    config.ddb_endpoint_url = Some(engine_url());
    config
}

/// An acquire as the manager would send it.
pub(crate) fn ask(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "tests".into(),
        max_size: lock.is_semaphore().then_some(3),
        ..AcquireRequest::new(lock.clone())
    }
}

/// A renewal under a new version, for longer than [`ask`].
pub(crate) fn renewal(lock: &MutexLock) -> RenewRequest {
    RenewRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 20_000,
        data: None,
    }
}

/// A release as the manager would send it.
pub(crate) fn release(lock: &MutexLock) -> ReleaseRequest {
    ReleaseRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: lock.delete_on_release,
        data: None,
    }
}

async fn serve(mut client: TcpStream, engine: &str, state: &Mutex<State>) -> Option<()> {
    let mut upstream = TcpStream::connect(engine).await.ok()?;
    let mut from_client = Vec::new();
    let mut from_engine = Vec::new();
    let mut repetition: Option<(usize, Vec<u8>)> = None;
    loop {
        let request = message(&mut client, &mut from_client).await?;
        let fate = note(&request, state);
        repetition = match repetition {
            Some((0 | 1, again)) => {
                upstream.write_all(&again).await.ok()?;
                message(&mut upstream, &mut from_engine).await?;
                None
            }
            Some((left, again)) => Some((left - 1, again)),
            None => None,
        };
        if let Some(Fate::Repeated { after }) = fate {
            repetition = Some((after, request.clone()));
        }
        if let Some(Fate::Refused { status, code }) = fate {
            client.write_all(&refusal(status, code)).await.ok()?;
            continue;
        }
        upstream.write_all(&request).await.ok()?;
        let reply = message(&mut upstream, &mut from_engine).await?;
        match fate {
            Some(Fate::ReplyLost) => return None,
            Some(Fate::ReplyLate { ms }) => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
            Some(Fate::Edited { edit }) => {
                let mut body = serde_json::from_slice(&reply[head_end(&reply)?..]).ok()?;
                edit(&mut body);
                client.write_all(&answer("200 OK", &body.to_string())).await.ok()?;
                continue;
            }
            _ => {}
        }
        client.write_all(&reply).await.ok()?;
    }
}

/// Takes note of a request and looks up its fate.
fn note(request: &[u8], state: &Mutex<State>) -> Option<Fate> {
    let end = head_end(request).unwrap();
    let operation = header(&request[..end], "x-amz-target").unwrap_or_default();
    let operation = operation.rsplit('.').next().unwrap().to_string();
    let body = serde_json::from_slice(&request[end..]).unwrap_or(Value::Null);
    let mut state = state.lock().unwrap();
    let at = state.fates.iter().position(|(meant, _)| *meant == operation);
    state.seen.push(Seen { operation, body });
    at.and_then(|at| state.fates.remove(at)).map(|(_, fate)| fate)
}

fn refusal(status: u16, code: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{code} by the proxy"}}"#);
    answer(&format!("{status} Refused"), &body)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let kind = "content-type: application/x-amz-json-1.0";
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Reads one HTTP message with a length; bytes of the next one stay in `buffer`.
async fn message(from: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = head_end(buffer) {
            let length =
                header(&buffer[..end], "content-length").unwrap_or("0".into()).parse::<usize>().ok()?;
            if buffer.len() >= end + length {
                return Some(buffer.drain(..end + length).collect());
            }
        }
        if from.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_string())
}
