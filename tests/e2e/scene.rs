//! The usual set-up of a test: a repository, a workspace that follows it, an operator, and services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kube::api::{Patch, PatchParams};
use rototo_api::marker::Marker;
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{AppSettings, Cluster, ControlPlane, GitRepo, Namespace, Operator, program};
use serde_json::json;

/// The name of the workspace in every scene.
pub(crate) const WORKSPACE: &str = "degradation";
pub(crate) const POLICY: &str = "resources/service-degradation-policy-objects/severe.toml";
pub(crate) const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";

/// A repository with the example workspace, an operator, and a RototoWorkspace that follows the branch `main`.
pub(crate) struct Scene {
    pub(crate) namespace: Namespace,
    pub(crate) repository: GitRepo,
    pub(crate) operator: Operator,
}

impl Scene {
    /// Returns a scene on the shared control plane, in which the first commit is published.
    pub(crate) async fn published(purpose: &str) -> Self {
        Self::published_on(ControlPlane::shared().unwrap(), purpose).await
    }

    /// Returns a scene in which the first commit is published.
    pub(crate) async fn published_on(cluster: &Cluster, purpose: &str) -> Self {
        Self::published_with(cluster, purpose, &[]).await
    }

    /// Returns a scene in which the first commit is published, and whose operator has these further flags.
    pub(crate) async fn published_with(cluster: &Cluster, purpose: &str, flags: &[&str]) -> Self {
        let scene = Self::with_flags(cluster, purpose, flags).await;
        scene.apply().await;
        scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
        scene
    }

    /// Returns a scene without a RototoWorkspace.
    pub(crate) async fn quiet_on(cluster: &Cluster, purpose: &str) -> Self {
        Self::with_flags(cluster, purpose, &[]).await
    }

    /// Returns a scene without a RototoWorkspace, whose operator has these further flags.
    pub(crate) async fn with_flags(cluster: &Cluster, purpose: &str, flags: &[&str]) -> Self {
        let namespace = Namespace::create(cluster, purpose).await.unwrap();
        let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
        let operator = Operator::start_with(&namespace, flags).unwrap();
        namespace.grant("app", &[WORKSPACE]).unwrap();
        Self { namespace, repository, operator }
    }

    /// Applies the RototoWorkspace.
    pub(crate) async fn apply(&self) {
        let spec = json!({ "source": self.repository.url(), "interval": "1h" });
        self.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    }

    /// Returns the settings of a service that follows the workspace.
    pub(crate) fn app(&self) -> AppSettings {
        AppSettings::new(&self.namespace, WORKSPACE)
    }

    /// Returns the command `rototo` as an administrator, in the namespace of the scene.
    pub(crate) fn rototo(&self, arguments: &[&str]) -> Command {
        rototo_as(self.namespace.cluster().admin_kubeconfig(), &self.namespace, arguments)
    }

    /// Pushes the commits, and requests a reconcile. Returns when the status names the last commit as the newest.
    pub(crate) async fn push(&self) -> RototoWorkspaceStatus {
        self.repository.push().unwrap();
        self.poll().await
    }

    /// Requests a reconcile. Returns when the status names the last commit of the repository as the newest.
    pub(crate) async fn poll(&self) -> RototoWorkspaceStatus {
        let (head, request) = (self.repository.head().unwrap(), self.ask().await);
        let seen = |workspace: &RototoWorkspace| {
            workspace.status.as_ref().is_some_and(|status| {
                let newest = status.source.as_ref().and_then(|source| source.revision.as_deref());
                newest.is_some_and(|newest| newest.ends_with(&head))
                    && status.last_handled_reconcile_at.as_ref() == Some(&request)
            })
        };
        let workspace = self.namespace.wait_for_workspace(WORKSPACE, &format!("at {head}"), seen).await.unwrap();
        workspace.status.unwrap_or_default()
    }

    /// Requests a reconcile without waiting for it. Returns the value that the status repeats once it was handled.
    pub(crate) async fn ask(&self) -> String {
        let request = format!("{:016x}", fastrand::u64(..));
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: request } } });
        let workspaces = self.namespace.api::<RototoWorkspace>();
        workspaces.patch(WORKSPACE, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        request
    }

    /// Returns the marker of the workspace.
    pub(crate) async fn marker(&self) -> Option<Marker> {
        self.namespace.marker(WORKSPACE).await.unwrap()
    }

    /// Returns the version of the marker map. While it stays the same, no process was notified.
    pub(crate) async fn map_version(&self) -> String {
        self.namespace.markers().await.unwrap().unwrap().metadata.resource_version.unwrap()
    }

    /// Returns all markers of the namespace. An operator that starts takes the map over, and leaves them as they are.
    pub(crate) async fn markers(&self) -> BTreeMap<String, String> {
        self.namespace.markers().await.unwrap().unwrap().data.unwrap()
    }

    /// Waits until the fleet has converged with this number of processes.
    pub(crate) async fn wait_for_fleet(&self, applied: u32) -> RototoWorkspaceStatus {
        let what = format!("applied by {applied} and converged");
        let all = |workspace: &RototoWorkspace| {
            let Some(status) = &workspace.status else { return false };
            let counted =
                status.fleet.as_ref().is_some_and(|fleet| fleet.applied == applied && fleet.behind.is_empty());
            let holds = |type_| condition(status, type_).starts_with("True/");
            counted && holds("Converged") && !holds("Reconciling")
        };
        self.namespace.wait_for_workspace(WORKSPACE, &what, all).await.unwrap().status.unwrap_or_default()
    }
}

/// Returns the path of the example workspace.
pub(crate) fn example() -> PathBuf {
    xtask::cargo::root().join("examples/degradation-config")
}

/// Returns the command `rototo` as the user of a kubeconfig, in a namespace.
pub(crate) fn rototo_as(kubeconfig: &Path, namespace: &Namespace, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("rototo").unwrap());
    command.args(arguments).args(["--namespace", namespace.name()]).arg("--kubeconfig").arg(kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the output of a command that ended with this exit code.
pub(crate) fn ends(output: &Output, code: i32) -> String {
    let text = String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Returns a condition as `status/reason`.
pub(crate) fn condition(status: &RototoWorkspaceStatus, type_: &str) -> String {
    let found = status.condition(type_);
    found.map_or_else(|| "absent".to_owned(), |condition| format!("{}/{}", condition.status, condition.reason))
}
