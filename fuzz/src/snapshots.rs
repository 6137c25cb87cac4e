//! Packed workspaces.

use std::sync::OnceLock;

use rototo_engine::Tree;
use rototo_source::{ArchiveFormat, Limits, snapshot};

use crate::workspaces::FILES;

fn limits() -> Limits {
    Limits { unpacked_bytes: 1 << 20, entries: 1_000, ..Limits::default() }
}

/// The workspace that snapshots are asked for by its digest.
pub fn wanted() -> &'static Tree {
    static WANTED: OnceLock<Tree> = OnceLock::new();
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
    WANTED.get_or_init(|| FILES.iter().map(file).collect())
}

/// Nothing comes out but what was asked for.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(tree) = snapshot::unpack(bytes, wanted().fingerprint(), None, &limits()) {
        assert_eq!(tree.fingerprint(), wanted().fingerprint());
    }
}

/// The bytes are the archive within, which is compressed first: behind a checksum that is always right.
pub fn tar_archive(bytes: &[u8]) {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    drop(rototo_source::unpack_archive(&packed.finish().unwrap(), ArchiveFormat::TarGz, &limits()));
    drop(rototo_source::unpack_archive(bytes, ArchiveFormat::TarGz, &limits()));
}

/// A zip file.
pub fn zip_archive(bytes: &[u8]) {
    drop(rototo_source::unpack_archive(bytes, ArchiveFormat::Zip, &limits()));
}
