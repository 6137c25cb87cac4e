//! Faults of addresses that a reader does not connect to.

use std::fmt;

/// A host that sources may not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAddress {
    /// The host, as it is written in the source or in a redirect.
    pub host: String,
    /// The reason.
    pub reason: RefusedBecause,
}

/// The reason why no source may have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBecause {
    /// The machine itself.
    Loopback,
    /// An address of the local link, where clouds serve credentials.
    LinkLocal,
    /// Another address at which a cloud serves credentials.
    Metadata,
    /// The API server of the cluster.
    ApiServer,
    /// An address of no single host: multicast, or broadcast.
    NoHost,
    /// A number that programs read as an address in different ways.
    Number,
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.reason {
            RefusedBecause::Loopback => write!(
                f,
                "`{host}` is this machine itself (loopback), and no source: an operator reads it only with \
                 --allow-loopback-sources"
            ),
            RefusedBecause::LinkLocal => write!(f, "`{host}` is a link-local address, and no source may name one"),
            RefusedBecause::Metadata => {
                write!(f, "`{host}` is the metadata service of a cloud, and no source may name it")
            }
            RefusedBecause::ApiServer => {
                write!(f, "`{host}` is the API server of the cluster, and no source may name it")
            }
            RefusedBecause::NoHost => write!(f, "`{host}` is a multicast or broadcast address, and no host"),
            RefusedBecause::Number => {
                write!(f, "`{host}` is a number and no name: write an address as four decimal numbers, 192.0.2.1")
            }
        }
    }
}

/// A failure to connect.
#[cfg_attr(not(feature = "archives"), expect(dead_code, reason = "only a build with archives connects by itself"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EgressFault {
    /// No source may reach this host.
    Refused(RefusedAddress),
    /// The host, or the proxy, does not answer.
    Unreachable(String),
    /// The name of the host was not looked up, because too many lookups are under way.
    LookupsFull(String),
    /// The proxy refuses this machine.
    ProxyDenied,
}

/// The reason of [`EgressFault::ProxyDenied`], in words.
pub(super) const PROXY_DENIED: &str = "the proxy asks for a login: put it into the address of the proxy";

/// The reason of [`EgressFault::LookupsFull`], in words.
pub(super) fn lookups_full(host: &str) -> String {
    format!(
        "the name `{host}` was not looked up, because too many lookups are under way that do not end; it is tried again. If \
         this namespace names other hosts, check whether their name servers answer"
    )
}

impl From<RefusedAddress> for EgressFault {
    fn from(refused: RefusedAddress) -> Self {
        Self::Refused(refused)
    }
}
