//! The errors of this library. Each names the operation that failed, its object, and whether trying again helps.
//!
//! Error sources are part of the message and not returned by `source()`, so that a chain prints nothing twice.

use std::time::Duration;

use rototo_engine::{CompileError, ContextError, ResolveError};
use rototo_source::{InvalidSource, SourceError};

/// Every error of this library.
///
/// No message holds a secret or a value of a workspace; messages about a workspace hold paths and keys. Only
/// [`Fixture`](Self::Fixture) holds values, because fixtures are for tests.
///
/// ```
/// # async fn example() -> rototo::Result<()> {
/// use rototo::{Error, Workspace};
///
/// match Workspace::load("git+https://git.example.com/acme/config.git#main").await {
///     Ok(workspace) => println!("{}", workspace.fingerprint()),
///     Err(error @ Error::Lint { .. }) => panic!("the configuration is broken: {error}"),
///     Err(error) if error.is_transient() => eprintln!("{error}; trying again helps"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment names no workspace. The field is the name of the variable.
    #[error("no workspace is named: set {0} to a directory, a git address, or kubernetes://NAMESPACE/WORKSPACE")]
    NoSource(&'static str),
    /// The text is not a source.
    #[error("reading the source string failed: {0}")]
    InvalidSource(InvalidSource),
    /// An environment variable has a value that is none of its values.
    #[error("reading the environment variable {name} failed: {reason}")]
    Environment {
        /// The name of the variable.
        name: &'static str,
        /// The reason.
        reason: String,
    },
    /// The token for a source can't be sent.
    #[error("opening {0} failed: its token is empty, or is not one line of plain text")]
    NoToken(String),
    /// The source can't be read once; it can only be followed by [`RefreshingWorkspace`](crate::RefreshingWorkspace).
    #[error("loading {0} once is not possible: follow it with RefreshingWorkspace")]
    OnlyFollowed(String),
    /// This build can't follow such a source.
    #[error("following {0} is not possible: this build of rototo lacks its feature `kubernetes`")]
    FeatureMissing(String),
    /// The call was made outside of a Tokio runtime.
    #[error("opening {0} failed: it needs a Tokio runtime, and this thread has none; call it from async code")]
    NoRuntime(String),
    /// The files of the source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The workspace has lint errors.
    #[error(
        "loading {source_name} failed: lint finds {errors} {}, the first at {first}",
        if *errors == 1 { "error" } else { "errors" }
    )]
    Lint {
        /// The source.
        source_name: String,
        /// The number of errors that lint found.
        errors: usize,
        /// The place and the message of the first error.
        first: String,
    },
    /// The workspace can't be compiled.
    #[error("loading {source_name} failed: {error}")]
    Compile {
        /// The source.
        source_name: String,
        /// The reason.
        error: CompileError,
    },
    /// A check of the application refused the workspace.
    #[error("loading {source_name} failed: {reason}")]
    CheckFailed {
        /// The source.
        source_name: String,
        /// The reason that the check returned.
        reason: String,
    },
    /// A value does not have the type to which the application resolves it.
    #[error("value `{value_key}` of variable `{variable}` of {source_name} can't be read as {type_name}: {reason}")]
    Misfit {
        /// The source.
        source_name: String,
        /// The id of the variable.
        variable: String,
        /// The key of the value.
        value_key: String,
        /// The name of the type.
        type_name: &'static str,
        /// The part that does not fit, by names and kinds.
        reason: String,
    },
    /// A fixture can't be read, or a case of it does not hold.
    #[error("the fixture {} failed: {reason}", .path.display())]
    Fixture {
        /// The file.
        path: std::path::PathBuf,
        /// The reason, with the expected value and the resolved one.
        reason: String,
    },
    /// The JSON is not a context.
    #[error("building a context failed: {0}")]
    Context(ContextError),
    /// The variable or qualifier has no result for this context.
    #[error("resolving failed: {0}")]
    Resolve(ResolveError),
    /// The workspace was loaded for inspection only.
    #[error("resolving from {0} failed: it was loaded without being compiled; load it with LintMode::Deny")]
    NotCompiled(String),
    /// No workspace is loaded yet.
    #[error("no workspace is loaded from {source_name} yet: {reason}")]
    NotLoaded {
        /// The source.
        source_name: String,
        /// The reason.
        reason: String,
    },
    /// No workspace was loaded in time.
    #[error("no workspace was loaded from {source_name} in {} s: {reason}", .after.as_secs_f32())]
    StartTimedOut {
        /// The source.
        source_name: String,
        /// The time limit that was reached.
        after: Duration,
        /// The reason.
        reason: String,
    },
    /// A refresh failed. The workspace that was loaded before stays in use.
    #[error("refreshing {source_name} failed: {reason}")]
    RefreshFailed {
        /// The source.
        source_name: String,
        /// The reason.
        reason: String,
    },
    /// The workspace was shut down: it is not followed any more, and nothing resolves from it.
    #[error("{0} was shut down: it is not followed any more, and nothing resolves from it")]
    ShutDown(String),
}

/// The name under which earlier versions knew [`Error`].
pub type RototoError = Error;

/// The result of this library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// These messages are part of ours. As an error source too, they would be printed twice.
impl From<InvalidSource> for Error {
    fn from(error: InvalidSource) -> Self {
        Self::InvalidSource(error)
    }
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Self {
        Self::Resolve(error)
    }
}

/// Returns an error outside of a Tokio runtime, where Tokio itself would panic.
pub(crate) fn require_runtime(source: &str) -> Result<()> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::NoRuntime(source.to_owned())),
    }
}

impl Error {
    /// Returns whether the content was read, and can't be used.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Lint { .. } | Self::Compile { .. } | Self::CheckFailed { .. })
    }

    /// Returns whether the same call may succeed later although nobody changes the workspace or this process's
    /// settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::NotLoaded { .. } | Self::StartTimedOut { .. } | Self::RefreshFailed { .. } => true,
            Self::NoSource(_)
            | Self::Environment { .. }
            | Self::InvalidSource(_)
            | Self::NoToken(_)
            | Self::OnlyFollowed(_)
            | Self::FeatureMissing(_)
            | Self::NoRuntime(_)
            | Self::Lint { .. }
            | Self::Compile { .. }
            | Self::CheckFailed { .. }
            | Self::Misfit { .. }
            | Self::Fixture { .. }
            | Self::Context(_)
            | Self::Resolve(_)
            | Self::NotCompiled(_)
            | Self::ShutDown(_) => false,
        }
    }
}
