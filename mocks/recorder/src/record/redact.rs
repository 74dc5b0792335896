//! Secrets do not get into files: what is one is known by its name.

use std::borrow::Cow;

use http::HeaderName;

/// Stands in a file where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Which headers, parameters and fields are secrets. Names are compared without regard to capitals, `-` and `_`.
#[derive(Clone, Debug)]
pub struct Redaction {
    headers: Vec<String>,
    fields: Vec<String>,
    parameters: Vec<String>,
}

const HEADERS: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-vault-token",
];

const FIELDS: [&str; 11] = [
    "password",
    "passwd",
    "client_secret",
    "client_assertion",
    "access_token",
    "refresh_token",
    "id_token",
    "private_key",
    "secret_key",
    "api_key",
    "session_token",
];

/// Besides the fields.
const PARAMETERS: [&str; 6] =
    ["token", "sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token"];

impl Default for Redaction {
    /// The usual names of secrets.
    fn default() -> Self {
        let plain = |names: &[&str]| names.iter().map(|name| plain(name)).collect::<Vec<_>>();
        let parameters = [plain(&FIELDS), plain(&PARAMETERS)].concat();
        Redaction { headers: plain(&HEADERS), fields: plain(&FIELDS), parameters }
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

impl Redaction {
    /// Nothing is a secret but what is added.
    #[must_use]
    pub fn none() -> Self {
        Redaction { headers: Vec::new(), fields: Vec::new(), parameters: Vec::new() }
    }

    /// Further headers.
    #[must_use]
    pub fn with_headers<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.headers.extend(names.into_iter().map(plain));
        self
    }

    /// Further fields of JSON and forms, and parameters of the query.
    #[must_use]
    pub fn with_fields<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Vec<String> = names.into_iter().map(plain).collect();
        self.parameters.extend(names.iter().cloned());
        self.fields.extend(names);
        self
    }

    /// Whether a header is a secret.
    #[must_use]
    pub fn is_secret_header(&self, name: &HeaderName) -> bool {
        self.headers.contains(&plain(name.as_str()))
    }

    /// Whether a parameter of the query is a secret.
    #[must_use]
    pub fn is_secret_parameter(&self, name: &str) -> bool {
        self.parameters.contains(&plain(name))
    }

    fn is_secret_field(&self, name: &str) -> bool {
        self.fields.contains(&plain(name))
    }

    /// The value of a header as it may be kept. What kind of `Authorization` it was stays, and all of a cookie but
    /// its value.
    #[must_use]
    pub fn header<'v>(&self, name: &HeaderName, value: &'v str) -> Cow<'v, str> {
        if !self.is_secret_header(name) {
            return Cow::Borrowed(value);
        }
        Cow::Owned(match name.as_str() {
            "authorization" | "proxy-authorization" => match value.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {REDACTED}"),
                None => REDACTED.to_owned(),
            },
            "set-cookie" => {
                let (pair, rest) = value.split_once(';').map_or((value, ""), |(pair, rest)| (pair, rest));
                let name = pair.split_once('=').map_or("", |(name, _)| name.trim());
                let rest = if rest.is_empty() { String::new() } else { format!(";{rest}") };
                format!("{name}={REDACTED}{rest}")
            }
            "cookie" => {
                let pairs = value.split(';').map(|pair| {
                    format!("{}={REDACTED}", pair.split_once('=').map_or("", |(name, _)| name.trim()))
                });
                pairs.collect::<Vec<_>>().join("; ")
            }
            _ => REDACTED.to_owned(),
        })
    }

    /// A body as it may be kept: secret fields of JSON and of forms are replaced, every other byte stays.
    #[must_use]
    pub fn body<'b>(&self, content_type: &str, body: &'b [u8]) -> Cow<'b, [u8]> {
        if self.fields.is_empty() || body.is_empty() {
            return Cow::Borrowed(body);
        }
        let content_type = content_type.trim().to_ascii_lowercase();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return self.form(body);
        }
        let begin = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_json =
            matches!(begin, Some(b'{' | b'[')) && serde_json::from_slice::<serde_json::Value>(body).is_ok();
        if is_json { self.json(body) } else { Cow::Borrowed(body) }
    }

    /// The bytes of a part of a form as they may be kept.
    pub(crate) fn part<'b>(&self, name: &str, content_type: &str, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.is_secret_parameter(name) {
            return Cow::Owned(REDACTED.as_bytes().to_vec());
        }
        self.body(content_type, bytes)
    }

    fn form<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        let Ok(text) = std::str::from_utf8(body) else { return Cow::Borrowed(body) };
        let name_of = |pair: &str| {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
        };
        if !text.split('&').any(|pair| self.is_secret_parameter(&name_of(pair))) {
            return Cow::Borrowed(body);
        }
        let pairs = text.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.is_secret_parameter(&name_of(pair)) => format!("{name}={REDACTED}"),
            _ => pair.to_owned(),
        });
        Cow::Owned(pairs.collect::<Vec<_>>().join("&").into_bytes())
    }

    /// Of JSON that was found good.
    fn json<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        let mut out: Vec<u8> = Vec::new();
        // Up to where the body is copied.
        let mut copied = 0;
        // How deep it is, and from which depth on all is secret.
        let (mut depth, mut secret_from) = (0_usize, None::<usize>);
        let mut next_is_secret = false;
        let mut at = 0;
        while let Some(byte) = body.get(at) {
            let begin = at;
            match byte {
                b'"' => {
                    at = end_of_string(body, at);
                    if is_key(body, at) {
                        let name: String = serde_json::from_slice(&body[begin..at]).unwrap_or_default();
                        next_is_secret = self.is_secret_field(&name);
                        continue;
                    }
                    if next_is_secret || secret_from.is_some() {
                        out.extend_from_slice(&body[copied..begin]);
                        out.extend_from_slice(format!("\"{REDACTED}\"").as_bytes());
                        copied = at;
                    }
                    next_is_secret = false;
                }
                b'{' | b'[' => {
                    depth += 1;
                    if next_is_secret && secret_from.is_none() {
                        secret_from = Some(depth);
                    }
                    next_is_secret = false;
                    at += 1;
                }
                b'}' | b']' => {
                    if secret_from == Some(depth) {
                        secret_from = None;
                    }
                    depth = depth.saturating_sub(1);
                    at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let rest = body.get(at..).unwrap_or_default();
                    at += rest.iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
                    if next_is_secret || secret_from.is_some() {
                        out.extend_from_slice(&body[copied..begin]);
                        out.push(b'0');
                        copied = at;
                    }
                    next_is_secret = false;
                }
                b',' => {
                    next_is_secret = false;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        if copied == 0 {
            return Cow::Borrowed(body);
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// After the closing quote.
fn end_of_string(body: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

fn is_key(body: &[u8], after: usize) -> bool {
    let rest = body.get(after..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l05_headers_keep_only_what_kind_they_were() {
        let redaction = Redaction::default().with_headers(["X-Tenant"]);
        for (name, value, wanted) in [
            ("authorization", "Bearer sk_test_1", "Bearer [redacted]"),
            ("authorization", "sk_test_1", "[redacted]"),
            ("cookie", "a=1; b=2", "a=[redacted]; b=[redacted]"),
            ("set-cookie", "sid=abc; Path=/; HttpOnly", "sid=[redacted]; Path=/; HttpOnly"),
            ("set-cookie", "sid=abc", "sid=[redacted]"),
            ("x-api-key", "k", "[redacted]"),
            ("x-tenant", "t", "[redacted]"),
            ("accept", "*/*", "*/*"),
        ] {
            assert_eq!(redaction.header(&HeaderName::from_static(name), value), wanted);
        }
    }

    #[test]
    fn defect_l05_fields_of_bodies_are_replaced_and_nothing_else_changes() {
        let redaction = Redaction::default().with_fields(["pin"]);
        let json = |body: &str| String::from_utf8(redaction.body("", body.as_bytes()).into_owned()).unwrap();
        assert_eq!(
            json(r#" {"user": "a",  "passWord" : "x\"y", "n":1e2, "pin": 1234, "ok":true}"#),
            r#" {"user": "a",  "passWord" : "[redacted]", "n":1e2, "pin": 0, "ok":true}"#
        );
        assert_eq!(
            json(r#"{"private_key":{"d":"x","l":["y",7]},"after":"z","list":["password","b"]}"#),
            r#"{"private_key":{"d":"[redacted]","l":["[redacted]",0]},"after":"z","list":["password","b"]}"#
        );
        for same in [r#"{"a": [1, {"b": "c"}]}"#, "{not json: \"password\": \"x\"", "", "[]"] {
            assert_eq!(json(same), same);
        }
        let form = redaction.body("application/x-www-form-urlencoded", b"user=a&password=b%20c&x");
        assert_eq!(&*form, b"user=a&password=[redacted]&x");
    }
}
