//! A node loses its power: nothing on it says goodbye, and for a while its pods look as if they ran.

use std::time::Instant;

use anyhow::{bail, ensure};
use serde_json::Value;

use super::Outcome;
use super::install::HOME;
use super::operators::ready_is_untouched;
use super::placement::{await_operators, holder, keep_on, lead_on, line, node_of, spread};
use crate::node::machine::{Machine, PoweredOff};
use crate::node::nodes::{CONTROL_PLANE, WORKER};
use crate::node::observer::{Observed, Observer, Status};
use crate::node::scene::{SERVICE, SOON, Scene, container_status, name};
use crate::node::wait::wait_for;

/// The answers of docs/convergence.md while a pod is lost and its object exists.
const WHILE_LOST: [&str; 3] = ["Unknown/Silent", "False/Progressing", "False/DeadlineExceeded"];

/// Loses the node of services and of an operator that does not lead, and gets it back.
pub(super) fn services(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_workspace(machine, "node-lost")?;
    let loss = Loss::of_services(machine, &scene)?;
    let silent = scene.await_condition("Converged", "Unknown/Silent")?;
    let silent = loss.line(&silent);

    let (pushed, commit) = (Instant::now(), scene.change(111)?);
    let stayed = format!("{}/{}", loss.pods - loss.lost.len(), loss.pods);
    let runs = |status: &Status| status.publishes(&commit) && status.fleet() == stayed;
    scene.await_status("a push runs where it can", runs)?;
    let seconds = pushed.elapsed().as_secs_f64();
    let late = loss.line(&scene.await_condition("Converged", "False/DeadlineExceeded")?);
    loss.await_replacements()?;
    let runs = |status: &Status| status.fleet().starts_with(&format!("{}/", loss.pods));
    let replaced = loss.line(&scene.await_status("the new processes run it", runs)?);
    for pod in &loss.lost {
        ensure!(scene.pod_named(name(pod)).is_ok(), "the cluster forgot {} before its node was back", name(pod));
    }
    let observed = loss.observer.take();
    only_answers(&observed, &WHILE_LOST)?;

    let (on, lost) = (Instant::now(), loss.lost.len());
    loss.powered_off.power_on()?;
    scene.await_fleet(&commit, 3)?;
    scene.await_condition("Converged", "True/Converged")?;
    let back = on.elapsed().as_secs_f64();
    ready_follows(&observed)?;
    ready_follows(&loss.observer.take())?;
    scene.change_converges(112, 3)?;
    Ok(Outcome::Passed(format!(
        "{lost} of 3 services lost: {silent}; a push ran in {stayed} after {seconds:.1} s, {late}; replaced: {replaced}; 3/3 \
         and True {back:.0} s after the power was back"
    )))
}

/// Loses the node of services, and removes it from the cluster, as a cloud does with a machine that is gone.
pub(super) fn removed(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_workspace(machine, "node-removed")?;
    let loss = Loss::of_services(machine, &scene)?;
    scene.await_condition("Converged", "Unknown/Silent")?;
    scene.cluster.kubectl(&["delete", "node", WORKER.name])?;
    let unprovable = scene.await_condition("Converged", "Unknown/Unprovable")?;
    let unprovable = loss.line(&unprovable);
    loss.await_replacements()?;
    let commit = scene.change(113)?;
    let runs = |status: &Status| status.publishes(&commit) && status.fleet().starts_with(&format!("{}/", loss.pods));
    let pushed = loss.line(&scene.await_status("a push runs in the new processes", runs)?);
    let observed = loss.observer.take();
    only_answers(&observed, &[&WHILE_LOST[..], &["Unknown/Unprovable"]].concat())?;
    ready_follows(&observed)?;
    let lost = loss.lost.len();
    loss.powered_off.power_on()?;
    Ok(Outcome::Passed(format!("{lost} of 3 services lost with their node: {unprovable}; after a push: {pushed}")))
}

/// Loses the node of the operator that leads, and pushes at once. No service is there.
pub(super) fn leader(machine: &Machine) -> anyhow::Result<Outcome> {
    let home = Scene::existing(machine, HOME);
    let scene = Scene::with_workspace(machine, "leader-lost")?;
    let mut deployment = scene.deployment()?;
    keep_on(&mut deployment, CONTROL_PLANE);
    converge(&scene, deployment)?;
    lead_on(&home, WORKER)?;
    let leader = holder(&home)?;
    scene.await_condition("Converged", "True/Converged")?;

    let observer = scene.observe()?;
    let off = Instant::now();
    let seconds = || off.elapsed().as_secs_f64();
    let powered_off = machine.power_off(WORKER)?;
    let commit = scene.change(121)?;
    wait_for("another operator leads", SOON, || {
        ensure!(holder(&home)? != leader, "{leader} holds the Lease");
        Ok(())
    })?;
    let led = seconds();
    scene.await_status("the push is published", |status| status.publishes(&commit))?;
    let published = seconds();
    scene.await_fleet(&commit, 3)?;
    let ran = seconds();
    scene.await_condition("Converged", "True/Converged")?;
    let converged = seconds();
    let observed = observer.take();
    let mut unclaimed = observed.iter().take_while(|one| !one.status.claims(&commit));
    ensure!(
        unclaimed.any(|one| one.status.condition("Converged") == "Unknown/Recounting"),
        "the new leader claimed the push before it had counted anew"
    );
    ready_is_untouched(&observed)?;

    await_operators(&home)?;
    let replaced = seconds();
    powered_off.power_on()?;
    scene.change_converges(122, 3)?;
    lead_on(&home, CONTROL_PLANE)?;
    Ok(Outcome::Passed(format!(
        "the leader's node lost: another one led after {led:.1} s, published a push after {published:.1} s, which ran in 3/3 \
         after {ran:.1} s, and was claimed after {converged:.0} s; the pod was replaced after {replaced:.0} s"
    )))
}

/// A node that was lost with services on it.
struct Loss<'a> {
    scene: &'a Scene<'a>,
    /// The number of pods of the Deployment.
    pods: usize,
    /// The pods that were lost.
    lost: Vec<Value>,
    observer: Observer,
    off: Instant,
    powered_off: PoweredOff<'a>,
}

impl<'a> Loss<'a> {
    /// Spreads three services, waits until they have converged, and takes the power of a node away.
    fn of_services(machine: &'a Machine, scene: &'a Scene<'a>) -> anyhow::Result<Self> {
        let mut deployment = scene.deployment()?;
        spread(&mut deployment);
        converge(scene, deployment)?;
        lead_on(&Scene::existing(machine, HOME), CONTROL_PLANE)?;
        scene.await_condition("Converged", "True/Converged")?;
        let all = scene.services()?;
        let lost: Vec<_> = all.iter().filter(|pod| node_of(pod) == WORKER.name).cloned().collect();
        ensure!(!lost.is_empty() && lost.len() < all.len(), "the services are not spread: {}", line(&all));
        let observer = scene.observe()?;
        let off = Instant::now();
        let powered_off = machine.power_off(WORKER)?;
        Ok(Self { scene, pods: all.len(), lost, observer, off, powered_off })
    }

    /// Waits until as many pods are ready elsewhere as there were.
    fn await_replacements(&self) -> anyhow::Result<()> {
        wait_for("the lost pods are replaced", SOON, || {
            let there = self.scene.services()?.into_iter().filter(|pod| node_of(pod) != WORKER.name);
            let is_ready = |pod: &Value| container_status(pod, SERVICE).is_ok_and(|status| status["ready"] == true);
            let ready = there.filter(is_ready).count();
            ensure!(ready == self.pods, "{ready} of {} are ready", self.pods);
            Ok(())
        })
    }

    /// Returns a status for people, with the time since the power was lost and the state of the lost pods in the API.
    fn line(&self, status: &Status) -> String {
        let seconds = self.off.elapsed().as_secs_f64();
        let phases = self.lost.iter().map(|pod| match self.scene.pod_named(name(pod)) {
            Ok(pod) if pod["metadata"]["deletionTimestamp"].is_null() => pod["status"]["phase"].to_string(),
            Ok(_) => "Terminating".to_owned(),
            Err(_) => "gone".to_owned(),
        });
        let phases = phases.collect::<Vec<_>>().join(", ").replace('"', "");
        format!("FLEET {} {} at {seconds:.0} s ({phases})", status.fleet(), status.condition("Converged"))
    }
}

/// Deploys services, and waits until they run the first commit, and are known to.
fn converge(scene: &Scene, deployment: Value) -> anyhow::Result<()> {
    scene.deploy(deployment)?;
    scene.be_patient()?;
    scene.await_fleet(&scene.commit()?, 3)?;
    scene.await_condition("Converged", "True/Converged").map(drop)
}

/// Fails if a workspace was not Ready for another reason than that a process is known not to run what is published: that
/// nobody knows leaves it Ready.
fn ready_follows(observed: &[Observed]) -> anyhow::Result<()> {
    let follows = |status: &Status| {
        let (ready, converged) = (status.condition("Ready"), status.condition("Converged"));
        ready.starts_with("True") || (ready == converged && converged.starts_with("False"))
    };
    match observed.iter().find(|one| !follows(&one.status)) {
        Some(one) => bail!("Ready does not follow from the answer: {}", one.status.line()),
        None => Ok(()),
    }
}

/// Fails if a status had another answer than these, once an answer has replaced that of the time before the loss.
fn only_answers(observed: &[Observed], allowed: &[&str]) -> anyhow::Result<()> {
    let answers = observed.iter().map(|one| (one.status.condition("Converged"), &one.status));
    let mut since = answers.skip_while(|(answer, _)| answer == "True/Converged");
    match since.find(|(answer, _)| !allowed.contains(&answer.as_str())) {
        Some((_, status)) => bail!("nobody knows what the lost process runs, and the answer was: {}", status.line()),
        None => Ok(()),
    }
}
