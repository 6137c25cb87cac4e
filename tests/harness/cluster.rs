//! A cluster from the view of its users: an address, and tools that talk to it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use xtask::control_plane::Programs;

/// The access to a cluster with all rights.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<AdminAccess>);

#[derive(Debug)]
struct AdminAccess {
    programs: Programs,
    directory: PathBuf,
    url: String,
    authority: PathBuf,
    admin_kubeconfig: PathBuf,
}

impl Cluster {
    /// Creates the access to the cluster at `url`, whose certificate is checked against the file `authority`. Files are
    /// written to `directory`.
    pub(crate) fn new(
        programs: Programs,
        directory: &Path,
        url: String,
        authority: PathBuf,
        admin_token: &str,
    ) -> anyhow::Result<Self> {
        let user = json!({ "token": admin_token });
        let admin_kubeconfig =
            write_kubeconfig(directory.join("admin.kubeconfig"), &url, &authority, &user, "default")?;
        Ok(Self(Arc::new(AdminAccess { programs, directory: directory.to_owned(), url, authority, admin_kubeconfig })))
    }

    /// Returns the URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the certificate against which the certificate of the API server is checked.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.0.authority
    }

    /// Returns the kubeconfig of an administrator, who may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.0.admin_kubeconfig
    }

    /// Writes a kubeconfig for the user of `token`.
    pub fn kubeconfig_for_token(&self, token: &str) -> anyhow::Result<PathBuf> {
        self.kubeconfig(self.url(), &json!({ "token": token }), "default")
    }

    /// Writes a kubeconfig for the user of the token in `file`, with `namespace` as its namespace. The token is read
    /// again when the file changes, like one that a kubelet projects.
    pub fn kubeconfig_for_token_file(&self, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        self.kubeconfig(self.url(), &json!({ "tokenFile": file }), namespace)
    }

    /// Does the same as [`Cluster::kubeconfig_for_token_file`], with the API server at `url`, where a proxy listens.
    pub fn kubeconfig_by_way_of(&self, url: &str, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        self.kubeconfig(url, &json!({ "tokenFile": file }), namespace)
    }

    fn kubeconfig(&self, url: &str, user: &Value, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.directory.join(format!("{:016x}.kubeconfig", fastrand::u64(..)));
        write_kubeconfig(path, url, self.authority(), user, namespace)
    }

    /// Returns a client of an administrator.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        client_of(self.admin_kubeconfig()).await
    }

    /// Runs kubectl as an administrator, and returns its output.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl_as(self.admin_kubeconfig(), arguments)
    }

    /// Runs kubectl as the user of `kubeconfig`, and returns its output.
    pub fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.kubectl_command(kubeconfig, arguments);
        standard_output(command.stdin(Stdio::null()).output(), &command)
    }

    /// Applies manifests with kubectl.
    pub fn apply(&self, namespace: &str, manifests: &str) -> anyhow::Result<String> {
        let arguments = ["--namespace", namespace, "apply", "--filename", "-"];
        let mut command = self.kubectl_command(self.admin_kubeconfig(), &arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
        child
            .stdin
            .take()
            .context("open kubectl's input")?
            .write_all(manifests.as_bytes())
            .context("write to kubectl")?;
        standard_output(child.wait_with_output(), &command)
    }

    fn kubectl_command(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0.programs.kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        // kubectl caches discovery on disk by address, and the next control plane may have the address of this one.
        command.env("KUBECACHEDIR", self.0.directory.join("kubectl-cache"));
        command
    }

    /// Runs helm as an administrator, and returns its output.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.0.programs.helm);
        command.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", self.admin_kubeconfig());
        command.env("KUBECACHEDIR", self.0.directory.join("kubectl-cache"));
        for (name, folder) in [("CACHE", "cache"), ("CONFIG", "config"), ("DATA", "data")] {
            command.env(format!("HELM_{name}_HOME"), self.0.directory.join("helm").join(folder));
        }
        standard_output(command.output(), &command)
    }

    /// Installs the project's CRDs, and returns when the API server serves them.
    pub fn install_crds(&self) -> anyhow::Result<()> {
        let folder = xtask::cargo::root().join("crds");
        self.kubectl(&["apply", "--server-side", "--filename", &folder.display().to_string()])?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rototoworkspaces.rototo.dev"])?;
        Ok(())
    }
}

/// Returns a client of the user of `kubeconfig`.
pub async fn client_of(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let config = config.with_context(|| format!("use the kubeconfig {}", kubeconfig.display()))?;
    kube::Client::try_from(config).context("create a client of the Kubernetes API")
}

/// Writes a kubeconfig. (The file is JSON, which is also YAML.)
pub(crate) fn write_kubeconfig(
    path: PathBuf,
    url: &str,
    authority: &Path,
    user: &Value,
    namespace: &str,
) -> anyhow::Result<PathBuf> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": url, "certificate-authority": authority } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
        "current-context": "test",
    });
    fs::write(&path, config.to_string()).with_context(|| format!("write the kubeconfig {}", path.display()))?;
    Ok(path)
}

/// Returns the output of a command, or an error with its stderr if the command failed.
pub(crate) fn standard_output(output: std::io::Result<Output>, command: &Command) -> anyhow::Result<String> {
    let output = output.with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().display();
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed ({}): {}", arguments.join(" "), output.status, errors.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
