//! Faults of requests to services that others name.

use std::time::Duration;

use crate::error::archive::ArchiveFault;
use crate::error::egress::{EgressFault, PROXY_DENIED, RefusedAddress, lookups_full};

/// A request without a whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The address can't be requested.
    #[error("the address can't be requested")]
    Address,
    /// Nobody may name that address.
    #[error("{0}")]
    AddressRefused(RefusedAddress),
    /// The credentials are for something else, or the address is not encrypted.
    #[error("the credentials can't be sent: they are for https alone, as user, token, or certificates")]
    UnusableCredentials,
    /// The request changes something, and the address is not encrypted.
    #[error("the address is not encrypted: write https://")]
    Unencrypted,
    /// The certificates are invalid.
    #[error("the certificates among the credentials can't be used: {0}")]
    UnusableCertificates(&'static str),
    /// The host, or the proxy, denies access.
    #[error("the host refused access ({0})")]
    AccessDenied(String),
    /// The host does not prove its identity.
    #[error("the host's identity could not be verified: check its certificate ({0})")]
    NotTrusted(String),
    /// The host redirects.
    #[error("the host redirects (it answered {0}), which is not followed: write the address that it names")]
    Redirected(u16),
    /// The answer is too large.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The name of the host was not looked up, because too many lookups are under way. It says nothing about that host.
    #[error("{}", lookups_full(.0))]
    LookupsFull(String),
    /// The host, or the way to it, is down.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection to the host broke ({0})")]
    Interrupted(String),
    /// There was no answer in time.
    #[error("the host took longer than {} s and was given up", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl RequestFault {
    /// Returns a code for metrics and statuses.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address | Self::Unencrypted => "address_invalid",
            Self::AddressRefused(_) => "address_refused",
            Self::UnusableCredentials | Self::UnusableCertificates(_) => "credentials_unusable",
            Self::AccessDenied(_) => "access_denied",
            Self::NotTrusted(_) => "not_trusted",
            Self::Redirected(_) => "redirected",
            Self::TooLarge(_) => "too_large",
            Self::LookupsFull(_) => "lookups_full",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::TimedOut(_) => "timed_out",
        }
    }
}

impl From<EgressFault> for RequestFault {
    fn from(fault: EgressFault) -> Self {
        match fault {
            EgressFault::Refused(refused) => Self::AddressRefused(refused),
            EgressFault::Unreachable(reason) => Self::Unreachable(reason),
            EgressFault::LookupsFull(host) => Self::LookupsFull(host),
            EgressFault::ProxyDenied => Self::AccessDenied(PROXY_DENIED.to_owned()),
        }
    }
}

/// TLS is the same for archives and requests, and so are its faults.
impl From<ArchiveFault> for RequestFault {
    fn from(fault: ArchiveFault) -> Self {
        match fault {
            ArchiveFault::UnusableCertificates(reason) => Self::UnusableCertificates(reason),
            ArchiveFault::NotTrusted(reason) => Self::NotTrusted(reason),
            ArchiveFault::AccessDenied(reason) => Self::AccessDenied(reason),
            ArchiveFault::Unreachable(reason) => Self::Unreachable(reason),
            other => Self::Interrupted(other.to_string()),
        }
    }
}
