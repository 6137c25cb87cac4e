//! The parts of credentials. No [`Secret`] is shown: it has no `Debug`, and only [`Secret::reveal`] gives its text.

use crate::credentials::repositories::Repositories;

/// The parts that a Secret of Kubernetes, a token, or an address holds.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct CredentialParts {
    pub(super) login: Option<Login>,
    pub(super) ssh: Option<SshIdentity>,
    pub(super) ca: Option<Secret>,
    pub(super) client_certificate: Option<ClientCertificate>,
    /// The repositories of other owners that may get these credentials. It is no credential by itself.
    pub(super) repositories: Vec<Repositories>,
}

impl CredentialParts {
    /// Returns whether there are no credentials.
    pub(super) fn is_empty(&self) -> bool {
        let Self { login, ssh, ca, client_certificate, repositories: _ } = self;
        login.is_none() && ssh.is_none() && ca.is_none() && client_certificate.is_none()
    }
}

/// The login of https.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Login {
    Basic { username: Secret, password: Secret },
    Bearer(Secret),
}

/// A private key, and the keys of the hosts that it is shown to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SshIdentity {
    pub(crate) key: Secret,
    pub(crate) known_hosts: Secret,
}

/// A certificate with its private key, both PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: Secret,
    pub(crate) key: Secret,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, for the one program or host that it is meant for.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}
