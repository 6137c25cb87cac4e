//! Faults of archives over HTTPS.

use std::time::Duration;

use crate::error::egress::{EgressFault, PROXY_DENIED, RefusedAddress, lookups_full};

/// A failure to get an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// This build has no HTTP client.
    #[error("archives are left out of this build: the feature `archives` of rototo-source reads them")]
    NotBuilt,
    /// The credentials are for another kind of source.
    #[error(
        "the credentials do not open it: https wants username + password, bearerToken, ca.crt, or tls.crt + tls.key"
    )]
    UnusableCredentials,
    /// The certificates are invalid.
    #[error("the certificates among the credentials can't be used: {0}")]
    UnusableCertificates(&'static str),
    /// The server denies access.
    #[error("the host refused access: check the credentials, and that they may read this archive ({0})")]
    AccessDenied(String),
    /// The server does not prove its identity.
    #[error("the host's identity could not be verified: check its certificate ({0})")]
    NotTrusted(String),
    /// The server has no such file.
    #[error("there is no such archive, or these credentials may not see it (it answered {0})")]
    NotThere(u16),
    /// The server answered with another status.
    #[error("the host answered {0}, which is not an archive")]
    Status(u16),
    /// The server redirects to an address that is not followed.
    #[error("the host redirects {0}, which is not followed: write the address of the archive itself")]
    Redirected(&'static str),
    /// The archive exceeds the limit.
    #[error("the archive is larger than {limit} bytes: pack the workspace alone")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The archive unpacks to more than the limit.
    #[error("the archive unpacks to more than {limit} bytes: pack the workspace alone")]
    UnpacksTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The archive has more entries than the limit.
    #[error("the archive has more than {limit} entries: pack the workspace alone")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// No source may have the address of the host, or of one that it redirects to.
    #[error("{0}")]
    AddressRefused(RefusedAddress),
    /// The name of the host was not looked up, because too many lookups are under way. It says nothing about that host.
    #[error("{}", lookups_full(.0))]
    LookupsFull(String),
    /// The server, or the way to it, is down.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The server failed, or the connection broke, during the transfer.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The server asks for a wait.
    #[error("the host is overloaded and asks for a later request ({0})")]
    Throttled(String),
    /// The server failed for another workspace a moment ago, and its backoff is not over.
    #[error("the host failed a moment ago, and no request is sent to it until its backoff is over")]
    LeftAlone,
    /// The request exceeded its time limit.
    #[error("the host took longer than {} s and was given up", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The archive changed between pin and fetch.
    #[error("the archive changed while it was read: the next poll reads it again")]
    Changed,
    /// The disk of this machine failed.
    #[error("the archive could not be kept while it is read: {0}")]
    NotKept(String),
    /// The server sent a page for people, such as the one at which they sign in.
    #[error("the host answered with a web page, and not with an archive: check the address and the credentials")]
    WebPage,
    /// The file is not an archive, or a broken one.
    #[error("the archive is damaged, or packed in another way than its name says: {0}")]
    Damaged(String),
    /// The archive has no manifest where a workspace may be.
    #[error(
        "there is no rototo-workspace.toml at the root of the archive or in its only directory: name the directory \
         after `#:`"
    )]
    NoWorkspace,
}

impl From<EgressFault> for ArchiveFault {
    fn from(fault: EgressFault) -> Self {
        match fault {
            EgressFault::Refused(refused) => Self::AddressRefused(refused),
            EgressFault::Unreachable(reason) => Self::Unreachable(reason),
            EgressFault::LookupsFull(host) => Self::LookupsFull(host),
            EgressFault::ProxyDenied => Self::AccessDenied(PROXY_DENIED.to_owned()),
        }
    }
}

impl ArchiveFault {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::LookupsFull(_)
            | Self::Unreachable(_)
            | Self::Interrupted(_)
            | Self::Throttled(_)
            | Self::LeftAlone
            | Self::TimedOut(_)
            | Self::Changed
            | Self::NotKept(_) => true,
            Self::NotBuilt
            | Self::UnusableCredentials
            | Self::UnusableCertificates(_)
            | Self::AccessDenied(_)
            | Self::NotTrusted(_)
            | Self::NotThere(_)
            | Self::Status(_)
            | Self::Redirected(_)
            | Self::TooLarge { .. }
            | Self::UnpacksTooLarge { .. }
            | Self::TooManyEntries { .. }
            | Self::AddressRefused(_)
            | Self::WebPage
            | Self::Damaged(_)
            | Self::NoWorkspace => false,
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotBuilt => "archives_not_built",
            Self::UnusableCredentials | Self::UnusableCertificates(_) => "credentials_unusable",
            Self::AccessDenied(_) => "access_denied",
            Self::NotTrusted(_) => "host_not_trusted",
            Self::NotThere(_) => "no_archive",
            Self::Status(_) => "unexpected_answer",
            Self::Redirected(_) => "redirected",
            Self::TooLarge { .. } => "transfer_too_large",
            Self::UnpacksTooLarge { .. } => "archive_too_large",
            Self::TooManyEntries { .. } => "archive_too_many_entries",
            Self::LookupsFull(_) => "lookups_full",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::TimedOut(_) => "http_timed_out",
            Self::Changed => "archive_changed",
            Self::NotKept(_) => "disk_failed",
            Self::AddressRefused(_) => "address_refused",
            Self::WebPage => "web_page",
            Self::Damaged(_) => "archive_damaged",
            Self::NoWorkspace => "no_workspace",
        }
    }
}
