//! Packs a tree into a snapshot, and unpacks a snapshot from any sender. The format is that of
//! [`rototo_api::snapshot`]; equal trees are equal bytes.
//!
//! ```
//! use rototo_engine::Tree;
//! use rototo_source::{Limits, snapshot};
//!
//! let tree: Tree = [("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec())].into_iter().collect();
//! let bytes = snapshot::pack(&tree, None).unwrap();
//! let same = snapshot::unpack(&bytes, tree.fingerprint(), None, &Limits::default()).unwrap();
//! assert_eq!(same.fingerprint(), tree.fingerprint());
//! ```

mod store;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use rototo_api::snapshot::{MANIFEST, ManifestFile, SCHEMA_VERSION, SnapshotManifest};
use rototo_engine::{Digest, DocumentKind, ENGINE_LEVEL, Fingerprint, Tree};

use crate::error::ContentFault;
use crate::limits::{Limits, ReadBudget};
pub use crate::snapshot::store::{SnapshotStore, StoreError};

/// A fixed level, for equal bytes everywhere.
const COMPRESSION_LEVEL: i32 = 3;
/// 8 MiB, so that a sender does not decide how much memory unpacking takes.
const MAX_WINDOW_LOG: u32 = 23;
/// The most bytes that a file takes in the archive and the manifest beyond its content.
const BYTES_PER_ENTRY: u64 = 4096;

/// A snapshot that can't be packed, or is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The compressor failed.
    #[error("the snapshot could not be packed: {0}")]
    Pack(String),
    /// The bytes are not a snapshot, or an incomplete one.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// The snapshot exceeds the limits.
    #[error("the snapshot is refused: {0}")]
    Refused(#[from] ContentFault),
    /// A newer operator packed it.
    #[error(
        "the snapshot has schema_version {0}, and this process reads only {SCHEMA_VERSION}: update rototo in this \
            process"
    )]
    UnknownVersion(u64),
    /// Its content needs a newer engine.
    #[error("the workspace needs engine level {0}, and this process has {ENGINE_LEVEL}: update rototo in this process")]
    EngineTooOld(u64),
    /// A file is neither in the snapshot nor in the base it builds on.
    #[error("the snapshot lacks `{0}`, which the base does not have either: ask for the snapshot without a base")]
    Incomplete(String),
    /// The content does not have the expected fingerprint.
    #[error("the snapshot holds {found} instead of {expected}")]
    WrongContent {
        /// The fingerprint that was asked for.
        expected: Fingerprint,
        /// The fingerprint of the content.
        found: Fingerprint,
    },
}

/// Packs `tree`; with a `base`, without the files that the base has too.
pub fn pack(tree: &Tree, base: Option<&Tree>) -> Result<Vec<u8>, SnapshotError> {
    let files = tree.iter().map(|(path, document)| ManifestFile {
        path: path.to_string(),
        sha256: document.digest().to_string(),
        size: length(&document.bytes),
    });
    let manifest = SnapshotManifest {
        schema_version: SCHEMA_VERSION,
        fingerprint: tree.fingerprint().to_string(),
        engine_level: ENGINE_LEVEL,
        files: files.collect(),
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| SnapshotError::Pack(error.to_string()))?;
    let in_base = |path: &str, digest: Digest| {
        base.and_then(|base| base.get(path)).is_some_and(|document| document.digest() == digest)
    };
    let sent = tree.iter().filter(|(path, document)| !in_base(path, document.digest()));
    let entries =
        std::iter::once((MANIFEST, &*manifest)).chain(sent.map(|(path, document)| (&**path, &*document.bytes)));
    archive(entries).map_err(|error| SnapshotError::Pack(error.to_string()))
}

fn archive<'a>(entries: impl Iterator<Item = (&'a str, &'a [u8])>) -> io::Result<Vec<u8>> {
    let compressor = zstd::stream::write::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?;
    let mut archive = tar::Builder::new(compressor);
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(length(bytes));
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, bytes)?;
    }
    archive.into_inner()?.finish()
}

/// Unpacks the tree in `bytes`, whose fingerprint must be `expected`. Files that `bytes` leaves out are taken from
/// `base`.
pub fn unpack(
    bytes: &[u8],
    expected: Fingerprint,
    base: Option<&Tree>,
    limits: &Limits,
) -> Result<Tree, SnapshotError> {
    let mut decompressor = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| damaged(&error))?;
    decompressor.window_log_max(MAX_WINDOW_LOG).map_err(|error| damaged(&error))?;
    let overhead = (limits.entries + 1).saturating_mul(BYTES_PER_ENTRY);
    let mut archive = tar::Archive::new(decompressor.take(limits.unpacked_bytes.saturating_add(overhead)));
    let mut entries = archive.entries().map_err(|error| damaged(&error))?;

    let first = entries.next().ok_or_else(|| SnapshotError::Damaged("it is empty".to_owned()))?;
    let manifest = read_manifest(first.map_err(|error| damaged(&error))?, limits)?;
    let mut budget = ReadBudget::new(limits);
    for file in &manifest.files {
        budget.entry()?;
        budget.bytes(file.size)?;
    }
    let listed: HashMap<&str, u64> = manifest.files.iter().map(|file| (&*file.path, file.size)).collect();
    let mut sent: HashMap<String, Vec<u8>> = HashMap::new();
    for entry in entries {
        let (path, bytes) = read_file(entry.map_err(|error| damaged(&error))?, &listed)?;
        sent.insert(path, bytes);
    }
    assemble(&manifest, sent, base, expected)
}

fn read_manifest(entry: tar::Entry<'_, impl Read>, limits: &Limits) -> Result<SnapshotManifest, SnapshotError> {
    if entry.path_bytes() != MANIFEST.as_bytes() {
        return Err(SnapshotError::Damaged(format!("it does not begin with `{MANIFEST}`")));
    }
    if entry.size() > limits.entries.saturating_mul(BYTES_PER_ENTRY) {
        return Err(ContentFault::TooManyEntries { limit: limits.entries }.into());
    }
    let mut text = Vec::new();
    let mut entry = entry;
    entry.read_to_end(&mut text).map_err(|error| damaged(&error))?;
    let unreadable =
        |error: serde_json::Error| SnapshotError::Damaged(format!("`{MANIFEST}` is not readable: {error}"));
    // The version is read alone and first: a later version may have changed everything else.
    let any: serde_json::Value = serde_json::from_slice(&text).map_err(unreadable)?;
    match any.get("schema_version").and_then(serde_json::Value::as_u64) {
        Some(SCHEMA_VERSION) => {}
        Some(other) => return Err(SnapshotError::UnknownVersion(other)),
        None => return Err(SnapshotError::Damaged(format!("`{MANIFEST}` has no schema_version"))),
    }
    let manifest: SnapshotManifest = serde_json::from_value(any).map_err(unreadable)?;
    if manifest.engine_level > ENGINE_LEVEL {
        return Err(SnapshotError::EngineTooOld(manifest.engine_level));
    }
    Ok(manifest)
}

fn read_file(
    mut entry: tar::Entry<'_, impl Read>,
    listed: &HashMap<&str, u64>,
) -> Result<(String, Vec<u8>), SnapshotError> {
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let refused = |why: &str| SnapshotError::Damaged(format!("`{path}` {why}"));
    if !entry.header().entry_type().is_file() {
        return Err(refused("is not a plain file"));
    }
    if listed.get(&*path) != Some(&entry.size()) {
        return Err(refused("is not listed with this size"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    if length(&bytes) != entry.size() {
        return Err(refused("is cut off"));
    }
    Ok((path, bytes))
}

fn assemble(
    manifest: &SnapshotManifest,
    mut sent: HashMap<String, Vec<u8>>,
    base: Option<&Tree>,
    expected: Fingerprint,
) -> Result<Tree, SnapshotError> {
    let mut tree = base.cloned().unwrap_or_default();
    let listed: HashSet<&str> = manifest.files.iter().map(|file| &*file.path).collect();
    tree.retain(|path| listed.contains(path));
    for file in &manifest.files {
        if DocumentKind::at(&file.path).is_none() {
            return Err(SnapshotError::Damaged(format!("`{}` is no document of a workspace", file.path)));
        }
        match (sent.remove(&file.path), base.and_then(|base| base.get(&file.path))) {
            (Some(bytes), _) => tree.insert(&*file.path, bytes),
            (None, Some(document)) if file.sha256.parse() == Ok(document.digest()) => {}
            (None, _) => return Err(SnapshotError::Incomplete(file.path.clone())),
        }
    }
    let found = tree.fingerprint();
    if found != expected {
        return Err(SnapshotError::WrongContent { expected, found });
    }
    Ok(tree)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn damaged(error: &io::Error) -> SnapshotError {
    SnapshotError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests;
