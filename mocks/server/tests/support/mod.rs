//! Servers on free ports, each with a data folder of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod http;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_server::{Ended, Server, ServerConfig};
use api_mock_store::StoreOptions;
use tokio::sync::oneshot;

/// The walk-through's scenario, without its wait.
pub const BALANCE: &str = r#"method: GET
name: stripe-cash-balance
path: /v1/customers/:customer/cash_balance
request:
    match_headers:
        Authorization: Bearer sk_test_[0-9a-fA-F]{10}$
response:
    headers:
        Access-Control-Allow-Credentials:
            - "true"
        Access-Control-Allow-Origin:
            - '*'
        Cache-Control:
            - no-cache, no-store
        Content-Type:
            - application/json
        Request-Id:
            - req_2
        Server:
            - nginx
        Strict-Transport-Security:
            - max-age=63072000; includeSubDomains; preload
        Stripe-Version:
            - "2018-09-06"
    content_type: application/json
    contents: |-
        {
          "object": "cash_balance",
          "available": null,
          "customer": {{.customer}}
          "livemode": false,
          "page": {{.page}}
          "pageSize": {{.pageSize}}
          "settings": {
            "reconciliation_mode": "automatic"
          }
        }
    status_code: 200
wait_before_reply: 0s
"#;

pub const BALANCE_FAILURE: &str = r#"method: GET
name: stripe-customer-failure
path: /v1/customers/:customer/cash_balance
request:
    match_headers:
        Authorization: Bearer sk_test_[0-9a-fA-F]{10}$
response:
    headers:
        Stripe-Version:
            - "2018-09-06"
    content_type: application/json
    contents: My custom error
    status_code: 500
wait_before_reply: 0s
"#;

/// Waits until something is so; that it never is, fails the test.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} has not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A scenario with nothing but a text.
pub fn simple(method: &str, name: &str, path: &str, contents: &str) -> String {
    format!("method: {method}\nname: {name}\npath: {path}\nresponse:\n    contents: '{contents}'\n")
}

/// The engine over a data folder.
pub fn engine(folder: &Path) -> Arc<Engine> {
    let opened = Engine::open(StoreOptions::in_folder(folder), EngineOptions::default());
    let (engine, _problems) = opened.unwrap();
    Arc::new(engine)
}

/// A running server; it ends with the test.
pub struct TestServer {
    pub address: SocketAddr,
    /// Of the recording proxy, if it has one.
    pub proxy: Option<SocketAddr>,
    folder: PathBuf,
    /// Removed at the end.
    _own: Option<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    runtime: tokio::runtime::Runtime,
    task: Option<tokio::task::JoinHandle<Ended>>,
}

impl TestServer {
    pub fn start() -> Self {
        TestServer::with(|_, _| {})
    }

    /// Changes the configuration first; the folder is that of the data.
    pub fn with(change: impl FnOnce(&mut ServerConfig, &Path)) -> Self {
        let own = tempfile::tempdir().unwrap();
        let mut server = TestServer::in_folder(own.path(), change);
        server._own = Some(own);
        server
    }

    /// On data that may be there already.
    pub fn in_folder(folder: &Path, change: impl FnOnce(&mut ServerConfig, &Path)) -> Self {
        let mut config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
        change(&mut config, folder);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = engine(folder);
        let server = runtime.block_on(Server::bind(config, engine)).unwrap();
        let (address, proxy) = (server.address(), server.proxy_address());
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        TestServer {
            address,
            proxy,
            folder: folder.to_owned(),
            _own: None,
            stop: Some(stop),
            runtime,
            task: Some(task),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Asks it to end, and goes on at once.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits for the end.
    pub fn ended(mut self) -> Ended {
        self.ask_to_stop();
        let task = self.task.take().unwrap();
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap() })
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}
