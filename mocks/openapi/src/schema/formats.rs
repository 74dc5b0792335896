//! Formats of strings: which texts have them, and what makes such texts.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Number;

/// What is known about a format.
#[derive(Debug)]
pub(crate) struct Format {
    /// The names that specifications give it.
    pub(crate) names: &'static [&'static str],
    /// A template that makes one.
    pub(crate) template: &'static str,
    /// The shortest and the longest of what the template makes, in characters.
    pub(crate) lengths: (u64, u64),
    /// An expression whose strings, cut to any length, have the format.
    pub(crate) pattern: Option<&'static str>,
    /// Whether a text has the format; `None` if that is not checked.
    pub(crate) check: Option<fn(&str) -> bool>,
}

const fn unchecked(names: &'static [&'static str], template: &'static str, lengths: (u64, u64)) -> Format {
    Format { names, template, lengths, pattern: None, check: None }
}

const DATE_TIME: &str = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\\.[0-9]{1,40})?Z$";
const TIME: &str = "^([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\\.[0-9]{1,40})?Z$";

const ALL: &[Format] = &[
    Format {
        names: &["date-time", "datetime"],
        template: "{{Time}}",
        lengths: (20, 25),
        pattern: Some(DATE_TIME),
        check: Some(is_date_time),
    },
    Format { names: &["date"], template: "{{Date}}", lengths: (10, 10), pattern: None, check: Some(is_date) },
    Format {
        names: &["time"],
        template: r#"{{TimeFormat "15:04:05Z07:00"}}"#,
        lengths: (9, 14),
        pattern: Some(TIME),
        check: Some(is_time),
    },
    Format {
        names: &["duration"],
        template: "P{{RandNumMinMax 1 30}}D",
        lengths: (3, 4),
        pattern: Some("^P[1-9][0-9]*D$"),
        check: Some(is_duration),
    },
    Format {
        names: &["email", "idn-email", "e-mail"],
        template: "{{RandEmail}}",
        lengths: (7, 64),
        pattern: Some(r"^[a-z]+@[a-z]{1,60}\.com$"),
        check: Some(is_email),
    },
    Format {
        names: &["hostname", "idn-hostname", "host"],
        template: "{{RandHost}}",
        lengths: (6, 18),
        pattern: Some("^[a-z]{1,63}$"),
        check: Some(is_hostname),
    },
    Format {
        names: &["ipv4", "ip", "ip-address"],
        template: "{{RandIP}}",
        lengths: (7, 15),
        pattern: Some(r"^[1-9]{1,2}\.[1-9]{1,2}\.[1-9]{1,2}\.[1-9]{1,2}$"),
        check: Some(|text| text.parse::<Ipv4Addr>().is_ok()),
    },
    Format {
        names: &["ipv6"],
        template: "{{RandIPv6}}",
        lengths: (12, 39),
        pattern: Some("^::[1-9a-f]{1,4}$"),
        check: Some(|text| text.parse::<Ipv6Addr>().is_ok()),
    },
    Format {
        names: &["uri", "url", "iri"],
        template: "{{RandURL}}",
        lengths: (12, 26),
        pattern: Some("^https://[a-z]{1,60}(/[a-z]+)*$"),
        check: Some(is_uri),
    },
    Format {
        names: &["uri-reference", "iri-reference", "uri-template"],
        template: "{{RandURL}}",
        lengths: (12, 26),
        pattern: Some("^[a-z/]*$"),
        check: None,
    },
    Format {
        names: &["uuid", "guid"],
        template: "{{UUID}}",
        lengths: (36, 36),
        pattern: None,
        check: Some(is_uuid),
    },
    Format {
        names: &["byte", "base64"],
        template: "{{RandBase64}}",
        lengths: (24, 24),
        pattern: Some("^([A-Za-z0-9]{4})*$"),
        check: Some(is_base64),
    },
    Format {
        names: &["base64url"],
        template: "{{RandBase64}}",
        lengths: (24, 24),
        pattern: Some("^([A-Za-z0-9]{4})*$"),
        check: None,
    },
    Format {
        names: &["json-pointer"],
        template: "/{{RandSlug}}",
        lengths: (6, 48),
        pattern: Some("^/[a-z]*$"),
        check: Some(|text| text.is_empty() || text.starts_with('/')),
    },
    unchecked(&["phone", "phone-number", "telephone"], "{{RandPhone}}", (14, 14)),
    unchecked(&["ulid"], "{{ULID}}", (26, 26)),
    unchecked(&["password"], "{{RandPassword}}", (16, 16)),
    unchecked(&["airport"], "{{RandAirport}}", (3, 3)),
    unchecked(&["country", "country-code"], "{{RandCountryCode}}", (2, 2)),
    unchecked(&["currency", "currency-code", "iso-4217"], "{{RandCurrencyCode}}", (3, 3)),
    unchecked(&["zip", "zip-code", "postal-code"], "{{RandUSPostal}}", (5, 5)),
    unchecked(&["ssn"], "{{RandSSN}}", (11, 11)),
    unchecked(&["isbn10"], "{{RandISBN10}}", (10, 10)),
    unchecked(&["isbn", "isbn13"], "{{RandISBN13}}", (13, 13)),
    unchecked(&["credit-card", "creditcard", "credit-card-number"], "{{RandCreditCard}}", (14, 19)),
    unchecked(&["semver"], "{{RandSemver}}", (5, 11)),
    unchecked(&["mac", "mac-address"], "{{RandMACAddress}}", (17, 17)),
    unchecked(&["sha256"], "{{RandSHA256}}", (64, 64)),
    unchecked(&["md5"], "{{RandMD5}}", (32, 32)),
    unchecked(&["int32", "int64", "integer"], "{{RandNumMinMax 1 10000}}", (1, 4)),
    unchecked(
        &["float", "double", "decimal", "number"],
        "{{RandNumMinMax 1 1000}}.{{RandNumMinMax 10 100}}",
        (4, 6),
    ),
];

impl Format {
    /// The format that a specification calls so. What speaks of a time is one.
    pub(crate) fn named(name: &str) -> Option<&'static Format> {
        ALL.iter().find(|format| format.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Another such expression, for lengths that the first one cannot have.
    pub(crate) fn other_pattern(&self) -> Option<&'static str> {
        let unpadded = "^([A-Za-z0-9]{2}([A-Za-z0-9]{4})*|[A-Za-z0-9]{3}([A-Za-z0-9]{4})*)$";
        self.names.contains(&"byte").then_some(unpadded)
    }

    /// Texts that have it in ways in which those that are made seldom or never do.
    pub(crate) fn examples(&self) -> &'static [&'static str] {
        match self.names.first().copied().unwrap_or_default() {
            "date-time" => &[
                "2024-01-15T10:30:00+00:00",
                "2024-01-15T10:30:00.123Z",
                "2024-01-15T10:30:00.123+00:00",
                "2025-06-30T08:15:45.678Z",
                "2031-12-01T23:59:59.999Z",
                "2024-01-15T10:30:00.123456Z",
                "2025-06-30T08:15:45.678901Z",
                "2024-01-15T10:30:00+02:00",
                "1999-12-31T23:59:59Z",
                "2024-01-15 10:30:00Z",
            ],
            "date" => &["1999-12-31", "2024-02-29", "2031-07-04", "2024-06-01"],
            "time" => &["10:30:00+00:00", "10:30:00.123Z", "10:30:00+02:00"],
            "duration" => &["PT5M", "PT1H30M", "PT1.5S", "P2W", "P1Y2M3DT4H5M6S", "P3M"],
            "uri" => &[
                "https://example.com/a?b=1#c",
                "http://example.com/",
                "urn:example:a",
                "mailto:a@example.com",
            ],
            "email" => &["a@example.com", "first.last@example.com", "user1@mail.example.org"],
            "hostname" => &["www.example.com", "a-1.example.org", "localhost"],
            "ipv4" => &["10.20.30.40", "192.168.1.1", "172.16.0.1", "127.0.0.1"],
            "ipv6" => &["2001:db8::1", "fe80::1", "::1", "fd00:1:2:3:4:5:6:7"],
            _ => &[],
        }
    }
}

/// Whether a number has no fraction, however it is written.
pub(crate) fn is_integral(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// Numbers of a fixed count of digits at the given places, separated as the mask says.
fn digits(text: &str, mask: &str) -> bool {
    text.len() == mask.len()
        && text.bytes().zip(mask.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

fn part(text: &str, from: usize, to: usize) -> u32 {
    text.get(from..to).and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

fn is_date(text: &str) -> bool {
    if !digits(text, "0000-00-00") {
        return false;
    }
    let (year, month, day) = (part(text, 0, 4), part(text, 5, 7), part(text, 8, 10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let Some(clock) = text.get(..8).filter(|clock| digits(clock, "00:00:00")) else { return false };
    let mut zone = text.get(8..).unwrap_or_default();
    if let Some(rest) = zone.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 {
            return false;
        }
        zone = rest.get(end..).unwrap_or_default();
    }
    let zone_fits = matches!(zone, "Z" | "z")
        || (zone.starts_with(['+', '-'])
            && zone
                .get(1..)
                .is_some_and(|rest| digits(rest, "00:00") && part(rest, 0, 2) < 24 && part(rest, 3, 5) < 60));
    // A minute may have a leap second.
    zone_fits && part(clock, 0, 2) < 24 && part(clock, 3, 5) < 60 && part(clock, 6, 8) <= 60
}

fn is_date_time(text: &str) -> bool {
    let (Some(date), Some(time)) = (text.get(..10), text.get(11..)) else { return false };
    is_date(date) && matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) && is_time(time)
}

fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    let parts = |text: &str, units: &str| {
        let mut left = units;
        let mut digits = 0;
        let mut count = 0;
        for c in text.chars() {
            if c.is_ascii_digit() || (digits > 0 && c == '.') {
                digits += 1;
            } else if let (true, Some(at)) = (digits > 0, left.find(c)) {
                left = left.get(at + 1..).unwrap_or_default();
                digits = 0;
                count += 1;
            } else {
                return None;
            }
        }
        (digits == 0).then_some(count)
    };
    match (parts(date, "YMWD"), time.map(|time| parts(time, "HMS"))) {
        (Some(count), None) => count > 0,
        (Some(_), Some(Some(count))) => count > 0,
        _ => false,
    }
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let quoted = name.len() > 1 && name.starts_with('"') && name.ends_with('"');
    let plain = !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && name.chars().all(|c| !c.is_whitespace() && !"()<>[]:;@\\,\"".contains(c));
    (quoted || plain) && (is_hostname(host) || (host.starts_with('[') && host.ends_with(']')))
}

fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        })
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !text.contains(|c: char| {
            c.is_whitespace() || matches!(c, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`')
        })
}

/// With padding, or without it.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let length_fits =
        if padding == 0 { digits.len() % 4 != 1 } else { padding <= 2 && text.len().is_multiple_of(4) };
    length_fits && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_formats() {
        let cases: [(&str, &[&str], &[&str]); 11] = [
            (
                "byte",
                &["", "YQ==", "YWI=", "YWJj", "YQ", "YWI", "+/+/"],
                &["Y", "YQ=", "YWJj====", "YWI==", "YW J", "-_-_", "=", "Y=Q=", "ä=="],
            ),
            ("date", &["2024-02-29", "2000-12-31"], &["2023-02-29", "2024-13-01", "2024-1-1", "x"]),
            (
                "date-time",
                &["2024-01-01T00:00:00Z", "2024-01-01t23:59:60.123+05:30", "2024-01-01 00:00:00z"],
                &["2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "é"],
            ),
            ("time", &["10:00:00Z"], &["10:00", "10:00:00+24:00"]),
            ("duration", &["P1D", "PT5M", "P1Y2M3DT4H5M6S", "P2W"], &["P", "PT", "1D", "P1H", "P1DT"]),
            ("email", &["a@b.c", "\"a b\"@x.org", "ä@x.org"], &["a", "a@", "@b", "a b@c", "a..b@c"]),
            ("hostname", &["a", "a-b.c.", "x1.org"], &["", "-a", "a..b", "a b"]),
            ("ipv4", &["1.2.3.4"], &["1.2.3", "256.1.1.1", "01.2.3.4"]),
            ("ipv6", &["::1", "2001:db8::1"], &["1.2.3.4", ":::"]),
            ("uri", &["http://a", "mailto:x@y", "urn:a:b"], &["/a", "a b:c", "1:x"]),
            (
                "uuid",
                &["00000000-0000-0000-0000-00000000000A"],
                &["0", "g0000000-0000-0000-0000-000000000000"],
            ),
        ];
        for (name, good, bad) in cases {
            let check = Format::named(name).and_then(|format| format.check).unwrap();
            good.iter().for_each(|text| assert!(check(text), "{text:?} is a {name}"));
            bad.iter().for_each(|text| assert!(!check(text), "{text:?} is no {name}"));
        }
    }
}
