//! The nodes of the cluster. [`NODES`] describes them, and one description starts any of them: a node differs from another
//! one only in its names, its addresses, and its role.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::network::Link;
use super::programs::NodePrograms;
use super::wait::wait_for;
use super::{control_groups, network};
use crate::command::output;

/// The networks of all Services and of all pods.
const SERVICES: &str = "10.96.0.0/16";
const ALL_PODS: &str = "10.98.0.0/16";
const API_SERVICE: &str = "10.96.0.1";

/// All nodes. This machine is joined to the first one, and each further one to the first.
pub(crate) const NODES: [Node; 2] = [
    Node {
        name: "node1",
        unit: "rototo-node1",
        address: "10.99.0.2",
        pods: "10.98.0.0/24",
        role: Role::ControlPlane,
        link: Link {
            neighbour: None,
            neighbour_address: "10.99.0.1",
            outward: &[SERVICES],
            inward: &[SERVICES, ALL_PODS, "10.99.1.0/24"],
        },
    },
    Node {
        name: "node2",
        unit: "rototo-node2",
        address: "10.99.1.2",
        pods: "10.98.1.0/24",
        role: Role::Worker,
        link: Link {
            neighbour: Some("rototo-node1"),
            neighbour_address: "10.99.1.1",
            outward: &[SERVICES, "10.99.0.0/24", "10.98.0.0/24"],
            inward: &["10.98.1.0/24"],
        },
    },
];
/// The node with the control plane, which the tests do not power off.
pub(crate) const CONTROL_PLANE: &Node = &NODES[0];
/// The node that the tests power off.
pub(crate) const WORKER: &Node = &NODES[1];

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
/// The settings of the programs of each node, by their file names in the node's folder.
const CONFIGURATION: [(&str, &str); 4] = [
    ("containerd.toml", include_str!("../../node/config/containerd.toml")),
    ("kubelet.yaml", include_str!("../../node/config/kubelet.yaml")),
    ("proxy.yaml", include_str!("../../node/config/proxy.yaml")),
    ("cni/10-pods.conflist", include_str!("../../node/config/cni.conflist")),
];
/// The further settings of the node with the control plane.
const CONTROL_PLANE_CONFIGURATION: [(&str, &str); 1] = [("sshd_config", include_str!("../../node/config/sshd_config"))];

/// A node of the cluster.
pub(crate) struct Node {
    /// Its name in the cluster, and that of its folder in the state directory.
    pub(crate) name: &'static str,
    /// The name of its network namespace, of its control groups, and of the interface that leads to it.
    pub(crate) unit: &'static str,
    pub(crate) address: &'static str,
    /// The network of its pods.
    pods: &'static str,
    role: Role,
    pub(crate) link: Link,
}

/// The programs that a node has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Those of every node, the control plane, the cluster's DNS, and the git host.
    ControlPlane,
    /// Those of every node.
    Worker,
}

impl Node {
    /// Returns the folder of the node, which stands for its disk.
    pub(crate) fn folder(&self, state: &Path) -> PathBuf {
        state.join(self.name)
    }

    /// Returns the path of a program's log.
    pub(crate) fn log(&self, state: &Path, program: &str) -> PathBuf {
        self.folder(state).join(format!("log/{program}.log"))
    }

    /// Returns the path of the id of the node's present start.
    pub(crate) fn boot_id(&self, state: &Path) -> PathBuf {
        self.folder(state).join("boot_id")
    }

    /// Returns the id of the process that ends with the node, if it runs.
    pub(crate) fn process(&self, state: &Path) -> Option<String> {
        let folder = self.folder(state);
        let id = fs::read_to_string(folder.join("pid")).ok()?;
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        (line.contains("init.sh") && line.split('\0').any(|word| Path::new(word) == folder)).then_some(id)
    }

    /// Writes the settings of the node's programs into its folder.
    pub(crate) fn prepare(&self, state: &Path, programs: &NodePrograms) -> anyhow::Result<()> {
        let node = self.folder(state);
        for folder in ["log", "kubelet", "containerd", "cni", "varlog", "manifests"] {
            fs::create_dir_all(node.join(folder)).with_context(|| format!("create {folder}"))?;
        }
        fs::write(node.join("resolv.conf"), "").context("write resolv.conf")?;
        let added: &[_] = match self.role {
            Role::ControlPlane => &CONTROL_PLANE_CONFIGURATION,
            Role::Worker => &[],
        };
        for (file, text) in CONFIGURATION.iter().chain(added) {
            let text = text
                .replace("@STATE@", &state.to_string_lossy())
                .replace("@NODE@", &node.to_string_lossy())
                .replace("@DEBIAN@", &programs.debian.to_string_lossy())
                .replace("@NAME@", self.name)
                .replace("@GROUP@", self.unit)
                .replace("@ADDRESS@", self.address)
                .replace("@CONTROL_PLANE@", CONTROL_PLANE.address)
                .replace("@PODS@", self.pods)
                .replace("@ALL_PODS@", ALL_PODS);
            fs::write(node.join(file), text).with_context(|| format!("write {file}"))?;
        }
        Ok(())
    }

    /// Starts the node: its network, its control groups, and its process 1, which outlives this program.
    pub(crate) fn start(&self, state: &Path, programs: &NodePrograms) -> anyhow::Result<()> {
        network::join(self).with_context(|| format!("make the network of {}", self.name))?;
        control_groups::create(self.unit).context("make control groups for the pods")?;
        // Process 1 writes the id of this start there, and the kubelet reports it.
        let _ = fs::remove_file(self.boot_id(state));
        let path = self.log(state, "init");
        let log = fs::OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("open {}", path.display()))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.unit));
        command.args([
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "--propagation",
            "slave",
        ]);
        let folder = self.folder(state);
        command.arg("bash").arg(format!("{SCRIPTS}/init.sh")).arg(&folder).envs(environment(state, programs));
        let role = if self.role == Role::ControlPlane { "control-plane" } else { "worker" };
        command.env("NODE", &folder).env("NAME", self.name).env("ADDRESS", self.address).env("ROLE", role);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("open a log")?).stderr(log).process_group(0);
        let child = command.spawn().context("run nsenter")?;
        fs::write(folder.join("pid"), child.id().to_string()).context("write the id of the node's process")
    }

    /// Ends all processes of the node at once. Does nothing if the node does not run.
    pub(crate) fn kill(&self, state: &Path) -> anyhow::Result<()> {
        if let Some(id) = self.process(state) {
            output(Command::new("kill").args(["-KILL", &id]))?;
            wait_for("the node has ended", Duration::from_secs(30), || match self.process(state) {
                None => Ok(()),
                Some(id) => bail!("process {id} runs"),
            })?;
        }
        Ok(())
    }

    /// Ends the node, and takes its network and its control groups away. Its folder stays.
    pub(crate) fn end(&self, state: &Path) -> anyhow::Result<()> {
        self.kill(state)?;
        network::leave(self);
        // They are empty when the last process of the pods has ended.
        wait_for("the control groups of the pods are empty", Duration::from_secs(30), || {
            control_groups::remove(self.unit)
        })
    }
}

/// Makes the keys of the cluster, and the credentials of all nodes.
pub(crate) fn make_keys(state: &Path, programs: &NodePrograms) -> anyhow::Result<()> {
    let mut keys = Command::new("bash");
    output(keys.arg(format!("{SCRIPTS}/keys.sh")).envs(environment(state, programs))).map(drop)
}

/// Returns the variables of the scripts that are the same for all nodes.
fn environment(state: &Path, programs: &NodePrograms) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let control_plane = &programs.control_plane;
    vec![
        ("STATE", text(state)),
        ("SCRIPTS", SCRIPTS.to_owned()),
        ("NODES", NODES.map(|node| node.name).join(" ")),
        ("CONTROL_PLANE", CONTROL_PLANE.address.to_owned()),
        ("SERVICES", SERVICES.to_owned()),
        ("API_SERVICE", API_SERVICE.to_owned()),
        ("DEBIAN", text(&programs.debian)),
        ("PROGRAMS", text(&programs.node)),
        ("ETCD", text(&control_plane.etcd)),
        ("KUBE_APISERVER", text(&control_plane.kube_apiserver)),
        ("KUBE_CONTROLLER_MANAGER", text(&programs.controllers)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_nodes_share_a_name_or_an_address() {
        let distinct = |of: fn(&Node) -> &str| NODES.iter().map(of).collect::<BTreeSet<_>>().len();
        for of in [
            |node: &Node| node.name,
            |node: &Node| node.unit,
            |node: &Node| node.address,
            |node: &Node| node.pods,
            |node: &Node| node.link.neighbour_address,
        ] {
            assert_eq!(distinct(of), NODES.len());
        }
        // The name of an interface has at most 15 bytes.
        assert!(NODES.iter().all(|node| node.unit.len() <= 15));
    }

    #[test]
    fn the_control_plane_is_on_the_node_whose_address_the_others_have() {
        assert!(CONTROL_PLANE.role == Role::ControlPlane && WORKER.role == Role::Worker);
        assert_eq!(WORKER.link.neighbour, Some(CONTROL_PLANE.unit));
    }
}
