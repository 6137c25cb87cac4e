//! Statuses of sources that can't be read, or that a changed spec names.

use super::*;

#[test]
fn an_unreachable_source_changes_nothing_else_until_it_is_stale() {
    let mut case = StatusCase::new();
    case.error = Some(("unreachable", true));
    assert_eq!(case.conditions()[..2], ["Ready=True/Converged", "SourceReady=False/SourceUnavailable"]);
    case.verified_ago = Some(Duration::from_secs(301));
    let conditions = case.conditions();
    assert_eq!(conditions[0], "Ready=False/SourceNotConfirmed");
    assert_eq!(conditions.last().unwrap(), "Stale=True/SourceNotConfirmed");
}

#[test]
fn a_restart_during_an_outage_does_not_make_it_younger() {
    let mut case = StatusCase::new();
    case.previous.source.as_mut().unwrap().last_success = Some(Time("2026-11-20T18:30:00Z".parse().unwrap()));
    (case.candidate, case.verified_ago, case.error) = (None, None, Some(("unreachable", true)));
    assert_eq!(case.conditions()[0], "Ready=False/SourceNotConfirmed");
}

#[test]
fn a_spec_that_is_not_read_is_not_observed() {
    let mut case = StatusCase::new();
    case.current = false;
    // The operator has just started.
    assert_eq!(case.status().observed_generation, Some(1));
    let refused = serde_json::json!([{ "type": "Stalled", "status": "True", "reason": "SourceRefused", "message": "",
        "lastTransitionTime": "2026-11-20T18:40:00Z" }]);
    let conditions = std::mem::replace(&mut case.previous.conditions, serde_json::from_value(refused).unwrap());
    assert_eq!(case.status().observed_generation, None, "the process before had seen it refused");
    case.previous.conditions = conditions;
    // The source was refused, which stalls, and then it timed out.
    case.error = Some(("unreachable", true));
    assert_eq!(case.status().observed_generation, None);
    case.previous.observed_generation = Some(0);
    assert_eq!(case.status().observed_generation, Some(0));
}

/// The earlier operator process read a full commit, which the spec no longer names.
#[test]
fn a_spec_that_is_not_read_grows_old_after_a_restart_too() {
    let mut case = StatusCase::new();
    case.previous.source.as_mut().unwrap().immutable = true;
    (case.candidate, case.verified_ago, case.error) = (None, None, Some(("unreachable", true)));
    case.unread_for = Some(Duration::from_secs(301));
    assert_eq!(case.conditions()[0], "Ready=True/Converged");
    case.current = false;
    assert_eq!(case.conditions()[..2], ["Ready=False/SourceNotConfirmed", "Reconciling=True/Polling"]);
    let reconciling = case.status().condition("Reconciling").unwrap().message.clone();
    assert_eq!(reconciling, "the spec has changed, and was not read since: unreachable");
}

#[test]
fn a_source_that_needs_a_new_spec_stalls() {
    let mut case = StatusCase::new();
    case.error = Some(("refused", false));
    let conditions = case.conditions();
    assert_eq!(conditions[0], "Ready=False/SourceRefused");
    assert!(conditions.contains(&"Stalled=True/SourceRefused".to_owned()));
}

/// Returns the Events of the change to what `change` makes of the case, and then takes it for the last known status.
fn events_after(case: &mut StatusCase, change: impl Fn(&mut StatusCase)) -> Vec<String> {
    change(case);
    let next = case.status();
    let events = events(&case.previous, &next).into_iter();
    let events = events.map(|event| format!("{:?} {}: {}", event.severity, event.reason, event.message)).collect();
    case.previous = next;
    events
}

/// A process that has just started knows the object alone.
fn restart(case: &mut StatusCase) {
    (case.candidate, case.error, case.fault, case.verified_ago) = (None, None, None, None);
    case.current = false;
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_source_that_fails_is_one_event_and_its_return_another() {
    for (fault, transient) in [
        (reason::SIGNATURE_INVALID, false),
        (reason::SOURCE_REFUSED, false),
        (reason::SECRET_FORBIDDEN, true),
        (reason::LIMIT_REACHED, true),
    ] {
        let mut case = StatusCase::new();
        let fail =
            |case: &mut StatusCase| (case.error, case.fault) = (Some(("it\u{202e} is so", transient)), Some(fault));
        assert_eq!(events_after(&mut case, fail), [format!("Warning {fault}: it\\u{{202e}} is so")]);
        assert_eq!(events_after(&mut case, fail), NOTHING, "{fault}");
        assert_eq!(events_after(&mut case, restart), NOTHING, "{fault}");
        let failed = case.previous.condition("SourceReady").unwrap();
        assert_eq!((failed.status.as_str(), failed.reason.as_str()), ("False", fault), "nobody has read it since");
        let failing = case.previous.clone();
        case.previous.observed_generation = Some(0);
        assert!(
            case.conditions().contains(&"SourceReady=Unknown/NotPolled".to_owned()),
            "the failure is that of another spec"
        );
        case.previous = failing;
        let known = StatusCase::new();
        let read = |case: &mut StatusCase| {
            (case.error, case.fault, case.verified_ago, case.current) = (None, None, known.verified_ago, true);
            case.candidate = known.candidate.clone();
        };
        assert_eq!(events_after(&mut case, fail), NOTHING, "{fault}");
        let revision = format!("main@sha1:{}", "a".repeat(40));
        let recovered = format!("Normal Recovered: the source can be read again: the source is at {revision}");
        assert_eq!(events_after(&mut case, read), [recovered], "{fault}");
        assert_eq!(events_after(&mut case, read), NOTHING, "{fault}");
    }
}

#[test]
fn a_host_that_is_away_is_no_event_before_the_content_is_stale() {
    let mut case = StatusCase::new();
    let away = |case: &mut StatusCase| case.error = Some(("unreachable", true));
    assert_eq!(events_after(&mut case, away), NOTHING);
    let stale = |case: &mut StatusCase| {
        case.verified_ago = Some(Duration::from_secs(301));
        case.previous.source.as_mut().unwrap().last_success = Some(Time("2026-11-20T18:30:00Z".parse().unwrap()));
    };
    let expected = "Warning SourceNotConfirmed: the source could not be confirmed for more than 300s: unreachable";
    assert_eq!(events_after(&mut case, stale), [expected]);
    assert_eq!(events_after(&mut case, stale), NOTHING);
    let restarted = |case: &mut StatusCase| {
        stale(case);
        restart(case);
    };
    assert_eq!(events_after(&mut case, restarted), NOTHING);
    restarted(&mut case);
    (case.published, case.marker_is_known) = (None, false);
    assert!(case.status().is("Stale", "True"), "the marker is not read yet: {:?}", case.conditions());
    case = StatusCase { previous: case.previous, ..StatusCase::new() };
    let revision = format!("main@sha1:{}", "a".repeat(40));
    let recovered = format!("Normal Recovered: the source is confirmed again: the source is at {revision}");
    assert_eq!(events_after(&mut case, |_| {}), [recovered]);
    assert_eq!(events_after(&mut case, away), NOTHING);
    assert_eq!(events_after(&mut case, |case| case.error = None), NOTHING, "nothing was said of the failure");
}
