//! Between HTTP and the engine: routes a request, plays it back or hands it to the admin API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_mock_engine::{Answer, Engine, REQUEST_COUNT, Refusal};
use api_mock_store::Store;
use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::admin::{self, Asked, Target};
use crate::body;
use crate::config::{AdminToken, OnAnswer, ServerConfig};
use crate::documents::Documents;
use crate::fault::{Bounds, WireFault};
use crate::forward::Upstream;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::recording::Recording;
use crate::reply::{self, Reply, ReplyBody};
use crate::routes::{self, Found, Parameters, Route};
use crate::validation::{self, Checked, Validation, Verdict};

/// Runs of the chaos client at a time.
const CHAOS_RUNS: usize = 2;

/// Whoever asks for recordings waits this long for those that are on their way to the disk.
const RECORDING_PATIENCE: Duration = Duration::from_secs(5);

/// What all requests share.
pub(crate) struct Rim {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Metrics,
    pub(crate) asset_dir: Option<PathBuf>,
    pub(crate) recording: Option<Recording>,
    upstream: Option<Upstream>,
    pub(crate) validation: Option<Arc<Validation>>,
    /// For documents that specifications refer to.
    pub(crate) documents: Documents,
    admin_token: Option<AdminToken>,
    admin_origins: Vec<HeaderValue>,
    pub(crate) chaos_slots: Semaphore,
    pub(crate) chaos_private: bool,
    admin_slots: Semaphore,
    on_answer: Option<OnAnswer>,
    body_bytes: usize,
    upload_bytes: usize,
    body_timeout: Duration,
    pub(crate) longest_wait: Duration,
}

impl Rim {
    pub(crate) fn new(
        config: &ServerConfig,
        engine: Arc<Engine>,
        metrics: Metrics,
        recording: Option<Recording>,
        upstream: Option<Upstream>,
        validation: Option<Arc<Validation>>,
    ) -> Self {
        Rim {
            store: Arc::clone(engine.store()),
            engine,
            metrics,
            asset_dir: config.asset_dir.clone(),
            recording,
            upstream,
            validation,
            documents: Documents::of(config),
            admin_token: config.admin_token.clone(),
            admin_origins: config.admin_origins.clone(),
            chaos_slots: Semaphore::new(CHAOS_RUNS),
            chaos_private: config.chaos_private,
            admin_slots: Semaphore::new(config.limits.admin_requests.max(1)),
            on_answer: config.on_answer.clone(),
            body_bytes: config.limits.body_bytes,
            upload_bytes: config.limits.upload_bytes,
            body_timeout: config.timeouts.body,
            longest_wait: config.timeouts.longest_wait,
        }
    }

    /// Answers any request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let is_head = request.method() == Method::HEAD;
        let (head, body) = request.into_parts();
        let mut reply = match routes::find(&head.method, head.uri.path()) {
            Found::Playback => self.play(head, body).await,
            Found::Route(route, parameters) => {
                self.metrics.admin.inc();
                // Boxed, as all that is rare: the future of a request is moved about, and should be small.
                let answered = Box::pin(self.administer(route, parameters, &head, body)).await;
                let mut reply = answered.unwrap_or_else(Reply::from);
                admin::allow_origin(&head, &self.admin_origins, &mut reply);
                reply
            }
            Found::OtherMethods(allow) if head.method == Method::OPTIONS => {
                admin::preflight(&head, allow, &self.admin_origins)
            }
            Found::OtherMethods(allow) => Problem::method_not_allowed(allow).into(),
        };
        reply::without_body_where_none_may_be(&mut reply, is_head);
        reply
    }

    /// Admits before it reads, and reads before it takes a slot: a slow upload holds up nobody.
    async fn administer(
        &self,
        route: &Route,
        parameters: Parameters<'_>,
        head: &Parts,
        body: Incoming,
    ) -> Result<Reply, Problem> {
        admin::admit(head, route.is_open, self.admin_token.as_ref(), &self.admin_origins)?;
        let target = Target::of(parameters)?;
        let body = body::read(body, self.upload_bytes, self.body_timeout).await?;
        if let Some(recording) = self.recording.as_ref().filter(|_| route.action.sees_recordings()) {
            recording.recorder.flush(RECORDING_PATIENCE).await;
        }
        let is_free = route.is_open || route.action.is_long();
        let slot = if is_free { None } else { self.admin_slots.acquire().await.ok() };
        let answered = admin::answer(self, route, Asked { head, body, target }).await;
        drop(slot);
        answered
    }

    async fn play(&self, mut head: Parts, body: Incoming) -> Reply {
        let read = if body.is_end_stream() {
            Ok(Bytes::new())
        } else {
            Box::pin(body::read(body, self.body_bytes, self.body_timeout)).await
        };
        let body = match read {
            Ok(body) => body,
            Err(problem) => {
                self.metrics.failed.inc();
                return problem.into();
            }
        };
        if head.version == Version::HTTP_2 {
            name_the_host(&mut head);
        }
        let begun = Instant::now();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let request = api_mock_engine::Request::new(head.method, target, head.headers, body);
        let mut other_methods = Vec::new();
        let mut answered = match self.verdict(&request, &head.uri) {
            Verdict::Bad(invalid) => Err(Refusal::Invalid(invalid)),
            Verdict::Good => self.engine.answer(&request),
            Verdict::OtherMethods(allowed) => {
                other_methods = allowed;
                self.engine.answer(&request)
            }
        };
        if let (Some(recording), Err(Refusal::NoMatch { .. })) = (&self.recording, &answered)
            && Box::pin(recording.recorder.settled(&request.method, head.uri.path())).await
        {
            // What was just being written may be for this request.
            answered = self.engine.answer(&request);
        }
        self.show(&request, &mut answered);
        self.metrics.note_playback(begun);
        match answered {
            Ok(answer) => {
                self.metrics.note_answered();
                if let Some(plan) = &answer.fault {
                    self.metrics.note_faults(plan);
                }
                let wait = answer.wait.min(self.longest_wait);
                if !wait.is_zero() {
                    Box::pin(tokio::time::sleep(wait)).await;
                }
                played(answer)
            }
            // Behind a mock that forwards, the real service says what it does not know.
            Err(Refusal::NoMatch { only_rules: false, .. })
                if !other_methods.is_empty() && self.upstream.is_none() =>
            {
                self.metrics.not_matched.inc();
                validation::other_methods(&other_methods)
            }
            Err(refusal) => match &self.upstream {
                Some(upstream) if matches!(refusal, Refusal::NoMatch { .. }) => {
                    Box::pin(self.forward(upstream, request, target)).await
                }
                _ => self.refused(&refusal),
            },
        }
    }

    /// What the imported specifications say to a request, if requests are checked.
    pub(crate) fn verdict(&self, request: &api_mock_engine::Request, uri: &Uri) -> Verdict {
        let Some(validation) = &self.validation else { return Verdict::Good };
        let (method, headers, body) = (request.method.as_str(), &request.headers, &request.body);
        validation.check(&Checked { method, uri, headers, body })
    }

    /// Lets whoever wants to see what is played back, and change it.
    pub(crate) fn show(&self, request: &api_mock_engine::Request, answered: &mut Result<Answer, Refusal>) {
        if let Some(on_answer) = &self.on_answer {
            on_answer.call(request, answered);
        }
    }

    /// What bounds faults.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { longest: self.longest_wait, body_bytes: self.body_bytes }
    }
}

/// In HTTP/2 the host is a part of the address; scenarios look for the header.
fn name_the_host(head: &mut Parts) {
    let host = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let (Some(host), false) = (host, head.headers.contains_key(HOST)) {
        head.headers.insert(HOST, host);
    }
}

/// An answer of the engine as one of HTTP.
fn played(answer: Answer) -> Reply {
    let mut reply = Reply::new(ReplyBody::from(answer.body));
    *reply.status_mut() = answer.status;
    let headers = reply.headers_mut();
    headers.reserve(answer.headers.len() + 1);
    for (name, value) in answer.headers.iter() {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(REQUEST_COUNT, HeaderValue::from(answer.count));
    if let Some(fault) = answer.fault.as_deref().and_then(WireFault::of) {
        reply.extensions_mut().insert(fault);
    }
    reply
}
