//! Runs the `git` program, and limits its environment, its abilities, its time, and its output.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::credentials::Credentials;
use crate::egress::{Egress, GitWay};
use crate::error::GitFault;
use crate::hosts::{BackedOff, Host, Hosts, Proxy};
use crate::limits::Limits;
use crate::spec::{RemoteUrl, Scheme};

use crate::git::credentials::{GitKeyFiles, Setting};
use crate::git::failure::classify;
use crate::git::group::ProcessGroup;
use crate::git::requests::Requests;
use crate::git::stderr::{GitStderr, TRACE};

/// The git program, set up for one remote, which it knows as `origin`.
pub(crate) struct Program {
    url: RemoteUrl,
    credentials: Credentials,
    proxy: Option<Proxy>,
    egress: Egress,
    // `None` for a repository on this machine.
    host: Option<Arc<Host>>,
    requests: Arc<Requests>,
    timeout: Duration,
    download_bytes: u64,
}

/// The output of a successful run.
pub(super) struct GitOutput {
    pub(super) stdout: Vec<u8>,
}

impl Program {
    pub(crate) fn new(
        url: &RemoteUrl,
        credentials: &Credentials,
        (egress, proxy): (Egress, Option<Proxy>),
        hosts: &Hosts,
        requests: Arc<Requests>,
        limits: &Limits,
    ) -> Self {
        let host = (url.scheme() != Scheme::File).then(|| hosts.host(url.host()));
        let (url, credentials) = (url.clone(), credentials.for_address(url));
        Self {
            url,
            credentials,
            proxy,
            egress,
            host,
            requests,
            timeout: limits.git_timeout,
            download_bytes: limits.download_bytes,
        }
    }

    /// Runs git to its end with the network allowed, unless the host is in backoff. `kind` is the subcommand.
    pub(super) async fn talk(
        &self,
        kind: &'static str,
        repository: Option<&Path>,
        arguments: &[&str],
        stdin: &[u8],
    ) -> Result<GitOutput, GitFault> {
        let outcome = self.talk_patiently(repository, arguments, stdin).await;
        self.requests.count(kind, outcome.as_ref().map_or_else(GitFault::code, |_| "success"));
        outcome
    }

    async fn talk_patiently(
        &self,
        repository: Option<&Path>,
        arguments: &[&str],
        stdin: &[u8],
    ) -> Result<GitOutput, GitFault> {
        let Some(host) = &self.host else {
            return self.run(repository, arguments, stdin).await.map_err(|(fault, _)| fault);
        };
        host.ask().map_err(|BackedOff| GitFault::LeftAlone)?;
        match self.run(repository, arguments, stdin).await {
            // The fault is the host's, and concerns all of its repositories.
            Err((fault @ (GitFault::Unreachable(_) | GitFault::Throttled(_)), retry_after)) => {
                host.refused(retry_after);
                Err(fault)
            }
            // Neither our time limit nor our refusal says anything about the health of the host.
            Err((fault @ (GitFault::TimedOut(_) | GitFault::AddressRefused(_)), _)) => Err(fault),
            other => {
                host.answered();
                other.map_err(|(fault, _)| fault)
            }
        }
    }

    async fn run(
        &self,
        repository: Option<&Path>,
        arguments: &[&str],
        stdin: &[u8],
    ) -> Result<GitOutput, (GitFault, Option<Duration>)> {
        let without_word = |fault| (fault, None);
        // Removes the files with credentials when it is dropped, so it lives as long as git runs.
        let way = async {
            let way = GitWay::open(&self.egress, self.proxy.as_ref(), &self.url).await?;
            let keys = GitKeyFiles::hand_over(&self.credentials, &self.url, way.ssh_options())?;
            Ok::<_, GitFault>((way, keys))
        };
        let way = tokio::time::timeout(self.timeout, way).await.unwrap_or(Err(GitFault::TimedOut(self.timeout)));
        let (way, keys) = way.map_err(without_word)?;
        let settings = self.network_settings().into_iter().chain(keys.settings()).chain(way.settings());
        let mut command = self.command(repository, settings);
        for name in way.without() {
            command.env_remove(name);
        }
        if self.url.scheme() == Scheme::Https {
            command.envs(TRACE);
        }
        command.envs(keys.environment()).env("GIT_ALLOW_PROTOCOL", self.url.scheme().as_str()).args(arguments);
        let mut group = ProcessGroup::start(&mut command).map_err(without_word)?;
        group.limit_file_size(self.download_bytes);
        let running = group.run(stdin);
        let ended = tokio::time::timeout(self.timeout, running).await;
        let (status, stdout, GitStderr { text, retry_after }) =
            ended.unwrap_or(Err(GitFault::TimedOut(self.timeout))).map_err(without_word)?;
        if status.success() {
            return Ok(GitOutput { stdout });
        }
        if let Some(fault) = way.fault() {
            return Err((fault.into(), retry_after));
        }
        Err((classify(&self.scrub(&text), self.download_bytes), retry_after))
    }

    /// Starts git to read from the disk, without access to any network.
    pub(super) fn read(&self, repository: &Path, arguments: &[&str]) -> Result<ProcessGroup, GitFault> {
        let mut command = self.command(Some(repository), std::iter::empty());
        command.env("GIT_ALLOW_PROTOCOL", "").args(arguments);
        ProcessGroup::start(&mut command)
    }

    /// Returns the time limit of one run.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn command(&self, repository: Option<&Path>, more: impl Iterator<Item = Setting>) -> Command {
        let mut command = Command::new("git");
        // No variable that a shell, a hook, or an editor left behind may point git elsewhere.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "");
        match repository {
            Some(repository) => command.env("GIT_DIR", repository),
            // Git searches the parents of its directory for a repository, and finds none above this one.
            None => command.current_dir("/"),
        };
        let settings: Vec<Setting> = self.settings().into_iter().chain(more).collect();
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command
    }

    /// Passes settings by the environment: every user of the machine sees arguments, and files stay.
    fn settings(&self) -> Vec<Setting> {
        let settings = [
            ("remote.origin.url", &*self.url.without_secrets()),
            ("core.hooksPath", "/dev/null"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("submodule.recurse", "false"),
            ("fetch.recurseSubmodules", "false"),
            ("fetch.writeCommitGraph", "false"),
            ("protocol.version", "2"),
            // Git streams larger objects.
            ("core.bigFileThreshold", "1m"),
            // The cached repository is fetched again after a crash damaged it.
            ("core.fsync", "none"),
        ];
        settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn network_settings(&self) -> Vec<Setting> {
        if self.url.scheme() != Scheme::Https {
            return Vec::new();
        }
        // A stalled connection ends by itself, also when nobody waits for it any more.
        let stalled = self.timeout.as_secs().max(1).to_string();
        let mut settings =
            vec![("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", &*stalled), ("http.followRedirects", "initial")];
        settings.extend(self.proxy.as_ref().map(|proxy| ("http.proxy", proxy.with_secrets())));
        settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn scrub(&self, complaint: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(complaint).into_owned();
        let mut secrets: Vec<&str> = self.url.secrets().chain(self.credentials.secrets()).collect();
        secrets.extend(self.proxy.as_ref().and_then(Proxy::secret));
        secrets.retain(|secret| !secret.is_empty());
        // Replaces the longest secret first, because a shorter one may be a part of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            text = text.replace(secret, "…");
        }
        text
    }
}
