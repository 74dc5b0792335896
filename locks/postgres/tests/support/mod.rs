//! What the tests of this store share: schemas of their own, plain clients, requests, and a proxy that counts round trips.
#![allow(dead_code, reason = "not every test needs everything")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest, RenewRequest,
};
use db_locks_postgres::PostgresRepository;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

/// The shared test server.
pub(crate) fn server_url() -> String {
    std::env::var("DB_LOCKS_TEST_POSTGRES_URL")
        .expect("DB_LOCKS_TEST_POSTGRES_URL is not set: run `cargo xtask test`")
}

/// A client without anything of ours.
pub(crate) async fn plain_client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// An empty schema, dropped at the end.
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) admin: tokio_postgres::Client,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        let name = format!("s_{}", new_version().replace('-', ""));
        let admin = plain_client(&server_url()).await;
        admin.batch_execute(&format!("CREATE SCHEMA {name}; SET search_path = {name}")).await.unwrap();
        Self { name, admin }
    }

    /// The server's URL with this schema, and with more parameters.
    pub(crate) fn url(&self, more: &str) -> String {
        format!("{}?options=-c%20search_path%3D{}&{more}", server_url(), self.name)
    }

    pub(crate) fn config(&self, more: &str) -> LocksConfig {
        let mut config = LocksConfig::new("tenant");
        config.database_url = Some(self.url(more));
        config
    }

    pub(crate) async fn connect(&self, more: &str) -> Arc<PostgresRepository> {
        PostgresRepository::connect(&self.config(more)).await.unwrap()
    }

    pub(crate) async fn drop(self) {
        self.admin.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }
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

pub(crate) async fn granted(store: &PostgresRepository, request: &AcquireRequest) -> MutexLock {
    match store.acquire(request).await.unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Busy(busy) => panic!("refused: {busy:?}"),
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

/// Stands between a client and the server and counts the messages that ask for an answer (Sync and simple Query): the
/// round trips that cannot be less, however they are packed.
pub(crate) struct CountingProxy {
    pub(crate) url: String,
    round_trips: Arc<AtomicUsize>,
}

impl CountingProxy {
    /// Before the server of this URL, which must name host and port and ask for no TLS.
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
        Self { url: format!("{start}@{own}/{path}&sslmode=disable"), round_trips }
    }

    /// The round trips since the last look.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: TcpStream, round_trips: Arc<AtomicUsize>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // The first message has no type.
    let mut typed = false;
    loop {
        let mut message = Vec::new();
        if typed {
            let Ok(kind) = from_client.read_u8().await else { return };
            message.push(kind);
            if kind == b'S' || kind == b'Q' {
                round_trips.fetch_add(1, Ordering::SeqCst);
            }
        }
        let Ok(length) = from_client.read_u32().await else { return };
        message.extend_from_slice(&length.to_be_bytes());
        let mut body = vec![0; length as usize - 4];
        if from_client.read_exact(&mut body).await.is_err() {
            return;
        }
        message.extend_from_slice(&body);
        if to_server.write_all(&message).await.is_err() {
            return;
        }
        typed = true;
    }
}
