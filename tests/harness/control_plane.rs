//! A real control plane: etcd and kube-apiserver, with the controllers if a test needs them.
//!
//! RBAC is on, and there are no nodes: pods are plain API objects, and their containers run as processes of the test.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;
use xtask::control_plane::Programs;

use super::cluster::write_kubeconfig;
use super::{ChildProcess, Cluster, Observation, http, port, scratch, until};

/// The longest time that a start may take. It takes about 5 s on two busy cores.
const START: Duration = Duration::from_secs(90);

/// A running control plane. When it is dropped, it ends and its data is removed.
///
/// It derefs to the [`Cluster`] that its users see.
#[derive(Debug)]
pub struct ControlPlane {
    programs: Programs,
    directory: PathBuf,
    port: u16,
    etcd_port: u16,
    controllers_token: String,
    cluster: Cluster,
    // The processes end in this order.
    controllers: Option<ChildProcess>,
    api_server: Option<ChildProcess>,
    etcd: ChildProcess,
}

static SHARED: LazyLock<Result<ControlPlane, String>> = LazyLock::new(|| {
    let start = || -> anyhow::Result<_> {
        let plane = ControlPlane::start()?;
        plane.install_crds()?;
        Ok(plane)
    };
    start().map_err(|error| format!("{error:#}"))
});

impl Deref for ControlPlane {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl ControlPlane {
    /// Returns the control plane that all tests of a binary share, with the CRD of the project. Each test has a
    /// namespace of its own.
    pub fn shared() -> anyhow::Result<&'static Cluster> {
        let plane = SHARED.as_ref().map_err(|error| anyhow!("the shared control plane did not start: {error}"))?;
        Ok(&plane.cluster)
    }

    /// Starts a control plane for one test, and returns when it is ready.
    pub fn start() -> anyhow::Result<Self> {
        let programs = Programs::locate()?;
        let directory = scratch::directory("control-plane")?;
        let (port, etcd_port) = (port::free()?, port::free()?);
        let [admin_token, controllers_token] = [(); 2].map(|()| format!("{:032x}", fastrand::u128(..)));
        write_credentials(&directory, &admin_token, &controllers_token)?;
        let url = format!("https://127.0.0.1:{port}");
        let authority = directory.join("certificates/apiserver.crt");
        let cluster = Cluster::new(programs.clone(), &directory, url, authority, &admin_token)?;
        let etcd = start_etcd(&programs, &directory, etcd_port)?;
        let mut plane = Self {
            programs,
            directory,
            port,
            etcd_port,
            controllers_token,
            cluster,
            controllers: None,
            api_server: None,
            etcd,
        };
        plane.start_api_server()?;
        Ok(plane)
    }

    /// Starts the API server after [`ControlPlane::kill_api_server`], at the same address and with the same etcd.
    pub fn start_api_server(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.kube_apiserver);
        command.args(self.api_server_flags());
        let mut process = ChildProcess::start("kube-apiserver", command, &self.log("kube-apiserver"))?;
        until("kube-apiserver to be ready", START, || {
            process.check_running()?;
            // At its first start the API server creates its certificate. Before that, kubectl has nothing to check it
            // against.
            Ok(match self.kubectl(&["get", "--raw", "/readyz"]) {
                Ok(_) => Observation::Done(()),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })?;
        self.api_server = Some(process);
        Ok(())
    }

    fn api_server_flags(&self) -> Vec<String> {
        let file = |name: &str| self.directory.join(name).display().to_string();
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("certificates")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", file("service-accounts.key")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            // The Service `kubernetes` has no endpoints, because no pod could reach them.
            "--endpoint-reconciler-type=none".to_owned(),
        ]
    }

    /// Ends the API server like a crash. Its data stays in etcd.
    pub fn kill_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.take().context("the API server is not running")?.kill();
        Ok(())
    }

    /// Returns the process of the API server, to freeze and thaw it.
    pub fn api_server(&self) -> anyhow::Result<&ChildProcess> {
        self.api_server.as_ref().context("the API server is not running")
    }

    /// Returns the process of etcd, to freeze and thaw it.
    #[must_use]
    pub fn etcd(&self) -> &ChildProcess {
        &self.etcd
    }

    /// Starts the controllers that delete namespaces, collect garbage, and aggregate roles.
    ///
    /// Other controllers do not run: the pod controller would delete the pods of nodes that don't exist.
    pub fn start_controllers(&mut self) -> anyhow::Result<()> {
        let path = self.directory.join("controllers.kubeconfig");
        let user = json!({ "token": self.controllers_token });
        let kubeconfig = write_kubeconfig(path, self.url(), self.authority(), &user, "default")?;
        let mut command = Command::new(Programs::locate_controllers()?);
        command.arg(format!("--kubeconfig={}", kubeconfig.display()));
        let key = self.directory.join("service-accounts.key");
        command.arg(format!("--service-account-private-key-file={}", key.display()));
        command.arg(format!("--root-ca-file={}", self.authority().display()));
        let controllers = ["namespace", "garbage-collector", "serviceaccount", "clusterrole-aggregation"];
        command.arg(format!("--controllers={}", controllers.map(|name| format!("{name}-controller")).join(",")));
        // Each controller has its own user, as in a real cluster: the admission policy of the chart admits these users.
        command.args(["--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0"]);
        let log = self.log("kube-controller-manager");
        let mut process = ChildProcess::start("kube-controller-manager", command, &log)?;
        until("kube-controller-manager to create a ServiceAccount", START, || {
            process.check_running()?;
            Ok(match self.kubectl(&["get", "serviceaccount", "default"]) {
                Ok(_) => Observation::Done(()),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })?;
        self.controllers = Some(process);
        Ok(())
    }

    /// Makes etcd forget every version except the newest. An API server that starts after that answers watches that
    /// resume from an older version with 410 Gone. A running one still serves them from its cache.
    pub fn compact_etcd(&self) -> anyhow::Result<()> {
        let etcd = format!("127.0.0.1:{}", self.etcd_port);
        let newest = http::post(&etcd, "/v3/kv/range", &json!({ "key": "AA==" }))?.json()?;
        let revision = newest["header"]["revision"].as_str().context("etcd names no revision")?;
        http::post(&etcd, "/v3/kv/compaction", &json!({ "revision": revision, "physical": true }))?.json()?;
        Ok(())
    }

    fn log(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }
}

fn start_etcd(programs: &Programs, directory: &Path, port: u16) -> anyhow::Result<ChildProcess> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", port::free()?));
    let mut command = Command::new(&programs.etcd);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // The data has to survive processes, but not the machine.
    command.args(["--unsafe-no-fsync", "--log-level=warn"]);
    let mut etcd = ChildProcess::start("etcd", command, &directory.join("etcd.log"))?;
    until("etcd to listen", START, || {
        etcd.check_running()?;
        Ok(match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Observation::Done(()),
            Err(error) => Observation::NotYet(error.to_string()),
        })
    })?;
    Ok(etcd)
}

/// Writes the key that signs the tokens of ServiceAccounts, and the users that are no ServiceAccounts.
fn write_credentials(directory: &Path, admin_token: &str, controllers_token: &str) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    let key = rcgen::KeyPair::generate().context("create the key that signs the tokens of ServiceAccounts")?;
    write("service-accounts.key", &key.serialize_pem())?;
    write("service-accounts.pub", &key.public_key_pem())?;
    let admin = format!("{admin_token},admin,admin,\"system:masters\"");
    let controllers = format!("{controllers_token},system:kube-controller-manager,controllers");
    write("tokens.csv", &format!("{admin}\n{controllers}\n"))
}
