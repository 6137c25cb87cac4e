//! One process follows two workspaces: one doorbell serves both, and each handle gets only its own changes.

use std::collections::BTreeMap;

use kube::config::{KubeConfigOptions, Kubeconfig};
use rototo::{ProcessState, RefreshOptions, RefreshOutcome, RefreshingWorkspace, ResolveContext};
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{Cluster, ControlPlane, GitRepo, PATIENCE, Pod};
use serde_json::json;
use tokio::time::timeout;

use crate::scene::{Scene, TRIAL, WORKSPACE, example};

/// Returns the number of watches of ConfigMaps that the API server serves.
fn watches(cluster: &Cluster) -> u64 {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]).unwrap();
    let of_maps =
        |line: &&str| line.starts_with("apiserver_longrunning_requests{") && line.contains("resource=\"configmaps\"");
    metrics.lines().filter(of_maps).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Returns the options of a process in `pod`.
async fn options(pod: &Pod) -> RefreshOptions {
    let kubeconfig = Kubeconfig::read_from(pod.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    RefreshOptions::new()
        .with_cluster(rototo::Cluster::with_config(config))
        .with_token_file(pod.rototo_token_file())
        .with_start_timeout(PATIENCE)
}

fn policy(workspace: &RefreshingWorkspace) -> String {
    let facts = json!({ "service": { "queue_pressure": "high" }, "account": { "id": "acct-0001" } });
    let context = ResolveContext::from_json(facts).unwrap();
    let view = workspace.current().unwrap();
    view.resolve("service-degradation-policy", &context).unwrap().value_key.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_one_workspace_reaches_its_handle_and_no_other() {
    // The test counts watches, so it has a control plane of its own.
    let plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    let scene = Scene::published_on(&plane, "two").await;
    let other = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let spec = json!({ "source": other.url(), "interval": "1h" });
    scene.namespace.apply_workspace("other", spec).await.unwrap();
    scene.namespace.wait_for_condition("other", "Published", "True").await.unwrap();
    scene.namespace.grant("both", &[WORKSPACE, "other"]).unwrap();
    let pod = Pod::create(&scene.namespace, "both", "both", &BTreeMap::new()).await.unwrap();

    let before = watches(&plane);
    let options = options(&pod).await;
    let source = |name: &str| format!("kubernetes://{}/{name}", scene.namespace.name());
    let first = RefreshingWorkspace::load(source(WORKSPACE), options.clone()).await.unwrap();
    let again = RefreshingWorkspace::load(source(WORKSPACE), options.clone()).await.unwrap();
    let second = RefreshingWorkspace::load(source("other"), options).await.unwrap();
    assert_eq!(watches(&plane), before + 1, "three handles should share one watch");

    let mut changes = first.changes();
    let mut others = second.changes();
    let untouched = second.status();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    let swapped = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert_eq!(swapped.fingerprint().to_string(), published.fingerprint);
    assert_eq!(policy(&first), "severe");

    // By now the second handle would have been notified, too. It asks the operator itself, and learns that nothing
    // changed.
    assert_eq!(second.refresh_now().await.unwrap(), RefreshOutcome::Unchanged);
    let after = second.status();
    assert_eq!(policy(&second), "degraded");
    assert_eq!((after.fingerprint, after.updated_at), (untouched.fingerprint, untouched.updated_at));
    assert_eq!((after.applied_at, after.last_attempt), (untouched.applied_at, untouched.last_attempt));
    assert_eq!(after.state, ProcessState::Applied);
    assert!(timeout(std::time::Duration::ZERO, others.next()).await.is_err(), "the other handle should swap nothing");

    for handle in [&first, &again, &second] {
        assert_eq!(handle.status().hydrates, 1);
    }
    // The operator counts all handles as one process, which continues while one of them is open.
    again.shutdown().await;
    let status = scene.poll().await;
    assert_eq!(status.fleet.unwrap().processes, 1);
    first.shutdown().await;
    let gone = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().and_then(|status| status.fleet.as_ref()).is_some_and(|fleet| fleet.processes == 0)
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "without a process", gone).await.unwrap();
    second.shutdown().await;
}
