//! Metrics of a real Prometheus server decide about the steps of a rollout.

use std::fmt::Write;

use rototo_api::analysis::AnalysisStatus;
use rototo_api::workspace::RototoWorkspaceStatus;
use rototo_tests::harness::{App, MetricsTarget, Observation, PATIENCE, Prometheus, Silent, until};
use serde_json::{Value, json};

use crate::rollout::{at_step, by_content, fingerprint_before, three_with, wait};
use crate::scene::{POLICY, Scene, condition};

/// A rollout to one pod, and then to all, with this limit for the ratio of errors of the pods of the stage.
fn rollout(address: &str, failure_limit: u32) -> Value {
    let query = r#"max(error_ratio{pod=~"{{pods}}"})"#;
    json!({
        "steps": [{ "pods": 1 }, { "pause": {} }],
        "analysis": [{
            "name": "errors",
            "provider": { "prometheus": { "address": address, "query": query } },
            "successCondition": "result < 0.05",
            "failureLimit": failure_limit,
            "interval": "1s",
        }],
    })
}

/// Makes each service report this ratio of errors: the first for the services of the stage, the second for the others.
fn report(target: &MetricsTarget, apps: &[App], (staged, others): (f64, f64), published: &str) {
    let (stable, _) = by_content(apps, published);
    let mut metrics = "# TYPE error_ratio gauge\n".to_owned();
    for (index, app) in apps.iter().enumerate() {
        let ratio = if stable.contains(&index) { others } else { staged };
        writeln!(metrics, "error_ratio{{pod=\"{}\"}} {ratio}", app.pod().name()).unwrap();
    }
    target.set(&metrics).unwrap();
}

async fn wait_for_analysis(
    scene: &Scene,
    what: &str,
    holds: impl Fn(&AnalysisStatus) -> bool,
) -> RototoWorkspaceStatus {
    let shown = |status: &RototoWorkspaceStatus| status.rollout.as_ref()?.analysis.first().cloned();
    wait(scene, what, |status| shown(status).is_some_and(|analysis| holds(&analysis))).await
}

fn edit(scene: &Scene) -> String {
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap()
}

#[tokio::test]
async fn a_step_waits_for_its_metrics_and_a_query_that_passes_promotes() {
    let target = MetricsTarget::start().unwrap();
    let prometheus = Prometheus::start(&target).unwrap();
    let mut spec = rollout(&prometheus.url(), 1_000);
    spec["steps"] = json!([{ "pods": 1 }, { "pause": { "duration": "1s" } }]);
    let (mut scene, apps) = three_with("analysis-passes", spec).await;
    let before = fingerprint_before(&scene).await;
    let commit = edit(&scene);
    scene.push().await;

    // Without a series a measurement is inconclusive, and the step does not end although its pod runs the revision.
    let status = wait_for_analysis(&scene, "inconclusive four times", |errors| errors.inconclusive >= 4).await;
    let shown = status.rollout.unwrap();
    assert_eq!((shown.step, shown.next.as_str(), shown.analysis[0].phase.as_str()), (0, "1/1", "Running"));
    assert_eq!(shown.analysis[0].last.as_deref(), Some("the query returned no series"));
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    let status = wait_for_analysis(&scene, "measured anew", |errors| (1..4).contains(&errors.inconclusive)).await;
    assert_eq!(status.rollout.unwrap().step, 0);

    // Only the pods of the stage count.
    report(&target, &apps, (0.01, 0.9), &before);
    let published = scene.wait_for_fleet(3).await.published.unwrap();
    assert!(published.revision.unwrap().ends_with(&commit));
    assert_eq!(by_content(&apps, &published.fingerprint).0.len(), 3);
    let measured = |outcome: &str| {
        scene.operator.metric("rototo_analysis_measurements_total", &[&format!("outcome=\"{outcome}\"")]).unwrap()
    };
    assert!(measured("successful") >= 2.0 && measured("failed") == 0.0);
}

#[tokio::test]
async fn a_query_that_fails_takes_the_revision_back() {
    let target = MetricsTarget::start().unwrap();
    let prometheus = Prometheus::start(&target).unwrap();
    let (mut scene, apps) = three_with("analysis-fails", rollout(&prometheus.url(), 1)).await;
    let before = fingerprint_before(&scene).await;
    report(&target, &apps, (0.01, 0.01), &before);
    let commit = edit(&scene);
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    wait_for_analysis(&scene, "successful", |errors| errors.phase == "Successful").await;

    report(&target, &apps, (0.31, 0.01), &before);
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    let status = wait(&scene, "held back", held_back).await;
    let held = status.held.clone().unwrap();
    let failed = held.analysis.clone().unwrap();
    assert!(held.revision.ends_with(&commit));
    assert_eq!((failed.name.as_str(), failed.phase.as_str(), failed.failed), ("errors", "Failed", 2));
    let ready = status.condition("Ready").unwrap();
    assert!(
        ready.message.contains("its analysis errors failed") && ready.message.contains("0.31"),
        "{}",
        ready.message
    );
    wait(&scene, "converged", |status| condition(status, "Converged") == "True/Converged").await;
    assert_eq!(by_content(&apps, &before).0.len(), 3);

    // An operator that starts anew knows why, and begins nothing again.
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    let held = wait(&scene, "held back", held_back).await.held.unwrap();
    assert_eq!((held.analysis, scene.markers().await), (Some(failed), markers));
}

#[tokio::test]
async fn a_prometheus_that_is_gone_is_inconclusive_and_takes_the_revision_back_beyond_the_limit() {
    let target = MetricsTarget::start().unwrap();
    let mut prometheus = Prometheus::start(&target).unwrap();
    let (scene, apps) = three_with("analysis-gone", rollout(&prometheus.url(), 2)).await;
    let before = fingerprint_before(&scene).await;
    report(&target, &apps, (0.01, 0.01), &before);
    edit(&scene);
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    wait_for_analysis(&scene, "successful", |errors| errors.phase == "Successful").await;
    prometheus.kill().unwrap();
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    let held = wait(&scene, "held back", held_back).await.held.unwrap();
    let failed = held.analysis.unwrap();
    assert_eq!((failed.failed, failed.inconclusive), (0, 3));
    assert!(failed.last.unwrap().contains("could not be reached"));
    for app in &apps {
        app.wait_for_state("back", |state| state["fingerprint"] == before.as_str()).unwrap();
    }
}

#[tokio::test]
async fn a_query_that_hangs_holds_no_other_workspace() {
    let silent = Silent::listen().unwrap();
    let (scene, _apps) = three_with("analysis-hangs", rollout(silent.url(), 1_000)).await;
    edit(&scene);
    scene.push().await;
    let mut names = (1..=5).map(|number| format!("other-{number}"));
    // A workspace is published while one query hangs. Another query may begin meanwhile, and then another workspace tells.
    let published_meanwhile = loop {
        let Some(name) = names.next() else { break false };
        let before = silent.accepted();
        until("a query to hang", PATIENCE, || {
            let accepted = silent.accepted();
            Ok(if accepted > before { Observation::Done(()) } else { Observation::NotYet(accepted.to_string()) })
        })
        .unwrap();
        let hangs = silent.accepted();
        let spec = json!({ "source": scene.repository.url(), "interval": "1h" });
        scene.namespace.apply_workspace(&name, spec).await.unwrap();
        scene.namespace.wait_for_condition(&name, "Published", "True").await.unwrap();
        if silent.accepted() == hangs {
            break true;
        }
    };
    assert!(published_meanwhile, "each workspace waited for the end of a query");
}

#[tokio::test]
async fn the_api_server_refuses_an_analysis_that_could_not_decide() {
    let scene = Scene::published("analysis-spec").await;
    let good = rollout("https://prometheus.example.com", 1);
    let with = |path: &str, value: Value| {
        let mut spec = json!({ "source": scene.repository.url(), "interval": "1h", "rollout": good.clone() });
        *spec.pointer_mut(path).unwrap_or_else(|| panic!("{path} exists")) = value;
        scene.namespace.apply_workspace("other", spec)
    };
    with("/rollout", good.clone()).await.unwrap();
    let first = |field: &str| format!("/rollout/analysis/0/{field}");
    for (path, value, expected) in [
        (first("successCondition"), json!("result < 0.05 && result > 0"), "successCondition is one comparison"),
        (first("successCondition"), json!("len(result) > 0"), "successCondition is one comparison"),
        (first("provider/prometheus/address"), json!("ftp://x"), "the address is written"),
        (first("provider/prometheus/address"), json!("http://user@x"), "the address is written"),
        (first("provider/prometheus/query"), json!("up{a=\"{{args.x}}\"}"), "a query may have {{pods}}"),
        (first("interval"), json!("1ms"), "interval must lie between"),
        ("/rollout/steps".to_owned(), json!([]), "analysis needs steps"),
    ] {
        let error = format!("{:#}", with(&path, value).await.unwrap_err());
        assert!(error.contains(expected), "{path}: {error}");
    }
    let prometheus = json!({ "address": "http://x", "query": "up", "secretRef": { "name": "rototo-prometheus" } });
    let error = format!("{:#}", with(&first("provider/prometheus"), prometheus).await.unwrap_err());
    assert!(error.contains("secretRef needs an address with https"), "{error}");
    let mut counted = good.clone();
    counted["analysis"][0]["count"] = json!(1);
    let error = format!("{:#}", with("/rollout", counted).await.unwrap_err());
    assert!(error.contains("count must be greater than failureLimit"), "{error}");
}
