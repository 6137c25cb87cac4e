//! The proxy of a network that has no other way out.

use std::fmt;
use std::str::FromStr;

/// The address of an HTTP proxy, `http://host:port`, or with `user:password@`, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(String);

/// A text that is not the address of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written http://host:port, or https://host:port")]
pub struct InvalidProxy;

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let (_, address) =
            text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")).ok_or(InvalidProxy)?;
        let host = address.rsplit_once('@').map_or(address, |(_, host)| host).trim_end_matches('/');
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if host.is_empty() || host.contains('/') || !address.chars().all(plain) {
            return Err(InvalidProxy);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Proxy {
    /// Returns the whole address, for the program that connects.
    pub(crate) fn with_secrets(&self) -> &str {
        &self.0
    }

    /// Returns the part of the address that must not be shown.
    pub(crate) fn secret(&self) -> Option<&str> {
        let (_, address) = self.0.split_once("://")?;
        address.rsplit_once('@').map(|(userinfo, _)| userinfo)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.secret().map(|secret| self.0.replacen(&format!("{secret}@"), "", 1));
        f.write_str(shown.as_deref().unwrap_or(&self.0))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxy: Proxy = "http://user:hunter2@proxy:3128".parse().unwrap();
        assert_eq!(proxy.to_string(), "http://proxy:3128");
        for text in ["proxy:3128", "socks5://proxy", "http://", "http://a/b", "http://a\nb"] {
            assert_eq!(text.parse::<Proxy>(), Err(InvalidProxy), "{text}");
        }
    }
}
