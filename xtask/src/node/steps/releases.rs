//! The release is upgraded, removed, and installed again.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::Outcome;
use super::install::{HOME, QUICKSTART, RELEASE, chart, upgrade};
use super::operators::ready_is_untouched;
use crate::cargo;
use crate::command::output;
use crate::node::cluster::Cluster;
use crate::node::machine::Machine;
use crate::node::scene::{SERVICE, Scene, WORKSPACE, name};

const CHART: &str = "charts/rototo-operator";

pub(super) fn upgrade_from_last(machine: &Machine) -> anyhow::Result<Outcome> {
    let cluster = machine.cluster();
    let git = |arguments: &[&str]| output(Command::new("git").arg("-C").arg(cargo::root()).args(arguments));
    // Uncommitted changes count as the newest ones.
    let is_changed = !git(&["status", "--porcelain", "--", CHART])?.is_empty();
    let count = if is_changed { "--max-count=1" } else { "--max-count=2" };
    let commits = git(&["log", count, "--format=%h", "--", CHART])?;
    let earlier = commits.lines().last().context("no commit has the chart")?;
    let folder = machine.state.join("earlier-chart");
    fs::create_dir_all(&folder).context("create a folder for the earlier chart")?;
    let archive = folder.with_extension("tar");
    git(&["archive", &format!("--output={}", archive.display()), earlier, "--", CHART])?;
    output(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&folder))?;

    uninstall(&cluster)?;
    helm(&cluster, &folder.join(CHART).to_string_lossy(), &[])?;
    let (scene, home) = (Scene::existing(machine, QUICKSTART), Scene::existing(machine, HOME));
    let status = scene.change_converges(71, 3)?;
    ensure!(status.fleet() == "3/3", "{}", status.line());
    let (before, operator) = (pods(&scene, SERVICE)?, pods(&home, RELEASE)?);
    let observer = scene.observe()?;
    let started = Instant::now();
    // The annotation replaces the operator's pods even where the charts differ in nothing else.
    helm(&cluster, &chart(), &["--set", "podAnnotations.upgraded=again"])?;
    let upgraded = started.elapsed().as_secs_f64();
    let status = scene.change_converges(72, 3)?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(pods(&scene, SERVICE)? == before, "the upgrade replaced pods of the fleet");
    let kept = pods(&home, RELEASE)?.into_iter().filter(|pod| operator.contains(pod)).count();
    ensure!(kept == 0, "{kept} of {} operators were not replaced", operator.len());
    ready_is_untouched(&observer.no_deadline_exceeded()?)?;
    Ok(Outcome::Passed(format!(
        "from the chart of {earlier}: {} pod(s) were replaced in {upgraded:.1} s, and a push ran in 3/3 after {seconds:.1} s; {}",
        operator.len(),
        status.condition("Converged")
    )))
}

pub(super) fn reinstall(machine: &Machine) -> anyhow::Result<Outcome> {
    let cluster = machine.cluster();
    let scene = Scene::existing(machine, QUICKSTART);
    scene.change_converges(81, 3)?;
    let (uid, before) = (uid(&scene)?, pods(&scene, SERVICE)?);
    uninstall(&cluster)?;
    let pod = scene.pod()?;
    ensure!(scene.policy(&pod)? == 81, "a process lost its configuration with the operator");
    ensure!(uid == self::uid(&scene)?, "the workspace was replaced");
    let started = Instant::now();
    helm(&cluster, &chart(), &[])?;
    let installed = started.elapsed().as_secs_f64();
    scene.change_converges(82, 3)?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(uid == self::uid(&scene)? && before == pods(&scene, SERVICE)?, "the workspace or its pods were replaced");
    Ok(Outcome::Passed(format!(
        "the fleet ran on; installed in {installed:.1} s, and a push ran in 3/3 after {seconds:.1} s"
    )))
}

fn uninstall(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.helm(&["uninstall", RELEASE, "--namespace", HOME, "--wait", "--timeout=120s"]).map(drop)
}

fn helm(cluster: &Cluster, chart: &str, settings: &[&str]) -> anyhow::Result<()> {
    let arguments = upgrade(chart);
    cluster.helm(&arguments.iter().map(String::as_str).chain(settings.iter().copied()).collect::<Vec<_>>()).map(drop)
}

fn uid(scene: &Scene) -> anyhow::Result<String> {
    Ok(scene.get(&["rototoworkspace", WORKSPACE])?["metadata"]["uid"].to_string())
}

fn pods(scene: &Scene, application: &str) -> anyhow::Result<Vec<String>> {
    let pods = scene.pods(&format!("app.kubernetes.io/name={application}"))?;
    Ok(pods.iter().map(|pod| name(pod).to_owned()).collect())
}
