//! The grammar of `NO_PROXY`, as kubectl and Go's `httpproxy` read it. It holds for the API server and for archives, and in
//! the operator for git hosts too; elsewhere, git reads the variable itself. Curl's rules differ: it knows no ports and no
//! `*` in an entry, and for it `.example.com` names `example.com` too.

use std::net::IpAddr;

/// A server that an entry may name.
struct Server {
    host: String,
    address: Option<IpAddr>,
    port: String,
}

/// Returns whether an entry of `no_proxy` names the server at this host, which is a name or an IP address, and this port.
///
/// `*` names every server, `10.0.0.0/8` the addresses of a network, `example.com` a host and its subdomains, and
/// `.example.com` and `*.example.com` the subdomains alone. An IP address and a host may have a port.
///
/// ```
/// use rototo_api::no_proxy;
///
/// assert!(no_proxy::names("10.0.0.0/8, .example.com", "git.example.com", 443));
/// assert!(!no_proxy::names("git.example.com:8443", "git.example.com", 443));
/// ```
#[must_use]
pub fn names(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let server = Server { host, address, port: port.to_string() };
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| is_named_by(&entry, &server))
}

fn is_named_by(entry: &str, server: &Server) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, length)) = network(entry) {
        return server.address.is_some_and(|address| is_in(address, network, length));
    }
    let (host, port) = host_and_port(entry);
    let is_host = match (host.parse::<IpAddr>(), server.address) {
        (Ok(host), Some(address)) => host.to_canonical() == address,
        (Err(_), None) => is_domain(host, &server.host),
        _ => false,
    };
    is_host && (port.is_empty() || port == server.port)
}

/// Returns the network of an entry, such as `10.0.0.0/8`, with the length of its prefix.
fn network(entry: &str) -> Option<(IpAddr, u32)> {
    let (network, length) = entry.split_once('/')?;
    Some((network.parse().ok()?, length.parse().ok()?))
}

fn is_in(address: IpAddr, network: IpAddr, length: u32) -> bool {
    let common = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits()).leading_zeros(),
        _ => return false,
    };
    common >= length
}

/// Splits `host:port` and `[address]:port`. An entry without a port has an empty one.
fn host_and_port(entry: &str) -> (&str, &str) {
    let Some((host, port)) = entry.rsplit_once(':') else { return (entry, "") };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => (host, port),
        // An IPv6 address has no port without brackets.
        None if host.contains(':') => (entry, ""),
        None => (host, port),
    }
}

fn is_domain(entry: &str, host: &str) -> bool {
    let entry = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
    let (domain, is_host_too) = entry.strip_prefix('.').map_or((entry, true), |domain| (domain, false));
    let above = host.strip_suffix(domain).filter(|_| !domain.is_empty());
    above.is_some_and(|above| above.ends_with('.') || (above.is_empty() && is_host_too))
}
