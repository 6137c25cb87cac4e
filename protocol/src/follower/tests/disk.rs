//! Starts from the disk cache.

use super::*;

fn starting_with_a_disk() -> TestProcess {
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Starting"]);
    process.check(FollowerEvent::ReportFailed(Fault::transient("no_address", "")), &[]);
    process.now = Duration::from_secs(3);
    process.check(FollowerEvent::Timer, &["recall", "report Starting"]);
    process
}

#[test]
fn a_start_at_which_nobody_answers_uses_the_disk_cache_and_is_stale() {
    let mut process = starting_with_a_disk();
    process.check(FollowerEvent::Recalled(publish("a@1")), &["swap a@1"]);
    assert!(process.state.is_stale(process.now));
    assert_eq!(process.stands(), "Stale a@1");
    process.check(hydrated("a@1"), &[]);
    process.check(answered("a@1"), &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert!(!process.state.is_stale(process.now));
    process.check(changed("b@2"), &["fetch b on a"]);
}

#[test]
fn a_start_from_the_disk_is_stale_until_the_operator_answers() {
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(FollowerEvent::Loaded(fingerprint("a"), ContentSource::Disk), &["swap a@1", "report Applied a@1"]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    let unreachable = || FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "no route"));
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    process.wait(0.5);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied);
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied, "a confirmation lasts for `staleAfter`");
}

#[test]
fn content_from_the_disk_stays_stale_until_the_marker_was_seen_whatever_the_operator_answers() {
    for shown in ["a@1", "b@2"] {
        let mut process = starting_with_a_disk();
        process.check(FollowerEvent::Recalled(publish("a@1")), &["swap a@1"]);
        process.check(answered(shown), &["report Stale a@1"]);
        process.check(answered(shown), &[]);
        assert!(process.state.is_stale(process.now));
        process.check(hydrated("a@1"), &["report Applied a@1"]);
        process.check(answered("a@1"), &[]);
        assert!(!process.state.is_stale(process.now));
    }
}

#[test]
fn the_disk_cache_replaces_nothing_once_a_marker_was_seen() {
    let mut process = starting_with_a_disk();
    process.check(hydrated("b@2"), &["fetch b"]);
    process.check(FollowerEvent::Recalled(publish("a@1")), &[]);
    assert_eq!(process.state.running(), None);
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.check(hydrated("no marker"), &[]);
    process.now = Duration::from_secs(9);
    process.check(FollowerEvent::Timer, &["report Starting"]);
}

#[test]
fn content_from_the_disk_makes_nothing_stale_that_was_confirmed() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(FollowerEvent::Loaded(fingerprint("b"), ContentSource::Disk), &["swap b@2", "report Applied b@2"]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied);
}
