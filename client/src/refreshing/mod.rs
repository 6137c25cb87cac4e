//! The workspace that applications hold, and that keeps itself current from any kind of source.
//!
//! [`RefreshingWorkspace::start`] is the one place where tasks start: a poller or a follower, and the delivery to
//! listeners. All of them end with [`FollowGuard`].

pub(crate) mod follow_guard;
pub(crate) mod health;
pub(crate) mod options;
mod start;
pub(crate) mod typed;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture, Shared, join, ready};
use rototo_engine::{Facts, ResolveOptions};
use rototo_source::Source;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::current::Current;
use crate::current::change_listeners::Changes;
use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::current::status::RefreshStatus;
use crate::environment::from_environment;
use crate::error::{Error, Result, require_runtime};
use crate::reading::options::LoadOptions;
use crate::refreshing::follow_guard::FollowGuard;
use crate::refreshing::health::Health;
use crate::refreshing::options::RefreshOptions;
use crate::refreshing::typed::Typed;
use crate::workspace::{QualifierResolution, VariableResolution, Workspace};

/// The environment variable that names the source of the workspace.
pub const WORKSPACE_SOURCE: &str = "ROTOTO_WORKSPACE_SOURCE";

/// A workspace that keeps itself current: `kubernetes://` by following the operator's publishes, a git source or a
/// directory by polling it.
///
/// The workspace that was swapped in last stays in use through every failure.
///
/// All methods take `&self`, and any number of threads and tasks may call them: put it into an [`Arc`], or share a
/// reference. [`current`](Self::current), [`status`](Self::status), [`ready`](Self::ready), and the methods that
/// resolve read memory. [`load`](Self::load), [`until_ready`](Self::until_ready), [`refresh_now`](Self::refresh_now),
/// and [`shutdown`](Self::shutdown) wait.
///
/// Following runs in a task on the Tokio runtime on which the workspace was started, and ends with that runtime. The
/// workspace stays in use then, and nothing confirms it any more: see [`is_stale`](Self::is_stale). Dropping the
/// workspace and all its typed variables ends it too; [`shutdown`](Self::shutdown) also waits for the last report.
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
    /// Completes when the tasks that keep the workspace current and call the listeners have ended. Every shutdown waits
    /// for it.
    ended: Shared<BoxFuture<'static, ()>>,
}

impl RefreshingWorkspace {
    /// Begins to follow the source that `ROTOTO_WORKSPACE_SOURCE` names, with the token in `ROTOTO_WORKSPACE_TOKEN` if
    /// there is one. A git source or a directory is polled every 30 seconds, and a directory also whenever its files
    /// change. Does not wait: [`until_ready`](Self::until_ready) waits for the first version.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`] if the variable is not set, and the errors of [`start`](Self::start).
    pub fn from_env() -> Result<Self> {
        Self::from_env_with_options(RefreshOptions::from_env())
    }

    /// Begins to follow the source that `ROTOTO_WORKSPACE_SOURCE` names, with `options`. Does not wait.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_env_with_options(options: RefreshOptions) -> Result<Self> {
        let source = from_environment(WORKSPACE_SOURCE).ok_or(Error::NoSource(WORKSPACE_SOURCE))?;
        Self::start(source, LoadOptions::from_env(), options)
    }

    /// Loads a workspace, and keeps it current.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// use rototo::{RefreshOptions, RefreshingWorkspace};
    ///
    /// let workspace = RefreshingWorkspace::load(directory, RefreshOptions::new()).await?;
    /// assert!(workspace.ready());
    /// workspace.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future ends following, too.
    ///
    /// # Errors
    ///
    /// The errors of [`start`](Self::start). For a source with files, the reason why it can't be loaded, at once; for
    /// `kubernetes://`, [`Error::StartTimedOut`] after [`RefreshOptions::start_timeout`].
    pub async fn load(source: impl AsRef<str>, refresh: RefreshOptions) -> Result<Self> {
        Self::load_with_options(source, LoadOptions::default(), refresh).await
    }

    /// Loads a workspace with the options in `load`, and keeps it current with those in `refresh`.
    ///
    /// # Errors
    ///
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
            // A failure to read files is known at once.
            workspace.refresh_now().await?;
        }
        Ok(workspace)
    }

    /// Begins to follow a source. Does not wait, and a source that can't be reached yet is not an error: see
    /// [`until_ready`](Self::until_ready).
    ///
    /// ```no_run
    /// # async fn example() -> rototo::Result<()> {
    /// use std::time::Duration;
    /// use rototo::{LoadOptions, RefreshOptions, RefreshingWorkspace};
    ///
    /// let options = RefreshOptions::new().with_period(Duration::from_secs(10));
    /// let source = "git+https://git.example.com/acme/config.git#main:workspaces/prod";
    /// let workspace = RefreshingWorkspace::start(source, LoadOptions::from_env(), options)?;
    /// assert!(!workspace.ready());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSource`], [`Error::NoToken`], or [`Error::FeatureMissing`] if this build can't follow `source`,
    /// [`Error::Source`] if the options for reading can't be used, and [`Error::NoRuntime`] outside of a Tokio runtime.
    /// The runtime needs its timer and its I/O, as `enable_all` gives it.
    pub fn start(source: impl AsRef<str>, load: LoadOptions, options: RefreshOptions) -> Result<Self> {
        let source: Source = source.as_ref().parse()?;
        let name = source.to_string();
        require_runtime(&name)?;
        let current = Arc::new(Current::new(name.clone()));
        let (refresh_requests, requested) = mpsc::channel(8);
        let guard = Arc::new(FollowGuard::default());
        let task = start::follow(source, load, &options, current.clone(), requested, &guard)?;
        let listeners = options.listeners().clone();
        let listening =
            (!listeners.is_empty()).then(|| tokio::spawn(listeners.listen(current.swaps(), guard.stopped())));
        // The tasks end by themselves. A panic in one makes no difference any more.
        let ended = join(task, OptionFuture::from(listening)).map(drop).boxed().shared();
        Ok(Self { current, source: name, options, refresh_requests, guard, ended })
    }

    /// Makes a workspace that never changes, for tests of code that takes a `RefreshingWorkspace`. It needs no source,
    /// no cluster, and no runtime.
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
        // Nothing receives refresh requests: a fixed workspace is immutable.
        let (refresh_requests, _) = mpsc::channel(1);
        let (guard, ended) = (Arc::default(), ready(()).boxed().shared());
        Self { current, source, options: RefreshOptions::new(), refresh_requests, guard, ended }
    }

    /// Returns whether a workspace is loaded, for a readiness probe. Once loaded, it stays so until it is
    /// [shut down](Self::shutdown).
    #[must_use]
    pub fn ready(&self) -> bool {
        self.current.is_loaded()
    }

    /// Waits until a workspace is loaded. Returns at once if one is.
    ///
    /// ```no_run
    /// # async fn example(workspace: rototo::RefreshingWorkspace) {
    /// if let Err(error) = workspace.until_ready().await {
    ///     // Following continues, so a service may run with its own defaults until then.
    ///     eprintln!("{error}");
    /// }
    /// # }
    /// ```
    ///
    /// Cancellation safe: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::StartTimedOut`] after [`RefreshOptions::start_timeout`]; it names the missing map, grant, or file, and
    /// following continues. [`Error::ShutDown`] after a shutdown.
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

    /// Returns the workspace as it is now: a view that stays the same for as long as it is held. Hold one view per
    /// request, so that everything that the request resolves fits together. Never waits, and takes no lock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # use rototo::{RefreshingWorkspace, ResolveContext, Workspace};
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// # let workspace = RefreshingWorkspace::fixed(Workspace::load(directory).await?);
    /// let view = workspace.current()?;
    /// let context = ResolveContext::from_json(serde_json::json!({"service": {"queue_pressure": "low"}, "account": {"id": "a"}}))?;
    /// let policy = view.resolve("service-degradation-policy", &context)?;
    /// println!("{} by {}", policy.value_key, view.fingerprint());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`] with the reason, or [`Error::ShutDown`].
    pub fn current(&self) -> Result<Arc<Workspace>> {
        self.current.workspace()
    }

    /// Returns a typed variable, whose values are deserialized once per version of the workspace. The variable need not
    /// exist yet. The workspace is followed for as long as the variable is held. See [`Typed`] for an example.
    #[must_use]
    pub fn variable<T: DeserializeOwned + Send + Sync + 'static>(&self, id: impl Into<String>) -> Typed<T> {
        Typed::new(self.current.clone(), self.guard.clone(), id.into())
    }

    /// Returns the stream of workspaces that are swapped in from now on. A slow reader gets only the newest.
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

    /// Returns the status. Never waits.
    #[must_use]
    pub fn status(&self) -> RefreshStatus {
        let mut status = self.current.status();
        if status.is_stale(self.options.max_staleness()) {
            status.become_stale();
        }
        status
    }

    /// Returns [`RefreshStatus::stale`] without the rest of the status. Never waits, and allocates nothing.
    ///
    /// ```
    /// # fn serve(workspace: &rototo::RefreshingWorkspace) {
    /// if workspace.is_stale() {
    ///     eprintln!("the configuration may be out of date");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.current.is_stale(self.options.max_staleness())
    }

    /// Polls the source now, and waits until its newest version is swapped in, for at most
    /// [`RefreshOptions::start_timeout`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// use rototo::{RefreshOptions, RefreshOutcome, RefreshingWorkspace};
    ///
    /// let workspace = RefreshingWorkspace::load(directory, RefreshOptions::new()).await?;
    /// assert_eq!(workspace.refresh_now().await?, RefreshOutcome::Unchanged);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancellation safe: dropping the future leaves the refresh to finish in the background.
    ///
    /// # Errors
    ///
    /// The reason of the failure, or [`Error::RefreshFailed`]. The workspace that was loaded before stays in use.
    /// [`Error::ShutDown`] after a shutdown.
    pub async fn refresh_now(&self) -> Result<RefreshOutcome> {
        if self.refresh_requests.is_closed() && self.status().immutable && !self.guard.is_stopped() {
            return Ok(RefreshOutcome::Immutable);
        }
        let (done, outcome) = oneshot::channel();
        let refresh = async {
            // Where nobody takes requests, such as without the cluster, it waits for a place among them.
            let requested = self.refresh_requests.send(RefreshRequest { done }).await;
            requested.map_err(|_| Error::ShutDown(self.source.clone()))?;
            outcome.await.unwrap_or_else(|_| Err(self.refresh_failed()))
        };
        timeout(self.options.start_timeout(), refresh).await.unwrap_or_else(|_| Err(self.refresh_failed()))
    }

    fn refresh_failed(&self) -> Error {
        let RefreshStatus { source: source_name, last_error, .. } = self.current.status();
        Error::RefreshFailed { source_name, reason: last_error.unwrap_or_else(|| "it takes too long".to_owned()) }
    }

    /// Says how the application does with what it runs. The verdict goes with the reports of this process, and holds until
    /// the next one. While a revision reaches the fleet by steps, an application that becomes degraded after it applied the
    /// revision rolls it back for all. Only an operator listens: for other sources than `kubernetes://`, and without an
    /// operator, it changes nothing.
    ///
    /// Never waits. A process is degraded while one of its handles on the workspace is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rototo::{RefreshingWorkspace, Workspace};
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// # let workspace = RefreshingWorkspace::fixed(Workspace::load(directory).await?);
    /// # let error_rate = 0.2;
    /// use rototo::Health;
    ///
    /// let health = if error_rate < 0.05 { Health::Ok } else { Health::Degraded("error_rate".parse()?) };
    /// workspace.report_health(health);
    /// # Ok(())
    /// # }
    /// ```
    pub fn report_health(&self, health: Health) {
        let degraded = match health {
            Health::Ok => None,
            Health::Degraded(reason) => Some(reason.to_string()),
        };
        self.guard.report_health(degraded);
    }

    /// Resolves a variable from the current workspace. For several variables in one request, hold one view from
    /// [`current`](Self::current).
    ///
    /// # Errors
    ///
    /// The errors of [`current`](Self::current) and [`Workspace::resolve`].
    pub async fn resolve_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<VariableResolution> {
        self.current()?.resolve_variable(id, context).await
    }

    /// Resolves a variable from the current workspace, with `options`.
    ///
    /// # Errors
    ///
    /// As [`resolve_variable`](Self::resolve_variable).
    pub async fn resolve_variable_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableResolution> {
        self.current()?.resolve_variable_with_options(id, context, options).await
    }

    /// Decides a qualifier from the current workspace.
    ///
    /// # Errors
    ///
    /// The errors of [`current`](Self::current) and [`Workspace::resolve_qualifier`].
    pub async fn resolve_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<QualifierResolution> {
        self.current()?.resolve_qualifier(id, context).await
    }

    /// Decides a qualifier from the current workspace, with `options`.
    ///
    /// # Errors
    ///
    /// As [`resolve_qualifier`](Self::resolve_qualifier).
    pub async fn resolve_qualifier_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierResolution> {
        self.current()?.resolve_qualifier_with_options(id, context, options).await
    }

    /// Returns the options with which it is kept current.
    #[must_use]
    pub fn refresh_options(&self) -> &RefreshOptions {
        &self.options
    }

    /// Ends it for good: nothing resolves from it any more, and the operator learns that it need not wait for this
    /// process, or the state of the other handles where there are some. Then no listener runs any more, unless one takes
    /// too long: the call takes two seconds at most.
    ///
    /// Call it when the last request is answered. From then on [`current`](Self::current), everything that resolves,
    /// and the typed variables of this workspace fail with [`Error::ShutDown`]. A view that [`current`](Self::current)
    /// returned before stays as it is, for as long as the application holds it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// use rototo::{Error, RefreshOptions, RefreshingWorkspace};
    ///
    /// let workspace = RefreshingWorkspace::load(directory, RefreshOptions::new()).await?;
    /// workspace.shutdown().await;
    /// assert!(matches!(workspace.current(), Err(Error::ShutDown(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future leaves following to end in the background; another call completes the shutdown. Calls at the
    /// same time all return once following has ended, and the operator learns of it once. A call after a complete
    /// shutdown returns at once.
    pub async fn shutdown(&self) {
        self.guard.stop();
        self.ended.clone().await;
        // A poller does not close it, nor does a follower that never joined its cluster.
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
