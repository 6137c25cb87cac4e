//! The addresses at which the agent listens, and the rule which of them need an intent.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen at: `ADDRESS:PORT`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// A Unix socket at an absolute path.
    Unix(PathBuf),
}

/// The error of a text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither ADDRESS:PORT, such as 127.0.0.1:8016, nor unix: with an absolute path")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || AddressError(text.to_owned());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(refused()),
            None => text.parse().map(Self::Tcp).map_err(|_| refused()),
        }
    }
}

impl Address {
    /// Returns whether only processes of this machine, or of this pod, can connect.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_sockets_are_local() {
        let local = |text: &str| text.parse::<Address>().unwrap().is_local();
        assert!(local("127.0.0.1:8016"));
        assert!(local("127.9.9.9:1"));
        assert!(local("[::1]:8016"));
        assert!(local("[::ffff:127.0.0.1]:8016"));
        assert!(local("unix:/run/rototo/agent.sock"));
        assert!(!local("0.0.0.0:8016"));
        assert!(!local("[::]:8016"));
        assert!(!local("10.0.0.1:8016"));
        assert!(!local("[::ffff:10.0.0.1]:8016"));
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in ["", "8016", "localhost:8016", "unix:", "unix:agent.sock", "http://127.0.0.1:8016", "127.0.0.1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
