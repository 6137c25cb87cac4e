//! What is known while somebody waits, and what to ask for next. Pure: what was seen and the time go in.
//!
//! A claim that is known to be recent comes by one of three ways: the operator answers; the operator handles a request that was
//! made by an annotation; or it writes the status for a reason of its own. The first that works is used.

use std::time::Duration;

use rototo_api::convergence::Convergence;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use tokio::time::Instant;

use super::claim::{as_of, good_for};
use super::freshness::{Freshness, Mark, Marks};
use super::verdict::{Known, Verdict, Wanted, verdict};

/// How a way to a recent claim has turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Untried,
    Open,
    /// Why not.
    Closed(String),
}

/// A question to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// For the workspace as it is.
    Read,
    /// For a reconcile, which dates the status.
    Request,
}

/// What became of a look.
#[derive(Debug)]
pub(crate) enum Looked {
    /// The workspace as it is now, and the request that was made.
    Seen(Box<RototoWorkspace>, Option<String>),
    /// There is no such workspace.
    Missing,
    /// The request may not be made.
    Forbidden(String),
    /// It did not work this time.
    Failed(anyhow::Error),
}

/// All that is known while somebody waits.
#[derive(Debug)]
pub(crate) struct Vigil {
    wanted: Wanted,
    workspace: Option<RototoWorkspace>,
    answer: Option<(Convergence, Instant)>,
    marks: Marks,
    /// When the API server was last asked.
    looked: Instant,
    requested: bool,
    pub(crate) operator: Way,
    pub(crate) requests: Way,
    /// Why the API server said nothing when it was last heard.
    pub(crate) problem: Option<anyhow::Error>,
}

impl Vigil {
    /// Begins before anything is asked.
    pub(crate) fn new(wanted: Wanted, now: Instant) -> Self {
        Self {
            wanted,
            workspace: None,
            answer: None,
            marks: Marks::default(),
            looked: now,
            requested: false,
            operator: Way::Untried,
            requests: Way::Untried,
            problem: None,
        }
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(crate) fn workspace(&self) -> Option<&RototoWorkspace> {
        self.workspace.as_ref()
    }

    pub(crate) fn status(&self) -> Option<&RototoWorkspaceStatus> {
        self.workspace.as_ref()?.status.as_ref()
    }

    /// The watch has shown the workspace. Its first word is as good as that of a look at the beginning.
    pub(crate) fn saw(&mut self, workspace: RototoWorkspace) {
        if self.workspace.is_none() {
            let as_of = workspace.status.as_ref().and_then(as_of);
            self.marks.add(Mark { at: self.looked, as_of, request: None });
        }
        self.take(workspace);
    }

    /// A look that began at `at` is over.
    pub(crate) fn looked(&mut self, at: Instant, looked: Looked) {
        self.looked = at;
        match looked {
            Looked::Seen(workspace, request) => {
                if request.is_some() {
                    (self.requested, self.requests) = (true, Way::Open);
                }
                let as_of = workspace.status.as_ref().and_then(as_of);
                self.take(*workspace);
                self.marks.add(Mark { at, as_of, request });
            }
            Looked::Missing => {}
            Looked::Forbidden(why) => self.requests = Way::Closed(why),
            Looked::Failed(error) => self.problem = Some(error),
        }
    }

    /// The operator has answered a question that was put at `at`, or could not.
    pub(crate) fn answered(&mut self, at: Instant, answer: anyhow::Result<Convergence>) {
        match answer {
            Ok(answer) => (self.answer, self.operator) = (Some((answer, at)), Way::Open),
            Err(why) => (self.answer, self.operator) = (None, Way::Closed(format!("{why:#}"))),
        }
    }

    fn take(&mut self, workspace: RototoWorkspace) {
        self.problem = None;
        // Of a look and the watch, one is behind the other.
        let version = |workspace: &RototoWorkspace| workspace.metadata.resource_version.as_ref()?.parse::<u64>().ok();
        let same = |known: &RototoWorkspace| known.metadata.uid == workspace.metadata.uid;
        let older = self.workspace.as_ref().is_some_and(|known| same(known) && version(&workspace) < version(known));
        if !older {
            self.workspace = Some(workspace);
        }
    }

    /// How it stands; `None` before the workspace was seen.
    pub(crate) fn verdict(&self, now: Instant) -> Option<Verdict> {
        let workspace = self.workspace.as_ref()?;
        let status = workspace.status.as_ref();
        let good_for = self.good_for();
        let answer = self.answer.as_ref().filter(|(_, at)| now.saturating_duration_since(*at) <= good_for);
        let freshness = status.map_or(Freshness::Unknown, |status| self.marks.freshness(status, now));
        let known = Known { workspace, answer: answer.map(|(answer, _)| answer), status: freshness };
        Some(verdict(&known, &self.wanted))
    }

    /// What to ask the API server for next, and when. A request is made only where nothing but the date is missing.
    pub(crate) fn next_look(&self, now: Instant) -> (Instant, Look) {
        let later = self.looked + self.good_for() / 3;
        let unconfirmed = matches!(self.verdict(now), Some(Verdict::Unconfirmed(_)));
        let may_request = self.operator != Way::Untried && !matches!(self.requests, Way::Closed(_));
        match (unconfirmed && may_request, self.requested || self.problem.is_some()) {
            (true, false) => (now, Look::Request),
            (true, true) => (later, Look::Request),
            (false, _) => (later, Look::Read),
        }
    }

    fn good_for(&self) -> Duration {
        good_for(self.status().unwrap_or(&RototoWorkspaceStatus::default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OLD: &str = "2026-11-20T18:40:00Z";
    const NEW: &str = "2026-11-20T18:40:01Z";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A workspace whose fleet has converged on [`COMMIT`], says a status of that time.
    fn workspace(version: u64, as_of: &str, handled: Option<&str>) -> RototoWorkspace {
        let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": OLD});
        let conditions = ["Ready", "Published", "Converged"].map(condition);
        let revision = format!("main@sha1:{COMMIT}");
        serde_json::from_value(json!({
            "metadata": { "name": "degradation", "uid": "1", "generation": 1, "resourceVersion": version.to_string() },
            "spec": { "source": "git+https://git.example.com/acme/config.git" },
            "status": {
                "observedGeneration": 1,
                "conditions": conditions,
                "lastHandledReconcileAt": handled,
                "published": { "fingerprint": "sha256:1", "revision": revision, "updatedAt": "2026-11-20T18:00:00.000000Z" },
                "fleet": { "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of, "claimSeconds": 45 },
            },
        }))
        .unwrap()
    }

    fn answer() -> Convergence {
        serde_json::from_value(json!({
            "as_of": NEW, "uid": "1", "observed_generation": 1, "fingerprint": "sha256:1", "updated_at": null,
            "revisions": [format!("main@sha1:{COMMIT}")], "source_revision": null, "settled": true,
            "status": "True", "reason": "Converged", "message": "", "expected": 1, "processes": 1, "applied": 1
        }))
        .unwrap()
    }

    /// Somebody waits for [`COMMIT`], and has seen the workspace of [`OLD`].
    fn begun() -> (Vigil, Instant) {
        let start = Instant::now();
        let mut vigil = Vigil::new(Wanted::Commit(COMMIT.parse().unwrap()), start);
        vigil.saw(workspace(1, OLD, None));
        (vigil, start)
    }

    fn without_operator() -> (Vigil, Instant) {
        let (mut vigil, start) = begun();
        vigil.answered(start, Err(anyhow::anyhow!("there is no token")));
        (vigil, start)
    }

    fn check(vigil: &Vigil, now: Instant, converged: bool) {
        match vigil.verdict(now) {
            Some(Verdict::Converged(_)) if converged => {}
            Some(Verdict::Unconfirmed(_)) if !converged => {}
            other => panic!("{other:?}"),
        }
    }

    /// History F20, invariant G20.
    #[test]
    fn a_claim_that_stood_before_the_wait_began_is_never_believed() {
        let (mut vigil, start) = without_operator();
        for passed in [0, 15, 60, 600, 86_400] {
            let at = start + seconds(passed);
            check(&vigil, at, false);
            vigil.saw(workspace(1, OLD, None));
            vigil.looked(at, Looked::Seen(Box::new(workspace(1, OLD, None)), None));
            check(&vigil, at, false);
        }
    }

    #[test]
    fn a_status_that_the_operator_has_written_since_is_believed() {
        let (mut vigil, start) = without_operator();
        vigil.saw(workspace(2, NEW, None));
        check(&vigil, start + seconds(1), true);
    }

    #[test]
    fn a_request_that_was_handled_is_believed() {
        let (mut vigil, start) = without_operator();
        vigil.looked(start, Looked::Seen(Box::new(workspace(2, OLD, None)), Some("mine".to_owned())));
        check(&vigil, start, false);
        vigil.saw(workspace(3, OLD, Some("another's")));
        check(&vigil, start + seconds(1), false);
        vigil.saw(workspace(4, OLD, Some("mine")));
        check(&vigil, start + seconds(2), true);
    }

    #[test]
    fn a_claim_that_came_late_is_confirmed_by_the_looks_in_between() {
        let (mut late, start) = without_operator();
        late.saw(workspace(2, NEW, None));
        check(&late, start + seconds(46), false);
        let (mut looked_at, start) = without_operator();
        looked_at.looked(start + seconds(30), Looked::Seen(Box::new(workspace(1, OLD, None)), None));
        looked_at.saw(workspace(2, NEW, None));
        check(&looked_at, start + seconds(46), true);
    }

    #[test]
    fn an_answer_of_the_operator_is_believed_as_long_as_a_claim_is_good() {
        let (mut vigil, start) = begun();
        vigil.answered(start, Ok(answer()));
        check(&vigil, start + seconds(45), true);
        check(&vigil, start + seconds(46), false);
        vigil.answered(start, Err(anyhow::anyhow!("gone")));
        check(&vigil, start, false);
    }

    #[test]
    fn a_request_waits_for_the_first_word_on_the_operator_and_is_repeated_now_and_then() {
        let (mut vigil, start) = begun();
        assert_eq!(vigil.next_look(start), (start + seconds(15), Look::Read));
        vigil.answered(start, Err(anyhow::anyhow!("there is no token")));
        assert_eq!(vigil.next_look(start), (start, Look::Request));
        vigil.looked(start, Looked::Seen(Box::new(workspace(2, OLD, None)), Some("first".to_owned())));
        assert_eq!(vigil.next_look(start), (start + seconds(15), Look::Request));
    }

    #[test]
    fn a_request_that_failed_is_not_repeated_at_once_and_one_that_is_forbidden_never() {
        let (mut vigil, start) = without_operator();
        vigil.looked(start, Looked::Failed(anyhow::anyhow!("no answer")));
        assert_eq!(vigil.next_look(start), (start + seconds(15), Look::Request));
        vigil.looked(start, Looked::Forbidden("grant patch".to_owned()));
        assert_eq!(vigil.next_look(start), (start + seconds(15), Look::Read));
        assert_eq!(vigil.requests, Way::Closed("grant patch".to_owned()));
    }

    #[test]
    fn nothing_is_requested_while_the_fleet_is_on_its_way() {
        let (mut vigil, start) = without_operator();
        let mut moving = workspace(2, NEW, None);
        moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
        vigil.saw(moving);
        assert_eq!(vigil.next_look(start), (start + seconds(15), Look::Read));
    }

    #[test]
    fn a_watch_that_is_behind_a_look_takes_nothing_back() {
        let (mut vigil, start) = without_operator();
        let mut moving = workspace(10, NEW, None);
        moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
        vigil.looked(start, Looked::Seen(Box::new(moving), None));
        vigil.saw(workspace(9, NEW, None));
        assert!(matches!(vigil.verdict(start), Some(Verdict::Pending(_))));
    }
}
