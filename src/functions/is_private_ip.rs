//! `is_private_ip(ip)`: whether an address is one of an organisation's own. It must not know any particular network.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, BooleanArray, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::network::address;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "is_private_ip",
    argument: "ip",
    syntax: "is_private_ip(ip)",
    return_type: || DataType::Boolean,
    partial: true,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "Whether the address is never routed on the internet because it is private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16: RFC 1918), loopback (127.0.0.0/8: RFC 1122; ::1: RFC 4291), link-local (169.254.0.0/16: RFC 3927; fe80::/10: RFC 4291), unique local (fc00::/7: RFC 4193), shared by carriers (100.64.0.0/10: RFC 6598), or one of these IPv4 addresses mapped into IPv6 (::ffff:0:0/96: RFC 4291). Every other address is false, among them multicast, broadcast, documentation and unspecified ones. NULL when the text is no address (a port, a zone, brackets or blanks make it none), and for NULL.",
            syntax: "is_private_ip(ip)",
            example: "SELECT is_private_ip('172.31.0.1');  -- true",
            arguments: &[("ip", "The address alone.")],
        }
        .build()
    }),
};

fn evaluate(texts: &StringViewArray) -> ArrayRef {
    Arc::new(
        texts
            .iter()
            .map(|text| Some(is_private(address(text?)?)))
            .collect::<BooleanArray>(),
    )
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second);
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
    }
}

/// The function: Boolean, NULL where the text is no address.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::is_private;

    /// The first and the last address of every range, and their neighbours outside.
    #[test]
    fn the_ranges_end_where_the_documents_say() {
        for (first, last) in [
            ("10.0.0.0", "10.255.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("::1", "::1"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:10.0.0.0", "::ffff:10.255.255.255"),
            ("::ffff:100.64.0.0", "::ffff:100.127.255.255"),
            ("::ffff:127.0.0.0", "::ffff:127.255.255.255"),
        ] {
            assert!(is_private(first.parse().unwrap()), "{first}");
            assert!(is_private(last.parse().unwrap()), "{last}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "::2",
            "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fec0::",
            "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe00::",
            "::ffff:11.0.0.0",
            "::10.0.0.1",
        ] {
            assert!(!is_private(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn special_is_not_private() {
        for text in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "ff02::1",
            "2001:db8::1",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }
}
