//! The example service as a process of a pod.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use rototo_api::names;
use serde_json::Value;

use super::namespace::PATIENCE;
use super::{ChildProcess, Namespace, Observation, Pod, http, programs, until};

/// The settings of an [`App`], before it starts.
#[derive(Clone, Debug)]
#[must_use = "an app runs only once it is started"]
pub struct AppSettings {
    namespace: Namespace,
    name: String,
    program: &'static str,
    service_account: String,
    labels: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    api_server: Option<String>,
}

/// A running example service with its own pod, ServiceAccount, and kubeconfig.
#[derive(Debug)]
pub struct App {
    pod: Pod,
    program: PathBuf,
    environment: BTreeMap<String, String>,
    process: Option<ChildProcess>,
    address: String,
}

impl AppSettings {
    /// Creates the settings of a service that follows `workspace` as the ServiceAccount `app`, which
    /// [`Namespace::grant`] has created.
    pub fn new(namespace: &Namespace, workspace: &str) -> Self {
        let source = format!("kubernetes://{}/{workspace}", namespace.name());
        let settings = Self {
            namespace: namespace.clone(),
            name: format!("app-{:08x}", fastrand::u32(..)),
            program: "degradation-service",
            service_account: "app".to_owned(),
            labels: BTreeMap::from([(names::workspace_label(workspace), String::new())]),
            environment: BTreeMap::new(),
            api_server: None,
        };
        settings.environment("ROTOTO_WORKSPACE_SOURCE", &source)
    }

    pub(crate) fn pod_name(&self) -> &str {
        &self.name
    }

    /// Sets the name of the pod.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Makes the process run another program that follows a workspace, and logs the address at which it listens.
    pub fn program(mut self, name: &'static str) -> Self {
        self.program = name;
        self
    }

    /// Sets the ServiceAccount.
    pub fn service_account(mut self, name: &str) -> Self {
        name.clone_into(&mut self.service_account);
        self
    }

    /// Adds a label to the pod.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Makes the service reach the API server at `url`, where a [`super::Proxy`] listens.
    pub fn by_way_of(mut self, url: &str) -> Self {
        self.api_server = Some(url.to_owned());
        self
    }

    /// Creates the pod, starts the service, and returns when the service listens. The service may have no workspace
    /// yet.
    pub async fn start(self) -> anyhow::Result<App> {
        let mut app = self.start_without_waiting().await?;
        app.wait_until_listening()?;
        Ok(app)
    }

    pub(crate) async fn start_without_waiting(self) -> anyhow::Result<App> {
        let pod = Pod::create(&self.namespace, &self.name, &self.service_account, &self.labels).await?;
        let program = programs::ours(self.program)?;
        let kubeconfig = match &self.api_server {
            Some(url) => {
                let cluster = self.namespace.cluster();
                cluster.kubeconfig_by_way_of(url, &pod.api_token_file(), self.namespace.name())?
            }
            None => pod.kubeconfig().to_owned(),
        };
        // Settings of the test override these.
        let mut environment = BTreeMap::from([
            ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
            ("ROTOTO_TOKEN_FILE".to_owned(), pod.rototo_token_file().display().to_string()),
            ("LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("RUST_LOG".to_owned(), "info,rototo=debug".to_owned()),
        ]);
        environment.extend(self.environment);
        let mut app = App { pod, program, environment, process: None, address: String::new() };
        app.start_again()?;
        Ok(app)
    }
}

impl App {
    /// Starts the service again in the same pod, after [`App::kill`] or [`App::terminate`]. Returns at once.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROTOTO_")) {
            command.env_remove(name);
        }
        command.envs(&self.environment);
        self.process = Some(ChildProcess::start(self.pod.name(), command, &self.pod.directory().join("log"))?);
        Ok(())
    }

    /// Waits until the service has logged its address.
    pub fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the service is not running")?;
        self.address = until(format_args!("{} to listen", self.pod.name()), PATIENCE, || {
            process.check_running()?;
            Ok(match listening_on(&process.log()) {
                Some(address) => Observation::Done(address),
                None => Observation::NotYet(process.last_words()),
            })
        })?;
        Ok(())
    }

    /// Returns the address at which the service listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the pod.
    #[must_use]
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Returns the running process, to freeze it or to read its log.
    pub fn process(&self) -> anyhow::Result<&ChildProcess> {
        self.process.as_ref().context("the service is not running")
    }

    /// Ends the service like a crash.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the service is not running")?.kill();
        Ok(())
    }

    /// Ends the service like a rollout, and waits until it has ended.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the service is not running")?.terminate(PATIENCE).map(drop)
    }

    /// Returns whether `/readyz` shows that the service has a workspace.
    pub fn is_ready(&self) -> anyhow::Result<bool> {
        Ok(http::get(&self.address, "/readyz")?.status == 200)
    }

    /// Returns the response of `/state`.
    pub fn state(&self) -> anyhow::Result<Value> {
        http::get(&self.address, "/state")?.json()
    }

    /// Returns the policy for this pressure and account: `{value_key, policy}`.
    pub fn policy(&self, queue_pressure: &str, account_id: &str) -> anyhow::Result<Value> {
        let query = http::query(&[("queue_pressure", queue_pressure), ("account_id", account_id)]);
        http::get(&self.address, &format!("/policy?{query}"))?.json()
    }

    /// Waits until `holds` is true for the state; `what` describes that state.
    pub fn wait_for_state(&self, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        until(format_args!("{} to be {what}", self.pod.name()), PATIENCE, || {
            let state = self.state()?;
            Ok(if holds(&state) { Observation::Done(state) } else { Observation::NotYet(state.to_string()) })
        })
    }

    /// Waits until the service follows the policy `value_key` for this pressure and account.
    pub fn wait_for_policy(&self, queue_pressure: &str, account_id: &str, value_key: &str) -> anyhow::Result<Value> {
        until(format_args!("{} to follow the policy {value_key}", self.pod.name()), PATIENCE, || {
            Ok(match self.policy(queue_pressure, account_id) {
                Ok(policy) if policy["value_key"] == value_key => Observation::Done(policy),
                Ok(policy) => Observation::NotYet(policy.to_string()),
                // The service answers with an error while it has no workspace.
                Err(error) => Observation::NotYet(format!("{error:#}")),
            })
        })
    }
}

/// Returns the address from the line `listening on http://ADDRESS`, once that line is complete.
fn listening_on(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    let (address, _) = rest.split_once('\n')?;
    Some(address.split_whitespace().next()?.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_only_from_a_complete_line() {
        assert_eq!(listening_on("INFO listening on http://127.0.0.1:80"), None);
        assert_eq!(listening_on("x\nINFO listening on http://127.0.0.1:8080\n").as_deref(), Some("127.0.0.1:8080"));
    }
}
