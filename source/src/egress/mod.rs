//! Decides which addresses a reader connects to, and connects.
//!
//! The author of a source chooses a name, and the name's owner chooses its addresses, at each lookup anew. So a name is
//! looked up once, each of its addresses is checked, and the connection goes to a checked one: archives connect here,
//! git through a proxy of this module ([`tunnel`]), and ssh gets the checked address.

mod address;
mod git;
mod lookups;
mod route;
mod tunnel;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

pub(crate) use crate::egress::git::GitWay;
use crate::egress::lookups::LOOKUPS;
pub(crate) use crate::egress::route::{Connection, Routes};
use crate::error::{EgressFault, RefusedAddress, RefusedBecause};

/// A lookup of the addresses of a host. It may block.
pub type Lookup = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The addresses that a reader connects to. It concerns sources that the author of a workspace names, their redirects,
/// and their layers; a proxy of the configuration may be anywhere.
#[derive(Clone, Debug, Default)]
pub enum Egress {
    /// Any address, as for a person's own program.
    #[default]
    Anything,
    /// Public and private networks, and nothing that answers only to this machine: for a program that reads sources
    /// which others name. Only a build with the feature `archives` has it.
    Checked(EgressRules),
}

/// The addresses that are refused. Link-local addresses, and those of the metadata services of clouds, always are.
#[derive(Clone, Debug)]
pub struct EgressRules {
    /// Allows the machine itself.
    pub loopback: bool,
    /// Further hosts that are refused at this port, by address or name, as the API server of a cluster.
    pub denied: Vec<(String, u16)>,
    /// The lookup of names.
    pub lookup: Lookup,
}

impl Default for EgressRules {
    fn default() -> Self {
        Self { loopback: false, denied: Vec::new(), lookup: system_lookup }
    }
}

fn system_lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

impl Egress {
    /// Returns the rules, if there are any.
    pub(crate) fn rules(&self) -> Option<&EgressRules> {
        match self {
            Self::Anything => None,
            Self::Checked(rules) => Some(rules),
        }
    }

    /// Returns whether some addresses are refused.
    pub(crate) fn restricts(&self) -> bool {
        self.rules().is_some()
    }

    /// Looks a host up, and checks each of its addresses.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressFault> {
        let Some(rules) = self.rules() else { return lookup(system_lookup, host, port).await };
        rules.check_name(host, port)?;
        let addresses = lookup(rules.lookup, host, port).await?;
        let denied = rules.denied_addresses(port).await?;
        for address in &addresses {
            let refused = address::refusal(address.ip(), rules.loopback);
            let refused =
                refused.or_else(|| denied.contains(&canonical(*address)).then_some(RefusedBecause::ApiServer));
            if let Some(reason) = refused {
                return Err(RefusedAddress { host: host.to_owned(), reason }.into());
            }
        }
        Ok(addresses)
    }
}

impl EgressRules {
    /// Checks what can be known of a host without a lookup. It is all that can be, where a proxy does the lookup.
    pub(crate) fn check_name(&self, host: &str, port: u16) -> Result<(), RefusedAddress> {
        let refused = |reason| RefusedAddress { host: host.to_owned(), reason };
        let name = host.trim_end_matches('.');
        let same = |(denied, at): &(String, u16)| *at == port && is_same_host(denied, name);
        if self.denied.iter().any(same) {
            return Err(refused(RefusedBecause::ApiServer));
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return address::refusal(address, self.loopback).map_or(Ok(()), |reason| Err(refused(reason)));
        }
        let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if last == "localhost" && !self.loopback {
            return Err(refused(RefusedBecause::Loopback));
        }
        // 127.1, 2130706433, 0x7f.1: libraries take them for addresses, each in its own way.
        let digits = last.strip_prefix("0x").unwrap_or(&last);
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || (digits.len() < last.len() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_number && !last.is_empty() { Err(refused(RefusedBecause::Number)) } else { Ok(()) }
    }

    /// Returns the addresses that are denied at `port`. A name without addresses is refused by its name alone. One that was not
    /// looked up may have some.
    async fn denied_addresses(&self, port: u16) -> Result<Vec<SocketAddr>, EgressFault> {
        let mut addresses = Vec::new();
        for (host, _) in self.denied.iter().filter(|(_, at)| *at == port) {
            let host = host.trim_matches(['[', ']']);
            match lookup(self.lookup, host, port).await {
                Ok(found) => addresses.extend(found.into_iter().map(canonical)),
                Err(fault @ EgressFault::LookupsFull(_)) => return Err(fault),
                Err(_) => {}
            }
        }
        Ok(addresses)
    }
}

/// Returns the one form of an address that has several: IPv4, if it is one in IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address::effective(address.ip()), address.port())
}

/// Returns whether two texts are the same name or the same address.
fn is_same_host(one: &str, other: &str) -> bool {
    let address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(address::effective);
    let name = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
    match (address(one), address(other)) {
        (None, None) => name(one) == name(other),
        (one, other) => one == other,
    }
}

async fn lookup(lookup: Lookup, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressFault> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    LOOKUPS.run(lookup, host, port).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_that_mean_the_machine_are_refused_without_a_lookup() {
        let rules = EgressRules { denied: vec![("API.example.com".to_owned(), 443)], ..EgressRules::default() };
        for (host, expected) in [
            ("localhost", Some(RefusedBecause::Loopback)),
            ("LocalHost.", Some(RefusedBecause::Loopback)),
            ("a.localhost", Some(RefusedBecause::Loopback)),
            ("127.0.0.1", Some(RefusedBecause::Loopback)),
            ("::ffff:127.0.0.1", Some(RefusedBecause::Loopback)),
            ("169.254.169.254", Some(RefusedBecause::LinkLocal)),
            ("2130706433", Some(RefusedBecause::Number)),
            ("0x7f000001", Some(RefusedBecause::Number)),
            ("017700000001", Some(RefusedBecause::Number)),
            ("127.1", Some(RefusedBecause::Number)),
            ("0x7f.0.0.0x1", Some(RefusedBecause::Number)),
            ("api.example.com.", Some(RefusedBecause::ApiServer)),
            ("git.example.com", None),
            ("10.0.0.1", None),
            ("git", None),
            ("0xample.com", None),
        ] {
            assert_eq!(rules.check_name(host, 443).err().map(|refused| refused.reason), expected, "{host}");
        }
        assert!(rules.check_name("api.example.com", 8443).is_ok(), "another port is another service");
    }

    #[tokio::test]
    async fn each_address_of_a_name_is_checked() {
        fn mixed(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::new([192, 0, 2, 1].into(), port), SocketAddr::new([169, 254, 169, 254].into(), port)])
        }
        let rules = EgressRules { lookup: mixed, ..EgressRules::default() };
        let refused = rules_of(rules).addresses("git.example.com", 443).await.unwrap_err();
        assert!(matches!(refused, EgressFault::Refused(refused) if refused.reason == RefusedBecause::LinkLocal));
    }

    #[tokio::test]
    async fn a_denied_host_is_denied_under_each_of_its_names() {
        fn same(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::new("::ffff:10.96.0.1".parse::<IpAddr>().unwrap(), port)])
        }
        let denied = vec![("10.96.0.1".to_owned(), 443)];
        let egress = rules_of(EgressRules { denied, lookup: same, ..EgressRules::default() });
        let refused = egress.addresses("rebound.example.com", 443).await.unwrap_err();
        assert!(matches!(refused, EgressFault::Refused(refused) if refused.reason == RefusedBecause::ApiServer));
        assert!(egress.addresses("rebound.example.com", 8443).await.is_ok());
        // The forms that a gateway or a proxy makes the same address of.
        for host in ["64:ff9b::a60:1", "2002:a60:1::", "::ffff:10.96.0.1", "10.96.0.1"] {
            let refused = egress.addresses(host, 443).await.unwrap_err();
            assert!(matches!(refused, EgressFault::Refused(refused) if refused.reason == RefusedBecause::ApiServer));
        }
    }

    #[test]
    fn a_denied_address_is_compared_as_an_address() {
        let denied = ["10.96.0.1", "fd00:0:0::1", "[fd00::2]", "api.example.com."].map(|host| (host.to_owned(), 443));
        let rules = EgressRules { denied: denied.into(), ..EgressRules::default() };
        for host in [
            "64:ff9b::10.96.0.1",
            "2002:a60:1::1",
            "::ffff:10.96.0.1",
            "fd00::1",
            "FD00::0:1",
            "fd00::2",
            "api.example.com",
        ] {
            let refused = rules.check_name(host, 443).map_err(|refused| refused.reason);
            assert_eq!(refused, Err(RefusedBecause::ApiServer), "{host}");
        }
        assert!(rules.check_name("64:ff9b::10.96.0.2", 443).is_ok());
    }

    fn rules_of(rules: EgressRules) -> Egress {
        Egress::Checked(rules)
    }
}
