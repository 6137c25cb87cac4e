//! The workspace of a command: from a source string, or the nearest one around the current directory.

pub(crate) mod context;
pub(crate) mod documents;
pub(crate) mod layers;
pub(crate) mod selection;
pub(crate) mod unreadable;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rototo_api::source_scheme::SourceScheme;
use rototo_engine::{Lint, Parsed, Tree};
use rototo_lua::{InProcess, ScriptLimits};
use rototo_source::{
    Access, ContentFault, Credentials, InvalidSource, PinnedSource, Reader, ReaderOptions, Source, SourceFault,
};

use crate::global::GlobalArguments;
use crate::workspace::layers::LayerPlace;
use crate::workspace::unreadable::Unreadable;

pub(crate) const MANIFEST: &str = "rototo-workspace.toml";

/// A workspace that was read.
pub(crate) struct Workspace {
    shown: String,
    tree: Tree,
    pinned: PinnedSource,
}

/// A directory that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct NotThere {
    pub(crate) at: String,
    pub(crate) reason: String,
}

impl Workspace {
    /// Reads the workspace at `source`, or the nearest one around the current directory.
    pub(crate) async fn read(source: Option<&str>, global: &GlobalArguments) -> anyhow::Result<Self> {
        Self::read_access(source, global, |access| access).await
    }

    /// Reads a workspace as [`Self::read`], with its tests.
    pub(crate) async fn read_with_tests(source: Option<&str>, global: &GlobalArguments) -> anyhow::Result<Self> {
        Self::read_access(source, global, Access::with_tests).await
    }

    async fn read_access(
        source: Option<&str>,
        global: &GlobalArguments,
        scope: impl FnOnce(Access) -> Access,
    ) -> anyhow::Result<Self> {
        let (shown, source) = match source {
            Some(text) => {
                let source = parsed(text)?;
                (if matches!(source, Source::Local(_)) { text.to_owned() } else { source.to_string() }, source)
            }
            None => {
                let root = find_around(&std::env::current_dir().context("the current directory can't be read")?)?;
                (root.display().to_string(), Source::Local(root))
            }
        };
        let reader = Reader::new(ReaderOptions::default())?;
        match reader.read(scope(Access::new(source.clone(), credentials(&source, global)?))).await {
            Ok((pinned, tree)) => Ok(Self { shown, tree, pinned }),
            Err(error) => match (&source, error.fault()) {
                (Source::Local(path), SourceFault::Content(ContentFault::NoLocalDirectory { .. })) => {
                    Err(NotThere { at: shown, reason: missing(path) }.into())
                }
                _ => Err(Unreadable { shown, place: source, error: Box::new(error) }.into()),
            },
        }
    }

    /// Returns its name as its user wrote it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Parses its documents.
    pub(crate) fn parse(&self) -> Parsed {
        rototo_engine::parse(self.tree.clone())
    }

    /// Returns its name for programs, which is independent of the current directory.
    pub(crate) fn full_name(&self) -> String {
        full_name(self.pinned.source(), &self.shown)
    }

    /// Returns the address of one of its documents.
    pub(crate) fn uri(&self, path: &str) -> String {
        match (self.directory(), self.pinned.source(), self.pinned.revision()) {
            (Some(directory), _, _) => format!("file://{}", percent_encoded(&directory.join(path).to_string_lossy())),
            (None, Source::Git(git), Some(revision)) => {
                let directory = git.subdirectory().map(|directory| format!("{directory}/")).unwrap_or_default();
                format!("git+{}#{}:{directory}{path}", git.remote(), revision.commit())
            }
            (None, source, _) => format!("{source}/{path}"),
        }
    }

    /// Returns its directory in its repository, by which code hosts name files; for a directory that is in none, the one
    /// below the current directory, and else the whole path.
    pub(crate) fn directory_in_repository(&self) -> String {
        directory_in_repository(self.pinned.source())
    }

    /// Returns the place of a document, if a layer has it.
    pub(crate) fn place_in_layer(&self, parsed: &Parsed, path: &str) -> Option<LayerPlace> {
        layers::place(self.pinned.source(), parsed, path)
    }

    fn directory(&self) -> Option<PathBuf> {
        directory(self.pinned.source())
    }
}

/// Parses a source. An unknown scheme is answered with those that have files to read.
fn parsed(text: &str) -> anyhow::Result<Source> {
    text.parse().map_err(|error| match error {
        InvalidSource::UnknownScheme(scheme) => {
            let known = SourceScheme::ALL.iter().filter(|known| known.has_files());
            let known: Vec<_> = known.map(|known| known.name()).collect();
            anyhow!("`{scheme}` is not a known scheme: use a directory, or one of {}", known.join(", "))
        }
        error => error.into(),
    })
}

fn directory(source: &Source) -> Option<PathBuf> {
    match source {
        Source::Local(path) => Some(path.canonicalize().unwrap_or_else(|_| path.clone())),
        _ => None,
    }
}

fn full_name(source: &Source, shown: &str) -> String {
    directory(source).map_or_else(|| shown.to_owned(), |directory| directory.display().to_string())
}

fn directory_in_repository(source: &Source) -> String {
    directory(source).map_or_else(|| subdirectory(source), |directory| in_repository_of(&directory, directory.clone()))
}

/// Returns the path of a file below the repository that has a directory; the whole path, if the file is not in it.
fn in_repository_of(directory: &Path, file: PathBuf) -> String {
    let below = repository_of(directory).and_then(|root| file.strip_prefix(root).map(Path::to_owned).ok());
    below.unwrap_or(file).to_string_lossy().into_owned()
}

/// Returns the root of the repository that has a directory; of one that is in none, the current directory.
fn repository_of(directory: &Path) -> Option<PathBuf> {
    let repository = directory.ancestors().find(|directory| directory.join(".git").exists()).map(Path::to_owned);
    repository.or_else(|| std::env::current_dir().and_then(|root| root.canonicalize()).ok())
}

/// Runs lint, with the workspace's custom rules. Every command lints by this function.
pub(crate) fn lint(parsed: &Parsed) -> Lint {
    rototo_engine::lint_with(parsed, &mut InProcess::new(ScriptLimits::default()))
}

fn find_around(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut around = directory.ancestors();
    around.find(|directory| directory.join(MANIFEST).is_file()).map(Path::to_owned).with_context(|| {
        format!("no {MANIFEST} in {} or above: go into a workspace, or name a SOURCE", directory.display())
    })
}

/// Returns the credentials for a source. The token is for archives alone: git asks its own helpers.
fn credentials(source: &Source, global: &GlobalArguments) -> anyhow::Result<Credentials> {
    match (source, &global.workspace_token) {
        (Source::Archive(_), Some(token)) => Credentials::bearer(token).context("--workspace-token can't be used"),
        _ => Ok(Credentials::default()),
    }
}

fn missing(path: &Path) -> String {
    let what = if path.exists() { "is not a directory" } else { "does not exist" };
    format!("{} {what}", path.display())
}

/// Returns the directory of a workspace in its source.
fn subdirectory(source: &Source) -> String {
    let directory = match source {
        Source::Git(git) => git.subdirectory(),
        Source::Archive(archive) => archive.subdirectory(),
        _ => None,
    };
    directory.map(ToString::to_string).unwrap_or_default()
}

/// Returns a path as a part of a URI.
pub(crate) fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}
