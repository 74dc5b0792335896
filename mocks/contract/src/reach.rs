//! Which addresses may be asked.

use std::net::IpAddr;

/// Which addresses a run may ask. A name is looked up once; what was looked at is what is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All: for who could ask them anyway.
    #[default]
    Everything,
    /// Public ones and this machine, but neither private networks nor the addresses where clouds keep credentials.
    PublicAndLoopback,
    /// As before, and private networks too.
    PublicAndPrivate,
}

impl Reach {
    /// Whether an address may be asked.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Reach::Everything => true,
            Reach::PublicAndLoopback => {
                address.is_loopback() || !is_private(address) && !is_never_a_service(address)
            }
            Reach::PublicAndPrivate => !is_never_a_service(address),
        }
    }

    pub(crate) fn rule(self) -> &'static str {
        match self {
            Reach::Everything => "all may be",
            Reach::PublicAndLoopback => "this machine and public addresses may be, private networks may not",
            Reach::PublicAndPrivate => "link-local, multicast and unspecified addresses may not",
        }
    }
}

/// Networks of a house or a company.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private() || (a == 100 && (64..128).contains(&b)) || (a == 198 && (b & 0xfe) == 18)
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// Addresses that no service to be tested has.
fn is_never_a_service(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                // Where Amazon keeps the credentials of machines.
                || address.segments()[..3] == [0xfd00, 0x0ec2, 0]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l03_credentials_of_clouds_and_private_networks_are_out_of_reach() {
        let allows = |reach: Reach, text: &str| reach.allows(text.parse().unwrap());
        for refused in [
            "169.254.169.254",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "fe80::1",
            "fd00:ec2::254",
            "::",
            "::ffff:10.0.0.1",
            "224.0.0.1",
        ] {
            assert!(!allows(Reach::PublicAndLoopback, refused), "{refused}");
        }
        for allowed in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "93.184.216.34", "2606:2800::1"] {
            assert!(allows(Reach::PublicAndLoopback, allowed), "{allowed}");
        }
        assert!(allows(Reach::PublicAndPrivate, "10.0.0.1"));
        assert!(!allows(Reach::PublicAndPrivate, "169.254.169.254"));
        assert!(!allows(Reach::PublicAndPrivate, "fd00:ec2::254"));
    }
}
