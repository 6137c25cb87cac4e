//! The environment of a history: operators, a repository, and services, each behind a proxy that can disturb it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use rototo_api::marker::Marker;
use rototo_api::names::{ANNOTATION_RECONCILE, workspace_label};
use rototo_engine::Tree;
use rototo_tests::harness::witness::{Publish, Witness};
use rototo_tests::harness::{App, AppSettings, Cluster, GitRepo, Namespace, Operator, Proxy};
use serde_json::json;

use crate::script::Which;

pub(crate) const WORKSPACE: &str = "degradation";
const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
const POLICY: &str = "resources/service-degradation-policy-objects/severe.toml";
/// The heartbeat in seconds. Every window of a fleet is a multiple of it.
pub(crate) const HEARTBEAT: u64 = 1;
pub(crate) const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT);

/// The condition of a program: only one that is up can be disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Up,
    Stopped,
    Down,
}

/// An operator, and the proxies between it and its partners.
pub(crate) struct OperatorUnderTest {
    pub(crate) identity: &'static str,
    pub(crate) operator: Operator,
    pub(crate) condition: Condition,
    pub(crate) to_api_server: Proxy,
    pub(crate) from_processes: Proxy,
}

/// A service in a pod, and the proxy to the API server.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) witness: Witness,
    pub(crate) condition: Condition,
    pub(crate) to_api_server: Proxy,
    /// True if the pod is being deleted, or is gone.
    pub(crate) leaving: bool,
    pub(crate) restarts: u32,
}

/// All parts of the system. When it is dropped, all of it ends.
pub(crate) struct ChaosEnvironment {
    pub(crate) namespace: Namespace,
    pub(crate) repository: GitRepo,
    pub(crate) fellows: Vec<OperatorUnderTest>,
    pub(crate) services: Vec<Service>,
    /// Every process that was ever started.
    pub(crate) witnesses: Vec<Witness>,
    /// The contents that lint accepts and that were pushed, in order.
    pub(crate) pushed: Vec<String>,
    /// True if lint accepts the newest pushed commit.
    pub(crate) commit_is_good: bool,
    good_policy: String,
}

impl ChaosEnvironment {
    /// Starts everything, and returns when all processes run the first commit.
    pub(crate) async fn set(cluster: &Cluster, operators: usize, processes: usize) -> anyhow::Result<Self> {
        let namespace = Namespace::create(cluster, "chaos").await?;
        let example = xtask::cargo::root().join("examples/degradation-config");
        let repository = GitRepo::with_workspace(&example, "workspaces/prod")?;
        let mut fellows = Vec::new();
        for identity in ["first", "second"].into_iter().take(operators) {
            fellows.push(OperatorUnderTest::start(&namespace, identity)?);
        }
        namespace.grant("app", &[WORKSPACE])?;
        // It may ask the operator whether a publish has converged.
        namespace.grant_verbs("reader", &["get"])?;
        let spec = json!({ "source": repository.url(), "interval": "5s" });
        namespace.apply_workspace(WORKSPACE, spec).await?;
        namespace.wait_for_condition(WORKSPACE, "Published", "True").await?;
        let good_policy = repository.read(POLICY)?;
        let mut environment = Self {
            namespace,
            repository,
            fellows,
            services: Vec::new(),
            witnesses: Vec::new(),
            pushed: Vec::new(),
            commit_is_good: true,
            good_policy,
        };
        environment.pushed.push(environment.fingerprint()?);
        for _ in 0..processes {
            environment.start_service().await?;
        }
        Ok(environment)
    }

    /// Starts a process in a new pod.
    pub(crate) async fn start_service(&mut self) -> anyhow::Result<()> {
        let number = self.witnesses.len();
        let service = Service::start(&self.namespace, &format!("app-{number}")).await?;
        self.witnesses.push(service.witness.clone());
        self.services.push(service);
        Ok(())
    }

    /// Returns the index of the operator that holds the lease, or of the other one.
    pub(crate) async fn fellow(&self, which: Which) -> usize {
        let lease = self.namespace.api::<Lease>().get("rototo-operator").await;
        let holder = lease.ok().and_then(|lease| lease.spec?.holder_identity);
        let leads = |fellow: &OperatorUnderTest| Some(fellow.identity) == holder.as_deref();
        let leader = self.fellows.iter().position(leads).unwrap_or(0);
        match which {
            Which::Leader => leader,
            Which::Other => (leader + 1) % self.fellows.len(),
        }
    }

    /// Commits this content, and pushes it if the repository is reachable.
    pub(crate) async fn push(&mut self, content: u8) -> anyhow::Result<bool> {
        let range = format!("range = [0, {}]", 1000 + 1000 * u32::from(content));
        let text = self.repository.read(TRIAL)?;
        let line = text.lines().find(|line| line.starts_with("range")).context("the trial has no range")?.to_owned();
        let text = text.replace(&line, &range);
        let policy = self.good_policy.clone();
        self.repository.commit(&[(TRIAL, &text), (POLICY, &policy)], &format!("Content {content}"))?;
        self.push_commit(true).await
    }

    pub(crate) async fn push_refused(&mut self) -> anyhow::Result<bool> {
        let policy = self.good_policy.replace("max_concurrency = 10", "max_concurrency = 0");
        self.repository.commit(&[(POLICY, &policy)], "A mistake")?;
        self.push_commit(false).await
    }

    pub(crate) async fn push_readme(&mut self) -> anyhow::Result<bool> {
        self.repository.commit_outside("README.md", &format!("outside of the workspace: {}", fastrand::u64(..)))?;
        let good = self.repository.read(POLICY)? == self.good_policy;
        self.push_commit(good).await
    }

    /// Pushes the commits, and requests a reconcile as a webhook would.
    pub(crate) async fn push_commit(&mut self, good: bool) -> anyhow::Result<bool> {
        if !self.repository.bare().exists() {
            return Ok(false);
        }
        self.repository.push()?;
        self.commit_is_good = good;
        let fingerprint = self.fingerprint()?;
        if good && self.pushed.last() != Some(&fingerprint) {
            self.pushed.push(fingerprint);
        }
        // The API server may be down. Then the operator polls at its interval.
        let _ = self.ask().await;
        Ok(true)
    }

    /// Returns whether lint accepts the commit in the clone.
    pub(crate) fn clone_is_good(&self) -> anyhow::Result<bool> {
        Ok(self.repository.read(POLICY)? == self.good_policy)
    }

    /// Requests a reconcile, and with it a new date in the status.
    pub(crate) async fn ask(&self) -> anyhow::Result<String> {
        let request = format!("{:016x}", fastrand::u64(..));
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: request } } });
        let workspaces = self.namespace.api::<rototo_api::workspace::RototoWorkspace>();
        let patch = Patch::Merge(patch);
        let parameters = PatchParams::default();
        let asked = workspaces.patch(WORKSPACE, &parameters, &patch);
        tokio::time::timeout(Duration::from_secs(2), asked).await.context("the API server does not answer")??;
        Ok(request)
    }

    /// Returns the fingerprint of the workspace in the clone.
    fn fingerprint(&self) -> anyhow::Result<String> {
        let manifest = self.repository.path("");
        let mut tree = Tree::default();
        insert(&mut tree, &manifest, &manifest)?;
        Ok(tree.fingerprint().to_string())
    }

    /// Returns whether a process exists that does not run the last pushed content.
    pub(crate) fn publish_is_in_flight(&self) -> bool {
        let target = self.pushed.last();
        let running = self.services.iter().filter(|service| service.condition != Condition::Down);
        let mut latest = running.map(|service| service.witness.latest());
        latest.any(|publish| publish.map(|publish| publish.fingerprint).as_ref() != target)
    }

    /// Returns the marker as a publish.
    pub(crate) async fn marker(&self) -> anyhow::Result<Option<Publish>> {
        let marker = self.namespace.marker(WORKSPACE).await?;
        Ok(marker.and_then(|marker| match marker {
            Marker::Published { fingerprint, updated_at, .. } => {
                Some(Publish { fingerprint, updated_at: updated_at.to_string() })
            }
            Marker::Removed { .. } => None,
        }))
    }

    /// Returns the paths of the logs, for people.
    pub(crate) fn logs(&self) -> String {
        let operators = self
            .fellows
            .iter()
            .map(|fellow| format!("  operator {}: {}/log", fellow.identity, fellow.operator.directory().display()));
        let services = self
            .services
            .iter()
            .map(|service| format!("  {}: {}/log", service.app.pod().name(), service.app.pod().directory().display()));
        operators.chain(services).collect::<Vec<_>>().join("\n")
    }
}

impl OperatorUnderTest {
    fn start(namespace: &Namespace, identity: &'static str) -> anyhow::Result<Self> {
        let to_api_server = Proxy::to(namespace.cluster().url().trim_start_matches("https://"))?;
        let flags = [
            format!("--identity={identity}"),
            format!("--heartbeat-seconds={HEARTBEAT}"),
            "--lease-seconds=3".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        // The admission policy is off, so that a fault can do what it prevents.
        let mut operator = Operator::prepare(namespace, &to_api_server, &["markersPolicy.enabled=false"], &flags)?;
        let from_processes = Proxy::to(operator.address())?;
        operator.advertise(&from_processes.address());
        operator.start_again()?;
        Ok(Self { identity, operator, condition: Condition::Up, to_api_server, from_processes })
    }
}

impl Service {
    async fn start(namespace: &Namespace, name: &str) -> anyhow::Result<Self> {
        let to_api_server = Proxy::to(namespace.cluster().url().trim_start_matches("https://"))?;
        let settings = AppSettings::new(namespace, WORKSPACE).name(name).label(&workspace_label(WORKSPACE), "");
        let started = Timestamp::now();
        let app = settings.by_way_of(&format!("https://{}", to_api_server.address())).start().await?;
        let witness = Witness::of(name, app.address(), started);
        Ok(Self { app, witness, condition: Condition::Up, to_api_server, leaving: false, restarts: 0 })
    }
}

fn insert(tree: &mut Tree, root: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut entries = BTreeMap::<PathBuf, bool>::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        entries.insert(entry.path(), entry.file_type()?.is_dir());
    }
    for (path, is_folder) in entries {
        if is_folder {
            insert(tree, root, &path)?;
        } else {
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            tree.insert(path.strip_prefix(root)?.display().to_string(), bytes);
        }
    }
    Ok(())
}
