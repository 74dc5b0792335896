//! Requests that no scenario is for, passed on to a real service, with faults on both sides of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api_mock_engine::{Engine, FAULT, FaultEffects, FaultPlan, Refusal, Request};
use api_mock_recorder::{Recorder, RecorderOptions, answer_of_fault, replace_head};
use http::Uri;

use crate::StartError;
use crate::fault::WireFault;
use crate::problem::Problem;
use crate::recording::Recording;
use crate::reply::{self, Reply, ReplyBody};
use crate::rim::Rim;

/// The service behind this one.
pub(crate) struct Upstream {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) base: Uri,
}

impl Upstream {
    /// With the connections of the recorder, or of one of its own.
    pub(crate) async fn open(
        base: &Uri,
        recording: Option<&Recording>,
        engine: &Arc<Engine>,
    ) -> Result<Upstream, StartError> {
        let is_web = matches!(base.scheme_str(), Some("http" | "https"));
        if !is_web || base.authority().is_none() || base.query().is_some() {
            return Err(StartError::Upstream(format!("{base} is no address such as http://127.0.0.1:8000")));
        }
        let recorder = match recording {
            Some(recording) => Arc::clone(&recording.recorder),
            None => {
                let engine = Arc::clone(engine);
                let opened =
                    tokio::task::spawn_blocking(move || Recorder::open(engine, RecorderOptions::default()));
                opened.await.map_err(|error| StartError::Upstream(error.to_string()))??
            }
        };
        Ok(Upstream { recorder, base: base.clone() })
    }
}

/// Whether a service is at this address of ours.
pub(crate) fn is_at(base: &Uri, address: SocketAddr) -> bool {
    let host = base.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_https = base.scheme_str() == Some("https");
    let port = base.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let is_here = match host.parse::<IpAddr>() {
        Ok(host) => host == address.ip() || address.ip().is_unspecified() && host.is_loopback(),
        Err(_) => {
            host.eq_ignore_ascii_case("localhost")
                && (address.ip().is_loopback() || address.ip().is_unspecified())
        }
    };
    is_here && port == address.port()
}

impl Rim {
    /// Answers with what the service says, or with what goes wrong.
    pub(crate) async fn forward(&self, upstream: &Upstream, request: Request, target: &str) -> Reply {
        match self.engine.faults(&request) {
            Err(refusal) => self.refused(&refusal),
            Ok(None) => self.pass(upstream, request, target).await,
            Ok(Some(plan)) => self.disturb(upstream, request, target, &plan).await,
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) -> Reply {
        match refusal {
            Refusal::NoMatch { .. } => self.metrics.not_matched.inc(),
            Refusal::Invalid(invalid) => {
                self.metrics.invalid.inc();
                let mut reply = Reply::new(ReplyBody::from(invalid.body.clone()));
                *reply.status_mut() = invalid.status;
                *reply.headers_mut() = invalid.headers.clone();
                return reply;
            }
            _ => self.metrics.failed.inc(),
        }
        reply::json(refusal.status(), &refusal.to_json())
    }

    async fn pass(&self, upstream: &Upstream, request: Request, target: &str) -> Reply {
        self.metrics.forwarded.inc();
        let Request { method, headers, body, .. } = request;
        match upstream.recorder.pass_on(&upstream.base, method, target, headers, body).await {
            Ok(answer) => answer.map(ReplyBody::Passing),
            Err(problem) => Problem::new(problem.status(), problem.to_string()).into(),
        }
    }

    async fn disturb(&self, upstream: &Upstream, request: Request, target: &str, plan: &FaultPlan) -> Reply {
        self.metrics.note_faults(plan);
        self.wait(plan.before.delay).await;
        let mut reply = if plan.before.answers() {
            answer_of_fault(plan).map(ReplyBody::from)
        } else {
            let mut reply = self.pass(upstream, request, target).await;
            replace(&plan.before, &mut reply);
            reply
        };
        self.wait(plan.after.delay).await;
        replace(&plan.after, &mut reply);
        reply.headers_mut().insert(FAULT, plan.header());
        if let Some(fault) = WireFault::of(plan) {
            reply.extensions_mut().insert(fault);
        }
        reply
    }

    async fn wait(&self, delay: std::time::Duration) {
        let delay = delay.min(self.longest_wait);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// Replaces what a fault replaces.
fn replace(effects: &FaultEffects, reply: &mut Reply) {
    if let Some(contents) = replace_head(effects, reply) {
        *reply.body_mut() = ReplyBody::from(contents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_not_behind_itself() {
        let is_ours = |base: &str, address: &str| is_at(&base.parse().unwrap(), address.parse().unwrap());
        assert!(is_ours("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(is_ours("http://localhost:8080/v1", "127.0.0.1:8080"));
        assert!(is_ours("http://[::1]", "[::1]:80") && is_ours("https://localhost", "127.0.0.1:443"));
        assert!(is_ours("http://127.0.0.1:8080", "0.0.0.0:8080"));
        assert!(!is_ours("http://127.0.0.1:8000", "127.0.0.1:8080"));
        assert!(!is_ours("http://db.example:8080", "127.0.0.1:8080"));
    }
}
