//! A real control plane: etcd and kube-apiserver, and the controllers where a test needs them.
//!
//! RBAC is on, and there are no nodes: pods are plain API objects, and what would run in them runs as processes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use xtask::control_plane::Programs;

use super::kubeconfig::{self, Credentials};
use super::{Process, Seen, port, scratch, until};

/// Beyond this, something is broken. On two busy cores it takes about 5 s.
const START: Duration = Duration::from_secs(90);

/// A running control plane. Dropped, it is gone with all that it knew.
#[derive(Debug)]
pub struct ControlPlane {
    programs: Programs,
    directory: PathBuf,
    admin_token: String,
    etcd_port: u16,
    port: u16,
    // In the order in which they are ended.
    controllers: Option<Process>,
    api_server: Option<Process>,
    _etcd: Process,
}

static SHARED: LazyLock<Result<ControlPlane, String>> = LazyLock::new(|| {
    let start = || -> anyhow::Result<_> {
        let plane = ControlPlane::start()?;
        plane.install_crds()?;
        Ok(plane)
    };
    start().map_err(|error| format!("{error:#}"))
});

impl ControlPlane {
    /// The control plane that all tests of a binary share, with the project's CRD. Each test has a namespace of its own.
    pub fn shared() -> anyhow::Result<&'static Self> {
        SHARED.as_ref().map_err(|error| anyhow!("the shared control plane did not start: {error}"))
    }

    /// Starts a control plane of its own, and returns when it is ready.
    pub fn start() -> anyhow::Result<Self> {
        let programs = Programs::locate()?;
        let directory = scratch::directory("control-plane")?;
        let etcd_port = port::free()?;
        let etcd = start_etcd(&programs, &directory, etcd_port)?;
        let admin_token = write_credentials(&directory)?;
        let port = port::free()?;
        let mut plane = Self {
            programs,
            directory,
            admin_token,
            etcd_port,
            port,
            controllers: None,
            api_server: None,
            _etcd: etcd,
        };
        plane.start_api_server()?;
        Ok(plane)
    }

    /// Starts the API server, after [`ControlPlane::kill_api_server`]: at the same address, with the same etcd.
    pub fn start_api_server(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.kube_apiserver);
        command.args(self.api_server_flags());
        let mut process = Process::start("kube-apiserver", command, &self.log("kube-apiserver"))?;
        let certificate = self.authority();
        until("kube-apiserver's certificate", START, || {
            process.check_running()?;
            Ok(if certificate.is_file() { Seen::Done(()) } else { Seen::NotYet(process.last_words()) })
        })?;
        self.write_kubeconfig("admin", Credentials::Token(&self.admin_token), "default")?;
        until("kube-apiserver to be ready", START, || {
            process.check_running()?;
            Ok(match self.kubectl(&["get", "--raw", "/readyz"]) {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
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
            // There is nothing behind the Service `kubernetes` that a pod could reach.
            "--endpoint-reconciler-type=none".to_owned(),
        ]
    }

    /// Ends the API server as a crash would. What it stored stays in etcd.
    pub fn kill_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.take().context("the API server is not running")?.kill()
    }

    /// The process of the API server, to freeze and thaw it.
    pub fn api_server(&self) -> anyhow::Result<&Process> {
        self.api_server.as_ref().context("the API server is not running")
    }

    /// Starts the controllers that delete namespaces and collect garbage.
    ///
    /// Only these: the one for pods would delete the pods of nodes that don't exist.
    pub fn start_controllers(&mut self) -> anyhow::Result<()> {
        let token = self.token_of("system:kube-controller-manager")?;
        let kubeconfig = self.write_kubeconfig("controllers", Credentials::Token(&token), "default")?;
        let mut command = Command::new(&self.programs.kube_controller_manager);
        command.arg(format!("--kubeconfig={}", kubeconfig.display()));
        command.arg(format!(
            "--service-account-private-key-file={}",
            self.directory.join("service-accounts.key").display()
        ));
        command.arg(format!("--root-ca-file={}", self.authority().display()));
        command.arg("--controllers=namespace,garbagecollector,serviceaccount,root-ca-certificate-publisher");
        // Each controller acts as itself, as in a real cluster: that is whom the chart's admission policy lets through.
        command.args(["--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0"]);
        self.controllers =
            Some(Process::start("kube-controller-manager", command, &self.log("kube-controller-manager"))?);
        Ok(())
    }

    /// Installs the project's CRDs, and returns when they are served.
    pub fn install_crds(&self) -> anyhow::Result<()> {
        let folder = xtask::cargo::root().join("crds");
        self.kubectl(&["apply", "--server-side", "--filename", &folder.display().to_string()])?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rototoworkspaces.rototo.dev"])?;
        Ok(())
    }

    /// Where the API server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that the API server's is checked against.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.join("certificates/apiserver.crt")
    }

    /// The kubeconfig of somebody who may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig for whoever `token` is.
    pub fn kubeconfig_for_token(&self, token: &str) -> anyhow::Result<PathBuf> {
        let name = format!("{:016x}", fastrand::u64(..));
        self.write_kubeconfig(&name, Credentials::Token(token), "default")
    }

    /// A kubeconfig for whoever the token in `file` is, with `namespace` as its own.
    pub fn kubeconfig_for_token_file(&self, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        let name = format!("{:016x}", fastrand::u64(..));
        self.write_kubeconfig(&name, Credentials::TokenFile(file), namespace)
    }

    /// A client that may do everything.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        client_of(&self.admin_kubeconfig()).await
    }

    /// Runs kubectl as somebody who may do everything, and returns what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl_as(&self.admin_kubeconfig(), arguments)
    }

    /// Runs kubectl as whoever `kubeconfig` says.
    pub fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.programs.kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        // Discovery is cached on disk, by address: and the next control plane may have this one's.
        command.arg("--cache-dir").arg(self.directory.join("kubectl-cache"));
        standard_output(command.stdin(Stdio::null()).output(), &command)
    }

    /// Applies manifests with kubectl.
    pub fn apply(&self, namespace: &str, manifests: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&self.programs.kubectl);
        command.arg("--kubeconfig").arg(self.admin_kubeconfig());
        command.args(["--namespace", namespace, "apply", "--filename", "-"]);
        command.arg("--cache-dir").arg(self.directory.join("kubectl-cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
        child
            .stdin
            .take()
            .context("open kubectl's input")?
            .write_all(manifests.as_bytes())
            .context("write to kubectl")?;
        standard_output(child.wait_with_output(), &command)
    }

    /// Runs helm as somebody who may do everything, and returns what it prints.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.programs.helm);
        command.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", self.admin_kubeconfig());
        for (name, folder) in [("CACHE", "cache"), ("CONFIG", "config"), ("DATA", "data")] {
            command.env(format!("HELM_{name}_HOME"), self.directory.join("helm").join(folder));
        }
        standard_output(command.output(), &command)
    }

    /// The static token of a user that exists by being in the file of [`write_credentials`].
    fn token_of(&self, user: &str) -> anyhow::Result<String> {
        let tokens = fs::read_to_string(self.directory.join("tokens.csv")).context("read tokens.csv")?;
        let line = tokens.lines().find(|line| line.split(',').nth(1) == Some(user));
        Ok(line.and_then(|line| line.split(',').next()).with_context(|| format!("{user} has no token"))?.to_owned())
    }

    fn write_kubeconfig(&self, name: &str, credentials: Credentials<'_>, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(format!("{name}.kubeconfig"));
        kubeconfig::write(path, &self.url(), &self.authority(), credentials, namespace)
    }

    fn log(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }
}

/// A client that is whoever `kubeconfig` says.
pub async fn client_of(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let config = config.with_context(|| format!("understand {}", kubeconfig.display()))?;
    kube::Client::try_from(config).context("make a client of the Kubernetes API")
}

fn start_etcd(programs: &Programs, directory: &Path, port: u16) -> anyhow::Result<Process> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", port::free()?));
    let mut command = Command::new(&programs.etcd);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // What it writes need not outlive the machine, only the processes.
    command.args(["--unsafe-no-fsync", "--log-level=warn"]);
    let mut etcd = Process::start("etcd", command, &directory.join("etcd.log"))?;
    until("etcd to listen", START, || {
        etcd.check_running()?;
        Ok(match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Seen::Done(()),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    })?;
    Ok(etcd)
}

/// The key that signs the tokens of ServiceAccounts, and the tokens of two users. Returns the administrator's.
fn write_credentials(directory: &Path) -> anyhow::Result<String> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    let key = rcgen::KeyPair::generate().context("make the key that signs tokens of ServiceAccounts")?;
    write("service-accounts.key", &key.serialize_pem())?;
    write("service-accounts.pub", &key.public_key_pem())?;

    let [admin, controllers] = [(); 2].map(|()| format!("{:032x}", fastrand::u128(..)));
    write(
        "tokens.csv",
        &format!("{admin},admin,admin,\"system:masters\"\n{controllers},system:kube-controller-manager,controllers\n"),
    )?;
    Ok(admin)
}

fn standard_output(output: std::io::Result<Output>, command: &Command) -> anyhow::Result<String> {
    let output = output.with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().display();
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed ({}): {}", arguments.join(" "), output.status, errors.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
