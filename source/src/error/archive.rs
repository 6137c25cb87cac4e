//! Why an archive over HTTPS could not be had.

use std::time::Duration;

/// Why an archive could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// This build has no HTTP client.
    #[error("archives are left out of this build: the feature `archives` of rototo-source reads them")]
    NotBuilt,
    /// Credentials for something else.
    #[error(
        "the credentials do not open it: https wants username + password, bearerToken, ca.crt, or tls.crt + tls.key"
    )]
    UnusableCredentials,
    /// Certificates that are none.
    #[error("the certificates among the credentials can't be used: {0}")]
    UnusableCertificates(String),
    /// The server does not let us in.
    #[error("the host refused access: check the credentials, and that they may read this archive ({0})")]
    AccessDenied(String),
    /// The server does not prove who it is.
    #[error("the host's identity could not be verified: check its certificate ({0})")]
    NotTrusted(String),
    /// There is no such file.
    #[error("there is no such archive, or these credentials may not see it (it answered {0})")]
    NotThere(u16),
    /// An answer that means nothing to us.
    #[error("the host answered {0}, which is not an archive")]
    Status(u16),
    /// The server points to where we don't go.
    #[error("the host redirects {0}, which is not followed: write the address of the archive itself")]
    Redirected(&'static str),
    /// More than allowed.
    #[error("the archive is larger than {limit} bytes: pack the workspace alone")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The server is not there, or the way to it isn't.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The server failed, or the connection did, in the middle.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The server wants to be left alone.
    #[error("the host has too much to do and wants to be asked later ({0})")]
    Throttled(String),
    /// The server failed for another workspace a moment ago.
    #[error("the host failed a moment ago, and is left alone for a while")]
    LeftAlone,
    /// It took too long.
    #[error("the host took longer than {} s and was given up", .0.as_secs_f32())]
    TimedOut(Duration),
    /// It is another one by now.
    #[error("the archive has changed meanwhile: it heals itself once it is looked up again")]
    Changed,
    /// The disk of this machine failed.
    #[error("the archive could not be kept while it is read: {0}")]
    NotKept(String),
    /// No archive, or a broken one.
    #[error("the archive is damaged, or packed in another way than its name says: {0}")]
    Damaged(String),
    /// No manifest where one could be.
    #[error(
        "there is no rototo-workspace.toml at the root of the archive or in its only directory: name the directory \
         after `#:`"
    )]
    NoWorkspace,
}

impl ArchiveFault {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
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
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::TimedOut(_) => "http_timed_out",
            Self::Changed => "archive_changed",
            Self::NotKept(_) => "disk_failed",
            Self::Damaged(_) => "archive_damaged",
            Self::NoWorkspace => "no_workspace",
        }
    }
}
