//! A workspace as the page shows it, computed from its status. Pure.
//!
//! A [`Row`] is a line of the list, and a [`Detail`] is everything about one workspace. Neither has a time of its own where
//! it was computed for the answer: [`Row::as_of`] is absent then, and the document has the time.

mod advice;
mod difference;
pub(crate) mod roster;
pub(crate) mod state;

use jiff::Timestamp;
use rototo_api::condition::STALE;
use rototo_api::rollout::{HeldStatus, RolloutStatus};
use rototo_api::workspace::{
    CommitStatus, FleetMillis, FleetStatus, RejectedStatus, RototoWorkspace, RototoWorkspaceStatus, SourceStatus,
    WorkspaceStatus,
};
use serde::Serialize;

use crate::view::advice::{ADVISED, Advice, advice};
use crate::view::difference::{PublishLine, lines};
use crate::view::roster::{Roster, RosterGroups};
use crate::view::state::{State, state};

/// The validity of a claim where the status does not give it, in seconds.
const GOOD_FOR: u32 = 45;
/// The digits of a commit or of a fingerprint that people read.
const DIGITS: usize = 8;

/// The age of the claim in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The status was computed for this answer.
    Current,
    /// The status is the one that the API server has, and its claim has a time.
    Stored,
}

/// A line of the list of workspaces.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The context of its cluster in the kubeconfig, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    namespace: String,
    name: String,
    state: State,
    /// The state in a word or two.
    title: &'static str,
    /// The order of trouble: the smaller, the more urgent.
    rank: u8,
    /// The processes that run what is published, in one sentence.
    answer: String,
    /// The time of the claim; absent where it was computed for this document.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
    /// False for a status that holds no claim at all.
    dated: bool,
    /// The seconds for which a claim is good.
    good_for: u32,
    /// The published commit, or fingerprint, in short.
    version: Option<String>,
    subject: Option<String>,
    author: Option<String>,
    applied: u32,
    total: u32,
    converged_in_ms: Option<u64>,
    published_at: Option<Timestamp>,
    /// The source has not been confirmed for `spec.staleAfter`.
    source_stale: bool,
    suspended: bool,
}

impl Row {
    /// Names the context of its cluster, if there are several.
    #[must_use]
    pub fn in_cluster(self, context: Option<&str>) -> Self {
        Self { cluster: context.map(str::to_owned), ..self }
    }

    /// Returns the state in a word or two.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Returns true if every process runs the newest commit, by the claim in the status.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.state == State::Converged
    }

    /// Returns the published commit, or fingerprint, in short.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns the processes that run what is published, and those that should.
    #[must_use]
    pub fn fleet(&self) -> (u32, u32) {
        (self.applied, self.total)
    }
}

/// One workspace.
#[derive(Debug, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    row: Row,
    /// The reason of the state: the message of the condition that decides it.
    because: Option<String>,
    source: String,
    newest: Option<SourceStatus>,
    fingerprint: Option<String>,
    revision: Option<String>,
    commit: Option<CommitStatus>,
    converge_within_ms: u64,
    /// The time until each stage of the publish.
    stages: Option<FleetMillis>,
    content: Option<WorkspaceStatus>,
    fleet: FleetStatus,
    roster: RosterGroups,
    behind: Vec<Advice>,
    rollout: Option<RolloutStatus>,
    held: Option<HeldStatus>,
    refused: Option<RejectedStatus>,
    conditions: Vec<ConditionLine>,
    history: Vec<PublishLine>,
}

/// A condition of the status.
#[derive(Debug, Serialize)]
struct ConditionLine {
    kind: String,
    status: String,
    reason: String,
    message: String,
    since: Timestamp,
}

impl Detail {
    /// Names the context of its cluster, if there are several, also in the commands.
    #[must_use]
    pub fn in_cluster(mut self, context: Option<&str>) -> Self {
        let Some(context) = context else { return self };
        self.row = self.row.in_cluster(Some(context));
        for advice in &mut self.behind {
            advice.in_cluster(context);
        }
        let rollout = self.rollout.iter_mut().flat_map(|rollout| [&mut rollout.promote, &mut rollout.abort]);
        for command in rollout.chain(self.held.iter_mut().map(|held| &mut held.release)) {
            *command = advice::in_cluster(std::mem::take(command), context);
        }
        self
    }
}

/// Returns the line of a workspace.
#[must_use]
pub fn row(workspace: &RototoWorkspace, claim: Claim) -> Row {
    let none = RototoWorkspaceStatus::default();
    let status = workspace.status.as_ref().unwrap_or(&none);
    let fleet = status.fleet.clone().unwrap_or_default();
    let published = status.published.as_ref();
    let version = published.map(|published| short(published.revision.as_deref().unwrap_or(&published.fingerprint)));
    let commit = published.and_then(|published| published.commit.as_ref());
    let found = state(workspace);
    let total = fleet.expected.unwrap_or(fleet.processes);
    let millis = fleet.millis.and_then(|millis| millis.all);
    let remembered = status
        .history
        .first()
        .filter(|newest| published.is_some_and(|published| published.updated_at == newest.updated_at));
    Row {
        cluster: None,
        namespace: workspace.metadata.namespace.clone().unwrap_or_default(),
        name: workspace.metadata.name.clone().unwrap_or_default(),
        title: found.title(),
        rank: found.rank(),
        state: found,
        answer: answer(&fleet, version.as_deref(), status.rollout.as_ref()),
        as_of: fleet.as_of.as_ref().filter(|_| claim == Claim::Stored).map(|time| time.0),
        dated: claim == Claim::Current || fleet.as_of.is_some(),
        good_for: if fleet.claim_seconds == 0 { GOOD_FOR } else { fleet.claim_seconds },
        version,
        subject: commit.map(|commit| commit.subject.clone()),
        author: commit.map(|commit| commit.author.clone()),
        applied: fleet.applied,
        total,
        converged_in_ms: millis.or_else(|| remembered?.converged_millis),
        published_at: published.map(|published| published.updated_at.timestamp()),
        source_stale: status.is(STALE, "True"),
        suspended: workspace.spec.suspend,
    }
}

/// Returns everything about a workspace. `roster` are its processes, where they are known one by one; the status names
/// some of those that are behind.
#[must_use]
pub fn detail(workspace: &RototoWorkspace, roster: Option<Roster>, claim: Claim) -> Detail {
    let status = workspace.status.clone().unwrap_or_default();
    let row = row(workspace, claim);
    let because = state::because(&status, row.state);
    let fleet = status.fleet.unwrap_or_default();
    let published = status.published;
    let roster = roster.unwrap_or_else(|| Roster::of_status(&fleet)).groups();
    let behind = roster.stragglers().take(ADVISED);
    let behind = behind.map(|straggler| advice(&row.namespace, &row.name, straggler)).collect();
    let conditions = status.conditions.into_iter().map(|condition| ConditionLine {
        kind: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        since: condition.last_transition_time.0,
    });
    let within = workspace.spec.converge_within().as_millis();
    Detail {
        because,
        source: workspace.spec.source.clone(),
        newest: status.source,
        fingerprint: published.as_ref().map(|published| published.fingerprint.clone()),
        revision: published.as_ref().and_then(|published| published.revision.clone()),
        commit: published.and_then(|published| published.commit),
        converge_within_ms: u64::try_from(within).unwrap_or(u64::MAX),
        stages: fleet.millis,
        content: status.workspace,
        roster,
        behind,
        fleet,
        rollout: status.rollout,
        held: status.held,
        refused: status.rejected,
        conditions: conditions.collect(),
        history: lines(&workspace.spec.source, status.history),
        row,
    }
}

/// Returns who runs what, without the time. During a rollout two versions run.
fn answer(fleet: &FleetStatus, version: Option<&str>, rollout: Option<&RolloutStatus>) -> String {
    let Some(version) = version else { return "nothing is published".to_owned() };
    if let Some(RolloutStatus { revision, next, stable, .. }) = rollout {
        let of = |count: &str| count.replace('/', " of ");
        return format!("{} run {}, {} run {version}", of(next), short(revision), of(stable));
    }
    match fleet.expected {
        Some(0) | None if fleet.processes == 0 => format!("no process follows it; {version} is published"),
        Some(expected) => format!("{} of {expected} run {version}", fleet.applied),
        None => format!("{} of {} that report run {version}", fleet.applied, fleet.processes),
    }
}

/// Returns the first digits of a commit or of a fingerprint.
fn short(revision: &str) -> String {
    let digits = revision.rsplit_once(':').map_or(revision, |(_, digits)| digits);
    digits.chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workspace(status: Value) -> RototoWorkspace {
        let metadata = json!({ "namespace": "prod", "name": "policy" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "source": "x" }, "status": status })).unwrap()
    }

    fn fleet(expected: Option<u32>, processes: u32, applied: u32) -> Value {
        json!({ "expected": expected, "processes": processes, "applied": applied, "rejected": 0, "silent": 0 })
    }

    #[test]
    fn the_answer_says_how_many_run_which_version() {
        let published = json!({ "fingerprint": "sha256:9f2c1a7d00", "updatedAt": "2026-11-20T18:38:00.000000Z" });
        let rollout = json!({ "revision": "main@sha1:8421d6ec55", "step": 1, "steps": 4, "promote": "", "abort": "",
            "since": "2026-11-20T18:40:00Z", "next": "3/3", "stable": "9/9" });
        let check =
            |status: Value, expected: &str| assert_eq!(row(&workspace(status), Claim::Current).answer, expected);
        check(json!({}), "nothing is published");
        check(json!({ "published": published, "fleet": fleet(Some(12), 12, 9) }), "9 of 12 run 9f2c1a7d");
        check(json!({ "published": published, "fleet": fleet(None, 3, 2) }), "2 of 3 that report run 9f2c1a7d");
        let none = "no process follows it; 9f2c1a7d is published";
        check(json!({ "published": published, "fleet": fleet(Some(0), 0, 0) }), none);
        // Each process runs what it should, and those are two versions.
        let rolling = json!({ "published": published, "rollout": rollout, "fleet": fleet(Some(12), 12, 12) });
        check(rolling, "3 of 3 run 8421d6ec, 9 of 9 run 9f2c1a7d");
    }

    #[test]
    fn every_command_for_one_of_several_clusters_names_it() {
        let behind = json!([{ "name": "app-2", "state": "silent" }]);
        let held = json!({ "revision": "main@sha1:8421d6ec55", "fingerprint": "sha256:00", "reason": "ShrinkHeld",
            "since": "2026-11-20T18:40:00Z", "release": "kubectl annotate rws policy x='y'" });
        let rollout = json!({ "revision": "main@sha1:8421d6ec55", "step": 1, "steps": 4, "since": "2026-11-20T18:40:00Z",
            "next": "3/3", "stable": "9/9", "promote": "kubectl a", "abort": "kubectl b" });
        let mut fleet = fleet(Some(3), 3, 2);
        fleet["behind"] = behind;
        let all = workspace(json!({ "fleet": fleet, "held": held, "rollout": rollout }));
        let shown = serde_json::to_value(detail(&all, None, Claim::Stored).in_cluster(Some("eu"))).unwrap();
        assert_eq!(shown["cluster"], "eu");
        let commands = ["/behind/0/command", "/held/release", "/rollout/promote", "/rollout/abort"];
        for command in commands {
            let text = shown.pointer(command).and_then(Value::as_str).unwrap();
            assert!(text.ends_with(" --context eu"), "{command}: {text}");
        }
    }

    #[test]
    fn a_claim_has_a_date_unless_it_is_made_now() {
        let dated = json!({ "fleet": { "processes": 1, "applied": 1, "rejected": 0, "silent": 0,
            "asOf": "2026-11-20T18:40:00Z", "claimSeconds": 60 } });
        let old = row(&workspace(dated.clone()), Claim::Stored);
        assert_eq!((old.as_of.is_some(), old.dated, old.good_for), (true, true, 60));
        let now = row(&workspace(dated), Claim::Current);
        assert_eq!((now.as_of, now.dated), (None, true));
        let none = row(&workspace(json!({})), Claim::Stored);
        assert_eq!((none.as_of, none.dated, none.good_for), (None, false, GOOD_FOR));
    }
}
