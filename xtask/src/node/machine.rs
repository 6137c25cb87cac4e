//! A Kubernetes cluster of two nodes on this machine, each in network, mount, and pid namespaces of its own.
//!
//! All of it is in the state directory. Each node ends with the process whose id is in the file `pid` of its folder there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::cluster::Cluster;
use super::nodes::{CONTROL_PLANE, NODES, Node};
use super::programs::NodePrograms;
use super::wait::wait_for;
use super::{control_groups, images, network, nodes};
use crate::command::output;

/// The address of the node with the control plane, the cluster's DNS, and the git host.
pub(crate) const ADDRESS: &str = CONTROL_PLANE.address;
/// The time for a node to start, on a machine that does other work.
const MINUTES: Duration = Duration::from_secs(180);

/// The nodes, which run or can be started.
pub(crate) struct Machine {
    pub(crate) state: PathBuf,
    pub(crate) programs: NodePrograms,
}

impl Machine {
    /// Starts the nodes in the place of earlier ones in this state directory, with the images of which these are the
    /// layouts.
    pub(crate) fn start(state: &Path, layouts: &Path) -> anyhow::Result<Self> {
        images::must_exist(layouts)?;
        let programs = NodePrograms::ensure()?;
        end(state)?;
        for node in &NODES {
            if network::exists(node)? {
                bail!("the network namespace {} exists: nodes run with another state directory", node.unit);
            }
        }
        let machine = Self { state: state.to_owned(), programs };
        machine.prepare().with_context(|| format!("prepare {}", state.display()))?;
        NODES.iter().try_for_each(|node| node.start(state, &machine.programs))?;
        machine
            .await_start(layouts)
            .context("the nodes do not start; `cargo xtask node down` ends what runs of them")?;
        Ok(machine)
    }

    /// Returns the nodes that run with this state directory.
    pub(crate) fn running(state: &Path) -> anyhow::Result<Self> {
        if let Some(node) = NODES.iter().find(|node| node.process(state).is_none()) {
            bail!("{} does not run in {}: `cargo xtask node up` starts all nodes", node.name, state.display());
        }
        Ok(Self { state: state.to_owned(), programs: NodePrograms::ensure()? })
    }

    /// Returns the API of the cluster.
    pub(crate) fn cluster(&self) -> Cluster {
        let programs = &self.programs.control_plane;
        Cluster { kubeconfig: self.kubeconfig(), kubectl: programs.kubectl.clone(), helm: programs.helm.clone() }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Returns the ids of the processes of a program of the nodes, as this machine counts them.
    pub(crate) fn processes(&self, program: &str) -> anyhow::Result<Vec<String>> {
        let state = self.state.to_string_lossy();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("read /proc")?.flatten() {
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line);
            let first = line.split('\0').next().unwrap_or_default();
            if first.ends_with(program) && line.contains(&*state) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(found)
    }

    /// Returns the ids of the processes of a container, as this machine counts them, and the folder of its memory group.
    pub(crate) fn container(&self, id: &str) -> anyhow::Result<(Vec<String>, PathBuf)> {
        let found = NODES.iter().find_map(|node| control_groups::of_container(node.unit, id));
        let folder = found.with_context(|| format!("no control group is named {id}"))?;
        let processes = fs::read_to_string(folder.join("cgroup.procs")).context("read cgroup.procs")?;
        Ok((processes.split_whitespace().map(str::to_owned).collect(), folder))
    }

    /// Takes the power of a node away: first its network, so that the end of its processes ends no connection of others.
    pub(crate) fn power_off(&self, node: &'static Node) -> anyhow::Result<PoweredOff<'_>> {
        let powered_off = PoweredOff { machine: self, node };
        ensure!(node.process(&self.state).is_some(), "{} does not run", node.name);
        network::disconnect(node)?;
        node.kill(&self.state)?;
        Ok(powered_off)
    }

    /// Waits until the cluster says that a node can take pods.
    pub(crate) fn await_node(&self, node: &Node) -> anyhow::Result<()> {
        let log = node.log(&self.state, "kubelet");
        wait_for(&format!("{} is Ready (see {})", node.name, log.display()), MINUTES, || {
            let boot_id = fs::read_to_string(node.boot_id(&self.state)).context("read the id of its start")?;
            let found = self.cluster().get(&["node", node.name])?;
            let status = &found["status"];
            ensure!(status["nodeInfo"]["bootID"] == boot_id.trim(), "the kubelet has not reported since the start");
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let ready = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            let taints = &found["spec"]["taints"];
            ensure!(ready && taints.is_null(), "its conditions are {}, its taints {taints}", status["conditions"]);
            Ok(())
        })
    }

    /// Gives the images in an archive to all nodes.
    pub(crate) fn import(&self, archive: &Path) -> anyhow::Result<()> {
        for node in &NODES {
            let mut ctr = self.ctr(node, &["--namespace", "k8s.io", "images", "import"]);
            output(ctr.arg(archive)).with_context(|| format!("load {} on {}", archive.display(), node.name))?;
        }
        Ok(())
    }

    fn prepare(&self) -> anyhow::Result<()> {
        fs::create_dir_all(self.state.join("git")).context("create a folder for repositories")?;
        NODES.iter().try_for_each(|node| node.prepare(&self.state, &self.programs))?;
        nodes::make_keys(&self.state, &self.programs)
    }

    fn await_start(&self, layouts: &Path) -> anyhow::Result<()> {
        let cluster = self.cluster();
        for node in &NODES {
            let log = node.log(&self.state, "containerd");
            wait_for(&format!("containerd answers (see {})", log.display()), MINUTES, || {
                output(&mut self.ctr(node, &["version"]))
            })?;
        }
        let archive = self.state.join("image.tar");
        self.import(&images::pause(&self.programs.node.join("pause"), &archive)?)?;
        for name in images::NAMES {
            self.import(&images::archive(&layouts.join(name), name, &archive)?)?;
        }
        let log = CONTROL_PLANE.log(&self.state, "apiserver");
        wait_for(&format!("the API server answers (see {})", log.display()), MINUTES, || {
            cluster.kubectl(&["get", "--raw", "/readyz"])
        })?;
        NODES.iter().try_for_each(|node| self.await_node(node))?;
        wait_for("ServiceAccounts are made", MINUTES, || {
            cluster.kubectl(&["get", "serviceaccount", "default", "--namespace=default"])
        })?;
        Ok(())
    }

    fn ctr(&self, node: &Node, arguments: &[&str]) -> Command {
        let mut ctr = Command::new(self.programs.ctr());
        ctr.arg("--address").arg(node.folder(&self.state).join("containerd.sock")).args(arguments);
        ctr
    }
}

/// A node without power, which gets it back when this is dropped at the latest.
pub(crate) struct PoweredOff<'a> {
    machine: &'a Machine,
    node: &'static Node,
}

impl PoweredOff<'_> {
    /// Gives the node its power back, and waits until it can take pods. Its disk is as it was.
    pub(crate) fn power_on(self) -> anyhow::Result<()> {
        self.start()?;
        self.machine.await_node(self.node)
    }

    fn start(&self) -> anyhow::Result<()> {
        let state = &self.machine.state;
        if self.node.process(state).is_some() {
            return Ok(());
        }
        self.node.end(state)?;
        self.node.start(state, &self.machine.programs)
    }
}

impl Drop for PoweredOff<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.start() {
            eprintln!("{} does not start again: {error:#}", self.node.name);
        }
    }
}

/// Ends the nodes of this state directory, and removes the directory. Does nothing if there is none.
pub(crate) fn end(state: &Path) -> anyhow::Result<()> {
    if !state.exists() {
        return Ok(());
    }
    let is_empty = fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty && !NODES.iter().any(|node| node.folder(state).is_dir()) {
        bail!("{} is not empty, and is not the directory of nodes", state.display());
    }
    // A node ends before the one that it is joined to.
    NODES.iter().rev().try_for_each(|node| node.end(state))?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    if mounts.contains(&format!(" {}/", state.display())) {
        bail!("something is still mounted below {}", state.display());
    }
    fs::remove_dir_all(state).with_context(|| format!("remove {}", state.display()))
}
