//! The way of one run of git, or of the ssh that it starts, to an allowed address.

use std::sync::Arc;

use hyper::http::uri::Authority;

use crate::egress::Egress;
use crate::egress::route::{Routes, connect_to_any, host};
use crate::egress::tunnel::Tunnel;
use crate::error::EgressFault;
use crate::hosts::Proxy;
use crate::spec::{RemoteUrl, Scheme};

/// The variables by which the environment names proxies.
const PROXIES: [&str; 8] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// The settings with which one run of git reaches its host. The way is open as long as this lives.
#[derive(Default)]
pub(crate) struct GitWay {
    settings: Vec<(String, String)>,
    ssh_options: String,
    ssh_host: Option<(String, u16)>,
    tunnel: Option<Tunnel>,
}

impl GitWay {
    /// Opens the way to `url`. Without rules git finds its own.
    pub(crate) async fn open(egress: &Egress, proxy: Option<&Proxy>, url: &RemoteUrl) -> Result<Self, EgressFault> {
        let scheme = url.scheme();
        let Some(rules) = egress.rules().filter(|_| scheme != Scheme::File) else { return Ok(Self::default()) };
        let invalid = || EgressFault::Unreachable("its host is no name".to_owned());
        let to: Authority = url.host().parse().map_err(|_| invalid())?;
        if scheme == Scheme::Ssh {
            return Self::ssh(egress, &to).await;
        }
        let routes = Routes::new(egress.clone(), proxy);
        let mut way = Self::default();
        match routes.proxy_scheme(&to).as_deref() {
            None | Some("http" | "https") => {
                // Refused here too, so that no program is started for it.
                rules.check_name(host(&to), to.port_u16().unwrap_or(443))?;
                let tunnel = Tunnel::start(Arc::new(routes)).await;
                let tunnel = tunnel.map_err(|error| EgressFault::Unreachable(format!("no port for git: {error}")))?;
                // This setting comes before all others, also those of one host.
                way.settings.push(("remote.origin.proxy".to_owned(), tunnel.url()));
                way.tunnel = Some(tunnel);
            }
            // A kind of proxy that only git speaks to. Where it would lead a redirect to can't be seen.
            Some(_) => {
                rules.check_name(host(&to), to.port_u16().unwrap_or(443))?;
                way.settings.push(("http.followRedirects".to_owned(), "false".to_owned()));
            }
        }
        Ok(way)
    }

    /// Gives ssh the checked address.
    async fn ssh(egress: &Egress, to: &Authority) -> Result<Self, EgressFault> {
        let (host, port) = (host(to), to.port_u16().unwrap_or(22));
        let addresses = egress.addresses(host, port).await?;
        let address = match addresses.as_slice() {
            [only] => *only,
            // Ssh gets one address and tries no other, so it gets one that accepts connections.
            several => {
                let accepted = connect_to_any(host, several).await?.peer_addr();
                accepted.map_err(|error| EgressFault::Unreachable(format!("{host}: {error}")))?
            }
        };
        let address = address.ip();
        let ssh_options = format!(" -o HostName={address} -o CheckHostIP=no");
        Ok(Self { ssh_options, ssh_host: Some((host.to_owned(), port)), ..Self::default() })
    }

    pub(crate) fn settings(&self) -> impl Iterator<Item = (String, String)> {
        self.settings.iter().cloned()
    }

    /// Returns the options of ssh, for the shell that starts it.
    pub(crate) fn ssh_options(&self) -> &str {
        &self.ssh_options
    }

    /// Returns the host whose key is expected, with its port, where ssh gets an address in place of its name.
    pub(crate) fn ssh_host(&self) -> Option<(&str, u16)> {
        self.ssh_host.as_ref().map(|(host, port)| (&**host, *port))
    }

    /// Returns the variables that would lead git past this way.
    pub(crate) fn removed_variables(&self) -> &'static [&'static str] {
        if self.tunnel.is_some() { &PROXIES } else { &[] }
    }

    /// Returns the reason why a connection could not be made.
    pub(crate) fn fault(&self) -> Option<EgressFault> {
        self.tunnel.as_ref().and_then(Tunnel::fault)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::egress::EgressRules;
    use crate::spec::Source;

    #[tokio::test]
    async fn ssh_gets_an_address_that_accepts_connections() {
        // Nothing listens at the first one.
        fn lookup(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok([[127, 0, 0, 2], [127, 0, 0, 1]].map(|address| SocketAddr::from((address, port))).into())
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rules = EgressRules { loopback: true, lookup, ..EgressRules::default() };
        let Source::Git(source) = format!("git+ssh://git@git.example.com:{port}/r.git").parse().unwrap() else {
            panic!()
        };
        let way = GitWay::open(&Egress::Checked(rules), None, source.remote()).await.unwrap();
        assert!(way.ssh_options().contains(" HostName=127.0.0.1 "), "{}", way.ssh_options());
    }
}
