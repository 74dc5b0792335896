//! The lines that are told for failures are pasted into a shell: what curl sends then is what was sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "how a test fails")]

mod common;

use std::process::{Command, Stdio};

use common::{Asked, Service, contract, json, options, tried};

/// Everything that a shell or curl could take for something else.
const SCENARIOS: [&str; 6] = [
    "method: GET\nname: get\npath: /a/:x/{y}\nrequest:\n    example_path_params: {x: \"it's $HOME `id` \\\"q\\\" [1-2] {a,b}\", y: 'é%2F\\'}\n    example_query_params: {q: 'a&b=c #d', empty: '', 'n[0]': '*'}\n    example_headers: {X-Quote: \"it's\", X-Empty: '', Authorization: Bearer hunter2}\nresponse: {}\n",
    "method: POST\nname: json\npath: /b\nrequest:\n    example_contents: '{\"a\": \"it''s <>&|;\\\\n$(id)\", \"password\": \"hunter3\"}'\nresponse: {}\n",
    "method: PUT\nname: text\npath: /c\nrequest:\n    example_headers: {Content-Type: text/plain}\n    example_contents: \"@file\\nsecond line\\r\\n\\ttab 'q' %s \\\\ \"\nresponse: {}\n",
    "method: PATCH\nname: bytes\npath: /d\nrequest:\n    example_headers: {Content-Type: application/octet-stream}\n    example_contents: \"a\\0b%s\\\\'é\\n\"\nresponse: {}\n",
    "method: POST\nname: form\npath: /e\nrequest:\n    example_headers: {Content-Type: application/x-www-form-urlencoded}\n    example_contents: 'a=b%20c&token=hunter4'\nresponse: {}\n",
    "method: DELETE\nname: none\npath: /f\nresponse: {}\n",
];

/// What there is to compare; the rest is the client's own.
fn essence(asked: &Asked) -> (String, String, Vec<String>, String) {
    let headers = ["x-quote", "x-empty", "authorization", "content-type"];
    let headers = headers.iter().filter_map(|name| {
        let value = asked.headers.get(*name)?;
        Some(format!("{name}: {}", value.to_str().unwrap()))
    });
    (asked.method.clone(), asked.target.clone(), headers.collect(), asked.body.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_for_curl_send_the_same_request_again() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no curl");
        return;
    }
    let service = Service::start(|_| json(500, "")).await;
    let contracts: Vec<_> = SCENARIOS.iter().map(|text| contract(text)).collect();
    let mut options = options(1);
    options.show_secrets = true;
    let report = tried(&contracts, &service.url(), options).await;
    assert_eq!(report.failures.len(), SCENARIOS.len(), "{report:?}");
    let sent: Vec<_> = service.asked().iter().map(essence).collect();
    for (failure, sent) in report.failures.iter().zip(&sent) {
        let line = format!("{} -s -o /dev/null", failure.curl);
        let shell = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(line).status());
        assert!(shell.await.unwrap().unwrap().success(), "{}", failure.curl);
        assert_eq!(essence(service.asked().last().unwrap()), *sent, "{}", failure.curl);
    }
    assert_eq!(service.asked().len(), 2 * SCENARIOS.len());
}

#[tokio::test]
async fn defect_l05_no_secret_is_told_wherever_it_is() {
    // The service sends back what it got, and something of its own.
    let service = Service::start(|asked| {
        let got = format!("{:?} {}", asked.headers, asked.body).replace(['"', '\\'], "");
        json(500, &format!(r#"{{"token": "hunter9", "author": "ann", "got": "{got}"}}"#))
    })
    .await;
    let text = "method: POST\nname: all\npath: /reset/:token\nrequest:\n    example_path_params: {token: hunter1}\n    example_query_params: {api_key: hunter2}\n    example_headers: {Cookie: sid=hunter3, Authorization: Bearer hunter4}\n    example_contents: '{\"user\": \"ann\", \"password\": \"hunter5\", \"pin\": 70007}'\nresponse: {}\n";
    for show in [false, true] {
        let mut options = options(1);
        options.show_secrets = show;
        let report = tried(&[contract(text)], &service.url(), options).await;
        let told = serde_json::to_string(&report).unwrap() + &report.to_text() + &report.to_junit("s");
        for secret in ["hunter1", "hunter2", "hunter3", "hunter4", "hunter5", "70007", "hunter9"] {
            assert_eq!(told.contains(secret), show, "{secret}: {told}");
        }
        assert!(told.contains("ann"), "{told}");
    }
}
