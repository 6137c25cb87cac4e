//! Runs the `git` program, and limits its environment, its abilities, its time, and its output.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::credentials::{Credentials, Login};
use crate::egress::{Egress, GitWay};
use crate::error::GitFault;
use crate::hosts::{BackedOff, HostKey, Hosts, Proxy};
use crate::limits::Limits;
use crate::spec::{RemoteUrl, Scheme};

use crate::git::blame::Blame;
use crate::git::confine::{Changes, Confinement};
use crate::git::credentials::{GitKeyFiles, Setting};
use crate::git::environment::{GitSetup, Setup};
use crate::git::failure::{Failure, not_git};
use crate::git::group::{GitExit, ProcessGroup};
use crate::git::known_hosts;
use crate::git::packs::PackFile;
use crate::git::requests::Requests;
use crate::git::stderr::TRACE;

/// The git program, set up for one remote, which it knows as `origin`.
#[derive(Clone)]
pub(crate) struct Program {
    url: RemoteUrl,
    credentials: Credentials,
    // Credentials in an address that the user wrote are not ours.
    setup: Setup,
    proxy: Option<Proxy>,
    egress: Egress,
    // `None` for a repository on this machine.
    host: Option<(Hosts, HostKey)>,
    requests: Arc<Requests>,
    timeout: Duration,
    download_bytes: u64,
    memory_bytes: u64,
}

/// The output of a successful run.
pub(super) struct GitOutput {
    pub(super) stdout: Vec<u8>,
    /// True if `stdout` is all that git wrote.
    pub(super) is_whole: bool,
}

/// The way to the host, and the credentials for it in files. They are removed when this is dropped, so it lives as long as
/// git runs.
struct OpenWay {
    way: GitWay,
    keys: GitKeyFiles,
}

impl Program {
    pub(crate) fn new(
        url: &RemoteUrl,
        credentials: &Credentials,
        (setup, egress, proxy): (GitSetup, Egress, Option<Proxy>),
        hosts: &Hosts,
        requests: Arc<Requests>,
        limits: &Limits,
    ) -> Self {
        let host = (url.scheme() != Scheme::File).then(|| (hosts.clone(), credentials.host_key(url)));
        let setup = Setup::of(setup, !credentials.is_empty());
        let (url, credentials) = (url.clone(), credentials.for_address(url));
        Self {
            url,
            credentials,
            setup,
            proxy,
            egress,
            host,
            requests,
            timeout: limits.git_timeout,
            download_bytes: limits.download_bytes,
            memory_bytes: limits.git_memory_bytes,
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
        let Some((hosts, key)) = &self.host else {
            return self.run(repository, arguments, stdin).await.map_err(|(fault, _)| fault);
        };
        let host = hosts.host(key.clone());
        host.ask().map_err(|BackedOff| GitFault::LeftAlone)?;
        match self.run(repository, arguments, stdin).await {
            Err((fault, Blame::Host(failure))) => {
                host.failed(failure);
                Err(fault)
            }
            Err((fault, Blame::Nobody)) => Err(fault),
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
    ) -> Result<GitOutput, (GitFault, Blame)> {
        let uncharged = |fault| (fault, Blame::Nobody);
        let own_ssh = self.url.scheme() == Scheme::Ssh && self.setup.starts_ssh().await;
        let way = tokio::time::timeout(self.timeout, self.open_way(own_ssh)).await;
        let way = way.unwrap_or(Err(GitFault::TimedOut(self.timeout)));
        let way = way.map_err(|fault| Blame::of_the_way(fault, false))?;
        let mut command = self.network_command(repository, arguments, &way, own_ssh);
        let mut group = ProcessGroup::start(&mut command, &self.confinement(repository)).map_err(uncharged)?;
        let running = group.run(stdin, self.url.scheme() == Scheme::Https);
        let ended = tokio::time::timeout(self.timeout, running).await;
        let exit = ended.unwrap_or(Err(GitFault::TimedOut(self.timeout))).map_err(uncharged)?;
        self.outcome(exit, &way, repository)
    }

    /// Opens the way to the host. `own_ssh` says whether git starts our ssh.
    async fn open_way(&self, own_ssh: bool) -> Result<OpenWay, GitFault> {
        let way = GitWay::open(&self.egress, self.proxy.as_ref(), &self.url).await?;
        let keys = GitKeyFiles::hand_over(&self.credentials, &self.url, own_ssh, &way)?;
        if let (Some(file), Some(host)) = (keys.known_hosts(), way.ssh_host()) {
            known_hosts::translate(file, host, self.setup, &self.reading()).await?;
        }
        Ok(OpenWay { way, keys })
    }

    /// Returns git with the network allowed, on this way.
    fn network_command(
        &self,
        repository: Option<&Path>,
        arguments: &[&str],
        OpenWay { way, keys }: &OpenWay,
        own_ssh: bool,
    ) -> Command {
        let settings = self.network_settings().into_iter().chain(keys.settings()).chain(way.settings());
        let mut command = self.command(self.setup, repository, settings);
        for name in way.removed_variables() {
            command.env_remove(name);
        }
        if self.url.scheme() == Scheme::Https {
            command.envs(TRACE);
        }
        let transports = self.setup.transports(self.url.scheme(), self.egress.restricts());
        if own_ssh || self.url.scheme() == Scheme::Https && transports.contains("ssh") {
            Setup::ask_nobody(&mut command);
        }
        command.envs(keys.environment()).env("GIT_ALLOW_PROTOCOL", transports).args(arguments);
        command
    }

    /// Returns the output of a git that has ended on this way, or its fault with the party that is charged.
    fn outcome(
        &self,
        GitExit { status, stdout, is_whole, stderr }: GitExit,
        OpenWay { way, .. }: &OpenWay,
        repository: Option<&Path>,
    ) -> Result<GitOutput, (GitFault, Blame)> {
        let answer = stderr.answer.as_ref();
        if status.success() {
            // What is no answer of git's smart protocol reads like a repository without refs.
            return match answer.filter(|answer| (200..300).contains(&answer.status) && !answer.is_git()) {
                Some(answer) => Err((GitFault::NotGit(not_git(answer)), Blame::Answered)),
                None => Ok(GitOutput { stdout, is_whole }),
            };
        }
        if let Some(fault) = way.fault() {
            return Err(Blame::of_the_way(fault.into(), stderr.redirected));
        }
        let failure = Failure {
            text: &self.scrub(&stderr.text()),
            answer,
            redirected: stderr.redirected,
            url: &self.url,
            repository,
            // Git does not say that a signal ended the program that writes the transfer, but the file is there.
            filled: repository
                .is_some_and(|path| PackFile::unfinished(path).any(|file| file.bytes >= self.download_bytes)),
            download_bytes: self.download_bytes,
            memory_bytes: self.confinement(repository).memory,
        };
        let fault = match (failure.classify(), self.credentials.login()) {
            (GitFault::AccessDenied(said), Some(Login::Bearer(_))) => GitFault::BearerRefused(said),
            (fault, _) => fault,
        };
        let blame = Blame::of(&fault, answer, stderr.redirected);
        Err((fault, blame))
    }

    /// Returns the limits of a git that talks to the host.
    fn confinement<'a>(&self, repository: Option<&'a Path>) -> Confinement<'a> {
        Confinement {
            // A user's own programs, such as those that know passwords, are not ours to limit.
            memory: (self.setup != Setup::Own).then_some(self.memory_bytes),
            file_size: Some(self.download_bytes),
            changes: match (self.setup, repository) {
                (Setup::Own | Setup::Ours, _) => Changes::Anywhere,
                (Setup::Isolated, Some(repository)) => Changes::Below(repository),
                (Setup::Isolated, None) => Changes::Nowhere,
            },
        }
    }

    /// Starts git to read from the disk, without access to any network.
    pub(super) fn read(&self, repository: &Path, arguments: &[&str]) -> Result<ProcessGroup, GitFault> {
        let mut command = self.command(Setup::Isolated, Some(repository), std::iter::empty());
        command.env("GIT_ALLOW_PROTOCOL", "").args(arguments);
        ProcessGroup::start(&mut command, &self.reading())
    }

    /// Returns the limits of a program that changes nothing.
    fn reading(&self) -> Confinement<'static> {
        Confinement { memory: Some(self.memory_bytes), file_size: None, changes: Changes::Nowhere }
    }

    /// Starts git to verify a signature, without access to any network. Git and the programs that it starts write only
    /// into `scratch`.
    pub(super) fn verify(
        &self,
        repository: &Path,
        scratch: &Path,
        settings: impl Iterator<Item = Setting>,
        arguments: &[&str],
    ) -> Result<ProcessGroup, GitFault> {
        let mut command = self.command(Setup::Isolated, Some(repository), settings);
        command.env("GIT_ALLOW_PROTOCOL", "").env("TMPDIR", scratch).args(arguments);
        let memory = Some(self.memory_bytes);
        ProcessGroup::start(&mut command, &Confinement { memory, file_size: None, changes: Changes::Below(scratch) })
    }

    /// Returns the time limit of one run.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the same program with another limit of memory.
    pub(super) fn with_memory(&self, bytes: u64) -> Self {
        Self { memory_bytes: bytes, ..self.clone() }
    }

    /// Returns the limit of memory of a git that reads objects.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn command(&self, setup: Setup, repository: Option<&Path>, more: impl Iterator<Item = Setting>) -> Command {
        let mut command = Command::new("git");
        setup.pass_on(&mut command);
        match repository {
            Some(repository) => command.env("GIT_DIR", repository),
            // Git searches the parents of its directory for a repository, and finds none above this one.
            None => command.current_dir("/"),
        };
        setup.add(&mut command, self.settings().into_iter().chain(more));
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
            // Each transfer stays a pack, so that the packs are all of a repository's disk.
            ("fetch.unpackLimit", "1"),
            ("protocol.version", "2"),
            // Git streams larger objects.
            ("core.bigFileThreshold", "1m"),
            // Bounds the memory of one run on a machine with many processors.
            ("core.deltaBaseCacheLimit", "32m"),
            ("pack.threads", "2"),
            // No program watches the files of a repository.
            ("core.fsmonitor", "false"),
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
