//! What is set for groups: variables and faults.

use std::sync::Arc;

use http::StatusCode;

use super::{Asked, Target, blocking};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;

/// `GET /_groups/{group}/config`
pub(super) fn get(rim: &Rim, target: &Target) -> Result<Reply, Problem> {
    Ok(reply::json(StatusCode::OK, &rim.store.group_config(&target.name)?.to_json()))
}

/// `PUT /_groups/{group}/config`: JSON or YAML, whatever it is called. Answers with what was understood.
pub(super) async fn put(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let text = String::from_utf8(asked.body.into())
        .map_err(|_| Problem::bad_request("a configuration is text in UTF-8"))?;
    let (store, group) = (Arc::clone(&rim.store), asked.target.name);
    let stored = blocking(move || store.put_group_config(&group, &text)).await?;
    Ok(reply::json(StatusCode::OK, &stored.to_json()))
}

/// `DELETE /_groups/{group}/config`
pub(super) async fn delete(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (store, group) = (Arc::clone(&rim.store), asked.target.name);
    blocking(move || store.delete_group_config(&group)).await?;
    Ok(reply::done())
}
