//! The address of a resource on another machine. It may hold a secret and never shows it.

use std::fmt;
use std::net::Ipv6Addr;

/// The most bytes of path and query together, as many as servers take.
const MAX_PATH_BYTES: usize = 8 << 10;

/// An address with scheme, host, and path. Its text leaves out user, password, and query: each may be a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    scheme: Scheme,
    user: Option<String>,
    password: Option<String>,
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

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// `https:///path`, or a host name that is not valid.
    #[error("the address names no valid host: it is written {0}://host/path")]
    Host(&'static str),
    /// `ssh://host:path`, or a port beyond 65535.
    #[error(
        "the host is followed by `:` and no port: an address is written {0}://host/path, or {0}://host:port/path, with `/` \
         before the path"
    )]
    Port(&'static str),
    /// `https://host`
    #[error("the address names no path: it is written {0}://host/path")]
    Path(&'static str),
    /// `https://host/a b`
    #[error(
        "the path of the address has a character that no address has, such as a space, or more than {limit} bytes: use \
         %XX for special characters"
    )]
    Malformed {
        /// The limit.
        limit: usize,
    },
    /// A user or password with a broken `%` or a control character.
    #[error("the user or password in the address is not written as one: use %XX for special characters")]
    User(&'static str),
    /// `git+ssh://user%2f@host/path`
    #[error("the user of an ssh address has letters, digits, and `.`, `_`, `+`, or `-` alone")]
    SshUser,
    /// `git+ssh://user:password@host/path`
    #[error("ssh takes no password from an address: use a key")]
    SshPassword,
    /// `git+https://host/path?query`
    #[error("the address of a repository must not contain `?`: write a branch, a tag, or a commit after `#`")]
    Query,
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

    /// Parses the text after `://`.
    fn parse(scheme: Scheme, address: &str) -> Result<Self, InvalidUrl> {
        let (authority, path) = match address.find('/') {
            Some(slash) => address.split_at(slash),
            None => (address, ""),
        };
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let (user, password) = match userinfo.map(|userinfo| userinfo.split_once(':').ok_or(userinfo)) {
            Some(Ok((_, password))) if scheme == Scheme::Ssh && !password.is_empty() => {
                return Err(InvalidUrl::SshPassword);
            }
            Some(Ok((user, password))) => (Some(decoded(scheme, user)?), Some(decoded(scheme, password)?)),
            Some(Err(user)) => (Some(decoded(scheme, user)?), None),
            None => (None, None),
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) if scheme == Scheme::Https => (path, Some(query.to_owned())),
            _ => (path, None),
        };
        if scheme != Scheme::File {
            check_host(scheme, host)?;
        }
        if path.trim_matches('/').is_empty() {
            return Err(InvalidUrl::Path(scheme.as_str()));
        }
        if scheme == Scheme::Https && !can_be_requested(path, query.as_deref()) {
            return Err(InvalidUrl::Malformed { limit: MAX_PATH_BYTES });
        }
        Ok(Self { scheme, user, password, host: host.to_ascii_lowercase(), path: path.to_owned(), query })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the name of the machine, with its port if one is given; empty for a repository on this machine.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns scheme, host, and port, with the port that the scheme implies left out.
    pub(crate) fn place(&self) -> String {
        let implied = match self.scheme {
            Scheme::Https => ":443",
            Scheme::Ssh => ":22",
            Scheme::File => "",
        };
        format!("{}://{}", self.scheme.as_str(), self.host.strip_suffix(implied).unwrap_or(&self.host))
    }

    /// Returns the path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the login in the address, if it has both user and password.
    pub(crate) fn login(&self) -> Option<(String, String)> {
        self.user.clone().zip(self.password.clone()).filter(|_| self.scheme == Scheme::Https)
    }

    /// Returns the password in the address.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Returns the user in the address.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the query, which signs the address at some hosts.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Returns the address for a program with public arguments. It holds the user only for ssh, where the user is
    /// public.
    pub(crate) fn without_secrets(&self) -> String {
        let user = self.user.as_deref().filter(|_| self.scheme == Scheme::Ssh);
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        format!("{}://{user}{}{}", self.scheme.as_str(), self.host, self.path)
    }

    /// Returns the secrets of the address, to be removed from the output of other programs. A user name alone is public
    /// with ssh, where it is nearly always `git`, and often a token with https.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let user = self.user.as_deref().filter(|_| self.scheme == Scheme::Https);
        [user, self.password.as_deref(), self.query.as_deref()].into_iter().flatten()
    }
}

/// Refuses what is no name or address of a machine, with or without a port.
fn check_host(scheme: Scheme, text: &str) -> Result<(), InvalidUrl> {
    let (name, port) = match text.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_host = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        // A host that begins with `-` would be an option to ssh.
        None => !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_name),
    };
    match port {
        _ if !is_host => Err(InvalidUrl::Host(scheme.as_str())),
        Some(port) if !is_port(port) => Err(InvalidUrl::Port(scheme.as_str())),
        _ => Ok(()),
    }
}

/// Returns whether the line of a request can have path and query. Letters outside of ASCII stay as they are.
fn can_be_requested(path: &str, query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    let is_refused = |byte: u8| byte.is_ascii_control() || matches!(byte, b' ' | b'"' | b'<' | b'>' | b'`');
    path.len().saturating_add(query.len()) <= MAX_PATH_BYTES && !path.bytes().chain(query.bytes()).any(is_refused)
}

/// Decodes `%XX`.
fn decoded(scheme: Scheme, text: &str) -> Result<String, InvalidUrl> {
    let invalid = || InvalidUrl::User(scheme.as_str());
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().ok_or_else(invalid)?, bytes.next().ok_or_else(invalid)?];
            let digits = std::str::from_utf8(&digits).map_err(|_| invalid())?;
            decoded.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
        } else {
            decoded.push(byte);
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    if decoded.chars().any(char::is_control) || (scheme == Scheme::Ssh && decoded.starts_with('-')) {
        return Err(invalid());
    }
    // Ssh and git read the address again, without the escapes: a `/`, `:`, or `@` would lead elsewhere.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    if scheme == Scheme::Ssh && !decoded.bytes().all(is_plain) {
        return Err(InvalidUrl::SshUser);
    }
    Ok(decoded)
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
