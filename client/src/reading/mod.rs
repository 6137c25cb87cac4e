//! Loads a workspace from a source that has files, once ([`load`]) or again and again ([`polling`]).
//!
//! The steps are pin, fetch, lint, compile, and the application's own checks. A workspace that fails one of them never
//! leaves this module.

pub(crate) mod file_watcher;
pub(crate) mod options;
pub(crate) mod polling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rototo_source::{Access, Credentials, Layer, PinnedSource, Reader, Source, Version};

use crate::error::{Error, Result, require_runtime};
use crate::reading::options::{LintMode, LoadOptions, SourceAuth};
use crate::workspace::Workspace;
use crate::workspace::checks::Checks;
use crate::workspace::content::Content;
use crate::workspace::origin::{Origin, SourceFingerprint};

/// Loads from a source.
impl Workspace {
    /// Loads a workspace once, from a directory, a git source, or an archive.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// let workspace = rototo::Workspace::load(directory).await?;
    /// assert!(workspace.variables().any(|id| id == "service-degradation-policy"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future stops the work, except for a step that a thread is at.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSource`] and [`Error::OnlyFollowed`] for a source that can't be loaded, [`Error::Source`] for
    /// files that can't be read, [`Error::Lint`] and [`Error::Compile`] for a workspace that can't be used, and
    /// [`Error::NoRuntime`] outside of a Tokio runtime.
    pub async fn load(source: impl AsRef<str>) -> Result<Self> {
        Self::load_with_options(source, LoadOptions::default()).await
    }

    /// Loads a workspace once, with `options`.
    ///
    /// ```no_run
    /// # async fn example(token: String) -> rototo::Result<()> {
    /// use rototo::{LoadOptions, SourceAuth, Workspace};
    ///
    /// let options = LoadOptions::new().with_source_auth(SourceAuth::Bearer(token));
    /// let source = "git+https://git.example.com/acme/config.git#v1.4.0";
    /// let workspace = Workspace::load_with_options(source, options).await?;
    /// println!("{:?}", workspace.revision());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and [`Error::NoToken`] for a token that can't be sent.
    pub async fn load_with_options(source: impl AsRef<str>, options: LoadOptions) -> Result<Self> {
        read_once(source.as_ref(), options).await
    }

    /// Loads a workspace to inspect it, also one with lint errors. It does not resolve.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// let workspace = rototo::Workspace::inspect(directory).await?;
    /// for diagnostic in &workspace.lint().await?.diagnostics {
    ///     println!("{}: {}", diagnostic.location, diagnostic.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), without those of lint and the compiler.
    pub async fn inspect(source: impl AsRef<str>) -> Result<Self> {
        Self::load_with_options(source, LoadOptions::new().with_lint(LintMode::Skip)).await
    }
}

/// Loads a source that has files.
async fn read_once(source: &str, options: LoadOptions) -> Result<Workspace> {
    let source = with_files(source.parse()?)?;
    require_runtime(&source.to_string())?;
    let reader = Reader::new(options.reader().clone())?;
    let pinned = reader.pin(access(source, options.auth())?).await?;
    let requirements = LoadRequirements { lint: options.lint(), checks: Checks::default() };
    load(&reader, &pinned, requirements, None).await.map(|(workspace, _)| workspace)
}

/// Returns `source` if it has files, and can be read rather than only followed.
pub(crate) fn with_files(source: Source) -> Result<Source> {
    match source {
        Source::Kubernetes { .. } => Err(Error::OnlyFollowed(source.to_string())),
        source => Ok(source),
    }
}

/// Joins a source with its credentials.
pub(crate) fn access(source: Source, auth: &SourceAuth) -> Result<Access> {
    match auth {
        SourceAuth::None => Ok(source.into()),
        SourceAuth::Bearer(token) => match Credentials::bearer(token) {
            Ok(credentials) => Ok(Access::new(source, credentials)),
            Err(_) => Err(Error::NoToken(source.to_string())),
        },
    }
}

/// Why a workspace at which the library panics is refused.
const PANICKED: &str = "checking it panicked, which is an error of this library";

/// The requirements on a workspace before it is used.
#[derive(Clone)]
pub(crate) struct LoadRequirements {
    pub(crate) lint: LintMode,
    pub(crate) checks: Checks,
}

/// Loads the pinned version of a source, and returns it with the versions of all layers. Documents that have not
/// changed since `base` are not parsed or compiled again.
pub(crate) async fn load(
    reader: &Reader,
    pinned: &PinnedSource,
    requirements: LoadRequirements,
    base: Option<Arc<Content>>,
) -> Result<(Workspace, PinnedSource)> {
    let (pinned, tree) = reader.fetch_layers(pinned).await?;
    let name = pinned.source().to_string();
    // The application's checks may take long too, and no task of the application waits for them.
    let checked = move || {
        let checked = catch_unwind(AssertUnwindSafe(|| check(tree, &pinned, &requirements, base)));
        // The message of the panic may hold a value of the workspace, so it is left out.
        let panicked = || Error::CheckFailed { source_name: pinned.source().to_string(), reason: PANICKED.to_owned() };
        let workspace = checked.unwrap_or_else(|_| Err(panicked()))?;
        Ok((workspace, pinned))
    };
    tokio::task::spawn_blocking(checked).await.map_err(|_| Error::ShutDown(name))?
}

/// Makes a workspace of files that were read, and checks it.
fn check(
    tree: rototo_engine::Tree,
    pinned: &PinnedSource,
    requirements: &LoadRequirements,
    base: Option<Arc<Content>>,
) -> Result<Workspace> {
    let name = pinned.source().to_string();
    let content = build(tree, &name, requirements.lint, base.as_deref())?;
    // Equal content stays the same object, which keeps its typed values.
    let content = base.filter(|base| base.is_same_as(&content)).unwrap_or_else(|| Arc::new(content));
    let workspace = Workspace::new(content.clone(), origin(pinned, &content));
    let checked = requirements.checks.pass(&workspace);
    checked.map_err(|reason| Error::CheckFailed { source_name: name, reason })?;
    Ok(workspace)
}

fn build(tree: rototo_engine::Tree, source: &str, mode: LintMode, base: Option<&Content>) -> Result<Content> {
    let mut content = Content::new(tree, base);
    if mode == LintMode::Skip {
        return Ok(content);
    }
    let lint = content.lint(base);
    let first = lint.diagnostics.iter().find(|found| found.severity == rototo_engine::Severity::Error);
    if let Some(first) = first {
        let first = format!("{}: {}", first.location, first.masked_message());
        return Err(Error::Lint { source_name: source.to_owned(), errors: lint.errors(), first });
    }
    content.compile(base).map_err(|error| Error::Compile { source_name: source.to_owned(), error })
}

fn origin(pinned: &PinnedSource, content: &Content) -> Origin {
    let of_layer = |layer: &Layer| match layer.version() {
        Some(Version::Commit(commit)) => SourceFingerprint::GitCommit(commit.to_string()),
        Some(Version::Validator(validator)) => SourceFingerprint::HttpValidator(validator.clone()),
        Some(Version::Content(digest)) => SourceFingerprint::ContentHash(format!("sha256:{digest}")),
        None => SourceFingerprint::ContentHash(content.fingerprint().to_string()),
    };
    let mut layers: Vec<_> = pinned.layers().map(of_layer).collect();
    let fingerprint = if layers.len() == 1 { layers.pop() } else { Some(SourceFingerprint::WorkspaceLayers(layers)) };
    Origin {
        source: pinned.source().to_string(),
        fingerprint,
        revision: pinned.revision().map(|revision| revision.to_string()),
        immutable: pinned.immutable(),
    }
}
