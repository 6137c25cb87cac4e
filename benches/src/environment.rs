//! The environment of every bench: a control plane, an operator, a repository, and a workspace that follows it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use http::Method;
use ring::hmac;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{ControlPlane, Endpoint, GitRepo, Namespace, Operator};
use serde_json::json;

/// The workspace that changes.
pub const WORKSPACE: &str = "degradation";
/// The ServiceAccount of the processes.
pub const ACCOUNT: &str = "app";
/// The Secret of the webhook, and its key.
const HOOK: &str = "rototo-webhook";
const KEY: &str = "a key of the bench";
/// The file that each change edits.
const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
/// The time before the first request for the status. Such requests disturb a change that is under way, so the first one
/// comes when most of the change is over.
const UNDISTURBED: Duration = Duration::from_millis(700);

/// A control plane, an operator, a repository, and a workspace that follows it. When it is dropped, all of it ends.
pub struct BenchEnvironment {
    /// The repository.
    pub repository: GitRepo,
    /// The operator.
    pub operator: Operator,
    /// The namespace of the workspace.
    pub namespace: Namespace,
    webhook: Endpoint,
    /// The control plane, which is the last field so that it ends last.
    pub plane: ControlPlane,
}

impl BenchEnvironment {
    /// Starts everything, and returns when the first commit is published.
    pub async fn prepare(interval: &str) -> anyhow::Result<Self> {
        let plane = ControlPlane::start()?;
        plane.install_crds()?;
        let namespace = Namespace::create(&plane, "bench").await?;
        // All processes of a bench have one address.
        let operator =
            Operator::start_with(&namespace, &["--heartbeat-seconds=15", "--connections-per-address=65536"])?;
        let example = xtask::cargo::root().join("examples/degradation-config");
        let repository = GitRepo::with_workspace(&example, "workspaces/prod")?;
        namespace.grant(ACCOUNT, &[WORKSPACE])?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": HOOK }, "stringData": { "webhook": KEY },
        });
        namespace.apply(&secret.to_string())?;
        follow(&namespace, &repository, WORKSPACE, interval).await?;
        namespace.wait_for_condition(WORKSPACE, "Published", "True").await?;
        let webhook = Endpoint::of(&namespace).await?;
        Ok(Self { repository, operator, namespace, webhook, plane })
    }

    /// Applies a RototoWorkspace that follows the repository, or changes its poll interval.
    pub async fn follow(&self, name: &str, interval: &str) -> anyhow::Result<()> {
        follow(&self.namespace, &self.repository, name, interval).await
    }

    /// Pushes the change with this number. Returns the time of the push in microseconds.
    pub fn push(&self, number: usize) -> anyhow::Result<f64> {
        let (from, to) = (format!("[0, {}]", 1000 + number), format!("[0, {}]", 1001 + number));
        self.repository.edit(TRIAL, &from, &to)?;
        self.repository.push()?;
        Ok(micros())
    }

    /// Calls the webhook as a git host does.
    pub async fn call_webhook(&self) -> anyhow::Result<()> {
        let body = r#"{"ref":"refs/heads/main"}"#;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), body.as_bytes());
        let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = format!("sha256={signature}");
        let path = format!("/hooks/{}/{WORKSPACE}", self.namespace.name());
        let reply = self.webhook.send(Method::POST, &path, &[("x-rototo-signature", &signature)], body).await?;
        ensure!(reply.status == 202, "the call was answered with {}", reply.status);
        Ok(())
    }

    /// Pushes the change with this number, and calls the webhook. Returns the time of the push in microseconds.
    pub async fn change(&self, number: usize) -> anyhow::Result<f64> {
        let pushed = self.push(number)?;
        self.call_webhook().await?;
        Ok(pushed)
    }

    /// Waits until `size` processes run the newest commit of the repository.
    pub async fn converged(&self, size: usize) -> anyhow::Result<RototoWorkspaceStatus> {
        tokio::time::sleep(UNDISTURBED).await;
        let (head, size) = (self.repository.head()?, u32::try_from(size)?);
        let all = |workspace: &RototoWorkspace| {
            let Some(status) = &workspace.status else { return false };
            let published = status.published.as_ref().and_then(|published| published.revision.as_deref());
            published.is_some_and(|revision| revision.ends_with(&head))
                && status.fleet.as_ref().is_some_and(|fleet| fleet.applied == size)
                && status.is("Converged", "True")
        };
        let workspace = self.namespace.wait_for_workspace(WORKSPACE, "converged", all).await?;
        workspace.status.context("the workspace has no status")
    }
}

async fn follow(namespace: &Namespace, repository: &GitRepo, name: &str, interval: &str) -> anyhow::Result<()> {
    let webhook = json!({ "secretRef": { "name": HOOK } });
    let spec = json!({ "source": repository.url(), "interval": interval, "webhook": webhook });
    namespace.apply_workspace(name, spec).await.map(drop)
}

/// Returns the time in microseconds since 1970, by the clock that all processes of this machine share.
#[must_use]
pub fn micros() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs_f64() * 1e6
}
