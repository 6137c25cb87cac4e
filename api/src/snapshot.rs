//! The manifest of a snapshot: the first entry, [`MANIFEST`], of the archive that the operator serves.
//!
//! A `GET` of [`crate::names::snapshot_path`] is answered with a zstd-compressed tar: this manifest, then the files in
//! bytewise order of their paths. With `?base={fingerprint}` the archive has only the files that differ from the base,
//! and the manifest still lists all files: a file that is listed and not in the archive is taken from the base, and a
//! file of the base that is not listed was removed.
//!
//! ```
//! use rototo_api::snapshot::{SCHEMA_VERSION, SnapshotManifest};
//!
//! let entry = r#"{ "schema_version": 1, "fingerprint": "sha256:9f2c", "engine_level": 1,
//!     "files": [{ "path": "rototo-workspace.toml", "sha256": "e3b0", "size": 18 }] }"#;
//! let manifest: SnapshotManifest = serde_json::from_str(entry)?;
//! assert_eq!(manifest.schema_version, SCHEMA_VERSION);
//! assert_eq!(manifest.files[0].path, "rototo-workspace.toml");
//! # Ok::<(), serde_json::Error>(())
//! ```

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
    /// The digest of the content. Every receiver computes it again.
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

/// The body of every response that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A code for programs, such as `unknown_fingerprint`.
    pub code: String,
    /// A sentence for people: the fault, and the action that helps.
    pub message: String,
}
