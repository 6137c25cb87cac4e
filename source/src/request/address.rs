//! The address of a service that speaks HTTP: scheme, host, port, and the path below which it is.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};

/// The address of a service, `http://host:port` or `https://host/path`. It holds no user, password, or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    https: bool,
    authority: Authority,
    path: String,
}

/// A text that is no address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address is written http://host:port or https://host:port, with a path and without user, password, and query"
)]
pub struct InvalidAddress;

impl FromStr for HttpAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let uri: Uri = text.parse().map_err(|_| InvalidAddress)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidAddress),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@') && !text.contains('#'));
        let authority = authority.filter(|authority| !authority.host().is_empty()).ok_or(InvalidAddress)?.clone();
        // `host:70000` and `host:` have no port that can be read.
        let written = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if uri.query().is_some() || (authority.port_u16().is_none() && !written.is_empty()) {
            return Err(InvalidAddress);
        }
        Ok(Self { https, path: uri.path().trim_end_matches('/').to_owned(), authority })
    }
}

impl HttpAddress {
    /// Returns whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Returns the scheme, by which a proxy is chosen.
    pub(super) fn scheme(&self) -> Scheme {
        if self.https { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// Returns the host, with its port if one is written.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns the host with its port.
    pub(super) fn authority(&self) -> Option<Authority> {
        let port = self.authority.port_u16().unwrap_or(if self.https { 443 } else { 80 });
        format!("{}:{port}", self.authority.host()).parse().ok()
    }

    /// Returns the path of a request.
    pub(super) fn path_to(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_host_port_and_path() {
        for (text, host, connected, path) in [
            ("http://prometheus.monitoring:9090", "prometheus.monitoring:9090", "prometheus.monitoring:9090", "/x"),
            ("https://metrics.example.com/", "metrics.example.com", "metrics.example.com:443", "/x"),
            ("http://[fd00::1]/tenant/a/", "[fd00::1]", "[fd00::1]:80", "/tenant/a/x"),
        ] {
            let address: HttpAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.path_to("/x").as_str()), (host, path), "{text}");
            assert_eq!(address.authority().unwrap().as_str(), connected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in [
            "",
            "prometheus:9090",
            "//prometheus",
            "ftp://prometheus",
            "http://",
            "http:///path",
            "http://user:secret@prometheus",
            "http://prometheus:70000",
            "http://prometheus/?query=x",
            "http://prometheus/#x",
            "http://prome theus",
        ] {
            assert_eq!(text.parse::<HttpAddress>(), Err(InvalidAddress), "{text}");
        }
    }
}
