//! What must not be shown.

use http::HeaderName;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::plan::Prepared;

/// What stands for a secret.
pub(crate) const HIDDEN: &str = "***";

/// Names that hold one of these are those of secrets.
const PARTS: [&str; 11] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "session",
    "credential",
    "signature",
    "apikey",
    "accesskey",
    "privatekey",
];
/// And so are names whose last word is one of these.
const WORDS: [&str; 5] = ["key", "sig", "pin", "pwd", "otp"];
/// Larger bodies are not searched for secrets.
const SEARCHED: usize = 1 << 20;
/// Shorter texts would be found everywhere.
const SHORTEST: usize = 4;
const DEPTH: usize = 64;

/// Whether what has this name is a secret.
pub(crate) fn is_one(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // An author is none.
    let lower = lower.replace("authoriz", "auth_").replace("authoris", "auth_").replace("author", "");
    let joined = lower.replace(['-', '_'], "");
    if PARTS.iter().any(|part| joined.contains(part)) {
        return true;
    }
    let last = lower.rsplit(['-', '_', '.']).next().unwrap_or_default();
    WORDS.iter().any(|word| last == *word || ends_in_camel_case(name, word))
}

/// `apiKey` ends with `key`.
fn ends_in_camel_case(name: &str, word: &str) -> bool {
    let end = name.len().checked_sub(word.len()).and_then(|at| name.get(at..)).unwrap_or_default();
    end.starts_with(|c: char| c.is_ascii_uppercase()) && end.eq_ignore_ascii_case(word)
}

/// A body of JSON or a form without its secrets; `None` if it is too large to be searched.
pub(crate) fn without(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() > SEARCHED {
        return None;
    }
    if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
        return Some(if hide(&mut value, 0, &mut Vec::new()) {
            value.to_string().into()
        } else {
            body.to_vec()
        });
    }
    let Ok(text) = std::str::from_utf8(body) else { return Some(body.to_vec()) };
    Some(if is_form(text) { without_pairs(text).into() } else { body.to_vec() })
}

/// The secrets of a request, as they may come back in an answer.
pub(crate) fn of(request: &Prepared) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in secret_headers(request) {
        let value = String::from_utf8_lossy(value).into_owned();
        // `Bearer x` and `a=x; b=y` may come back in parts; the word before a credential is no secret.
        let is_cookie = name.as_str().contains("cookie");
        let words = usize::from(!is_cookie && value.contains(' '));
        let parts = value.split([' ', ';']).skip(words).map(|part| match part.split_once('=') {
            Some((_, value)) if is_cookie => value,
            _ => part,
        });
        found.extend(parts.map(str::to_owned));
        found.push(value);
    }
    for at in &request.hidden {
        let written = request.target.get(at.clone()).unwrap_or_default();
        found.push(percent_decode_str(written).decode_utf8_lossy().into_owned());
        found.push(written.to_owned());
    }
    if let Some(mut value) = Some(&request.body)
        .filter(|body| body.len() <= SEARCHED)
        .and_then(|body| serde_json::from_slice::<Value>(body).ok())
    {
        hide(&mut value, 0, &mut found);
    }
    // What holds another one goes first.
    found.retain(|secret| secret.len() >= SHORTEST);
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

fn secret_headers(request: &Prepared) -> impl Iterator<Item = (&HeaderName, &[u8])> {
    let headers = request.headers.iter().filter(|(name, _)| is_one(name.as_str()));
    headers.map(|(name, value)| (name, value.as_bytes()))
}

/// Whether something was hidden; what that was is added to `found`.
fn hide(value: &mut Value, depth: usize, found: &mut Vec<String>) -> bool {
    let mut hid = false;
    match value {
        _ if depth > DEPTH => {}
        Value::Object(members) => {
            for (name, value) in members {
                if is_one(name) && (value.is_string() || value.is_number()) {
                    found.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                    *value = HIDDEN.into();
                    hid = true;
                } else {
                    hid |= hide(value, depth + 1, found);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hid |= hide(item, depth + 1, found)),
        _ => {}
    }
    hid
}

/// `a=b&c=d`, and nothing that such a text would not have.
fn is_form(text: &str) -> bool {
    text.contains('=') && !text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '{' | '"'))
}

fn without_pairs(text: &str) -> String {
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_one(&percent_decode_str(name).decode_utf8_lossy()) => {
            format!("{name}={HIDDEN}")
        }
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "Authorization",
            "Set-Cookie",
            "X-Api-Key",
            "apiKey",
            "access_key",
            "password",
            "csrfToken",
            "sig",
            "X-Amz-Signature",
            "key",
            "pin",
        ] {
            assert!(is_one(name), "{name}");
        }
        for name in
            ["author", "Authors", "keyword", "monkey", "design", "signal", "shipping", "accept", "id", "spin"]
        {
            assert!(!is_one(name), "{name}");
        }
    }

    #[test]
    fn bodies_are_shown_without_secrets() {
        let shown = |body: &str| String::from_utf8(without(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(shown(r#"{"a":[{"password":"hunter2"}],"b": 1}"#), r#"{"a":[{"password":"***"}],"b":1}"#);
        assert_eq!(shown(r#"{"b": 1}"#), r#"{"b": 1}"#);
        assert_eq!(shown("user=ann&password=hunter2"), "user=ann&password=***");
        assert_eq!(shown("the key=x is \"y\""), "the key=x is \"y\"");
        assert!(without(&vec![b' '; SEARCHED + 1]).is_none());
    }
}
