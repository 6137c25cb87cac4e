//! Tests of announcements: new content stands in the marker beside what is published, until it has passed.

use super::tests::{A, B, at_7, marker, observed, ours, publish, written};
use super::*;
use rototo_api::marker::{Gate, Stage};

const C: char = 'c';

fn announcing(published: Publish, next: Publish) -> MarkerMap {
    ours(MarkerEntry::Published(Marked { next: Some(next), ..published.into() }))
}

/// Returns the input of a decision while the map has A, and B is new and is rehearsed.
fn rehearsed(map: MarkerMap) -> PlanInput {
    PlanInput { rehearses: true, known: Some(publish(A, 10)), ..observed(Some(B), map) }
}

fn announced(next: Publish, rehearsed: Rehearsed) -> Option<(Publish, Rehearsed)> {
    Some((next, rehearsed))
}

/// Returns what the plan puts back, and what that marker announces.
#[track_caller]
fn put_back(observed: PlanInput) -> (Publish, Option<Publish>) {
    match plan(observed) {
        MarkerPlan::Write { marked, reason: WriteReason::PutBack, .. } => (marked.publish, marked.next),
        other => panic!("the marker should be put back, but the plan is {other:?}"),
    }
}

/// Returns the announcement that the plan writes beside A.
#[track_caller]
fn announcement(observed: PlanInput) -> Publish {
    match plan(observed) {
        MarkerPlan::Write { marked, at, reason: WriteReason::Announcement } => {
            assert_eq!((marked.publish, at), (publish(A, 10), at_7()));
            marked.next.unwrap()
        }
        other => panic!("the plan should be an announcement, but is {other:?}"),
    }
}

#[test]
fn new_content_is_announced_beside_what_is_published() {
    assert_eq!(announcement(rehearsed(ours(marker(A, 10)))), publish(B, 30));
}

#[test]
fn the_first_publish_is_not_rehearsed() {
    for map in [MarkerMap::Missing, ours(MarkerEntry::Nothing), ours(MarkerEntry::Unreadable)] {
        let first = PlanInput { known: None, ..rehearsed(map) };
        assert_eq!(written(first), (publish(B, 30), WriteReason::ContentChanged));
    }
}

#[test]
fn a_changed_marker_does_not_publish_what_is_rehearsed() {
    let announced = announced(publish(B, 20), Rehearsed::NotYet);
    let changed = [ours(marker(C, 20)), ours(MarkerEntry::Nothing), ours(MarkerEntry::Unreadable), MarkerMap::Missing];
    for map in changed {
        let edited = PlanInput { verified_again: true, announced, ..rehearsed(map) };
        let (back, next) = put_back(edited.clone());
        assert_eq!(back.fingerprint, publish(A, 0).fingerprint);
        assert!(next.is_none_or(|next| next == publish(B, 20)), "{next:?}");
        let passed = announced.map(|(next, _)| (next, Rehearsed::Passed));
        let passed = PlanInput { announced: passed, ..edited.clone() };
        assert_eq!(written(passed), (publish(B, 30), WriteReason::PutBack));
        let allowed = PlanInput { rehearses: false, ..edited };
        assert_eq!(written(allowed), (publish(B, 30), WriteReason::PutBack));
    }
    // Any process can report a name that nobody has published.
    let map = announcing(publish(A, 10), publish(B, 20));
    let reported = Some(publish(C, 25).updated_at);
    // The name of what is put back is later than the reported one, and the announcement keeps its own.
    let made_up = PlanInput { verified_again: true, announced, reported, ..rehearsed(map) };
    assert_eq!(put_back(made_up), (publish(A, 30), Some(publish(B, 20))));
}

#[test]
fn new_content_that_an_earlier_operator_published_without_an_answer_is_not_rehearsed_again() {
    let late = rehearsed(ours(marker(B, 20)));
    assert_eq!(plan(late), MarkerPlan::Keep(publish(B, 20).into()));
}

#[test]
fn a_late_write_of_an_earlier_leader_is_adopted_also_when_the_source_has_newer_content() {
    let announced = announced(publish(B, 20), Rehearsed::NotYet);
    let newer = PlanInput { announced, accepted: publish(C, 30).fingerprint.into(), ..rehearsed(ours(marker(B, 20))) };
    let newer = PlanInput { rollout: Some(RolloutDecision::Stay { until: None }), ..newer };
    match plan(newer) {
        MarkerPlan::Write { marked, reason: WriteReason::Announcement, .. } => {
            assert_eq!((marked.publish, marked.next), (publish(B, 20), Some(publish(C, 30))));
        }
        other => panic!("the plan should be an announcement beside B, but is {other:?}"),
    }
}

#[test]
fn what_was_taken_back_is_remembered_until_the_source_answers_although_somebody_removes_it() {
    let known_held = Some((publish(B, 20), Gate::Refused));
    let removed = PlanInput { known_held, accepted: None, source_known: false, ..rehearsed(ours(marker(A, 10))) };
    let kept = Marked { held: known_held, ..publish(A, 10).into() };
    assert_eq!(plan(removed.clone()), MarkerPlan::Keep(kept));
    let answered = PlanInput { accepted: Some(publish(B, 20).fingerprint), source_known: true, ..removed };
    assert!(matches!(plan(answered), MarkerPlan::Write { marked, .. } if marked == kept));
}

#[test]
fn a_marker_that_was_lost_is_restored_before_new_content_is_rehearsed() {
    let lost = PlanInput { known: None, remembered: Some(publish(A, 10)), ..rehearsed(ours(MarkerEntry::Nothing)) };
    assert_eq!(written(lost), (publish(A, 30), WriteReason::PutBack));
}

#[test]
fn an_announcement_stands_until_it_has_passed_and_is_published_under_its_name() {
    let next = publish(B, 20);
    let map = || announcing(publish(A, 10), next);
    let waiting = PlanInput { announced: announced(next, Rehearsed::NotYet), ..rehearsed(map()) };
    assert_eq!(plan(waiting.clone()), MarkerPlan::Keep(Marked { next: Some(next), ..publish(A, 10).into() }));
    let passed = PlanInput { announced: announced(next, Rehearsed::Passed), ..waiting };
    assert_eq!(written(passed), (next, WriteReason::ContentChanged));
}

#[test]
fn an_announcement_of_an_earlier_operator_is_kept_and_not_announced_again() {
    let map = announcing(publish(A, 10), publish(B, 20));
    let marked = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
    assert_eq!(plan(rehearsed(map)), MarkerPlan::Keep(marked));
}

#[test]
fn a_newer_candidate_supersedes_the_announcement_with_one_write() {
    let map = announcing(publish(A, 10), publish(C, 40));
    let superseded = PlanInput { announced: announced(publish(C, 40), Rehearsed::Passed), ..rehearsed(map) };
    let next = announcement(superseded);
    assert_eq!(next.fingerprint, publish(B, 0).fingerprint);
    assert!(next.updated_at > publish(C, 40).updated_at, "{next:?}");
}

#[test]
fn an_announcement_that_somebody_else_changed_is_written_again_under_its_name_and_with_its_stage() {
    let own = announced(publish(B, 20), Rehearsed::NotYet);
    let changed = [
        ours(marker(A, 10)),
        announcing(publish(A, 10), publish(C, 25)),
        announcing(publish(A, 10), publish(B, 40)),
        announcing(publish(A, 10), publish(B, 15)),
    ];
    for map in changed {
        let next = announcement(PlanInput { announced: own, ..rehearsed(map.clone()) });
        assert_eq!(next, publish(B, 20), "{map:?}");
        let stays = passed(map.clone(), RolloutDecision::Stay { until: None });
        let restored = MarkerPlan::Write { marked: staged(1), at: at_7(), reason: WriteReason::Announcement };
        assert_eq!(plan(PlanInput { known_stage: Some(stage(1)), ..stays }), restored, "{map:?}");
    }
    // Somebody gives what is published the name of the announcement, or a later one.
    for second in [20, 25] {
        let map = ours(marker(A, second));
        let edited = PlanInput { announced: own, verified_again: true, ..rehearsed(map) };
        assert_eq!(put_back(edited), (publish(A, 30), Some(publish(B, 20))));
    }
    // Two publishes never have one name.
    let same = PlanInput { announced: own, known: Some(publish(A, 20)), ..rehearsed(ours(marker(A, 20))) };
    let MarkerPlan::Write { marked, .. } = plan(same) else { panic!("the announcement should be written") };
    assert_eq!((marked.publish, marked.next), (publish(A, 20), Some(publish(B, 30))));
}

#[test]
fn an_announcement_is_withdrawn_once_the_source_no_longer_has_it() {
    let map = || announcing(publish(A, 10), publish(B, 20));
    for accepted in [Some(A), None] {
        let input = PlanInput {
            accepted: accepted.map(|content| publish(content, 0).fingerprint),
            announced: announced(publish(B, 20), Rehearsed::Passed),
            ..rehearsed(map())
        };
        assert_eq!(written(input.clone()), (publish(A, 10), WriteReason::Announcement), "{accepted:?}");
        // Before the source has answered, nobody knows.
        let marked = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
        assert_eq!(plan(PlanInput { source_known: false, ..input }), MarkerPlan::Keep(marked));
    }
}

#[test]
fn what_was_taken_back_stays_in_the_marker_when_another_announcement_is_withdrawn() {
    let held = Some((publish(C, 15), Gate::Aborted));
    let map = ours(MarkerEntry::Published(Marked { next: Some(publish(B, 20)), held, ..publish(A, 10).into() }));
    let refused_by_lint = PlanInput { accepted: None, known_held: held, ..rehearsed(map) };
    let marked = Marked { held, ..publish(A, 10).into() };
    let withdrawn = MarkerPlan::Write { marked, at: at_7(), reason: WriteReason::Announcement };
    assert_eq!(plan(refused_by_lint), withdrawn);
}

#[test]
fn without_a_rehearsal_an_announced_publish_is_published_under_its_name() {
    let map = announcing(publish(A, 10), publish(B, 20));
    let allowed = PlanInput { rehearses: false, ..rehearsed(map) };
    assert_eq!(written(allowed), (publish(B, 20), WriteReason::ContentChanged));
    // Its name must be later than that of what is published.
    let put_back = announcing(publish(A, 25), publish(B, 20));
    let later = PlanInput { rehearses: false, known: Some(publish(A, 25)), ..rehearsed(put_back) };
    assert_eq!(written(later).0, publish(B, 30));
    let same = announcing(publish(A, 20), publish(B, 20));
    let later = PlanInput { rehearses: false, known: Some(publish(A, 20)), ..rehearsed(same) };
    assert_eq!(written(later).0, publish(B, 30));
}

#[test]
fn a_publish_has_a_later_name_than_whatever_somebody_else_announced() {
    let map = announcing(publish(A, 10), publish(C, 40));
    let passed = PlanInput { announced: announced(publish(B, 20), Rehearsed::Passed), ..rehearsed(map) };
    let (written, _) = written(passed);
    assert_eq!(written.fingerprint, publish(B, 0).fingerprint);
    assert!(written.updated_at > publish(C, 40).updated_at, "{written:?}");
}

#[test]
fn what_was_announced_is_published_under_a_later_name_than_the_last_publish_by_status() {
    let passed = PlanInput {
        announced: announced(publish(B, 20), Rehearsed::Passed),
        last_published_name: Some(publish(A, 25).updated_at),
        ..rehearsed(announcing(publish(A, 10), publish(B, 20)))
    };
    assert_eq!(written(passed), (publish(B, 30), WriteReason::ContentChanged));
}

#[test]
fn an_announcement_whose_answer_was_lost_is_repeated_under_its_name() {
    let attempted = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
    let unanswered = |at| Some((attempted, MapVersion::Version(String::from(at))));
    let again = PlanInput { attempted: unanswered("7"), ..rehearsed(ours(marker(A, 10))) };
    assert_eq!(announcement(again), publish(B, 20));
    let overwritten = PlanInput { attempted: unanswered("6"), ..rehearsed(ours(marker(A, 10))) };
    assert_eq!(announcement(overwritten), publish(B, 30));
    // The name of what is published is never used again.
    let published = PlanInput {
        attempted: unanswered("7"),
        reported: Some(publish(C, 25).updated_at),
        verified_again: true,
        ..rehearsed(ours(marker(A, 10)))
    };
    let back = PlanInput { accepted: Some(publish(A, 0).fingerprint), ..published };
    assert_eq!(written(back), (publish(A, 30), WriteReason::PutBack));
}

fn passed(published: MarkerMap, rollout: RolloutDecision) -> PlanInput {
    let announced = announced(publish(B, 20), Rehearsed::Passed);
    PlanInput { announced, rollout: Some(rollout), ..rehearsed(published) }
}

fn stage(step: u32) -> Stage {
    Stage { step, since: "2026-11-20T18:40:25Z".parse().unwrap(), below: 7 }
}

fn staged(step: u32) -> Marked {
    Marked { next: Some(publish(B, 20)), stage: Some(stage(step)), ..publish(A, 10).into() }
}

#[test]
fn a_marker_says_again_what_was_read_from_it() {
    let held = Some((publish(C, 15), Gate::Aborted));
    let marked = Marked { held, ..staged(1) };
    assert_eq!(MarkerEntry::read(Some(&marked.to_marker().to_json())), MarkerEntry::Published(marked));
}

#[test]
fn a_stage_is_written_beside_the_announcement_and_stays_until_the_next_one() {
    let map = || announcing(publish(A, 10), publish(B, 20));
    let entered = MarkerPlan::Write { marked: staged(0), at: at_7(), reason: WriteReason::Announcement };
    assert_eq!(plan(passed(map(), RolloutDecision::Enter(stage(0)))), entered);
    let announced = announced(publish(B, 20), Rehearsed::NotYet);
    let waiting = PlanInput { announced, ..passed(map(), RolloutDecision::Enter(stage(0))) };
    let waits = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
    assert_eq!(plan(waiting), MarkerPlan::Keep(waits), "no step begins before the rehearsal has passed");
    let there = || ours(MarkerEntry::Published(staged(0)));
    assert_eq!(plan(passed(there(), RolloutDecision::Stay { until: None })), MarkerPlan::Keep(staged(0)));
    assert_eq!(written(passed(there(), RolloutDecision::Publish)), (publish(B, 20), WriteReason::ContentChanged));
    // Somebody else has changed the announcement: it is put back, and no step begins with that.
    let edited = announcing(publish(A, 10), publish(C, 40));
    let again = MarkerPlan::Write { marked: waits, at: at_7(), reason: WriteReason::Announcement };
    assert_eq!(plan(passed(edited, RolloutDecision::Enter(stage(0)))), again);
    // A newer commit supersedes the rollout, and begins with its own rehearsal.
    let superseded =
        PlanInput { accepted: Some(publish(C, 0).fingerprint), ..passed(there(), RolloutDecision::Publish) };
    assert_eq!(announcement(superseded), publish(C, 30));
}

#[test]
fn content_with_steps_is_never_published_past_them() {
    let stays = || RolloutDecision::Stay { until: None };
    for map in [ours(marker(C, 20)), ours(MarkerEntry::Nothing), MarkerMap::Missing] {
        let edited = PlanInput { verified_again: true, ..passed(map, stays()) };
        assert_eq!(put_back(edited).0.fingerprint, publish(A, 0).fingerprint);
    }
    // An earlier leader has ended the rollout, and its write arrives late.
    let late = MarkerPlan::Keep(publish(B, 20).into());
    assert_eq!(plan(passed(ours(marker(B, 20)), stays())), late);
    // Somebody removed the announcement from the marker.
    assert_eq!(announcement(passed(ours(marker(A, 10)), stays())).fingerprint, publish(B, 0).fingerprint);
}

#[test]
fn a_marker_is_put_back_with_its_rollout_under_the_announced_name() {
    let stays = || RolloutDecision::Stay { until: None };
    let edited = |map| PlanInput { verified_again: true, known_stage: Some(stage(1)), ..passed(map, stays()) };
    for map in [ours(MarkerEntry::Nothing), ours(MarkerEntry::Unreadable), MarkerMap::Missing, ours(marker(C, 15))] {
        let MarkerPlan::Write { marked, reason, .. } = plan(edited(map.clone())) else { panic!("{map:?}") };
        assert_eq!((reason, marked.next, marked.stage), (WriteReason::PutBack, staged(1).next, staged(1).stage));
        // What is published has a later name than before, and an earlier one than what is announced.
        assert_eq!(marked.publish.fingerprint, publish(A, 0).fingerprint);
        assert!(marked.publish > publish(A, 10) && marked.publish.updated_at < publish(B, 20).updated_at, "{marked:?}");
        // Also before the source has answered, and not once it has other content.
        let unanswered = PlanInput { accepted: None, source_known: false, ..edited(map.clone()) };
        assert_eq!(put_back(unanswered).1, staged(1).next);
        for accepted in [None, Some(publish(C, 0).fingerprint)] {
            assert_eq!(put_back(PlanInput { accepted, ..edited(map.clone()) }).1, None);
        }
    }
    // Somebody has written a later name, or a process reports one. Requests name the announcement, so it keeps its name.
    let reported =
        PlanInput { reported: Some(publish(C, 25).updated_at), ..edited(ours(MarkerEntry::Published(staged(1)))) };
    for later in [edited(ours(marker(C, 20))), edited(ours(marker(C, 25))), edited(ours(marker(B, 25))), reported] {
        let marked = Marked { publish: publish(A, 30), ..staged(1) };
        assert_eq!(plan(later), MarkerPlan::Write { marked, at: at_7(), reason: WriteReason::PutBack });
    }
    // Then it is published under a later name in the end.
    let there = ours(MarkerEntry::Published(Marked { publish: publish(A, 30), ..staged(1) }));
    let over = PlanInput { known: Some(publish(A, 30)), ..passed(there, RolloutDecision::Publish) };
    let (published, reason) = written(over);
    assert!(published > publish(B, 30) && reason == WriteReason::ContentChanged, "{published:?}");
    // The rollout of a workspace that was removed is over, also for its namesake.
    assert_eq!(put_back(edited(ours(MarkerEntry::Removed(publish(A, 15).updated_at)))), (publish(A, 30), None));
}

#[test]
fn a_marker_that_was_lost_before_a_restart_is_restored_with_the_rollout_that_the_status_remembers() {
    let started = |map| PlanInput {
        known: None,
        remembered: Some(publish(A, 10)),
        remembered_rollout: Some((publish(B, 20), stage(1))),
        last_published_name: Some(publish(A, 10).updated_at),
        rollout: Some(RolloutDecision::Stay { until: None }),
        ..rehearsed(map)
    };
    for map in [ours(MarkerEntry::Nothing), ours(MarkerEntry::Unreadable), MarkerMap::Missing] {
        for unanswered in [false, true] {
            let accepted = started(map.clone()).accepted.filter(|_| !unanswered);
            let input = PlanInput { accepted, source_known: !unanswered, ..started(map.clone()) };
            let MarkerPlan::Write { marked, reason, .. } = plan(input) else { panic!("{map:?}") };
            assert_eq!((reason, marked.next, marked.stage), (WriteReason::PutBack, staged(1).next, staged(1).stage));
            assert!(marked.publish > publish(A, 10) && marked.publish.updated_at < publish(B, 20).updated_at);
        }
        // The source has other content, or the content was taken back.
        let other = PlanInput { accepted: Some(publish(C, 0).fingerprint), ..started(map.clone()) };
        assert_eq!(put_back(other), (publish(A, 30), None));
        let taken_back = PlanInput { known_held: Some((publish(B, 20), Gate::Aborted)), ..started(map) };
        assert_eq!(put_back(taken_back).1, None);
    }
}

#[test]
fn a_rollout_that_fails_is_taken_back_although_the_source_has_not_answered() {
    let failed = RolloutDecision::TakeBack(crate::rollout::GateFailure::Aborted);
    let there = ours(MarkerEntry::Published(staged(1)));
    let unknown = PlanInput { accepted: None, source_known: false, ..passed(there, failed) };
    let marked = Marked { held: Some((publish(B, 20), Gate::Aborted)), ..publish(A, 10).into() };
    assert_eq!(plan(unknown.clone()), MarkerPlan::Write { marked, at: at_7(), reason: WriteReason::Announcement });
    for decision in [RolloutDecision::Enter(stage(2)), RolloutDecision::Publish] {
        let unknown = PlanInput { rollout: Some(decision), ..unknown.clone() };
        assert_eq!(plan(unknown), MarkerPlan::Keep(staged(1)));
    }
}

#[test]
fn content_that_was_taken_back_is_not_published_until_the_source_changes_or_a_person_asks() {
    let there = ours(MarkerEntry::Published(staged(1)));
    let held = Marked { held: Some((publish(B, 20), Gate::Aborted)), ..publish(A, 10).into() };
    let back = MarkerPlan::Write { marked: held, at: at_7(), reason: WriteReason::Announcement };
    let failed = RolloutDecision::TakeBack(crate::rollout::GateFailure::Aborted);
    assert_eq!(plan(passed(there, failed)), back);
    let rehearsed = |map| PlanInput { known_held: held.held, ..rehearsed(map) };
    let map = || ours(MarkerEntry::Published(held));
    assert_eq!(plan(rehearsed(map())), MarkerPlan::Keep(held));
    assert_eq!(
        announcement(PlanInput { retried: Some(publish(B, 20).updated_at), ..rehearsed(map()) }),
        publish(B, 30)
    );
    assert_eq!(
        announcement(PlanInput { accepted: Some(publish(C, 0).fingerprint), ..rehearsed(map()) }),
        publish(C, 30)
    );
    // A request about an earlier attempt is over.
    assert_eq!(
        plan(PlanInput { retried: Some(publish(B, 19).updated_at), ..rehearsed(map()) }),
        MarkerPlan::Keep(held)
    );
    // The source went back, and may come again.
    let reverted = PlanInput { accepted: Some(publish(A, 0).fingerprint), ..rehearsed(map()) };
    assert_eq!(written(reverted), (publish(A, 10), WriteReason::Announcement));
    // Before the source has answered, or while lint refuses it, nothing is known that releases it.
    let unknown = PlanInput { accepted: None, source_known: false, ..rehearsed(map()) };
    assert_eq!(plan(unknown), MarkerPlan::Keep(held));
    assert_eq!(plan(PlanInput { accepted: None, ..rehearsed(map()) }), MarkerPlan::Keep(held));
    // Somebody removes it while the workspace is suspended.
    let forgotten = ours(MarkerEntry::Published(publish(A, 10).into()));
    assert_eq!(plan(PlanInput { accepted: None, ..rehearsed(forgotten) }), back);
    // An edit by hand that announces it again, or forgets it, is undone.
    for forged in [Marked { next: Some(publish(B, 20)), ..held }, publish(A, 10).into()] {
        assert_eq!(plan(rehearsed(ours(MarkerEntry::Published(forged)))), back);
    }
    let edited = PlanInput { verified_again: true, ..rehearsed(ours(marker(C, 20))) };
    let MarkerPlan::Write { marked, .. } = plan(edited) else { panic!("the marker should be put back") };
    assert_eq!((marked.publish.fingerprint, marked.held), (publish(A, 0).fingerprint, held.held));
    // An operator that has just started knows what the marker says.
    let started = PlanInput { known: None, known_held: None, ..rehearsed(map()) };
    assert_eq!(plan(started), MarkerPlan::Keep(held));
}

#[test]
fn a_changed_marker_publishes_nothing_that_was_taken_back_or_has_steps() {
    let known_held = Some((publish(B, 20), Gate::Refused));
    // Rehearsals were turned off since, and somebody edits the marker.
    for map in [ours(marker(C, 20)), ours(marker(B, 40)), ours(MarkerEntry::Nothing)] {
        let edited = PlanInput { known_held, rehearses: false, verified_again: true, ..rehearsed(map) };
        let MarkerPlan::Write { marked, .. } = plan(edited) else { panic!("the marker should be put back") };
        assert_eq!((marked.publish.fingerprint, marked.held), (publish(A, 0).fingerprint, known_held));
    }
    // Somebody publishes what is at a step by hand.
    let forged = passed(ours(marker(B, 40)), RolloutDecision::Stay { until: None });
    assert_eq!(plan(forged.clone()), MarkerPlan::VerifyAgain);
    let (back, next) = put_back(PlanInput { verified_again: true, ..forged });
    assert_eq!((back.fingerprint, next), (publish(A, 0).fingerprint, Some(publish(B, 20))));
}
