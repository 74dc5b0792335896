//! Requests as lines for a shell, without secrets.

use std::fmt::Write;

use crate::plan::Prepared;

/// Longer bodies are not shown.
const BODY_BYTES: usize = 4 << 10;
const HIDDEN: &str = "***";

const SECRET: [&str; 10] =
    ["auth", "cookie", "key", "token", "secret", "passw", "session", "credential", "signature", "sig"];

/// Whether what has this name must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// The request as a curl line.
pub(crate) fn line(origin: &str, request: &Prepared) -> String {
    let mut line = String::from("curl");
    match request.method.as_str() {
        "GET" => {}
        "HEAD" => line.push_str(" -I"),
        method => {
            let _ = write!(line, " -X {method}");
        }
    }
    let _ = write!(line, " {}", quoted(&format!("{origin}{}", without_secrets(&request.target))));
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if is_secret(name.as_str()) { HIDDEN } else { &value };
        let _ = write!(line, " -H {}", quoted(&format!("{name}: {value}")));
    }
    if !request.body.is_empty() {
        match std::str::from_utf8(&request.body) {
            Ok(text) if text.len() <= BODY_BYTES => {
                let _ = write!(line, " --data-raw {}", quoted(&body_without_secrets(text)));
            }
            _ => {
                let _ = write!(line, " --data-binary @body # {} bytes", request.body.len());
            }
        }
    }
    line
}

/// Hides values of the query whose names say that they are secret.
fn without_secrets(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

fn body_without_secrets(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) else { return text.to_owned() };
    if hide(&mut value, 0) { value.to_string() } else { text.to_owned() }
}

/// Whether something was hidden.
fn hide(value: &mut serde_json::Value, depth: usize) -> bool {
    match value {
        serde_json::Value::Object(members) if depth < 64 => {
            members.iter_mut().fold(false, |hid, (name, value)| {
                if is_secret(name) && value.is_string() {
                    *value = HIDDEN.into();
                    return true;
                }
                hide(value, depth + 1) || hid
            })
        }
        serde_json::Value::Array(items) if depth < 64 => {
            items.iter_mut().filter_map(|value| hide(value, depth + 1).then_some(())).count() > 0
        }
        _ => false,
    }
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    #[test]
    fn defect_l05_curl_lines_hold_no_secrets() {
        let request = Prepared {
            method: Method::POST,
            target: "/a?page=1&api_key=hunter1".to_owned(),
            headers: vec![
                (HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer hunter2")),
                (HeaderName::from_static("accept"), HeaderValue::from_static("it's")),
            ],
            body: br#"{"n":[{"password":"hunter3"}],"id":1}"#.to_vec().into(),
            data: api_mock_template::Value::Nil,
        };
        let line = line("http://h:1", &request);
        assert!(!line.contains("hunter"), "{line}");
        assert_eq!(
            line,
            r#"curl -X POST 'http://h:1/a?page=1&api_key=***' -H 'authorization: ***' -H 'accept: it'\''s' --data-raw '{"n":[{"password":"***"}],"id":1}'"#
        );
    }
}
