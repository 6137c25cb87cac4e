//! Makes the client of the API server from a kubeconfig or a pod's environment.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rototo_connection::api_server;

use crate::reconcile::watches::WATCH_LASTS;
use crate::run::error::StartError;

/// The time without a byte after which a connection is dead: longer than any watch lasts.
const IDLE: Duration = Duration::from_secs(*WATCH_LASTS.end() as u64 + 15);

/// Makes the client that a kubeconfig describes. The default is kubectl's kubeconfig, and then the environment of a
/// pod.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, StartError> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    Ok(api_server(config, IDLE)?)
}
