//! Between HTTP and the engine: routes a request, plays it back or hands it to the admin API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_mock_engine::{Answer, Engine, REQUEST_COUNT, Refusal};
use api_mock_recorder::Wanted;
use api_mock_store::Store;
use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
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

/// How long the rest of a body is waited for before its request is refused over HTTP/2.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// What is left to do for a request.
pub(crate) enum Work {
    /// All of it.
    Request(Request<Incoming>),
    /// The scenarios have said what.
    Playback { step: Step, is_head: bool },
}

/// What a request of the scenarios needs next.
pub(crate) enum Step {
    /// Nothing more.
    Answer(Reply),
    Wait(Duration, Box<Reply>),
    /// Nothing answers it, but something is being recorded that may.
    Settle(Box<(Asking, Refusal)>),
    /// The real service is asked.
    Forward(Box<(Asking, Refusal)>),
}

/// A request of the scenarios.
pub(crate) struct Asking {
    request: api_mock_engine::Request,
    uri: Uri,
    /// Those that an imported specification has for this path, where it has not the one that was asked for.
    other_methods: Vec<String>,
    begun: Instant,
}

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

    /// Answers at once where that is possible, as nearly always: a future of its own would only be moved about. What is left to do, if not.
    pub(crate) fn at_once(&self, request: Request<Incoming>) -> Result<Reply, Box<Work>> {
        let is_playback = matches!(routes::find(request.method(), request.uri().path()), Found::Playback);
        if !(is_playback && request.body().is_end_stream()) {
            return Err(Box::new(Work::Request(request)));
        }
        let is_head = request.method() == Method::HEAD;
        match self.decide(request.into_parts().0, Bytes::new()) {
            Step::Answer(mut reply) => {
                reply::without_body_where_none_may_be(&mut reply, is_head);
                Ok(reply)
            }
            step => Err(Box::new(Work::Playback { step, is_head })),
        }
    }

    /// Answers with all the time that it takes.
    pub(crate) async fn answer(&self, work: Work) -> Reply {
        let (mut reply, is_head) = match work {
            Work::Playback { step, is_head } => (self.go_on(step).await, is_head),
            Work::Request(request) => {
                let is_head = request.method() == Method::HEAD;
                let (head, mut body) = request.into_parts();
                let version = head.version;
                let reply = self.answer_request(head, &mut body).await;
                // A socket of HTTP/1.1 lingers; and whose body came too late has waited long enough.
                if version == Version::HTTP_2 && reply.status() != StatusCode::REQUEST_TIMEOUT {
                    let most = self.body_bytes.max(self.upload_bytes);
                    body::drain(&mut body, most, self.body_timeout.min(DRAIN_PATIENCE)).await;
                }
                (reply, is_head)
            }
        };
        reply::without_body_where_none_may_be(&mut reply, is_head);
        reply
    }

    async fn answer_request(&self, head: Parts, body: &mut Incoming) -> Reply {
        match routes::find(&head.method, head.uri.path()) {
            Found::Playback => match body::read(body, self.body_bytes, self.body_timeout).await {
                Ok(body) => self.go_on(self.decide(head, body)).await,
                Err(problem) => {
                    self.metrics.failed.inc();
                    problem.into()
                }
            },
            Found::Route(route, parameters) => self.admin(route, parameters, &head, body).await,
            Found::OtherMethods(_) if routes::is_call(&head) => {
                self.admin(&routes::CALL, Parameters::default(), &head, body).await
            }
            Found::OtherMethods(allow) if head.method == Method::OPTIONS => {
                admin::preflight(&head, allow, &self.admin_origins)
            }
            Found::OtherMethods(allow) => Problem::method_not_allowed(allow).into(),
        }
    }

    async fn admin(
        &self,
        route: &Route,
        parameters: Parameters<'_>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Reply {
        self.metrics.admin.inc();
        let answered = self.administer(route, parameters, head, body).await;
        let mut reply = answered.unwrap_or_else(Reply::from);
        admin::allow_origin(head, &self.admin_origins, &mut reply);
        reply
    }

    /// Admits before it reads, and reads before it takes a slot: a slow upload holds up nobody.
    async fn administer(
        &self,
        route: &Route,
        parameters: Parameters<'_>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Reply, Problem> {
        admin::admit(head, route.is_open, self.admin_token.as_ref(), &self.admin_origins)?;
        let target = Target::of(route, parameters)?;
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

    /// What the scenarios say to a request.
    fn decide(&self, mut head: Parts, body: Bytes) -> Step {
        if head.version == Version::HTTP_2 {
            name_the_host(&mut head);
        }
        let begun = Instant::now();
        let request = api_mock_engine::Request::new(head.method, target_of(&head.uri), head.headers, body);
        let mut other_methods = Vec::new();
        let answered = match self.verdict(&request, &head.uri) {
            Verdict::Bad(invalid) => Err(Refusal::Invalid(invalid)),
            Verdict::Good => self.engine.answer(&request),
            Verdict::OtherMethods(allowed) => {
                other_methods = allowed;
                self.engine.answer(&request)
            }
        };
        let asked = Asking { request, uri: head.uri, other_methods, begun };
        match answered {
            Err(refusal @ Refusal::NoMatch { .. }) if self.recording.is_some() => {
                Step::Settle(Box::new((asked, refusal)))
            }
            answered => self.conclude(asked, answered),
        }
    }

    /// What comes of what the scenarios say.
    fn conclude(&self, asked: Asking, mut answered: Result<Answer, Refusal>) -> Step {
        self.show(&asked.request, &mut answered);
        self.metrics.note_playback(asked.begun);
        match answered {
            Ok(answer) => {
                self.metrics.note_answered();
                if let Some(plan) = &answer.fault {
                    self.metrics.note_faults(plan);
                }
                let wait = answer.wait.min(self.longest_wait);
                let reply = played(answer);
                if wait.is_zero() { Step::Answer(reply) } else { Step::Wait(wait, Box::new(reply)) }
            }
            // Behind a mock that forwards, the real service says what it does not know.
            Err(Refusal::NoMatch { only_rules: false, .. })
                if !asked.other_methods.is_empty() && self.upstream.is_none() =>
            {
                self.metrics.not_matched.inc();
                Step::Answer(validation::other_methods(&asked.other_methods))
            }
            Err(refusal @ Refusal::NoMatch { .. }) if self.upstream.is_some() => {
                Step::Forward(Box::new((asked, refusal)))
            }
            Err(refusal) => Step::Answer(self.refused(&refusal)),
        }
    }

    /// Takes this step, and those after it.
    async fn go_on(&self, mut step: Step) -> Reply {
        loop {
            match step {
                Step::Answer(reply) => return reply,
                Step::Wait(wait, reply) => {
                    tokio::time::sleep(wait).await;
                    return *reply;
                }
                Step::Settle(asked) => {
                    let (asked, refusal) = *asked;
                    let answered = self.settled(&asked, refusal).await;
                    step = self.conclude(asked, answered);
                }
                Step::Forward(asked) => {
                    let (Asking { request, uri, .. }, refusal) = *asked;
                    return match &self.upstream {
                        Some(upstream) => self.forward(upstream, request, target_of(&uri)).await,
                        None => self.refused(&refusal),
                    };
                }
            }
        }
    }

    /// The answer after all, if what was just being recorded is for this request.
    async fn settled(&self, asked: &Asking, refusal: Refusal) -> Result<Answer, Refusal> {
        let Some(recording) = &self.recording else { return Err(refusal) };
        match recording.recorder.settled(&asked.request.method, asked.uri.path()).await {
            true => self.engine.answer(&asked.request),
            false => Err(refusal),
        }
    }

    /// What the scenarios say to a request that would be sent elsewhere; `None` if no one is for it, unless nothing else
    /// is wanted.
    pub(crate) async fn play(
        &self,
        request: api_mock_engine::Request,
        uri: &Uri,
        wanted: &Wanted,
    ) -> Option<Reply> {
        let asked = Asking { request, uri: uri.clone(), other_methods: Vec::new(), begun: Instant::now() };
        let answered = match self.engine.answer(&asked.request) {
            Err(refusal @ Refusal::NoMatch { .. }) => self.settled(&asked, refusal).await,
            answered => answered,
        };
        match (answered, self.verdict(&asked.request, uri)) {
            (Err(Refusal::NoMatch { .. }), _) if !wanted.only_plays => None,
            (_, Verdict::Bad(invalid)) => Some(self.refused(&Refusal::Invalid(invalid))),
            (Err(refusal @ Refusal::NoMatch { .. }), _) => Some(self.refused(&refusal)),
            (answered, _) => {
                let step = self.conclude(asked, answered);
                Some(Box::pin(self.go_on(step)).await)
            }
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

/// Path and query, as they stand in the request.
fn target_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
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
