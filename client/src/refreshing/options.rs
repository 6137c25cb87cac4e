//! Options for keeping a workspace current. A setting in code wins over the environment.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::current::change_listeners::{Change, Listeners};
#[cfg(feature = "kubernetes")]
use crate::environment::from_environment;
use crate::workspace::Workspace;
use crate::workspace::checks::{Checks, fits};

/// Options for keeping a workspace current: polling, checks, listeners, and the way to the operator.
///
/// All clones of the options share their checks and listeners.
///
/// ```
/// use std::time::Duration;
/// use rototo::RefreshOptions;
///
/// let options = RefreshOptions::new()
///     .with_period(Duration::from_secs(30))
///     .with_start_timeout(Duration::from_secs(10))
///     .on_change(|change| println!("{} changed", change.variables.join(", ")));
/// assert_eq!(options.period(), Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug)]
pub struct RefreshOptions {
    period: Option<Duration>,
    max_staleness: Option<Duration>,
    min_failure_backoff: Duration,
    max_failure_backoff: Duration,
    start_timeout: Duration,
    checks: Checks,
    listeners: Listeners,
    #[cfg(feature = "kubernetes")]
    cluster: crate::kubernetes::Cluster,
    snapshots_url: Option<String>,
    snapshots_ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    direct_source: Option<String>,
    #[cfg(feature = "kubernetes")]
    prepare: Option<bool>,
}

impl RefreshOptions {
    /// Makes options with which a git source or a directory is polled only when
    /// [`refresh_now`](crate::RefreshingWorkspace::refresh_now) asks. `kubernetes://` is always followed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes options for a source that the environment names: a git source or a directory is polled every 30 seconds.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new().with_period(Duration::from_secs(30))
    }

    /// Returns the poll interval of a git source or a directory; `None` polls only on request.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Returns the age of the last confirmation from which on the workspace counts as stale.
    #[must_use]
    pub fn max_staleness(&self) -> Option<Duration> {
        self.max_staleness
    }

    /// Returns the wait after a first failure; 5 seconds by default.
    #[must_use]
    pub fn min_failure_backoff(&self) -> Duration {
        self.min_failure_backoff
    }

    /// Returns the longest wait after failures; 300 seconds by default.
    #[must_use]
    pub fn max_failure_backoff(&self) -> Duration {
        self.max_failure_backoff
    }

    /// Returns the time limit for the first workspace, and for a refresh on request; 30 seconds by default.
    #[must_use]
    pub fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    /// Polls a git source or a directory this often, and a directory also whenever its files change.
    #[must_use]
    pub fn with_period(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }

    /// Counts a workspace as stale when nothing has confirmed it for this long. The default for `kubernetes://` is the
    /// workspace's `staleAfter`; the workspace of another source is never stale by default.
    #[must_use]
    pub fn with_max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = Some(max_staleness);
        self
    }

    /// Sets the first and the longest wait after failures of a git source or a directory. The wait doubles with each
    /// failure.
    #[must_use]
    pub fn with_failure_backoff(mut self, min: Duration, max: Duration) -> Self {
        self.min_failure_backoff = min;
        self.max_failure_backoff = max;
        self
    }

    /// Sets the time limit for the first workspace, and for a refresh on request. Following continues after it.
    #[must_use]
    pub fn with_start_timeout(mut self, start_timeout: Duration) -> Self {
        self.start_timeout = start_timeout;
        self
    }

    /// Adds a check with which the application may refuse a workspace before it is swapped in, the first as well as
    /// every later one. The reason goes to the log and the status of this process, and not to the operator. A check that
    /// panics refuses the workspace, too. A check should return soon: other tasks of the runtime may wait for it.
    ///
    /// ```
    /// let options = rototo::RefreshOptions::new().with_check(|workspace| {
    ///     let known = workspace.variables().any(|id| id == "account-limits");
    ///     if known { Ok(()) } else { Err("it has no account limits".to_owned()) }
    /// });
    /// ```
    #[must_use]
    pub fn with_check(mut self, check: impl Fn(&Workspace) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.checks.add(check);
        self
    }

    /// Requires that each value of `variable` is a `T`. A workspace with another value, or without the variable, is
    /// never swapped in, so every resolution fits the application's types.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Limits {
    ///     max_projects: u64,
    /// }
    ///
    /// let options = rototo::RefreshOptions::new().expecting::<Limits>("account-limits");
    /// ```
    #[must_use]
    pub fn expecting<T: DeserializeOwned + Send + Sync + 'static>(self, variable: impl Into<String>) -> Self {
        let variable = variable.into();
        self.with_check(move |workspace| fits::<T>(workspace, &variable))
    }

    /// Calls `listener` with the first workspace and with each that replaces it, and with the variables that may now
    /// resolve to something else. Where changes come faster than `listener` returns, it gets the newest, compared with
    /// the one before.
    ///
    /// Listeners run one after the other, on a thread that may block, and never hold up a swap. A listener that panics
    /// still gets the next change.
    ///
    /// ```
    /// let options = rototo::RefreshOptions::new().on_change(|change| {
    ///     println!("{} changed {}", change.workspace.fingerprint(), change.variables.join(", "));
    /// });
    /// ```
    #[must_use]
    pub fn on_change(mut self, listener: impl Fn(&Change) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Follows markers on this cluster instead of the one that the environment names.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn with_cluster(mut self, cluster: crate::kubernetes::Cluster) -> Self {
        self.cluster = cluster;
        self
    }

    /// Pins the operator's address, instead of the one in the marker map. In the environment: `ROTOTO_SNAPSHOTS_URL`.
    #[must_use]
    pub fn with_snapshots_url(mut self, url: impl Into<String>) -> Self {
        self.snapshots_url = Some(url.into());
        self
    }

    /// Pins the certificates for the operator's address to those in this PEM file. In the environment:
    /// `ROTOTO_SNAPSHOTS_CA_FILE`.
    #[must_use]
    pub fn with_snapshots_ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.snapshots_ca_file = Some(file.into());
        self
    }

    /// Sets the file with the token for the operator, which may be rotated. In the environment: `ROTOTO_TOKEN_FILE`; by
    /// default `/var/run/secrets/rototo/token`.
    #[must_use]
    pub fn with_token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(file.into());
        self
    }

    /// Keeps a copy of the last applied publish in this directory. A process that starts while the API server or the
    /// operator does not answer uses it, and counts as stale; if the API server answers, only if it has the published
    /// content. In the environment: `ROTOTO_CACHE_DIR`.
    #[must_use]
    pub fn with_cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    /// Reads the workspace from this source, usually a git address, whenever the operator's endpoint does not give the
    /// content that the marker names. The source is opened with the process's own credentials, and its content is used
    /// only if the marker names exactly that content. In the environment: `ROTOTO_DIRECT_SOURCE`.
    #[must_use]
    pub fn with_direct_source(mut self, source: impl Into<String>) -> Self {
        self.direct_source = Some(source.into());
        self
    }

    /// Decides whether this process prepares what the operator announces: fetches, compiles, and checks a new version
    /// before it is published, and holds it in memory beside the one that runs. By default it does. Without it, a
    /// version is fetched once it is published, and what this process would refuse is published first. The first handle
    /// that a process has on a workspace decides for all of them. In the environment: `ROTOTO_PREPARE`, `on` or `off`.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn with_preparation(mut self, prepare: bool) -> Self {
        self.prepare = Some(prepare);
        self
    }

    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self {
            period: None,
            max_staleness: None,
            min_failure_backoff: Duration::from_secs(5),
            max_failure_backoff: Duration::from_secs(300),
            start_timeout: Duration::from_secs(30),
            checks: Checks::default(),
            listeners: Listeners::default(),
            #[cfg(feature = "kubernetes")]
            cluster: crate::kubernetes::Cluster::inferred(),
            snapshots_url: None,
            snapshots_ca_file: None,
            token_file: None,
            cache_dir: None,
            direct_source: None,
            #[cfg(feature = "kubernetes")]
            prepare: None,
        }
    }
}

/// Options that only following a marker needs, with the environment filled in.
#[cfg(feature = "kubernetes")]
impl RefreshOptions {
    pub(crate) fn cluster(&self) -> &crate::kubernetes::Cluster {
        &self.cluster
    }

    pub(crate) fn endpoint_overrides(&self) -> crate::kubernetes::EndpointOverrides {
        crate::kubernetes::EndpointOverrides {
            url: self.snapshots_url.clone().or_else(|| from_environment("ROTOTO_SNAPSHOTS_URL")),
            ca_file: self
                .snapshots_ca_file
                .clone()
                .or_else(|| from_environment("ROTOTO_SNAPSHOTS_CA_FILE").map(PathBuf::from)),
        }
    }

    pub(crate) fn cache_dir(&self) -> Option<PathBuf> {
        self.cache_dir.clone().or_else(|| from_environment("ROTOTO_CACHE_DIR").map(PathBuf::from))
    }

    pub(crate) fn direct_source(&self) -> Option<String> {
        self.direct_source.clone().or_else(|| from_environment("ROTOTO_DIRECT_SOURCE"))
    }

    pub(crate) fn prepares(&self) -> crate::error::Result<bool> {
        match (self.prepare, from_environment("ROTOTO_PREPARE").as_deref()) {
            (Some(prepare), _) => Ok(prepare),
            (None, None | Some("on")) => Ok(true),
            (None, Some("off")) => Ok(false),
            (None, Some(other)) => Err(crate::error::Error::Environment {
                name: "ROTOTO_PREPARE",
                reason: format!("`{other}` is neither `on` nor `off`"),
            }),
        }
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        let given = self.token_file.clone().or_else(|| from_environment("ROTOTO_TOKEN_FILE").map(PathBuf::from));
        given.unwrap_or_else(|| PathBuf::from("/var/run/secrets/rototo/token"))
    }
}
