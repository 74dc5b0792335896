//! Runs against services on real sockets, of which one behaves and the others do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use api_mock_contract::{Contract, Data, Progress, Reach, RunError, run};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

use common::{Asked, Service, contract, json, options, tried};

/// As the walk-through records it.
const TODOS: &str = r#"
method: GET
name: recorded-todos
path: /todos
group: todos
request:
    match_headers:
        Content-Type: ""
    match_contents: '{}'
    example_headers:
        Accept: '*/*'
        Host: elsewhere.example
        X-Mock-Url: https://elsewhere.example/todos
response:
    status_code: 200
    match_contents: '{"completed":"__string__.+","id":"(__number__[+-]?[0-9]{1,10})","title":"(__string__\\w+)","userId":"(__number__[+-]?[0-9]{1,10})"}'
    assertions:
        - VariableContains contents.id 10
        - VariableContains contents.title illo
        - VariableContains headers.Pragma no-cache
        - StatusInRange 200 299
        - JsonHasProperty contents.userId
        - ResponseTimeUnder 60000
"#;

const TODO_LIST: &str = r#"[{"userId": 1, "id": 10, "title": "illo est", "completed": false}]"#;

fn todos(_: &Asked) -> Response<Full<Bytes>> {
    let mut answer = json(200, TODO_LIST);
    answer.headers_mut().insert("pragma", "no-cache".parse().unwrap());
    answer
}

#[tokio::test]
async fn a_service_that_keeps_its_promise_succeeds() {
    let service = Service::start(todos).await;
    let report = tried(&[contract(TODOS)], &service.url(), options(10)).await;
    assert_eq!((report.succeeded, report.failed, &report.errors), (10, 0, &None), "{report:?}");
    let shown = serde_json::to_string(&report).unwrap();
    assert!(shown.starts_with(r#"{"errors":null,"failed":0,"succeeded":10,"#), "{shown}");
    let asked = service.asked();
    assert_eq!(asked.len(), 10);
    assert_eq!(
        (asked[0].method.as_str(), asked[0].target.as_str(), asked[0].body.as_str()),
        ("GET", "/todos", "")
    );
    assert_eq!(asked[0].headers["host"], service.address.to_string());
    assert!(!asked[0].headers.contains_key("x-mock-url"));
}

#[tokio::test]
async fn each_broken_promise_is_told_with_the_request() {
    type Answer = fn(&Asked) -> Response<Full<Bytes>>;
    let cases: [(&str, Answer); 6] = [
        ("status 500 instead of 200 due to {\"oh\":1}", |_| json(500, "{\"oh\":1}")),
        ("`id` in the body", |_| json(200, &TODO_LIST.replace("10", "\"ten\""))),
        ("the answer has no body", |_| json(200, "")),
        (r#"failed to assert '{{VariableContains "contents.title" "illo"}}' with value 'false'"#, |_| {
            json(200, &TODO_LIST.replace("illo", "other"))
        }),
        ("failed to assert", |_| json(200, TODO_LIST)),
        ("the body of the answer does not match", |_| json(200, "{\"id\":")),
    ];
    for (wanted, answer) in cases {
        let service = Service::start(answer).await;
        let report = tried(&[contract(TODOS)], &service.url(), options(3)).await;
        assert_eq!((report.succeeded, report.failed), (0, 3));
        let errors = report.errors.unwrap();
        assert_eq!(errors.len(), 3);
        assert!(errors[0].contains(wanted), "{}", errors[0]);
        let curl = format!("curl 'http://{}/todos' -H 'accept: */*'", service.address);
        assert!(errors[0].ends_with(&curl), "{}", errors[0]);
    }
}

const ADD: &str = r#"
method: POST
name: add
path: /lists/:list/items/{item}/x.y
request:
    match_query_params: {size: "[1-9]"}
    match_headers: {Authorization: "Bearer sk_[0-9a-f]{8}"}
    match_contents: '{"id":"(__number__[1-9][0-9]{0,3})","owner.name":"__string__[a-z]{3,9}","owner.active":"__boolean__(false|true)"}'
    example_path_params: {item: "a b/c"}
response:
    status_code: 201
    match_headers: {Content-Type: application/json, X-Id: "^[0-9]+$"}
"#;

fn added(_: &Asked) -> Response<Full<Bytes>> {
    let mut answer = json(201, "{}");
    answer.headers_mut().insert("x-id", "17".parse().unwrap());
    answer
}

#[tokio::test]
async fn defect_l15_variables_are_filled_and_bodies_are_nested_and_typed() {
    let service = Service::start(added).await;
    let report = tried(&[contract(ADD)], &format!("{}/base/", service.url()), options(20)).await;
    assert_eq!((report.succeeded, report.failed), (20, 0), "{report:?}");
    let mut bodies = std::collections::HashSet::new();
    for asked in service.asked() {
        let (path, query) = asked.target.split_once('?').unwrap();
        let rest = path.strip_prefix("/base/lists/").unwrap();
        let (list, rest) = rest.split_once('/').unwrap();
        assert!(!list.is_empty() && !list.contains([':', '{']), "{path}");
        assert_eq!(rest, "items/a%20b%2Fc/x.y");
        assert!(query.starts_with("size=") && query.len() == 6, "{query}");
        assert!(asked.headers["authorization"].to_str().unwrap().starts_with("Bearer sk_"));
        assert_eq!(asked.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert!(body["id"].is_u64() && body["owner"]["active"].is_boolean(), "{body}");
        assert!((3..=9).contains(&body["owner"]["name"].as_str().unwrap().len()), "{body}");
        bodies.insert(asked.body);
    }
    assert!(bodies.len() > 10, "the data is the same: {bodies:?}");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_requests_in_any_company() {
    async fn targets(contracts: &[Contract], seed: u64, concurrency: usize) -> Vec<String> {
        let service = Service::start(added).await;
        let mut options = options(12);
        (options.seed, options.concurrency) = (seed, concurrency);
        let report = tried(contracts, &service.url(), options).await;
        assert_eq!(report.seed, seed);
        let added = service.asked().into_iter().filter(|asked| asked.method == "POST");
        let mut seen: Vec<String> = added.map(|asked| asked.target + &asked.body).collect();
        seen.sort();
        seen
    }
    let alone = [contract(ADD)];
    let both = [contract(TODOS), contract(ADD)];
    let first = targets(&alone, 7, 1).await;
    assert_eq!(first.len(), 12);
    assert_eq!(first, targets(&alone, 7, 8).await);
    assert_eq!(first, targets(&both, 7, 3).await);
    assert_ne!(first, targets(&alone, 8, 1).await);
}

#[tokio::test]
async fn defect_l05_secrets_are_sent_but_not_told() {
    let service = Service::start(|_| json(500, "no")).await;
    let mut options = options(1);
    options.headers = vec![("authorization".parse().unwrap(), "Bearer hunter2".parse().unwrap())];
    options.parameters = [("list".to_owned(), "given".to_owned())].into();
    let report = tried(&[contract(ADD)], &service.url(), options).await;
    assert_eq!(service.asked()[0].headers["authorization"], "Bearer hunter2");
    assert!(service.asked()[0].target.starts_with("/lists/given/"));
    let told = serde_json::to_string(&report).unwrap() + &report.to_text() + &report.to_junit("s");
    assert!(!told.contains("hunter2") && told.contains("authorization: ***"), "{told}");
}

#[tokio::test]
async fn defect_l04_a_service_that_is_not_there_or_hangs_or_says_too_much_fails() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = tried(&[contract(TODOS)], &format!("http://{closed}"), options(2)).await;
    assert!(report.errors.unwrap()[1].contains("cannot connect"));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut short = options(1);
    short.timeout = Duration::from_millis(50);
    let report = tried(&[contract(TODOS)], &format!("http://{}", silent.local_addr().unwrap()), short).await;
    assert!(report.errors.unwrap()[0].contains("no answer within 0.05 s"));

    let loud = Service::start(|_| json(200, &"x".repeat(10_000))).await;
    let mut small = options(1);
    small.max_response_bytes = 1000;
    let report = tried(&[contract(TODOS)], &loud.url(), small).await;
    assert!(report.errors.unwrap()[0].contains("larger than 1000 bytes"));
}

#[tokio::test]
async fn time_that_is_up_is_told_and_is_no_success() {
    let service = Service::start(todos).await;
    let mut late = options(50);
    late.deadline = Some(Duration::ZERO);
    late.rate = Some(1.0);
    let report = tried(&[contract(TODOS)], &service.url(), late).await;
    assert!(report.not_sent >= 49 && !report.is_good(), "{report:?}");
}

#[tokio::test]
async fn defect_l03_bases_that_are_no_addresses_or_out_of_reach_are_refused() {
    for bad in ["", "ftp://x", "/path", "localhost", "http://user:pw@localhost:1", "http://x?y=1"] {
        let refused = run(&[], bad, options(1), Arc::default()).await;
        assert!(matches!(refused, Err(RunError::BaseUrl(_))), "{bad}: {refused:?}");
    }
    for bad in ["http://169.254.169.254", "http://10.1.2.3:80", "http://[fe80::1]", "http://0.0.0.0"] {
        let mut careful = options(1);
        careful.reach = Reach::PublicAndLoopback;
        let refused = run(&[contract(TODOS)], bad, careful, Arc::default()).await;
        assert!(matches!(refused, Err(RunError::Refused { .. })), "{bad}: {refused:?}");
    }
}

/// Where a redirect leads nobody has allowed.
#[tokio::test]
async fn defect_l03_redirects_are_not_followed() {
    let service = Service::start(|_| {
        let mut answer = json(302, "");
        answer.headers_mut().insert("location", "/elsewhere".parse().unwrap());
        answer
    })
    .await;
    let report = tried(&[contract(TODOS)], &service.url(), options(1)).await;
    assert!(report.errors.unwrap()[0].contains("status 302 instead of 200"));
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn defect_l15_requests_that_cannot_be_made_are_failures() {
    let service = Service::start(todos).await;
    let text = "method: GET\nname: no\npath: /no\nrequest:\n    match_headers: {X-Broken: \"a[\\n]b\"}\nresponse: {}\n";
    let report = tried(&[contract(text)], &service.url(), options(2)).await;
    assert_eq!((report.succeeded, report.failed, report.is_good()), (0, 2, false));
    assert!(report.errors.unwrap()[0].contains("no request can be made: the header x-broken"));
    assert!(service.asked().is_empty());
}

/// The first answer comes when so many requests are there; more connections than that there never are.
#[tokio::test]
async fn so_many_requests_are_on_their_way_at_a_time() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const AT_A_TIME: usize = 4;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let all = Arc::new(tokio::sync::Barrier::new(AT_A_TIME));
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut is_first = true;
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if std::mem::take(&mut is_first) {
                        all.wait().await;
                    }
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let mut options = options(40);
    options.concurrency = AT_A_TIME;
    let report = tried(&[contract("method: GET\nname: a1\npath: /a\nresponse: {}\n")], &url, options).await;
    assert_eq!(report.succeeded, 40, "{report:?}");
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), AT_A_TIME);
}

#[tokio::test]
async fn another_promised_success_will_do_and_errors_of_the_mock_are_not_provoked() {
    let ok = "method: PUT\nname: ok1\npath: /a\nresponse: {status_code: 200}\n";
    let made =
        "method: PUT\nname: ok2\npath: /a\nresponse: {status_code: 201, match_headers: {X-Made: '1'}}\n";
    let gone =
        "method: PUT\nname: no1\npath: /a\npredicate: '{{NthRequest 2}}'\nresponse: {status_code: 404}\n";
    let service = Service::start(|_| json(201, "")).await;
    let contracts = [contract(ok), contract(made), contract(gone)];
    let report = tried(&contracts, &service.url(), options(1)).await;
    assert_eq!((report.succeeded, report.failed), (0, 2));
    assert_eq!(report.skipped, ["/_scenarios/PUT/no1/a"]);
    // 201 is checked as what promises 201.
    assert!(report.errors.unwrap().iter().all(|error| error.contains("no header X-Made")));

    let service = Service::start(|_| json(404, "")).await;
    let report = tried(&contracts[..1], &service.url(), options(1)).await;
    assert_eq!(report.failed, 1);
    let mut lenient = options(1);
    lenient.accept_documented = true;
    let report = tried(&contracts, &service.url(), lenient.clone()).await;
    assert_eq!((report.succeeded, report.failed), (2, 0), "{report:?}");
    let missing = "method: PUT\nname: no2\npath: /a\nresponse: {status_code: 404}\n";
    let report = tried(&[contract(ok), contract(missing)], &service.url(), lenient).await;
    assert_eq!((report.succeeded, report.failed), (2, 0));
}

#[tokio::test]
async fn examples_or_patterns_as_one_likes_and_dry_runs_send_nothing() {
    let text = "method: POST\nname: e1\npath: /e\nrequest:\n    match_contents: '{\"n\":\"__number__7\"}'\n    example_contents: '{\"n\": 1, \"m\": 2}'\nresponse: {}\n";
    for (data, wanted) in [
        (Data::Examples, r#"{"n": 1, "m": 2}"#),
        (Data::Patterns, r#"{"n":7,"m":2}"#),
        (Data::Auto, r#"{"n":7,"m":2}"#),
    ] {
        let service = Service::start(|_| json(200, "")).await;
        let mut options = options(1);
        options.data = data;
        let report = tried(&[contract(text)], &service.url(), options.clone()).await;
        assert_eq!(report.succeeded, 1);
        assert_eq!(service.asked()[0].body, wanted);
        options.dry_run = true;
        let report = tried(&[contract(text)], &service.url(), options).await;
        assert_eq!(service.asked().len(), 1);
        assert!(
            report.is_good() && report.requests[0].contains(&format!("--data-raw '{wanted}'")),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn progress_can_be_watched() {
    let service = Service::start(|_| json(500, "")).await;
    let progress = Arc::new(Progress::default());
    let contracts = [contract(TODOS)];
    run(&contracts, &service.url(), options(4), Arc::clone(&progress)).await.unwrap();
    assert_eq!(progress.now(), (4, 4, 4));
}

#[tokio::test]
async fn a_connection_that_the_service_closes_is_made_again() {
    let service = Service::start(|_| {
        let mut answer = todos(&Asked {
            method: String::new(),
            target: String::new(),
            headers: http::HeaderMap::new(),
            body: String::new(),
        });
        answer.headers_mut().insert("connection", "close".parse().unwrap());
        answer
    })
    .await;
    let report = tried(&[contract(TODOS)], &service.url(), options(20)).await;
    assert_eq!((report.succeeded, report.failed), (20, 0), "{report:?}");
}
