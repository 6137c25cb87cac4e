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

    /// Takes the error of the last query or watch event.
    pub(crate) fn take_problem(&mut self) -> Option<anyhow::Error> {
        self.problem.take()
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
mod tests;
