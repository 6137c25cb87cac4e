//! Derives the state of the newest commit from the status of its workspace. Pure.

use rototo_api::UpdatedAt;
use rototo_api::condition::{CONVERGED, READY, reason};
use rototo_api::workspace::{FleetStatus, HeldStatus, RejectedStatus, RototoWorkspaceStatus};
use rototo_protocol::fleet::{RehearsalVerdict, RehearsalView};
use rototo_source::Commit;

use crate::status::commit as commit_of;

/// The state of a commit, as its git host is to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitState {
    /// The commit.
    pub(crate) commit: String,
    /// The name of its publish, once it is published. Content that was published before and comes back is a new publish.
    pub(crate) publish: Option<UpdatedAt>,
    /// The state.
    pub(crate) step: CommitStep,
    /// The state in words: one line without values, which is not shortened yet.
    pub(crate) description: String,
}

/// The step that a commit has reached. A commit at the same step as before is not reported again, so figures of the fleet
/// are those of the moment at which it got there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommitStep {
    /// Lint refuses it, for what stands in the words.
    Refused(String),
    /// It is held for this reason of `Ready`.
    Held(&'static str),
    /// Processes prepare it.
    Rehearsing,
    /// This step of its rollout is under way.
    RollingOut(u32),
    /// The marker names it.
    Published,
    /// It takes longer than `spec.fleet.convergeWithin`.
    Late,
    /// A process refuses it although it is published.
    RefusedByProcesses,
    /// The whole fleet runs it.
    Applied,
}

/// The three answers that every git host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is on its way, or somebody has to decide.
    Pending,
    /// The fleet runs it.
    Success,
    /// It does not become what runs, unless somebody acts.
    Failure,
}

impl CommitStep {
    /// Returns the answer in the terms of git hosts.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Refused(_) | Self::RefusedByProcesses => Verdict::Failure,
            Self::Held(reason::REFUSED_IN_REHEARSAL | reason::HELD_BACK) => Verdict::Failure,
            Self::Held(_) | Self::Rehearsing | Self::RollingOut(_) | Self::Published | Self::Late => Verdict::Pending,
            Self::Applied => Verdict::Success,
        }
    }

    /// Returns whether `later` is no news about a publish that was here. The fleet of a commit changes with each pod that
    /// starts, also long after.
    fn covers(&self, later: &Self) -> bool {
        let decided = matches!(self, Self::Applied | Self::RefusedByProcesses);
        self == later
            || (decided && matches!(later, Self::Published | Self::Late))
            || (*self == Self::Late && *later == Self::Published)
    }
}

impl CommitState {
    /// Returns whether `later` is no news about this commit.
    pub(crate) fn covers(&self, later: &Self) -> bool {
        let is_published_anew = later.publish.is_some() && self.publish.is_some() && later.publish != self.publish;
        !is_published_anew && self.step.covers(&later.step)
    }
}

/// Returns the state of the newest commit that `status` knows of; `None` while there is nothing to say about it.
/// `rehearsal` is that of the announced publish, if one is announced.
pub(crate) fn commit_state(status: &RototoWorkspaceStatus, rehearsal: Option<&RehearsalView>) -> Option<CommitState> {
    let revision = status.source.as_ref()?.revision.as_deref()?;
    let (_, commit) = revision.rsplit_once("@sha1:")?;
    commit.parse::<Commit>().ok()?;
    let is_it = |other: &str| commit_of(other) == commit;
    let (step, description) = if let Some(rejected) =
        status.rejected.as_ref().filter(|rejected| rejected.revision.as_deref().is_some_and(is_it))
    {
        let description = refused(rejected);
        (CommitStep::Refused(description.clone()), description)
    } else if let Some(held) = status.held.as_ref().filter(|held| is_it(&held.revision)) {
        held_for(held)?
    } else if let Some(rollout) = status.rollout.as_ref().filter(|rollout| is_it(&rollout.revision)) {
        let step = rollout.step.saturating_add(1);
        (CommitStep::RollingOut(rollout.step), format!("rolling out, step {step} of {}", rollout.steps))
    } else if status.published.as_ref().is_some_and(|published| published.revisions.iter().any(|one| is_it(one))) {
        published(status, commit)?
    } else if status.condition(READY)?.reason == reason::REHEARSING && is_prepared(status, rehearsal) {
        (CommitStep::Rehearsing, "the processes prepare it before it is published".to_owned())
    } else {
        return None;
    };
    let published = status.published.as_ref().filter(|published| published.revisions.iter().any(|one| is_it(one)));
    let publish = published.map(|published| published.updated_at);
    Some(CommitState { commit: commit.to_owned(), publish, step, description })
}

/// Returns whether processes prepare the newest content now. The reason of `Ready` is also that of content which waits to be
/// announced.
fn is_prepared(status: &RototoWorkspaceStatus, rehearsal: Option<&RehearsalView>) -> bool {
    let newest = status.source.as_ref().and_then(|source| source.fingerprint.as_ref());
    rehearsal.is_some_and(|view| {
        view.verdict == RehearsalVerdict::Waiting && newest == Some(&view.next.fingerprint.to_string())
    })
}

/// Names the first finding, by its rule and place alone: messages of custom rules are their authors'.
fn refused(rejected: &RejectedStatus) -> String {
    let first = rejected.diagnostics.first();
    let rule = first.map_or_else(|| "lint".to_owned(), |first| first.rule.clone());
    let place = first.and_then(|first| {
        let path = first.path.as_ref()?;
        Some(first.line.map_or_else(|| format!(" at {path}"), |line| format!(" at {path}:{line}")))
    });
    let more = rejected.errors.saturating_add(rejected.warnings).saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    format!("refused by {rule}{}{more}", place.unwrap_or_default())
}

fn held_for(held: &HeldStatus) -> Option<(CommitStep, String)> {
    let reason = reason::ALL.iter().find(|reason| **reason == held.reason)?;
    let description = match *reason {
        reason::SHRINK_HELD => {
            format!("held until a person allows it: it would remove {} of the published variables", held.removes)
        }
        reason::REFUSED_IN_REHEARSAL => "held: processes refuse it in its rehearsal".to_owned(),
        reason::REHEARSAL_INCOMPLETE => "held: too few processes have prepared it".to_owned(),
        reason::HELD_BACK => match &held.analysis {
            Some(analysis) => format!("rolled back during its rollout: its analysis {} failed", analysis.name),
            None => "rolled back during its rollout".to_owned(),
        },
        _ => "held".to_owned(),
    };
    Some((CommitStep::Held(reason), description))
}

/// Returns the state of a commit whose content is published.
fn published(status: &RototoWorkspaceStatus, commit: &str) -> Option<(CommitStep, String)> {
    let fleet = status.fleet.as_ref()?;
    let converged = status.condition(CONVERGED)?;
    let total = fleet.expected.unwrap_or(fleet.processes);
    let count = format!("{} of {total} processes run it", fleet.applied);
    // What another operator process published, it has reported. Until this one knows more, it says nothing.
    let is_own = fleet.millis.is_some();
    match converged.reason.as_str() {
        reason::CONVERGED => Some((CommitStep::Applied, applied(status, fleet, total, commit))),
        reason::PROCESSES_REFUSE => {
            Some((CommitStep::RefusedByProcesses, format!("published, {count}, and {} refuse it", fleet.rejected)))
        }
        _ if !is_own => None,
        reason::DEADLINE_EXCEEDED => Some((CommitStep::Late, format!("published, late: {count}"))),
        reason::NO_PROCESSES if total == 0 => {
            Some((CommitStep::Published, "published, no process follows it yet".to_owned()))
        }
        _ => Some((CommitStep::Published, format!("published, {count}"))),
    }
}

/// Names the time only for the commit that was published: another one may have the same content.
fn applied(status: &RototoWorkspaceStatus, fleet: &FleetStatus, total: u32, commit: &str) -> String {
    let count = format!("applied by {}/{total}", fleet.applied);
    let Some(publish) = status.history.first() else { return count };
    if publish.revision.as_deref().map(commit_of) != Some(commit) {
        return format!("{count}, without a change to this workspace");
    }
    publish.converged_millis.map_or(count.clone(), |millis| format!("{count} in {millis} ms"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rototo_protocol::Publish;
    use serde_json::{Value, json};

    use super::*;

    const COMMIT: &str = "2f3c4d5e6f708192aabbccddeeff001122334455";

    fn revision() -> String {
        format!("main@sha1:{COMMIT}")
    }

    /// Derives the state from a status with these fields and the newest revision.
    fn state(fields: &Value) -> Option<(Verdict, String)> {
        state_while(None, fields)
    }

    /// Derives the state while the announced publish has this rehearsal.
    fn state_while(rehearsal: Option<&RehearsalView>, fields: &Value) -> Option<(Verdict, String)> {
        let mut status = json!({ "source": { "revision": revision() } });
        status.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let state = commit_state(&serde_json::from_value(status).unwrap(), rehearsal)?;
        assert_eq!(state.commit, COMMIT);
        Some((state.step.verdict(), state.description))
    }

    fn conditions(type_: &str, status: &str, reason: &str) -> Value {
        let time = "2026-11-20T18:40:00Z";
        json!([{ "type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": time }])
    }

    /// A status in which the newest revision is published, and `applied` of three processes run it.
    fn published(applied: u32, reason: &str, millis: Option<u64>, own: bool) -> Value {
        let publish = json!({ "fingerprint": "sha256:9f2c", "updatedAt": "2026-11-20T18:40:01.000000Z" });
        let mut fields = json!({
            "published": publish,
            "history": [publish],
            "fleet": { "expected": 3, "processes": 3, "applied": applied, "rejected": 1, "silent": 0 },
            "conditions": conditions("Converged", "Unknown", reason),
        });
        fields["published"]["revisions"] = json!([revision()]);
        fields["history"][0]["revision"] = json!(revision());
        if let Some(millis) = millis {
            fields["history"][0]["convergedMillis"] = json!(millis);
        }
        if own {
            fields["fleet"]["millis"] = json!({ "fetched": 1, "linted": 2, "published": 3 });
        }
        fields
    }

    #[test]
    fn a_refused_commit_names_the_first_finding_without_its_message() {
        let diagnostic = json!({ "rule": "rototo/x", "path": "a/b.toml", "line": 2, "message": "max = secret" });
        let rejected = json!({ "revision": revision(), "time": "2026-11-20T18:40:00Z", "errors": 3, "warnings": 1,
            "diagnostics": [diagnostic] });
        let (verdict, description) = state(&json!({ "rejected": rejected })).unwrap();
        assert_eq!(
            (verdict, description.as_str()),
            (Verdict::Failure, "refused by rototo/x at a/b.toml:2 (and 3 more)")
        );
        // Another commit was refused.
        let other = format!("main@sha1:{}", "a".repeat(40));
        let rejected = json!({ "revision": other, "time": "2026-11-20T18:40:00Z", "errors": 1, "warnings": 0,
            "diagnostics": [] });
        assert_eq!(state(&json!({ "rejected": rejected, "conditions": [] })), None);
    }

    #[test]
    fn a_held_commit_is_pending_where_a_person_decides_and_else_failed() {
        for (reason, verdict, words) in [
            (
                "ShrinkHeld",
                Verdict::Pending,
                "held until a person allows it: it would remove 7 of the published variables",
            ),
            ("RehearsalIncomplete", Verdict::Pending, "held: too few processes have prepared it"),
            ("RefusedInRehearsal", Verdict::Failure, "held: processes refuse it in its rehearsal"),
            ("HeldBack", Verdict::Failure, "rolled back during its rollout"),
        ] {
            let held = json!({ "revision": revision(), "fingerprint": "sha256:9f2c", "reason": reason, "removes": 7,
                "since": "2026-11-20T18:40:00Z", "release": "kubectl annotate" });
            assert_eq!(state(&json!({ "held": held })), Some((verdict, words.to_owned())), "{reason}");
        }
    }

    #[test]
    fn a_commit_on_its_way_is_pending() {
        let rollout = json!({ "revision": revision(), "step": 0, "steps": 3, "since": "2026-11-20T18:40:00Z",
            "next": "1/1", "stable": "2/2", "promote": "", "abort": "" });
        let pending = |words: &str| Some((Verdict::Pending, words.to_owned()));
        assert_eq!(state(&json!({ "rollout": rollout })), pending("rolling out, step 1 of 3"));
        assert_eq!(state(&published(1, "Progressing", None, true)), pending("published, 1 of 3 processes run it"));
        let late = state(&published(2, "DeadlineExceeded", None, true));
        assert_eq!(late, pending("published, late: 2 of 3 processes run it"));
    }

    #[test]
    fn processes_prepare_a_commit_only_while_its_content_is_rehearsed() {
        let next = |digit: &str| Publish {
            fingerprint: format!("sha256:{}", digit.repeat(64)).parse().unwrap(),
            updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap(),
        };
        let rehearsal = |next, verdict| RehearsalView {
            next,
            since: Duration::ZERO,
            verdict,
            prepared: 1,
            expected: 3,
            refused: Vec::new(),
            missing: Vec::new(),
            next_change: None,
        };
        let source = json!({ "revision": revision(), "fingerprint": next("b").fingerprint.to_string() });
        let fields = json!({ "source": source, "conditions": conditions("Ready", "False", "Rehearsing") });
        let waiting = rehearsal(next("b"), RehearsalVerdict::Waiting);
        let prepared = (Verdict::Pending, "the processes prepare it before it is published".to_owned());
        assert_eq!(state_while(Some(&waiting), &fields), Some(prepared));
        // Nothing is announced, something else is, or nobody waits for its rehearsal.
        let other = rehearsal(next("c"), RehearsalVerdict::Waiting);
        let passed = rehearsal(next("b"), RehearsalVerdict::Passed);
        for rehearsal in [None, Some(&other), Some(&passed)] {
            assert_eq!(state_while(rehearsal, &fields), None);
        }
    }

    #[test]
    fn an_applied_commit_is_a_success_with_its_figures() {
        let success = |words: &str| Some((Verdict::Success, words.to_owned()));
        let applied = published(3, "Converged", Some(64), false);
        assert_eq!(state(&applied), success("applied by 3/3 in 64 ms"));
        assert_eq!(state(&published(3, "Converged", None, false)), success("applied by 3/3"));
        let mut unchanged = applied;
        unchanged["history"][0]["revision"] = json!(format!("main@sha1:{}", "a".repeat(40)));
        assert_eq!(state(&unchanged), success("applied by 3/3, without a change to this workspace"));
        let refused = state(&published(2, "ProcessesRefuse", None, false)).unwrap();
        assert_eq!(refused, (Verdict::Failure, "published, 2 of 3 processes run it, and 1 refuse it".to_owned()));
    }

    #[test]
    fn an_operator_that_has_just_started_says_nothing_about_what_another_published() {
        for reason in ["Recounting", "Unprovable", "Progressing", "DeadlineExceeded", "NoProcesses"] {
            assert_eq!(state(&published(1, reason, None, false)), None, "{reason}");
        }
    }

    #[test]
    fn a_source_without_a_commit_has_no_state() {
        let mut status = published(3, "Converged", None, true);
        for revision in [Value::Null, json!("main"), json!("main@sha1:../../x"), json!("main@sha1:")] {
            status["source"] = json!({ "revision": revision });
            assert_eq!(commit_state(&serde_json::from_value(status.clone()).unwrap(), None), None);
        }
    }

    #[test]
    fn a_pod_that_starts_is_no_news_about_an_applied_commit() {
        assert!(CommitStep::Applied.covers(&CommitStep::Published) && CommitStep::Applied.covers(&CommitStep::Late));
        assert!(!CommitStep::Applied.covers(&CommitStep::RefusedByProcesses));
        assert!(CommitStep::Late.covers(&CommitStep::Published) && !CommitStep::Late.covers(&CommitStep::Applied));
        assert!(
            !CommitStep::Published.covers(&CommitStep::Applied) && !CommitStep::Published.covers(&CommitStep::Late)
        );
        assert!(!CommitStep::Refused("a".to_owned()).covers(&CommitStep::Refused("b".to_owned())));
    }
}
