//! A private server and short ways to ask for locks.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

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
    pub(crate) ca: String,
    /// Without TLS, and with it.
    ports: (u64, u64),
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = xtask(&["server", "start", "redis", "--tls", "--dir", folder.path().to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let port = |place: usize| line["ports"][place].as_u64().unwrap();
        Self { folder, ca: line["ca"].as_str().unwrap().to_string(), ports: (port(0), port(1)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.ports.0)
    }

    /// For this user, written as `user:password`.
    pub(crate) fn url_for(&self, user: &str) -> String {
        format!("redis://{user}@127.0.0.1:{}", self.ports.0)
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.ports.1)
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
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
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
        lock: lock.clone(),
        version: new_version(),
        owner: "test".into(),
        lease_ms: 15_000,
        max_size: lock.is_semaphore().then_some(2),
        named_by_version: false,
        data: None,
        replace_data: true,
        delete_on_release: false,
        reentrant: false,
        only_if_exists: false,
        fair: true,
        wait: true,
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
