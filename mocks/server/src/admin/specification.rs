//! Specifications: imported.

use std::sync::Arc;

use api_mock_openapi::{ImportOptions, NoDocuments};
use http::{HeaderName, HeaderValue, StatusCode};

use super::scenarios::query_value;
use super::{Asked, blocking};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;
use crate::specification::{ImportReport, SpecificationError, import_specification};

/// What an import did, in one line.
const SUMMARY: HeaderName = HeaderName::from_static("x-mock-import");

/// `POST /_oapi[?group=G][&report=true]`: YAML or JSON, whatever it is called. Answers with the scenarios; with
/// `report=true`, with all that there is to say.
pub(super) async fn put(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.head.uri.query().unwrap_or_default();
    let mut options = ImportOptions::default();
    options.group = query_value(query, "group");
    let wants_report = query_value(query, "report").is_some_and(|value| value == "true");
    let (store, body) = (Arc::clone(&rim.store), asked.body);
    let report = blocking(move || import_specification(&store, &body, &options, &NoDocuments, false)).await?;
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
