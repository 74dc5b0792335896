//! Which addresses may be connected to on behalf of somebody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Keeps requests away from what only this machine or its network can reach. What counts is the address that is
/// connected to, whatever its name was resolved to before.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    all: bool,
    allowed: Vec<Allowed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// A host by its name, whatever its address.
    Name(String),
    Network(IpAddr, u8),
}

/// Neither a host name, nor an address, nor a network such as `10.1.0.0/16`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:?} is neither a host name, nor an address, nor a network such as 10.1.0.0/16")]
pub struct BadRule(String);

impl AddressGuard {
    /// Lets everything pass.
    #[must_use]
    pub fn open() -> Self {
        AddressGuard { all: true, allowed: Vec::new() }
    }

    /// Lets pass what is public: no loopback, private, link-local or reserved address.
    #[must_use]
    pub fn public_only() -> Self {
        AddressGuard::default()
    }

    /// Lets these pass, too: host names, addresses, networks.
    ///
    /// ```
    /// use api_mock_recorder::AddressGuard;
    /// let guard = AddressGuard::public_only().allow(["api.test", "127.0.0.1", "10.1.0.0/16"])?;
    /// assert!(guard.permits("x", [10, 1, 2, 3].into()) && !guard.permits("x", [10, 2, 0, 1].into()));
    /// assert!(guard.permits("API.test", [192, 168, 0, 1].into()));
    /// # Ok::<(), api_mock_recorder::BadRule>(())
    /// ```
    ///
    /// # Errors
    /// One is none of these.
    pub fn allow<'r>(mut self, rules: impl IntoIterator<Item = &'r str>) -> Result<Self, BadRule> {
        for rule in rules {
            self.allowed.push(rule.parse()?);
        }
        Ok(self)
    }

    /// Whether a connection for `host` may be made to `address`.
    #[must_use]
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.all || is_public(address) || self.allowed.iter().any(|allowed| allowed.covers(host, address))
    }
}

impl FromStr for Allowed {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let text = text.trim();
        let bad = || BadRule(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        if let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(most);
            return if bits <= most { Ok(Allowed::Network(address, bits)) } else { Err(bad()) };
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || !text.chars().all(is_name) {
            return Err(bad());
        }
        Ok(Allowed::Name(text.to_ascii_lowercase()))
    }
}

impl Allowed {
    fn covers(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Allowed::Name(name) => host.eq_ignore_ascii_case(name),
            Allowed::Network(network, bits) => match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                    network.to_bits() & mask == address.to_bits() & mask
                }
                _ => false,
            },
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., ..)
    );
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Addresses of IPv4 in other clothes: NAT64, 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Documentation, Teredo.
        [0x2001, 0xdb8 | 0, ..] => false,
        // What is not given out to anybody is not public.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l03_what_only_this_machine_or_network_reaches_is_refused() {
        let guard = AddressGuard::public_only();
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "fec0::1",
        ] {
            assert!(!guard.permits("x", bad.parse().unwrap()), "{bad}");
        }
        for good in
            ["1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"]
        {
            assert!(guard.permits("x", good.parse().unwrap()), "{good}");
        }
        assert!(AddressGuard::open().permits("x", Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn rules_are_names_addresses_and_networks() {
        let guard =
            AddressGuard::public_only().allow(["localhost", "::1", "10.0.0.0/8", "0.0.0.0/0"]).unwrap();
        assert!(guard.permits("x", "::1".parse().unwrap()) && guard.permits("x", [127, 0, 0, 1].into()));
        for bad in ["", "a b", "1.2.3.4/33", "x/8", "http://a", "::1/129"] {
            assert!(AddressGuard::public_only().allow([bad]).is_err(), "{bad}");
        }
    }
}
