//! Any bytes from a client and any bytes from a service: the recording proxy answers or ends the connection, and lives on. All
//! is on the loopback interface: services are reached through a proxy in between that sends the bytes of the input.
#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_recorder::{
    Body, CertificateAuthority, Local, Mode, Proxy, ProxyConfig, ProxyTimeouts, Recorder, RecorderOptions, UpstreamOptions,
};
use api_mock_store::StoreOptions;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use libfuzzer_sys::fuzz_target;

/// What the service sends next.
static SENT: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(Arc::default);
static RIG: LazyLock<(SocketAddr, Engine)> = LazyLock::new(start);

struct Nothing;

impl Local for Nothing {
    fn is_local(&self, _: &Method, path: &str) -> bool {
        path == "/_scenarios"
    }

    fn answer(&self, _: Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        Box::pin(std::future::ready(Response::new(body)))
    }
}

/// Reads a little and sends the bytes.
fn service() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let bytes = SENT.lock().expect("not poisoned").clone();
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&bytes);
            });
        }
    });
    address
}

fn start() -> (SocketAddr, Engine) {
    let between = service();
    let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).expect("a store");
    let file = "method: POST\nname: known\npath: /known/:id\nresponse:\n  contents: 'known {{.id}}'\n";
    engine.store().put_text(file, api_mock_scenario::Format::Yaml).expect("a good file");
    let upstream = UpstreamOptions {
        proxy: Some(format!("http://{between}").parse().expect("an address")),
        connect_timeout: Duration::from_millis(200),
        head_timeout: Duration::from_millis(200),
        ..UpstreamOptions::default()
    };
    let options = RecorderOptions { upstream, max_body_bytes: 1 << 16, max_matched_bytes: 1 << 12, ..RecorderOptions::default() };
    let recorder = Recorder::open(Arc::new(engine.clone()), options).expect("a recorder");
    let short = Duration::from_millis(100);
    let config = ProxyConfig {
        address: ([127, 0, 0, 1], 0).into(),
        mode: Mode::RecordMissing,
        timeouts: ProxyTimeouts { idle: short, body: short, stream: short, shutdown: short },
        ..ProxyConfig::default()
    };
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let authority = CertificateAuthority::generate().expect("an authority");
            let proxy = Proxy::bind(config, recorder, authority, Arc::new(Nothing)).await.expect("a port");
            tell.send(proxy.address()).expect("somebody waits");
            proxy.serve(std::future::pending()).await;
        });
    });
    (told.recv().expect("it started"), engine)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let (address, engine) = &*RIG;
    let mut parts = rest.splitn(2, |byte| *byte == 0x1e);
    let client = parts.next().unwrap_or_default();
    *SENT.lock().expect("not poisoned") = parts.next().unwrap_or_default().to_vec();
    let begin: &[u8] = match choice % 6 {
        0 => b"",
        1 => b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n",
        2 => b"POST http://a.test/known/1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        3 => b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
        4 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        _ => b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    };
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    let _ = stream.write_all(begin);
    if choice % 6 == 3 {
        // What follows is for the tunnel, which must stand before.
        let mut head = [0; 19];
        let _ = stream.read_exact(&mut head);
    }
    let _ = stream.write_all(client);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        // It ends each connection in time.
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{:?}", String::from_utf8_lossy(&answer));
    }
    let store = engine.store();
    if store.snapshot().scenarios().len() > 256 {
        for stored in store.list(None) {
            let scenario = &stored.scenario;
            if scenario.name != "known" {
                store.delete(&scenario.method, &scenario.name, &scenario.path).expect("it was there");
            }
        }
    }
});
