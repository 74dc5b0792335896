//! The admin API: who may use it, and one file for each kind of thing that it serves.

mod assets;
mod chaos;
mod fixtures;
mod groups;
mod guard;
mod recording;
mod scenarios;
mod specification;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;
use crate::routes::{Action, Parameters, Route};

pub(crate) use guard::{admit, allow_origin, preflight};

/// The OpenAPI document of the admin API, which a test compares with the routes.
pub(crate) const DOCUMENT: &str = include_str!("../../openapi.json");

/// A request of the admin API, taken apart.
pub(crate) struct Asked<'r> {
    pub(crate) head: &'r Parts,
    pub(crate) body: Bytes,
    pub(crate) target: Target,
}

/// What a path names, decoded.
#[derive(Debug, Default)]
pub(crate) struct Target {
    pub(crate) method: String,
    pub(crate) name: String,
    pub(crate) path: String,
}

impl Target {
    /// Decodes; refuses what could lead out of a folder, whoever builds a file's name of it later. Names of groups may
    /// be paths themselves; their files' names are encoded.
    pub(crate) fn of(route: &Route, parameters: Parameters<'_>) -> Result<Self, Problem> {
        let part = |text: &str| {
            let decoded = decode(text)?;
            if !route.is_for_a_group() && decoded.contains(['/', '\\']) || is_climbing(&decoded) {
                return Err(Problem::bad_request("names and methods are single parts of a path"));
            }
            Ok(decoded)
        };
        let path = decode(parameters.path)?;
        if path.split(['/', '\\']).any(is_climbing) {
            return Err(Problem::bad_request("`.` and `..` are not allowed in the path"));
        }
        let method = part(parameters.method)?.to_ascii_uppercase();
        Ok(Target { method, name: part(parameters.name)?, path })
    }
}

fn is_climbing(part: &str) -> bool {
    matches!(part, "." | "..") || part.contains('\0')
}

fn decode(text: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Problem::bad_request("the path is not UTF-8"))
}

/// Answers a request that was admitted.
pub(crate) async fn answer(rim: &Rim, route: &Route, asked: Asked<'_>) -> Result<Reply, Problem> {
    match route.action {
        Action::ListScenarios => scenarios::list(rim, asked),
        Action::PutScenario => scenarios::put(rim, asked).await,
        Action::ListGroups => Ok(scenarios::groups(rim)),
        Action::GetGroupConfig => groups::get(rim, &asked.target),
        Action::PutGroupConfig => groups::put(rim, asked).await,
        Action::DeleteGroupConfig => groups::delete(rim, asked).await,
        Action::ListScenarioNames => scenarios::names(rim, &asked.target),
        Action::GetScenario => scenarios::get(rim, asked),
        Action::DeleteScenario => scenarios::delete(rim, asked).await,
        Action::ListFixtures => fixtures::list(rim, &asked.target),
        Action::GetFixture => fixtures::get(rim, &asked.target),
        Action::PutFixture => fixtures::put(rim, asked).await,
        Action::DeleteFixture => fixtures::delete(rim, asked).await,
        Action::TryGroup => chaos::group(rim, asked).await,
        Action::TryScenario => chaos::scenario(rim, asked).await,
        Action::ImportSpecification => specification::put(rim, asked).await,
        Action::Call => recording::call(rim, asked).await,
        Action::Certificate => recording::certificate(rim),
        Action::GetAsset => assets::get(rim, asked.target.path).await,
        Action::Health => Ok(reply::json(StatusCode::OK, &json!({"status": "ok"}))),
        Action::Metrics => metrics(rim),
        Action::Document => Ok(reply::reply(StatusCode::OK, reply::JSON, DOCUMENT)),
    }
}

fn metrics(rim: &Rim) -> Result<Reply, Problem> {
    rim.metrics.scenarios.set(i64::try_from(rim.store.snapshot().scenarios().len()).unwrap_or(i64::MAX));
    let (content_type, text) = rim.metrics.text().map_err(|error| Problem::internal(&error))?;
    let content_type = HeaderValue::from_str(&content_type).unwrap_or(reply::TEXT);
    Ok(reply::reply(StatusCode::OK, content_type, text))
}

/// Runs what reads or writes files where it may block.
pub(crate) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Send + 'static,
    Problem: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Problem::from),
        Err(error) => Err(Problem::internal(&error)),
    }
}
