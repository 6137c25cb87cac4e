//! Supplies what a node consists of beside the control plane: the programs of Kubernetes for a node, from Go modules, and
//! containerd, runc, network plugins, nft, and sshd, from Debian's packages. Nothing is installed on this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::output;
use crate::control_plane::{self, GoModule, cache_directory};
use crate::folder;

const NODE: GoModule = GoModule {
    folder: concat!(env!("CARGO_MANIFEST_DIR"), "/node/programs"),
    programs: &[
        ("dns", "rototo.dev/node/dns"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("pause", "rototo.dev/node/pause"),
    ],
    parts: &[("kubernetes", "k8s.io/kubernetes")],
    go_mod: include_str!("../../node/programs/go.mod"),
};

/// The packages with programs of the node, and those with libraries that these programs need and that not every machine
/// has.
const PACKAGES: [&str; 15] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "nftables",
    "openssh-server",
    "libseccomp2",
    "libnftables1",
    "libnftnl11",
    "libmnl0",
    "libjansson4",
    "libxtables12",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libwrap0",
];

/// The programs of this machine that a node needs, with the package of each.
const OF_THIS_MACHINE: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("openssl", "openssl"),
    ("ssh-keygen", "openssh-client"),
    ("curl", "curl"),
];

/// The places of the programs.
pub(crate) struct NodePrograms {
    pub(crate) control_plane: control_plane::Programs,
    /// The path of kube-controller-manager.
    pub(crate) controllers: PathBuf,
    /// The directory with kubelet, kube-scheduler, kube-proxy, dns, and pause.
    pub(crate) node: PathBuf,
    /// The directory into which Debian's packages are unpacked.
    pub(crate) debian: PathBuf,
}

impl NodePrograms {
    /// Finds the programs, and fetches and builds the missing ones: once, in minutes.
    pub(crate) fn ensure() -> anyhow::Result<Self> {
        let missing = OF_THIS_MACHINE.iter().filter(|(program, _)| !is_on_path(program));
        let missing: Vec<_> = missing.map(|(program, package)| format!("{program} (package {package})")).collect();
        if !missing.is_empty() {
            bail!("this machine lacks {}", missing.join(", "));
        }
        let control_plane = control_plane::Programs::ensure_with_controllers()?;
        let controllers = control_plane::Programs::locate_controllers()?;
        let cache = cache_directory()?.join("node");
        let node = NODE.directory(&cache);
        if !node.is_dir() {
            control_plane::build(&NODE, &cache)?;
        }
        Ok(Self { control_plane, controllers, node, debian: debian(&cache)? })
    }

    /// Returns the path of containerd's client.
    pub(crate) fn ctr(&self) -> PathBuf {
        self.debian.join("usr/bin/ctr")
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Returns the directory with the content of the packages. Fetches it if necessary.
fn debian(cache: &Path) -> anyhow::Result<PathBuf> {
    let root = cache.join("debian");
    let path = cache.join("debian.lock");
    let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    lock.lock().with_context(|| format!("lock {}", path.display()))?;
    if root.is_dir() {
        return Ok(root);
    }
    eprintln!("Fetching {} Debian packages into {} (once).", PACKAGES.len(), cache.display());
    let staging = cache.join("debian.partial");
    let (archives, unpacked) = (staging.join("archives"), staging.join("root"));
    folder::remove(&staging)?;
    fs::create_dir_all(&archives).with_context(|| format!("create {}", archives.display()))?;
    let download = || {
        // Only root has another user for downloads, and that user can't write here.
        let mut apt = Command::new("apt-get");
        apt.args(["download", "--quiet", "--option", "APT::Sandbox::User=root"]).args(PACKAGES).current_dir(&archives);
        output(&mut apt)
    };
    // A fresh machine has no package lists, or old ones.
    if download().is_err() {
        output(Command::new("apt-get").args(["update", "--quiet"]))?;
        download().context("a node is made of Debian packages, on a machine with apt and dpkg")?;
    }
    for entry in fs::read_dir(&archives).with_context(|| format!("read {}", archives.display()))? {
        output(Command::new("dpkg-deb").arg("--extract").arg(entry?.path()).arg(&unpacked))?;
    }
    fs::rename(&unpacked, &root).with_context(|| format!("move {} to {}", unpacked.display(), root.display()))?;
    fs::remove_dir_all(&staging).with_context(|| format!("remove {}", staging.display()))?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_version_of_the_control_plane() {
        let control_plane = include_str!("../../control-plane/go.mod");
        assert!(control_plane.contains(&NODE.versions()[0].replace("kubernetes-", "k8s.io/kubernetes v")));
    }
}
