//! Tests of the decision about the marker.

use super::*;

pub(super) const A: char = 'a';
pub(super) const B: char = 'b';

fn content(digit: char) -> Fingerprint {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn time(second: u32) -> UpdatedAt {
    format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap()
}

pub(super) fn marker(fingerprint: char, second: u32) -> MarkerEntry {
    MarkerEntry::Published(publish(fingerprint, second).into())
}

pub(super) fn publish(fingerprint: char, second: u32) -> Publish {
    Publish { fingerprint: content(fingerprint), updated_at: time(second) }
}

pub(super) fn ours(marker: MarkerEntry) -> MarkerMap {
    MarkerMap::Ours { resource_version: "7".to_owned(), addressed: true, marker }
}

fn check(accepted: Option<char>, map: MarkerMap, expected: &MarkerPlan) {
    assert_eq!(plan(observed(accepted, map)), *expected);
}

pub(super) fn observed(accepted: Option<char>, map: MarkerMap) -> PlanInput {
    PlanInput {
        accepted: accepted.map(content),
        map,
        known: None,
        attempted: None,
        remembered: None,
        remembered_rollout: None,
        last_published_name: None,
        reported: None,
        rehearses: false,
        announced: None,
        known_stage: None,
        rollout: None,
        known_held: None,
        retried: None,
        source_known: true,
        verified_again: false,
        now: time(30).timestamp(),
    }
}

pub(super) fn written(observed: PlanInput) -> (Publish, WriteReason) {
    match plan(observed) {
        MarkerPlan::Write { marked: Marked { publish, next: None, .. }, reason, .. } => (publish, reason),
        other => panic!("the plan should be a write, but is {other:?}"),
    }
}

fn write(publish: Publish, at: MapVersion) -> MarkerPlan {
    MarkerPlan::Write { marked: publish.into(), at, reason: WriteReason::ContentChanged }
}

pub(super) fn at_7() -> MapVersion {
    MapVersion::Version("7".to_owned())
}

#[test]
fn the_first_accepted_candidate_is_published_with_or_without_a_map() {
    check(Some(A), MarkerMap::Missing, &write(publish(A, 30), MapVersion::Missing));
    check(Some(A), ours(MarkerEntry::Nothing), &write(publish(A, 30), at_7()));
}

#[test]
fn what_an_earlier_leader_had_announced_and_published_is_adopted_although_the_source_is_not_asked() {
    let found = ours(marker(B, 20));
    let input = PlanInput {
        known: Some(publish(A, 10)),
        announced: Some((publish(B, 20), Rehearsed::Passed)),
        ..observed(None, found)
    };
    assert_eq!(plan(input.clone()), MarkerPlan::Keep(publish(B, 20).into()));
    let announced = Some((publish(B, 21), Rehearsed::Passed));
    assert_eq!(plan(PlanInput { announced, ..input }), MarkerPlan::VerifyAgain);
}

#[test]
fn a_name_that_the_marker_announces_is_no_edit_of_somebody_else() {
    let marked = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
    let reported = |second| PlanInput {
        known: Some(publish(A, 10)),
        reported: Some(time(second)),
        rehearses: true,
        ..observed(Some(B), ours(MarkerEntry::Published(marked)))
    };
    assert_eq!(plan(reported(20)), MarkerPlan::Keep(marked));
    assert_eq!(plan(reported(21)), MarkerPlan::VerifyAgain);
}

#[test]
fn content_that_is_already_published_causes_no_write() {
    check(Some(A), ours(marker(A, 10)), &MarkerPlan::Keep(publish(A, 10).into()));
}

#[test]
fn other_content_is_published_under_a_later_name() {
    check(Some(B), ours(marker(A, 10)), &write(publish(B, 30), at_7()));
}

#[test]
fn a_clock_that_went_back_does_not_publish_under_an_earlier_name() {
    let (publish, _) = written(observed(Some(B), ours(marker(A, 50))));
    assert_eq!(publish.updated_at.to_string(), "2026-11-20T18:40:50.000001Z");
}

#[test]
fn a_marker_that_somebody_else_changed_is_put_back_after_the_source_was_polled_again() {
    let tampered_with = [
        ours(marker(B, 50)),
        ours(marker(A, 30)),
        ours(MarkerEntry::Nothing),
        ours(MarkerEntry::Unreadable),
        MarkerMap::Missing,
    ];
    for map in tampered_with {
        let tampered = PlanInput { known: Some(publish(A, 40)), ..observed(Some(A), map) };
        assert_eq!(plan(tampered.clone()), MarkerPlan::VerifyAgain);
        let (publish, reason) = written(PlanInput { verified_again: true, ..tampered });
        assert_eq!((publish.fingerprint, reason), (content(A), WriteReason::PutBack));
        assert!(publish.updated_at > time(40), "{publish:?}");
    }
}

#[test]
fn a_changed_marker_is_put_back_even_while_the_candidate_is_refused() {
    let known = Some(publish(A, 10));
    let tampered = PlanInput { known, verified_again: true, ..observed(None, ours(marker(B, 20))) };
    assert_eq!(written(tampered).0.fingerprint, content(A));
}

#[test]
fn a_published_marker_stays_when_there_is_no_accepted_candidate() {
    check(None, ours(marker(A, 10)), &MarkerPlan::Keep(publish(A, 10).into()));
    check(None, ours(MarkerEntry::Nothing), &MarkerPlan::Wait);
    check(None, MarkerMap::Missing, &MarkerPlan::Wait);
}

#[test]
fn an_unreadable_marker_is_replaced() {
    check(Some(A), ours(MarkerEntry::Unreadable), &write(publish(A, 30), at_7()));
}

#[test]
fn the_marker_of_a_removed_workspace_of_the_same_name_is_replaced_under_a_later_name() {
    let removed = MarkerEntry::Removed(time(40));
    let (publish, _) = written(observed(Some(A), ours(removed)));
    assert!(publish.updated_at > time(40));
}

#[test]
fn a_foreign_map_is_never_written() {
    let foreign = MarkerMap::Foreign { owner: Some("other/rototo".to_owned()) };
    check(Some(A), foreign, &MarkerPlan::Forbidden { owner: Some("other/rototo".to_owned()) });
}

#[test]
fn an_address_that_changed_is_written_without_a_publish() {
    let map = MarkerMap::Ours { resource_version: "7".to_owned(), addressed: false, marker: marker(A, 10) };
    check(Some(A), map, &MarkerPlan::Readdress { marked: publish(A, 10).into(), at: at_7() });
}

#[test]
fn a_write_whose_answer_was_lost_is_repeated_under_the_same_name() {
    let attempted = |at: &str| Some((publish(B, 40).into(), MapVersion::Version(at.to_owned())));
    let again = PlanInput { attempted: attempted("7"), ..observed(Some(B), ours(marker(A, 10))) };
    assert_eq!(written(again).0, publish(B, 40));
    // The write arrived, and nobody else wrote.
    let happened = PlanInput { attempted: attempted("6"), ..observed(Some(B), ours(marker(B, 40))) };
    assert_eq!(plan(happened), MarkerPlan::Keep(publish(B, 40).into()));
    // The write was overwritten or came too late, so its name is not used again.
    let (later, _) = written(PlanInput { attempted: attempted("6"), ..observed(Some(B), ours(marker(A, 10))) });
    assert!(later.updated_at > time(40));
}

#[test]
fn an_edit_that_was_undone_causes_a_write_under_a_later_name_than_that_of_the_edit() {
    let reported =
        PlanInput { known: Some(publish(B, 10)), reported: Some(time(50)), ..observed(Some(B), ours(marker(B, 10))) };
    assert_eq!(plan(reported.clone()), MarkerPlan::VerifyAgain);
    let (publish, reason) = written(PlanInput { verified_again: true, ..reported });
    assert_eq!((publish.fingerprint, reason), (content(B), WriteReason::PutBack));
    assert!(publish.updated_at > time(50));
}

#[test]
fn the_right_content_under_a_later_name_is_adopted_whoever_wrote_it() {
    let late = |second| PlanInput { known: Some(publish(A, 10)), ..observed(Some(B), ours(marker(B, second))) };
    assert_eq!(plan(late(20)), MarkerPlan::Keep(publish(B, 20).into()));
    assert_eq!(plan(late(10)), MarkerPlan::VerifyAgain, "a name names one publish");
}

#[test]
fn a_report_of_what_is_published_contradicts_nothing() {
    let (known, reported) = (Some(publish(A, 10)), Some(time(10)));
    let reported = PlanInput { known, reported, ..observed(Some(A), ours(marker(A, 10))) };
    assert_eq!(plan(reported), MarkerPlan::Keep(publish(A, 10).into()));
}

#[test]
fn a_reported_name_from_the_far_future_is_ignored() {
    let far: UpdatedAt = "9999-01-01T00:00:00.000000Z".parse().unwrap();
    let verified_again = PlanInput {
        known: Some(publish(B, 10)),
        reported: Some(far),
        verified_again: true,
        ..observed(Some(B), ours(marker(B, 10)))
    };
    assert_eq!(written(verified_again.clone()).0, publish(B, 30));
    let now = time(30).timestamp();
    let first = PlanInput { reported: Some(UpdatedAt::after(None, now + FUTURE)), ..verified_again };
    assert_eq!(written(first).0, publish(B, 30), "the future begins an hour from now");
}

#[test]
fn a_marker_that_was_lost_while_no_operator_watched_is_restored_from_status() {
    for found in [MarkerEntry::Nothing, MarkerEntry::Unreadable] {
        let (remembered, last_published_name) = (Some(publish(A, 20)), Some(time(40)));
        let (publish, reason) = written(PlanInput { remembered, last_published_name, ..observed(None, ours(found)) });
        assert_eq!((publish.fingerprint, reason), (content(A), WriteReason::PutBack));
        assert!(publish.updated_at > time(40));
    }
}

#[test]
fn status_restores_nothing_in_place_of_a_marker_that_is_there_or_was_removed() {
    let remembered = Some(publish(A, 20));
    let there = PlanInput { remembered, ..observed(None, ours(marker(B, 10))) };
    assert_eq!(plan(there), MarkerPlan::Keep(publish(B, 10).into()));
    let removed = PlanInput { remembered, ..observed(None, ours(MarkerEntry::Removed(time(25)))) };
    assert_eq!(plan(removed), MarkerPlan::Wait);
}
