//! Whether a fleet has what somebody waits for, told from a workspace's status. Pure.

use rototo_api::workspace::condition::{CONVERGED, LINT_PASSED, PUBLISHED, READY, SOURCE_READY};
use rototo_api::workspace::{RejectedStatus, RototoWorkspaceStatus, Straggler};
use rototo_engine::Fingerprint;
use rototo_source::{Commit, Revision};

/// What somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That whatever is the newest runs everywhere.
    Newest,
    /// That this commit, of whatever ref, does.
    Commit(Commit),
    /// That this commit of this ref does.
    Revision(Revision),
    /// That this content does, wherever it came from.
    Fingerprint(Fingerprint),
}

/// How it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Every process runs it.
    Converged,
    /// Lint refuses it, so it will never run.
    Refused(RejectedStatus),
    /// Not yet.
    Pending(Pending),
}

/// What is still missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The operator has not seen it: why, or what it has seen instead.
    Unseen(String),
    /// It is to be published, or can't be: what the operator says.
    Unpublished(String),
    /// It is published, and on its way.
    Moving {
        /// How many run it.
        applied: u32,
        /// How many should.
        total: u32,
        /// Who doesn't, the first ten.
        behind: Vec<Straggler>,
        /// What the operator says.
        says: String,
    },
}

/// How `wanted` stands in a workspace. `generation` is that of its spec, of which the status may not know yet.
pub(crate) fn verdict(status: &RototoWorkspaceStatus, generation: Option<i64>, wanted: &Wanted) -> Verdict {
    if status.observed_generation != generation {
        return Verdict::Pending(Pending::Unseen("the operator has not looked at the spec as it is now".to_owned()));
    }
    // Only the newest revision stands there, so an old refusal says nothing about another commit.
    if let Some(rejected) = status.rejected.as_ref().filter(|rejected| wanted.is_revision(rejected.revision.as_deref()))
    {
        return Verdict::Refused(rejected.clone());
    }
    let Some(published) = &status.published else {
        return Verdict::Pending(Pending::Unpublished(says(status, &[SOURCE_READY, LINT_PASSED, PUBLISHED])));
    };
    // A revision that changes no content is published as soon as it is verified: then its name stands here.
    let is_published = match wanted {
        Wanted::Newest | Wanted::Commit(_) | Wanted::Revision(_) => wanted.is_revision(published.revision.as_deref()),
        Wanted::Fingerprint(fingerprint) => published.fingerprint == fingerprint.to_string(),
    };
    if !is_published {
        return Verdict::Pending(match newest(status) {
            Some(newest) if wanted.is_revision(Some(newest)) => Pending::Unpublished(says(status, &[PUBLISHED])),
            Some(newest) => Pending::Unseen(format!("the source is at {newest}{}", source_problem(status))),
            None => Pending::Unseen(says(status, &[SOURCE_READY])),
        });
    }
    let decisive = if *wanted == Wanted::Newest { READY } else { CONVERGED };
    let settled = [PUBLISHED, decisive].iter().all(|type_| is_true(status, type_));
    if settled { Verdict::Converged } else { Verdict::Pending(moving(status, &[PUBLISHED, decisive])) }
}

impl Wanted {
    fn is_revision(&self, revision: Option<&str>) -> bool {
        match self {
            Self::Newest => true,
            Self::Fingerprint(_) => false,
            Self::Revision(wanted) => revision == Some(wanted.to_string().as_str()),
            Self::Commit(commit) => {
                let revision = revision.and_then(|revision| revision.parse::<Revision>().ok());
                revision.is_some_and(|revision| revision.commit() == commit)
            }
        }
    }
}

fn moving(status: &RototoWorkspaceStatus, conditions: &[&str]) -> Pending {
    let fleet = status.fleet.clone().unwrap_or_default();
    Pending::Moving {
        applied: fleet.applied,
        total: fleet.expected.unwrap_or(fleet.processes),
        behind: fleet.behind,
        says: says(status, conditions),
    }
}

fn newest(status: &RototoWorkspaceStatus) -> Option<&str> {
    status.source.as_ref()?.revision.as_deref()
}

fn source_problem(status: &RototoWorkspaceStatus) -> String {
    let error = status.source.as_ref().and_then(|source| source.last_error.as_ref());
    error.map_or_else(String::new, |error| format!(", and can't be read now: {error}"))
}

fn is_true(status: &RototoWorkspaceStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// The message of the first of these conditions that is not true.
fn says(status: &RototoWorkspaceStatus, types: &[&str]) -> String {
    let of = |type_: &&str| status.conditions.iter().find(|condition| condition.type_ == **type_);
    let hindering = types.iter().filter_map(of).find(|condition| condition.status != "True");
    hindering.map_or_else(|| "the operator has not said more yet".to_owned(), |condition| condition.message.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const A: &str = "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const TIME: &str = "2026-11-20T18:40:00.123456Z";

    fn commit(revision: &str) -> Wanted {
        Wanted::Commit(revision.parse::<Revision>().unwrap().commit().clone())
    }

    fn fingerprint(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    /// A status in which `newest` was seen last and `published` is published, with all `changes` made to it.
    fn status(newest: &str, published: &str, changes: Value) -> RototoWorkspaceStatus {
        let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": TIME});
        let conditions = ["Ready", "SourceReady", "LintPassed", "Published", "Converged"].map(condition);
        let mut status = json!({
            "observedGeneration": 1,
            "conditions": conditions,
            "source": { "revision": newest },
            "published": { "fingerprint": fingerprint('1'), "revision": published, "updatedAt": TIME },
        });
        status.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(status).unwrap()
    }

    fn not(types: &[&str], message: &str) -> Value {
        let condition = |type_: &&str| json!({"type": type_, "status": "False", "reason": "Test", "message": message, "lastTransitionTime": TIME});
        json!({ "conditions": types.iter().map(condition).collect::<Vec<_>>() })
    }

    fn check(status: &RototoWorkspaceStatus, wanted: &Wanted, expected: &str) {
        let verdict = verdict(status, Some(1), wanted);
        let name = match &verdict {
            Verdict::Converged => "converged",
            Verdict::Refused(_) => "refused",
            Verdict::Pending(Pending::Unseen(_)) => "unseen",
            Verdict::Pending(Pending::Unpublished(_)) => "unpublished",
            Verdict::Pending(Pending::Moving { .. }) => "moving",
        };
        assert_eq!(name, expected, "{wanted:?}: {verdict:?}");
    }

    #[test]
    fn a_commit_has_converged_once_its_name_is_published_and_the_fleet_runs_it() {
        let all_is_well = status(A, A, json!({}));
        check(&all_is_well, &commit(A), "converged");
        check(&all_is_well, &Wanted::Revision(A.parse().unwrap()), "converged");
        check(&all_is_well, &Wanted::Newest, "converged");
        check(&all_is_well, &Wanted::Fingerprint(fingerprint('1').parse().unwrap()), "converged");
        check(&all_is_well, &commit(B), "unseen");
        check(&all_is_well, &Wanted::Fingerprint(fingerprint('2').parse().unwrap()), "unseen");
        let other_branch = A.replace("main", "release").parse().unwrap();
        check(&all_is_well, &Wanted::Revision(other_branch), "unseen");
    }

    #[test]
    fn what_is_seen_and_not_published_is_not_there_yet_even_if_the_fleet_is_at_rest() {
        check(&status(B, A, json!({})), &commit(B), "unpublished");
        check(&status(B, A, not(&["Published"], "no space")), &commit(B), "unpublished");
        check(&status(A, A, not(&["Converged"], "1 of 2 run it")), &commit(A), "moving");
        check(&status(A, A, not(&["Published"], "lost")), &commit(A), "moving");
        let nothing_published = RototoWorkspaceStatus { published: None, ..status(A, A, json!({})) };
        check(&nothing_published, &commit(A), "unpublished");
        check(&nothing_published, &Wanted::Newest, "unpublished");
    }

    #[test]
    fn only_the_refusal_of_what_is_wanted_ends_the_wait() {
        let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}});
        let refused = status(B, A, rejected);
        check(&refused, &commit(B), "refused");
        check(&refused, &Wanted::Newest, "refused");
        check(&refused, &commit(A), "converged");
        check(&refused, &Wanted::Fingerprint(fingerprint('2').parse().unwrap()), "unseen");
    }

    #[test]
    fn a_status_of_an_older_spec_proves_nothing() {
        let old = status(A, A, json!({}));
        assert!(matches!(verdict(&old, Some(2), &commit(A)), Verdict::Pending(Pending::Unseen(_))));
    }

    #[test]
    fn the_newest_has_arrived_only_when_the_source_is_known_to_be_the_newest_too() {
        check(&status(A, A, not(&["Ready", "Stale"], "unreachable")), &Wanted::Newest, "moving");
    }

    #[test]
    fn stragglers_are_named() {
        let behind = json!([{"name": "app-1", "state": "pending", "reason": "fetch_failed"}]);
        let mut changes = not(&["Converged"], "2 of 3 run it");
        changes["fleet"] =
            json!({"expected": 3, "processes": 3, "applied": 2, "rejected": 0, "silent": 0, "behind": behind});
        match verdict(&status(A, A, changes), Some(1), &commit(A)) {
            Verdict::Pending(Pending::Moving { applied: 2, total: 3, behind, says }) => {
                assert_eq!(behind[0].name, "app-1");
                assert_eq!(says, "2 of 3 run it");
            }
            other => panic!("{other:?}"),
        }
    }
}
