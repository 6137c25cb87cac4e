//! The environment of the demo: a control plane, an operator, a repository, and a fleet.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context;
use kube::api::{Patch, PatchParams};
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::rollout::RolloutStatus;
use rototo_api::workspace::{HeldStatus, RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{AppSettings, ControlPlane, Fleet, GitRepo, Namespace, Operator};
use serde_json::{Value, json};

use crate::output::{command, say};

/// The name of the RototoWorkspace.
const WORKSPACE: &str = "degradation";
/// The file with the bucket range of the trial.
pub(crate) const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
/// The file with the severe policy.
pub(crate) const POLICY: &str = "resources/service-degradation-policy-objects/severe.toml";
/// The file with the schema of the policies.
pub(crate) const SCHEMA: &str = "schemas/service-degradation-policy.schema.json";

/// The environment of the demo. When it is dropped, all of it ends.
pub(crate) struct DemoEnvironment {
    pub(crate) fleet: Fleet,
    pub(crate) repository: GitRepo,
    operator: Operator,
    namespace: Namespace,
    plane: ControlPlane,
}

impl DemoEnvironment {
    /// Starts everything, and returns when the whole fleet runs the first commit.
    pub(crate) async fn set(processes: usize) -> anyhow::Result<Self> {
        let started = Instant::now();
        let done = |what: &str| say(format_args!("{:>5.1} s  {what}", started.elapsed().as_secs_f64()));
        let plane = ControlPlane::start()?;
        plane.install_crds()?;
        done("a control plane runs: etcd and kube-apiserver, with RBAC, on loopback");
        let namespace = Namespace::create(&plane, "demo").await?;
        let operator = Operator::start_with(&namespace, &["--heartbeat-seconds=15"])?;
        done("the chart is installed with Helm, and the operator runs with the grants of its ServiceAccount");
        let example = xtask::cargo::root().join("examples/degradation-config");
        let repository = GitRepo::with_workspace(&example, "workspaces/prod")?;
        let spec = json!({ "source": repository.url(), "interval": "1h" });
        namespace.apply_workspace(WORKSPACE, spec).await?;
        namespace.wait_for_condition(WORKSPACE, "Published", "True").await?;
        done("a git repository has a workspace, and a RototoWorkspace that follows its branch main is applied");
        namespace.grant("app", &[WORKSPACE])?;
        let fleet = Fleet::start(&AppSettings::new(&namespace, WORKSPACE).name("app"), processes).await?;
        let environment = Self { fleet, repository, operator, namespace, plane };
        environment.converged().await?;
        done(&format!("{processes} processes of the example service run it, each with the token of its own pod"));
        Ok(environment)
    }

    /// Pushes the commits, and requests a reconcile as a webhook would. Returns when the status names the last commit.
    pub(crate) async fn push(&self, what: &str) -> anyhow::Result<RototoWorkspaceStatus> {
        self.repository.push()?;
        let head = self.repository.head()?;
        say(format_args!("git push  {}  {what}", head.get(..8).unwrap_or(&head)));
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: head } } });
        let workspaces = self.namespace.api::<RototoWorkspace>();
        workspaces
            .patch(WORKSPACE, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .context("request a reconcile")?;
        let seen = |status: &RototoWorkspaceStatus| {
            let newest = status.source.as_ref().and_then(|source| source.revision.as_deref());
            newest.is_some_and(|newest| newest.ends_with(&head))
        };
        self.wait(&format!("at {head}"), seen).await
    }

    /// Waits until every process runs what is published.
    pub(crate) async fn converged(&self) -> anyhow::Result<RototoWorkspaceStatus> {
        let size = u32::try_from(self.fleet.apps.len())?;
        let all = |status: &RototoWorkspaceStatus| {
            let applied = status.fleet.as_ref().is_some_and(|fleet| fleet.applied == size && fleet.processes == size);
            applied && status.is("Converged", "True") && status.is("Ready", "True")
        };
        self.wait("converged", all).await
    }

    /// Applies these rules for new revisions.
    pub(crate) async fn roll_out_by(&self, rollout: Value) -> anyhow::Result<()> {
        let spec = json!({ "source": self.repository.url(), "interval": "1h", "rollout": rollout });
        self.namespace.apply_workspace(WORKSPACE, spec).await.map(drop)
    }

    /// Waits until a part of the fleet runs the newest revision, and each analysis has succeeded there once.
    pub(crate) async fn measured(&self) -> anyhow::Result<RolloutStatus> {
        let measured = |rollout: &RolloutStatus| {
            rollout.step == 1 && !rollout.analysis.is_empty() && rollout.analysis.iter().all(|one| one.successful > 0)
        };
        let status = self.wait("measured", |status| status.rollout.as_ref().is_some_and(measured)).await?;
        status.rollout.context("no rollout is under way")
    }

    /// Waits until every process runs what is published, whatever is held.
    pub(crate) async fn converged_on_what_is_published(&self) -> anyhow::Result<()> {
        let converged = |status: &RototoWorkspaceStatus| status.is("Converged", "True");
        self.wait("converged on what is published", converged).await.map(drop)
    }

    /// Waits until the newest revision is held.
    pub(crate) async fn held(&self) -> anyhow::Result<HeldStatus> {
        let status = self.wait("held", |status| status.held.is_some()).await?;
        status.held.context("nothing is held")
    }

    async fn wait(
        &self,
        what: &str,
        holds: impl Fn(&RototoWorkspaceStatus) -> bool,
    ) -> anyhow::Result<RototoWorkspaceStatus> {
        let holds = |workspace: &RototoWorkspace| workspace.status.as_ref().is_some_and(&holds);
        let workspace = self.namespace.wait_for_workspace(WORKSPACE, what, holds).await;
        let workspace = workspace.inspect_err(|_| {
            let log = self.operator.process().map(|operator| operator.last_words());
            eprintln!("the end of the operator's log:\n{}", log.unwrap_or_default());
        })?;
        Ok(workspace.status.unwrap_or_default())
    }

    /// Returns the policy that the requests of an account follow under high pressure: the keys of all processes, which
    /// should be one.
    pub(crate) fn policy(&self, account: &str) -> anyhow::Result<String> {
        let keys = self.fleet.apps.iter().map(|app| {
            let policy = app.policy("high", account)?;
            Ok(policy["value_key"].as_str().unwrap_or_default().to_owned())
        });
        let keys: BTreeSet<String> = keys.collect::<anyhow::Result<_>>()?;
        Ok(keys.into_iter().collect::<Vec<_>>().join(" or "))
    }

    /// Returns the fingerprint that each process runs.
    pub(crate) fn fingerprints(&self) -> anyhow::Result<Vec<String>> {
        self.fleet.apps.iter().map(|app| Ok(app.state()?["fingerprint"].to_string())).collect()
    }

    /// Returns the version of the marker map. While it stays the same, no process was notified.
    pub(crate) async fn map_version(&self) -> anyhow::Result<String> {
        let map = self.namespace.markers().await?.context("the namespace has no marker map")?;
        map.metadata.resource_version.context("the map has no version")
    }

    /// Shows the output of `kubectl get`.
    pub(crate) fn show_table(&self) -> anyhow::Result<()> {
        let table = self.plane.kubectl(&["--namespace", self.namespace.name(), "get", "rws"])?;
        command("kubectl get rws", &table);
        Ok(())
    }

    /// Shows commands to try while everything keeps running.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        say("Everything keeps running. Try this in another terminal:");
        let namespace = self.namespace.name();
        command(&format!("export KUBECONFIG={}", self.plane.admin_kubeconfig().display()), "");
        command(&format!("kubectl config set-context --current --namespace={namespace}"), "");
        command("kubectl describe rws degradation", "");
        command(&format!("git clone {} config    # change something, push, and", self.repository.bare().display()), "");
        command("kubectl annotate --overwrite rws degradation rototo.dev/reconcile-requested-at=$(date +%s)", "");
        command("kubectl get rws --watch", "");
        Ok(())
    }
}
