//! Writes the rollout of a workspace as text. Pure: from the object.

use std::fmt::Write;

use kube::ResourceExt;
use rototo_api::analysis::AnalysisStatus;
use rototo_api::rollout::{RequestState, RequestStatus, RolloutStatus, RolloutStep};
use rototo_api::workspace::RototoWorkspace;

use crate::cluster::page::{held_in_words, short_revision};
use crate::terminal::style::{BOLD, DIM, GOOD};
use crate::terminal::wording::plain;

/// Returns the steps of the rollout, with a mark at the present one, and the counts of both parts of the fleet.
pub(crate) fn rollout(workspace: &RototoWorkspace) -> String {
    let status = workspace.status.clone().unwrap_or_default();
    let name = workspace.name_any();
    let steps = workspace.spec.rollout.as_ref().map(|rollout| rollout.steps.as_slice()).unwrap_or_default();
    let request = status.request.as_ref().map_or_else(String::new, refused_in_words);
    let Some(rollout) = &status.rollout else {
        let held = status.held.as_ref().map_or_else(String::new, |held| format!("{}\n", held_in_words(held)));
        return format!("no rollout is under way\n{held}{request}");
    };
    let RolloutStatus { revision, step, next, stable, analysis, queued, .. } = rollout;
    let mut text = format!("{BOLD}{name}{BOLD:#} rolls out {}\n", short_revision(Some(revision)));
    for (index, one) in (0..).zip(steps) {
        let mark = match u32::cmp(&index, step) {
            std::cmp::Ordering::Less => format!("{GOOD}done{GOOD:#}"),
            std::cmp::Ordering::Equal => format!("{BOLD}now {BOLD:#}"),
            std::cmp::Ordering::Greater => format!("{DIM}    {DIM:#}"),
        };
        let _ = writeln!(text, "  {mark}  {}", step_in_words(one));
    }
    for one in analysis {
        let _ = writeln!(text, "  analysis {}", analysis_in_words(one));
    }
    let _ = writeln!(text, "  {next} processes run the new revision, {stable} what is published");
    if let Some(queued) = queued {
        let _ = writeln!(text, "  {} waits for the end of this rollout", short_revision(Some(queued)));
    }
    text.push_str(&request);
    let _ = writeln!(text, "  `rototo promote {name} --step` goes on, `rototo abort {name}` rolls it back");
    text
}

/// Returns a line about a request that has no effect.
fn refused_in_words(request: &RequestStatus) -> String {
    let RequestStatus { request, by, state, reason } = request;
    if *state != RequestState::Refused {
        return String::new();
    }
    let reason = reason.as_deref().unwrap_or("the operator names no reason");
    format!("  the request `{}` ({}) is refused: {}\n", plain(request), plain(by), plain(reason))
}

fn analysis_in_words(analysis: &AnalysisStatus) -> String {
    let AnalysisStatus { name, phase, successful, failed, inconclusive, last } = analysis;
    let last = last.as_ref().map_or_else(String::new, |last| format!("; the last: {}", plain(last)));
    let (name, phase) = (plain(name), plain(&phase.to_lowercase()));
    format!("{name} is {phase}: {successful} successful, {failed} failed, {inconclusive} inconclusive{last}")
}

fn step_in_words(step: &RolloutStep) -> String {
    match step {
        RolloutStep { pods: Some(1), .. } => "1 pod".to_owned(),
        RolloutStep { pods: Some(pods), .. } => format!("{pods} pods"),
        RolloutStep { set_weight: Some(weight), .. } => format!("{weight} % of the pods"),
        RolloutStep { pause, .. } => match pause.as_ref().and_then(|pause| pause.duration) {
            Some(duration) => format!("pause for {duration}"),
            None => "pause until it is promoted".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unstyled(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn workspace(status: serde_json::Value) -> RototoWorkspace {
        let steps = json!([{ "pods": 1 }, { "pause": { "duration": "2m" } }, { "setWeight": 50 }, { "pause": {} }]);
        serde_json::from_value(json!({
            "apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspace", "metadata": { "name": "checkout" },
            "spec": { "source": "git+https://git.example.com/a.git", "rollout": { "steps": steps } },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_rollout_shows_its_steps_and_both_parts_of_the_fleet() {
        let rolling = workspace(json!({ "rollout": {
            "revision": "main@sha1:4d123d613b6bc220", "step": 2, "steps": 4, "since": "2026-11-20T18:40:00Z",
            "next": "1/2", "stable": "2/2", "promote": "", "abort": "",
            "analysis": [{ "name": "errors", "phase": "Running", "inconclusive": 1, "last": "no\nseries" }],
        } }));
        assert_eq!(
            unstyled(&rollout(&rolling)),
            "checkout rolls out main@sha1:4d123d61\n\
             \u{20} done  1 pod\n\
             \u{20} done  pause for 120s\n\
             \u{20} now   50 % of the pods\n\
             \u{20}       pause until it is promoted\n\
             \u{20} analysis errors is running: 0 successful, 0 failed, 1 inconclusive; the last: no\u{fffd}series\n\
             \u{20} 1/2 processes run the new revision, 2/2 what is published\n\
             \u{20} `rototo promote checkout --step` goes on, `rototo abort checkout` rolls it back\n"
        );
    }

    #[test]
    fn a_refused_request_and_a_queued_revision_are_shown() {
        let request = |state: &str| json!({ "request": "hold 4d123d6 of=1", "by": "unverified", "state": state, "reason": "no rollout is under way" });
        let refused = unstyled(&rollout(&workspace(json!({ "request": request("Refused") }))));
        let line = "  the request `hold 4d123d6 of=1` (unverified) is refused: no rollout is under way\n";
        assert_eq!(refused, format!("no rollout is under way\n{line}"));
        assert_eq!(unstyled(&rollout(&workspace(json!({ "request": request("Over") })))), "no rollout is under way\n");
        let rolling = workspace(json!({ "rollout": {
            "revision": "main@sha1:4d123d613b6bc220", "queued": "main@sha1:5e234e72", "step": 2, "steps": 4,
            "since": "2026-11-20T18:40:00Z", "next": "1/2", "stable": "2/2", "promote": "", "abort": "",
        } }));
        let text = unstyled(&rollout(&rolling));
        assert!(text.contains("\n  main@sha1:5e234e72 waits for the end of this rollout\n"), "{text}");
    }

    #[test]
    fn without_a_rollout_there_is_what_is_held() {
        assert_eq!(unstyled(&rollout(&workspace(json!({})))), "no rollout is under way\n");
        let held = workspace(json!({ "held": {
            "revision": "main@sha1:4d123d613b6bc220", "fingerprint": "sha256:00", "reason": "HeldBack",
            "since": "2026-11-20T18:40:00Z", "release": "kubectl annotate",
        } }));
        assert!(unstyled(&rollout(&held)).contains("was rolled back during its rollout"), "{}", rollout(&held));
    }
}
