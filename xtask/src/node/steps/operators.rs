//! The operator and the API server are replaced, or away.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::Outcome;
use super::ends::evict;
use super::install::{HOME, QUICKSTART, RELEASE};
use super::placement::{self, are_on_all_nodes, holder};
use crate::command::output;
use crate::node::machine::Machine;
use crate::node::observer::Observed;
use crate::node::scene::{SERVICE, SOON, Scene, container_id, container_of, name, set_variable};
use crate::node::wait::wait_for;

pub(super) fn spread(machine: &Machine) -> anyhow::Result<Outcome> {
    let (home, scene) = (Scene::existing(machine, HOME), Scene::with_workspace(machine, "spread")?);
    let mut deployment = scene.deployment()?;
    placement::spread(&mut deployment);
    scene.deploy(deployment)?;
    scene.await_fleet(&scene.commit()?, 3)?;
    let spread = |pods: &[Value]| {
        ensure!(are_on_all_nodes(pods), "a node has none of the pods: {}", placement::line(pods));
        Ok(placement::line(pods))
    };
    let services = scene.services()?;
    let services_line = spread(&services)?;
    let installed = spread(&placement::operators(&home)?).context("after the install")?;
    placement::replace_operators(&home)?;
    let replaced = spread(&placement::operators(&home)?).context("after the rollout")?;
    scene.change_converges(50, 3)?;
    for pod in &services {
        let runs = scene.policy(pod)?;
        ensure!(runs == 50, "FLEET is 3/3, and a pod on {} gives {runs}", placement::node_of(pod));
    }
    Ok(Outcome::Passed(format!(
        "operators: {installed}, and after a rollout {replaced}; a push ran in 3/3 services: {services_line}"
    )))
}

pub(super) fn leader(machine: &Machine) -> anyhow::Result<Outcome> {
    without_leader(machine, [51, 52], |home, leader| {
        evict(home, leader)?;
        wait_for("another operator leads", SOON, || {
            ensure!(holder(home)? != leader, "{leader} holds the Lease");
            Ok(())
        })
    })
}

pub(super) fn leader_killed(machine: &Machine) -> anyhow::Result<Outcome> {
    without_leader(machine, [53, 54], |home, leader| home.signal(&home.pod_named(leader)?, "operator", "KILL"))
}

/// Ends the leader of several operators, and pushes at once.
fn without_leader(
    machine: &Machine,
    values: [u32; 2],
    end: impl FnOnce(&Scene, &str) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let (home, scene) = (Scene::existing(machine, HOME), Scene::existing(machine, QUICKSTART));
    let replicas = replicas(&home)?;
    ensure!(replicas > 1, "{replicas} operator runs");
    let rolled_out = ["rollout", "status", "deployment", RELEASE, "--timeout=120s"];
    home.kubectl(&rolled_out)?;
    scene.change_converges(values[0], 3)?;
    let observer = scene.observe()?;
    let started = Instant::now();
    end(&home, &holder(&home)?)?;
    let ended = started.elapsed().as_secs_f64();
    let status = scene.change_converges(values[1], 3)?;
    let seconds = started.elapsed().as_secs_f64();
    ready_is_untouched(&observer.no_deadline_exceeded()?)?;
    home.kubectl(&rolled_out)?;
    Ok(Outcome::Passed(format!(
        "of {replicas}, the leader was ended in {ended:.1} s, and a push ran in 3/3 after {seconds:.1} s; {}",
        status.condition("Converged")
    )))
}

/// Fails if a workspace that is all right was not Ready, other than for a publish in progress.
pub(super) fn ready_is_untouched(observed: &[Observed]) -> anyhow::Result<()> {
    // A push that is on its way is nothing that the operators' replacement did.
    let on_its_way = |ready: &str| ready.contains("Progressing") || ready.contains("Rehearsing");
    let is_touched = |ready: &str| !ready.starts_with("True") && !on_its_way(ready);
    match observed.iter().find(|one| is_touched(&one.status.condition("Ready"))) {
        Some(one) => bail!("Ready was touched: {}", one.status.line()),
        None => Ok(()),
    }
}

/// Returns the number of operators that the chart asks for.
fn replicas(home: &Scene) -> anyhow::Result<u64> {
    home.get(&["deployment", RELEASE])?["spec"]["replicas"].as_u64().context("the Deployment has no replicas")
}

pub(super) fn outage(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_workspace(machine, "outage")?;
    let mut deployment = scene.deployment()?;
    let container = container_of(&mut deployment);
    set_variable(container, "ROTOTO_CACHE_DIR", "/cache");
    add(&mut container["volumeMounts"], json!({"name": "cache", "mountPath": "/cache"}));
    add(&mut deployment["spec"]["template"]["spec"]["volumes"], json!({"name": "cache", "emptyDir": {}}));
    scene.deploy(deployment)?;
    scene.await_fleet(&scene.commit()?, 3)?;
    scene.change_converges(61, 3)?;
    let pod = scene.pod()?;
    let id = container_id(&pod, SERVICE)?;

    let home = Scene::existing(machine, HOME);
    // The chart's own number, so that Helm can take the field back.
    let replicas = format!("--replicas={}", replicas(&home)?);
    home.kubectl(&["scale", "deployment", RELEASE, "--replicas=0"])?;
    home.kubectl(&[
        "wait",
        "--for=delete",
        "pods",
        "--selector=app.kubernetes.io/name=rototo-operator",
        "--timeout=60s",
    ])?;
    let api_server = Stopped::stop(machine, "kube-apiserver")?;
    let killed = Instant::now();
    scene.signal(&pod, SERVICE, "KILL")?;
    wait_for("the process has ended", SOON, || {
        ensure!(machine.container(&id).is_err(), "its control group exists");
        Ok(())
    })?;
    let value = wait_for("the restarted process resolves", SOON, || scene.policy(&pod))?;
    let seconds = killed.elapsed().as_secs_f64();
    ensure!(value == 61, "the process gives {value}, and not what it had");
    drop(api_server);
    home.kubectl(&["scale", "deployment", RELEASE, &replicas])?;
    scene.await_restart(name(&pod), SERVICE, 1)?;
    scene.change_converges(62, 3)?;
    Ok(Outcome::Passed(format!(
        "a killed process resolved from its disk cache after {seconds:.1} s, with nobody there"
    )))
}

fn add(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

/// A program of the node that does not answer until this is dropped.
struct Stopped(Vec<String>);

impl Stopped {
    fn stop(machine: &Machine, program: &str) -> anyhow::Result<Self> {
        let stopped = Self(machine.processes(program)?);
        ensure!(!stopped.0.is_empty(), "{program} does not run");
        output(Command::new("kill").arg("-STOP").args(&stopped.0))?;
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = output(Command::new("kill").arg("-CONT").args(&self.0));
    }
}
