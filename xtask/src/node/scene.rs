//! A namespace in which pods follow a workspace of their own, as the example's manifests make it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::images;
use super::machine::{ADDRESS, Machine};
use super::observer::{Observer, Status};
use super::wait::wait_for;
use crate::command::output;
use crate::{cargo, folder};

/// The workspace of the example's manifests.
pub(crate) const WORKSPACE: &str = "degradation-config";
/// The Deployment, container, and image of the example.
pub(crate) const SERVICE: &str = "degradation-service";
/// The time for things that take seconds on a machine with nothing else to do.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// The label with which a namespace accepts only pods without privileges.
const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";
const POLICY: &str = "degradation-config/resources/service-degradation-policy-objects/severe.toml";

/// A namespace, its repository, and the nodes that have both.
pub(crate) struct Scene<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
}

/// Creates a namespace that accepts only pods without privileges.
pub(crate) fn create_namespace(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    cluster.kubectl(&["create", "namespace", name])?;
    cluster.kubectl(&["label", "namespace", name, RESTRICTED]).map(drop)
}

impl<'a> Scene<'a> {
    /// Creates a namespace with a workspace and the three pods of the example, and waits until all run its first commit.
    pub(crate) fn with_fleet(machine: &'a Machine, name: &str) -> anyhow::Result<Self> {
        let scene = Self::with_workspace(machine, name)?;
        scene.deploy(scene.deployment()?)?;
        scene.await_fleet(&scene.commit()?, 3)?;
        Ok(scene)
    }

    /// Creates a namespace with a repository, a workspace that follows it, and the grants of the example.
    pub(crate) fn with_workspace(machine: &'a Machine, name: &str) -> anyhow::Result<Self> {
        let scene = Self { machine, cluster: machine.cluster(), namespace: name.to_owned() };
        scene.remove_earlier()?;
        create_namespace(&scene.cluster, name)?;
        scene.create_repository().context("create a repository")?;
        let key = |name: &str| format!("--from-file={name}={}", machine.state.join("ssh").join(name).display());
        let secret = ["create", "secret", "generic", "rototo-source", "--namespace", name];
        scene.cluster.kubectl(&[&secret[..], &[&key("identity"), &key("known_hosts")]].concat())?;
        scene.apply(&manifest("degradation-service/manifests/access.yaml")?)?;
        let source = format!("git+ssh://root@{ADDRESS}:2222{}#main:{WORKSPACE}", scene.bare().display());
        let public = "git+https://git.example.com/acme/runtime-config.git#main:degradation-config";
        scene.apply(&replaced(
            &manifest("degradation-service/manifests/workspace.yaml")?,
            public,
            &format!("{source}\n  secretRef:\n    name: rototo-source"),
        )?)?;
        Ok(scene)
    }

    /// Returns a scene that exists.
    pub(crate) fn existing(machine: &'a Machine, name: &str) -> Self {
        Self { machine, cluster: machine.cluster(), namespace: name.to_owned() }
    }

    /// Returns the Deployment of the example, with the image that the nodes have.
    pub(crate) fn deployment(&self) -> anyhow::Result<Value> {
        let image = images::reference(SERVICE);
        let text = manifest("degradation-service/manifests/deployment.yaml")?;
        self.object(&replaced(&text, "registry.example.com/degradation-service:0.1.0", &image)?)
    }

    /// Returns the object of a manifest, in this namespace.
    pub(crate) fn object(&self, text: &str) -> anyhow::Result<Value> {
        let json = self.cluster.kubectl_with(&["create", "--dry-run=client", "--output=json", "--filename=-"], text)?;
        let mut object: Value = serde_json::from_str(&json).context("read an object")?;
        object["metadata"]["namespace"] = json!(self.namespace);
        Ok(object)
    }

    pub(crate) fn deploy(&self, object: Value) -> anyhow::Result<()> {
        self.apply(&object.to_string())
    }

    pub(crate) fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        self.cluster.apply(&self.namespace, manifests)
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.kubectl(&[arguments, &["--namespace", &self.namespace]].concat())
    }

    pub(crate) fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.cluster.get(&[arguments, &["--namespace", &self.namespace]].concat())
    }

    fn bare(&self) -> PathBuf {
        self.machine.state.join("git").join(format!("{}.git", self.namespace))
    }

    fn checkout(&self) -> PathBuf {
        self.machine.state.join("git").join(&self.namespace)
    }

    /// Removes what an earlier run of the step has left on nodes that were kept.
    fn remove_earlier(&self) -> anyhow::Result<()> {
        self.cluster.kubectl(&["delete", "namespace", &self.namespace, "--ignore-not-found", "--timeout=120s"])?;
        folder::remove(&self.bare())?;
        folder::remove(&self.checkout())
    }

    fn create_repository(&self) -> anyhow::Result<()> {
        let (bare, checkout) = (self.bare(), self.checkout());
        fs::create_dir_all(&checkout).context("create a checkout")?;
        let mut init = git();
        output(init.args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&bare))?;
        let example = cargo::root().join("examples").join(WORKSPACE);
        output(Command::new("cp").arg("--recursive").arg(example).arg(&checkout))?;
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        self.git(&["remote", "add", "origin", &bare.to_string_lossy()])?;
        self.push("The example")
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(git().arg("-C").arg(self.checkout()).args(arguments))
    }

    fn push(&self, message: &str) -> anyhow::Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.git(&["push", "--quiet", "origin", "main"]).map(drop)
    }

    /// Returns the newest commit.
    pub(crate) fn commit(&self) -> anyhow::Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes another value of the severe policy, announces the push, and returns the commit.
    pub(crate) fn change(&self, max_concurrency: u32) -> anyhow::Result<String> {
        let path = self.checkout().join(POLICY);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let line = |line: &str| {
            if line.starts_with("max_concurrency = ") {
                format!("max_concurrency = {max_concurrency}\n")
            } else {
                format!("{line}\n")
            }
        };
        fs::write(&path, text.lines().map(line).collect::<String>()).context("write a policy")?;
        self.push(&format!("max_concurrency = {max_concurrency}"))?;
        let commit = self.commit()?;
        self.request(&commit)?;
        Ok(commit)
    }

    /// Asks the operator to poll the source now.
    pub(crate) fn request(&self, value: &str) -> anyhow::Result<()> {
        let annotation = format!("rototo.dev/reconcile-requested-at={value}");
        self.kubectl(&["annotate", "--overwrite", "rototoworkspace", WORKSPACE, &annotation]).map(drop)
    }

    /// Gives each publish ten seconds in place of one. The steps count processes, and measure no speed.
    pub(crate) fn be_patient(&self) -> anyhow::Result<()> {
        let patch = r#"{"spec":{"fleet":{"convergeWithin":"10s"}}}"#;
        self.kubectl(&["patch", "rototoworkspace", WORKSPACE, "--type=merge", "--patch", patch]).map(drop)
    }

    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        Ok(Status(self.get(&["rototoworkspace", WORKSPACE])?["status"].clone()))
    }

    pub(crate) fn observe(&self) -> anyhow::Result<Observer> {
        Observer::start(&self.cluster, &self.namespace, "rototoworkspace", WORKSPACE)
    }

    /// Waits until the publish of this commit runs in so many processes, and in no fewer.
    pub(crate) fn await_fleet(&self, commit: &str, fleet: u64) -> anyhow::Result<Status> {
        self.await_status(&format!("{fleet}/{fleet} run {}", &commit[..8]), |status| status.runs(commit, fleet))
    }

    /// Waits until a condition has this status and reason, such as `True/Converged`.
    pub(crate) fn await_condition(&self, name: &str, expected: &str) -> anyhow::Result<Status> {
        self.await_status(&format!("{name} is {expected}"), |status| status.condition(name) == expected)
    }

    /// Waits until the status is as it should be.
    pub(crate) fn await_status(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        wait_for(what, SOON, || {
            let status = self.status()?;
            ensure!(is_so(&status), "{}", status.line());
            Ok(status)
        })
    }

    /// Pushes a change, and waits until so many processes run it.
    pub(crate) fn change_converges(&self, max_concurrency: u32, fleet: u64) -> anyhow::Result<Status> {
        self.await_fleet(&self.change(max_concurrency)?, fleet)
    }

    /// Returns the pods with a label that have not been deleted.
    pub(crate) fn pods(&self, selector: &str) -> anyhow::Result<Vec<Value>> {
        let mut pods = self.get(&["pods", "--selector", selector])?;
        let pods = pods["items"].as_array_mut().map(std::mem::take).context("kubectl lists no pods")?;
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// Returns the pods of the Deployment.
    pub(crate) fn services(&self) -> anyhow::Result<Vec<Value>> {
        self.pods(&format!("app.kubernetes.io/name={SERVICE}"))
    }

    /// Returns one pod of the Deployment.
    pub(crate) fn pod(&self) -> anyhow::Result<Value> {
        self.services()?.into_iter().next().context("the Deployment has no pod")
    }

    pub(crate) fn pod_named(&self, name: &str) -> anyhow::Result<Value> {
        self.get(&["pod", name])
    }

    /// Returns the value that a pod gives for the severe policy.
    pub(crate) fn policy(&self, pod: &Value) -> anyhow::Result<u64> {
        let address = pod["status"]["podIP"].as_str().context("the pod has no address")?;
        let url = format!("http://{address}:8080/policy?queue_pressure=high&account_id=acct-001");
        let answer = output(Command::new("curl").args(["--silent", "--show-error", "--max-time", "5", &url]))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("read `{answer}`"))?;
        answer["policy"]["max_concurrency"].as_u64().with_context(|| format!("there is no policy in {answer}"))
    }

    /// Sends a signal to the first process of a container.
    pub(crate) fn signal(&self, pod: &Value, container: &str, signal: &str) -> anyhow::Result<()> {
        let (processes, _) = self.machine.container(&container_id(pod, container)?)?;
        let process = processes.first().with_context(|| format!("no process runs in {container}"))?;
        output(Command::new("kill").args([&format!("-{signal}"), &**process])).map(drop)
    }

    /// Waits until a container was restarted so many times and is ready.
    pub(crate) fn await_restart(&self, pod: &str, container: &str, times: u64) -> anyhow::Result<Value> {
        wait_for(&format!("{container} was restarted"), SOON, || {
            let pod = self.pod_named(pod)?;
            let status = container_status(&pod, container)?;
            let is_ready = status["ready"] == true;
            ensure!(is_ready && status["restartCount"].as_u64() >= Some(times), "its status is {status}");
            Ok(pod)
        })
    }
}

/// Returns the status of a container, or of a sidecar that is an init container.
pub(crate) fn container_status(pod: &Value, container: &str) -> anyhow::Result<Value> {
    let lists = ["containerStatuses", "initContainerStatuses"].map(|list| pod["status"][list].as_array());
    let found = lists.into_iter().flatten().flatten().find(|status| status["name"] == container);
    found.cloned().with_context(|| format!("the pod has no status of {container}"))
}

pub(crate) fn container_id(pod: &Value, container: &str) -> anyhow::Result<String> {
    let status = container_status(pod, container)?;
    let id = status["containerID"].as_str().unwrap_or_default();
    match id.strip_prefix("containerd://") {
        Some(id) => Ok(id.to_owned()),
        None => bail!("{container} has no id: {status}"),
    }
}

/// Returns the name of an object.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Returns the first container of an object with a pod template.
pub(crate) fn container_of(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]["containers"][0]
}

/// Adds a variable to a container.
pub(crate) fn set_variable(container: &mut Value, name: &str, value: &str) {
    if let Some(variables) = container["env"].as_array_mut() {
        variables.retain(|variable| variable["name"] != name);
        variables.push(json!({"name": name, "value": value}));
    }
}

/// Returns a manifest of the examples.
pub(crate) fn manifest(file: &str) -> anyhow::Result<String> {
    let path = cargo::root().join("examples").join(file);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Replaces a text that has to be there.
fn replaced(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    ensure!(text.contains(from), "a manifest of the example has no `{from}` to replace");
    Ok(text.replace(from, to))
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "node").env(format!("GIT_{role}_EMAIL"), "node@example.com");
    }
    git
}
