//! A node is drained as before its maintenance.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::Outcome;
use super::install::{HOME, RELEASE};
use super::operators::ready_is_untouched;
use super::placement::{Cordoned, holder, node_of, operators, replace_operators, spread};
use crate::node::cluster::Cluster;
use crate::node::machine::Machine;
use crate::node::nodes::NODES;
use crate::node::observer::Observer;
use crate::node::process_counter::{Miscounted, ProcessCounter};
use crate::node::scene::{SERVICE, Scene, container_of, set_variable};

/// The variable by which the processes of this step are counted.
const MARK: &str = "NODE_STEP";
/// The silence window of a small fleet. While its node runs, no start and no end of a process is overlooked for longer.
const SILENCE: Duration = Duration::from_secs(45);

pub(super) fn drain(machine: &Machine) -> anyhow::Result<Outcome> {
    let home = Scene::existing(machine, HOME);
    let scene = Scene::with_workspace(machine, "drain")?;
    let mut deployment = scene.deployment()?;
    spread(&mut deployment);
    set_variable(container_of(&mut deployment), MARK, "drain");
    scene.deploy(deployment)?;
    scene.deploy(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": SERVICE},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": SERVICE}}},
    }))?;
    scene.be_patient()?;
    scene.await_fleet(&scene.commit()?, 3)?;
    // Both operators are there, so the budget can't let them go together.
    let node = gather_operators(&home)?;
    // A process reports before its pod is ready.
    scene.kubectl(&["rollout", "status", "deployment", SERVICE, "--timeout=180s"])?;

    let observer = scene.observe()?;
    let deployment = |scene: &Scene, name| Observer::start(&scene.cluster, &scene.namespace, "deployment", name);
    let (operators_available, services_available) = (deployment(&home, RELEASE)?, deployment(&scene, SERVICE)?);
    let counter = ProcessCounter::start(SERVICE, format!("{MARK}=drain"));
    let started = Instant::now();
    let mut drain = Drain::start(&scene.cluster, node)?;
    let mut pushes = 0;
    while drain.runs()? {
        let commit = scene.change(100 + pushes)?;
        scene.await_status(&format!("{} runs everywhere", &commit[..8]), |status| status.runs_everywhere(&commit))?;
        pushes += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let refused = drain.refused()?;
    scene.change_converges(99, 3)?;
    let counts = counter.finish()?;

    let left = [operators(&home)?, scene.services()?].concat();
    let left = left.iter().filter(|pod| node_of(pod) == node).count();
    ensure!(left == 0, "{left} pods are left on {node}");
    ensure!(refused > 0, "two operators were evicted from {node}, and the budget never refused an eviction");
    let (operators, services) = (fewest(&operators_available), fewest(&services_available));
    ensure!(operators >= 1 && services >= 2, "{operators} operators and {services} services were left at a time");
    let mut observed = observer.no_deadline_exceeded()?;
    ready_is_untouched(&observed)?;
    observed.insert(0, observer.first.clone());
    drop(drain);
    // The next steps find them as an install leaves them.
    replace_operators(&home)?;
    let Miscounted { too_many, too_few } = Miscounted::of(&observed, &counts);
    ensure!(
        too_many <= SILENCE && too_few <= SILENCE,
        "FLEET counted too many processes for {too_many:.1?}, and too few for {too_few:.1?}"
    );
    Ok(Outcome::Passed(format!(
        "{node} was drained in {seconds:.1} s with {pushes} pushes; {refused} evictions were refused, at least {operators} \
         operator and {services} services were available; too many processes were counted for {too_many:.1?}, and too few \
         for {too_few:.1?}"
    )))
}

/// Has all operators run on the node of the leader, and returns that node.
fn gather_operators(home: &Scene) -> anyhow::Result<&'static str> {
    let leader = home.pod_named(&holder(home)?)?;
    let (here, others): (Vec<_>, Vec<_>) =
        NODES.iter().map(|node| node.name).partition(|node| *node == node_of(&leader));
    let here = *here.first().context("the leader is on no node")?;
    let cordoned = Cordoned::cordon(&home.cluster, others)?;
    replace_operators(home)?;
    drop(cordoned);
    let operators = operators(home)?;
    let there = operators.iter().filter(|pod| node_of(pod) == here).count();
    ensure!(operators.len() > 1 && there == operators.len(), "{there} of {} operators are on {here}", operators.len());
    Ok(here)
}

/// Returns the smallest number of pods of a Deployment that were available at a time.
fn fewest(observer: &Observer) -> u64 {
    let observed = observer.take();
    let all = observed.iter().chain([&observer.first]);
    all.map(|one| one.status.0["availableReplicas"].as_u64().unwrap_or_default()).min().unwrap_or_default()
}

/// A drain of a node, which takes pods again when this is dropped.
struct Drain<'a> {
    kubectl: Child,
    _cordoned: Cordoned<'a>,
}

impl<'a> Drain<'a> {
    fn start(cluster: &'a Cluster, node: &'static str) -> anyhow::Result<Self> {
        let cordoned = Cordoned::cordon(cluster, vec![node])?;
        let arguments = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"];
        let mut command = cluster.kubectl_command(&arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self { kubectl: command.spawn().context("run kubectl")?, _cordoned: cordoned })
    }

    fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.kubectl.try_wait().context("wait for kubectl")?.is_none())
    }

    /// Returns the number of evictions that a budget refused. Fails if the drain has failed.
    fn refused(&mut self) -> anyhow::Result<usize> {
        let ended = self.kubectl.wait().context("wait for kubectl")?;
        let said = self.kubectl.stderr.take().context("read the output of kubectl")?;
        let said = std::io::read_to_string(said).context("read the output of kubectl")?;
        ensure!(ended.success(), "the drain failed: {}", said.trim());
        Ok(said.lines().filter(|line| line.contains("disruption budget")).count())
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
