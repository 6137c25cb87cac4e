//! The `RototoWorkspace` custom resource: its spec names a configuration for a namespace, and its status shows what
//! became of it.
//!
//! The field docs are the manual: `kubectl explain rws.spec` prints them.
//!
//! ```
//! use std::time::Duration;
//! use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
//!
//! let spec: RototoWorkspaceSpec = serde_json::from_value(serde_json::json!({
//!     "source": "git+https://git.example.com/acme/runtime-config.git#main:workspaces/prod",
//!     "interval": "10s",
//! }))?;
//! let workspace = RototoWorkspace::new("degradation", spec);
//! assert_eq!(workspace.spec.interval(), Duration::from_secs(10));
//! // Fields that are not set have their defaults.
//! assert_eq!(workspace.spec.converge_within(), Duration::from_secs(1));
//! assert!(workspace.status.is_none());
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::time::Duration as StdDuration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::convergence::Straggler;
use crate::notify::{CommitStatusSpec, NotifySpec, has_commits, has_type};
pub use crate::rollout::HeldStatus;
use crate::rollout::{RehearsalSpec, RolloutSpec};
pub use crate::secret_ref::SecretRef;
use crate::source_scheme::{SourceScheme, UNENCRYPTED};

mod selector;
mod status;

pub use status::{
    CommitStatus, FleetMillis, FleetStatus, HistoryEntry, PublishedStatus, RejectedDiagnostic, RejectedStatus,
    RototoWorkspaceStatus, SourceLayer, SourceStatus, StatusColumns, WorkspaceStatus,
};

/// The workspace to follow, the interval of polls, and the pods that must converge.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "rototo.dev",
    version = "v1alpha1",
    kind = "RototoWorkspace",
    plural = "rototoworkspaces",
    shortname = "rws",
    category = "rototo",
    namespaced,
    status = "RototoWorkspaceStatus",
    derive = "PartialEq",
    doc = "Runtime configuration that is reviewed in git and reaches every running process within about a second. The operator fetches the source, lints it, and publishes it to the processes of this namespace only if lint passes. No value of the configuration is written to the cluster.",
    validation = Rule::new("!has(self.spec.verify) || self.spec.source.startsWith('git+')").message("spec.verify needs a git source: an archive has no signatures"),
    validation = Rule::new(has_commits()).message("spec.notify.commitStatus needs a git source: an archive has no commits"),
    validation = Rule::new(has_type()).message("spec.notify.commitStatus.type is missing: it is known for github.com, gitlab.com, and bitbucket.org alone"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name may have at most 63 characters: it is also part of a label"),
    printcolumn(
        name = "Ready", type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "True when the newest revision is published and no process is known that does not run it; Converged shows whether all run it"
    ),
    printcolumn(
        name = "Revision", type_ = "string", json_path = ".status.summary.revision",
        description = "The commit that the published content came from"
    ),
    printcolumn(
        name = "Fingerprint", type_ = "string", json_path = ".status.summary.fingerprint",
        description = "The first digits of the digest of the published content"
    ),
    printcolumn(
        name = "Fleet", type_ = "string", json_path = ".status.summary.fleet",
        description = "The number of processes that run the published content, and the number of those that should"
    ),
    printcolumn(
        name = "Converged-In", type_ = "string", json_path = ".status.summary.convergedIn",
        description = "The time that the last change took from its detection to running in the whole fleet"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Claimed", type_ = "date", json_path = ".status.fleet.asOf", priority = 1,
        description = "The age of the operator's last count of the processes that run the published content"
    ),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source", priority = 1),
    printcolumn(
        name = "Status", type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RototoWorkspaceSpec {
    /// The source of the workspace: `git+https://host/repository.git#ref:subdirectory`, the same with `git+ssh://`, or
    /// an archive, `https://host/file.tar.gz#:subdirectory`. The ref is a branch, a tag, or a full commit, which never
    /// moves; by default it is the default branch of the repository. `file://` and `git+file://` work only where the
    /// operator runs with `--allow-file-sources`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        validation = Rule::new(encrypted())
            .message("an unencrypted source is refused: use git+https://, git+ssh://, or https://"),
        validation = Rule::new(known_scheme())
            .message("the source must begin with git+https://, git+ssh://, or https:// (for example git+https://git.example.com/acme/config.git#main:workspaces/prod)")
    )]
    pub source: String,

    /// The interval at which the operator polls the source: a duration from `5s` to `24h`, 30 seconds by default. A
    /// webhook, or a new value of the annotation `rototo.dev/reconcile-requested-at`, makes the operator poll at once.
    /// The interval is ignored when the source names a full commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('24h')")
        .message("interval must lie between 5s and 24h"))]
    pub interval: Option<Duration>,

    /// The time limit of one fetch: a duration from `1s` to `10m`, 60 seconds by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('10m')")
        .message("timeout must lie between 1s and 10m"))]
    pub timeout: Option<Duration>,

    /// While `true` the source is not polled and nothing new is published. What is published stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// A Secret of this namespace with the credentials for the source: `username` and `password`, or `bearerToken`, or
    /// `identity` and `known_hosts` for ssh; `ca.crt` for a private certificate authority; `tls.crt` and `tls.key` for
    /// a client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,

    /// The signatures that each commit must have before it is published. A commit, or a layer that it extends, without a
    /// signature of a trusted signer is refused, and processes keep what was published before. It works only with git
    /// sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifySpec>,

    /// The findings of lint that refuse a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint: Option<LintPolicy>,

    /// The time without an answer of the source after which the configuration counts as stale, here and in every
    /// process; the configuration stays in use. A duration from `10s` to `168h`, 5 minutes by default. It is never
    /// shorter than two intervals, because the source is not polled more often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')")
        .message("staleAfter must lie between 10s and 168h"))]
    pub stale_after: Option<Duration>,

    /// The pods that must run a change before it counts as converged, and the time limit for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetSpec>,

    /// The rules by which a new revision reaches the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,

    /// Lets the git host call when something was pushed: `POST /hooks/<namespace>/<name>` at the operator. A call makes
    /// the operator poll the source at once; nothing in it is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,

    /// The reports that the operator sends to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifySpec>,
}

/// The signatures that a source must have.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifySpec {
    /// The objects that must be signed: `HEAD` (the default), the commit; `Tag`, the annotated tag that the source names,
    /// under that name; `TagAndHEAD`, both.
    #[serde(default)]
    pub mode: VerifyMode,
    /// A Secret of this namespace with the trusted signers: `allowed_signers` in the format of ssh-keygen, public ssh
    /// keys as `NAME.sshpub`, or OpenPGP keys as `NAME.asc`. No other key counts.
    pub secret_ref: SecretRef,
}

/// The objects that must be signed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum VerifyMode {
    /// The commit.
    #[default]
    #[serde(rename = "HEAD")]
    Commit,
    /// The annotated tag that the source names.
    Tag,
    /// The tag, and the commit that it names.
    #[serde(rename = "TagAndHEAD")]
    TagAndCommit,
}

/// The findings of lint that refuse a revision.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LintPolicy {
    /// The least severity that refuses a revision: `error` (the default), or `warning`, which refuses a revision with
    /// errors or warnings.
    #[serde(default)]
    pub fail_on: FailOn,

    /// Runs the tests of the workspace, the files `tests/<name>.toml` beside its documents. A test that fails, or a
    /// workspace without tests, refuses a revision as an error of lint does. Off by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tests: bool,
}

/// The least severity that refuses a revision.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    /// Errors refuse a revision.
    #[default]
    Error,
    /// Errors and warnings refuse a revision.
    Warning,
}

/// The pods that must run a change before it counts as converged, and the time limit for it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FleetSpec {
    /// The pods that follow this workspace: by default those with the label `workspace.rototo.dev/<name>`, whose value
    /// is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = selector::limit)]
    pub selector: Option<LabelSelector>,

    /// The time limit from publishing a change to its running in every process: 1 second by default. A change that
    /// takes longer sets the condition `Converged` to `False` with reason `DeadlineExceeded` until every process runs
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("convergeWithin must lie between 100ms and 1h"))]
    pub converge_within: Option<Duration>,
}

/// The authentication of calls of the git host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSpec {
    /// A Secret of this namespace. Each value of at least 16 bytes under a name that begins with `webhook` is a key with
    /// which a call may be signed, so two keys can be valid while one is rotated.
    pub secret_ref: SecretRef,
}

impl RototoWorkspaceSpec {
    /// Returns `interval`, or its default.
    #[must_use]
    pub fn interval(&self) -> StdDuration {
        self.interval.map_or(StdDuration::from_secs(30), Into::into)
    }

    /// Returns `timeout`, or its default.
    #[must_use]
    pub fn timeout(&self) -> StdDuration {
        self.timeout.map_or(StdDuration::from_secs(60), Into::into)
    }

    /// Returns `staleAfter`, or its default, but at least two intervals.
    #[must_use]
    pub fn stale_after(&self) -> StdDuration {
        let after = self.stale_after.map_or(StdDuration::from_secs(300), Into::into);
        after.max(self.interval() * 2)
    }

    /// Returns `fleet.convergeWithin`, or its default.
    #[must_use]
    pub fn converge_within(&self) -> StdDuration {
        let within = self.fleet.as_ref().and_then(|fleet| fleet.converge_within);
        within.map_or(StdDuration::from_secs(1), Into::into)
    }

    /// Returns `rollout.rehearsal`, or its defaults.
    #[must_use]
    pub fn rehearsal(&self) -> RehearsalSpec {
        self.rollout.as_ref().and_then(|rollout| rollout.rehearsal.clone()).unwrap_or_default()
    }

    /// Returns `lint.tests`, or its default.
    #[must_use]
    pub fn runs_tests(&self) -> bool {
        self.lint.as_ref().is_some_and(|lint| lint.tests)
    }

    /// Returns `notify.commitStatus`.
    #[must_use]
    pub fn commit_status(&self) -> Option<&CommitStatusSpec> {
        self.notify.as_ref()?.commit_status.as_ref()
    }

    /// Returns `lint.failOn`, or its default.
    #[must_use]
    pub fn fail_on(&self) -> FailOn {
        self.lint.as_ref().map_or_else(FailOn::default, |lint| lint.fail_on)
    }
}

/// Returns the rule that refuses an unencrypted source.
fn encrypted() -> String {
    UNENCRYPTED.map(|scheme| format!("!self.startsWith('{scheme}://')")).join(" && ")
}

/// Returns the rule that a source has a scheme. It admits those that [`encrypted`] refuses, so that a person reads one
/// message.
fn known_scheme() -> String {
    let readable = SourceScheme::ALL.iter().filter(|scheme| scheme.has_files()).map(|scheme| scheme.name());
    let schemes: Vec<_> = readable.chain(UNENCRYPTED).map(|scheme| format!("'{scheme}://'")).collect();
    format!("[{}].exists(scheme, self.startsWith(scheme))", schemes.join(", "))
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use super::*;

    #[test]
    fn conditions_merge_by_type() {
        let crd = serde_json::to_value(RototoWorkspace::crd()).unwrap();
        let conditions =
            crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/conditions").unwrap();
        assert_eq!(conditions["x-kubernetes-list-type"], "map");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], serde_json::json!(["type"]));
    }

    #[test]
    fn every_field_is_documented() {
        fn check(schema: &serde_json::Value, path: &str) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                assert!(field["description"].is_string() || path.contains(".metadata"), "{path} has no description");
                check(field, &path);
                check(&field["items"], &path);
            }
        }
        let crd = serde_json::to_value(RototoWorkspace::crd()).unwrap();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        check(&schema["properties"]["spec"], "spec");
        check(&schema["properties"]["status"], "status");
    }

    #[test]
    fn omitted_durations_have_their_documented_defaults() {
        let spec: RototoWorkspaceSpec = serde_json::from_str(r#"{"source":"https://example.com/a.zip"}"#).unwrap();
        assert_eq!(spec.interval(), StdDuration::from_secs(30));
        assert_eq!(spec.timeout(), StdDuration::from_secs(60));
        assert_eq!(spec.stale_after(), StdDuration::from_secs(300));
        assert_eq!(spec.converge_within(), StdDuration::from_secs(1));
        assert_eq!(spec.fail_on(), FailOn::Error);
    }
}
