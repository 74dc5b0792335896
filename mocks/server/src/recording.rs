//! Recording as a part of a server: what is opened for it, and the admin API behind the proxy.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use api_mock_engine::{Answer, Engine, FaultPlan, Refusal};
use api_mock_recorder::{Body, CertificateAuthority, Local, Mode, Proxy, ProxyConfig, Recorder};
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::config::RecordingConfig;
use crate::error::StartError;
use crate::rim::{Rim, Work};
use crate::routes::{self, Found};
use crate::validation::Verdict;

/// What the admin API needs for recording.
pub(crate) struct Recording {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) authority: Arc<CertificateAuthority>,
    /// The proxy's mode, which is that of `/_proxy`, too.
    pub(crate) mode: Mode,
}

impl Recording {
    /// Reads and makes what is needed, where it may block.
    pub(crate) async fn open(config: &RecordingConfig, engine: Arc<Engine>) -> Result<Self, StartError> {
        let (options, folder) = (config.recorder.clone(), config.authority_dir.clone());
        let mode = config.proxy.as_ref().map_or_else(Mode::default, |proxy| proxy.mode);
        let opened = tokio::task::spawn_blocking(move || {
            let authority = CertificateAuthority::kept_in(&folder)?;
            Ok(Recording { recorder: Recorder::open(engine, options)?, authority, mode })
        });
        match opened.await {
            Ok(opened) => opened,
            Err(error) => Err(api_mock_recorder::OpenError::from(std::io::Error::other(error)).into()),
        }
    }
}

/// Takes the port of the proxy.
pub(crate) async fn bind_proxy(config: ProxyConfig, rim: &Arc<Rim>) -> Result<Option<Proxy>, StartError> {
    let Some(Recording { recorder, authority, .. }) = &rim.recording else { return Ok(None) };
    let address: SocketAddr = config.address;
    let local: Arc<dyn Local> = Arc::<Rim>::clone(rim);
    let bound = Proxy::bind(config, Arc::clone(recorder), Arc::clone(authority), local).await;
    bound.map(Some).map_err(|source| StartError::Listen { address, source })
}

/// Paths that are the admin API's for every host. Real services have paths such as `/metrics` of their own.
const EVERYWHERE: [&str; 6] = ["/_scenarios", "/_groups", "/_fixtures", "/_oapi", "/_proxy", "/_ca"];

impl Local for Rim {
    fn is_local(&self, method: &Method, path: &str) -> bool {
        path.starts_with("/_")
            && EVERYWHERE.iter().any(|begin| {
                path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            && !matches!(routes::find(method, path), Found::Playback)
    }

    fn refusal(&self, request: &api_mock_engine::Request, uri: &Uri) -> Option<Refusal> {
        match self.verdict(request, uri) {
            Verdict::Bad(invalid) => Some(Refusal::Invalid(invalid)),
            // Which methods a path has says the service itself, if nothing is played back.
            Verdict::Good | Verdict::OtherMethods(_) => None,
        }
    }

    fn played(&self, request: &api_mock_engine::Request, answered: &mut Result<Answer, Refusal>) {
        self.show(request, answered);
        match answered {
            Ok(answer) => {
                self.metrics.note_answered();
                answer.fault.iter().for_each(|plan| self.metrics.note_faults(plan));
            }
            Err(Refusal::Invalid(_)) => self.metrics.invalid.inc(),
            Err(Refusal::NoMatch { .. }) => self.metrics.not_matched.inc(),
            Err(_) => self.metrics.failed.inc(),
        }
    }

    fn disturbed(&self, plan: &FaultPlan) {
        self.metrics.note_faults(plan);
    }

    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        Box::pin(async {
            let answered = Rim::answer(self, Work::Request(request)).await;
            answered.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}
