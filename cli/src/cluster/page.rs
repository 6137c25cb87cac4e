//! Writes the status and history of workspaces as text. Pure: from a status and the time.

use std::fmt::Write;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use rototo_api::condition::{READY, STALE, reason};
use rototo_api::rollout::RolloutStatus;
use rototo_api::workspace::{
    FleetMillis, FleetStatus, HeldStatus, HistoryEntry, RejectedStatus, RototoWorkspace, RototoWorkspaceStatus,
    Straggler,
};
use rototo_page::{NOT_OBSERVED, is_observed};

use crate::cluster::claim::{self, is_ahead};
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::{count, plain};

/// Returns one page for each workspace.
pub(crate) fn status(workspaces: &[RototoWorkspace], now: Timestamp) -> String {
    workspaces.iter().map(|workspace| page(workspace, now)).collect::<Vec<_>>().join("\n")
}

fn page(workspace: &RototoWorkspace, now: Timestamp) -> String {
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let status = workspace.status.clone().unwrap_or_default();
    let mut text = format!("{BOLD}{namespace}/{name}{BOLD:#}  {}\n", readiness(workspace, &status));
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {DIM}{label:<10}{DIM:#} {value}");
    };
    line("source", &plain(&workspace.spec.source));
    source(&status, now, &mut line);
    match &status.published {
        Some(published) => {
            let age = ago(published.updated_at.timestamp(), now);
            let revision = short_revision(published.revision.as_deref());
            line("published", &format!("{}  {revision}  {age}", short_fingerprint(&published.fingerprint)));
        }
        None => line("published", "nothing yet"),
    }
    if let Some(content) = &status.workspace {
        let parts =
            [(content.variables, "variable"), (content.qualifiers, "qualifier"), (content.resources, "resource")];
        let parts = parts.map(|(number, what)| count(number as usize, what));
        line("holds", &parts.join(", "));
    }
    if let Some(fleet) = &status.fleet {
        line("fleet", &fleet_in_words(fleet));
        line("claimed", &claimed(&status, now));
        if let Some(millis) = &fleet.millis {
            line("stages", &stages(millis));
        }
        for straggler in &fleet.behind {
            line("behind", &crate::cluster::page::straggler(straggler));
        }
    }
    if let Some(rejected) = &status.rejected {
        refusal(rejected, &mut line);
    }
    if let Some(rollout) = &status.rollout {
        let (step, revision) = (u64::from(rollout.step) + 1, short_revision(Some(&rollout.revision)));
        let RolloutStatus { steps, next, stable, .. } = rollout;
        line("rollout", &format!("step {step} of {steps}: {next} run {revision}, {stable} what is published"));
    }
    if let Some(held) = &status.held {
        line("held", &held_in_words(held));
    }
    text
}

fn readiness(workspace: &RototoWorkspace, status: &RototoWorkspaceStatus) -> String {
    let stale = if status.is(STALE, "True") { ", stale" } else { "" };
    match status.condition(READY) {
        // It was ready by an older spec.
        Some(ready) if ready.status == "True" && !is_observed(workspace) => {
            format!("{BAD}not ready{BAD:#}{stale}: {NOT_OBSERVED}")
        }
        Some(ready) if ready.status == "True" => format!("{GOOD}ready{GOOD:#}{stale}"),
        Some(ready) => {
            format!("{BAD}not ready{BAD:#}{stale} {DIM}({}){DIM:#} {}", ready.reason, plain(&ready.message))
        }
        None => format!("{BAD}unknown{BAD:#} no operator has reconciled it: does one serve this namespace?"),
    }
}

fn source(status: &RototoWorkspaceStatus, now: Timestamp, line: &mut impl FnMut(&str, &str)) {
    let Some(source) = &status.source else { return };
    let confirmed = source.last_success.as_ref().map_or_else(
        || "never read".to_owned(),
        |time| if source.immutable { "never changes".to_owned() } else { format!("confirmed {}", ago(time.0, now)) },
    );
    line("newest", &format!("{}  {confirmed}", short_revision(source.revision.as_deref())));
    if let Some(error) = &source.last_error {
        let failures = count(source.consecutive_failures as usize, "failure");
        line("", &format!("{BAD}{failures}{BAD:#} since: {}", plain(error)));
    }
}

fn fleet_in_words(fleet: &FleetStatus) -> String {
    let mut text = match fleet.expected {
        Some(expected) => format!("{} of {expected} run it", fleet.applied),
        None => format!("{} of {} that report run it", fleet.applied, fleet.processes),
    };
    let remarks = [
        (fleet.rejected, "refuse it"),
        (fleet.silent, "silent"),
        (fleet.unbound, "bound to no pod"),
        (fleet.unaccounted, "no report since the operator restarted"),
        (fleet.lost, "lost and no longer waited for"),
    ];
    for (number, what) in remarks {
        if number > 0 {
            let _ = write!(text, ", {BAD}{number} {what}{BAD:#}");
        }
    }
    text
}

/// The longest age of the claims of an operator that runs, with some reserve: an idle one dates its status every 10 to 15
/// minutes.
const DATED_WITHIN: SignedDuration = SignedDuration::from_mins(16);

/// Returns the age of the claim by this machine's clock. It is a hint, as the clocks of two machines may differ.
fn claimed(status: &RototoWorkspaceStatus, now: Timestamp) -> String {
    let Some(time) = claim::as_of(status) else {
        return format!("{BAD}at an unknown time{BAD:#}: ask again with `rototo wait`");
    };
    let (age, when) = (now.duration_since(time), ago(time, now));
    if is_ahead(time, now) {
        let wrong = "one of the clocks is wrong; `rototo wait` asks the operator";
        return format!("{BAD}{when}{BAD:#} by this machine's clock: {wrong}");
    }
    if age.is_negative() || age.unsigned_abs() <= claim::good_for(status) {
        return when;
    }
    if age > DATED_WITHIN {
        format!("{BAD}{when}{BAD:#}: ask again with `rototo wait`, or see whether the operator runs")
    } else {
        format!("{when}: ask again with `rototo wait`")
    }
}

/// Returns the times from the commit to each stage of a change, by one clock.
fn stages(millis: &FleetMillis) -> String {
    let stages = [
        ("fetched", Some(millis.fetched)),
        ("linted", Some(millis.linted)),
        ("published", Some(millis.published)),
        ("first", millis.first),
        ("half", millis.p50),
        ("99 %", millis.p99),
        ("all", millis.all),
    ];
    let reached = stages.into_iter().filter_map(|(stage, millis)| Some(format!("{stage} {} ms", millis?)));
    reached.collect::<Vec<_>>().join(" · ")
}

pub(crate) fn straggler(straggler: &Straggler) -> String {
    let reason = straggler.reason.as_ref().map_or_else(String::new, |reason| format!(" ({})", plain(reason)));
    format!("{}: {}{reason}", plain(&straggler.name), plain(&straggler.state))
}

/// Returns `app-7 (missing)`, for a process in a list within a sentence.
fn unprepared(straggler: &Straggler) -> String {
    let reason = straggler.reason.as_ref().map_or_else(String::new, |reason| format!(", {}", plain(reason)));
    format!("{} ({}{reason})", plain(&straggler.name), plain(&straggler.state))
}

fn refusal(rejected: &RejectedStatus, line: &mut impl FnMut(&str, &str)) {
    let revision = short_revision(rejected.revision.as_deref());
    line("refused", &format!("{revision}  {BAD}{}{BAD:#}", faults(rejected)));
    for finding in findings(rejected) {
        line("", &finding);
    }
}

/// Returns a sentence on a revision that is held, with the command that releases it.
pub(crate) fn held_in_words(held: &HeldStatus) -> String {
    let named: Vec<_> = held.processes.iter().map(unprepared).collect();
    let named = named.join(", ");
    let why = match held.reason.as_str() {
        reason::REFUSED_IN_REHEARSAL => format!("is refused by {named} before it is published, and is held"),
        reason::HELD_BACK => {
            let release = plain(&held.release);
            let revision = short_revision(Some(&held.revision));
            return format!("{revision} was rolled back during its rollout, and is held. To try it again: {release}");
        }
        reason::REHEARSAL_INCOMPLETE => format!("is held: these have not prepared it: {named}"),
        _ => format!("would remove {} and is held", count(held.removes as usize, "published variable")),
    };
    format!("{} {why}. To publish it: {}", short_revision(Some(&held.revision)), plain(&held.release))
}

pub(crate) fn faults(rejected: &RejectedStatus) -> String {
    let errors = count(rejected.errors as usize, "error");
    match rejected.warnings {
        0 => errors,
        warnings => format!("{errors}, {}", count(warnings as usize, "warning")),
    }
}

/// Returns the findings of lint, a line each. They hold no values, so they may be shown to anybody.
pub(crate) fn findings(rejected: &RejectedStatus) -> Vec<String> {
    let finding = |finding: &rototo_api::workspace::RejectedDiagnostic| {
        let path = finding.path.as_deref().map_or_else(String::new, plain);
        let place = finding.line.map_or_else(|| path.clone(), |line| format!("{path}:{line}"));
        format!("{place}: {} [{}]", plain(&finding.message), plain(&finding.rule))
    };
    rejected.diagnostics.iter().map(finding).collect()
}

/// Returns the last publishes, the newest first.
pub(crate) fn history(entries: &[HistoryEntry], now: Timestamp) -> String {
    if entries.is_empty() {
        return "nothing has been published yet\n".to_owned();
    }
    let mut text = format!("{DIM}{:<35} {:<9} {:<24} {:<10}{DIM:#}\n", "PUBLISHED", "CONTENT", "REVISION", "CONVERGED");
    for entry in entries {
        let time = entry.updated_at.timestamp();
        let published = format!("{} ({})", time.strftime("%F %TZ"), ago(time, now));
        let converged = entry.converged_millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"));
        let anyway = match (entry.anyway, &entry.by) {
            (true, Some(by)) => format!("  published anyway by a person ({})", plain(by)),
            (true, None) => "  published anyway by a person".to_owned(),
            (false, Some(by)) => format!("  released by a person ({})", plain(by)),
            (false, None) => String::new(),
        };
        let (fingerprint, revision) =
            (short_fingerprint(&entry.fingerprint), short_revision(entry.revision.as_deref()));
        let _ = writeln!(text, "{published:<35} {fingerprint:<9} {revision:<24} {converged}{anyway}");
    }
    text
}

pub(crate) fn short_fingerprint(fingerprint: &str) -> String {
    plain(fingerprint.trim_start_matches("sha256:")).chars().take(8).collect()
}

/// Returns `main@sha1:` and eight digits of the commit.
pub(crate) fn short_revision(revision: Option<&str>) -> String {
    match revision.map(|revision| revision.rsplit_once(':').ok_or(revision)) {
        Some(Ok((start, commit))) => format!("{}:{}", plain(start), plain(commit).chars().take(8).collect::<String>()),
        Some(Err(whole)) => plain(whole),
        None => "no revision".to_owned(),
    }
}

/// Returns `12 s ago`, or `3 h in the future`. The clocks of two machines may differ a little, so a time that is hardly in
/// the future counts as now.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    if is_ahead(time, now) {
        return format!("{} in the future", length(time.duration_since(now)));
    }
    format!("{} ago", length(now.duration_since(time).max(SignedDuration::ZERO)))
}

/// Returns a length of time in one unit.
fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T18:41:00Z".parse().unwrap()
    }

    fn unstyled(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_page_shows_the_publish_the_fleet_and_the_refusal() {
        let workspace: RototoWorkspace = serde_json::from_value(json!({
            "apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspace",
            "metadata": { "namespace": "prod", "name": "degradation" },
            "spec": { "source": "git+https://git.example.com/acme/config.git#main" },
            "status": {
                "conditions": [{ "type": "Ready", "status": "False", "reason": "LintRefused",
                    "message": "see below", "lastTransitionTime": "2026-11-20T18:40:50Z" }],
                "source": { "revision": "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                    "lastSuccess": "2026-11-20T18:40:48Z" },
                "published": { "fingerprint": "sha256:9f2c1a7d00",
                    "revision": "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                        "updatedAt": "2026-11-20T18:38:00.000000Z" },
                "rejected": { "revision": "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                    "time": "2026-11-20T18:40:50Z", "errors": 1, "warnings": 0,
                    "diagnostics": [{ "rule": "rototo/a", "path": "variables/a.toml", "line": 2,
                        "message": "it is wrong" }] },
                "workspace": { "variables": 1, "qualifiers": 3, "resources": 1, "documents": 11 },
                "fleet": { "expected": 3, "processes": 3, "applied": 2, "rejected": 0, "silent": 1,
                    "unbound": 2, "lost": 1, "asOf": "2026-11-20T18:40:58Z", "claimSeconds": 45,
                    "millis": { "fetched": 12, "linted": 15, "published": 31, "first": 40 },
                    "behind": [{ "name": "app-2", "state": "silent" }] }
            }
        }))
        .unwrap();
        let expected = "\
prod/degradation  not ready (LintRefused) see below
  source     git+https://git.example.com/acme/config.git#main
  newest     main@sha1:bbbbbbbb  confirmed 12 s ago
  published  9f2c1a7d  main@sha1:aaaaaaaa  3 min ago
  holds      1 variable, 3 qualifiers, 1 resource
  fleet      2 of 3 run it, 1 silent, 2 bound to no pod, 1 lost and no longer waited for
  claimed    2 s ago
  stages     fetched 12 ms · linted 15 ms · published 31 ms · first 40 ms
  behind     app-2: silent
  refused    main@sha1:bbbbbbbb  1 error
             variables/a.toml:2: it is wrong [rototo/a]
";
        assert_eq!(unstyled(&status(&[workspace], now())), expected);
    }

    #[test]
    fn a_claim_that_is_old_or_from_the_future_is_marked() {
        let check = |as_of: Option<&str>, seconds: u32, expected: &str| {
            let fleet = json!({ "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of,
                "claimSeconds": seconds });
            let status: RototoWorkspaceStatus = serde_json::from_value(json!({ "fleet": fleet })).unwrap();
            assert_eq!(unstyled(&claimed(&status, now())), expected);
        };
        check(Some("2026-11-20T18:40:15Z"), 0, "45 s ago");
        check(Some("2026-11-20T18:40:14Z"), 0, "46 s ago: ask again with `rototo wait`");
        check(Some("2026-11-20T18:40:14Z"), 60, "46 s ago");
        check(Some("2026-11-20T18:41:30Z"), 0, "0 s ago");
        check(Some("2026-11-20T18:42:00Z"), 0, "0 s ago");
        let wrong = "by this machine's clock: one of the clocks is wrong; `rototo wait` asks the operator";
        check(Some("2026-11-20T18:42:01Z"), 600, &format!("61 s in the future {wrong}"));
        check(Some("2026-11-20T21:41:00Z"), 0, &format!("3 h in the future {wrong}"));
        // An idle operator dates its status every 10 to 15 minutes.
        check(Some("2026-11-20T18:26:00Z"), 0, "15 min ago: ask again with `rototo wait`");
        let dead = "ask again with `rototo wait`, or see whether the operator runs";
        check(Some("2026-11-20T18:24:00Z"), 0, &format!("17 min ago: {dead}"));
        check(Some("2026-11-20T15:41:00Z"), 0, &format!("3 h ago: {dead}"));
        check(None, 0, "at an unknown time: ask again with `rototo wait`");
    }

    #[test]
    fn a_spec_that_nobody_has_observed_is_not_ready() {
        let check = |generation: i64, ready: &str, expected: &str| {
            let condition = json!({ "type": "Ready", "status": ready, "reason": "SourceUnavailable", "message": "no host",
                "lastTransitionTime": "2026-11-20T18:40:50Z" });
            let workspace = serde_json::from_value(json!({
                "metadata": { "name": "policy", "generation": generation }, "spec": { "source": "x" },
                "status": { "observedGeneration": 1, "conditions": [condition] },
            }));
            let text = unstyled(&page(&workspace.unwrap(), now()));
            assert_eq!(text.lines().next().unwrap(), format!("/policy  {expected}"));
        };
        check(1, "True", "ready");
        check(2, "True", "not ready: the operator has not observed this spec yet");
        check(2, "False", "not ready (SourceUnavailable) no host");
    }

    #[test]
    fn a_held_revision_says_why_and_names_the_command() {
        let says = |more: serde_json::Value| {
            let mut held = json!({ "revision": "main@sha1:aaaaaaaaaaaa", "fingerprint": "sha256:9f2c",
                "since": "2026-11-20T18:38:00Z", "release": "kubectl annotate" });
            held.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            held_in_words(&serde_json::from_value(held).unwrap())
        };
        let processes = json!([{ "name": "app-7", "state": "refused", "reason": "check_failed" }]);
        assert_eq!(
            says(json!({ "reason": "ShrinkHeld", "removes": 3 })),
            "main@sha1:aaaaaaaa would remove 3 published variables and is held. To publish it: kubectl annotate"
        );
        assert_eq!(
            unstyled(&says(json!({ "reason": "RefusedInRehearsal", "processes": processes }))),
            "main@sha1:aaaaaaaa is refused by app-7 (refused, check_failed) before it is published, and is held. To \
             publish it: kubectl annotate"
        );
        let processes = json!([{ "name": "app-7", "state": "missing" }]);
        assert_eq!(
            unstyled(&says(json!({ "reason": "RehearsalIncomplete", "processes": processes }))),
            "main@sha1:aaaaaaaa is held: these have not prepared it: app-7 (missing). To publish it: kubectl annotate"
        );
    }

    #[test]
    fn history_lists_the_publishes_and_how_long_they_took() {
        let entry = json!({ "fingerprint": "sha256:9f2c1a7d00", "revision": "main@sha1:aaaaaaaaaaaa",
            "updatedAt": "2026-11-20T18:38:00.000000Z", "convergedMillis": 64 });
        let entries: Vec<HistoryEntry> = serde_json::from_value(json!([entry])).unwrap();
        let text = unstyled(&history(&entries, now()));
        assert!(
            text.ends_with("2026-11-20 18:38:00Z (3 min ago)    9f2c1a7d  main@sha1:aaaaaaaa       64 ms\n"),
            "{text}"
        );
    }
}
