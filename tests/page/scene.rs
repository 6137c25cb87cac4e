//! The scene of the walk: an operator with the page, a fleet, and workspaces in several states.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::Context;
use kube::api::{Patch, PatchParams};
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{AppSettings, ControlPlane, Fleet, GitRepo, Namespace, Operator, program};
use serde_json::{Value, json};

/// The workspace that the fleet follows.
pub(crate) const WORKSPACE: &str = "degradation";
/// The file with the bucket range of the trial.
pub(crate) const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
/// The file with the severe policy.
pub(crate) const POLICY: &str = "resources/service-degradation-policy-objects/severe.toml";
/// A subject that would be an element, if it were markup.
pub(crate) const HOSTILE: &str = "<img src=x onerror=\"window.owned=1\"> Widen the trial to 30 %";
/// The account that may read the workspaces.
const VIEWER: &str = "viewer";

/// The scene. When it is dropped, all of it ends.
pub(crate) struct PageScene {
    fleet: Fleet,
    repository: GitRepo,
    pub(crate) operator: Operator,
    pub(crate) namespace: Namespace,
    plane: ControlPlane,
}

/// A program that ends with its owner.
pub(crate) struct Running(std::process::Child);

impl PageScene {
    /// Starts everything, and returns when the whole fleet runs the first commit.
    pub(crate) async fn set() -> anyhow::Result<Self> {
        let plane = ControlPlane::start()?;
        plane.install_crds()?;
        let namespace = Namespace::create_as(&plane, "shop").await?;
        let operator = Operator::start_with(&namespace, &["--ui", "--heartbeat-seconds=15"])?;
        let example = xtask::cargo::root().join("examples/degradation-config");
        let repository = GitRepo::with_workspace(&example, "workspaces/prod")?;
        namespace.grant_reading(VIEWER)?;
        namespace.grant("app", &[WORKSPACE])?;
        for name in [WORKSPACE, "checkout-limits", "search-ranking"] {
            let spec = json!({ "source": repository.url(), "interval": "1h", "fleet": { "convergeWithin": "1s" } });
            namespace.apply_workspace(name, spec).await?;
            namespace.wait_for_condition(name, "Published", "True").await?;
        }
        let elsewhere = format!("{}-missing", repository.url());
        namespace.apply_workspace("payments", json!({ "source": elsewhere, "interval": "1h" })).await?;
        let fleet = Fleet::start(&AppSettings::new(&namespace, WORKSPACE).name("app"), 12).await?;
        let scene = Self { fleet, repository, operator, namespace, plane };
        scene.converged().await?;
        Ok(scene)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.operator.address())
    }

    /// Returns the address of a workspace on the operator's page.
    pub(crate) fn page_of(&self, workspace: &str) -> String {
        format!("{}/ui/#/{}/{workspace}", self.url(), self.namespace.name())
    }

    /// Returns a token that may read the workspaces of the namespace.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        self.namespace.rototo_token(VIEWER)
    }

    /// Commits a change under a subject, pushes it, and waits until the operator has read it. Returns its first digits.
    pub(crate) async fn change(&self, path: &str, from: &str, to: &str, subject: &str) -> anyhow::Result<String> {
        let content = self.repository.read(path)?;
        anyhow::ensure!(content.contains(from), "{path} lacks {from}:\n{content}");
        let commit = self.repository.commit(&[(path, &content.replacen(from, to, 1))], subject)?;
        self.repository.push()?;
        self.annotate(&commit).await?;
        let seen = |status: &RototoWorkspaceStatus| {
            let newest = status.source.as_ref().and_then(|source| source.revision.as_deref());
            newest.is_some_and(|newest| newest.ends_with(&commit))
        };
        self.wait(&format!("at {commit}"), seen).await?;
        Ok(commit.chars().take(8).collect())
    }

    async fn annotate(&self, request: &str) -> anyhow::Result<()> {
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: request } } });
        self.patch(patch).await
    }

    /// Sets the steps of rollouts.
    pub(crate) async fn steps(&self, steps: Value) -> anyhow::Result<()> {
        self.patch(json!({ "spec": { "rollout": { "steps": steps } } })).await
    }

    async fn patch(&self, patch: Value) -> anyhow::Result<()> {
        let workspaces = self.namespace.api::<RototoWorkspace>();
        let patched = workspaces.patch(WORKSPACE, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(drop).context("patch the RototoWorkspace")
    }

    /// Waits until every process runs what is published.
    pub(crate) async fn converged(&self) -> anyhow::Result<()> {
        let holds = |status: &RototoWorkspaceStatus| {
            let applied = status.fleet.as_ref().is_some_and(|fleet| fleet.applied == 12);
            applied && status.is("Converged", "True") && status.is("Ready", "True")
        };
        self.wait("converged", holds).await
    }

    async fn wait(&self, what: &str, holds: impl Fn(&RototoWorkspaceStatus) -> bool) -> anyhow::Result<()> {
        let holds = |workspace: &RototoWorkspace| workspace.status.as_ref().is_some_and(&holds);
        self.namespace.wait_for_workspace(WORKSPACE, what, holds).await.map(drop)
    }

    /// Stops this number of processes, as if they hung.
    pub(crate) fn freeze(&self, number: usize) -> anyhow::Result<()> {
        self.fleet.apps.iter().take(number).try_for_each(|app| app.process()?.freeze())
    }

    /// Lets all processes go on.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        let mut frozen = self.fleet.apps.iter().filter_map(|app| app.process().ok().filter(|one| one.is_frozen()));
        frozen.try_for_each(|process| process.thaw())
    }

    /// Waits until somebody has asked for a reconcile after the one for this commit.
    pub(crate) async fn asked_after(&self, commit: &str) -> anyhow::Result<()> {
        let asked = |workspace: &RototoWorkspace| {
            let annotations = workspace.metadata.annotations.as_ref();
            let request = annotations.and_then(|annotations| annotations.get(ANNOTATION_RECONCILE));
            request.is_some_and(|request| !request.starts_with(commit))
        };
        self.namespace.wait_for_workspace(WORKSPACE, "asked to be dated", asked).await.map(drop)
    }

    /// Starts `rototo ui` with the rights of somebody who may read, or with those of an administrator who confirms claims.
    /// Returns it with the address that it prints.
    pub(crate) fn rototo_ui(&self, confirms: bool) -> anyhow::Result<(Running, String)> {
        let mut command = Command::new(program("rototo")?);
        command.args(["ui", "--namespace", self.namespace.name(), "--kubeconfig"]);
        if confirms {
            command.arg(self.plane.admin_kubeconfig()).arg("--confirm");
        } else {
            command.arg(self.plane.kubeconfig_for_token(&self.namespace.token(VIEWER)?)?);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().context("start rototo ui")?;
        let stdout = child.stdout.take().context("rototo ui has no output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url).context("read the address")?;
        Ok((Running(child), url.trim().to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
