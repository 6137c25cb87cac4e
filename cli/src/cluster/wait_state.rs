//! The state of a wait, and the next query. Pure: observations and the time go in.
//!
//! A recent claim comes by one of three ways: the operator answers; the operator handles a request that was made by an
//! annotation; or it writes the status for a reason of its own. The first that works is used.

use std::time::Duration;

use anyhow::anyhow;
use rototo_api::convergence::Convergence;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use tokio::time::Instant;

use crate::cluster::WatchProblem;
use crate::cluster::claim::{as_of, good_for};
use crate::cluster::freshness::{Freshness, Mark, Marks};
use crate::cluster::verdict::{WaitInput, WaitTarget, WaitVerdict, at_stage, held_by, verdict};

/// The state of one way to a recent claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Untried,
    Open,
    /// The way does not work, with the reason.
    Closed(String),
}

/// A request to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Read the workspace.
    Read,
    /// Request a reconcile, which dates the status.
    Request,
}

/// The result of a query.
#[derive(Debug)]
pub(crate) enum QueryResult {
    /// The current workspace, and the request for a reconcile that was made.
    Seen(Box<RototoWorkspace>, Option<String>),
    /// There is no such workspace.
    Missing,
    /// The request for a reconcile is not allowed, with the reason.
    Forbidden(String),
    /// The query failed.
    Failed(anyhow::Error),
}

/// The step of a rollout that ends a wait, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageGoal {
    /// The rollout has reached this step.
    Reached(u32),
    /// The rollout has reached this step and may be promoted there: no person holds it. Or it has gone past the step.
    Promotable(u32),
}

impl StageGoal {
    fn step(self) -> u32 {
        match self {
            Self::Reached(step) | Self::Promotable(step) => step,
        }
    }
}

/// The observations of a wait.
#[derive(Debug)]
pub(crate) struct WaitState {
    target: WaitTarget,
    /// The step of a rollout that is enough.
    stage: Option<StageGoal>,
    workspace: Option<RototoWorkspace>,
    answer: Option<(Convergence, Instant)>,
    marks: Marks,
    began: Instant,
    /// The time of the last query.
    queried: Instant,
    requested: bool,
    operator: Channel,
    requests: Channel,
    /// The error of the last query or watch event; `None` once the workspace was seen again.
    problem: Option<anyhow::Error>,
}

impl WaitState {
    /// Begins a wait, before any observation.
    pub(crate) fn new(target: WaitTarget, now: Instant) -> Self {
        Self {
            target,
            stage: None,
            workspace: None,
            answer: None,
            marks: Marks::default(),
            began: now,
            queried: now,
            requested: false,
            operator: Channel::Untried,
            requests: Channel::Untried,
            problem: None,
        }
    }

    /// Waits until the rollout of the target has reached this step, or is over.
    pub(crate) fn until_stage(self, stage: Option<StageGoal>) -> Self {
        Self { stage, ..self }
    }

    pub(crate) fn target(&self) -> &WaitTarget {
        &self.target
    }

    pub(crate) fn workspace(&self) -> Option<&RototoWorkspace> {
        self.workspace.as_ref()
    }

    pub(crate) fn status(&self) -> Option<&RototoWorkspaceStatus> {
        self.workspace.as_ref()?.status.as_ref()
    }

    /// Returns the state of the operator's own answers.
    pub(crate) fn operator(&self) -> &Channel {
        &self.operator
    }

    /// Returns the state of requests for a reconcile.
    pub(crate) fn requests(&self) -> &Channel {
        &self.requests
    }

    /// Returns whether no way leads to a recent status: the operator can't be asked, and a reconcile can't be
    /// requested.
    pub(crate) fn asks_nobody(&self) -> bool {
        matches!(self.requests, Channel::Closed(_)) && self.operator != Channel::Open
    }

    /// Returns whether the wait is over with this verdict. A refusal that nobody can confirm counts once a claim of this
    /// fleet would no longer be good: an operator that works would have taken it back by then.
    pub(crate) fn is_over(&self, verdict: &WaitVerdict, now: Instant) -> bool {
        let refuses = matches!(verdict, WaitVerdict::Refused(..) | WaitVerdict::Held(..));
        verdict.is_final() || refuses && self.asks_nobody() && now >= self.began + self.good_for()
    }

    /// Returns the error of the last query or watch event.
    pub(crate) fn problem(&self) -> Option<&anyhow::Error> {
        self.problem.as_ref()
    }

    /// Records that the watch failed, and is tried again.
    ///
    /// # Errors
    ///
    /// Returns an error that will last. Once the workspace was seen, none counts as lasting: an API server that starts
    /// again denies for a while what it has granted before, and knows no custom resources.
    pub(crate) fn watch_failed(&mut self, problem: WatchProblem) -> anyhow::Result<()> {
        match problem {
            WatchProblem::Lasting(error) if self.workspace.is_none() => Err(error),
            WatchProblem::Lasting(error) | WatchProblem::Passing(error) => {
                self.problem = Some(error);
                Ok(())
            }
        }
    }

    /// Records an event of the watch. The first one replaces a query at the beginning.
    pub(crate) fn saw(&mut self, workspace: RototoWorkspace) {
        if self.workspace.is_none() {
            let as_of = workspace.status.as_ref().and_then(as_of);
            self.marks.add(Mark { at: self.queried, as_of, request: None });
        }
        self.take(workspace);
    }

    /// Records the result of a query that began at `at`.
    pub(crate) fn queried(&mut self, at: Instant, queried: QueryResult) {
        self.queried = at;
        match queried {
            QueryResult::Seen(workspace, request) => {
                if request.is_some() {
                    (self.requested, self.requests) = (true, Channel::Open);
                }
                let as_of = workspace.status.as_ref().and_then(as_of);
                self.take(*workspace);
                self.marks.add(Mark { at, as_of, request });
            }
            // The watch says it, too, if the workspace is gone. An API server that starts again does not know it yet.
            QueryResult::Missing => self.problem = Some(anyhow!("the API server says that there is no such workspace")),
            QueryResult::Forbidden(why) if self.requests == Channel::Open => self.problem = Some(anyhow!(why)),
            QueryResult::Forbidden(why) => self.requests = Channel::Closed(why),
            QueryResult::Failed(error) => self.problem = Some(error),
        }
    }

    /// Records the operator's answer to a request that was sent at `at`, or its failure.
    pub(crate) fn answered(&mut self, at: Instant, answer: anyhow::Result<Convergence>) {
        match answer {
            Ok(answer) => (self.answer, self.operator) = (Some((answer, at)), Channel::Open),
            Err(why) => (self.answer, self.operator) = (None, Channel::Closed(format!("{why:#}"))),
        }
    }

    fn take(&mut self, workspace: RototoWorkspace) {
        self.problem = None;
        // Of a query and the watch, one may be behind the other.
        let version = |workspace: &RototoWorkspace| workspace.metadata.resource_version.as_ref()?.parse::<u64>().ok();
        let same = |known: &RototoWorkspace| known.metadata.uid == workspace.metadata.uid;
        let older = self.workspace.as_ref().is_some_and(|known| same(known) && version(&workspace) < version(known));
        if !older {
            self.workspace = Some(workspace);
        }
    }

    /// Returns the verdict; `None` before the workspace was seen.
    pub(crate) fn verdict(&self, now: Instant) -> Option<WaitVerdict> {
        let workspace = self.workspace.as_ref()?;
        let status = workspace.status.as_ref();
        let good_for = self.good_for();
        let answer = self.answer.as_ref().filter(|(_, at)| now.saturating_duration_since(*at) <= good_for);
        let freshness = status.map_or(Freshness::Unknown, |status| self.marks.freshness(status, now));
        let denied = matches!(self.requests, Channel::Closed(_));
        let known = WaitInput {
            workspace,
            answer: answer.map(|(answer, _)| answer),
            status: freshness,
            answer_is_last: denied && answer.is_some_and(|(_, at)| *at > self.queried),
        };
        let verdict = verdict(&known, &self.target);
        let stage = self.stage.filter(|_| matches!(verdict, WaitVerdict::Pending(_)));
        let staged = stage.and_then(|stage| self.staged(workspace, stage, freshness));
        Some(staged.unwrap_or(verdict))
    }

    /// Returns the verdict on a rollout of the target that has reached this step.
    fn staged(&self, workspace: &RototoWorkspace, stage: StageGoal, freshness: Freshness) -> Option<WaitVerdict> {
        let rollout = at_stage(workspace, &self.target, stage.step())?;
        let waits = stage == StageGoal::Promotable(rollout.step) && held_by(workspace, &rollout).is_some();
        (!waits).then_some(WaitVerdict::Staged(rollout, freshness))
    }

    /// Returns the next query to the API server, and its time. A reconcile is requested only if the target is reached, at
    /// its step, refused, or held according to a status that may be old.
    pub(crate) fn next_query(&self, now: Instant) -> (Instant, Query) {
        let later = self.queried + self.good_for() / 3;
        let unconfirmed = self.verdict(now).is_some_and(|verdict| verdict.is_unconfirmed());
        let may_request = self.operator != Channel::Untried && !matches!(self.requests, Channel::Closed(_));
        match (unconfirmed && may_request, self.requested || self.problem.is_some()) {
            (true, false) => (now, Query::Request),
            (true, true) => (later, Query::Request),
            (false, _) => (later, Query::Read),
        }
    }

    /// Returns the time for which a claim about this fleet is good.
    pub(crate) fn good_for(&self) -> Duration {
        good_for(self.status().unwrap_or(&RototoWorkspaceStatus::default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::verdict::Pending;

    const NEXT: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const OTHER: &str = "main@sha1:cccccccccccccccccccccccccccccccccccccccc";
    const ANNOUNCED: &str = "2026-11-20T18:39:00.000000Z";

    /// Makes a workspace by a status of [`NEW`], whose source is at `newest`, and which rolls out `revision`.
    fn rolls_out(step: u32, revision: &str, newest: &str) -> RototoWorkspace {
        let mut workspace = workspace(2, NEW, None);
        let rollout = json!({ "revision": revision, "revisions": [revision], "announcedAs": ANNOUNCED, "step": step,
            "steps": 4, "since": OLD, "next": "1/1", "stable": "2/2", "promote": "", "abort": "" });
        let status = workspace.status.as_mut().unwrap();
        status.rollout = serde_json::from_value(rollout).unwrap();
        status.source = serde_json::from_value(json!({ "revision": newest })).unwrap();
        for condition in status.conditions.iter_mut().filter(|condition| condition.type_ != "Published") {
            (condition.status, condition.message) = ("False".to_owned(), "step 2 of 4".to_owned());
        }
        workspace
    }

    /// Returns a wait for a stage that has seen a workspace of [`OLD`], and then these.
    fn until(stage: Option<StageGoal>, target: WaitTarget, seen: Vec<RototoWorkspace>) -> WaitState {
        let start = Instant::now();
        let mut wait = WaitState::new(target, start).until_stage(stage);
        wait.saw(workspace(1, OLD, None));
        wait.answered(start, Err(anyhow!("there is no token")));
        for workspace in seen {
            wait.saw(workspace);
        }
        wait
    }

    fn verdict_of(wait: &WaitState) -> WaitVerdict {
        wait.verdict(wait.began).unwrap()
    }

    #[test]
    fn a_wait_for_a_step_ends_once_the_rollout_of_its_target_has_reached_it() {
        let verdict = |step: Option<u32>, workspace: RototoWorkspace| {
            let target = WaitTarget::Revision(NEXT.parse().unwrap());
            verdict_of(&until(step.map(StageGoal::Reached), target, vec![workspace]))
        };
        let reached = verdict(Some(1), rolls_out(1, NEXT, NEXT));
        assert!(matches!(reached, WaitVerdict::Staged(rollout, Freshness::Fresh) if rollout.step == 1));
        assert!(verdict(Some(1), rolls_out(2, NEXT, NEXT)).is_final());
        let mut followed = rolls_out(1, OTHER, OTHER);
        let rollout = followed.status.as_mut().unwrap().rollout.as_mut().unwrap();
        rollout.revisions.push(NEXT.to_owned());
        assert!(verdict(Some(1), followed).is_final(), "a commit with the same content follows");
        for pending in [
            verdict(Some(2), rolls_out(1, NEXT, NEXT)),
            verdict(None, rolls_out(3, NEXT, NEXT)),
            verdict(Some(1), rolls_out(1, OTHER, OTHER)),
        ] {
            assert!(matches!(pending, WaitVerdict::Pending(_)), "{pending:?}");
        }
    }

    /// The operator is dead, and the spec may name another source and other steps since.
    #[test]
    fn a_step_of_a_status_that_is_old_or_of_another_spec_ends_no_wait() {
        for target in [WaitTarget::Revision(NEXT.parse().unwrap()), WaitTarget::Newest] {
            let mut old = rolls_out(1, NEXT, NEXT);
            old.status.as_mut().unwrap().fleet.as_mut().unwrap().as_of = serde_json::from_value(json!(OLD)).unwrap();
            let wait = until(Some(StageGoal::Reached(1)), target.clone(), vec![old]);
            let verdict = verdict_of(&wait);
            assert!(matches!(verdict, WaitVerdict::Staged(_, Freshness::Unknown)), "{verdict:?}");
            assert!(!wait.is_over(&verdict, wait.began + seconds(600)));
            assert_eq!(wait.next_query(wait.began), (wait.began, Query::Request));

            let mut other_spec = rolls_out(1, NEXT, NEXT);
            other_spec.metadata.generation = Some(2);
            let verdict = verdict_of(&until(Some(StageGoal::Reached(1)), target, vec![other_spec]));
            assert!(matches!(verdict, WaitVerdict::Pending(_)), "{verdict:?}");
        }
    }

    #[test]
    fn a_wait_for_a_step_of_the_newest_ends_with_no_rollout_of_an_older_commit() {
        let verdict = |workspace| {
            let stage = Some(StageGoal::Reached(1));
            verdict_of(&until(stage, WaitTarget::Newest, vec![workspace]))
        };
        assert!(verdict(rolls_out(1, NEXT, NEXT)).is_final());
        assert!(!verdict(rolls_out(1, NEXT, OTHER)).is_final(), "another commit waits");
        // A source without commits has a name for each content.
        let archive = |newest: &str| {
            let mut workspace = rolls_out(1, "sha256:2", NEXT);
            let source = json!({ "fingerprint": newest });
            workspace.status.as_mut().unwrap().source = serde_json::from_value(source).unwrap();
            workspace
        };
        assert!(verdict(archive("sha256:2")).is_final());
        assert!(!verdict(archive("sha256:3")).is_final());
    }

    #[test]
    fn a_rollout_that_a_person_holds_is_not_promoted_at_its_step() {
        let verdict = |step, workspace| {
            let target = WaitTarget::Revision(NEXT.parse().unwrap());
            verdict_of(&until(Some(StageGoal::Promotable(step)), target, vec![workspace]))
        };
        let requested = |request: &str, state: &str| {
            let mut workspace = rolls_out(1, NEXT, NEXT);
            let request = json!({ "request": request, "by": "alice", "state": state });
            workspace.status.as_mut().unwrap().request = serde_json::from_value(request).unwrap();
            workspace
        };
        let annotated = |value: &str| {
            let mut workspace = rolls_out(1, NEXT, NEXT);
            let annotations = [("rototo.dev/rollout".to_owned(), value.to_owned())];
            workspace.metadata.annotations = Some(annotations.into());
            workspace
        };
        let held = |by: &str| {
            let says = format!("step 2 of 4; a person ({by}) holds it");
            WaitVerdict::Pending(Pending::Unpublished(says))
        };
        let hold = format!("hold bbbbbbbb of={ANNOUNCED}");
        assert_eq!(verdict(1, requested(&hold, "InForce")), held("alice"));
        assert_eq!(verdict(1, annotated(&hold)), held("unverified"), "the operator has not seen it yet");
        for free in [
            verdict(1, rolls_out(1, NEXT, NEXT)),
            verdict(1, requested(&hold, "Refused")),
            verdict(1, requested(&format!("promote bbbbbbbb of={ANNOUNCED}"), "InForce")),
            verdict(1, annotated("hold bbbbbbbb of=2026-11-20T18:38:00.000000Z")),
            // Somebody has promoted it, so nobody needs to.
            verdict(0, requested(&hold, "InForce")),
        ] {
            assert!(free.is_final(), "{free:?}");
        }
    }

    const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OLD: &str = "2026-11-20T18:40:00Z";
    const NEW: &str = "2026-11-20T18:40:01Z";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Makes a workspace whose fleet has converged on [`COMMIT`], by a status of that time.
    fn workspace(version: u64, as_of: &str, handled: Option<&str>) -> RototoWorkspace {
        let condition = |type_: &str| {
            json!({"type": type_, "status": "True", "reason": "Test", "message": "",
            "lastTransitionTime": OLD})
        };
        let conditions = ["Ready", "Published", "Converged"].map(condition);
        let revision = format!("main@sha1:{COMMIT}");
        serde_json::from_value(json!({
            "metadata": { "name": "degradation", "uid": "1", "generation": 1, "resourceVersion": version.to_string() },
            "spec": { "source": "git+https://git.example.com/acme/config.git" },
            "status": {
                "observedGeneration": 1,
                "conditions": conditions,
                "lastHandledReconcileAt": handled,
                "published": { "fingerprint": "sha256:1", "revision": revision,
                    "updatedAt": "2026-11-20T18:00:00.000000Z" },
                "fleet": { "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of,
                    "claimSeconds": 45 },
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

    /// Begins a wait for [`COMMIT`] that has seen the workspace of [`OLD`].
    fn begun() -> (WaitState, Instant) {
        let start = Instant::now();
        let mut wait_state = WaitState::new(WaitTarget::Commit(COMMIT.parse().unwrap()), start);
        wait_state.saw(workspace(1, OLD, None));
        (wait_state, start)
    }

    fn without_operator() -> (WaitState, Instant) {
        let (mut wait_state, start) = begun();
        wait_state.answered(start, Err(anyhow::anyhow!("there is no token")));
        (wait_state, start)
    }

    fn check(wait_state: &WaitState, now: Instant, converged: bool) {
        match wait_state.verdict(now) {
            Some(WaitVerdict::Converged(_)) if converged => {}
            Some(WaitVerdict::Unconfirmed(_)) if !converged => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_from_before_the_wait_is_never_confirmed() {
        let (mut wait_state, start) = without_operator();
        for passed in [0, 15, 60, 600, 86_400] {
            let at = start + seconds(passed);
            check(&wait_state, at, false);
            wait_state.saw(workspace(1, OLD, None));
            wait_state.queried(at, QueryResult::Seen(Box::new(workspace(1, OLD, None)), None));
            check(&wait_state, at, false);
        }
    }

    #[test]
    fn a_status_written_since_the_wait_began_confirms_the_claim() {
        let (mut wait_state, start) = without_operator();
        wait_state.saw(workspace(2, NEW, None));
        check(&wait_state, start + seconds(1), true);
    }

    #[test]
    fn a_handled_request_confirms_the_claim() {
        let (mut wait_state, start) = without_operator();
        wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("mine".to_owned())));
        check(&wait_state, start, false);
        wait_state.saw(workspace(3, OLD, Some("another's")));
        check(&wait_state, start + seconds(1), false);
        wait_state.saw(workspace(4, OLD, Some("mine")));
        check(&wait_state, start + seconds(2), true);
    }

    #[test]
    fn a_claim_that_came_late_is_confirmed_by_the_queries_in_between() {
        let (mut late, start) = without_operator();
        late.saw(workspace(2, NEW, None));
        check(&late, start + seconds(46), false);
        let (mut state, start) = without_operator();
        state.queried(start + seconds(30), QueryResult::Seen(Box::new(workspace(1, OLD, None)), None));
        state.saw(workspace(2, NEW, None));
        check(&state, start + seconds(46), true);
    }

    #[test]
    fn an_answer_of_the_operator_confirms_for_the_validity_of_a_claim() {
        let (mut wait_state, start) = begun();
        wait_state.answered(start, Ok(answer()));
        check(&wait_state, start + seconds(45), true);
        check(&wait_state, start + seconds(46), false);
        wait_state.answered(start, Err(anyhow::anyhow!("gone")));
        check(&wait_state, start, false);
    }

    #[test]
    fn a_request_waits_for_the_operators_first_answer_and_is_repeated_at_intervals() {
        let (mut wait_state, start) = begun();
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
        wait_state.answered(start, Err(anyhow::anyhow!("there is no token")));
        assert_eq!(wait_state.next_query(start), (start, Query::Request));
        wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("first".to_owned())));
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
    }

    #[test]
    fn a_request_that_failed_is_not_repeated_at_once_and_one_that_is_forbidden_never() {
        let (mut wait_state, start) = without_operator();
        wait_state.queried(start, QueryResult::Failed(anyhow::anyhow!("no answer")));
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
        wait_state.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
        assert_eq!(wait_state.requests, Channel::Closed("grant patch".to_owned()));
    }

    #[test]
    fn a_denial_is_final_only_before_the_workspace_was_seen() {
        let denied = || WatchProblem::Lasting(anyhow!("log in again"));
        let mut unseen = WaitState::new(WaitTarget::Newest, Instant::now());
        assert!(unseen.watch_failed(WatchProblem::Passing(anyhow!("no route"))).is_ok());
        assert_eq!(unseen.watch_failed(denied()).unwrap_err().to_string(), "log in again");
        let (mut seen, start) = begun();
        seen.watch_failed(denied()).unwrap();
        assert_eq!(seen.problem().unwrap().to_string(), "log in again");
        seen.saw(workspace(2, NEW, None));
        assert!(seen.problem().is_none());
        seen.queried(start, QueryResult::Missing);
        assert!(seen.problem().unwrap().to_string().contains("no such workspace"));
    }

    #[test]
    fn a_request_that_was_allowed_before_is_made_again_after_a_denial() {
        let (mut wait_state, start) = without_operator();
        wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("mine".to_owned())));
        wait_state.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
        assert_eq!(
            (wait_state.requests(), wait_state.problem().unwrap().to_string().as_str()),
            (&Channel::Open, "grant patch")
        );
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
    }

    /// Makes a workspace whose newest revision, [`COMMIT`], is held.
    fn held(version: u64, as_of: &str, handled: Option<&str>) -> RototoWorkspace {
        let mut workspace = workspace(version, as_of, handled);
        let status = workspace.status.as_mut().unwrap();
        let held = json!({ "revision": format!("main@sha1:{COMMIT}"), "fingerprint": "sha256:2", "reason": "ShrinkHeld",
            "removes": 3, "since": OLD, "release": "kubectl annotate" });
        status.held = serde_json::from_value(held).unwrap();
        status.published = None;
        workspace
    }

    #[test]
    fn a_target_that_was_held_before_the_wait_is_asked_about() {
        let start = Instant::now();
        let wait = || {
            let mut wait = WaitState::new(WaitTarget::Commit(COMMIT.parse().unwrap()), start);
            wait.saw(held(1, OLD, None));
            wait.answered(start, Err(anyhow!("there is no token")));
            wait
        };
        let is_final = |wait: &WaitState| wait.verdict(start).unwrap().is_final();
        let mut released = wait();
        assert!(!is_final(&released), "somebody may have released it just before");
        assert_eq!(released.next_query(start), (start, Query::Request));
        let requested = |workspace| QueryResult::Seen(Box::new(workspace), Some("mine".to_owned()));
        released.queried(start, requested(held(2, OLD, None)));
        assert!(!is_final(&released) && !released.asks_nobody());
        released.saw(workspace(3, OLD, Some("mine")));
        assert!(matches!(released.verdict(start), Some(WaitVerdict::Converged(_))));

        let mut still_held = wait();
        still_held.queried(start, requested(held(2, OLD, None)));
        still_held.saw(held(3, OLD, Some("mine")));
        assert!(matches!(still_held.verdict(start), Some(WaitVerdict::Held(_, Freshness::Fresh))));

        let mut denied = wait();
        denied.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
        assert!(!is_final(&denied) && denied.asks_nobody());
        let is_over = |wait: &WaitState, second| {
            let now = start + seconds(second);
            wait.is_over(&wait.verdict(now).unwrap(), now)
        };
        assert_eq!([44, 45].map(|second| is_over(&denied, second)), [false, true]);
        assert!(!is_over(&wait(), 45), "a reconcile can be requested");
    }

    #[test]
    fn the_operator_confirms_that_a_target_is_held_only_in_an_answer_after_the_denial() {
        let (start, mut wait) = (Instant::now(), WaitState::new(WaitTarget::Newest, Instant::now()));
        let answer = || {
            let mut answer = answer();
            (answer.source_revision, answer.revisions) = (Some(format!("main@sha1:{COMMIT}")), Vec::new());
            answer
        };
        let mut workspace = held(1, OLD, None);
        workspace.status.as_mut().unwrap().fleet = None;
        wait.saw(workspace);
        let is_final = |wait: &WaitState| wait.verdict(start + seconds(2)).unwrap().is_final();
        wait.answered(start, Ok(answer()));
        assert!(!is_final(&wait));
        wait.queried(start + seconds(1), QueryResult::Forbidden("grant patch".to_owned()));
        assert!(!is_final(&wait), "it may be from the moment before the release");
        wait.answered(start + seconds(2), Ok(answer()));
        assert!(is_final(&wait));
    }

    #[test]
    fn nothing_is_requested_while_the_fleet_is_on_its_way() {
        let (mut wait_state, start) = without_operator();
        let mut moving = workspace(2, NEW, None);
        moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
        wait_state.saw(moving);
        assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
    }

    #[test]
    fn a_watch_event_older_than_a_query_is_ignored() {
        let (mut wait_state, start) = without_operator();
        let mut moving = workspace(10, NEW, None);
        moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
        wait_state.queried(start, QueryResult::Seen(Box::new(moving), None));
        wait_state.saw(workspace(9, NEW, None));
        assert!(matches!(wait_state.verdict(start), Some(WaitVerdict::Pending(_))));
    }
}
