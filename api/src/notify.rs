//! The reports that the operator sends to others, `spec.notify`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret_ref::SecretRef;

/// The hosts whose type the operator knows, each with the name under which it answers ssh at port 443.
const KNOWN_HOSTS: [(&str, &str, GitHostType); 3] = [
    ("github.com", "ssh.github.com", GitHostType::GitHub),
    ("gitlab.com", "altssh.gitlab.com", GitHostType::GitLab),
    ("bitbucket.org", "altssh.bitbucket.org", GitHostType::Bitbucket),
];

/// The reports that the operator sends to others.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifySpec {
    /// Reports to the git host what becomes of each new commit, as a status of that commit: refused by lint, held,
    /// published, and applied by the whole fleet. It works with git sources alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatusSpec>,
}

/// The statuses of commits at their git host.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatusSpec {
    /// The kind of the git host.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub host_type: Option<GitHostType>,

    /// The address of the host's API, such as `https://git.example.com/api/v1`. By default it is derived from the source.
    /// What is refused as the address of a source is refused here, and no redirect is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https://[^/?#@]+(/[^?#@]*)?$')")
        .message("the address is written https://host:port, with a path and without user, password, and query"))]
    pub address: Option<String>,

    /// The name under which the git host shows the status: `rototo/NAMESPACE/NAME` by default. Two workspaces that follow
    /// one repository need different names, also in different clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[ -~]+$"))]
    pub context: Option<String>,

    /// A Secret of this namespace with the credentials for the API: `bearerToken`, or `username` and `password`, and
    /// `ca.crt` for a private certificate authority. The operator may read one called `rototo-commit-status`, unless its
    /// administrator decided otherwise.
    pub secret_ref: SecretRef,
}

/// The kind of the git host: `github`, `gitlab`, `gitea` (also for Forgejo), `bitbucket` (Cloud), or `bitbucketserver` (Data
/// Center). By default that of the source's host, where this is `github.com`, `gitlab.com`, or `bitbucket.org`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GitHostType {
    /// GitHub, also GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea, or Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center.
    BitbucketServer,
}

impl GitHostType {
    /// Returns the kind of a host that everybody knows.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let host = main_host(host);
        KNOWN_HOSTS.iter().find(|(known, ..)| *known == host).map(|(.., host_type)| *host_type)
    }
}

/// Returns the host that has the pages and the API of a git host. A few hosts answer ssh under another name too.
#[must_use]
pub fn main_host(host: &str) -> &str {
    KNOWN_HOSTS.iter().find(|(_, ssh, _)| *ssh == host).map_or(host, |(known, ..)| known)
}

/// The rule that statuses need a source with commits.
pub(crate) fn has_commits() -> String {
    format!("!{HAS} || self.spec.source.startsWith('git+')")
}

/// The rule that the type of the git host is known.
pub(crate) fn has_type() -> String {
    let names = KNOWN_HOSTS.iter().flat_map(|(host, ssh, _)| [host, ssh]);
    let hosts = names.map(|name| name.replace('.', "[.]")).collect::<Vec<_>>().join("|");
    let known = format!("self.spec.source.matches('(?i)^git[+](https|ssh)://([^/@]*@)?({hosts})(:[0-9]+)?/')");
    format!("!{HAS} || has(self.spec.notify.commitStatus.type) || {known}")
}

/// The part of a rule that is true where the spec asks for statuses.
const HAS: &str = "(has(self.spec.notify) && has(self.spec.notify.commitStatus))";
