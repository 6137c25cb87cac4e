//! One Kubernetes node on this machine, in network, mount, and pid namespaces of its own.
//!
//! One pair of virtual interfaces joins it to this machine. It has no default route, so no packet leaves this machine. All
//! of it is in the state directory, and ends with the process whose id is in the file `pid` there.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::cluster::Cluster;
use super::command::{output, wait_for};
use super::images;
use super::programs::NodePrograms;

/// The name of the network namespace and of the group of processes. There is one node at a time.
pub(crate) const NAME: &str = "rototo-node";
/// The end of the pair of interfaces that is on this machine.
const LINK: &str = "rototo-node-h";
const OUTSIDE: &str = "10.99.0.1";
/// The address of the node.
pub(crate) const ADDRESS: &str = "10.99.0.2";
const PODS: &str = "10.98.0.0/24";
const SERVICES: &str = "10.96.0.0/16";
const API_SERVICE: &str = "10.96.0.1";

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
/// The settings of the node's programs, by their file names in the state directory.
const CONFIGURATION: [(&str, &str); 5] = [
    ("containerd.toml", include_str!("../../node/config/containerd.toml")),
    ("kubelet.yaml", include_str!("../../node/config/kubelet.yaml")),
    ("proxy.yaml", include_str!("../../node/config/proxy.yaml")),
    ("cni/10-pods.conflist", include_str!("../../node/config/cni.conflist")),
    ("sshd_config", include_str!("../../node/config/sshd_config")),
];

/// A node that runs, or can be started.
pub(crate) struct Machine {
    pub(crate) state: PathBuf,
    pub(crate) programs: NodePrograms,
}

impl Machine {
    /// Starts a node in the place of an earlier one in this state directory, with the images of which these are the
    /// layouts.
    pub(crate) fn start(state: &Path, layouts: &Path) -> anyhow::Result<Self> {
        images::must_exist(layouts)?;
        let programs = NodePrograms::ensure()?;
        end(state)?;
        if output(Command::new("ip").args(["netns", "list"]))?.split_whitespace().any(|word| word == NAME) {
            bail!("the network namespace {NAME} exists: another node runs, with another state directory");
        }
        let machine = Self { state: state.to_owned(), programs };
        machine.prepare().with_context(|| format!("prepare {}", state.display()))?;
        control_groups().context("make control groups for the pods")?;
        network().context("make the node's network")?;
        machine.run()?;
        machine
            .await_ready(layouts)
            .context("the node does not start; `cargo xtask node down` ends what runs of it")?;
        Ok(machine)
    }

    /// Returns the node that runs with this state directory.
    pub(crate) fn running(state: &Path) -> anyhow::Result<Self> {
        if process(state).is_none() {
            bail!("no node runs in {}: `cargo xtask node up` starts one", state.display());
        }
        Ok(Self { state: state.to_owned(), programs: NodePrograms::ensure()? })
    }

    /// Returns the API of the node's cluster.
    pub(crate) fn cluster(&self) -> Cluster {
        let programs = &self.programs.control_plane;
        Cluster { kubeconfig: self.kubeconfig(), kubectl: programs.kubectl.clone(), helm: programs.helm.clone() }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Returns the ids of the node's processes whose command line contains `text`, as this machine counts them.
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
        let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(|root| Path::new(root).join(NAME));
        let found = roots.iter().filter(|root| root.is_dir()).find_map(|root| find_folder(root, id));
        let folder = found.with_context(|| format!("no control group is named {id}"))?;
        let processes = fs::read_to_string(folder.join("cgroup.procs")).context("read cgroup.procs")?;
        Ok((processes.split_whitespace().map(str::to_owned).collect(), folder))
    }

    fn prepare(&self) -> anyhow::Result<()> {
        for folder in ["log", "kubelet", "containerd", "cni", "varlog", "manifests", "git"] {
            fs::create_dir_all(self.state.join(folder)).with_context(|| format!("create {folder}"))?;
        }
        fs::write(self.state.join("resolv.conf"), "").context("write resolv.conf")?;
        for (file, text) in CONFIGURATION {
            let text = text
                .replace("@STATE@", &self.state.to_string_lossy())
                .replace("@DEBIAN@", &self.programs.debian.to_string_lossy())
                .replace("@NAME@", NAME)
                .replace("@ADDRESS@", ADDRESS)
                .replace("@PODS@", PODS);
            fs::write(self.state.join(file), text).with_context(|| format!("write {file}"))?;
        }
        let mut keys = Command::new("bash");
        keys.arg(format!("{FOLDER}/keys.sh")).envs(self.environment());
        output(&mut keys).map(drop)
    }

    /// Returns the variables of the scripts.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let programs = &self.programs.control_plane;
        vec![
            ("STATE", text(&self.state)),
            ("ADDRESS", ADDRESS.to_owned()),
            ("SERVICES", SERVICES.to_owned()),
            ("API_SERVICE", API_SERVICE.to_owned()),
            ("DEBIAN", text(&self.programs.debian)),
            ("PROGRAMS", text(&self.programs.node)),
            ("ETCD", text(&programs.etcd)),
            ("KUBE_APISERVER", text(&programs.kube_apiserver)),
            ("KUBE_CONTROLLER_MANAGER", text(&self.programs.controllers)),
        ]
    }

    /// Starts process 1 of the node, which outlives this program.
    fn run(&self) -> anyhow::Result<()> {
        let log = fs::File::create(self.state.join("log/init.log")).context("create a log")?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{NAME}"));
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
        command.arg("bash").arg(format!("{FOLDER}/init.sh")).arg(&self.state).envs(self.environment());
        command.stdin(Stdio::null()).stdout(log.try_clone().context("open a log")?).stderr(log).process_group(0);
        let child = command.spawn().context("run nsenter")?;
        fs::write(self.state.join("pid"), child.id().to_string()).context("write the id of the node's process")
    }

    fn await_ready(&self, layouts: &Path) -> anyhow::Result<()> {
        let cluster = self.cluster();
        let log = |name: &str| self.state.join(format!("log/{name}.log")).display().to_string();
        let minutes = Duration::from_secs(180);
        wait_for(&format!("containerd answers (see {})", log("containerd")), minutes, || {
            output(&mut self.ctr(&["version"]))
        })?;
        let archive = self.state.join("image.tar");
        self.import(&images::pause(&self.programs.node.join("pause"), &archive)?)?;
        for name in images::NAMES {
            self.import(&images::archive(&layouts.join(name), name, &archive)?)?;
        }
        wait_for(&format!("the API server answers (see {})", log("apiserver")), minutes, || {
            cluster.kubectl(&["get", "--raw", "/readyz"])
        })?;
        wait_for(&format!("the node is Ready (see {})", log("kubelet")), minutes, || {
            cluster.kubectl(&["wait", "--for=condition=Ready", "node/node1", "--timeout=1s"])
        })?;
        wait_for("ServiceAccounts are made", minutes, || {
            cluster.kubectl(&["get", "serviceaccount", "default", "--namespace=default"])
        })?;
        Ok(())
    }

    /// Gives the kubelet the image in an archive.
    pub(crate) fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let mut ctr = self.ctr(&["--namespace", "k8s.io", "images", "import"]);
        output(ctr.arg(archive)).with_context(|| format!("load {}", archive.display())).map(drop)
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut ctr = Command::new(self.programs.ctr());
        ctr.arg("--address").arg(self.state.join("containerd.sock")).args(arguments);
        ctr
    }
}

/// Returns the id of the process that ends with the node, if it runs.
fn process(state: &Path) -> Option<String> {
    let id = fs::read_to_string(state.join("pid")).ok()?;
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    (line.contains("init.sh") && line.split('\0').any(|word| Path::new(word) == state)).then_some(id)
}

/// Ends the node of this state directory, and removes the directory. Does nothing if there is none.
pub(crate) fn end(state: &Path) -> anyhow::Result<()> {
    if !state.exists() {
        return Ok(());
    }
    if !state.join("pid").exists() && fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty, and is not the directory of a node", state.display());
    }
    if let Some(id) = process(state) {
        output(Command::new("kill").args(["-KILL", &id]))?;
        wait_for("the node has ended", Duration::from_secs(30), || match process(state) {
            None => Ok(()),
            Some(id) => bail!("process {id} runs"),
        })?;
    }
    // Nothing to remove is no failure: an earlier end may have been interrupted.
    let _ = output(Command::new("ip").args(["link", "delete", LINK]));
    let _ = output(Command::new("ip").args(["netns", "delete", NAME]));
    wait_for("the control groups of the pods are empty", Duration::from_secs(30), remove_control_groups)?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    if mounts.contains(&format!(" {}/", state.display())) {
        bail!("something is still mounted below {}", state.display());
    }
    fs::remove_dir_all(state).with_context(|| format!("remove {}", state.display()))
}

/// Joins the node's network to this machine, so that programs here can reach pods and Services.
fn network() -> anyhow::Result<()> {
    let (outside, inside) = (format!("{OUTSIDE}/24"), format!("{ADDRESS}/24"));
    let commands: [&[&str]; 10] = [
        &["netns", "add", NAME],
        &["link", "add", LINK, "type", "veth", "peer", "name", "node0", "netns", NAME],
        &["address", "add", &outside, "dev", LINK],
        &["link", "set", LINK, "up"],
        &["-netns", NAME, "address", "add", &inside, "dev", "node0"],
        &["-netns", NAME, "link", "set", "lo", "up"],
        &["-netns", NAME, "link", "set", "node0", "up"],
        // A process of the node may call a Service: its address is replaced before the packet leaves.
        &["-netns", NAME, "route", "add", SERVICES, "via", OUTSIDE],
        &["route", "add", SERVICES, "via", ADDRESS],
        &["route", "add", PODS, "via", ADDRESS],
    ];
    commands.iter().try_for_each(|arguments| output(Command::new("ip").args(*arguments)).map(drop))
}

/// Returns the folders of control groups in which the kubelet makes those of pods: one for each controller of version 1,
/// or one of version 2.
fn control_group_folders() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.join(NAME)];
    }
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    controllers.filter(|path| path.join("cgroup.procs").exists()).map(|path| path.join(NAME)).collect()
}

fn control_groups() -> anyhow::Result<()> {
    for folder in control_group_folders() {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let parent = folder.parent().unwrap_or(&folder);
        // Version 1 lets no process in before these are set.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if parent.join(file).exists() && folder.join("notify_on_release").exists() {
                let value = fs::read_to_string(parent.join(file)).with_context(|| format!("read {file}"))?;
                fs::write(folder.join(file), value).with_context(|| format!("write {file}"))?;
            }
        }
    }
    Ok(())
}

fn remove_control_groups() -> anyhow::Result<()> {
    control_group_folders().iter().filter(|folder| folder.is_dir()).try_for_each(|folder| remove_group(folder))
}

fn remove_group(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(folder).with_context(|| format!("remove {}", folder.display()))
}

fn find_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    let folders =
        fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders = folders.map(|entry| entry.path());
    folders.find_map(|path| if path.ends_with(name) { Some(path) } else { find_folder(&path, name) })
}
