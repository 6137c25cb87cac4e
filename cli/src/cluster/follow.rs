//! Follows a workspace until the target of a wait is reached. An edge: it sends the requests, and [`WaitState`]
//! decides.

use std::pin::pin;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::StreamExt;
use futures::future::{Fuse, FusedFuture, FutureExt};
use tokio::time::{Instant, sleep_until};

use crate::cluster::NamespaceClient;
use crate::cluster::operator::{OperatorOptions, answers};
use crate::cluster::verdict::{WaitTarget, WaitVerdict};
use crate::cluster::wait_state::{StageGoal, WaitState};

/// A wait that is over.
#[derive(Debug)]
pub(crate) struct FinishedWait {
    /// The last verdict; at the deadline a pending or unconfirmed one.
    pub(crate) verdict: WaitVerdict,
    pub(crate) wait_state: WaitState,
}

impl FinishedWait {
    /// Ends a wait with what is known now.
    ///
    /// # Errors
    ///
    /// Fails if the workspace was never seen: nothing is known of its fleet.
    pub(crate) fn of(mut wait_state: WaitState, now: Instant) -> anyhow::Result<Self> {
        match wait_state.verdict(now) {
            Some(verdict) => Ok(Self { verdict, wait_state }),
            None => {
                let problem = wait_state.take_problem();
                let problem = problem.unwrap_or_else(|| anyhow!("the API server has not answered"));
                Err(problem.context("the workspace could not be read in time"))
            }
        }
    }
}

/// The interval at which somebody wants to know the present state of a wait.
pub(crate) struct Progress<'a> {
    pub(crate) every: Duration,
    pub(crate) report: &'a dyn Fn(&WaitState),
}

/// Follows the workspace until the verdict is final, the rollout of the target has reached `stage`, or `deadline`. Returns
/// `None` when there is no such workspace, and an error if it could not be read until `deadline`.
pub(crate) async fn follow(
    cluster: &NamespaceClient,
    name: &str,
    (target, stage): (WaitTarget, Option<StageGoal>),
    operator: &OperatorOptions,
    deadline: Instant,
    progress: Progress<'_>,
) -> anyhow::Result<Option<FinishedWait>> {
    let mut reported = Instant::now();
    let mut wait_state = WaitState::new(target, Instant::now()).until_stage(stage);
    let mut changes = pin!(cluster.watch(name));
    let mut answers = pin!(answers(cluster, operator, name));
    let mut pending_query = pin!(Fuse::terminated());
    loop {
        let (next, query) = wait_state.next_query(Instant::now());
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Some(workspace))) => wait_state.saw(workspace),
                Some(Ok(None)) => return Ok(None),
                Some(Err(problem)) => wait_state.watch_failed(problem)?,
                None => bail!("the watch of the workspace ended"),
            },
            Some((at, answer)) = answers.next() => wait_state.answered(at, answer),
            (at, queried) = &mut pending_query => wait_state.queried(at, queried),
            () = sleep_until(next), if pending_query.is_terminated() && wait_state.workspace().is_some() => {
                let at = Instant::now();
                pending_query.set(cluster.query(name, query).map(move |queried| (at, queried)).fuse());
            }
            () = sleep_until(reported + progress.every) => {
                reported = Instant::now();
                (progress.report)(&wait_state);
            }
            () = sleep_until(deadline) => {
                return FinishedWait::of(wait_state, Instant::now()).map(Some);
            }
        }
        let now = Instant::now();
        if let Some(verdict) = wait_state.verdict(now).filter(|verdict| wait_state.is_over(verdict, now)) {
            return Ok(Some(FinishedWait { verdict, wait_state }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_wait_reports_its_state_again_and_again_until_it_is_over() {
        // Nobody listens there.
        let cluster = NamespaceClient::at("http://127.0.0.1:1");
        let (reports, operator) = (Cell::new(0), OperatorOptions::default());
        let third = tokio::sync::Notify::new();
        let report = |_: &WaitState| {
            reports.set(reports.get() + 1);
            if reports.get() == 3 {
                third.notify_one();
            }
        };
        let progress = Progress { every: Duration::from_millis(1), report: &report };
        let deadline = Instant::now() + Duration::from_secs(60);
        let followed = follow(&cluster, "policy", (WaitTarget::Newest, None), &operator, deadline, progress);
        tokio::select! {
            ended = followed => panic!("{ended:?}"),
            () = third.notified() => {}
        }
    }
}
