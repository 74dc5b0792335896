//! Headers that are a matter of one connection, and how names are written in files.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

/// Forces, with `true`, that an exchange is recorded; with `false`, that it is not.
pub(crate) const RECORD: HeaderName = HeaderName::from_static("x-mock-record");
/// The name of the recording.
pub(crate) const SCENARIO: HeaderName = HeaderName::from_static("x-mock-scenario");

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

const OF_A_CONNECTION: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns one connection only, also what `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_A_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Whether a header of an answer is written into a file. Lengths and dates are those of each answer.
pub(crate) fn is_recorded(name: &HeaderName) -> bool {
    !(OF_A_CONNECTION.contains(name) || *name == CONTENT_LENGTH || *name == DATE || is_ours(name))
}

/// Whether it is meant for this service.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-mock-") || name.as_str() == "mock-url"
}

/// Removes what is meant for this service.
pub(crate) fn remove_ours(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Whether a request is a call of gRPC, which goes on while it is answered.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = first(headers, &CONTENT_TYPE).unwrap_or_default().trim_start();
    kind.get(..16).is_some_and(|begin| begin.eq_ignore_ascii_case("application/grpc"))
}

/// `content-type` as people write it: `Content-Type`.
pub(crate) fn written(name: &HeaderName) -> String {
    let mut out = String::with_capacity(name.as_str().len());
    let mut begins = true;
    for c in name.as_str().chars() {
        out.push(if begins { c.to_ascii_uppercase() } else { c });
        begins = c == '-';
    }
    out
}

/// A value as text; bytes beyond ASCII that are no UTF-8 as those of Latin-1.
pub(crate) fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

/// Whether the first value of a header is UTF-8.
pub(crate) fn is_text(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_ok())
}

/// The first value of a header, as text.
pub(crate) fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "close, x-a"), ("x-a", "1"), ("x-b", "2"), ("te", "trailers")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-b"));
    }

    #[test]
    fn names_are_written_with_capitals() {
        assert_eq!(written(&HeaderName::from_static("x-request-id")), "X-Request-Id");
    }
}
