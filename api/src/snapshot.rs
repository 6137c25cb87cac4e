//! The manifest of a snapshot: the first entry, [`MANIFEST`], of the archive that the operator serves.
//!
//! `GET` of [`crate::names::snapshot_path`] answers with a zstd-compressed tar: this manifest, then the files in
//! bytewise order of their paths. With `?base={fingerprint}` only files that the base lacks follow, while the
//! manifest still lists all of them: so a file that is listed and not sent stands in the base, and what the base
//! has beyond the list was removed.

use serde::{Deserialize, Serialize};

/// The name of the manifest's entry in the archive.
pub const MANIFEST: &str = "snapshot.json";

/// The only version of the manifest so far.
pub const SCHEMA_VERSION: u64 = 1;

/// The content of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u64,
    /// The digest of the content, computed again by whoever receives it.
    pub fingerprint: String,
    /// The lowest level of the engine that understands this content.
    pub engine_level: u64,
    /// Every file of the snapshot, in bytewise order of the paths.
    pub files: Vec<ManifestFile>,
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path in the workspace, with `/`.
    pub path: String,
    /// The digest of its bytes: 64 hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A code for programs, such as `unknown_fingerprint`.
    pub code: String,
    /// A sentence for people: what is wrong and what to do.
    pub message: String,
}
