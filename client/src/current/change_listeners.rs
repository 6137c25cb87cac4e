//! Notifies the application of each version that is swapped in.
//!
//! Listeners run beside the task that swaps, so no listener holds up a swap, and each gets the newest version rather
//! than every version.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::workspace::Workspace;

/// The stream of workspaces that are swapped in, from
/// [`RefreshingWorkspace::changes`](crate::RefreshingWorkspace::changes).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().display().to_string();
/// # std::fs::write(directory.path().join("rototo-workspace.toml"), "schema_version = 1\n")?;
/// use rototo::{RefreshOptions, RefreshingWorkspace};
///
/// let workspace = RefreshingWorkspace::load(&path, RefreshOptions::new()).await?;
/// let mut changes = workspace.changes();
///
/// # std::fs::write(directory.path().join("rototo-workspace.toml"), "# changed\nschema_version = 1\n")?;
/// workspace.refresh_now().await?;
/// let changed = changes.next().await.ok_or("the workspace is not followed any more")?;
/// assert_eq!(changed.fingerprint(), workspace.current()?.fingerprint());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Changes(watch::Receiver<Option<Arc<Workspace>>>);

impl Changes {
    pub(crate) fn of(swaps: watch::Receiver<Option<Arc<Workspace>>>) -> Self {
        Self(swaps)
    }

    /// Waits for the next workspace that is swapped in, and returns it. If several were swapped in since the last call,
    /// returns only the newest. Returns `None` once the [`RefreshingWorkspace`](crate::RefreshingWorkspace) and its
    /// typed variables are dropped; a workspace that was shut down and is still held has no next version.
    ///
    /// Cancellation safe: dropping the future loses no change.
    pub async fn next(&mut self) -> Option<Arc<Workspace>> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }
}

/// One change, as [`RefreshOptions::on_change`](crate::RefreshOptions::on_change) gives it to a listener.
///
/// ```
/// let options = rototo::RefreshOptions::new().on_change(|change| match &change.before {
///     None => println!("started with {}", change.workspace.fingerprint()),
///     Some(before) => println!("{} of {} changed", change.variables.len(), before.variables().count()),
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The workspace that is resolved from now.
    pub workspace: Arc<Workspace>,
    /// The workspace that the listener got before; `None` at the start.
    pub before: Option<Arc<Workspace>>,
    /// The ids of the variables that may now resolve to something else, in order: variables whose rules, qualifiers, or
    /// values changed, new variables, and removed ones. At the start, all variables.
    pub variables: Vec<String>,
}

/// The longest wait for a listener that still runs at the end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

type Listener = Arc<dyn Fn(&Change) + Send + Sync>;

/// The listeners of the application, in the order in which it added them.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Listener>);

impl Listeners {
    pub(crate) fn add(&mut self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls the listeners with each change until `stop`, or with the newest where changes come faster than listeners
    /// return. Then it waits for the listener that runs, for [`ENDS_WITHIN`] at most: a listener may hang, or may wait
    /// for the end itself.
    pub(crate) async fn listen(self, mut swaps: watch::Receiver<Option<Arc<Workspace>>>, stop: CancellationToken) {
        let mut before = None;
        swaps.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = swaps.changed() => if changed.is_err() { return },
            }
            let Some(workspace) = swaps.borrow_and_update().clone() else { continue };
            let (newest, listeners) = (workspace.clone(), self.0.clone());
            let previous = before.replace(workspace);
            // A listener may block, and may panic. The next change is delivered nevertheless.
            let delivery = tokio::task::spawn_blocking(move || {
                let change = Change::new(newest, previous);
                listeners.iter().for_each(|listener| listener(&change));
            });
            let too_late = async {
                stop.cancelled().await;
                sleep(ENDS_WITHIN).await;
            };
            tokio::select! {
                delivered = delivery => if delivered.is_err() {
                    tracing::error!("a listener to changes of the workspace panicked");
                },
                () = too_late => return tracing::warn!("a listener to changes of the workspace did not return in time"),
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
