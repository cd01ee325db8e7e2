//! IP addresses and networks as text: [`address`], [`Network`]. It must not know SQL.
//!
//! One writing has one meaning: what `std::net` reads is an address, and nothing around it is (blanks, brackets, a port,
//! a zone). An IPv4-mapped address (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) is the IPv4 address that it carries:
//! sensors on dual-stack sockets write the one for the other.

use std::net::IpAddr;

/// How many bits of an IPv6 address come before the IPv4 address that it maps.
const MAPPED_PREFIX: u8 = 96;

/// The address that the whole text writes; `None` for anything else.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// A network: the addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Network {
    /// The bits of its first address, and a mask with a one for every bit that counts.
    V4 { first: u32, mask: u32 },
    /// The same of IPv6; never a network of IPv4-mapped addresses alone, which is a `V4`.
    V6 { first: u128, mask: u128 },
}

impl Network {
    /// The network that a text writes as `address/prefix` (RFC 4632, RFC 4291 section 2.3), or as an address, which is a
    /// network of one. Bits after the prefix are ignored. The error is one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (address_text, prefix) = match text.split_once('/') {
            Some((address_text, prefix)) => (address_text, Some(prefix)),
            None => (text, None),
        };
        let Some(address) = address(address_text) else {
            return Err(format!("'{address_text}' is no address"));
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => prefix_length(digits)
                .filter(|length| *length <= longest)
                .ok_or_else(|| format!("'{digits}' is no prefix from 0 to {longest}"))?,
        };
        Ok(match (address, address.to_canonical()) {
            (IpAddr::V4(address), _) => Self::v4(address.to_bits(), prefix),
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= MAPPED_PREFIX => {
                Self::v4(mapped.to_bits(), prefix - MAPPED_PREFIX)
            }
            (IpAddr::V6(address), _) => Self::v6(address.to_bits(), prefix),
        })
    }

    fn v4(bits: u32, prefix: u8) -> Self {
        // A shift by the whole width is no shift at all, so that /0 needs its own answer.
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let first = bits & mask;
        Self::V4 { first, mask }
    }

    fn v6(bits: u128, prefix: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        let first = bits & mask;
        Self::V6 { first, mask }
    }

    /// Whether the address is one of the network's.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (*self, address, address.to_canonical()) {
            (Self::V4 { first, mask }, _, IpAddr::V4(address)) => address.to_bits() & mask == first,
            // As it was written: `::/0` holds `::ffff:10.0.0.1`, and no address written as IPv4.
            (Self::V6 { first, mask }, IpAddr::V6(address), _) => address.to_bits() & mask == first,
            _ => false,
        }
    }
}

fn prefix_length(digits: &str) -> Option<u8> {
    // parse takes a sign, which no prefix has; a leading zero is octal to some and a mistake to the rest.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if plain && !leading_zero {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, address};
    use proptest::prelude::*;

    fn holds(text: &str, network: &str) -> bool {
        Network::parse(network)
            .unwrap()
            .contains(address(text).unwrap())
    }

    #[test]
    fn the_bits_of_the_prefix_decide() {
        assert!(holds("10.255.255.255", "10.0.0.0/8"));
        assert!(!holds("11.0.0.0", "10.0.0.0/8"));
        assert!(holds("172.31.255.255", "172.16.0.0/12"));
        assert!(!holds("172.32.0.0", "172.16.0.0/12"));
        assert!(holds("192.168.1.127", "192.168.1.0/25"));
        assert!(!holds("192.168.1.128", "192.168.1.0/25"));
        assert!(holds("2001:db8:ffff::1", "2001:db8::/32"));
        assert!(!holds("2001:db9::", "2001:db8::/32"));
        assert!(holds("febf:ffff::1", "fe80::/10"));
        assert!(!holds("fec0::", "fe80::/10"));
    }

    #[test]
    fn all_and_one() {
        assert!(holds("255.255.255.255", "0.0.0.0/0"));
        assert!(holds("ffff::1", "::/0"));
        assert!(holds("10.0.0.1", "10.0.0.1"));
        assert!(holds("10.0.0.1", "10.0.0.1/32"));
        assert!(!holds("10.0.0.2", "10.0.0.1"));
        assert!(holds("2001:0DB8::1", "2001:db8:0::1"));
        assert!(!holds("2001:db8::2", "2001:db8::1/128"));
    }

    #[test]
    fn host_bits_are_masked() {
        assert_eq!(
            Network::parse("10.1.2.3/8"),
            Network::parse("10.0.0.0/8"),
            "IPv4"
        );
        assert_eq!(
            Network::parse("2001:db8::1/32"),
            Network::parse("2001:db8::/32"),
            "IPv6"
        );
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert!(holds("::ffff:10.0.0.1", "10.0.0.0/8"));
        assert!(holds("::ffff:a00:1", "10.0.0.1"));
        assert!(!holds("::ffff:11.0.0.1", "10.0.0.0/8"));
        assert!(holds("10.0.0.1", "::ffff:10.0.0.0/104"));
        assert!(holds("10.0.0.1", "::ffff:0:0/96"));
        assert!(holds("::ffff:10.0.0.1", "::ffff:0:0/96"));
        assert!(holds("::ffff:10.0.0.1", "::/0"), "as it was written");
        assert!(!holds("::10.0.0.1", "10.0.0.0/8"), "compatible, not mapped");
    }

    #[test]
    fn the_families_stay_apart() {
        assert!(!holds("10.0.0.1", "::/0"));
        assert!(!holds("2001:db8::1", "0.0.0.0/0"));
        assert!(!holds("::1", "0.0.0.1"));
    }

    #[test]
    fn a_bad_network_says_what_is_wrong() {
        for (text, part) in [
            ("", "'' is no address"),
            ("/8", "'' is no address"),
            ("10.0.0/8", "'10.0.0' is no address"),
            ("010.0.0.0/8", "'010.0.0.0' is no address"),
            (" 10.0.0.0/8", "' 10.0.0.0' is no address"),
            ("fe80::1%eth0/64", "'fe80::1%eth0' is no address"),
            ("[::1]/128", "'[::1]' is no address"),
            ("10.0.0.0/", "'' is no prefix from 0 to 32"),
            ("10.0.0.0/33", "'33' is no prefix from 0 to 32"),
            ("10.0.0.0/+8", "'+8' is no prefix from 0 to 32"),
            ("10.0.0.0/08", "'08' is no prefix from 0 to 32"),
            ("10.0.0.0/8/8", "'8/8' is no prefix from 0 to 32"),
            ("10.0.0.0/255.0.0.0", "'255.0.0.0' is no prefix"),
            ("::/129", "'129' is no prefix from 0 to 128"),
            ("::/٣", "'٣' is no prefix from 0 to 128"),
            ("::/256", "'256' is no prefix from 0 to 128"),
        ] {
            let error = Network::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_around_an_address_is_read() {
        for text in [
            "",
            " ",
            "10.0.0.1 ",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "fe80::1%12",
            "10.0.0.0/8",
            "10.1",
            "167772161",
            "01.2.3.4",
            "１０.0.0.1",
            "localhost",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_network_holds_its_own_address(bits: u128, word: u32, long in 0_u8..=128, short in 0_u8..=32) {
            let six = std::net::Ipv6Addr::from(bits).to_string();
            let four = std::net::Ipv4Addr::from(word).to_string();
            let networks = (format!("{six}/{long}"), format!("{four}/{short}"));
            prop_assert!(holds(&six, &networks.0));
            prop_assert!(holds(&four, &networks.1));
        }

        #[test]
        fn another_first_bit_is_another_network(word: u32, short in 1_u8..=32) {
            let four = std::net::Ipv4Addr::from(word);
            let other = std::net::Ipv4Addr::from(word ^ (1 << 31));
            let network = format!("{four}/{short}");
            prop_assert!(!holds(&other.to_string(), &network));
        }
    }
}
