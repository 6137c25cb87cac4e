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
