//! The origin of a loaded workspace: its source, and the version that the source had.

/// The name that a source has for one version of a workspace.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// use rototo::{SourceFingerprint, Workspace};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// let workspace = Workspace::load(directory).await?;
/// let content = Some(SourceFingerprint::ContentHash(workspace.fingerprint().to_string()));
/// assert_eq!(workspace.source_fingerprint(), content.as_ref());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFingerprint {
    /// A git commit, in hexadecimal digits.
    GitCommit(String),
    /// The validator that an HTTP server gives for the version, such as an ETag.
    HttpValidator(String),
    /// A digest of the content, as `sha256:<hexadecimal digits>`.
    ContentHash(String),
    /// The fingerprints of all layers, the base first.
    WorkspaceLayers(Vec<Self>),
}

/// The origin of a workspace.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The source without credentials, as it may be shown.
    pub(crate) source: String,
    pub(crate) fingerprint: Option<SourceFingerprint>,
    pub(crate) revision: Option<String>,
    pub(crate) immutable: bool,
}
