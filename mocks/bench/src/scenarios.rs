//! What is served.

use std::fmt::Write;
use std::path::Path;

use crate::Failure;

/// The body of the static scenario, and of the bare server.
pub(crate) const BODY: &str = r#"{"object": "cash_balance", "available": null, "customer": "cus_123", "livemode": false, "settings": {"reconciliation_mode": "automatic"}}"#;

pub(crate) const STATIC: &str = "/bench/static";
pub(crate) const TEMPLATED: &str = "/bench/templated/42";

/// Headers that the static answer has besides the date and the length.
pub(crate) const HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("x-mock-scenario", "bench-static"),
    ("x-mock-path", STATIC),
    ("x-mock-request-count", "1234567"),
];

const TEMPLATE: &str = r#"method: GET
name: bench-templated
path: /bench/templated/:id
response:
    content_type: application/json
    contents: |-
        {"id": "{{.id}}", "udid": "{{Udid}}", "name": "{{RandName}}", "email": "{{RandEmail}}", "sid": "{{RandRegex `^AC[0-9a-fA-F]{32}$`}}", "age": {{RandNumMinMax 18 99}}, "active": {{RandBool}}, "city": "{{RandCity}}", "phone": "{{RandPhone}}", "note": "{{RandString 20}}"}
"#;

/// Writes one file.
pub(crate) fn put(
    folder: &Path,
    directory: &str,
    method: &str,
    name: &str,
    text: &str,
) -> Result<(), Failure> {
    let folder = folder.join(directory).join(method);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.scr")), text)?;
    Ok(())
}

/// The two scenarios that are measured, among `others` that are not: exact paths, path variables, patterns for the
/// query, and rules for bodies, in turn.
pub(crate) fn write(folder: &Path, others: usize) -> Result<(), Failure> {
    let fixed = format!(
        "method: GET\nname: bench-static\npath: {STATIC}\nresponse:\n    content_type: application/json\n    contents: '{BODY}'\n"
    );
    put(folder, "bench/static", "GET", "bench-static", &fixed)?;
    put(folder, "bench/templated", "GET", "bench-templated", TEMPLATE)?;
    for number in 0..others {
        let (method, path, rules) = match number % 4 {
            0 => ("GET", format!("/bench/exact{number}"), String::new()),
            1 => ("GET", format!("/bench/things{number}/:id/parts"), String::new()),
            2 => (
                "GET",
                format!("/bench/found{number}"),
                "    match_query_params:\n        q: '[a-z]{1,9}'\n".to_owned(),
            ),
            _ => (
                "POST",
                format!("/bench/made{}/:id", number % 100),
                format!(
                    "    match_contents: '{{\"kind\": \"k{number}\", \"size\": \"__number__[0-9]+\"}}'\n"
                ),
            ),
        };
        let mut text = format!("method: {method}\nname: other-{number}\npath: {path}\n");
        if !rules.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(text, "request:\n{rules}");
        }
        text += "response:\n    contents: '{\"ok\": true}'\n";
        let directory = path.split("/:").next().unwrap_or_default().trim_start_matches('/').to_owned();
        put(folder, &directory, method, &format!("other-{number}"), &text)?;
    }
    Ok(())
}
