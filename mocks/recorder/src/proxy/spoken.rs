//! What is spoken inside of a tunnel, told by how it begins.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// The longest names of methods that there are, such as `UPDATEREDIRECTREF`, are shorter.
const LONGEST_METHOD: usize = 24;
/// How the targets begin that are whole addresses.
const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Tls,
    Http,
    /// Something that nobody here understands.
    Other,
}

impl Spoken {
    /// `None` if more must be known.
    fn of(begin: &[u8]) -> Option<Spoken> {
        let first = *begin.first()?;
        if first == TLS_HANDSHAKE {
            return Some(Spoken::Tls);
        }
        let length = begin.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
        if !first.is_ascii_uppercase() || length > LONGEST_METHOD {
            return Some(Spoken::Other);
        }
        match begin.split_at_checked(length)? {
            (_, [] | [b' ']) => None,
            (_, [b' ', b'/' | b'*', ..]) | (b"CONNECT", [b' ', ..]) => Some(Spoken::Http),
            (_, [b' ', target @ ..]) => of_address(target),
            _ => Some(Spoken::Other),
        }
    }
}

/// Words of other protocols may be followed by a name, too: `EHLO example.com`.
fn of_address(target: &[u8]) -> Option<Spoken> {
    let target = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    if SCHEMES.iter().any(|scheme| target.starts_with(scheme)) {
        return Some(Spoken::Http);
    }
    if SCHEMES.iter().any(|scheme| scheme.starts_with(&target)) { None } else { Some(Spoken::Other) }
}

/// Reads until it is clear what a client speaks; `None` if it ends without a word. What was read is in `begin`, also if
/// nobody waits for the end of this.
pub(super) async fn spoken(client: &mut (impl AsyncRead + Unpin), begin: &mut BytesMut) -> Option<Spoken> {
    loop {
        if let Some(spoken) = Spoken::of(begin) {
            return Some(spoken);
        }
        if !matches!(client.read_buf(begin).await, Ok(1..)) {
            return (!begin.is_empty()).then_some(Spoken::Other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_capital_letters_is_not_yet_http() {
        for (begin, wanted) in [
            (&b""[..], None),
            (b"\x16\x03", Some(Spoken::Tls)),
            (b"G", None),
            (b"GET", None),
            (b"GET ", None),
            (b"GET /", Some(Spoken::Http)),
            (b"M-SEARCH * HTTP/1.1", Some(Spoken::Http)),
            (b"PRI * HTTP/2.0", Some(Spoken::Http)),
            (b"GET HTT", None),
            (b"GET https:/", None),
            (b"GET HTTP://a.test/", Some(Spoken::Http)),
            (b"GET https://a", Some(Spoken::Http)),
            (b"CONNECT a.test:443", Some(Spoken::Http)),
            (b"EHLO example.com", Some(Spoken::Other)),
            (b"HELO httpd.example", Some(Spoken::Other)),
            (b"SSH-2.0-OpenSSH_9.2", Some(Spoken::Other)),
            (b"PING\r\n", Some(Spoken::Other)),
            (b"A1 LOGIN", Some(Spoken::Other)),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Some(Spoken::Other)),
            (b"-", Some(Spoken::Other)),
            (b"\0\0", Some(Spoken::Other)),
            (b"hello", Some(Spoken::Other)),
        ] {
            assert_eq!(Spoken::of(begin), wanted, "{}", String::from_utf8_lossy(begin));
        }
    }
}
