//! The messages of a follower for people: the status, the log, and the remedy for each failure.

use std::time::Duration;

use rototo_api::fleet::ProcessState;
use rototo_api::names;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{FollowerState, ObservedMarker, ReportedState};

use crate::current::not_used;

/// Returns the failure that keeps the process from running the desired publish, with its remedy. Of several failures
/// the one nearest to the cause wins.
pub(crate) fn trouble(state: &FollowerState, namespace: &str, workspace: &str) -> Option<String> {
    let message = |fault: &Fault| fault.message.clone();
    let absent = || match state.running() {
        Some(_) => state.absence().map(|_| orphaned(namespace, workspace)),
        None => state.absence().map(|marker| absence(marker, namespace, workspace)),
    };
    state.trouble().map(message).or_else(absent).or_else(|| state.report_trouble().map(message))
}

fn orphaned(namespace: &str, workspace: &str) -> String {
    let map = names::MARKERS;
    format!(
        "the marker of workspace `{workspace}` is gone from ConfigMap `{map}` in namespace `{namespace}`: \
         was the workspace deleted?"
    )
}

fn absence(marker: &ObservedMarker, namespace: &str, workspace: &str) -> String {
    let map = names::MARKERS;
    match marker {
        ObservedMarker::NoMap => format!(
            "namespace `{namespace}` has no ConfigMap `{map}`: the operator creates it with the first workspace that \
             it publishes there; is RototoWorkspace `{workspace}` applied, and does the operator watch this namespace?"
        ),
        ObservedMarker::NoMarker => format!(
            "ConfigMap `{map}` in namespace `{namespace}` has no marker for workspace `{workspace}`: is that its name, \
             and does `rototo status {workspace} -n {namespace}` say that it is published?"
        ),
        _ => format!("workspace `{workspace}` was removed from namespace `{namespace}`"),
    }
}

/// Returns the fault of a namespace for which neither the marker map nor the application names the operator's address.
pub(crate) fn no_address(namespace: &str) -> Fault {
    let (map, annotation) = (names::MARKERS, names::ANNOTATION_SNAPSHOTS);
    Fault::transient(
        "no_address",
        format!(
            "ConfigMap `{map}` in namespace `{namespace}` does not say where snapshots are served (annotation \
             `{annotation}`); set ROTOTO_SNAPSHOTS_URL to pin the address"
        ),
    )
}

/// Logs what has changed in the reported state.
pub(crate) fn log(source: &str, before: &ReportedState, state: &FollowerState, now: Duration, trouble: Option<&str>) {
    let reported = state.reported(now);
    let own = |reported: &ReportedState| (reported.state, reported.publish, reported.reason);
    if own(&reported) != own(before) {
        log_own(source, &reported, state.running().is_some(), trouble);
    }
    if let Some(fault) = state.trouble_of_next()
        && reported.next != before.next
    {
        let next = reported.next.map(|next| next.publish.fingerprint.short()).unwrap_or_default();
        tracing::warn!(source, next, code = fault.code, "refusing the next version: {}", fault.message);
    }
}

fn log_own(source: &str, reported: &ReportedState, is_loaded: bool, trouble: Option<&str>) {
    let fingerprint = reported.publish.map(|publish| publish.fingerprint.short()).unwrap_or_default();
    match (reported.state, trouble) {
        (ProcessState::Applied, _) => tracing::info!(source, fingerprint, "resolving from this workspace"),
        (ProcessState::Rejected, trouble) => {
            let message = not_used(is_loaded, &trouble.unwrap_or_default());
            tracing::error!(source, fingerprint, code = reported.reason, "{message}");
        }
        (ProcessState::Orphaned | ProcessState::Stale, trouble) => {
            let reason = trouble.unwrap_or("its source was not confirmed in time");
            let state = reported.state;
            tracing::warn!(source, fingerprint, ?state, "running on with the last workspace: {reason}");
        }
        (_, Some(trouble)) => tracing::warn!(source, code = reported.reason, "{trouble}"),
        (_, None) => tracing::debug!(source, fingerprint, state = ?reported.state, "not applied yet"),
    }
}
