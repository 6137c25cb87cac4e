//! Two operators never write at the same time, even if one of them does not know that its term is over.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use rototo_api::names::{ANNOTATION_LEADER_SINCE, ANNOTATION_SNAPSHOTS, MARKERS};
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ControlPlane, Observation, Operator, PATIENCE, until, until_async};
use serde_json::json;

use crate::scene::{Scene, TRIAL, WORKSPACE, condition};

#[tokio::test]
async fn a_frozen_operator_is_replaced_and_writes_nothing_when_it_continues() {
    let flags = ["--identity=first", "--lease-seconds=3"];
    let mut scene = Scene::published_with(ControlPlane::shared().unwrap(), "leader", &flags).await;

    scene.operator.process().unwrap().freeze().unwrap();
    let second = Operator::start_with(&scene.namespace, &["--identity=second", "--lease-seconds=3"]).unwrap();
    let first = std::mem::replace(&mut scene.operator, second);
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let status = scene.push().await;
    assert_eq!(status.history.len(), 2);
    let version = scene.map_version().await;

    // If the first operator wrote at all, it would write its own address into the map.
    first.process().unwrap().thaw().unwrap();
    until("the first to notice", PATIENCE, || {
        let log = first.process()?.log();
        let noticed = log.contains("another operator writes now");
        Ok(if noticed { Observation::Done(()) } else { Observation::NotYet(first.process()?.last_words()) })
    })
    .unwrap();
    scene.repository.commit_outside("README.md", "outside of the workspace").unwrap();
    scene.push().await;
    assert_eq!(scene.map_version().await, version);
}

#[tokio::test]
async fn an_operator_that_ends_in_order_is_replaced_at_once() {
    let flags = ["--identity=first", "--lease-seconds=120"];
    let mut scene = Scene::published_with(ControlPlane::shared().unwrap(), "handover", &flags).await;
    let address = |map: &ConfigMap| map.annotations()[ANNOTATION_SNAPSHOTS].clone();
    let before = address(&scene.namespace.markers().await.unwrap().unwrap());
    scene.operator.terminate().unwrap();
    // With a lease of two minutes, the test would time out before the lease expires.
    let second = Operator::start_with(&scene.namespace, &["--identity=second", "--lease-seconds=120"]).unwrap();
    scene.operator = second;
    scene.poll().await;
    let after = address(&scene.namespace.markers().await.unwrap().unwrap());
    assert_ne!(after, before, "the map should have the address of the successor");
}

/// An operator that has the address of the one before has no other reason to write.
#[tokio::test]
async fn a_write_that_an_earlier_leader_decided_on_is_refused_once_the_next_one_leads() {
    let flags = ["--identity=first", "--lease-seconds=120"];
    let mut scene = Scene::published_with(ControlPlane::shared().unwrap(), "late-write", &flags).await;
    let earlier = scene.namespace.markers().await.unwrap().unwrap();
    scene.operator.terminate().unwrap();
    scene.operator = Operator::start_with(&scene.namespace, &["--identity=second", "--lease-seconds=120"]).unwrap();
    scene.poll().await;

    let now = scene.namespace.markers().await.unwrap().unwrap();
    let since = |map: &ConfigMap| map.annotations().get(ANNOTATION_LEADER_SINCE).cloned();
    assert!(since(&now) > since(&earlier), "{:?} follows {:?}", since(&now), since(&earlier));
    let late = json!({ "metadata": { "resourceVersion": earlier.resource_version() }, "data": { WORKSPACE: "late" } });
    let maps = scene.namespace.api::<ConfigMap>();
    let refused = maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(late)).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 409), "{refused}");
}

/// With a Lease of two minutes, the next renewal is due 40 s after the start. The test times out before.
#[tokio::test]
async fn an_operator_whose_lease_somebody_takes_stops_at_once() {
    let scene = Scene::published_with(ControlPlane::shared().unwrap(), "taken", &["--lease-seconds=120"]).await;
    let taken = json!({ "spec": { "holderIdentity": "somebody" } });
    let leases = scene.namespace.api::<Lease>();
    leases.patch("rototo-operator", &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    until("the operator to stop", Duration::from_secs(20), || {
        let log = scene.operator.process()?.log();
        let stopped = log.contains("another operator writes now");
        Ok(if stopped { Observation::Done(()) } else { Observation::NotYet(scene.operator.process()?.last_words()) })
    })
    .unwrap();
}

/// Nobody else may have led meanwhile, but reports may have gone to nobody.
#[tokio::test]
async fn an_operator_whose_lease_ran_out_publishes_at_once_and_counts_the_fleet_anew() {
    let flags = ["--lease-seconds=3", "--heartbeat-seconds=1"];
    let scene = Scene::with_flags(ControlPlane::shared().unwrap(), "lapse", &flags).await;
    scene.apply().await;
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;

    scene.operator.process().unwrap().freeze().unwrap();
    until_async("the Lease to run out", PATIENCE, async || {
        let lease = scene.namespace.api::<Lease>().get("rototo-operator").await?;
        let renewed = lease.spec.and_then(|spec| spec.renew_time).map(|renewed| renewed.0).unwrap_or_default();
        let is_over = Timestamp::now().duration_since(renewed) > SignedDuration::from_secs(3);
        Ok(if is_over { Observation::Done(()) } else { Observation::NotYet(renewed.to_string()) })
    })
    .await
    .unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.repository.push().unwrap();
    scene.ask().await;
    scene.operator.process().unwrap().thaw().unwrap();
    for expected in ["Unknown/Recounting", "True/Converged"] {
        let shows = |workspace: &RototoWorkspace| {
            let status = workspace.status.as_ref();
            status.is_some_and(|status| status.history.len() == 2 && condition(status, "Converged") == expected)
        };
        scene.namespace.wait_for_workspace(WORKSPACE, expected, shows).await.unwrap();
    }
}
