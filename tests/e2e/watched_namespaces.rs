//! Namespaces of `--watch-namespace` that do not exist hinder no other, are named, and are served once they exist.

use k8s_openapi::api::core::v1::Namespace as Object;
use kube::Api;
use kube::api::DeleteParams;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{
    Cluster, ControlPlane, GitRepo, Namespace, Observation, Operator, PATIENCE, install_chart, until, until_async,
};
use serde_json::json;

use crate::scene::{POLICY, WORKSPACE, example};

const METRIC: &str = "rototo_namespace_watched";

/// An operator that was started to watch its own namespace and another one.
struct Two {
    home: Namespace,
    other: String,
    operator: Operator,
    repository: GitRepo,
}

impl Two {
    /// Starts the operator before there is another namespace, and returns when it is ready.
    async fn start(cluster: &Cluster, purpose: &str) -> Self {
        let home = Namespace::create(cluster, purpose).await.unwrap();
        let other = format!("{}-other", home.name());
        let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
        let flag = format!("--watch-namespace={},{other}", home.name());
        let operator = Operator::start_with(&home, &[&flag]).unwrap();
        Self { home, other, operator, repository }
    }

    /// Creates the other namespace, and lets the operator serve it.
    async fn create_other(&self) -> Namespace {
        let other = Namespace::create_as(self.home.cluster(), &self.other).await.unwrap();
        let both = format!("watchNamespaces={{{},{}}}", self.home.name(), self.other);
        install_chart(&self.home, &[&both]).unwrap();
        other
    }

    /// Upgrades the release with the values that it has, and returns what helm prints.
    fn upgrade(&self) -> anyhow::Result<String> {
        let chart = xtask::cargo::root().join("charts/rototo-operator").display().to_string();
        let upgrade = ["upgrade", "rototo-operator", &chart, "--reuse-values", "--namespace", self.home.name()];
        self.home.cluster().helm(&upgrade)
    }

    /// Creates a workspace, and returns when its first commit is published.
    async fn publish_in(&self, namespace: &Namespace) {
        let spec = json!({ "source": self.repository.url(), "interval": "1h" });
        namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
        namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    }

    fn wait_for_metric(&self, namespace: &str, value: f64) {
        let label = format!("namespace=\"{namespace}\"");
        until(format!("{METRIC} of {namespace} to be {value}"), PATIENCE, || {
            let metrics = self.operator.metrics()?;
            let line = metrics.lines().find(|line| line.starts_with(METRIC) && line.contains(&label));
            let found = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
            Ok(if found == Some(value) { Observation::Done(()) } else { Observation::NotYet(format!("{found:?}")) })
        })
        .unwrap();
    }

    /// Returns the lines of the log that contain all of `parts`.
    fn logged(&self, parts: &[&str]) -> Vec<String> {
        let log = self.operator.process().unwrap().log();
        log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned).collect()
    }

    fn wait_until_logged(&self, part: &str) {
        until(format!("the line `{part}`"), PATIENCE, || {
            let lines = self.logged(&[part]);
            Ok(if lines.is_empty() { Observation::NotYet("no such line".to_owned()) } else { Observation::Done(()) })
        })
        .unwrap();
    }
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_yet_hinders_no_other_and_is_served_once_it_exists() {
    let two = Two::start(ControlPlane::shared().unwrap(), "not-yet").await;
    two.publish_in(&two.home).await;
    two.wait_for_metric(two.home.name(), 1.0);
    two.wait_for_metric(&two.other, 0.0);
    let lines = two.logged(&[&two.other, "can't be watched"]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("403 Forbidden: "), "{lines:#?}");
    assert_eq!(two.operator.probe("/readyz").unwrap().status, 200);

    let other = two.create_other().await;
    two.publish_in(&other).await;
    two.wait_for_metric(&two.other, 1.0);
    assert_eq!(two.logged(&[&format!("the namespace {} is watched", two.other)]).len(), 1);
    let lines = two.logged(&["Status {"]);
    assert!(lines.is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn a_deleted_namespace_hinders_no_other_floods_no_log_and_is_served_when_it_is_back() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    plane.start_controllers().unwrap();
    let mut two = Two::start(&plane, "deleted").await;
    let other = two.create_other().await;
    two.publish_in(&two.home).await;
    two.publish_in(&other).await;

    let namespaces = Api::<Object>::all(plane.client().await.unwrap());
    namespaces.delete(&two.other, &DeleteParams::default()).await.unwrap();
    until_async("the namespace to be gone", PATIENCE, async || {
        let left = namespaces.get_opt(&two.other).await?;
        Ok(left.map_or(Observation::Done(()), |namespace| Observation::NotYet(format!("{:?}", namespace.status))))
    })
    .await
    .unwrap();
    // The watches of the namespace last for minutes, and are not authorized again before they end.
    plane.kill_api_server().unwrap();
    plane.start_api_server().unwrap();
    two.wait_for_metric(&two.other, 0.0);

    let lines = two.logged(&["WARN", &two.other]);
    assert!(lines.len() < 15, "{lines:#?}");

    // The release can be upgraded, twice as well, and says where it left the rights out.
    for _ in 0..2 {
        let notes = two.upgrade().unwrap();
        assert!(notes.contains(&format!("the operator has no Role there: {}.", two.other)), "{notes}");
    }

    // An operator that starts now is ready, and serves the namespace that is left.
    two.operator.kill().unwrap();
    two.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 20").unwrap();
    two.repository.push().unwrap();
    let commit = two.repository.head().unwrap();
    two.operator.start_again().unwrap();
    two.operator.wait_until_ready().unwrap();
    let newest = |workspace: &RototoWorkspace| {
        let published = workspace.status.as_ref().and_then(|status| status.published.as_ref());
        published.and_then(|published| published.revision.as_ref()).is_some_and(|newest| newest.ends_with(&commit))
    };
    two.home.wait_for_workspace(WORKSPACE, "at the newest commit", newest).await.unwrap();
    two.wait_until_logged(&format!("the namespace {} can't be watched", two.other));

    let other = two.create_other().await;
    two.publish_in(&other).await;
    two.wait_for_metric(&two.other, 1.0);
    let lines = two.logged(&["WARN", &two.other]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

/// No controller of this control plane ends the deletion, so the namespace stays as one that is being deleted.
#[tokio::test]
async fn the_release_can_be_upgraded_while_a_namespace_is_being_deleted() {
    let cluster = ControlPlane::shared().unwrap();
    let two = Two::start(cluster, "ending").await;
    two.create_other().await;
    let notes = two.upgrade().unwrap();
    assert!(!notes.contains("no Role there"), "{notes}");

    cluster.kubectl(&["delete", "namespace", &two.other, "--wait=false"]).unwrap();
    cluster.kubectl(&["delete", "roles,rolebindings", "--all", "--namespace", &two.other]).unwrap();
    let notes = two.upgrade().unwrap();
    assert!(notes.contains(&format!("the operator has no Role there: {}.", two.other)), "{notes}");
}
