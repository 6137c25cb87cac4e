//! The address of something on another machine, which may carry a secret and never shows it.

use std::fmt;

/// An address with scheme, host, and path. Its text leaves out user, password, and query: each may be a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    scheme: Scheme,
    userinfo: Option<String>,
    host: String,
    path: String,
    query: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Https,
    Ssh,
    File,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// An address that can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// `https:///path`, or a host that is no host.
    #[error("the address names no valid host: it is written {0}://host/path")]
    Host(&'static str),
    /// `https://host`
    #[error("the address names no path: it is written {0}://host/path")]
    Path(&'static str),
}

impl RemoteUrl {
    pub(crate) fn https(address: &str) -> Result<Self, InvalidUrl> {
        Self::parse(Scheme::Https, address)
    }

    pub(crate) fn ssh(address: &str) -> Result<Self, InvalidUrl> {
        Self::parse(Scheme::Ssh, address)
    }

    pub(crate) fn file(path: &str) -> Result<Self, InvalidUrl> {
        Self::parse(Scheme::File, path)
    }

    /// Reads what stands after `://`.
    fn parse(scheme: Scheme, address: &str) -> Result<Self, InvalidUrl> {
        let (authority, path) = match address.find('/') {
            Some(slash) => address.split_at(slash),
            None => (address, ""),
        };
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo.to_owned()), host),
            None => (None, authority),
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) if scheme == Scheme::Https => (path, Some(query.to_owned())),
            _ => (path, None),
        };
        let is_host =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']');
        // A host that begins with `-` would be an option to ssh.
        if scheme != Scheme::File && (host.is_empty() || host.starts_with('-') || !host.bytes().all(is_host)) {
            return Err(InvalidUrl::Host(scheme.as_str()));
        }
        if path.trim_matches('/').is_empty() {
            return Err(InvalidUrl::Path(scheme.as_str()));
        }
        Ok(Self { scheme, userinfo, host: host.to_ascii_lowercase(), path: path.to_owned(), query })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The name of the machine, with its port if one is given; empty for a repository on this machine.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Everything, for the program that connects. Never for a text that a person or a log sees.
    pub(crate) fn with_secrets(&self) -> String {
        let userinfo = self.userinfo.as_deref().map(|userinfo| format!("{userinfo}@")).unwrap_or_default();
        let query = self.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{userinfo}{}{}{query}", self.scheme.as_str(), self.host, self.path)
    }

    /// The parts that must not be seen, longest first, for scrubbing what other programs print.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        // A user name alone is public with ssh, where it is `git` nearly always, and often a token with https.
        let userinfo = self.userinfo.as_deref().filter(|_| self.scheme != Scheme::Ssh);
        let password =
            self.userinfo.as_deref().and_then(|userinfo| userinfo.split_once(':')).map(|(_, password)| password);
        let mut secrets: Vec<&str> = [userinfo, password, self.query.as_deref()].into_iter().flatten().collect();
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host, self.path)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
