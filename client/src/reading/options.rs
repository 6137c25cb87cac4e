//! Options for loading a workspace from a source that has files.

use rototo_source::ReaderOptions;

use crate::environment::from_environment;

/// Options for loading a workspace: lint, credentials, and limits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// use rototo::{LintMode, LoadOptions, Workspace};
///
/// // Any workspace, to inspect it. It does not resolve.
/// let options = LoadOptions::new().with_lint(LintMode::Skip);
/// let workspace = Workspace::load_with_options(directory, options).await?;
/// assert!(!workspace.lint().await?.has_errors());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    lint: LintMode,
    reader: ReaderOptions,
    auth: SourceAuth,
}

/// Credentials for a source, beyond the user's own configuration of git and ssh. [`Debug`] does not show them.
///
/// ```
/// use rototo::{LoadOptions, SourceAuth};
///
/// let options = LoadOptions::new().with_source_auth(SourceAuth::Bearer("s3cr3t".to_owned()));
/// assert!(!format!("{options:?}").contains("s3cr3t"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub enum SourceAuth {
    /// No credentials.
    #[default]
    None,
    /// A token, which is sent over https only.
    Bearer(String),
}

impl std::fmt::Debug for SourceAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// The requirement on lint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LintMode {
    /// A workspace with lint errors is refused.
    #[default]
    Deny,
    /// Any workspace is loaded, to be inspected and linted; it does not resolve.
    Skip,
}

impl LoadOptions {
    /// Makes options that require lint, and read without credentials and with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes options for a source that the environment names, with the token in `ROTOTO_WORKSPACE_TOKEN` if there is
    /// one.
    #[must_use]
    pub fn from_env() -> Self {
        let token = from_environment("ROTOTO_WORKSPACE_TOKEN");
        Self::new().with_source_auth(token.map_or(SourceAuth::None, SourceAuth::Bearer))
    }

    /// Returns the credentials for the source.
    #[must_use]
    pub fn auth(&self) -> &SourceAuth {
        &self.auth
    }

    /// Returns the requirement on lint.
    #[must_use]
    pub fn lint(&self) -> LintMode {
        self.lint
    }

    /// Returns the options for reading sources.
    #[must_use]
    pub fn reader(&self) -> &ReaderOptions {
        &self.reader
    }

    /// Sets the requirement on lint.
    #[must_use]
    pub fn with_lint(mut self, lint: LintMode) -> Self {
        self.lint = lint;
        self
    }

    /// Sets the credentials for the source. They are sent to no other host than the source's.
    #[must_use]
    pub fn with_source_auth(mut self, auth: SourceAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets the options for reading sources: limits, proxy, cache.
    #[must_use]
    pub fn with_reader(mut self, reader: ReaderOptions) -> Self {
        self.reader = reader;
        self
    }
}
