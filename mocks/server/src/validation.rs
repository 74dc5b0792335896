//! Requests are checked against the specifications that were imported.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_mock_engine::{Engine, Invalid};
use api_mock_openapi::{Api, Refused, RequestParts, RequestViolation};
use api_mock_store::{KeptSpecification, Store};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::config::{Credentials, ServerConfig};
use crate::kept::Kept;
use crate::refused;
use crate::reply::{self, Reply, ReplyBody};

/// How often it is looked whether somebody else imported a specification.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many violations are told; there are seldom more.
const MOST_TOLD: usize = 1000;
/// So many of them are in the message, too.
const IN_MESSAGE: usize = 3;

/// The specifications by which requests are checked. They follow the store.
pub(crate) struct Validation {
    store: Arc<Store>,
    credentials: Credentials,
    specifications: ArcSwap<Vec<Arc<Specification>>>,
    /// One looks at a time.
    looking: Mutex<()>,
}

struct Specification {
    kept: KeptSpecification,
    title: String,
    groups: HashSet<String>,
    /// None if it cannot be read.
    api: Option<Api>,
}

/// A request, as far as it is checked.
pub(crate) struct Checked<'r> {
    pub(crate) method: &'r str,
    pub(crate) uri: &'r Uri,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r [u8],
}

/// What the specifications say about a request.
pub(crate) enum Verdict {
    /// It is as one of them wants it, or none speaks of its path.
    Good,
    /// It is as none wants it.
    Bad(Box<Invalid>),
    /// They know the path with these methods only.
    OtherMethods(Vec<String>),
}

impl Validation {
    /// Reads what is kept. Blocks.
    pub(crate) fn open(store: Arc<Store>, credentials: Credentials) -> Self {
        let (specifications, looking) = (ArcSwap::default(), Mutex::new(()));
        let validation = Validation { store, credentials, specifications, looking };
        validation.look();
        validation
    }

    /// One for a server, if it wants one.
    pub(crate) async fn wanted(config: &ServerConfig, engine: &Engine) -> Option<Arc<Validation>> {
        if !config.validate_requests {
            return None;
        }
        let (store, credentials) = (Arc::clone(engine.store()), config.credentials.clone());
        let opened =
            tokio::task::spawn_blocking(move || Arc::new(Validation::open(store, credentials))).await;
        opened.ok()
    }

    /// Takes over what changed. Blocks.
    pub(crate) fn look(&self) {
        let _one = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.specifications.load_full();
        let kept = self.store.specifications();
        if known.len() == kept.len() && known.iter().zip(&kept).all(|(known, kept)| known.kept == *kept) {
            return;
        }
        let read = |kept: KeptSpecification| match known.iter().find(|known| known.kept == kept) {
            Some(known) => Arc::clone(known),
            None => Arc::new(self.read(kept)),
        };
        self.specifications.store(Arc::new(kept.into_iter().map(read).collect()));
    }

    /// One that cannot be read speaks of nothing.
    fn read(&self, kept: KeptSpecification) -> Specification {
        let read = self.store.specification(&kept).map_err(|error| error.to_string());
        let read =
            read.and_then(|bytes| Kept::read(&bytes).and_then(|text| Ok((text.parse()?, text.groups))));
        let file: &PathBuf = &kept.file;
        match read {
            Ok((api, groups)) => {
                let (title, groups) = (api.title.clone(), groups.into_iter().collect());
                Specification { title, groups, api: Some(api), kept }
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a specification cannot be read; requests are not checked by it");
                let (title, groups) = (String::new(), HashSet::new());
                Specification { title, groups, api: None, kept }
            }
        }
    }

    /// Looks again and again, until it is stopped.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let this = Arc::clone(&self);
            // What goes wrong there was told there.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Checks a request. Of several specifications that know it, one that allows it is enough.
    pub(crate) fn check(&self, request: &Checked<'_>) -> Verdict {
        let specifications = self.specifications.load();
        if specifications.is_empty() {
            return Verdict::Good;
        }
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap_or_default()))
            .collect();
        let parts = RequestParts {
            method: request.method,
            path: request.uri.path(),
            query: request.uri.query().unwrap_or_default(),
            headers: &headers,
            body: request.body,
        };
        let mut worst: Option<(&Specification, Vec<RequestViolation>)> = None;
        let (mut allowed, mut nearer) = (Vec::new(), Vec::new());
        for specification in specifications.iter() {
            let specification: &Specification = specification;
            match specification.check(&parts, &self.credentials) {
                Ok(violations) if violations.is_empty() => return Verdict::Good,
                Ok(violations) => {
                    let is_nearer = worst.as_ref().is_none_or(|(_, known)| violations.len() < known.len());
                    if is_nearer && self.is_alive(specification) {
                        worst = Some((specification, violations));
                    }
                }
                Err(Refused::UnknownMethod { allowed: more }) if self.is_alive(specification) => {
                    allowed.extend(more);
                }
                Err(Refused::NearerPath { allowed: more }) if self.is_alive(specification) => {
                    nearer.extend(more);
                }
                Err(_) => {}
            }
        }
        match worst {
            Some((specification, violations)) => {
                Verdict::Bad(Box::new(specification.refuse(&parts, &violations)))
            }
            // No scenario is to answer what its operation would refuse.
            None if !nearer.is_empty() => {
                Verdict::Bad(Box::new(invalid(other_methods(&nearer), "the path is one with other methods")))
            }
            None if allowed.is_empty() => Verdict::Good,
            None => Verdict::OtherMethods(allowed),
        }
    }

    /// Whether any of its scenarios is still there: who deletes them all is done with the specification.
    fn is_alive(&self, specification: &Specification) -> bool {
        let groups = &specification.groups;
        let snapshot = self.store.snapshot();
        groups.is_empty()
            || snapshot.scenarios().any(|(_, stored)| groups.contains(stored.scenario.group.as_str()))
    }
}

impl Specification {
    fn check(
        &self,
        parts: &RequestParts<'_>,
        credentials: &Credentials,
    ) -> Result<Vec<RequestViolation>, Refused> {
        let Some(api) = &self.api else { return Err(Refused::UnknownPath) };
        let accepts = |shown: &str| credentials.accept(shown);
        match api.check_request_of(parts, &accepts) {
            // A HEAD is a GET whose body is not sent.
            Err(refused) if parts.method == "HEAD" => {
                let get = RequestParts { method: "GET", ..*parts };
                api.check_request_of(&get, &accepts).map_err(|_| refused)
            }
            checked => checked,
        }
    }

    fn refuse(&self, parts: &RequestParts<'_>, violations: &[RequestViolation]) -> Invalid {
        let mut message = format!("the request is not as the specification {:?} wants it: ", self.title);
        let told: Vec<String> = violations.iter().take(IN_MESSAGE).map(ToString::to_string).collect();
        message.push_str(&told.join("; "));
        if violations.len() > IN_MESSAGE {
            message.push_str(&format!("; and {} more", violations.len() - IN_MESSAGE));
        }
        let find = |method| self.api.as_ref()?.find(method, parts.path).ok();
        let operation = find(parts.method).or_else(|| find("GET"));
        let told: Vec<Value> = violations.iter().take(MOST_TOLD).map(RequestViolation::to_json).collect();
        let body = json!({
            "message": &message,
            "specification": self.title,
            "operation": operation.and_then(|operation| operation.id.as_deref()),
            "method": parts.method,
            "path": operation.map(|operation| operation.path.as_str()),
            "violations": told,
        });
        let status = status(violations);
        let mut reply = match self.api.as_ref().zip(operation) {
            Some((api, operation)) => refused::reply(api, operation, status, body),
            None => reply::json(status, &body),
        };
        if reply.status() == StatusCode::UNAUTHORIZED {
            reply.headers_mut().insert(WWW_AUTHENTICATE, challenge(violations));
        }
        invalid(reply, &message)
    }
}

/// A refusal as one of the engine, so that all that look at answers see it.
fn invalid(reply: Reply, message: &str) -> Invalid {
    let (head, body) = reply.into_parts();
    let body = match body {
        ReplyBody::Bytes(bytes) => bytes.unwrap_or_default(),
        // Refusals are never anything else.
        ReplyBody::File(_) | ReplyBody::Passing(_) | ReplyBody::Slow(_) => Bytes::new(),
    };
    Invalid { status: head.status, message: message.to_owned(), headers: head.headers, body }
}

/// 401 if who sends it is not shown; 415 if nothing but the content type is wrong; else 400.
fn status(violations: &[RequestViolation]) -> StatusCode {
    let mut all = violations.iter().map(RequestViolation::status);
    let status = if all.clone().any(|status| status == 401) {
        401
    } else if all.all(|status| status == 415) {
        415
    } else {
        400
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}

/// What is wanted, in the words of HTTP.
fn challenge(violations: &[RequestViolation]) -> HeaderValue {
    let schemes = violations.iter().filter(|one| one.keyword == "security");
    let schemes = schemes.flat_map(|one| one.expected.as_array().into_iter().flatten());
    let mut schemes = schemes.flat_map(|all| all.as_array().into_iter().flatten());
    let begins = schemes.find_map(|scheme| scheme["begins"].as_str());
    let told = match begins {
        Some("Basic") => "Basic realm=\"mock\"".to_owned(),
        Some(word) => word.to_owned(),
        None => "ApiKey".to_owned(),
    };
    HeaderValue::from_str(&told).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// What is answered to a method that no specification and no scenario knows.
pub(crate) fn other_methods(allowed: &[String]) -> Reply {
    let mut allowed = allowed.to_vec();
    allowed.sort();
    allowed.dedup();
    let allowed = allowed.join(", ");
    let message = format!("the specification has this path only with {allowed}");
    let mut reply = reply::json(StatusCode::METHOD_NOT_ALLOWED, &json!({"message": message}));
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}
