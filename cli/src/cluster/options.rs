//! The options of commands that ask one cluster, and of those that can ask several.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use kube::Config;
use rototo_connection::{api_error, sign_in, with_causes};

use crate::cluster::{IDLE, NamespaceClient};

/// The cluster, and the namespace in it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterOptions {
    #[command(flatten)]
    kubeconfig: KubeconfigOptions,

    /// The context of the kubeconfig; by default its current one
    #[arg(long, alias = "kube-context", value_name = "NAME")]
    context: Option<String>,
}

/// The clusters, and the namespace in each.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClustersOptions {
    #[command(flatten)]
    kubeconfig: KubeconfigOptions,

    /// The context of the kubeconfig; by default its current one. Given several times, it names several clusters
    #[arg(long = "context", alias = "kube-context", value_name = "NAME")]
    contexts: Vec<String>,
}

/// The kubeconfig, and the namespace.
#[derive(Clone, Debug, Args)]
struct KubeconfigOptions {
    /// The namespace; by default the one of the kubeconfig's context
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// The kubeconfig; by default $KUBECONFIG, ~/.kube/config, or in a pod what its ServiceAccount has
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// The clusters of a command line.
pub(crate) enum Clusters {
    One(ClusterOptions),
    /// Several, each with the name of its context, in the order of the command line.
    Several(Vec<(String, ClusterOptions)>),
}

impl ClusterOptions {
    /// Returns the namespace that was given. An empty one is none, as for kubectl.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.kubeconfig.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<NamespaceClient> {
        let config = self.config().await?;
        let namespace = self.namespace().unwrap_or(&config.default_namespace).to_owned();
        let client = sign_in(config, IDLE)
            .await
            .map_err(|error| anyhow!("a connection to the cluster can't be prepared: {}", api_error(&error)))?;
        Ok(NamespaceClient { client, namespace })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let (file, context) = (&self.kubeconfig.kubeconfig, self.context.as_deref());
        let found = rototo_connection::config(file.as_deref(), context).await;
        // Many of these errors have their causes in their own text.
        let found = found.map_err(|error| anyhow!(with_causes(&error)));
        match (file, context) {
            (Some(path), _) => {
                let shown = path.display();
                std::fs::metadata(path).with_context(|| format!("the kubeconfig {shown} can't be read"))?;
                found.with_context(|| format!("the kubeconfig {shown} can't be used"))
            }
            (None, Some(name)) => found.with_context(|| format!("the context {name} can't be used")),
            (None, None) => found.context("no cluster is configured: give --kubeconfig"),
        }
    }
}

impl ClustersOptions {
    /// Returns the clusters that these options name.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the command line: a context that is named twice would count as two clusters.
    pub(crate) fn clusters(self) -> Result<Clusters, String> {
        let Self { kubeconfig, mut contexts } = self;
        if contexts.len() < 2 {
            return Ok(Clusters::One(ClusterOptions { kubeconfig, context: contexts.pop() }));
        }
        for (index, context) in contexts.iter().enumerate() {
            if contexts[..index].contains(context) {
                return Err(format!("the context {context} is named twice"));
            }
        }
        let cluster = |context: String| {
            let options = ClusterOptions { kubeconfig: kubeconfig.clone(), context: Some(context.clone()) };
            (context, options)
        };
        Ok(Clusters::Several(contexts.into_iter().map(cluster).collect()))
    }
}
