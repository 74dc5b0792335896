//! Requests as lines for a shell. Pasted there they send what was sent, but for secrets that are not shown.

use std::fmt::Write;

use http::header::CONTENT_TYPE;

use crate::plan::Prepared;
use crate::secret::{self, HIDDEN};

/// Longer bodies do not fit into a line.
const BODY_BYTES: usize = 64 << 10;

/// The request as a curl line.
pub(crate) fn line(origin: &str, request: &Prepared, show_secrets: bool) -> String {
    let mut line = String::from("curl");
    match request.method.as_str() {
        "GET" => {}
        "HEAD" => line.push_str(" -I"),
        method => {
            let _ = write!(line, " -X {}", word(method));
        }
    }
    let target = if show_secrets { request.target.clone() } else { target_without_secrets(request) };
    let _ = write!(line, " {}", quoted(&format!("{origin}{target}")));
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if !show_secrets && secret::is_one(name.as_str()) { HIDDEN } else { &value };
        // curl leaves out a header of which nothing but the name is told.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        let _ = write!(line, " -H {}", quoted(&header));
    }
    if request.body.is_empty() {
        return line;
    }
    if !request.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        // Else curl says that it is a form.
        line.push_str(" -H 'content-type:'");
    }
    let body = if show_secrets { Some(request.body.to_vec()) } else { secret::without(&request.body) };
    match body.filter(|body| body.len() <= BODY_BYTES) {
        Some(body) => with_body(&line, body),
        None => {
            format!("{line} --data-binary @body # its {} bytes are too many for a line", request.body.len())
        }
    }
}

fn with_body(line: &str, body: Vec<u8>) -> String {
    match String::from_utf8(body) {
        Ok(text) if !text.contains('\0') => format!("{line} --data-raw {}", quoted(&text)),
        Ok(text) => format!("printf '{}' | {line} --data-binary @-", escaped(text.as_bytes())),
        Err(error) => format!("printf '{}' | {line} --data-binary @-", escaped(error.as_bytes())),
    }
}

fn target_without_secrets(request: &Prepared) -> String {
    let mut shown = String::with_capacity(request.target.len());
    let mut from = 0;
    for at in &request.hidden {
        shown.push_str(request.target.get(from..at.start).unwrap_or_default());
        shown.push_str(HIDDEN);
        from = at.end;
    }
    shown + request.target.get(from..).unwrap_or_default()
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same without quotes where it needs none.
fn word(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) { text.to_owned() } else { quoted(text) }
}

/// Bytes as `printf` of any shell takes them.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        match byte {
            b'\\' | b'%' | b'\'' | ..b' ' | 127.. => {
                let _ = write!(text, "\\{byte:03o}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    fn request(body: &[u8]) -> Prepared {
        let target = "/a/hunter0?page=1&api_key=hunter1".to_owned();
        let at = |secret: &str| target.find(secret).map(|at| at..at + secret.len()).unwrap();
        Prepared {
            method: Method::POST,
            hidden: vec![at("hunter0"), at("hunter1")],
            target: target.clone(),
            headers: vec![
                (HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer hunter2")),
                (HeaderName::from_static("accept"), HeaderValue::from_static("it's")),
                (HeaderName::from_static("x-empty"), HeaderValue::from_static("")),
            ],
            body: body.to_vec().into(),
            data: api_mock_template::Value::Nil,
        }
    }

    #[test]
    fn defect_l05_curl_lines_hold_no_secrets_unless_asked_for() {
        let request = request(br#"{"n":[{"password":"hunter3"}],"id":1}"#);
        assert_eq!(
            line("http://h:1", &request, false),
            r#"curl -X POST 'http://h:1/a/***?page=1&api_key=***' -H 'authorization: ***' -H 'accept: it'\''s' -H 'x-empty;' -H 'content-type:' --data-raw '{"n":[{"password":"***"}],"id":1}'"#
        );
        assert_eq!(
            line("http://h:1", &request, true),
            r#"curl -X POST 'http://h:1/a/hunter0?page=1&api_key=hunter1' -H 'authorization: Bearer hunter2' -H 'accept: it'\''s' -H 'x-empty;' -H 'content-type:' --data-raw '{"n":[{"password":"hunter3"}],"id":1}'"#
        );
    }

    #[test]
    fn bytes_and_long_bodies() {
        let binary = line("http://h:1", &request(b"\xff'%\\\0a"), false);
        assert!(binary.starts_with(r"printf '\377\047\045\134\000a' | curl -X POST"), "{binary}");
        let long = line("http://h:1", &request(&vec![b'x'; BODY_BYTES + 1]), true);
        assert!(long.ends_with("--data-binary @body # its 65537 bytes are too many for a line"), "{long}");
    }
}
