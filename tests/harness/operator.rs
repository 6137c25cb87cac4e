//! The operator: its chart, and its program as a process with exactly the rights that the chart grants.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::cluster::write_kubeconfig;
use super::namespace::PATIENCE;
use super::{ChildProcess, Gate, Namespace, Observation, Proxy, http, port, programs, scratch, until};

/// The name of the release, from which the chart derives all other names.
const RELEASE: &str = "rototo-operator";

/// An operator that serves the namespace in which it is installed.
#[derive(Debug)]
pub struct Operator {
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    listen: String,
    metrics: String,
    process: Option<ChildProcess>,
}

impl Operator {
    /// Installs the chart in `namespace`, starts the operator with its ServiceAccount, and returns when it is ready.
    pub fn start(namespace: &Namespace) -> anyhow::Result<Self> {
        Self::start_with(namespace, &[])
    }

    /// Does the same as [`Operator::start`] with further flags, each as `--name=value`. A flag replaces another of the
    /// same name.
    pub fn start_with(namespace: &Namespace, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_as(namespace, RELEASE, flags)
    }

    /// Does the same as [`Operator::start_with`] with the release name `release`. The names of all objects are those in
    /// the Deployment of the chart.
    pub fn start_as(namespace: &Namespace, release: &str, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_installed(namespace, release, &[], flags)
    }

    /// Does the same as [`Operator::start`] for an operator that serves these namespaces.
    pub fn start_for(namespace: &Namespace, served: &[&str]) -> anyhow::Result<Self> {
        let served = served.join(",");
        let value = format!("watchNamespaces={{{served}}}");
        Self::start_installed(namespace, RELEASE, &[&value], &[&format!("--watch-namespace={served}")])
    }

    /// Does the same as [`Operator::start_with`] for an operator that serves with the certificate in this Secret.
    pub fn start_as_given(namespace: &Namespace, secret: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let (value, flag) = (format!("tls.fromSecret={secret}"), format!("--tls-from-secret={secret}"));
        let flags: Vec<&str> = flags.iter().copied().chain([flag.as_str()]).collect();
        Self::start_installed(namespace, RELEASE, &[&value], &flags)
    }

    /// Does the same as [`Operator::start`] with these values of the chart.
    pub fn start_with_values(namespace: &Namespace, values: &[&str]) -> anyhow::Result<Self> {
        Self::start_installed(namespace, RELEASE, values, &[])
    }

    fn start_installed(namespace: &Namespace, release: &str, values: &[&str], flags: &[&str]) -> anyhow::Result<Self> {
        let way = |token: &Path| namespace.cluster().kubeconfig_for_token_file(token, namespace.name());
        let mut operator = Self::install(namespace, release, values, flags, way)?;
        operator.start_again()?;
        operator.wait_until_ready()?;
        Ok(operator)
    }

    /// Does the same as [`Operator::start_with`] with a gate between the operator and the API server. Returns at once.
    pub fn start_behind(namespace: &Namespace, gate: &Gate, flags: &[&str]) -> anyhow::Result<Self> {
        let way = |token: &Path| gate.kubeconfig_for_token_file(token, namespace.name());
        let mut operator = Self::install(namespace, RELEASE, &[], flags, way)?;
        operator.start_again()?;
        Ok(operator)
    }

    /// Installs the chart with these values, and prepares an operator that reaches the API server through `proxy`.
    /// [`Operator::start_again`] starts it.
    pub fn prepare(namespace: &Namespace, proxy: &Proxy, values: &[&str], flags: &[&str]) -> anyhow::Result<Self> {
        let url = format!("https://{}", proxy.address());
        let way = |token: &Path| namespace.cluster().kubeconfig_by_way_of(&url, token, namespace.name());
        Self::install(namespace, RELEASE, values, flags, way)
    }

    /// Makes the operator, from its next start on, advertise this `host:port` to processes, where a proxy listens.
    pub fn advertise(&mut self, address: &str) {
        self.arguments.retain(|flag| !flag.starts_with("--advertise-url="));
        self.arguments.push(format!("--advertise-url=https://{address}"));
    }

    /// Starts an operator with the server at `url` as its API server. Returns at once.
    pub fn start_against(url: &str) -> anyhow::Result<Self> {
        let directory = scratch::directory("operator")?;
        let (listen, metrics) = (loopback()?, loopback()?);
        let nobody = json!({ "token": "nobody" });
        let kubeconfig =
            write_kubeconfig(directory.join("kubeconfig"), url, Path::new("/dev/null"), &nobody, "default")?;
        let arguments = own_flags(&kubeconfig, &directory, &listen, &metrics);
        let program = programs::ours("rototo-operator")?;
        let mut operator = Self { program, arguments, directory, listen, metrics, process: None };
        operator.start_again()?;
        Ok(operator)
    }

    /// Installs the chart, and prepares the program. `way` returns a kubeconfig for the file with the operator's token.
    fn install(
        namespace: &Namespace,
        release: &str,
        values: &[&str],
        flags: &[&str],
        way: impl Fn(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        install_chart_as(namespace, release, values)?;
        let deployed = Deployed::of(namespace, release)?;
        let directory = scratch::directory("operator")?;
        let token_file = directory.join("token");
        fs::write(&token_file, namespace.token(&deployed.service_account)?).context("write the operator's token")?;
        let kubeconfig = way(&token_file)?;
        let (listen, metrics) = (loopback()?, loopback()?);

        let mut ours = own_flags(&kubeconfig, &directory, &listen, &metrics);
        ours.push(format!("--namespace={}", namespace.name()));
        ours.push(format!("--watch-namespace={}", namespace.name()));
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let theirs = |flag: &String| flags.iter().any(|other| name(other) == name(flag));
        let mut arguments: Vec<String> = ours.into_iter().filter(|flag| !theirs(flag)).collect();
        arguments.extend(deployed.names);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));

        let program = programs::ours("rototo-operator")?;
        Ok(Self { program, arguments, directory, listen, metrics, process: None })
    }

    /// Starts the operator again with the same flags, addresses, and data, after [`Operator::kill`] or
    /// [`Operator::terminate`]. Returns at once.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("RUST_LOG", "debug").env("RUST_BACKTRACE", "1");
        self.process = Some(ChildProcess::start("rototo-operator", command, &self.directory.join("log"))?);
        Ok(())
    }

    /// Waits until `/readyz` reports that the operator is ready.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the operator is not running")?;
        until("the operator to be ready", PATIENCE, || {
            process.check_running()?;
            Ok(match http::get(&self.metrics, "/readyz") {
                Ok(answer) if answer.status == 200 => Observation::Done(()),
                Ok(answer) => Observation::NotYet(format!("{}: {}", answer.status, answer.body)),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })
    }

    /// Ends the operator like a crash. Its data stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the operator is not running")?.kill();
        Ok(())
    }

    /// Ends the operator like a rollout, and waits until it has ended.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the operator is not running")?.terminate(PATIENCE).map(drop)
    }

    /// Does the same as [`Operator::terminate`], and fails if that takes longer than `limit` or the operator ends with
    /// an error.
    pub fn terminate_within(&mut self, limit: Duration) -> anyhow::Result<()> {
        let ended = self.process.take().context("the operator is not running")?.terminate(limit)?;
        ensure!(ended.success(), "the operator ended with {ended}");
        Ok(())
    }

    /// Requests a path of the health and metrics server, such as `/healthz`.
    pub fn probe(&self, path: &str) -> anyhow::Result<http::HttpResponse> {
        http::get(&self.metrics, path)
    }

    /// Removes its data while it is not running, like a replaced pod without a volume.
    pub fn forget_everything(&mut self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.directory.join("data")).context("remove the operator's data")
    }

    /// Returns the directory with its log and its data.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the running process, to freeze it or to read its log.
    pub fn process(&self) -> anyhow::Result<&ChildProcess> {
        self.process.as_ref().context("the operator is not running")
    }

    /// Returns whether it keeps snapshots of a workspace.
    #[must_use]
    pub fn keeps_snapshots(&self, namespace: &Namespace, workspace: &str) -> bool {
        self.directory.join("data/snapshots").join(namespace.name()).join(workspace).exists()
    }

    /// Returns the address at which it serves snapshots and takes reports, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// Returns its metrics as text.
    pub fn metrics(&self) -> anyhow::Result<String> {
        Ok(http::get(&self.metrics, "/metrics")?.body)
    }

    /// Returns the sum of a metric over all lines whose labels contain every one of `labels`, such as
    /// `stage="applied"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        Ok(sum(&self.metrics()?, name, labels))
    }
}

/// Installs or upgrades the chart for one namespace. The CRD must be installed before.
pub fn install_chart(namespace: &Namespace, values: &[&str]) -> anyhow::Result<()> {
    install_chart_as(namespace, RELEASE, values)
}

/// The flags that contain names which the chart gives.
const NAMES: [&str; 3] = ["--release=", "--tls-secret=", "--requests-policy="];

/// The names that the chart gives to the operator's objects.
struct Deployed {
    service_account: String,
    /// The flags that contain names.
    names: Vec<String>,
}

impl Deployed {
    fn of(namespace: &Namespace, release: &str) -> anyhow::Result<Self> {
        let instance = format!("app.kubernetes.io/instance={release}");
        let arguments =
            ["--namespace", namespace.name(), "get", "deployments", "--output=json", "--selector", &instance];
        let deployments: Value = serde_json::from_str(&namespace.cluster().kubectl(&arguments)?)?;
        let pod = &deployments["items"][0]["spec"]["template"]["spec"];
        let service_account = pod["serviceAccountName"].as_str().context("the Deployment has no ServiceAccount")?;
        let arguments = pod["containers"][0]["args"].as_array().context("the Deployment has no arguments")?;
        let arguments = arguments.iter().filter_map(Value::as_str);
        let names = arguments.filter(|argument| NAMES.iter().any(|name| argument.starts_with(name)));
        Ok(Self { service_account: service_account.to_owned(), names: names.map(str::to_owned).collect() })
    }
}

fn install_chart_as(namespace: &Namespace, release: &str, values: &[&str]) -> anyhow::Result<()> {
    let chart = xtask::cargo::root().join("charts/rototo-operator").display().to_string();
    let watched = format!("watchNamespaces={{{}}}", namespace.name());
    let mut arguments = vec!["upgrade", "--install", release, &chart, "--namespace", namespace.name()];
    arguments.extend(["--set", "crds.install=false", "--set", &watched]);
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    namespace.cluster().helm(&arguments).map(drop)
}

fn own_flags(kubeconfig: &Path, directory: &Path, listen: &str, metrics: &str) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--listen={listen}"),
        format!("--metrics-listen={metrics}"),
        format!("--advertise-url=https://{listen}"),
        format!("--data-dir={}", directory.join("data").display()),
        "--allow-file-sources".to_owned(),
        // Every window of a fleet is a multiple of the heartbeat: a recount lasts 12 seconds.
        "--heartbeat-seconds=3".to_owned(),
    ]
}

fn loopback() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", port::free()?))
}

fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = metrics.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, with) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.iter().all(|label| with.contains(label))).then(|| value.parse::<f64>().ok()).flatten()
    });
    lines.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_that_were_not_given() {
        let metrics = "# HELP a b\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"1\",y=\"3\"} 4\na_total{x=\"2\"} 8\nb 1\n";
        assert_eq!(sum(metrics, "a_total", &["x=\"1\""]), 7.0);
        assert_eq!(sum(metrics, "a_total", &[]), 15.0);
        assert_eq!(sum(metrics, "b", &[]), 1.0);
    }
}
