//! For every specification: what the chaos client sends is as the specification wants it, and so is what a mock made
//! of it answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "how a test fails")]

mod common;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use api_mock_contract::{Contract, run};
use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_openapi::{Api, Import, ImportOptions, NoDocuments, RequestParts, ResponseParts, import};
use api_mock_store::StoreOptions;
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::Response;

use common::{Asked, Service, options};

const ROUNDS: u32 = 10;

/// A mock that looks at what it gets and at what it answers.
struct Mock {
    engine: Engine,
    api: Api,
    wrong: Mutex<BTreeSet<String>>,
}

impl Mock {
    fn new(import: Import) -> Mock {
        let mut options = EngineOptions::default();
        options.seed = Some(1);
        let (engine, _) = Engine::open(StoreOptions::in_memory(), options).unwrap();
        let texts: Vec<String> = import.scenarios.iter().map(|made| made.text()).collect();
        engine.store().put_texts(texts).unwrap();
        Mock { engine, api: import.api, wrong: Mutex::default() }
    }

    fn answer(&self, asked: &Asked) -> Response<Full<Bytes>> {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let sent = pairs(&asked.headers);
        let request =
            RequestParts { method: &asked.method, path, query, headers: &sent, body: asked.body.as_bytes() };
        match self.api.check_request(&request) {
            Ok(violations) => violations.iter().for_each(|one| self.tell(asked, one)),
            Err(refused) => self.tell(asked, &refused),
        }
        let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
        let body = Bytes::copy_from_slice(asked.body.as_bytes());
        let request = Request::new(method, &asked.target, asked.headers.clone(), body);
        let answer = match self.engine.answer(&request) {
            Ok(answer) => answer,
            Err(refusal) => {
                self.tell(asked, &serde_json::to_string(&refusal.to_json()).unwrap());
                return Response::builder().status(500).body(Full::default()).unwrap();
            }
        };
        let mut response = Response::new(Full::new(answer.body.clone()));
        *response.status_mut() = answer.status;
        for (name, value) in answer.headers.iter() {
            response.headers_mut().append(name.clone(), value.clone());
        }
        let told = pairs(response.headers());
        let told = ResponseParts { status: answer.status.as_u16(), headers: &told, body: &answer.body };
        if let Ok(operation) = self.api.find(&asked.method, &asked.target) {
            let violations = self.api.check_response(operation, &told);
            violations.iter().for_each(|one| self.tell(asked, &format!("answered {}: {one}", told.status)));
        }
        response
    }

    fn tell(&self, asked: &Asked, what: &dyn std::fmt::Display) {
        let Asked { method, target, body, .. } = asked;
        self.wrong.lock().unwrap().insert(format!("{what}: {method} {target} {body}"));
    }
}

fn pairs(headers: &http::HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect()
}

/// Tries a specification; gives how many requests there were, and how many different ones for each scenario at most.
async fn tried(file: &Path) -> (u64, usize) {
    let import = import(&std::fs::read(file).unwrap(), &ImportOptions::default(), &NoDocuments).unwrap();
    let mock = Arc::new(Mock::new(import));
    let contracts: Vec<Contract> =
        mock.engine.store().list(None).iter().map(|stored| Contract::of(stored)).collect();
    let answering = Arc::clone(&mock);
    let service = Service::start(move |asked| answering.answer(asked)).await;
    let mut options = options(ROUNDS);
    // The mock answers with errors, too.
    (options.accept_documented, options.concurrency) = (true, 4);
    let report = run(&contracts, &service.url(), options, Arc::default()).await.unwrap();
    let wrong = mock.wrong.lock().unwrap();
    let wrong: Vec<&String> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
    assert_eq!(report.failed, 0, "{}: {:#?}", file.display(), report.errors);
    let mut different: HashMap<String, HashSet<String>> = HashMap::new();
    for Asked { method, target, body, .. } in service.asked() {
        different.entry(method).or_default().insert(target + &body);
    }
    (report.succeeded, different.values().map(HashSet::len).max().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_answers_of_our_own_specifications_are_valid() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in [
        "openapi/tests/data/swagger2.yaml",
        "openapi/tests/data/parameters.yaml",
        "openapi/tests/data/broken.yaml",
        "contract/tests/data/drawn.yaml",
    ] {
        let (requests, _) = tried(&own.join(file)).await;
        assert!(requests >= u64::from(ROUNDS), "{file}: {requests}");
    }
}

/// What the specification leaves open is drawn anew for each request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_specification_are_not_all_alike() {
    let (requests, different) =
        tried(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drawn.yaml")).await;
    assert_eq!(requests, 5 * u64::from(ROUNDS));
    assert!(different >= 25, "{different}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_answers_of_real_specifications_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let Ok(entries) = folder.read_dir() else {
        eprintln!("skipped: there are no specifications in {}", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = 0;
    for file in files {
        all += tried(&file).await.0;
    }
    assert!(all > 1000, "{all}");
}
