//! Exchanges that were recorded lately: most of what passes a recording proxy was seen before.

use std::collections::HashMap;

use api_mock_scenario::Key;
use sha2::{Digest, Sha256};

use super::Exchange;
use crate::headers;

/// As many are remembered.
const MOST: usize = 8_192;

/// What became of exchanges, by all that is recorded of them.
#[derive(Default)]
pub(super) struct Seen {
    keys: HashMap<[u8; 32], Key>,
}

impl Seen {
    /// The recording of an exchange that is the same in all that counts.
    pub(super) fn key(&self, digest: &[u8; 32]) -> Option<&Key> {
        self.keys.get(digest)
    }

    pub(super) fn remember(&mut self, digest: [u8; 32], key: Key) {
        if self.keys.len() >= MOST {
            self.keys.clear();
        }
        self.keys.insert(digest, key);
    }
}

/// A digest of all that is recorded of an exchange.
pub(super) fn digest(exchange: &Exchange) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(exchange.method.as_str().as_bytes());
    add(exchange.url.scheme_str().unwrap_or_default().as_bytes());
    add(exchange.url.authority().map_or("", |authority| authority.as_str()).as_bytes());
    add(exchange.url.path_and_query().map_or("", |target| target.as_str()).as_bytes());
    add(exchange.status.as_str().as_bytes());
    for headers in [&exchange.headers, &exchange.answer_headers] {
        for (name, value) in headers {
            // The name that the client chose counts.
            if headers::is_recorded(name) || *name == headers::SCENARIO {
                add(name.as_str().as_bytes());
                add(value.as_bytes());
            }
        }
        add(b"");
    }
    add(exchange.body.as_deref().unwrap_or(b""));
    add(&exchange.answer_body);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_recorded_counts_and_nothing_else() {
        let one = Exchange { url: "http://a.test/x?a=1".parse().unwrap(), ..Exchange::default() };
        let mut later = one.clone();
        later.answer_headers.insert("date", HeaderValue::from_static("Sat, 29 Oct 2022 04:26:17 GMT"));
        later.headers.insert("connection", HeaderValue::from_static("keep-alive"));
        assert_eq!(digest(&one), digest(&later));
        let changes: [fn(&mut Exchange); 7] = [
            |exchange| exchange.method = http::Method::PUT,
            |exchange| exchange.url = "http://a.test/x?a=2".parse().unwrap(),
            |exchange| exchange.url = "http://b.test/x?a=1".parse().unwrap(),
            |exchange| exchange.status = http::StatusCode::CREATED,
            |exchange| exchange.body = Some("x".into()),
            |exchange| exchange.answer_body = "x".into(),
            |exchange| drop(exchange.headers.insert("x-mock-scenario", HeaderValue::from_static("x"))),
        ];
        for change in changes {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(digest(&one), digest(&other), "{other:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        for number in 0..=MOST {
            let digest = Sha256::digest(number.to_le_bytes()).into();
            seen.remember(digest, Key { method: "GET".into(), name: number.to_string(), path: "/".into() });
            assert_eq!(seen.key(&digest).unwrap().name, number.to_string());
        }
        assert!(seen.keys.len() <= MOST);
    }
}
