//! Who is told that another version of the workspace was swapped in, and what.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::workspace::Workspace;

/// The workspaces that are swapped in, one after the other.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Option<Arc<Workspace>>>);

impl Changes {
    pub(crate) fn of(swaps: watch::Receiver<Option<Arc<Workspace>>>) -> Self {
        Self(swaps)
    }

    /// The next one; `None` when the workspace is not followed any more.
    pub async fn next(&mut self) -> Option<Arc<Workspace>> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }
}

/// One change, as [`RefreshOptions::on_change`](crate::RefreshOptions::on_change) tells it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// What is resolved from now.
    pub workspace: Arc<Workspace>,
    /// What was resolved from before; `None` at the start.
    pub before: Option<Arc<Workspace>>,
    /// The variables that may now resolve to something else, in order: those whose rules, qualifiers, or values changed,
    /// that are new, or that are gone. At the start, all of them.
    pub variables: Vec<String>,
}

type Listener = Arc<dyn Fn(&Change) + Send + Sync>;

/// Who is told of changes.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Listener>);

impl Listeners {
    pub(crate) fn add(&mut self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells of each change until `stop`, or the newest of them where they come faster than they are listened to. It is
    /// beside the task that swaps, so that no listener holds that up.
    pub(crate) async fn listen(self, mut swaps: watch::Receiver<Option<Arc<Workspace>>>, stop: CancellationToken) {
        let mut before = None;
        swaps.mark_changed();
        loop {
            tokio::select! {
                changed = swaps.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
            let Some(workspace) = swaps.borrow_and_update().clone() else { continue };
            let (newest, listeners) = (workspace.clone(), self.0.clone());
            let previous = before.replace(workspace);
            // A listener may block, and may panic: the next change is told all the same.
            let delivery = tokio::task::spawn_blocking(move || {
                let change = Change::new(newest, previous);
                listeners.iter().for_each(|listener| listener(&change));
            });
            if delivery.await.is_err() {
                tracing::error!("a listener to changes of the workspace panicked");
            }
        }
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

impl Change {
    fn new(workspace: Arc<Workspace>, before: Option<Arc<Workspace>>) -> Self {
        let variables = match &before {
            Some(before) => workspace.changed_since(before),
            None => workspace.variables().map(str::to_owned).collect(),
        };
        Self { workspace, before, variables }
    }
}
