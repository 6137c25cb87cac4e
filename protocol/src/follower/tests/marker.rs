//! Following the marker: publishes, edits, removals.

use super::*;

#[test]
fn a_new_process_fetches_what_is_published_and_reports_it_as_applied() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    assert_eq!(process.stands(), "Pending");
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.stands(), "Applied a@1");
    assert!(process.state.is_at_rest());
}

#[test]
fn a_process_waits_for_a_missing_map_or_marker() {
    for absent in ["no map", "no marker"] {
        let mut process = TestProcess::new();
        process.check(hydrated(absent), &[]);
        assert_eq!((process.stands().as_str(), process.state.absence()), ("Starting", Some(&marker(absent))));
        process.check(changed("a@1"), &["fetch a"]);
    }
}

#[test]
fn a_start_that_hangs_is_reported_after_a_second() {
    let mut process = TestProcess::new();
    process.check(hydrated("no marker"), &[]);
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Starting"]);
}

#[test]
fn a_change_is_fetched_with_the_running_content_as_its_base() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    assert_eq!(process.stands(), "Pending a@1");
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_repeated_marker_changes_nothing() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1"), &[]);
    process.check(hydrated("a@1"), &[]);
}

#[test]
fn a_change_and_its_revert_are_three_publishes_and_need_no_fetch_back() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("a@3"), &["cancel", "rename a@3", "report Applied a@3"]);
    process.check(loaded("b"), &[]);
    assert_eq!(process.stands(), "Applied a@3");
}

#[test]
fn a_new_publish_of_the_content_that_is_being_fetched_continues_the_fetch() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("b@3"), &[]);
    process.check(loaded("b"), &["swap b@3", "report Applied b@3"]);
}

#[test]
fn the_fetch_of_a_superseded_publish_is_replaced() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("c@3"), &["fetch c on a"]);
    process.check(loaded("b"), &[]);
    process.check(loaded("c"), &["swap c@3", "report Applied c@3"]);
}

#[test]
fn a_marker_that_the_watch_shows_is_followed_however_old_its_name_is() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@1"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.check(hydrated("b@0"), &["fetch b on a"]);
    process.check(changed("removed@0"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn a_marker_that_was_edited_and_put_back_is_followed_each_time() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@9", "report Applied a@9"]);
    process.check(answered("b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_marker_that_was_edited_and_put_back_during_the_fetch_causes_no_swap() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(changed("b@2"), &["cancel"]);
    process.check(loaded("a"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_workspace_that_is_recreated_under_an_earlier_clock_is_followed() {
    // Of a removal, a missing marker, and b@1, a resumed watch shows only the last.
    let mut process = TestProcess::running("a@5");
    process.check(changed("b@1"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@1", "report Applied b@1"]);
}

#[test]
fn a_process_whose_marker_is_gone_is_orphaned_and_keeps_running_its_content() {
    for gone in ["removed@2", "no marker", "no map"] {
        let mut process = TestProcess::running("a@1");
        process.check(changed(gone), &["report Orphaned a@1"]);
        assert_eq!(process.state.running(), Some(publish("a@1")));
        process.check(answered("a@1"), &[]);
        assert_eq!(process.stands(), "Orphaned a@1", "{gone}: the operator answered before it knew");
    }
}

#[test]
fn a_publish_after_a_removal_is_followed_whatever_its_time() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("no marker"), &["report Orphaned b@2"]);
    process.check(changed("b@1"), &["rename b@1"]);
    process.check(answered("b@1"), &["report Applied b@1"]);
}

#[test]
fn a_removal_cancels_the_fetch_that_is_under_way() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("removed@3"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn an_unreadable_marker_is_refused_and_changes_nothing_else() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    assert_eq!(process.state.running(), Some(publish("a@1")));
    process.check(answered("b@2"), &[]);
    process.check(changed("a@1"), &["report Applied a@1"]);
}

#[test]
fn an_older_publish_after_an_unreadable_marker_is_followed() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    process.check(changed("a@1"), &["fetch a on b"]);
}

#[test]
fn a_marker_that_can_not_be_read_is_the_trouble_of_a_process() {
    let mut process = TestProcess::running("a@1");
    assert_eq!(process.state.trouble(), None);
    process.check_but_reports(changed("b@2"), &["fetch b on a"]);
    process.check_but_reports(failed("operator_unreachable"), &[]);
    assert_eq!(process.state.trouble().map(|fault| fault.code), Some("operator_unreachable"));
    let event = changed("unreadable");
    let (state, _) = step(process.state, event, StepTime { now: process.now, chance: 1.0 });
    assert_eq!(state.trouble().map(|fault| fault.code), Some("marker_version_unknown"));
}
