//! The way of a cluster administrator who has never seen the product.

use anyhow::{Context, ensure};

use super::Outcome;
use crate::cargo;
use crate::node::images;
use crate::node::machine::Machine;
use crate::node::observer::Status;
use crate::node::scene::{SERVICE, Scene, WORKSPACE, create_namespace};

/// The release, which is the name of its Deployment and Lease, too.
pub(super) const RELEASE: &str = "rototo-operator";
pub(super) const HOME: &str = "rototo-system";
/// The namespace whose fleet stays for the steps that replace the operator.
pub(super) const QUICKSTART: &str = "quickstart";

/// Returns the arguments of helm that install or upgrade the release from a chart, with the image that the nodes have.
pub(super) fn upgrade(chart: &str) -> Vec<String> {
    let image = images::reference(RELEASE);
    let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, ""));
    let words = ["upgrade", "--install", RELEASE, chart, "--namespace", HOME, "--wait", "--timeout=180s", "--set"];
    let image = format!("image.repository={repository},image.tag={tag}");
    words.iter().map(|word| (*word).to_owned()).chain([image]).collect()
}

/// Returns the path of the chart.
pub(super) fn chart() -> String {
    cargo::root().join("charts/rototo-operator").display().to_string()
}

pub(super) fn install(machine: &Machine) -> anyhow::Result<Outcome> {
    let cluster = machine.cluster();
    if cluster.get(&["namespace", HOME]).is_err() {
        create_namespace(&cluster, HOME)?;
    }
    let arguments = upgrade(&chart());
    cluster.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let pods = cluster.get(&["pods", "--namespace", HOME])?;
    let pods = pods["items"].as_array().map_or(0, Vec::len);
    Ok(Outcome::Passed(format!("{pods} pod(s) ready")))
}

pub(super) fn quickstart(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::existing(machine, QUICKSTART);
    let scene = match scene.status() {
        // The nodes were left running.
        Ok(_) => scene,
        Err(_) => follow_the_page(machine)?,
    };
    let status = scene.await_fleet(&scene.commit()?, 3)?;
    let is_ready = |status: &Status| status.condition("Ready").starts_with("True");
    let status =
        scene.await_status("the workspace is Ready", is_ready).with_context(|| format!("after {}", status.line()))?;
    let pod = scene.pod()?;
    ensure!(scene.policy(&pod)? > 0, "a pod gives no policy");
    Ok(Outcome::Passed(line(&status)))
}

/// Does what docs/quickstart.md says, with a repository over ssh, as the nodes have no host with https.
fn follow_the_page(machine: &Machine) -> anyhow::Result<Scene<'_>> {
    let scene = Scene::with_workspace(machine, QUICKSTART)?;
    let workspace = format!("rws/{WORKSPACE}");
    scene.kubectl(&["wait", "--for=condition=Published", &workspace, "--timeout=60s"])?;
    scene.deploy(scene.deployment()?)?;
    scene.kubectl(&["rollout", "status", &format!("deployment/{SERVICE}"), "--timeout=120s"])?;
    Ok(scene)
}

fn line(status: &Status) -> String {
    format!("FLEET {}, {}, CONVERGED-IN {}", status.fleet(), status.condition("Converged"), status.converged_in())
}
