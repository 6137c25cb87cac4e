//! Makes the client of the API server from a kubeconfig or a pod's environment.

use std::path::Path;
use std::time::Duration;

use axum::http::Uri;
use kube::Client;
use rototo_connection::sign_in;

use crate::reconcile::watches::WATCH_LASTS;
use crate::run::error::StartError;

/// The time without a byte after which a connection is dead: longer than any watch lasts.
const IDLE: Duration = Duration::from_secs(*WATCH_LASTS.end() as u64 + 15);

/// The client of the API server, and the hosts and ports at which the API server is known.
pub(crate) struct ApiServer {
    pub(crate) client: Client,
    pub(crate) hosts: Vec<(String, u16)>,
}

/// Makes the client that a kubeconfig describes. The default is kubectl's kubeconfig, and then the environment of a
/// pod.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<ApiServer, StartError> {
    let config = rototo_connection::config(kubeconfig, None).await?;
    let hosts = hosts(&config.cluster_url, |name| std::env::var(name).ok());
    Ok(ApiServer { client: sign_in(config, IDLE).await?, hosts })
}

/// Returns the host of the API server's URL, and the one that the kubelet names to pods.
fn hosts(url: &Uri, variable: impl Fn(&str) -> Option<String>) -> Vec<(String, u16)> {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    let default = if url.scheme_str() == Some("http") { 80 } else { 443 };
    let configured = url.host().map(|host| (bare(host), url.port_u16().unwrap_or(default)));
    let port = variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok()).unwrap_or(443);
    let of_pods = variable("KUBERNETES_SERVICE_HOST").map(|host| (bare(&host), port));
    let mut hosts: Vec<(String, u16)> = configured.into_iter().chain(of_pods).collect();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_known_by_its_url_and_by_the_environment_of_pods() {
        let pod = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("6443".to_owned()),
            _ => None,
        };
        let known = |host: &str, port| (host.to_owned(), port);
        let url = |text: &'static str| Uri::from_static(text);
        assert_eq!(hosts(&url("https://api.example.com/"), |_| None), [known("api.example.com", 443)]);
        assert_eq!(hosts(&url("https://[fd00::1]:6443"), pod), [known("fd00::1", 6443)]);
        assert_eq!(hosts(&url("https://10.0.0.1:8443"), pod), [known("10.0.0.1", 8443), known("fd00::1", 6443)]);
    }
}
