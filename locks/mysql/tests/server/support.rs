//! What the tests share: databases of their own, requests, and a proxy that counts round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, Busy, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest,
    RenewRequest,
};
use db_locks_mysql::MysqlRepository;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The shared test server.
pub(crate) fn server_url() -> String {
    std::env::var("DB_LOCKS_TEST_MYSQL_URL")
        .expect("DB_LOCKS_TEST_MYSQL_URL is not set: run `cargo xtask test`")
}

/// `mysql://user:password@host:port` of a URL.
pub(crate) fn without_database(url: &str) -> &str {
    url.rsplit_once('/').unwrap().0
}

/// A connection without anything of ours.
pub(crate) async fn plain_client(url: &str) -> Conn {
    let opts = OptsBuilder::from_opts(Opts::from_url(url).unwrap()).prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

/// An empty database, dropped at the end.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) admin: Conn,
}

impl Database {
    pub(crate) async fn new() -> Self {
        Self::on(&server_url()).await
    }

    /// On the server of this URL, as its user, who may do everything.
    pub(crate) async fn on(url: &str) -> Self {
        let name = format!("t_{}", new_version().replace('-', ""));
        let mut admin = plain_client(url).await;
        admin.query_drop(format!("CREATE DATABASE {name}")).await.unwrap();
        admin.query_drop(format!("USE {name}")).await.unwrap();
        Self { url: format!("{}/{name}", without_database(url)), name, admin }
    }

    pub(crate) fn config(&self) -> LocksConfig {
        config(&self.url)
    }

    pub(crate) async fn connect(&self) -> Arc<MysqlRepository> {
        MysqlRepository::connect(&self.config()).await.unwrap()
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.admin.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn one<T: FromRow + Send + 'static>(&mut self, sql: &str) -> T {
        self.admin.query_first(sql).await.unwrap().unwrap()
    }

    pub(crate) async fn drop(mut self) {
        self.run(&format!("DROP DATABASE {}", self.name)).await;
        self.admin.disconnect().await.unwrap();
    }
}

pub(crate) fn config(url: &str) -> LocksConfig {
    let mut config = LocksConfig::new("tenant");
    config.database_url = Some(url.to_string());
    config
}

pub(crate) fn mutex(key: &str) -> LockId {
    LockId::mutex("tenant", key).unwrap()
}

pub(crate) fn semaphore(key: &str) -> LockId {
    LockId::semaphore("tenant", key).unwrap()
}

pub(crate) fn ask(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "test".into(),
        lease_ms: 30_000,
        max_size: lock.is_semaphore().then_some(2),
        ..AcquireRequest::new(lock.clone())
    }
}

/// As [`ask`], but enters the queue when refused.
pub(crate) fn wait(lock: &LockId) -> AcquireRequest {
    AcquireRequest { wait: true, ..ask(lock) }
}

pub(crate) async fn granted(store: &MysqlRepository, request: &AcquireRequest) -> MutexLock {
    match store.acquire(request).await.unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
    }
}

pub(crate) async fn busy(store: &MysqlRepository, request: &AcquireRequest) -> Busy {
    match store.acquire(request).await.unwrap() {
        Acquired::Busy(busy) => busy,
        Acquired::Granted(lock) => panic!("granted: {lock:?}"),
    }
}

pub(crate) fn renewal(lock: &MutexLock) -> RenewRequest {
    RenewRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 30_000,
        data: None,
    }
}

pub(crate) fn release(lock: &MutexLock) -> ReleaseRequest {
    ReleaseRequest {
        lock: lock.lock_id().unwrap(),
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        delete: false,
        data: None,
    }
}

/// Stands between a client and the server and counts the commands that ask for an answer.
pub(crate) struct CountingProxy {
    pub(crate) url: String,
    round_trips: Arc<AtomicUsize>,
}

impl CountingProxy {
    /// Before the server of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let (start, rest) = url.split_once('@').unwrap();
        let (address, path) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let (target, counter) = (address.to_string(), round_trips.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(pass(client, server, counter.clone()));
            }
        });
        Self { url: format!("{start}@{own}/{path}"), round_trips }
    }

    /// The round trips since the last look.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

/// A command is a packet number 0 of the client's; `COM_QUIT` and `COM_STMT_CLOSE` have no answer.
async fn pass(client: TcpStream, server: TcpStream, round_trips: Arc<AtomicUsize>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    loop {
        let mut packet = vec![0; 4];
        if from_client.read_exact(&mut packet).await.is_err() {
            return;
        }
        let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
        packet.resize(4 + length, 0);
        if from_client.read_exact(&mut packet[4..]).await.is_err() {
            return;
        }
        if packet[3] == 0 && length > 0 && ![0x01, 0x19].contains(&packet[4]) {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
        if to_server.write_all(&packet).await.is_err() {
            return;
        }
    }
}
