//! Specifications: imported.

use std::sync::Arc;

use api_mock_openapi::{ImportOptions, NoDocuments};
use api_mock_store::Store;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::scenarios::query_value;
use super::{Asked, blocking};
use crate::documents::Documents;
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;
use crate::specification::{ImportReport, SpecificationError, import_specification};

/// What an import did, in one line.
const SUMMARY: HeaderName = HeaderName::from_static("x-mock-import");

/// `POST /_oapi[?group=G][&report=true][&errors=asked][&url=U][&remote_refs=true][&body_examples=true][&base_path=true]`: YAML or JSON, whatever it is called. With `url` the
/// specification is there, or, if there is a body, came from there. Answers with the scenarios; with `report=true`, with
/// all that there is to say.
pub(super) async fn put(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.head.uri.query().unwrap_or_default();
    let mut options = ImportOptions::default();
    options.group = query_value(query, "group");
    let is_told = |name: &str| query_value(query, name).is_some_and(|value| value == "true");
    let wants_report = is_told("report");
    match query_value(query, "errors").as_deref() {
        None | Some("rotate") => {}
        // Nothing makes it true: the scenario answers only who names it.
        Some("asked") => options.error_predicate = "false".to_owned(),
        Some(_) => return Err(Problem::bad_request("`errors` is `rotate` or `asked`")),
    }
    options.remote_references = is_told("remote_refs");
    options.body_examples = is_told("body_examples");
    options.base_path = is_told("base_path");
    let source =
        Source { url: query_value(query, "url"), body: asked.body, documents: rim.documents.clone() };
    let store = Arc::clone(&rim.store);
    let report = blocking(move || source.import(&store, options)).await?;
    // Requests are checked by it from now on.
    if let Some(validation) = rim.validation.clone() {
        let looked = tokio::task::spawn_blocking(move || validation.look()).await;
        looked.map_err(|error| Problem::internal(&error))?;
    }
    let mut reply = if wants_report {
        reply::json(StatusCode::OK, &report)
    } else {
        reply::json(StatusCode::OK, &report.scenarios)
    };
    if let Ok(summary) = HeaderValue::from_str(&summary(&report)) {
        reply.headers_mut().insert(SUMMARY, summary);
    }
    Ok(reply)
}

/// Where a specification and its documents are.
struct Source {
    url: Option<String>,
    body: Bytes,
    documents: Documents,
}

impl Source {
    /// Never touches files: whoever asks may be on another machine.
    fn import(self, store: &Store, mut options: ImportOptions) -> Result<ImportReport, Problem> {
        if self.url.is_none() && !options.remote_references {
            return Ok(import_specification(store, &self.body, &options, &NoDocuments, false)?);
        }
        let loader = self.documents.loader().map_err(|error| Problem::internal(&*error))?;
        let mut body = self.body;
        if let Some(url) = self.url {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(Problem::bad_request("`url` begins with http:// or https://"));
            }
            options.location = url;
            if body.is_empty() {
                let fetched = loader.fetch(&options.location);
                let fetched = fetched.map_err(|error| {
                    Problem::new(
                        StatusCode::BAD_GATEWAY,
                        format!("the specification cannot be fetched: {error}"),
                    )
                })?;
                (options.location, body) = (fetched.url, fetched.bytes);
            }
        }
        Ok(import_specification(store, &body, &options, &loader, false)?)
    }
}

fn summary(report: &ImportReport) -> String {
    format!(
        "added={}, changed={}, unchanged={}, kept={}, removed={}, left-out={}",
        report.added.len(),
        report.changed.len(),
        report.unchanged,
        report.kept.len(),
        report.removed.len(),
        report.problems.len()
    )
}

impl From<SpecificationError> for Problem {
    fn from(error: SpecificationError) -> Self {
        match error {
            SpecificationError::Import(error) => Problem::bad_request(error.to_string()),
            SpecificationError::Store(error) => error.into(),
        }
    }
}
