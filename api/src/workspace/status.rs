//! The status of a `RototoWorkspace`: what became of its configuration.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::UpdatedAt;
use crate::analysis::is_zero;
use crate::convergence::Straggler;
use crate::rollout::{HeldStatus, RequestStatus, RolloutStatus};

/// The observed state of the workspace. Only the operator writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RototoWorkspaceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The conditions of the workspace. `SourceReady`: the source answers. `LintPassed`: lint accepts the newest
    /// revision. `Published`: the marker names what processes should run. `Converged`: all of them run it. `Ready`: the
    /// newest revision is published, and no process is known that does not run it. Three conditions are present only
    /// while they are true: `Reconciling`, a change is on its way; `Stalled`, somebody has to change something first;
    /// `Stale`, the source has not answered for `staleAfter`.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,

    /// The value of the annotation `rototo.dev/reconcile-requested-at` that was handled last.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// The last answer of the source: its newest revision, the time of the answer, and the last failure.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,

    /// The publish that every process should run: its fingerprint, and the commit that it came from.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedStatus>,

    /// The findings for which lint refuses the newest revision. Absent when lint accepts it.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RejectedStatus>,

    /// The newest revision, if lint accepts it and it is held until a person allows it. Absent otherwise.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldStatus>,

    /// The rollout of the newest revision, while only a part of the fleet runs it.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// The last name under which a revision was announced, while that is later than the name of what is published. An
    /// operator that starts knows by it that a process which names it follows an announcement that is over, and no marker
    /// of somebody else.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_announced: Option<UpdatedAt>,

    /// The request in the annotation `rototo.dev/rollout`, and its effect. Absent without one.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestStatus>,

    /// The content of the published workspace, in numbers.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceStatus>,

    /// The fleet: the number of processes that run the publish, the time that took, and the stragglers.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStatus>,

    /// The last ten publishes, the newest first.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,

    /// Texts for the columns of `kubectl get`.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub summary: Option<StatusColumns>,
}

impl RototoWorkspaceStatus {
    /// Returns the condition of a type, such as [`READY`](crate::condition::READY), if it is present.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// Returns whether the condition of a type is present and has this status: `True`, `False`, or `Unknown`.
    #[must_use]
    pub fn is(&self, type_: &str, status: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == status)
    }
}

/// Reads a field of a status. One that this version can't read, because another version or a person wrote it, counts as
/// absent: the operator writes the status anew, and an object that can't be read would hide all others in its list.
fn readable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// The last answer of the source.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The newest revision that was seen, as `<ref>@sha1:<commit>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The digest of the newest content: `sha256:` and 64 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The last ten revisions that were seen to have the newest content, the newest first. Commits that change nothing in
    /// the workspace follow each other also before the content is published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
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
    /// The number of processes that stopped reporting, whose end nobody observed, and for which the operator no longer
    /// waits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// The time to which these numbers, and the condition `Converged`, refer. The operator writes it while somebody
    /// waits, with each change, and every 10 to 15 minutes. `rototo wait` accepts no claim that is older than the silence
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
    /// The user who had it published past what held it, or before its last step; `unverified` if the API server has not
    /// verified the user. Absent where nobody had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
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
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace::RototoWorkspace;

    fn read(status: &Value) -> RototoWorkspaceStatus {
        serde_json::from_value(status.clone()).unwrap_or_else(|error| panic!("{error}: {status}"))
    }

    #[test]
    fn a_field_that_cannot_be_read_counts_as_absent_and_the_others_stay() {
        let fingerprint = format!("sha256:{}", "a".repeat(64));
        let history = json!([{ "fingerprint": fingerprint, "updatedAt": "2026-11-20T18:40:00.000000Z" }]);
        let written = json!({ "observedGeneration": 3, "history": history });
        let mut edited = written.clone();
        edited["published"] = json!({ "fingerprint": fingerprint, "updatedAt": "yesterday" });
        edited["request"] = json!({ "request": "promote", "by": "ann", "state": "OfALaterVersion" });
        edited["workspace"] =
            json!({ "variables": 5_000_000_000_u64, "qualifiers": 0, "resources": 0, "documents": 1 });
        assert_eq!(read(&edited), read(&written));
        assert_eq!(read(&written).history.len(), 1);
    }

    #[test]
    fn no_field_makes_a_status_unreadable() {
        let crd = serde_json::to_value(RototoWorkspace::crd()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        let fields = schema.as_object().unwrap();
        assert!(fields.contains_key("summary"));
        for field in fields.keys() {
            assert_eq!(read(&json!({ field: [[7]] })), RototoWorkspaceStatus::default(), "{field}");
        }
    }
}
