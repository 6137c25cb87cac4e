//! A workspace that keeps itself current, whatever its source.

pub(crate) mod follow_guard;
pub(crate) mod options;
pub(crate) mod typed;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rototo_engine::{Facts, ResolveOptions};
use rototo_protocol::backoff::Backoff;
use rototo_source::{Reader, Source};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::current::Current;
use crate::current::change_listeners::Changes;
use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::current::status::RefreshStatus;
use crate::environment::from_environment;
use crate::error::{Error, Result};
use crate::reading::options::LoadOptions;
use crate::reading::polling::{self, PollConfig};
use crate::reading::{self, LoadRequirements};
use crate::refreshing::follow_guard::FollowGuard;
use crate::refreshing::options::RefreshOptions;
use crate::refreshing::typed::Typed;
use crate::workspace::{QualifierResolution, VariableResolution, Workspace};

/// The environment variable that says where the workspace is.
pub const WORKSPACE_SOURCE: &str = "ROTOTO_WORKSPACE_SOURCE";

/// A workspace that keeps itself current: `kubernetes://` by following what the operator publishes, a git source or a
/// directory by looking at it now and then.
///
/// What was loaded last goes on to be used through every failure. All methods but [`shutdown`](Self::shutdown) and
/// [`refresh_now`](Self::refresh_now) answer from memory.
///
/// ```no_run
/// # async fn serve() -> rototo::Result<()> {
/// use rototo::{RefreshingWorkspace, ResolveContext};
///
/// let workspace = RefreshingWorkspace::from_env()?;
/// workspace.until_ready().await?;
///
/// // One view for one request, however many variables it resolves.
/// let view = workspace.current()?;
/// let context = ResolveContext::from_json(serde_json::json!({"account": {"id": "acct-001"}}))?;
/// let limit = view.resolve("account-limit", &context)?;
/// println!("{} = {}", limit.value_key, limit.value);
/// # Ok(())
/// # }
/// ```
pub struct RefreshingWorkspace {
    current: Arc<Current>,
    source: String,
    options: RefreshOptions,
    refresh_requests: mpsc::Sender<RefreshRequest>,
    guard: Arc<FollowGuard>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl RefreshingWorkspace {
    /// Begins to follow the source that `ROTOTO_WORKSPACE_SOURCE` names, with the token in `ROTOTO_WORKSPACE_TOKEN` if
    /// there is one. A git source or a directory is looked at every 30 seconds, and a directory also whenever its files
    /// change.
    ///
    /// # Errors
    /// When the variable is not set, or is no source. That nothing is loaded yet is no error: see
    /// [`until_ready`](Self::until_ready).
    pub fn from_env() -> Result<Self> {
        Self::from_env_with_options(RefreshOptions::from_env())
    }

    /// Begins to follow the source that `ROTOTO_WORKSPACE_SOURCE` names, as `options` say.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_env_with_options(options: RefreshOptions) -> Result<Self> {
        let source = from_environment(WORKSPACE_SOURCE).ok_or(Error::NoSource(WORKSPACE_SOURCE))?;
        Self::start(source, LoadOptions::from_env(), options)
    }

    /// Loads a workspace and keeps it current.
    ///
    /// # Errors
    /// When it can't be loaded, or not in [`RefreshOptions::start_timeout`].
    pub async fn load(source: impl AsRef<str>, refresh: RefreshOptions) -> Result<Self> {
        Self::load_with_options(source, LoadOptions::default(), refresh).await
    }

    /// Loads a workspace as `load` says, and keeps it current.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_with_options(
        source: impl AsRef<str>,
        load: LoadOptions,
        refresh: RefreshOptions,
    ) -> Result<Self> {
        let workspace = Self::start(source, load, refresh)?;
        if matches!(workspace.source.parse(), Ok(Source::Kubernetes { .. })) {
            workspace.until_ready().await?;
        } else {
            // What is wrong with files is known at once.
            workspace.refresh_now().await?;
        }
        Ok(workspace)
    }

    /// Begins to follow a source, and waits for nothing. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// When `source` is none that this build can follow.
    pub fn start(source: impl AsRef<str>, load: LoadOptions, options: RefreshOptions) -> Result<Self> {
        let source: Source = source.as_ref().parse()?;
        let name = source.to_string();
        let current = Arc::new(Current::new(name.clone()));
        let (refresh_requests, requested) = mpsc::channel(8);
        let guard = Arc::new(FollowGuard::default());
        let task = follow(source, load, &options, current.clone(), requested, &guard)?;
        if !options.listeners().is_empty() {
            tokio::spawn(options.listeners().clone().listen(current.swaps(), guard.stopped()));
        }
        Ok(Self { current, source: name, options, refresh_requests, guard, task: Mutex::new(Some(task)) })
    }

    /// A workspace that stays as it is: for tests of code that takes a `RefreshingWorkspace`, without a source or cluster.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// use rototo::{RefreshingWorkspace, Workspace};
    ///
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// let workspace = RefreshingWorkspace::fixed(Workspace::load(directory).await?);
    /// assert!(workspace.ready());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fixed(workspace: Workspace) -> Self {
        let source = workspace.source().to_owned();
        let current = Arc::new(Current::fixed(workspace));
        // Nobody listens to what is asked.
        let (refresh_requests, _) = mpsc::channel(1);
        let (guard, task) = (Arc::default(), Mutex::new(None));
        Self { current, source, options: RefreshOptions::new(), refresh_requests, guard, task }
    }

    /// Whether a workspace is loaded: what a readiness probe asks. Once it is, it stays so until it is
    /// [shut down](Self::shutdown).
    #[must_use]
    pub fn ready(&self) -> bool {
        self.current.is_loaded()
    }

    /// Waits until a workspace is loaded.
    ///
    /// # Errors
    /// When that takes longer than [`RefreshOptions::start_timeout`]; the error names the map, grant, or file that is
    /// missing. Following goes on. When it was shut down.
    pub async fn until_ready(&self) -> Result<()> {
        let after = self.options.start_timeout();
        let mut swaps = self.current.swaps();
        let loaded = timeout(after, swaps.wait_for(Option::is_some)).await;
        match loaded {
            _ if self.current.is_closed() => Err(Error::ShutDown(self.source.clone())),
            Ok(_) => Ok(()),
            Err(_) => {
                let RefreshStatus { source: source_name, last_error, .. } = self.current.status();
                let reason = last_error.unwrap_or_else(|| "it is still being loaded".to_owned());
                Err(Error::StartTimedOut { source_name, after, reason })
            }
        }
    }

    /// The workspace as it is now: a view that stays the same for as long as it is held.
    ///
    /// # Errors
    /// When none is loaded yet, or it was shut down.
    pub fn current(&self) -> Result<Arc<Workspace>> {
        self.current.workspace()
    }

    /// A variable with its type, whose values are deserialized once per version of the workspace. It need not exist yet.
    /// The workspace is followed for as long as the variable is held, too.
    #[must_use]
    pub fn variable<T: DeserializeOwned + Send + Sync + 'static>(&self, id: impl Into<String>) -> Typed<T> {
        Typed::new(self.current.clone(), self.guard.clone(), id.into())
    }

    /// Each workspace that is swapped in from now on; a slow reader sees only the newest.
    ///
    /// ```no_run
    /// # async fn example(workspace: rototo::RefreshingWorkspace) {
    /// let mut changes = workspace.changes();
    /// while let Some(workspace) = changes.next().await {
    ///     println!("now resolving from {}", workspace.fingerprint());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::of(self.current.swaps())
    }

    /// How far it is. Never waits.
    #[must_use]
    pub fn status(&self) -> RefreshStatus {
        let mut status = self.current.status();
        let unconfirmed = status.last_success.map(|time| Timestamp::now().duration_since(time).unsigned_abs());
        if let (Some(max), Some(unconfirmed)) = (self.options.max_staleness(), unconfirmed) {
            status.stale |= unconfirmed > max;
        }
        status
    }

    /// Looks at the source now, and waits until what it has is loaded.
    ///
    /// # Errors
    /// When that fails. What was loaded before goes on to be used.
    pub async fn refresh_now(&self) -> Result<RefreshOutcome> {
        if self.refresh_requests.is_closed() && self.status().immutable && !self.guard.is_stopped() {
            return Ok(RefreshOutcome::Immutable);
        }
        let (done, outcome) = oneshot::channel();
        let shut_down = || Error::ShutDown(self.source.clone());
        self.refresh_requests.send(RefreshRequest { done }).await.map_err(|_| shut_down())?;
        match timeout(self.options.start_timeout(), outcome).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(self.refresh_failed())),
            Err(_) => Err(self.refresh_failed()),
        }
    }

    fn refresh_failed(&self) -> Error {
        let RefreshStatus { source: source_name, last_error, .. } = self.current.status();
        Error::RefreshFailed { source_name, reason: last_error.unwrap_or_else(|| "it takes too long".to_owned()) }
    }

    /// Resolves a variable from the current workspace. For several in one request, hold [`current`](Self::current).
    pub async fn resolve_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<VariableResolution> {
        self.current()?.resolve_variable(id, context).await
    }

    /// Resolves a variable from the current workspace, as `options` say.
    pub async fn resolve_variable_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableResolution> {
        self.current()?.resolve_variable_with_options(id, context, options).await
    }

    /// Decides a qualifier from the current workspace.
    pub async fn resolve_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<QualifierResolution> {
        self.current()?.resolve_qualifier(id, context).await
    }

    /// Decides a qualifier from the current workspace, as `options` say.
    pub async fn resolve_qualifier_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierResolution> {
        self.current()?.resolve_qualifier_with_options(id, context, options).await
    }

    /// How it is kept current.
    #[must_use]
    pub fn refresh_options(&self) -> &RefreshOptions {
        &self.options
    }

    /// Ends it for good: nothing can be resolved from it any more, and the operator hears that it need not wait for this
    /// process, or for the other handles only where there are some. Takes two seconds at most.
    ///
    /// Call it when the last request is answered. From then on, [`current`](Self::current), whatever resolves, and its
    /// typed variables fail with [`Error::ShutDown`]. A view that [`current`](Self::current) gave before stays as it is, for
    /// as long as the application holds it.
    pub async fn shutdown(&self) {
        self.guard.stop();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It ends by itself; whether it did so in a panic makes no difference any more.
            let _ = task.await;
        }
        // Where no task has done so by itself.
        self.current.close();
        #[cfg(feature = "kubernetes")]
        self.guard.registration().leave();
    }
}

impl std::fmt::Debug for RefreshingWorkspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshingWorkspace")
            .field("source", &self.source)
            .field("current", &self.current().ok())
            .finish()
    }
}

/// Starts the one task that keeps a workspace current.
fn follow(
    source: Source,
    load: LoadOptions,
    options: &RefreshOptions,
    current: Arc<Current>,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    guard: &FollowGuard,
) -> Result<JoinHandle<()>> {
    let source = match source {
        Source::Kubernetes { namespace, workspace } => {
            return follow_marker(namespace, workspace, load, options, current, refresh_requests, guard);
        }
        source => source,
    };
    // Who looks only when asked is not rung for either.
    let directory = match &source {
        Source::Local(directory) if options.period().is_some() => Some(directory.clone()),
        _ => None,
    };
    let plan = PollConfig {
        reader: Reader::new(load.reader().clone())?,
        access: reading::access(source, load.auth())?,
        directory,
        requirements: LoadRequirements { lint: load.lint(), checks: options.checks().clone() },
        period: options.period(),
        backoff: Backoff { first: options.min_failure_backoff(), cap: options.max_failure_backoff() },
    };
    Ok(tokio::spawn(polling::poll(plan, current, refresh_requests, guard.stopped())))
}

#[cfg(feature = "kubernetes")]
fn follow_marker(
    namespace: Option<String>,
    workspace: String,
    load: LoadOptions,
    options: &RefreshOptions,
    current: Arc<Current>,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    guard: &FollowGuard,
) -> Result<JoinHandle<()>> {
    let direct = options.direct_source().map(|source| direct(&source, &load)).transpose()?;
    let target = crate::kubernetes::FollowTarget {
        cluster: options.cluster().clone(),
        namespace,
        workspace,
        source: current.status().source,
        endpoint_overrides: options.endpoint_overrides(),
        token_file: options.token_file(),
        cache_dir: options.cache_dir(),
        stale_after: options.max_staleness(),
        checks: options.checks().clone(),
        direct: direct.map(Arc::new),
        registration: guard.registration().clone(),
    };
    Ok(tokio::spawn(crate::kubernetes::follow(target, current, refresh_requests, guard.stopped())))
}

/// The other way to a workspace of the cluster.
#[cfg(feature = "kubernetes")]
fn direct(source: &str, load: &LoadOptions) -> Result<crate::kubernetes::Direct> {
    let source = reading::with_files(source.parse()?)?;
    let (reader, access) = (Reader::new(load.reader().clone())?, reading::access(source, load.auth())?);
    Ok(crate::kubernetes::Direct::new(reader, access))
}

#[cfg(not(feature = "kubernetes"))]
fn follow_marker(
    _namespace: Option<String>,
    _workspace: String,
    _load: LoadOptions,
    _options: &RefreshOptions,
    current: Arc<Current>,
    _asked: mpsc::Receiver<RefreshRequest>,
    _held: &FollowGuard,
) -> Result<JoinHandle<()>> {
    Err(Error::FeatureMissing(current.status().source))
}
