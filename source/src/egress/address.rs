//! Classifies addresses: which of them no source may have. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::RefusedBecause;

/// Addresses at which clouds serve a machine's credentials and settings, and that are not link-local.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Oracle Cloud, the classic service.
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same in IPv6, as the first bits that count, and their number.
const METADATA_V6: [(Ipv6Addr, u32); 4] = [
    // Amazon: metadata at `::254`, credentials of pods at `::23`.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    // Google Cloud.
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    // Oracle Cloud.
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    // Scaleway.
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];

/// Returns the reason why no source may have the address. Private networks (RFC 1918, unique local addresses) are
/// allowed: git hosts of companies are there, and the Services of a cluster.
pub(super) fn refusal(address: IpAddr, loopback: bool) -> Option<RefusedBecause> {
    match address {
        IpAddr::V4(address) => v4(address, loopback),
        IpAddr::V6(address) => v6(address, loopback),
    }
}

fn v4(address: Ipv4Addr, loopback: bool) -> Option<RefusedBecause> {
    // The kernel takes 0.0.0.0 for the machine itself.
    let own = address.is_loopback() || address.octets()[0] == 0;
    match address {
        _ if own => (!loopback).then_some(RefusedBecause::Loopback),
        _ if address.is_link_local() => Some(RefusedBecause::LinkLocal),
        _ if METADATA_V4.contains(&address) => Some(RefusedBecause::Metadata),
        _ if address.is_multicast() || address.is_broadcast() => Some(RefusedBecause::NoHost),
        _ => None,
    }
}

fn v6(address: Ipv6Addr, loopback: bool) -> Option<RefusedBecause> {
    if address.is_loopback() || address.is_unspecified() {
        return (!loopback).then_some(RefusedBecause::Loopback);
    }
    if let Some(address) = embedded(address) {
        return v4(address, loopback);
    }
    let bits = address.to_bits();
    let within = |(network, prefix): (Ipv6Addr, u32)| (bits ^ network.to_bits()).leading_zeros() >= prefix;
    match address {
        _ if address.is_unicast_link_local() => Some(RefusedBecause::LinkLocal),
        _ if METADATA_V6.into_iter().any(within) => Some(RefusedBecause::Metadata),
        _ if address.is_multicast() => Some(RefusedBecause::NoHost),
        _ => None,
    }
}

/// Returns the address that answers in the end: the IPv4 address, if this one has it embedded.
pub(super) fn effective(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unspecified() => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

/// Returns the IPv4 address that the kernel or a gateway makes of an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        // `::ffff:a.b.c.d`, and the old `::a.b.c.d` and `::ffff:0:a.b.c.d`.
        [0, 0, 0, 0, 0 | 0xffff, 0 | 0xffff] => of(g, h),
        // NAT64: the well-known prefix, and the one for local use.
        [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, _, _, _] => of(g, h),
        // 6to4.
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: Option<RefusedBecause>) {
        for address in addresses {
            assert_eq!(refusal(address.parse().unwrap(), false), expected, "{address}");
        }
    }

    #[test]
    fn addresses_that_only_a_machine_or_its_cloud_answers_at_are_refused_in_each_form() {
        let loopback =
            ["127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1"];
        check(&loopback, Some(RefusedBecause::Loopback));
        check(&["64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::"], Some(RefusedBecause::Loopback));
        for address in loopback {
            assert_eq!(refusal(address.parse().unwrap(), true), None, "{address}");
        }
        let link_local = ["169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "febf::1", "fe80::a9fe:a9fe"];
        check(&link_local, Some(RefusedBecause::LinkLocal));
        check(&["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"], Some(RefusedBecause::LinkLocal));
        let metadata = ["168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23"];
        check(&metadata, Some(RefusedBecause::Metadata));
        check(&["fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"], Some(RefusedBecause::Metadata));
        check(&["224.0.0.1", "255.255.255.255", "ff02::1"], Some(RefusedBecause::NoHost));
    }

    #[test]
    fn public_and_private_networks_are_allowed() {
        check(&["10.96.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "140.82.121.3", "168.63.129.17"], None);
        check(&["fd00::1", "fd00:ec3::254", "2606:50c0:8000::153", "64:ff9b::a60:1", "::ffff:10.0.0.1"], None);
    }
}
