//! Credentials for a source: a value that comes with each request, and never shows a secret.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use rototo_source::{Access, Credentials};
//!
//! let secret = BTreeMap::from([("bearerToken".to_owned(), b"s3cr3t".to_vec())]);
//! let credentials = Credentials::from_keys(&secret).unwrap();
//! assert_eq!(format!("{credentials:?}"), "Credentials { bearer token }");
//! let access = Access::new("git+https://git.example.com/config.git#main".parse().unwrap(), credentials);
//! ```

mod keys;
mod parts;
mod repositories;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rototo_engine::Digest;

use crate::spec::{RemoteUrl, Scheme, Source};

pub use crate::credentials::keys::InvalidCredentials;
use crate::credentials::parts::CredentialParts;
pub(crate) use crate::credentials::parts::{ClientCertificate, Login, Secret, SshIdentity};

/// A source together with its credentials. A [`Source`] alone is opened with the user's own git and ssh settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    source: Source,
    credentials: Credentials,
    reads_tests: bool,
}

impl Access {
    /// Combines `source` with `credentials`.
    #[must_use]
    pub fn new(source: Source, credentials: Credentials) -> Self {
        Self { source, credentials, reads_tests: false }
    }

    /// Reads the [tests](rototo_engine::Tree::tests) of the workspace too. Those of its layers are never read.
    #[must_use]
    pub fn with_tests(self) -> Self {
        Self { reads_tests: true, ..self }
    }

    /// Returns whether the tests of the workspace are read too.
    #[must_use]
    pub fn reads_tests(&self) -> bool {
        self.reads_tests
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

impl From<Source> for Access {
    fn from(source: Source) -> Self {
        Self::new(source, Credentials::default())
    }
}

impl From<&Source> for Access {
    fn from(source: &Source) -> Self {
        source.clone().into()
    }
}

impl From<&Self> for Access {
    fn from(access: &Self) -> Self {
        access.clone()
    }
}

/// User and password, a token, a key, or certificates, in any combination that [`Self::from_keys`] accepts. The default
/// is empty, which leaves everything to the user's own git and ssh settings.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials(Arc<CredentialParts>);

impl Credentials {
    /// Reads the keys of a Kubernetes Secret: `username` + `password`, `bearerToken`, `identity` + `known_hosts`,
    /// `ca.crt`, `tls.crt` + `tls.key`, and with these `repositories`, which names the repositories of other owners that a
    /// workspace may extend with these credentials. Ignores other keys.
    pub fn from_keys(keys: &BTreeMap<String, Vec<u8>>) -> Result<Self, InvalidCredentials> {
        keys::read(keys).map(|parts| Self(Arc::new(parts)))
    }

    /// Makes credentials of a token, which is sent as `Authorization: Bearer`.
    pub fn bearer(token: &str) -> Result<Self, InvalidCredentials> {
        Self::from_keys(&BTreeMap::from([("bearerToken".to_owned(), token.as_bytes().to_vec())]))
    }

    /// Returns whether there are no credentials, so that the user's own settings apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether any of the credentials are for https.
    pub(crate) fn opens_https(&self) -> bool {
        self.0.login.is_some() || self.0.ca.is_some() || self.0.client_certificate.is_some()
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.0.login.as_ref()
    }

    pub(crate) fn ssh(&self) -> Option<&SshIdentity> {
        self.0.ssh.as_ref()
    }

    pub(crate) fn ca(&self) -> Option<&Secret> {
        self.0.ca.as_ref()
    }

    pub(crate) fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.0.client_certificate.as_ref()
    }

    /// Returns the credentials for a parent of the workspace at `child`. The author of a manifest names parents, and must
    /// not reach by it what only these credentials open: they are for the same repository and its owner, and for the
    /// repositories that they name themselves. Other parents on the same host get the certificate authority, which is no
    /// secret, and parents elsewhere get nothing.
    pub(crate) fn for_parent(&self, child: &Source, parent: &Source) -> Self {
        let (Some(child), Some(parent)) = (child.url(), parent.url()) else { return Self::default() };
        if repositories::is_of_the_same_owner(child, parent) || self.0.repositories.iter().any(|own| own.hold(parent)) {
            return self.clone();
        }
        if child.place() != parent.place() {
            return Self::default();
        }
        if parent.scheme() == Scheme::Ssh {
            return Self::default();
        }
        Self(Arc::new(CredentialParts { ca: self.0.ca.clone(), ..CredentialParts::default() }))
    }

    /// Returns these credentials with the login in the address itself, which takes precedence.
    pub(crate) fn for_address(&self, url: &RemoteUrl) -> Self {
        let Some((username, password)) = url.login() else { return self.clone() };
        let login = Login::Basic { username: Secret::new(username), password: Secret::new(password) };
        Self(Arc::new(CredentialParts { login: Some(login), ..(*self.0).clone() }))
    }

    /// Returns scheme, host, and port of `url`, and the digest of these credentials there; `None` for credentials that do not
    /// say who asks.
    pub(crate) fn host_key(&self, url: &RemoteUrl) -> (String, Option<Digest>) {
        let own = self.for_address(url);
        let parts = &*own.0;
        let name_somebody = parts.login.is_some() || parts.ssh.is_some() || parts.client_certificate.is_some();
        (url.place(), name_somebody.then(|| own.digest()))
    }

    /// Returns a digest that only equal credentials have. It keeps the caches of different credentials apart.
    pub(crate) fn digest(&self) -> Digest {
        let tagged = self.parts().map(|(kind, secret)| format!("{kind}:{}:{}", secret.reveal().len(), secret.reveal()));
        Digest::of(tagged.collect::<String>().as_bytes())
    }

    /// Returns the secrets, to be removed from the output of other programs. A short user name is not one of them:
    /// replacing it everywhere would leave nothing to read.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = |(kind, secret): &(&str, &Secret)| *kind != "username" || secret.reveal().len() > 8;
        self.parts().filter(secret).map(|(_, secret)| secret.reveal())
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        let parts = &*self.0;
        let login = match &parts.login {
            Some(Login::Basic { username, password }) => [Some(("username", username)), Some(("password", password))],
            Some(Login::Bearer(token)) => [Some(("bearer", token)), None],
            None => [None, None],
        };
        let ssh = parts.ssh.iter().flat_map(|ssh| [("identity", &ssh.key), ("known_hosts", &ssh.known_hosts)]);
        let certificate = parts.client_certificate.iter();
        let certificate = certificate.flat_map(|pair| [("certificate", &pair.certificate), ("key", &pair.key)]);
        login.into_iter().flatten().chain(ssh).chain(parts.ca.iter().map(|ca| ("ca", ca))).chain(certificate)
    }
}

/// Shows the kinds of credentials, and nothing of their values.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        let login = parts.login.as_ref().map(|login| match login {
            Login::Basic { .. } => "user and password",
            Login::Bearer(_) => "bearer token",
        });
        let kinds = [
            login,
            parts.ssh.as_ref().map(|_| "ssh identity"),
            parts.ca.as_ref().map(|_| "certificate authority"),
            parts.client_certificate.as_ref().map(|_| "client certificate"),
        ];
        let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
        write!(f, "Credentials {{ {} }}", if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") })
    }
}
