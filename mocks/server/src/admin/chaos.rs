//! The chaos client: tries scenarios on a real service.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_mock_contract::{Contract, Data, Reach, Report, RunError, RunOptions, of_group, run};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::Asked;
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::rim::Rim;

/// What one call may ask for.
const MAX_TIMES: u32 = 100_000;
const MAX_REQUESTS: u64 = 1_000_000;
const MAX_CONCURRENCY: usize = 64;
const LONGEST: Duration = Duration::from_secs(600);
/// How often, if that is not said, or not more often than never.
const TIMES: u32 = 5;

/// The body. Whatever it is called, it is JSON; what else it holds is ignored.
#[derive(Debug, Deserialize)]
struct Wanted {
    base_url: String,
    #[serde(default)]
    execution_times: i64,
    seed: Option<u64>,
    #[serde(default)]
    concurrency: usize,
    rate: Option<f64>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    accept_documented: bool,
    #[serde(default)]
    dry_run: bool,
    now: Option<u64>,
    #[serde(default)]
    show_secrets: bool,
}

/// `POST /_chaos/{group}`
pub(super) async fn group(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let contracts = of_group(&rim.store, &asked.target.name);
    answer(rim, &asked, contracts).await
}

/// `POST /_chaos/{method}/{name}/{path}`
pub(super) async fn scenario(rim: &Rim, asked: Asked<'_>) -> Result<Reply, Problem> {
    let target = &asked.target;
    let stored = rim.store.get(&target.method, &target.name, &target.path)?;
    answer(rim, &asked, vec![Contract::of(&stored)]).await
}

async fn answer(rim: &Rim, asked: &Asked<'_>, contracts: Vec<Contract>) -> Result<Reply, Problem> {
    let wanted: Wanted = serde_json::from_slice(&asked.body).map_err(|error| {
        Problem::bad_request(format!("the body is to be JSON such as {{\"base_url\": \"http://localhost:8000\", \"execution_times\": 10}}: {error}"))
    })?;
    if wanted.base_url.trim().is_empty() {
        return Err(Problem::bad_request("base_url says which service is to be tried"));
    }
    let options = options(rim, asked, &wanted)?;
    if contracts.is_empty() {
        return Ok(reply::json(StatusCode::OK, &Report::default()));
    }
    if u64::from(options.times) * contracts.len() as u64 > MAX_REQUESTS {
        return Err(Problem::bad_request(format!("one call may make {MAX_REQUESTS} requests")));
    }
    let Ok(_slot) = rim.chaos_slots.try_acquire() else {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "other runs are going on; try again later"));
    };
    let report = run(&contracts, &wanted.base_url, options, Arc::default()).await?;
    Ok(reply::json(StatusCode::OK, &report))
}

fn options(rim: &Rim, asked: &Asked<'_>, wanted: &Wanted) -> Result<RunOptions, Problem> {
    let mut options = RunOptions::default();
    options.times =
        u32::try_from(wanted.execution_times).map_or(TIMES, |times| if times == 0 { TIMES } else { times });
    if wanted.execution_times > i64::from(MAX_TIMES) {
        return Err(Problem::bad_request(format!("execution_times is at most {MAX_TIMES}")));
    }
    options.seed = wanted.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    options.concurrency = wanted.concurrency.clamp(1, MAX_CONCURRENCY);
    options.rate = wanted.rate;
    options.deadline = Some(LONGEST);
    options.accept_documented = wanted.accept_documented;
    options.dry_run = wanted.dry_run;
    options.show_secrets = wanted.show_secrets;
    options.now =
        wanted.now.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    options.reach = if rim.chaos_private { Reach::PublicAndPrivate } else { Reach::PublicAndLoopback };
    options.data = match wanted.data.as_str() {
        "" | "auto" => Data::Auto,
        "examples" => Data::Examples,
        "patterns" => Data::Patterns,
        _ => return Err(Problem::bad_request("data is `auto`, `examples` or `patterns`")),
    };
    for (name, value) in &wanted.headers {
        let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = header else {
            return Err(Problem::bad_request(format!("{name:?} is no header, or its value cannot be sent")));
        };
        options.headers.push((name, value));
    }
    let target = asked.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let query =
        api_mock_engine::Request::new(Method::POST, target, HeaderMap::new(), Default::default()).query;
    // The first value of several counts.
    options.parameters = query.into_iter().rev().collect();
    Ok(options)
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::Refused { .. } => Problem::new(
                StatusCode::FORBIDDEN,
                format!("{error}; the setting chaos_private allows private networks"),
            ),
            RunError::Tls(_) => Problem::internal(&error),
            _ => Problem::bad_request(error.to_string()),
        }
    }
}
