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

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::UpdatedAt;
pub use crate::convergence::Straggler;
pub use crate::rollout::HeldStatus;
use crate::rollout::{RehearsalSpec, RolloutSpec, RolloutStatus};
use crate::source_scheme::{SourceScheme, UNENCRYPTED};

/// The workspace to follow, the interval of polls, and the pods that must converge.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
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
    doc = "Runtime configuration that is reviewed in git and reaches every running process within about a second: the operator fetches the source, lints it, and only when that passes publishes it to the processes of this namespace. Only the fingerprint of the content is ever written to the cluster, never a value.",
    validation = Rule::new("!has(self.spec.verify) || self.spec.source.startsWith('git+')").message("spec.verify needs a git source: an archive has no signatures"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name may have at most 63 characters: it is also part of a label"),
    printcolumn(
        name = "Ready", type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "True when the newest revision is published and runs in the whole fleet"
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
    /// signature of a trusted signer is refused, and what was published before runs on. It works with git sources alone.
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
}

/// A Secret of the same namespace, by name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
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

    /// Runs the tests of the workspace, the files `tests/<name>.toml` beside its documents. A test that fails refuses a
    /// revision as an error of lint does. Off by default.
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

    /// Returns `lint.failOn`, or its default.
    #[must_use]
    pub fn fail_on(&self) -> FailOn {
        self.lint.as_ref().map_or_else(FailOn::default, |lint| lint.fail_on)
    }
}

/// The observed state of the workspace. Only the operator writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RototoWorkspaceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The conditions of the workspace. `SourceReady`: the source answers. `LintPassed`: lint accepts the newest
    /// revision. `Published`: the marker names what processes should run. `Converged`: all of them run it. `Ready`: all
    /// of these. Three conditions are present only while they are true: `Reconciling`, a change is on its way;
    /// `Stalled`, somebody has to change something first; `Stale`, the source has not answered for `staleAfter`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,

    /// The value of the annotation `rototo.dev/reconcile-requested-at` that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// The last answer of the source: its newest revision, the time of the answer, and the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,

    /// The publish that every process should run: its fingerprint, and the commit that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedStatus>,

    /// The findings for which lint refuses the newest revision. Absent when lint accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RejectedStatus>,

    /// The newest revision, if lint accepts it and it is held until a person allows it. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldStatus>,

    /// The rollout of the newest revision, while only a part of the fleet runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// The content of the published workspace, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceStatus>,

    /// The fleet: the number of processes that run the publish, the time that took, and the stragglers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStatus>,

    /// The last ten publishes, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,

    /// Texts for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<StatusColumns>,
}

/// The last answer of the source.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The newest revision that was seen, as `<ref>@sha1:<commit>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The author and the subject of the newest revision's commit. Absent for an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitStatus>,
    /// The commits of all layers, when the workspace extends others; the last is the workspace itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<SourceLayer>,
    /// True if the source names a full commit, so that it can't change.
    #[serde(default)]
    pub immutable: bool,
    /// The signer of the newest revision, where `spec.verify` asks for a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The time at which the source last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
    /// The number of failed polls since then.
    #[serde(default)]
    pub consecutive_failures: u32,
    /// The last failure. Absent while the source answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// The words of a commit, as its author wrote them: one line each, without effects on a terminal.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct CommitStatus {
    /// The name of the author.
    pub author: String,
    /// The first line of the message.
    pub subject: String,
}

/// One source that the workspace consists of.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct SourceLayer {
    /// The source, without credentials.
    pub source: String,
    /// The commit at which it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The publish that every process should run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedStatus {
    /// The digest of the content: `sha256:` and 64 digits.
    pub fingerprint: String,
    /// The newest revision that was seen to have this content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The author and the subject of that revision's commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitStatus>,
    /// The time at which it was published. It also distinguishes two publishes of the same content.
    #[schemars(with = "String")]
    pub updated_at: UpdatedAt,
    /// The last ten revisions that were seen to have this content, the newest first. A commit that changes nothing in
    /// the workspace publishes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
}

/// The findings for which the newest revision is not published.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct RejectedStatus {
    /// The revision that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The time at which it was refused.
    pub time: Time,
    /// The number of errors that lint found.
    pub errors: u32,
    /// The number of warnings that lint found.
    pub warnings: u32,
    /// The first ten findings.
    #[serde(default)]
    pub diagnostics: Vec<RejectedDiagnostic>,
}

/// One finding of lint. It names places, never values; `rototo lint` on the source shows the rest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct RejectedDiagnostic {
    /// The rule, such as `rototo/resource-object-schema-mismatch`.
    pub rule: String,
    /// The file in the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The message, without values.
    pub message: String,
}

/// The content of the published workspace, in numbers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub struct WorkspaceStatus {
    /// The number of variables.
    pub variables: u32,
    /// The number of qualifiers.
    pub qualifiers: u32,
    /// The number of resources.
    pub resources: u32,
    /// The number of files.
    pub documents: u32,
    /// The number of variables and rules whose `expires` is today in UTC, or has passed. `rototo lint --expired` on the
    /// source lists them. Absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expired: u32,
}

/// The progress of the published content through the fleet.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// The number of processes that should run the published content, with one for each running pod that has not
    /// reported. Absent where no running pod is selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u32>,
    /// The number of processes that report.
    pub processes: u32,
    /// The number of processes that run the published content.
    pub applied: u32,
    /// The number of processes that refuse the published content and keep the content that they had.
    pub rejected: u32,
    /// The number of processes that have not reported for three times the time after which their next report was due.
    pub silent: u32,
    /// The number of processes that are bound to no pod, so that their end can't be seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unbound: u32,
    /// The number of processes that were counted before the operator was restarted, and have not reported since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unaccounted: u32,
    /// The number of processes that fell silent without a seen end, and for which the operator no longer waits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// The time to which these numbers, and the condition `Converged`, refer. The operator writes it while somebody
    /// waits, with each change, and every ten minutes. `rototo wait` accepts no claim that is older than the silence
    /// window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
    /// The number of seconds for which a claim about this fleet is good: three heartbeats.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub claim_seconds: u32,
    /// The time from the detection of the change to each step of its publish, in milliseconds by the operator's clock.
    /// Absent for a publish that another operator process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<FleetMillis>,
    /// The first ten processes and pods, by name, that do not run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Straggler>,
}

/// The time from the detection of a change to each step of its publish, in milliseconds by the operator's clock.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct FleetMillis {
    /// Until the files of the new commit had been read.
    pub fetched: u64,
    /// Until lint ended.
    pub linted: u64,
    /// Until the API server had accepted the marker, which notifies every process.
    pub published: u64,
    /// Until the first process had applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Until half of the processes had applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<u64>,
    /// Until 99 of 100 processes had applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// Until all had applied it. Absent while some have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<u64>,
}

/// The rule that refuses an unencrypted source.
fn encrypted() -> String {
    UNENCRYPTED.map(|scheme| format!("!self.startsWith('{scheme}://')")).join(" && ")
}

/// The rule that a source has a scheme. It admits those that [`encrypted`] refuses, so that a person reads one message.
fn known_scheme() -> String {
    let readable = SourceScheme::ALL.iter().filter(|scheme| scheme.has_files()).map(|scheme| scheme.name());
    let schemes: Vec<_> = readable.chain(UNENCRYPTED).map(|scheme| format!("'{scheme}://'")).collect();
    format!("[{}].exists(scheme, self.startsWith(scheme))", schemes.join(", "))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One publish.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The digest of the content.
    pub fingerprint: String,
    /// The revision that the content came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The author and the subject of that revision's commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitStatus>,
    /// The time at which it was published.
    #[schemars(with = "String")]
    pub updated_at: UpdatedAt,
    /// True if a person published it although a process refused it, or had not prepared it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anyway: bool,
    /// The time from the detection of the change until every process ran it. Absent where that did not happen, or where
    /// no single operator process measured it from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_millis: Option<u64>,
}

/// Texts for the columns of `kubectl get`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusColumns {
    /// The published revision, with the first digits of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The first digits of the published fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The count of the fleet: `37/37`, or `37 reporting` where the number that there should be is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// The time that the published change took to reach the fleet, such as `64ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_in: Option<String>,
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
