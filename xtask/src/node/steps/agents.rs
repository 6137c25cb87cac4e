//! A service in Python that asks an agent, with each of the example's manifests.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::Outcome;
use super::placement::{are_on_all_nodes, line, spread};
use crate::command::output;
use crate::node::images;
use crate::node::machine::Machine;
use crate::node::nodes::NODES;
use crate::node::python;
use crate::node::scene::{SOON, Scene, container_of, container_status, manifest, name, set_variable};
use crate::node::wait::wait_for;

/// The name of the agent's Deployment or DaemonSet, ServiceAccount, Service, container, and image.
const AGENT: &str = "rototo-agent";
/// The name of the service's Deployment, ServiceAccount, and container.
const CHECKOUT: &str = "checkout";

pub(super) fn sidecar(machine: &Machine) -> anyhow::Result<Outcome> {
    if let Some(not_run) = import(machine)? {
        return Ok(not_run);
    }
    let scene = Scene::with_workspace(machine, "agent-sidecar")?;
    scene.apply(&manifest("agent/access.yaml")?.replace(AGENT, CHECKOUT))?;
    scene.deploy(checkout(&scene)?)?;
    scene.await_fleet(&scene.commit()?, 3)?;
    scene.kubectl(&["rollout", "status", "deployment", CHECKOUT, "--timeout=180s"])?;
    changes_arrive(&scene, 91, 3)?;

    scene.be_patient()?;
    let observer = scene.observe()?;
    let pod = services(&scene)?.pop().context("the Deployment has no pod")?;
    scene.signal(&pod, AGENT, "KILL")?;
    let pod = scene.await_restart(name(&pod), AGENT, 1)?;
    changes_arrive(&scene, 92, 3)?;
    observer.no_deadline_exceeded()?;
    let restarts = container_status(&pod, CHECKOUT)?["restartCount"].as_u64();
    ensure!(restarts == Some(0), "the end of the agent ended the service: {restarts:?}");
    Ok(Outcome::Passed("3/3 agents, also after a kill of one; each service gives what its agent reports".to_owned()))
}

pub(super) fn node(machine: &Machine) -> anyhow::Result<Outcome> {
    shared(machine, "agent-node", "node.yaml", "daemonset", NODES.len() as u64)
}

pub(super) fn deployment(machine: &Machine) -> anyhow::Result<Outcome> {
    shared(machine, "agent-deployment", "deployment.yaml", "deployment", 2)
}

/// Deploys agents that pods share, and three services that find them by the name of their Service.
fn shared(machine: &Machine, name: &str, file: &str, kind: &str, agents: u64) -> anyhow::Result<Outcome> {
    if let Some(not_run) = import(machine)? {
        return Ok(not_run);
    }
    let scene = Scene::with_workspace(machine, name)?;
    scene.apply(&manifest("agent/access.yaml")?)?;
    scene.apply(&with_images(&manifest(&format!("agent/{file}"))?))?;
    scene.await_fleet(&scene.commit()?, agents)?;
    let rolled_out = ["rollout", "status", kind, AGENT];
    scene.kubectl(&[&rolled_out[..], &["--timeout=180s"]].concat())?;
    scene.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": CHECKOUT}}).to_string())?;
    scene.deploy(client(&scene)?)?;
    scene.kubectl(&["rollout", "status", "deployment", CHECKOUT, "--timeout=180s"])?;
    changes_arrive(&scene, 93, agents)?;

    // Clients are asked until all agents are replaced.
    let services = services(&scene)?;
    ensure!(are_on_all_nodes(&services), "a node has no service: {}", line(&services));
    let (started, mut asked, mut failed) = (Instant::now(), 0, Vec::new());
    scene.kubectl(&["rollout", "restart", kind, AGENT])?;
    let namespace = ["--namespace", &scene.namespace, "--timeout=180s"];
    let mut rollout = scene.cluster.kubectl_command(&[&rolled_out[..], &namespace].concat());
    let mut rollout = rollout.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("run kubectl")?;
    let ended = loop {
        for service in &services {
            let answer = ask(service)?;
            asked += 1;
            failed.extend(answer["error"].as_str().map(str::to_owned));
        }
        if let Some(ended) = rollout.try_wait().context("wait for kubectl")? {
            break ended;
        }
    };
    ensure!(ended.success(), "the agents were not replaced");
    let seconds = started.elapsed().as_secs_f64();
    ensure!(failed.is_empty(), "{} of {asked} answers failed: {}", failed.len(), failed[0]);
    changes_arrive(&scene, 94, agents)?;
    Ok(Outcome::Passed(format!(
        "{agents}/{agents} agents, and {asked} of {asked} answers while they were replaced in {seconds:.1} s"
    )))
}

/// Gives the nodes the image of the service, or says why it can't.
fn import(machine: &Machine) -> anyhow::Result<Option<Outcome>> {
    if Command::new(python::PROGRAM).arg("--version").output().is_err() {
        return Ok(Some(Outcome::NotRun(format!("this machine has no {}", python::PROGRAM))));
    }
    python::import(machine).map(|()| None)
}

/// Replaces the images of the manifests by those of the nodes.
fn with_images(text: &str) -> String {
    [(AGENT, AGENT), (CHECKOUT, python::NAME)].iter().fold(text.to_owned(), |text, (public, image)| {
        text.replace(&format!("registry.example.com/{public}:0.1.0"), &images::reference(image))
    })
}

/// Returns the Deployment of the service and its sidecar.
fn checkout(scene: &Scene) -> anyhow::Result<Value> {
    let mut deployment = scene.object(&with_images(&manifest("agent/sidecar.yaml")?))?;
    set_variable(container_of(&mut deployment), "LISTEN", "0.0.0.0:8080");
    Ok(deployment)
}

/// Returns the Deployment of a service that has no agent of its own, so that it does not count in the fleet.
fn client(scene: &Scene) -> anyhow::Result<Value> {
    let mut deployment = checkout(scene)?;
    set_variable(container_of(&mut deployment), "OFREP_ENDPOINT", &format!("http://{AGENT}:8016"));
    spread(&mut deployment);
    let template = &mut deployment["spec"]["template"];
    template["metadata"]["labels"] = json!({"app.kubernetes.io/name": CHECKOUT, "rototo-agent-client": "true"});
    template["spec"]["initContainers"] = json!([]);
    template["spec"]["volumes"] = json!([]);
    Ok(deployment)
}

fn services(scene: &Scene) -> anyhow::Result<Vec<Value>> {
    scene.pods(&format!("app.kubernetes.io/name={CHECKOUT}"))
}

/// Pushes a value, waits until all agents run it, and fails if a service then gives another one.
fn changes_arrive(scene: &Scene, value: u32, agents: u64) -> anyhow::Result<()> {
    // A service may still start.
    for service in services(scene)? {
        wait_for("the service answers", SOON, || ask(&service))?;
    }
    let status = scene.change_converges(value, agents)?;
    for service in services(scene)? {
        let answer = ask(&service)?;
        let (got, fingerprint) = (&answer["policy"]["max_concurrency"], &answer["fingerprint"]);
        ensure!(*got == value, "FLEET is {}, and a service gives {answer}", status.fleet());
        ensure!(*fingerprint == status.0["published"]["fingerprint"], "the answer is of {fingerprint}");
    }
    Ok(())
}

/// Returns the answer of a service.
fn ask(pod: &Value) -> anyhow::Result<Value> {
    let address = pod["status"]["podIP"].as_str().context("the pod has no address")?;
    let url = format!("http://{address}:8080/?account_id=acct-001&queue_pressure=high");
    let answer = output(Command::new("curl").args(["--silent", "--show-error", "--max-time", "5", &url]))?;
    serde_json::from_str(&answer).with_context(|| format!("read `{answer}`"))
}
