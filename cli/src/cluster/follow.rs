//! Follows a workspace until it has what somebody waits for. An edge: it asks, and [`Vigil`] decides.

use std::pin::pin;

use anyhow::bail;
use futures::StreamExt;
use futures::future::{Fuse, FusedFuture, FutureExt};
use tokio::time::{Instant, sleep_until};

use super::operator::{OperatorOptions, answers};
use super::verdict::{Verdict, Wanted};
use super::vigil::{Looked, Vigil};
use super::{Cluster, WatchProblem};

/// How a wait ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it stood at the end; `None` where nothing was ever seen.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) vigil: Vigil,
}

/// Listens until the verdict is final, or `deadline`. `None` when there is no such workspace.
pub(crate) async fn follow(
    cluster: &Cluster,
    name: &str,
    wanted: Wanted,
    operator: &OperatorOptions,
    deadline: Instant,
) -> anyhow::Result<Option<Ended>> {
    let mut vigil = Vigil::new(wanted, Instant::now());
    let mut changes = pin!(cluster.watch(name));
    let mut answers = pin!(answers(cluster, operator, name));
    let mut looking = pin!(Fuse::terminated());
    loop {
        let (next, look) = vigil.next_look(Instant::now());
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Some(workspace))) => vigil.saw(workspace),
                Some(Ok(None)) => return Ok(None),
                Some(Err(WatchProblem::Passing(error))) => vigil.problem = Some(error),
                Some(Err(WatchProblem::Lasting(error))) => return Err(error),
                None => bail!("the watch of the workspace ended"),
            },
            Some((at, answer)) = answers.next() => vigil.answered(at, answer),
            (at, looked) = &mut looking => match looked {
                Looked::Missing => return Ok(None),
                looked => vigil.looked(at, looked),
            },
            () = sleep_until(next), if looking.is_terminated() && vigil.workspace().is_some() => {
                let at = Instant::now();
                looking.set(cluster.look(name, look).map(move |looked| (at, looked)).fuse());
            }
            () = sleep_until(deadline) => return Ok(Some(Ended { verdict: vigil.verdict(Instant::now()), vigil })),
        }
        let verdict = vigil.verdict(Instant::now());
        if !matches!(verdict, None | Some(Verdict::Pending(_) | Verdict::Unconfirmed(_))) {
            return Ok(Some(Ended { verdict, vigil }));
        }
    }
}
