//! Pods with several containers that follow a workspace.

use anyhow::ensure;
use serde_json::{Value, json};

use super::Outcome;
use crate::node::machine::Machine;
use crate::node::scene::{SERVICE, Scene, container_of, name, set_variable};

const SIDECAR: &str = "sidecar";

pub(super) fn sidecar(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_workspace(machine, "sidecar")?;
    let (mut deployment, sidecar) = with_sidecar(&scene)?;
    if let Some(containers) = deployment["spec"]["template"]["spec"]["containers"].as_array_mut() {
        containers.push(sidecar);
    }
    follows_twice(&scene, deployment)
}

pub(super) fn native_sidecar(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_workspace(machine, "native-sidecar")?;
    let (mut deployment, mut sidecar) = with_sidecar(&scene)?;
    sidecar["restartPolicy"] = json!("Always");
    deployment["spec"]["template"]["spec"]["initContainers"] = json!([sidecar]);
    follows_twice(&scene, deployment)
}

/// Returns a Deployment of one pod, and a second container for it.
fn with_sidecar(scene: &Scene) -> anyhow::Result<(Value, Value)> {
    let mut deployment = scene.deployment()?;
    deployment["spec"]["replicas"] = json!(1);
    let mut sidecar = container_of(&mut deployment).clone();
    sidecar["name"] = json!(SIDECAR);
    sidecar["ports"] = json!([{"name": "side", "containerPort": 8081}]);
    sidecar["readinessProbe"]["httpGet"]["port"] = json!("side");
    set_variable(&mut sidecar, "LISTEN", "0.0.0.0:8081");
    set_variable(&mut sidecar, "ROTOTO_CONTAINER", SIDECAR);
    Ok((deployment, sidecar))
}

/// Deploys a pod of two processes, and kills each of them.
fn follows_twice(scene: &Scene, deployment: Value) -> anyhow::Result<Outcome> {
    scene.deploy(deployment)?;
    scene.await_fleet(&scene.commit()?, 2)?;
    scene.be_patient()?;
    let observer = scene.observe()?;
    let pod = scene.pod()?;
    for (container, value) in [(SERVICE, 41), (SIDECAR, 42)] {
        scene.signal(&pod, container, "KILL")?;
        let commit = scene.change(value)?;
        let pod = scene.await_restart(name(&pod), container, 1)?;
        scene.await_fleet(&commit, 2)?;
        ensure!(scene.policy(&pod)? == u64::from(value), "the pod does not give the pushed value");
    }
    observer.no_deadline_exceeded()?;
    Ok(Outcome::Passed("2/2 in one pod, also after a kill of each".to_owned()))
}
