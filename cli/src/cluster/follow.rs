//! Follows a workspace until the target of a wait is reached. An edge: it sends the requests, and [`WaitState`]
//! decides.

use std::pin::pin;

use anyhow::bail;
use futures::StreamExt;
use futures::future::{Fuse, FusedFuture, FutureExt};
use tokio::time::{Instant, sleep_until};

use crate::cluster::operator::{OperatorOptions, answers};
use crate::cluster::verdict::{Pending, WaitTarget, WaitVerdict};
use crate::cluster::wait_state::{QueryResult, WaitState};
use crate::cluster::{NamespaceClient, WatchProblem};

/// A wait that is over.
#[derive(Debug)]
pub(crate) struct FinishedWait {
    /// The last verdict; pending at the deadline.
    pub(crate) verdict: WaitVerdict,
    pub(crate) wait_state: WaitState,
}

impl FinishedWait {
    /// Ends a wait with what is known now.
    pub(crate) fn of(wait_state: WaitState, now: Instant) -> Self {
        let unseen = || WaitVerdict::Pending(Pending::Unseen("the API server has not answered".to_owned()));
        Self { verdict: wait_state.verdict(now).unwrap_or_else(unseen), wait_state }
    }
}

/// Follows the workspace until the verdict is final, the rollout of the target has reached `stage`, or `deadline`. Returns `None` when there is no such workspace.
pub(crate) async fn follow(
    cluster: &NamespaceClient,
    name: &str,
    (target, stage): (WaitTarget, Option<u32>),
    operator: &OperatorOptions,
    deadline: Instant,
) -> anyhow::Result<Option<FinishedWait>> {
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
                Some(Err(WatchProblem::Passing(error))) => wait_state.watch_failed(error),
                Some(Err(WatchProblem::Lasting(error))) => return Err(error),
                None => bail!("the watch of the workspace ended"),
            },
            Some((at, answer)) = answers.next() => wait_state.answered(at, answer),
            (at, queried) = &mut pending_query => match queried {
                QueryResult::Missing => return Ok(None),
                queried => wait_state.queried(at, queried),
            },
            () = sleep_until(next), if pending_query.is_terminated() && wait_state.workspace().is_some() => {
                let at = Instant::now();
                pending_query.set(cluster.query(name, query).map(move |queried| (at, queried)).fuse());
            }
            () = sleep_until(deadline) => {
                return Ok(Some(FinishedWait::of(wait_state, Instant::now())));
            }
        }
        match wait_state.verdict(Instant::now()) {
            None | Some(WaitVerdict::Pending(_) | WaitVerdict::Unconfirmed(_)) => {}
            Some(verdict) => return Ok(Some(FinishedWait { verdict, wait_state })),
        }
    }
}
