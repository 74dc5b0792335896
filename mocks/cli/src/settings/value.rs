//! Kinds of values: what they look like, and what they say.

use std::net::IpAddr;
use std::time::Duration;

use api_mock_recorder::{BodyMatch, Mode, Names, UpstreamProxy};
use api_mock_template::time::GoDuration;

/// What a setting's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Port,
    Number,
    /// A number, also a negative one, or nothing.
    Seed,
    Size,
    Duration,
    Switch,
    Host,
    Text,
    /// As text, but never shown.
    Secret,
    /// What the recording proxy does.
    Mode,
    BodyMatch,
    /// An expression for names.
    Names,
    ProxyUrl,
    /// Where a service is, or nothing.
    Upstream,
}

impl Kind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Kind::Port => "a port, 0 to 65535",
            Kind::Number | Kind::Seed => "a whole number",
            Kind::Size => "a number of bytes such as 65536, 64K or 10M",
            Kind::Duration => "a duration such as 30s or 1m30s",
            Kind::Switch => "true or false",
            Kind::Host => "an address such as 127.0.0.1 or 0.0.0.0, or localhost",
            Kind::Text | Kind::Secret => "text",
            Kind::Mode => "record-missing, record, playback, passthrough or spy",
            Kind::BodyMatch => "shape or exact",
            Kind::Names => "a regular expression",
            Kind::ProxyUrl => {
                "an address such as http://proxy.example:3128 or http://user:password@proxy.example:3128"
            }
            Kind::Upstream => "an address such as http://127.0.0.1:8000",
        }
    }

    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Kind::Port => text.parse::<u16>().is_ok(),
            Kind::Number => number(text).is_some(),
            Kind::Seed => text.is_empty() || seed(text).is_some(),
            Kind::Size => size(text).is_some(),
            Kind::Duration => duration(text).is_some(),
            Kind::Switch => switch(text).is_some(),
            Kind::Host => host(text).is_some(),
            Kind::Text | Kind::Secret => true,
            Kind::Mode => text.parse::<Mode>().is_ok(),
            Kind::BodyMatch => body_match(text).is_some(),
            Kind::Names => text.parse::<Names>().is_ok(),
            Kind::ProxyUrl => text.is_empty() || proxy(text).is_some(),
            Kind::Upstream => text.is_empty() || upstream(text).is_some(),
        }
    }
}

pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Any whole number of 64 bits. A negative one is the same seed as the positive one of the same bits.
pub(crate) fn seed(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| text.parse().ok().map(i64::cast_unsigned))
}

/// Bytes; `K`, `M` and `G` are powers of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

pub(crate) fn duration(text: &str) -> Option<Duration> {
    text.parse::<GoDuration>().ok()?.to_std()
}

pub(crate) fn body_match(text: &str) -> Option<BodyMatch> {
    match text {
        "shape" => Some(BodyMatch::Shape),
        "exact" => Some(BodyMatch::Exact),
        _ => None,
    }
}

pub(crate) fn proxy(text: &str) -> Option<UpstreamProxy> {
    text.parse().ok()
}

/// The address of a service, perhaps with a path.
pub(crate) fn upstream(text: &str) -> Option<http::Uri> {
    let url: http::Uri = text.parse().ok()?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none();
    let is_plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (is_web && is_plain).then_some(url)
}

pub(crate) fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

pub(crate) fn host(text: &str) -> Option<IpAddr> {
    if text == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_may_be_negative() {
        assert_eq!((seed("5"), seed("0")), (Some(5), Some(0)));
        assert_eq!((seed("-1"), seed("18446744073709551615")), (Some(u64::MAX), Some(u64::MAX)));
        assert_eq!((seed("-9223372036854775809"), seed("five"), seed("1.5")), (None, None, None));
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("65536", 65536), ("64K", 65536), ("1m", 1 << 20), ("2G", 2 << 30)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "K", "1.5M", "-1", "99999999999G", "1é"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
