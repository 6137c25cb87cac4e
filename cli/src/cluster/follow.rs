//! Follows a workspace until the target of a wait is reached. An edge: it sends the requests, and [`WaitState`]
//! decides.

use std::pin::pin;

use anyhow::bail;
use futures::StreamExt;
use futures::future::{Fuse, FusedFuture, FutureExt};
use tokio::time::{Instant, sleep_until};

use crate::cluster::operator::{OperatorOptions, answers};
use crate::cluster::verdict::{WaitTarget, WaitVerdict};
use crate::cluster::wait_state::{QueryResult, WaitState};
use crate::cluster::{NamespaceClient, WatchProblem};

/// A wait that is over.
#[derive(Debug)]
pub(crate) struct FinishedWait {
    /// The last verdict; `None` where the workspace was never seen.
    pub(crate) verdict: Option<WaitVerdict>,
    pub(crate) wait_state: WaitState,
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
                let verdict = wait_state.verdict(Instant::now());
                return Ok(Some(FinishedWait { verdict, wait_state }));
            }
        }
        let verdict = wait_state.verdict(Instant::now());
        if !matches!(verdict, None | Some(WaitVerdict::Pending(_) | WaitVerdict::Unconfirmed(_))) {
            return Ok(Some(FinishedWait { verdict, wait_state }));
        }
    }
}
