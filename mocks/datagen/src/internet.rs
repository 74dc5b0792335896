//! Names, addresses and numbers of the internet; also colours, currencies, files.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::words::{CURRENCIES, FILE_EXTENSIONS, HTTP_STATUSES, MIME_TYPES};
use crate::{Rng, person, text};

const ENDINGS: [&str; 6] = ["com", "org", "net", "io", "gov", "edu"];

/// A host name, `ipsum.org`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::host(&mut Rng::seeded(0)).split('.').count(), 2);
/// ```
pub fn host(rng: &mut Rng) -> String {
    let name = text::word_between(rng, 4, 11);
    format!("{name}.{}", rng.pick(&ENDINGS).copied().unwrap_or("com"))
}

/// An e-mail address in small letters, `ada.ipsum@dolor.org`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::email(&mut Rng::seeded(0)).matches('@').count(), 1);
/// ```
pub fn email(rng: &mut Rng) -> String {
    let name = person::first_name(rng).to_ascii_lowercase();
    format!("{name}.{}@{}", text::word_between(rng, 3, 9), host(rng))
}

/// The address of a site: `http`, `https` or `ftp`, and a host.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::url(&mut Rng::seeded(0)).contains("://"));
/// ```
pub fn url(rng: &mut Rng) -> String {
    let scheme = rng.pick(&["https", "http", "ftp"]).copied().unwrap_or("https");
    format!("{scheme}://{}", host(rng))
}

/// An address of IP version 4, not of a private, loopback or multicast network.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(!internet::ip(&mut Rng::seeded(0)).is_private());
/// ```
#[allow(clippy::cast_possible_truncation)]
pub fn ip(rng: &mut Rng) -> Ipv4Addr {
    loop {
        let address = Ipv4Addr::from_bits((rng.next_u64() >> 32) as u32);
        let [first, .., last] = address.octets();
        let usable = (1..224).contains(&first) && first != 127 && (1..255).contains(&last);
        if usable && !address.is_private() && !address.is_link_local() {
            return address;
        }
    }
}

/// An address of IP version 6 out of `2001:db8::/32`, which is kept for examples.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::ipv6(&mut Rng::seeded(0)).to_string().starts_with("2001:db8:"));
/// ```
pub fn ipv6(rng: &mut Rng) -> Ipv6Addr {
    let chance = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | chance >> 32)
}

/// A hardware address of the locally administered sort, `02:1b:…`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::mac_address(&mut Rng::seeded(0)).len(), 17);
/// ```
pub fn mac_address(rng: &mut Rng) -> String {
    let [first, rest @ .., _, _] = rng.next_u64().to_le_bytes();
    let mut text = format!("{:02x}", first & 0xfc | 0x02);
    rest.iter().for_each(|byte| text.push_str(&format!(":{byte:02x}")));
    text
}

/// A port that needs no privilege: 1024 to 65535.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::port(&mut Rng::seeded(0)) >= 1024);
/// ```
pub fn port(rng: &mut Rng) -> u16 {
    u16::try_from(rng.between(1024, 65_536)).unwrap_or(1024)
}

/// A media type, `application/json`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::mime_type(&mut Rng::seeded(0)).contains('/'));
/// ```
pub fn mime_type(rng: &mut Rng) -> &'static str {
    MIME_TYPES.pick(rng)
}

/// A status of an HTTP response that ends a request.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!((200..600).contains(&internet::http_status(&mut Rng::seeded(0))));
/// ```
pub fn http_status(rng: &mut Rng) -> u16 {
    HTTP_STATUSES.pick(rng).parse().unwrap_or(200)
}

/// A version, `3.14.2`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::semver(&mut Rng::seeded(0)).split('.').count(), 3);
/// ```
pub fn semver(rng: &mut Rng) -> String {
    format!("{}.{}.{}", rng.between(0, 10), rng.between(0, 30), rng.between(0, 50))
}

/// The ending of a file name, without the point.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(!internet::file_extension(&mut Rng::seeded(0)).contains('.'));
/// ```
pub fn file_extension(rng: &mut Rng) -> &'static str {
    FILE_EXTENSIONS.pick(rng)
}

/// A file name.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::filename(&mut Rng::seeded(0)).contains('.'));
/// ```
pub fn filename(rng: &mut Rng) -> String {
    format!("{}.{}", text::word_between(rng, 4, 11), file_extension(rng))
}

/// A currency in ISO 4217.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::currency_code(&mut Rng::seeded(0)).len(), 3);
/// ```
pub fn currency_code(rng: &mut Rng) -> &'static str {
    CURRENCIES.pick(rng)
}

/// A colour, `#1e90ff`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert_eq!(internet::hex_color(&mut Rng::seeded(0)).len(), 7);
/// ```
pub fn hex_color(rng: &mut Rng) -> String {
    format!("#{:06x}", rng.below(1 << 24))
}

/// A colour, `rgb(30, 144, 255)`.
///
/// ```
/// use api_mock_datagen::{Rng, internet};
/// assert!(internet::rgb_color(&mut Rng::seeded(0)).starts_with("rgb("));
/// ```
pub fn rgb_color(rng: &mut Rng) -> String {
    format!("rgb({}, {}, {})", rng.below(256), rng.below(256), rng.below(256))
}
