//! Options for loading a workspace from a source that has files.

use rototo_source::ReaderOptions;

use crate::environment::from_environment;

/// How a workspace is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    lint: LintMode,
    reader: ReaderOptions,
    auth: SourceAuth,
}

/// What opens a source, beyond the user's own set-up for git and ssh.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum SourceAuth {
    /// Nothing.
    #[default]
    None,
    /// A token, sent over https only.
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

/// Whether a workspace must pass lint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LintMode {
    /// A workspace with lint errors is refused.
    #[default]
    Deny,
    /// Any workspace is loaded, to be inspected and linted; it does not resolve.
    Skip,
}

impl LoadOptions {
    /// Lint is required, and sources are read with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a source that the environment names: opened with the token in `ROTOTO_WORKSPACE_TOKEN`, if there is one.
    #[must_use]
    pub fn from_env() -> Self {
        let token = from_environment("ROTOTO_WORKSPACE_TOKEN");
        Self::new().with_source_auth(token.map_or(SourceAuth::None, SourceAuth::Bearer))
    }

    /// What opens the source.
    #[must_use]
    pub fn auth(&self) -> &SourceAuth {
        &self.auth
    }

    /// Whether lint is required.
    #[must_use]
    pub fn lint(&self) -> LintMode {
        self.lint
    }

    /// How sources are read.
    #[must_use]
    pub fn reader(&self) -> &ReaderOptions {
        &self.reader
    }

    /// Sets whether lint is required.
    #[must_use]
    pub fn with_lint(mut self, lint: LintMode) -> Self {
        self.lint = lint;
        self
    }

    /// Opens the source with this. It is sent to no other host than the source's.
    #[must_use]
    pub fn with_source_auth(mut self, auth: SourceAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets how sources are read: limits, proxy, cache.
    #[must_use]
    pub fn with_reader(mut self, reader: ReaderOptions) -> Self {
        self.reader = reader;
        self
    }
}
