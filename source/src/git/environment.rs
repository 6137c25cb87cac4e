//! The environment of git: what it gets of the variables of this process, and the settings that are added to it.

use std::process::Stdio;

use tokio::process::Command;

use crate::git::credentials::Setting;
use crate::spec::Scheme;

/// The git with which repositories are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitSetup {
    /// The user's own, as a shell would run it. Without credentials, that includes the variables with which users set up
    /// git (`GIT_SSL_…`, `GIT_SSH…`, `GIT_ASKPASS`, `GIT_CONFIG_…`, `GIT_PROXY_…`, `GIT_HTTP_…`), and the programs that
    /// they name.
    Own,
    /// The setup of an operator, which reads what others have written. Git gets the variables that it needs and no
    /// others, has at most [`git_memory_bytes`](crate::Limits::git_memory_bytes) of memory, and changes no file but
    /// those of its cached repository, where the kernel has Landlock.
    Isolated,
}

/// The variables with which users set up their own git: certificates, ssh, a program that asks for passwords, settings,
/// and proxies. All others that begin with `GIT_` belong to one repository or one run of git.
const OWN: [&str; 6] = ["GIT_SSL_", "GIT_SSH", "GIT_ASKPASS", "GIT_CONFIG_", "GIT_PROXY_", "GIT_HTTP_"];

/// The variable with the settings of `git -c`. Git reads it after all others, so it would override ours.
const OF_ONE_RUN: &str = "GIT_CONFIG_PARAMETERS";

/// The variables that git needs of an operator's environment, beside those whose names begin with [`NEEDED_FAMILIES`].
const NEEDED: [&str; 14] = [
    "PATH",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "RES_OPTIONS",
];
/// Families of variables of the dynamic linker, and of a library that names users.
const NEEDED_FAMILIES: [&str; 2] = ["LD_", "NSS_WRAPPER_"];

/// The home directory of an isolated git. A real one may have a `.netrc` or settings of its owner, and git would open the
/// sources of everybody with them.
const NO_HOME: &str = "/nonexistent";

/// The owner of the git that a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// The user's own, with all of its variables.
    Own,
    /// The git of this process's user, with credentials of ours.
    Ours,
    /// The git of an operator, which gets only what it needs.
    Isolated,
}

impl Setup {
    /// Returns the set-up of a run. Credentials of ours are used by themselves.
    pub(super) fn of(setup: GitSetup, has_credentials: bool) -> Self {
        match setup {
            GitSetup::Isolated => Self::Isolated,
            GitSetup::Own if has_credentials => Self::Ours,
            GitSetup::Own => Self::Own,
        }
    }

    fn keeps(self, name: &str) -> bool {
        match self {
            Self::Own if name.starts_with("GIT_") => {
                name != OF_ONE_RUN && OWN.iter().any(|family| name.starts_with(family))
            }
            Self::Own => true,
            Self::Ours => !name.starts_with("GIT_"),
            Self::Isolated => NEEDED.contains(&name) || NEEDED_FAMILIES.iter().any(|family| name.starts_with(family)),
        }
    }

    /// Gives `command` the variables of this process that it may have, and no others.
    pub(super) fn pass_on(self, command: &mut Command) {
        let variables = std::env::vars_os().filter(|(name, _)| self.keeps(&name.to_string_lossy()));
        command.env_clear().envs(variables);
        if self == Self::Isolated {
            command.env("HOME", NO_HOME);
        }
        command.env("LC_ALL", "C").env_remove("LANGUAGE").env("GIT_TERMINAL_PROMPT", "0");
        // Git starts another fetch for an object that it misses, and that one misses the next: at a host that has a part of
        // its history alone, without end.
        command.env("GIT_NO_LAZY_FETCH", "1");
        if self != Self::Own || std::env::var_os("GIT_ASKPASS").is_none() {
            command.env("GIT_ASKPASS", "");
        }
    }

    /// Adds settings, behind those that the environment has already.
    pub(super) fn add(self, command: &mut Command, settings: impl Iterator<Item = Setting>) {
        let own = (self == Self::Own).then(|| std::env::var("GIT_CONFIG_COUNT").ok()?.parse().ok()).flatten();
        let mut count: usize = own.unwrap_or(0);
        for (key, value) in settings {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count = count.saturating_add(1);
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
    }

    /// Returns the transports that a run may use for an address with `scheme`. A user's own settings may replace the
    /// address by one of the other encrypted transport (`insteadOf`). With credentials of ours, or where addresses are
    /// restricted, the transport is that of the source.
    pub(super) fn transports(self, scheme: Scheme, is_restricted: bool) -> &'static str {
        match scheme {
            Scheme::Https | Scheme::Ssh if self == Self::Own && !is_restricted => "https:ssh",
            scheme => scheme.as_str(),
        }
    }

    /// Returns whether the user has a command of their own for ssh, in the environment or in git's settings.
    pub(super) async fn starts_ssh(self) -> bool {
        if self != Self::Own {
            return false;
        }
        if ["GIT_SSH_COMMAND", "GIT_SSH"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return true;
        }
        let mut command = Command::new("git");
        self.pass_on(&mut command);
        command.args(["config", "--get", "core.sshCommand"]).current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        // A git that can't be run is reported by the run that follows.
        command.output().await.is_ok_and(|output| !output.stdout.is_empty())
    }

    /// Keeps an ssh of the user from asking on the terminal, where it would wait for an answer until git's time is over.
    pub(super) fn ask_nobody(command: &mut Command) {
        if std::env::var_os("SSH_ASKPASS").is_none() {
            command.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_up_keeps_its_variables() {
        for (name, own, ours, isolated) in [
            ("PATH", true, true, true),
            ("HTTPS_PROXY", true, true, true),
            ("HOME", true, true, false),
            ("XDG_CONFIG_HOME", true, true, false),
            ("SECRET_OF_THE_POD", true, true, false),
            ("GIT_SSL_CAINFO", true, false, false),
            ("GIT_SSH_COMMAND", true, false, false),
            ("GIT_ASKPASS", true, false, false),
            ("GIT_CONFIG_COUNT", true, false, false),
            ("GIT_CONFIG_GLOBAL", true, false, false),
            ("GIT_PROXY_COMMAND", true, false, false),
            ("GIT_CONFIG_PARAMETERS", false, false, false),
            ("GIT_DIR", false, false, false),
            ("GIT_TRACE", false, false, false),
            ("GIT_EXEC_PATH", false, false, false),
        ] {
            assert_eq!(
                [Setup::Own, Setup::Ours, Setup::Isolated].map(|setup| setup.keeps(name)),
                [own, ours, isolated],
                "{name}"
            );
        }
        assert_eq!(Setup::of(GitSetup::Own, true), Setup::Ours);
        assert_eq!(Setup::of(GitSetup::Isolated, true), Setup::Isolated);
    }

    #[test]
    fn only_the_users_own_git_without_restrictions_may_change_the_transport() {
        for setup in [Setup::Own, Setup::Ours, Setup::Isolated] {
            for is_restricted in [false, true] {
                let is_free = setup == Setup::Own && !is_restricted;
                for (scheme, own) in [(Scheme::Https, "https"), (Scheme::Ssh, "ssh")] {
                    let expected = if is_free { "https:ssh" } else { own };
                    assert_eq!(setup.transports(scheme, is_restricted), expected, "{setup:?} {is_restricted}");
                }
                assert_eq!(setup.transports(Scheme::File, is_restricted), "file");
            }
        }
    }
}
