//! Fixtures: texts and bytes that scenarios answer with or take data from.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use super::{Asked, Target, blocking};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;

const BINARY: HeaderValue = HeaderValue::from_static("application/binary");

/// `GET /_fixtures/{method}/fixtures/{path}`
pub(super) fn list(rim: &Rim, target: &Target) -> Result<Reply, Problem> {
    Ok(reply::json(StatusCode::OK, &rim.store.fixture_names(&target.method, &target.path)?))
}

/// `GET /_fixtures/{method}/{name}/{path}`
pub(super) fn get(rim: &Rim, target: &Target) -> Result<Reply, Problem> {
    let fixture = rim.store.fixture(&target.method, &target.name, &target.path)?;
    Ok(reply::reply(StatusCode::OK, BINARY, fixture.bytes().clone()))
}

/// `POST /_fixtures/{method}/{name}/{path}`
pub(super) async fn put(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (store, target, bytes) = (Arc::clone(&rim.store), asked.target, asked.body);
    blocking(move || store.put_fixture(&target.method, &target.name, &target.path, bytes)).await?;
    Ok(reply::done())
}

/// `DELETE /_fixtures/{method}/{name}/{path}`
pub(super) async fn delete(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (store, target) = (Arc::clone(&rim.store), asked.target);
    blocking(move || store.delete_fixture(&target.method, &target.name, &target.path)).await?;
    Ok(reply::done())
}
