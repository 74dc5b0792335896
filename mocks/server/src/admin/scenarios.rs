//! Scenarios: uploaded, listed, got, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_mock_scenario::Format;
use api_mock_store::Stored;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use percent_encoding::percent_decode_str;

use super::{Asked, Target, blocking};
use crate::problem::Problem;
use crate::reply::{self, Reply, text_of};
use crate::rim::Rim;

/// `GET /_scenarios[?group=G]`: an object whose keys are addresses.
pub(super) fn list(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let group = query_value(asked.head.uri.query().unwrap_or_default(), "group");
    let listed = rim.engine.list(group.as_deref());
    let by_address: BTreeMap<String, _> = listed.into_iter().map(|data| (data.key(), data)).collect();
    Ok(reply::json(StatusCode::OK, &by_address))
}

/// The first value of a query parameter; an empty one counts as absent.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, value)| *known == name && !value.is_empty())?;
    let spaced = value.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// `POST /_scenarios`: JSON if it is called so, else YAML, whatever it is called. Answers with what was understood.
pub(super) async fn put(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let content_type = text_of(&asked.head.headers, CONTENT_TYPE.as_str()).unwrap_or_default().to_owned();
    let text = String::from_utf8(asked.body.into())
        .map_err(|_| Problem::bad_request("a scenario is text in UTF-8"))?;
    let store = Arc::clone(&rim.store);
    let stored = blocking(move || {
        let format = Format::of(&content_type, &text);
        store.put_text(&text, format)
    });
    Ok(reply::json(StatusCode::OK, &stored.await?.scenario))
}

/// `GET /_scenarios/groups`
pub(super) fn groups(rim: &Rim) -> Reply {
    reply::json(StatusCode::OK, &rim.store.groups())
}

/// `GET /_scenarios/{method}/names/{path}`
pub(super) fn names(rim: &Rim, target: &Target) -> Result<Reply, Problem> {
    Ok(reply::json(StatusCode::OK, &rim.store.names(&target.method, &target.path)?))
}

/// `GET /_scenarios/{method}/{name}/{path}`: the text as it was uploaded, or JSON for who accepts it. Is no use of it.
pub(super) fn get(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let Target { method, name, path } = &asked.target;
    let stored: Arc<Stored> = rim.store.get(method, name, path)?;
    let wants = |header: http::HeaderName, what: &str| {
        text_of(&asked.head.headers, header.as_str()).is_some_and(|said| said.contains(what))
    };
    if wants(ACCEPT, "json") {
        return Ok(reply::json(StatusCode::OK, &stored.scenario));
    }
    // The reference takes the request's own content type for the one that is wanted.
    let is_yaml = wants(ACCEPT, "yaml") || wants(CONTENT_TYPE, "yaml");
    let content_type = if is_yaml { reply::YAML } else { reply::TEXT };
    Ok(reply::reply(StatusCode::OK, content_type, stored.text.to_string()))
}

/// `DELETE /_scenarios/{method}/{name}/{path}`
pub(super) async fn delete(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (store, target) = (Arc::clone(&rim.store), asked.target);
    blocking(move || store.delete(&target.method, &target.name, &target.path)).await?;
    Ok(reply::done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_query_are_decoded() {
        assert_eq!(query_value("a=1&group=x+y%26z", "group").as_deref(), Some("x y&z"));
        assert_eq!(query_value("group=&groups=b", "group"), None);
    }
}
