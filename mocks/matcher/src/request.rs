//! A request as scenarios see it.

use bytes::Bytes;
use http::header::AsHeaderName;
use http::{HeaderMap, Method};

/// A request, taken apart.
///
/// ```
/// use api_mock_matcher::Request;
/// use http::{HeaderMap, Method};
///
/// let request = Request::new(Method::GET, "/a%20b/c?x=1&x=2&y=%26+", HeaderMap::new(), bytes::Bytes::new());
/// assert_eq!(request.path, "/a b/c");
/// assert_eq!((request.query_value("x"), request.query_value("y")), (Some("1"), Some("& ")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// The query parameters, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// Takes the target of a request apart: path and query, as they stand in the request line.
    #[must_use]
    pub fn new(method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Request { method, path: decode(path, false), query: query.collect(), headers, body }
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }
}

/// Percent-decodes; what is not UTF-8 becomes U+FFFD.
fn decode(text: &str, plus_is_space: bool) -> String {
    if !(text.contains('%') || plus_is_space && text.contains('+')) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (*byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (b'+', ..) if plus_is_space => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(decode("100%/%zz%4", false), "100%/%zz%4");
        assert_eq!(decode("%ff+", false), "\u{fffd}+");
        assert_eq!(decode("%E6%97%A5", true), "日");
    }
}
