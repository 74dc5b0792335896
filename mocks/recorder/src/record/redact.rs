//! Secrets do not get into files: what is one is known by its name.

use std::borrow::Cow;

use http::HeaderName;
use http::header::{CONTENT_LOCATION, LINK, LOCATION, REFERER, REFRESH};
use percent_encoding::percent_decode_str;

use super::loose;

/// Stands in a file where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Which headers, parameters and fields are secrets. Names are compared without regard to capitals, `-` and `_`.
#[derive(Clone, Debug)]
pub struct Redaction {
    headers: Vec<String>,
    fields: Vec<String>,
    parameters: Vec<String>,
}

const HEADERS: [&str; 16] = [
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
    "x-amz-signature",
    "private-token",
    "token",
    "ocp-apim-subscription-key",
];

/// Headers with addresses in them.
const WITH_ADDRESSES: [HeaderName; 5] = [LOCATION, CONTENT_LOCATION, LINK, REFRESH, REFERER];

const FIELDS: [&str; 16] = [
    "password",
    "passwd",
    "pwd",
    "db_password",
    "token",
    "secret",
    "aws_secret_access_key",
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
const PARAMETERS: [&str; 5] =
    ["sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token"];

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

    /// The value of a header as it may be kept. What kind of `Authorization` it was stays, all of a cookie but
    /// its value, and all of an address but its secret parameters.
    #[must_use]
    pub fn header<'v>(&self, name: &HeaderName, value: &'v str) -> Cow<'v, str> {
        if !self.is_secret_header(name) {
            return if WITH_ADDRESSES.contains(name) { self.addresses(value) } else { Cow::Borrowed(value) };
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
        if is_form(content_type) {
            return self.form(body);
        }
        let content_type = content_type.to_ascii_lowercase();
        let begin = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_json =
            matches!(begin, Some(b'{' | b'[')) && serde_json::from_slice::<serde_json::Value>(body).is_ok();
        if is_json {
            self.json(body, false)
        } else if may_hold_json(&content_type, body) {
            self.loose_json(body)
        } else {
            Cow::Borrowed(body)
        }
    }

    /// Of a text with JSON in it.
    fn loose_json<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        let found = loose::values(body, |name| self.is_secret_field(name));
        if found.is_empty() {
            return Cow::Borrowed(body);
        }
        let (mut out, mut copied) = (Vec::with_capacity(body.len()), 0);
        for at in found {
            out.extend_from_slice(body.get(copied..at.start).unwrap_or_default());
            out.extend_from_slice(&self.json(body.get(at.clone()).unwrap_or_default(), true));
            copied = at.end;
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// A text with addresses in it: what is secret in their queries and fragments is replaced.
    pub(crate) fn addresses<'v>(&self, text: &'v str) -> Cow<'v, str> {
        let (mut out, mut copied) = (String::new(), 0);
        for (begin, _) in text.match_indices(['?', '&', '#']) {
            if begin < copied {
                continue;
            }
            let pair = text.get(begin + 1..).unwrap_or_default();
            let ends = |c: char| matches!(c, '&' | '#' | '>' | '"') || c.is_whitespace();
            let pair = pair.get(..pair.find(ends).unwrap_or(pair.len())).unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            if !self.is_secret_parameter(&percent_decode_str(name).decode_utf8_lossy()) {
                continue;
            }
            let end = begin + 1 + pair.len();
            out.push_str(text.get(copied..end - value.len()).unwrap_or_default());
            out.push_str(REDACTED);
            copied = end;
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Cow::Owned(out)
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
            percent_decode_str(name).decode_utf8_lossy().into_owned()
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

    /// Of JSON that was found good, or of a value of which all is secret.
    fn json<'b>(&self, body: &'b [u8], is_secret: bool) -> Cow<'b, [u8]> {
        let mut out: Vec<u8> = Vec::new();
        // Up to where the body is copied.
        let mut copied = 0;
        // How deep it is, and from which depth on all is secret.
        let (mut depth, mut secret_from) = (0_usize, is_secret.then_some(0_usize));
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
                    at += number_length(body, at);
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

pub(super) fn is_form(content_type: &str) -> bool {
    content_type.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// Scripts, pages and styles are full of such names, and secrets are not what they stand for there.
fn may_hold_json(content_type: &str, body: &[u8]) -> bool {
    if ["html", "script", "css"].iter().any(|kind| content_type.contains(kind)) {
        return false;
    }
    // What breaks off may do so within a character.
    let is_text = std::str::from_utf8(body).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_text || content_type.contains("json")
}

pub(super) fn number_length(body: &[u8], begin: usize) -> usize {
    let rest = body.get(begin..).unwrap_or_default();
    rest.iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count()
}

/// After the closing quote.
pub(super) fn end_of_string(body: &[u8], begin: usize) -> usize {
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
        for same in [r#"{"a": [1, {"b": "c"}]}"#, "{not json: password: \"x\"", "", "[]"] {
            assert_eq!(json(same), same);
        }
        let form = redaction.body("application/x-www-form-urlencoded", b"user=a&password=b%20c&x");
        assert_eq!(&*form, b"user=a&password=[redacted]&x");
    }

    #[test]
    fn secrets_of_texts_with_json_in_them_are_replaced_and_nothing_else_changes() {
        let redaction = Redaction::default();
        for (text, wanted) in [
            (
                "{\"token\":\"a\",\"n\":1}\n{\"token\": \"b\", \"n\":2}\n",
                "{\"token\":\"[redacted]\",\"n\":1}\n{\"token\": \"[redacted]\", \"n\":2}\n",
            ),
            (
                "event: x\ndata: {\"pwd\": 12, \"b\": \"c\"}\n\n",
                "event: x\ndata: {\"pwd\": 0, \"b\": \"c\"}\n\n",
            ),
            (
                "\u{feff}{\"a\":\"b\",\"secret\":\"x\\\"y\"}",
                "\u{feff}{\"a\":\"b\",\"secret\":\"[redacted]\"}",
            ),
            (
                "{\"a\": [1, {\"private_key\": {\"d\": \"x\", \"n\": [7]}, \"b\": \"c\"}",
                "{\"a\": [1, {\"private_key\": {\"d\": \"[redacted]\", \"n\": [0]}, \"b\": \"c\"}",
            ),
            ("{\"a\": \"b\", \"password\": \"half of i", "{\"a\": \"b\", \"password\": \"[redacted]\""),
            ("{\"private_key\": {\"d\": \"half", "{\"private_key\": {\"d\": \"[redacted]\""),
            ("an \"odd quote, \"password\" : \"x\" \"", "an \"odd quote, \"password\" : \"[redacted]\" \""),
            ("{\"token\": \"no end\n{\"b\": \"c\"}", "{\"token\": \"[redacted]\"\n{\"b\": \"c\"}"),
            ("{\"pass\\u0077ord\": \"x\"}{}", "{\"pass\\u0077ord\": \"[redacted]\"}{}"),
        ] {
            let kept = redaction.body("", text.as_bytes());
            assert_eq!(std::str::from_utf8(&kept).unwrap(), wanted);
        }
        for same in [
            "\"password\"",
            "\"password\":",
            "x \"tokens\": \"a\" y",
            "{\"token\": null} {}",
            "\"\"\"",
            "\"token\": x",
        ] {
            assert_eq!(&*redaction.body("text/plain", same.as_bytes()), same.as_bytes());
        }
        let script = b"const words = {\"password\": \"Passwort\"};";
        assert_eq!(&*redaction.body("text/javascript", script), script);
        let binary = b"\xff\xfe\"password\":\"x\"";
        assert_eq!(&*redaction.body("application/octet-stream", binary), binary);
        // Cut within a character.
        assert!(redaction.body("", b"{\"password\": \"x\", \"a\": \"\xc3").ends_with(b"\"a\": \"\xc3"));
    }

    #[test]
    fn secrets_in_the_addresses_of_headers_are_replaced() {
        let redaction = Redaction::default();
        for (name, value, wanted) in [
            (
                "location",
                "/cb?code=1&access_token=x&b=2#id_token=y",
                "/cb?code=1&access_token=[redacted]&b=2#id_token=[redacted]",
            ),
            ("content-location", "https://a.test/?api%5Fkey=x", "https://a.test/?api%5Fkey=[redacted]"),
            (
                "link",
                "<https://a.test/?page=2&token=x>; rel=\"next\", </?token=y>; rel=last",
                "<https://a.test/?page=2&token=[redacted]>; rel=\"next\", </?token=[redacted]>; rel=last",
            ),
            ("refresh", "5; url=https://a.test/?sig=x", "5; url=https://a.test/?sig=[redacted]"),
            ("referer", "https://a.test/?password=x=y&a", "https://a.test/?password=[redacted]&a"),
            ("referer", "/?token=a?token=b", "/?token=[redacted]"),
            ("referer", "https://a.test/?page=2", "https://a.test/?page=2"),
            ("x-other", "https://a.test/?token=2", "https://a.test/?token=2"),
        ] {
            assert_eq!(redaction.header(&HeaderName::from_static(name), value), wanted);
            assert_eq!(Redaction::none().header(&HeaderName::from_static(name), value), value);
        }
    }
}
