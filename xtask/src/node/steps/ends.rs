//! The ways in which a process or a pod ends.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::Outcome;
use crate::node::machine::Machine;
use crate::node::observer::Observed;
use crate::node::scene::{SERVICE, SOON, Scene, container_id, container_of, container_status, name, set_variable};
use crate::node::wait::wait_for;

pub(super) fn kill(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "kill")?;
    scene.be_patient()?;
    let pod = scene.pod()?;
    let observer = scene.observe()?;
    let killed = Instant::now();
    scene.signal(&pod, SERVICE, "KILL")?;
    let commit = scene.change(31)?;
    scene.await_restart(name(&pod), SERVICE, 1)?;
    let ready = killed.elapsed().as_secs_f64();
    scene.await_fleet(&commit, 3)?;
    let counted = killed.elapsed().as_secs_f64();
    let observed = observer.no_deadline_exceeded()?;
    let too_many = longest_above(&observed, 3);
    Ok(Outcome::Passed(format!(
        "the container was ready after {ready:.1} s, 3/3 ran the push after {counted:.1} s; more than 3 processes were \
         counted for {too_many:.1} s"
    )))
}

/// Returns the seconds for which more processes were counted than there are pods.
fn longest_above(observed: &[Observed], pods: u64) -> f64 {
    let pairs = observed.iter().zip(observed.iter().skip(1));
    pairs
        .filter(|(one, _)| one.status.expected() > pods)
        .map(|(one, next)| (next.at - one.at).as_secs_f64())
        .fold(0.0, |all, one| all + one)
}

pub(super) fn out_of_memory(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "oom")?;
    scene.be_patient()?;
    let pod = scene.pod()?;
    let observer = scene.observe()?;
    let (_, group) = machine.container(&container_id(&pod, SERVICE)?)?;
    let _eater = Eater::start(&group.join("cgroup.procs").to_string_lossy())?;
    let pod = scene.await_restart(name(&pod), SERVICE, 1)?;
    let last = container_status(&pod, SERVICE)?["lastState"]["terminated"]["reason"].clone();
    ensure!(last == "OOMKilled", "the container ended by {last}");
    scene.change_converges(32, 3)?;
    observer.no_deadline_exceeded()?;
    Ok(Outcome::Passed("OOMKilled, restarted, and counted once".to_owned()))
}

/// A process that joins a control group, and takes memory there until the kernel ends something.
struct Eater(Child);

impl Eater {
    fn start(group: &str) -> anyhow::Result<Self> {
        // The kernel ends the container's process first: the kubelet has raised its score.
        let mut command = Command::new("bash");
        command.args(["-c", "echo $$ > \"$1\" && exec tail /dev/zero", "eater", group]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("run bash")?))
    }
}

impl Drop for Eater {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn crash_loop(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "crash-loop")?;
    scene.be_patient()?;
    let observer = scene.observe()?;
    let mut broken = scene.deployment()?;
    broken["metadata"]["name"] = json!("broken");
    broken["spec"]["replicas"] = json!(1);
    for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        let labels = broken.pointer_mut(labels).context("the Deployment has no labels")?;
        labels["app.kubernetes.io/name"] = json!("broken");
    }
    // The process opens the workspace, and then ends: it can't listen there.
    set_variable(container_of(&mut broken), "LISTEN", "192.0.2.1:80");
    scene.deploy(broken)?;
    let pod = wait_for("the pod crashes in a loop", SOON, || {
        let pod = scene.pods("app.kubernetes.io/name=broken")?.into_iter().next().context("there is no pod yet")?;
        let status = container_status(&pod, SERVICE)?;
        let waits = status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        ensure!(waits && status["restartCount"].as_u64() >= Some(2), "its status is {status}");
        Ok(pod)
    })?;
    let restarts = container_status(&pod, SERVICE)?["restartCount"].clone();
    scene.change_converges(33, 3)?;
    observer.no_deadline_exceeded()?;
    Ok(Outcome::Passed(format!("after {restarts} restarts, a push converged on 3/3")))
}

pub(super) fn job(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "job")?;
    scene.be_patient()?;
    let observer = scene.observe()?;
    let mut template = scene.deployment()?["spec"]["template"].take();
    template["spec"]["restartPolicy"] = json!("Never");
    template["metadata"]["labels"]["app.kubernetes.io/name"] = json!("job");
    let metadata = json!({"name": "job"});
    let spec = json!({"backoffLimit": 0, "template": template});
    scene.deploy(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))?;
    scene.await_fleet(&scene.commit()?, 4)?;
    let pod = scene.pods("app.kubernetes.io/name=job")?.into_iter().next().context("the Job has no pod")?;
    // The service ends by itself, with success.
    scene.signal(&pod, SERVICE, "TERM")?;
    let ended = Instant::now();
    scene.await_fleet(&scene.commit()?, 3)?;
    let seconds = ended.elapsed().as_secs_f64();
    scene.kubectl(&["wait", "--for=condition=Complete", "job/job", "--timeout=120s"])?;
    scene.change_converges(34, 3)?;
    observer.no_deadline_exceeded()?;
    Ok(Outcome::Passed(format!("counted as the fourth process, and no longer {seconds:.1} s after its end")))
}

pub(super) fn eviction(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "eviction")?;
    scene.be_patient()?;
    let observer = scene.observe()?;
    let pod = scene.pod()?;
    let started = Instant::now();
    evict(&scene, name(&pod))?;
    let commit = scene.change(35)?;
    wait_for("another pod is in its place", SOON, || {
        let pods = scene.services()?;
        let ready = |pod: &&Value| container_status(pod, SERVICE).is_ok_and(|status| status["ready"] == true);
        let count = pods.iter().filter(|other| name(other) != name(&pod)).filter(ready).count();
        ensure!(count == 3, "{count} other pods are ready");
        Ok(())
    })?;
    scene.await_fleet(&commit, 3)?;
    observer.no_deadline_exceeded()?;
    Ok(Outcome::Passed(format!("3/3 with another pod after {:.1} s", started.elapsed().as_secs_f64())))
}

/// Evicts a pod as a drain does: with respect for PodDisruptionBudgets.
pub(super) fn evict(scene: &Scene, pod: &str) -> anyhow::Result<()> {
    let namespace = &scene.namespace;
    let metadata = json!({"name": pod, "namespace": namespace});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}).to_string();
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let answer = scene.cluster.kubectl_with(&["create", "--raw", &path, "--filename=-"], &eviction)?;
    if answer.contains("Success") { Ok(()) } else { bail!("the eviction of {pod} is refused: {answer}") }
}
