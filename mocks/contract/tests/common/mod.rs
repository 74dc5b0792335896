//! Services on real sockets, which remember what they were asked.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "how a test fails; not every test needs all"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_mock_contract::{Contract, Report, RunOptions, run};
use api_mock_scenario::{Format, Scenario};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// What a service was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// A service that answers by a function, and remembers what it was asked.
pub struct Service {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub async fn start(answer: impl Fn(&Asked) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Service {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                let serve = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let asked = Asked {
                            method: head.method.to_string(),
                            target: head.uri.to_string(),
                            headers: head.headers,
                            body: String::from_utf8(body.to_vec()).unwrap(),
                        };
                        let answer = answer(&asked);
                        seen.lock().unwrap().push(asked);
                        Ok::<_, Infallible>(answer)
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve),
                );
            }
        });
        Service { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn json(status: u16, body: &str) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .body(body)
        .unwrap()
}

pub fn contract(text: &str) -> Contract {
    Contract::new(Scenario::parse(text, Format::Yaml).unwrap())
}

pub fn options(times: u32) -> RunOptions {
    let mut options = RunOptions::default();
    options.times = times;
    options.timeout = Duration::from_secs(20);
    options
}

pub async fn tried(contracts: &[Contract], url: &str, options: RunOptions) -> Report {
    run(contracts, url, options, Arc::default()).await.unwrap()
}
