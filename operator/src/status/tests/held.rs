//! Revisions that are held until a person allows them.

use rototo_api::analysis::AnalysisStatus;
use rototo_api::marker::{Gate, Stage};
use rototo_protocol::fleet::{RehearsalVerdict, RehearsalView, StageCounts};
use rototo_protocol::hold::Shrink;

use super::*;
use crate::status::command::AnnotateCommand;

fn refusing() -> Straggler {
    Straggler { name: "app-7".to_owned(), state: "refused".to_owned(), reason: Some("check_failed".to_owned()) }
}

/// B is announced, and held for this reason.
fn held_in_rehearsal(reason: HeldReason) -> StatusCase {
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    world.held = Some(HeldInput {
        revision: format!("main@sha1:{}", "b".repeat(40)),
        fingerprint: fingerprint("B").to_string(),
        reason,
        release: "kubectl annotate".to_owned(),
    });
    world
}

/// The name under which B was announced.
fn name() -> UpdatedAt {
    "2026-11-20T18:40:20.000000Z".parse().unwrap()
}

fn taken_back(gate: Gate, analysis: Option<AnalysisStatus>) -> HeldReason {
    HeldReason::TakenBack { announced_as: name(), gate, analysis, processes: Vec::new() }
}

fn rehearsal(verdict: RehearsalVerdict) -> RehearsalView {
    RehearsalView {
        next: publish("B", 9),
        since: Duration::ZERO,
        verdict,
        prepared: 36,
        expected: 37,
        refused: Vec::new(),
        missing: Vec::new(),
        next_change: None,
    }
}

/// A rollout of B that is at its second step.
pub(super) fn rolling_out(revision: &str) -> RolloutInput {
    RolloutInput {
        revision: revision.to_owned(),
        next: publish("B", 9),
        queued: None,
        stage: Stage { step: 1, since: "2026-11-20T18:40:00Z".parse().unwrap(), below: 9 },
        steps: 2,
        counts: StageCounts::default(),
        analysis: Vec::new(),
        command: AnnotateCommand::default(),
    }
}

#[test]
fn a_held_revision_is_not_ready_and_names_the_command_that_releases_it() {
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    world.held = Some(HeldInput {
        revision: format!("main@sha1:{}", "b".repeat(40)),
        fingerprint: fingerprint("B").to_string(),
        reason: HeldReason::Shrinks(Shrink { removed: 12, published: 14 }),
        release: "kubectl annotate".to_owned(),
    });
    assert_eq!(
        world.conditions(),
        [
            "Ready=False/ShrinkHeld",
            "SourceReady=True/Fetched",
            "LintPassed=True/Passed",
            "Published=True/Published",
            "Converged=True/Converged"
        ]
    );
    let status = world.status();
    assert_eq!(
        status.conditions[0].message,
        "main@sha1:bbbbbbbb would remove 12 of 14 published variables and is held; processes keep what was published \
         before. To publish it: kubectl annotate"
    );
    let held = status.held.clone().unwrap();
    assert_eq!((held.removes, held.reason.as_str()), (12, "ShrinkHeld"));
    assert_eq!(world.events(), [reason::SHRINK_HELD]);
    // An operator that has just started has not polled yet, and repeats what is known without another Event.
    world.previous = status;
    assert!(world.events().is_empty());
    (world.candidate, world.held) = (None, None);
    assert_eq!(world.status().held, Some(held));
    assert_eq!(world.conditions()[0], "Ready=False/ShrinkHeld");
    // A newer revision that is not held ends it.
    world.candidate = Some(candidate("A", 'c', LintVerdict::Accepted));
    assert_eq!(world.status().held, None);
    assert_eq!(world.conditions()[0], "Ready=True/Converged");
}

#[test]
fn a_revision_that_a_process_refuses_beforehand_is_held_and_what_is_published_stays_published() {
    let mut world = held_in_rehearsal(HeldReason::Refused { processes: vec![refusing()] });
    assert_eq!(
        world.conditions(),
        [
            "Ready=False/RefusedInRehearsal",
            "SourceReady=True/Fetched",
            "LintPassed=True/Passed",
            "Published=True/Published",
            "Converged=True/Converged"
        ]
    );
    let status = world.status();
    assert_eq!(
        status.conditions[0].message,
        "main@sha1:bbbbbbbb is refused in its rehearsal by app-7 (refused: check_failed), and is held; processes keep \
         what was published before. To publish it: kubectl annotate"
    );
    let held = status.held.clone().unwrap();
    assert_eq!((held.reason.as_str(), held.processes.as_slice()), ("RefusedInRehearsal", &[refusing()][..]));
    assert_eq!(world.events(), [reason::REFUSED_IN_REHEARSAL]);
    // An operator that was restarted waits for everybody, and meanwhile repeats what is known.
    world.previous = status;
    (world.held, world.rehearsal) = (None, Some(rehearsal(RehearsalVerdict::Waiting)));
    assert_eq!(world.status().held, Some(held));
    assert_eq!(world.conditions()[..2], ["Ready=False/RefusedInRehearsal", "Reconciling=True/Rehearsing"]);
    assert!(world.events().is_empty());
    // It passes, and is published.
    world.rehearsal = Some(rehearsal(RehearsalVerdict::Passed));
    assert_eq!(world.status().held, None);
}

#[test]
fn an_incomplete_rehearsal_names_who_is_missing() {
    let missing = vec![Straggler::missing("app-8")];
    let mut world = held_in_rehearsal(HeldReason::Incomplete { prepared: 36, expected: 37, processes: missing });
    assert_eq!(world.conditions()[0], "Ready=False/RehearsalIncomplete");
    let status = world.status();
    assert_eq!(
        status.conditions[0].message,
        "main@sha1:bbbbbbbb is held: 36 of 37 processes have prepared it; missing: app-8 (missing); processes keep \
         what was published before. To publish it: kubectl annotate"
    );
    assert_eq!(world.events(), [reason::REHEARSAL_INCOMPLETE]);
    // That a process refuses it as well is another reason, and another Event.
    world.previous = status;
    world.held = held_in_rehearsal(HeldReason::Refused { processes: vec![refusing()] }).held;
    assert_eq!(world.events(), [reason::REFUSED_IN_REHEARSAL]);
}

#[test]
fn a_retry_of_what_was_taken_back_is_a_rehearsal_and_no_longer_held() {
    let mut world = held_in_rehearsal(taken_back(Gate::Restarted, None));
    let status = world.status();
    assert_eq!(
        status.conditions[0].message,
        "main@sha1:bbbbbbbb was rolled back as a container that ran it ended, and is held; processes keep what was \
         published before. To try it again: kubectl annotate"
    );
    assert_eq!(world.events(), [reason::HELD_BACK]);
    world.previous = status;
    (world.held, world.rehearsal) = (None, Some(rehearsal(RehearsalVerdict::Waiting)));
    assert_eq!((world.status().held, world.conditions()[0].as_str()), (None, "Ready=False/Rehearsing"));
}

/// The analysis `errors` with these measurements.
fn analysis(phase: &str, failed: u32, last: &str) -> AnalysisStatus {
    AnalysisStatus {
        name: "errors".to_owned(),
        phase: phase.to_owned(),
        successful: 1,
        failed,
        inconclusive: 0,
        last: Some(last.to_owned()),
    }
}

#[test]
fn a_failed_analysis_is_named_with_its_measurement_also_by_an_operator_that_was_restarted() {
    let failed = |analysis| taken_back(Gate::Analysis, analysis);
    let mut world = held_in_rehearsal(failed(Some(analysis("Failed", 1, "0.31"))));
    let expected = "main@sha1:bbbbbbbb was rolled back as its analysis errors failed (1 of 2 measurements failed, 0 \
                    were inconclusive; the last: 0.31), and is held; processes keep what was published before. To try \
                    it again: kubectl annotate";
    let status = world.status();
    assert_eq!(
        (world.conditions()[0].as_str(), status.conditions[0].message.as_str()),
        ("Ready=False/HeldBack", expected)
    );
    assert_eq!(world.events(), [reason::HELD_BACK]);
    world.previous = status;
    world.held = held_in_rehearsal(failed(None)).held;
    assert_eq!(world.status().conditions[0].message, expected);
    assert!(world.events().is_empty());
    // Without the status, the marker has the gate.
    world.previous = RototoWorkspaceStatus::default();
    assert!(world.status().conditions[0].message.contains("rolled back as an analysis of it failed"));
}

#[test]
fn a_degraded_application_is_named_also_by_an_operator_that_was_restarted() {
    let degraded =
        |processes| HeldReason::TakenBack { announced_as: name(), gate: Gate::Degraded, analysis: None, processes };
    let named = vec![Straggler::degraded("app-7".to_owned(), "error_rate")];
    let mut world = held_in_rehearsal(degraded(named.clone()));
    let expected =
        "rolled back as an application that ran it became degraded, app-7 (degraded: error_rate), and is held";
    let status = world.status();
    assert!(status.conditions[0].message.contains(expected), "{}", status.conditions[0].message);
    let held = status.held.as_ref().unwrap();
    assert_eq!((&held.processes, held.announced_as), (&named, Some(name())));
    world.previous = status;
    world.held = held_in_rehearsal(degraded(Vec::new())).held;
    assert!(world.status().conditions[0].message.contains(expected));
}

#[test]
fn a_rollout_shows_the_measurements_of_its_step() {
    let mut world = StatusCase::new();
    let long = "x".repeat(10_000);
    let analysis_of_step = vec![analysis("Running", 0, "0.01"), analysis("Running", 1, &long)];
    let revision = format!("main@sha1:{}", "b".repeat(40));
    world.rollout = Some(RolloutInput { analysis: analysis_of_step, ..rolling_out(&revision) });
    let shown = world.status().rollout.unwrap().analysis;
    assert_eq!(shown[0], analysis("Running", 0, "0.01"));
    assert!(shown[1].last.as_ref().unwrap().len() < 1_000);
}

#[test]
fn a_rehearsal_under_way_is_a_change_on_its_way() {
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    world.rehearsal = Some(rehearsal(RehearsalVerdict::Waiting));
    assert_eq!(world.conditions()[..2], ["Ready=False/Rehearsing", "Reconciling=True/Rehearsing"]);
    assert_eq!(world.status().conditions[1].message, "36 of 37 processes have prepared the newest revision");
}

#[test]
fn a_revision_that_waits_for_a_source_to_be_repaired_is_not_on_its_way() {
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    (world.confirmed, world.fault) = (false, Some(reason::SOURCE_REFUSED));
    for verdict in [RehearsalVerdict::Waiting, RehearsalVerdict::Passed] {
        world.rehearsal = Some(rehearsal(verdict));
        for (transient, expected) in [(false, "Ready=False/SourceRefused"), (true, "Ready=False/Rehearsing")] {
            world.error = Some(("the token was revoked", transient));
            let conditions = world.conditions();
            assert_eq!(conditions[0], expected);
            assert!(!conditions.iter().any(|condition| condition.starts_with("Reconciling")), "{conditions:?}");
            let message = &world.status().conditions[0].message;
            assert!(message.contains("the token was revoked"), "{message}");
        }
    }
    // A fault of the host passes by itself.
    world.confirmed = true;
    assert_eq!(world.conditions()[..2], ["Ready=False/Rehearsing", "Reconciling=True/Rehearsing"]);
}

#[test]
fn a_revision_that_is_not_published_yet_is_on_its_way_although_nothing_waits_for_processes() {
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    // Its rollout has not begun, or it was read a moment ago and is not announced yet.
    for announced in [Some(rehearsal(RehearsalVerdict::Passed)), None] {
        world.rehearsal = announced;
        assert_eq!(world.conditions()[..2], ["Ready=False/Rehearsing", "Reconciling=True/Rehearsing"]);
        assert_eq!(world.status().conditions[0].message, "the newest revision is not published yet");
    }
    // An operator that was restarted has not read it yet.
    world.previous = world.status();
    world.candidate = None;
    assert_eq!(world.conditions()[0], "Ready=False/Rehearsing");
    // A marker that can't be written says more.
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    world.problem = Some(PublishProblem::Unavailable("timeout".to_owned()));
    assert_eq!(world.conditions()[..2], ["Ready=False/PublishFailed", "SourceReady=True/Fetched"]);
    world.problem = None;
    world.spec.suspend = true;
    assert_eq!(world.conditions()[0], "Ready=True/Converged", "it will not be published");
    world.spec.suspend = false;
    world.published = Some(publish("B", 9));
    assert_eq!(world.conditions()[0], "Ready=True/Converged");
}

#[test]
fn history_says_that_a_person_published_what_a_process_refused() {
    let mut world = held_in_rehearsal(HeldReason::Refused { processes: vec![refusing()] });
    world.previous = world.status();
    (world.held, world.published) = (None, Some(publish("B", 9)));
    world.steering.anyway_by = Some("alice".to_owned());
    let status = world.status();
    assert_eq!((status.history[0].anyway, status.history[1].anyway, status.held), (true, false, None));
    assert_eq!((status.history[0].by.as_deref(), &status.history[1].by), (Some("alice"), &None));
    // The annotation alone says nothing: processes may have prepared it meanwhile.
    world.steering.anyway_by = None;
    assert!(!world.status().history[0].anyway);
}

#[test]
fn the_user_who_has_something_published_stands_in_history() {
    let mut world = held_in_rehearsal(HeldReason::Shrinks(Shrink { removed: 12, published: 14 }));
    world.previous = world.status();
    (world.held, world.published) = (None, Some(publish("B", 9)));
    world.steering.shrink_by = Some("alice".to_owned());
    assert_eq!(world.status().history[0].by.as_deref(), Some("alice"));
    world.steering.promoted_by = Some("bob".to_owned());
    assert_eq!(world.status().history[0].by.as_deref(), Some("bob"));
    // An annotation about something that was not held did nothing.
    let mut world = StatusCase::new();
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    (world.published, world.steering.shrink_by) = (Some(publish("B", 9)), Some("alice".to_owned()));
    assert_eq!(world.status().history[0].by, None);
}

#[test]
fn a_queued_revision_is_named_and_what_was_rolled_out_keeps_its_revision() {
    let mut world = StatusCase::new();
    let revision = |commit: &str| format!("main@sha1:{}", commit.repeat(40));
    world.candidate = Some(candidate("C", 'c', LintVerdict::Accepted));
    world.rollout = Some(RolloutInput { queued: Some(revision("c")), ..rolling_out(&revision("b")) });
    let status = world.status();
    let converged = status.condition(CONVERGED).unwrap();
    assert!(converged.message.ends_with("; main@sha1:cccccccc waits for the end of this rollout"), "{converged:?}");
    assert_eq!(status.rollout.as_ref().unwrap().queued, Some(revision("c")));
    world.previous = status;
    (world.rollout, world.published) = (None, Some(publish("B", 9)));
    assert_eq!(world.status().published.unwrap().revision, Some(revision("b")));

    // A source without commits has no revision, and its rollout has the name of the content.
    let rolled_out = world.previous.rollout.as_mut().unwrap();
    (rolled_out.revision, rolled_out.revisions) = (publish("B", 9).fingerprint.to_string(), Vec::new());
    let published = world.status().published.unwrap();
    assert_eq!((published.revision, published.revisions), (None, Vec::new()));
}

#[test]
fn revisions_that_follow_each_other_before_their_content_is_published_stay_known() {
    let revision = |commit: &str| format!("main@sha1:{}", commit.repeat(40));
    let mut world = StatusCase::new();
    // The first is rehearsed, the second is rolled out, and the third comes during that.
    world.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    world.rehearsal = Some(rehearsal(RehearsalVerdict::Waiting));
    world.previous = world.status();
    world.rehearsal = None;
    for commit in ['c', 'd'] {
        world.candidate = Some(candidate("B", commit, LintVerdict::Accepted));
        world.rollout = Some(rolling_out(&revision(&commit.to_string())));
        world.previous = world.status();
    }
    let known = ["d", "c", "b"].map(revision);
    assert_eq!(world.previous.rollout.as_ref().unwrap().revisions, known);

    // Newer content waits for the end of the rollout, also behind an operator that has just been started.
    world.candidate = None;
    world.previous = world.status();
    world.candidate = Some(candidate("C", 'e', LintVerdict::Accepted));
    world.previous = world.status();
    assert_eq!(world.previous.rollout.as_ref().unwrap().revisions, known);
    assert_eq!(world.previous.source.as_ref().unwrap().revisions, [revision("e")]);
    (world.rollout, world.published) = (None, Some(publish("B", 9)));
    world.previous = world.status();
    assert_eq!(world.previous.published.as_ref().unwrap().revisions, known);
    // A revert of what had waited.
    world.candidate = Some(candidate("B", 'f', LintVerdict::Accepted));
    assert_eq!(world.status().published.unwrap().revisions, ["f", "d", "c", "b"].map(revision));
}

#[test]
fn the_last_announced_name_is_remembered_until_a_later_one_is_published() {
    let mut world = StatusCase::new();
    assert_eq!(world.status().last_announced, None);
    for (announced, remembered) in [(9, true), (1, false)] {
        world.newest_announced = Some(publish("B", announced).updated_at);
        assert_eq!(world.status().last_announced, world.newest_announced.filter(|_| remembered));
    }
}

/// In a monorepo, two commits are polled within the second between two writes of a status.
#[test]
fn a_revision_that_no_status_has_named_before_others_were_read_is_known_where_its_content_is() {
    let revision = |commit: &str| format!("main@sha1:{}", commit.repeat(40));
    let read = |world: &mut StatusCase, content: &str, commit: char| {
        let found = candidate(content, commit, LintVerdict::Accepted);
        world.seen.add(found.fingerprint, found.revision.as_ref().unwrap().to_string());
        world.candidate = Some(found);
    };
    let mut world = StatusCase::new();
    for commit in ['b', 'c'] {
        read(&mut world, "B", commit);
    }
    assert_eq!(world.status().source.unwrap().revisions, ["c", "b"].map(revision));
    // The source has newer content by the time of the first status of the rollout.
    read(&mut world, "C", 'd');
    world.rollout = Some(rolling_out(&revision("c")));
    assert_eq!(world.status().rollout.unwrap().revisions, ["c", "b"].map(revision));
    // So it has by that of the publish.
    (world.rollout, world.published) = (None, Some(publish("B", 9)));
    let published = world.status().published.unwrap();
    assert_eq!((published.revision, published.revisions), (Some(revision("c")), ["c", "b"].map(revision).to_vec()));
    assert_eq!(world.status().source.unwrap().revisions, [revision("d")]);
}

#[test]
fn revisions_that_follow_each_other_while_their_content_is_held_stay_known() {
    let revision = |commit: &str| format!("main@sha1:{}", commit.repeat(40));
    for verdict in [LintVerdict::Accepted, refused()] {
        let mut world = held_in_rehearsal(HeldReason::Shrinks(Shrink { removed: 12, published: 14 }));
        for commit in ['b', 'c'] {
            world.candidate = Some(candidate("B", commit, verdict.clone()));
            world.previous = world.status();
        }
        let source = world.previous.source.clone().unwrap();
        assert_eq!((source.revision, source.revisions), (Some(revision("c")), ["c", "b"].map(revision).to_vec()));
        assert_eq!(source.fingerprint, Some(fingerprint("B").to_string()));
        (world.held, world.published) = (None, Some(publish("B", 9)));
        assert_eq!(world.status().published.unwrap().revisions, ["c", "b"].map(revision));
    }
}

#[test]
fn a_revision_that_a_person_took_back_names_the_user() {
    let mut world = held_in_rehearsal(taken_back(Gate::Aborted, None));
    world.steering.aborted_by = Some("alice".to_owned());
    let message = &world.status().conditions[0].message;
    assert!(message.contains("was rolled back by a person (alice), and is held"), "{message}");
}
