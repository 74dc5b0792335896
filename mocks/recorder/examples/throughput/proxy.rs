//! The recording proxy as a process.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_recorder::{
    Body, CertificateAuthority, Local, Proxy, ProxyConfig, Recorder, RecorderOptions, UpstreamOptions,
};
use api_mock_store::StoreOptions;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::Failure;

/// No admin API.
struct Nothing;

impl Local for Nothing {
    fn is_local(&self, _: &Method, _: &str) -> bool {
        false
    }

    fn answer(&self, _: Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        Box::pin(std::future::ready(Response::new(body)))
    }
}

/// Serves until it is killed; its certificate is `ca.pem` in the folder.
pub(crate) async fn serve(mode: &str, folder: &Path, root: &Path) -> Result<(), Failure> {
    let (engine, _) =
        Engine::open(StoreOptions::in_folder(folder.join("recorded")), EngineOptions::default())?;
    let upstream =
        UpstreamOptions { extra_roots: api_mock_recorder::certificates(root)?, ..UpstreamOptions::default() };
    let options = RecorderOptions { upstream, ..RecorderOptions::default() };
    let recorder = Recorder::open(Arc::new(engine), options)?;
    let authority = CertificateAuthority::kept_in(folder)?;
    let config =
        ProxyConfig { address: ([127, 0, 0, 1], 0).into(), mode: mode.parse()?, ..ProxyConfig::default() };
    let proxy = Proxy::bind(config, recorder, authority, Arc::new(Nothing)).await?;
    println!("{}", proxy.address());
    proxy.serve(std::future::pending()).await;
    Ok(())
}
