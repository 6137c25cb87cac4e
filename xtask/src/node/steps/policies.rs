//! The policies of a cluster.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::json;

use super::Outcome;
use super::install::{HOME, QUICKSTART, RELEASE, chart};
use crate::node::images;
use crate::node::machine::Machine;
use crate::node::scene::Scene;

pub(super) fn restricted(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::existing(machine, QUICKSTART);
    let privileged = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "privileged"},
        "spec": {"containers": [{
            "name": "x", "image": images::reference(RELEASE), "securityContext": {"privileged": true},
        }]},
    });
    for namespace in [HOME, &scene.namespace] {
        let error = scene.cluster.apply(namespace, &privileged.to_string()).err();
        let error = error.with_context(|| format!("{namespace} accepts a privileged pod"))?.to_string();
        ensure!(error.contains("violates PodSecurity \"restricted"), "{error}");
    }
    let running = ["get", "pods", "--field-selector=status.phase=Running", "--output=name", "--namespace"];
    let count = |namespace: &str| -> anyhow::Result<usize> {
        Ok(scene.cluster.kubectl(&[&running[..], &[namespace]].concat())?.lines().count())
    };
    let (operators, services) = (count(HOME)?, count(&scene.namespace)?);
    ensure!(operators > 0 && services == 3, "{operators} operators and {services} services run");
    Ok(Outcome::Passed(format!("a privileged pod is refused where {operators} operator and {services} services run")))
}

pub(super) fn network_policy(machine: &Machine) -> anyhow::Result<Outcome> {
    let cluster = machine.cluster();
    let values = fs::read_to_string(format!("{}/values.yaml", chart())).context("read the chart's values")?;
    if !values.lines().any(|line| line.starts_with("networkPolicy:")) {
        return Ok(Outcome::NotRun("the chart has no value networkPolicy".to_owned()));
    }
    let template = ["template", RELEASE, &chart(), "--namespace", HOME, "--set", "networkPolicy.enabled=true"];
    let rendered = cluster.helm(&[&template[..], &["--show-only", "templates/networkpolicy.yaml"]].concat())?;
    let answer =
        cluster.kubectl_with(&["apply", "--namespace", HOME, "--dry-run=server", "--filename=-"], &rendered)?;
    ensure!(answer.contains("networkpolicy"), "{answer}");
    Ok(Outcome::Passed(format!("{answer}; nothing enforces it on this node")))
}
