//! Limits the time of each reconcile. Kube runs one reconcile of a workspace at a time, so one that never ended would
//! freeze its workspace. [`watch`] logs and counts a reconcile that takes long, and gives up one that takes too long,
//! to be tried again.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::status::metrics::Metrics;
use crate::workspace_key::WorkspaceKey;

/// The time after which a reconcile is overdue. Three requests without an answer take as long.
const OVERDUE: Duration = Duration::from_secs(30);
/// The time after which a reconcile is given up.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// A reconcile that did not end.
#[derive(Debug, thiserror::Error)]
#[error("the reconcile of {namespace}/{name} did not end within {GIVEN_UP:?}, and was given up")]
pub struct ReconcileTimeout {
    /// The workspace's namespace.
    pub namespace: String,
    /// The workspace's name.
    pub name: String,
}

/// Runs one reconcile of a workspace to its end, or gives it up.
pub(crate) async fn watch<T>(
    key: &WorkspaceKey,
    metrics: &Metrics,
    work: impl Future<Output = T>,
) -> Result<T, ReconcileTimeout> {
    let mut work = pin!(work);
    if let Ok(done) = timeout(OVERDUE, &mut work).await {
        return Ok(done);
    }
    let WorkspaceKey { namespace, name } = key;
    warn!(namespace, name, "a reconcile has taken {OVERDUE:?} so far");
    let _overdue = metrics.reconcile_is_overdue();
    let done = timeout(GIVEN_UP.saturating_sub(OVERDUE), work).await;
    done.map_err(|_| {
        metrics.reconcile_given_up();
        ReconcileTimeout { namespace: namespace.clone(), name: name.clone() }
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;
    use tokio::time::{advance, sleep};

    use super::*;

    fn key() -> WorkspaceKey {
        WorkspaceKey { namespace: "prod".to_owned(), name: "policy".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_hangs_is_counted_and_then_given_up() {
        let metrics = Metrics::default();
        let key = key();
        let mut watched = Box::pin(watch(&key, &metrics, pending::<()>()));
        let mut after = async |seconds| {
            advance(Duration::from_secs(seconds)).await;
            let ended = (&mut watched).now_or_never();
            (metrics.reconciles_overdue(), metrics.reconciles_given_up(), ended)
        };
        assert!(matches!(after(0).await, (0, 0, None)));
        assert!(matches!(after(29).await, (0, 0, None)));
        assert!(matches!(after(2).await, (1, 0, None)));
        let (overdue, given_up, ended) = after(30).await;
        assert_eq!((overdue, given_up), (0, 1));
        let error = ended.unwrap().unwrap_err().to_string();
        assert!(error.contains("prod/policy"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_takes_long_ends_and_is_overdue_no_more() {
        let metrics = Metrics::default();
        let slow = async {
            sleep(Duration::from_secs(45)).await;
            metrics.reconciles_overdue()
        };
        assert_eq!(watch(&key(), &metrics, slow).await.unwrap(), 1);
        assert_eq!((metrics.reconciles_overdue(), metrics.reconciles_given_up()), (0, 0));
    }
}
