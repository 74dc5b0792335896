//! db-locks on DynamoDB behind a proxy that throttles, fails, is slow and loses answers: api-mock-service, as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use db_locks::{ErrorKind, LockGuard, Locks};

const LEASE: Duration = Duration::from_secs(4);
const WAIT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;
const ROUNDS: usize = 12;

/// What goes wrong with requests for items; those that make tables are left alone.
const FAULTS: &str = r#"{"faults": [
    {"name": "throttled", "probability": 0.08, "status": 400, "request": {"match_headers": {"X-Amz-Target": "Item$"}},
     "headers": {"Content-Type": "application/x-amz-json-1.0"},
     "contents": "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException\",\"message\":\"injected\"}"},
    {"name": "failed", "probability": 0.05, "status": [500, 503], "request": {"match_headers": {"X-Amz-Target": "Item$"}},
     "headers": {"Content-Type": "application/x-amz-json-1.0"},
     "contents": "{\"__type\":\"com.amazonaws.dynamodb.v20120810#InternalServerError\",\"message\":\"injected\"}"},
    {"name": "applied, then failed", "probability": 0.05, "status": 500, "stage": "after_upstream",
     "request": {"match_headers": {"X-Amz-Target": "Item$"}}},
    {"name": "applied, then lost", "probability": 0.08, "fault": "connection_reset", "stage": "after_upstream",
     "request": {"match_headers": {"X-Amz-Target": "Item$"}}},
    {"name": "cut", "probability": 0.03, "fault": "truncated_body", "request": {"match_headers": {"X-Amz-Target": "Item$"}}},
    {"name": "never sent", "probability": 0.03, "fault": "connection_reset", "request": {"match_headers": {"X-Amz-Target": "Item$"}}},
    {"name": "late", "probability": 0.2, "delay": "1ms..30ms", "stage": "after_upstream"}
]}"#;

/// The kinds of faults that must have happened for the test to say anything.
const KINDS: [&str; 4] = ["status", "connection_reset", "truncated_body", "delay"];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// The proxy; it ends with the test.
struct Proxy {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
    /// Must stay open, as the service may say something.
    _words: BufReader<ChildStderr>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// In front of the DynamoDB engine. The seed decides what goes wrong with which request.
    fn start(seed: u64) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data/groups")).unwrap();
        std::fs::write(folder.path().join("data/groups/_all.json"), FAULTS).unwrap();
        let program = variable("API_MOCK_BIN");
        let mut child = Command::new(&program)
            .args(["--httpPort", "0", "--proxyPort", "0", "--dataDir", "data"])
            .args(["--seed", &seed.to_string(), "--upstream", &variable("DB_LOCKS_TEST_DYNAMODB_URL")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: run `cargo xtask test`"));
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        words.read_line(&mut said).unwrap();
        let address = said.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("{said}")).to_owned();
        Proxy { child, address, folder, _words: words }
    }

    fn url(&self) -> String {
        format!("dynamodb+http://{}", self.address)
    }

    fn tenant(&self) -> String {
        self.folder.path().file_name().unwrap().to_string_lossy().into_owned()
    }

    /// How often each kind of fault happened.
    fn injected(&self) -> Vec<(&'static str, u64)> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let count = |kind: &str| {
            let name = format!("api_mock_faults_total{{fault=\"{kind}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
        };
        KINDS.map(|kind| (kind, count(kind))).to_vec()
    }
}

/// What those inside of the lock see and do.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
    /// Raised in two steps: who is in at the same time loses one.
    counter: AtomicU64,
    entered: AtomicU64,
    tokens: Mutex<Vec<u64>>,
}

impl Inside {
    async fn visit(&self, guard: &LockGuard, is_mutex: bool) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.tokens.lock().unwrap().push(guard.fencing_token());
        let seen = self.counter.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        if is_mutex {
            self.counter.store(seen + 1, Ordering::SeqCst);
        }
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn ask(locks: &Locks, size: u32) -> db_locks::Acquire {
    let asked = if size == 1 { locks.mutex("one") } else { locks.semaphore("some", size) };
    asked.lease(LEASE).wait(WAIT)
}

/// A client of its own, as another process would be. Failures that may pass are tried again, as users do.
async fn work(url: String, tenant: String, size: u32, inside: Arc<Inside>) {
    let locks = Locks::connect_as(&url, &tenant).await.unwrap();
    let mut round = 0;
    while round < ROUNDS {
        match ask(&locks, size).acquire().await {
            Ok(guard) => {
                assert!(guard.is_held(), "granted and not held");
                inside.visit(&guard, size == 1).await;
                assert!(guard.is_held(), "lost within its lease");
                round += 1;
                // Where the answer stays unknown, the lease ends it.
                if let Err(error) = guard.release().await {
                    assert!(error.retryable(), "{}", error.chain());
                }
            }
            Err(error) => {
                let passes = error.retryable() && error.kind() != ErrorKind::NotGranted;
                assert!(passes, "stuck, or a failure that does not pass: {}", error.chain());
            }
        }
    }
    locks.settled().await;
}

async fn keeps_its_word(size: u32, seed: u64) {
    let proxy = Proxy::start(seed);
    let inside = Arc::new(Inside::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(work(proxy.url(), proxy.tenant(), size, Arc::clone(&inside)));
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let injected = proxy.injected();
    eprintln!("seed {seed}: {injected:?}");
    assert!(injected.iter().all(|(_, count)| *count > 0), "too little went wrong: {injected:?}");

    let most = inside.most.load(Ordering::SeqCst);
    assert!(most <= size as usize, "{most} held at once, of {size}");
    if size == 1 {
        assert_eq!(inside.counter.load(Ordering::SeqCst), (CLIENTS * ROUNDS) as u64, "the counter is exact");
        let tokens = inside.tokens.lock().unwrap();
        let falls = tokens.windows(2).find(|pair| pair[0] >= pair[1]);
        assert!(falls.is_none(), "tokens do not grow: {falls:?}");
    }
    // Nobody is left inside: without the proxy, all places can be had when a lease is over.
    let direct = format!("dynamodb+{}", variable("DB_LOCKS_TEST_DYNAMODB_URL"));
    let locks = Locks::connect_as(&direct, &proxy.tenant()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..size {
        held.push(ask(&locks, size).wait(LEASE * 3).acquire().await.unwrap());
    }
    assert_eq!(held.len(), size as usize);
}

mod faults {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_mutex_keeps_its_word_behind_a_proxy_that_throttles_fails_and_loses_answers() {
        super::keeps_its_word(1, 11).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_semaphore_keeps_its_word_behind_a_proxy_that_throttles_fails_and_loses_answers() {
        super::keeps_its_word(2, 12).await;
    }
}
