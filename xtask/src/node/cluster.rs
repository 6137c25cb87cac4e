//! The API of the node's cluster, by kubectl and helm.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::command::{output, output_of};

/// The programs that talk to the API server, and the file with its address.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) helm: PathBuf,
}

impl Cluster {
    /// Returns a kubectl command. It never falls back to another cluster.
    pub(crate) fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command.env_remove("KUBECONFIG").env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"));
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(&mut self.kubectl_command(arguments))
    }

    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        output_of(&mut self.kubectl_command(arguments), input)
    }

    /// Applies manifests to a namespace.
    pub(crate) fn apply(&self, namespace: &str, manifests: &str) -> anyhow::Result<()> {
        self.kubectl_with(&["apply", "--namespace", namespace, "--filename=-"], manifests).map(drop)
    }

    /// Returns objects as JSON.
    pub(crate) fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.kubectl(&[&["get", "--output=json"], arguments].concat())?;
        serde_json::from_str(&text).context("read the output of kubectl")
    }

    pub(crate) fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.helm);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        for (name, folder) in
            [("HELM_CACHE_HOME", "helm-cache"), ("HELM_CONFIG_HOME", "helm"), ("HELM_DATA_HOME", "helm")]
        {
            command.env(name, self.kubeconfig.with_file_name(folder));
        }
        output(command.env_remove("KUBECONFIG"))
    }
}
