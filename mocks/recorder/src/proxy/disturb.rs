//! Faults of requests that are forwarded: those of the group `_all`, and the one that a request asks for itself.

use std::pin::Pin;
use std::time::Duration;

use api_mock_engine::{ConnectionFault, Engine, FAULT, FaultPlan, Refusal};
use bytes::{Bytes, BytesMut};
use http::Response;
use http::request::Parts;
use http_body_util::BodyExt;

use super::handle::{LONGEST, problem};
use crate::body::{self, Body};
use crate::fault;
use crate::recorder::CallProblem;
use crate::slow;

/// What the service says.
pub(super) type Asked<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, CallProblem>> + Send + 'a>>;

/// What goes wrong with a request, of whose body this is known.
pub(super) fn plan_of(
    engine: &Engine,
    head: &mut Parts,
    body: Bytes,
) -> Result<Option<Box<FaultPlan>>, Refusal> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let headers = std::mem::take(&mut head.headers);
    let request = api_mock_engine::Request::new(head.method.clone(), target, headers, body);
    let plan = engine.faults(&request);
    head.headers = request.headers;
    plan
}

/// The answer with all that goes wrong before and after the service is asked, if it is. Of one that is spoilt as a
/// whole, up to `most` bytes are held.
pub(super) async fn disturbed(mut plan: FaultPlan, asked: Asked<'_>, most: usize) -> Response<Body> {
    pause(plan.before.delay).await;
    let mut answer = if plan.before.answers() {
        fault::answer_of_fault(&plan).map(body::whole)
    } else {
        let mut answer = asked.await.unwrap_or_else(|error| problem(error.status(), &error.to_string()));
        if let Some(contents) = fault::replace_head(&plan.before, &mut answer) {
            *answer.body_mut() = body::whole(contents);
        }
        answer
    };
    pause(plan.after.delay).await;
    if let Some(contents) = fault::replace_head(&plan.after, &mut answer) {
        *answer.body_mut() = body::whole(contents);
    }
    answer.headers_mut().insert(FAULT, plan.header());
    plan.after.connection = plan.before.connection.or(plan.after.connection);
    plan.after.bytes_per_second = plan.after.bytes_per_second.or(plan.before.bytes_per_second);
    if plan.after.connection.is_some() || plan.after.bytes_per_second.is_some() {
        let body = std::mem::replace(answer.body_mut(), body::whole(Bytes::new()));
        let bytes = held(body, most).await;
        if bytes.is_none() {
            // It broke off by itself, or there is more than may be held.
            plan.after.connection = Some(ConnectionFault::Empty);
        }
        slow::spoil(&plan, &mut answer, bytes.unwrap_or_default(), LONGEST);
    }
    answer
}

/// All of a body; `None` if it breaks off, or is longer.
async fn held(mut body: Body, most: usize) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if whole.len() + data.len() > most {
            return None;
        }
        whole.extend_from_slice(&data);
    }
    Some(whole.freeze())
}

async fn pause(delay: Duration) {
    let delay = delay.min(LONGEST);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
