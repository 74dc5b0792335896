//! A private server and short ways to ask for locks.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LockResult, LocksConfig, MutexLock, ReleaseRequest,
    RenewRequest,
};
use db_locks_redis::RedisRepository;
use redis::aio::MultiplexedConnection;

/// A server of this test's own; dropping it kills it.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    line: serde_json::Value,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn start_with_tls() -> Self {
        Self::with(&["--tls"])
    }

    fn with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ["server", "start", "redis", "--dir", folder.path().to_str().unwrap()];
        let output = xtask(&[&args, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { line: serde_json::from_slice(&output.stdout).unwrap(), folder }
    }

    pub(crate) fn port(&self) -> u64 {
        self.line["ports"][0].as_u64().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        let killed = xtask(&["server", "kill", "--dir", self.folder.path().to_str().unwrap()]);
        assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    }

    /// Without TLS.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.line["ports"][0])
    }

    /// For this user, written as `user:password`.
    pub(crate) fn url_for(&self, user: &str) -> String {
        format!("redis://{user}@127.0.0.1:{}", self.line["ports"][0])
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.line["ports"][1])
    }

    /// The authority that has signed the server's certificate.
    pub(crate) fn ca(&self) -> &str {
        self.line["ca"].as_str().unwrap()
    }

    /// A plain connection, to set up what a test needs.
    pub(crate) async fn raw(&self) -> MultiplexedConnection {
        raw(&self.url()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        xtask(&["server", "kill", "--dir", self.folder.path().to_str().unwrap()]);
    }
}

fn xtask(args: &[&str]) -> Output {
    let program =
        std::env::var_os("DB_LOCKS_XTASK").expect("DB_LOCKS_XTASK is not set: run `cargo xtask test`");
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

pub(crate) async fn raw(url: &str) -> MultiplexedConnection {
    // The driver's own half a second is short on a busy machine.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

/// Sends one command, written in words.
pub(crate) async fn say(
    connection: &mut MultiplexedConnection,
    words: &str,
) -> redis::RedisResult<redis::Value> {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query_async(connection).await
}

pub(crate) fn config(url: &str) -> LocksConfig {
    let mut config = LocksConfig::new(&format!("t-{}", new_version()));
    config.redis_url = Some(url.to_string());
    config.connect_timeout_ms = Some(3_000);
    config.request_timeout_ms = Some(5_000);
    config
}

pub(crate) async fn connect(url: &str) -> Arc<RedisRepository> {
    RedisRepository::connect(&config(url)).await.unwrap()
}

pub(crate) fn mutex(key: &str) -> LockId {
    LockId::mutex("t", key).unwrap()
}

pub(crate) fn semaphore(key: &str) -> LockId {
    LockId::semaphore("t", key).unwrap()
}

/// A fair request that waits; for semaphores, of two slots.
pub(crate) fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "test".into(),
        max_size: lock.is_semaphore().then_some(2),
        wait: true,
        ..AcquireRequest::new(lock.clone())
    }
}

pub(crate) async fn granted(store: &RedisRepository, request: &AcquireRequest) -> MutexLock {
    match store.acquire(request).await.unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => unreachable!("{} is busy: {busy:?}", request.lock),
    }
}

pub(crate) fn renewal(lock: &MutexLock) -> RenewRequest {
    RenewRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 15_000,
        data: Some("renewed".into()),
    }
}

pub(crate) async fn release(store: &RedisRepository, lock: &MutexLock) -> LockResult<bool> {
    let request = ReleaseRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: false,
        data: None,
    };
    store.release(&request).await
}

/// A waiter is rung at a release, also after its connection was lost: and then everybody is rung, since a call may have
/// been missed. `cut` cuts all connections.
pub(crate) async fn rings_again_after_a_cut<Cutting: Future<Output = ()>>(
    url: &str,
    cut: impl Fn() -> Cutting,
) {
    let (one, other) = (connect(url).await, connect(url).await);
    let lock = mutex(&new_version());
    let held = granted(&one, &request(&lock)).await;
    let waiting = request(&lock);
    assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    assert!(!rung(&other, &waiting, 100).await);
    cut().await;
    assert!(rung(&other, &waiting, 5_000).await, "not rung when the connection was lost");
    // Until it listens again it is rung for that too.
    while rung(&other, &waiting, 300).await {
        assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    }
    assert!(matches!(other.acquire(&waiting).await.unwrap(), Acquired::Busy(_)));
    assert!(release(&one, &held).await.unwrap());
    assert!(rung(&other, &waiting, 5_000).await, "not rung by a release after the connection was lost");
    granted(&other, &waiting).await;
}

/// Whether the bell rings within so many milliseconds.
pub(crate) async fn rung(store: &RedisRepository, waiting: &AcquireRequest, ms: u64) -> bool {
    tokio::time::timeout(Duration::from_millis(ms), store.rung(&waiting.version)).await.is_ok()
}
