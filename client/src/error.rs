//! What can go wrong for an application: which operation failed, on what, and whether trying again helps.

use std::time::Duration;

use rototo_engine::{CompileError, ContextError, ResolveError};
use rototo_source::{InvalidSource, SourceError};

/// Everything that this library refuses. No message holds a secret; those about workspaces hold paths and names of
/// keys, and no value, but for those of fixtures, which are for tests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment does not say where the workspace is.
    #[error("no workspace is named: set {0} to a directory, a git address, or kubernetes://NAMESPACE/WORKSPACE")]
    NoSource(&'static str),
    /// The source string means nothing.
    #[error("reading the source string failed: {0}")]
    InvalidSource(InvalidSource),
    /// What was given as the token for a source is none.
    #[error("opening {0} failed: its token is empty, or is not one line of plain text")]
    NoToken(String),
    /// The source can't be read once; it can only be followed by [`RefreshingWorkspace`](crate::RefreshingWorkspace).
    #[error("loading {0} once is not possible: follow it with RefreshingWorkspace")]
    OnlyFollowed(String),
    /// This build can't follow such a source.
    #[error("following {0} is not possible: this build of rototo lacks its feature `kubernetes`")]
    FeatureMissing(String),
    /// The files of the source can't be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The workspace has lint errors.
    #[error("loading {source_name} failed: lint finds {errors} errors, the first at {first}")]
    Lint {
        /// The source.
        source_name: String,
        /// How many errors lint found.
        errors: usize,
        /// Where the first one is, and what is wrong there.
        first: String,
    },
    /// The workspace can't be compiled.
    #[error("loading {source_name} failed: {error}")]
    Compile {
        /// The source.
        source_name: String,
        /// What stands in the way.
        error: CompileError,
    },
    /// The application's own check of a workspace refused it.
    #[error("loading {source_name} failed: {reason}")]
    CheckFailed {
        /// The source.
        source_name: String,
        /// What the check says.
        reason: String,
    },
    /// A value is not of the type that the application resolves it to.
    #[error("value `{value_key}` of variable `{variable}` of {source_name} is no {type_name}")]
    Misfit {
        /// The source.
        source_name: String,
        /// The variable.
        variable: String,
        /// The key of the value.
        value_key: String,
        /// The type.
        type_name: &'static str,
    },
    /// A fixture can't be read, or does not hold.
    #[error("the fixture {} failed: {reason}", .path.display())]
    Fixture {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong, with what was expected and what there is.
        reason: String,
    },
    /// The context is not one.
    #[error("building a context failed: {0}")]
    Context(ContextError),
    /// The variable or qualifier has no answer for this context.
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
        /// What stands in the way.
        reason: String,
    },
    /// No workspace was loaded in time.
    #[error("no workspace was loaded from {source_name} in {} s: {reason}", .after.as_secs_f32())]
    StartTimedOut {
        /// The source.
        source_name: String,
        /// How long was waited.
        after: Duration,
        /// What stands in the way.
        reason: String,
    },
    /// A refresh failed. What was loaded before goes on to be used.
    #[error("refreshing {source_name} failed: {reason}")]
    RefreshFailed {
        /// The source.
        source_name: String,
        /// What stands in the way.
        reason: String,
    },
    /// The workspace is neither followed nor resolved from any more.
    #[error("{0} was shut down: it is not followed any more, and nothing resolves from it")]
    ShutDown(String),
}

/// The name under which earlier versions knew [`Error`].
pub type RototoError = Error;

/// What this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// Their words are part of ours; given as a source too, they would be printed twice.
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

impl Error {
    /// Whether the content was had, and can't be used.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Lint { .. } | Self::Compile { .. } | Self::CheckFailed { .. })
    }

    /// Whether the same call may succeed later although nobody changes the workspace or this process's settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::NotLoaded { .. } | Self::StartTimedOut { .. } | Self::RefreshFailed { .. } => true,
            Self::NoSource(_)
            | Self::InvalidSource(_)
            | Self::NoToken(_)
            | Self::OnlyFollowed(_)
            | Self::FeatureMissing(_)
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
