//! Reads the documents out of a packed archive, as a stream and within limits, whatever sizes the archive claims.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use rototo_engine::Tree;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{ArchiveFault, ContentFault, SourceFault};
use crate::limits::Limits;
use crate::limits::layout::PathEntry;
use crate::spec::ArchiveFormat;
use crate::workspace_part::WorkspacePart;

use crate::archive::budget::{ArchiveBudget, ArchiveLimits};
use crate::archive::entries::ArchiveEntries;
use crate::archive::gzip::Members;

/// The most bytes of the extension of an entry of a tar archive, which holds a long name, and attributes. Linux limits
/// a name to 4 KiB, and an attribute to 64 KiB. A larger extension is refused before it is in memory.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// Returns the documents of a workspace in an archive. Blocks on the disk.
pub(super) fn unpack(
    mut file: File,
    format: ArchiveFormat,
    part: &WorkspacePart,
    limits: &Limits,
) -> Result<Tree, SourceFault> {
    if let Some(other) = packed_otherwise(&mut file, format).map_err(|error| damaged(&error))? {
        return Err(damaged(&other));
    }
    let mut entries = ArchiveEntries::new(part);
    match format {
        ArchiveFormat::TarGz => untar(file, &mut entries, limits)?,
        ArchiveFormat::Zip => unzip(file, &mut entries, limits)?,
    }
    entries.choose()
}

/// The first bytes of files that other programs pack, and what they are.
const MAGIC: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "it is packed with gzip"),
    (b"PK\x03\x04", "it is a zip archive"),
    (b"\xfd7zXZ\0", "it is packed with xz"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd"),
    (b"BZh", "it is packed with bzip2"),
];
/// The place in a tar archive that is not packed, and the bytes there.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Returns what a file is that has another format than its name says, and goes back to its first byte.
fn packed_otherwise(file: &mut File, format: ArchiveFormat) -> io::Result<Option<&'static str>> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(512).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    let expected = match format {
        ArchiveFormat::TarGz => "it is packed with gzip",
        ArchiveFormat::Zip => "it is a zip archive",
    };
    let named = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, words)| *words);
    let is_tar = start.get(TAR.0..).is_some_and(|bytes| bytes.starts_with(TAR.1));
    let found =
        named.or(is_tar.then_some("it is a tar archive without gzip")).or(start.is_empty().then_some("it is empty"));
    Ok(found.filter(|found| *found != expected))
}

fn untar(file: File, entries: &mut ArchiveEntries<'_>, limits: &Limits) -> Result<(), SourceFault> {
    let exceeded = Cell::new(false);
    let whole = ArchiveLimits::new(limits);
    let stream = Bounded { stream: Members::new(BufReader::new(file)), left: whole.bytes, exceeded: &exceeded };
    let failed = |error: io::Error| if exceeded.get() { whole.too_large().into() } else { damaged(&error) };
    let mut budget = ArchiveBudget::new(limits);
    let mut archive = tar::Archive::new(stream);
    let mut extension = Extension::default();
    // Raw: the crate would read the extension of an entry whatever its size.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        let header = entry.header().clone();
        let kind = match header.entry_type() {
            // A header for all entries, in which git writes the commit; and the target of a link, which is not followed.
            tar::EntryType::XGlobalHeader | tar::EntryType::GNULongLink => continue,
            tar::EntryType::GNULongName => {
                extension.take_name(&read_extension(&mut entry).map_err(failed)??);
                continue;
            }
            tar::EntryType::XHeader => {
                extension.take_pax(&read_extension(&mut entry).map_err(failed)??);
                continue;
            }
            // Its header goes on where the content of other entries is.
            tar::EntryType::GNUSparse => return Err(sparse(&header.path_bytes())),
            other => kind_of(other),
        };
        budget.entry()?;
        let (size, own) = (entry.size(), std::mem::take(&mut extension));
        let path = own.path.unwrap_or_else(|| header.path_bytes().into_owned());
        if own.is_sparse {
            return Err(sparse(&path));
        }
        if own.size.is_some_and(|own| own != size) {
            let shown = String::from_utf8_lossy(&path);
            return Err(damaged(&format!("`{shown}` has two sizes")));
        }
        if let Some(path) = admit(entries, &mut budget, &path, kind, size)? {
            let bytes = read_entry(&mut entry, size).map_err(failed)?;
            entries.keep(&path, bytes.ok_or_else(|| damaged(&format!("`{path}` is cut off")))?);
        }
    }
    // The checksum is at the very end of the stream.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
    Ok(())
}

fn kind_of(entry_type: tar::EntryType) -> PathEntry {
    match entry_type {
        tar::EntryType::Regular | tar::EntryType::Continuous => PathEntry::File,
        tar::EntryType::Directory => PathEntry::Directory,
        tar::EntryType::Symlink | tar::EntryType::Link => PathEntry::Link,
        _ => PathEntry::Special,
    }
}

/// Accounts for an entry of `size` bytes. Returns its path if its bytes are needed.
fn admit(
    entries: &mut ArchiveEntries<'_>,
    budget: &mut ArchiveBudget<'_>,
    path: &[u8],
    kind: PathEntry,
    size: u64,
) -> Result<Option<String>, SourceFault> {
    let document = entries.admit(path, kind)?;
    if document.is_some() {
        budget.document(size)?;
    }
    budget.bytes(size)?;
    Ok(document)
}

/// Returns the bytes of an entry, or nothing if it has not as many as it claims. One byte more proves the claim wrong.
fn read_entry(entry: &mut impl Read, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    entry.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| u64::try_from(bytes.len()) == Ok(size)))
}

/// The parts of an entry that stand before it, because its own header has no place for them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl Extension {
    fn take_name(&mut self, bytes: &[u8]) {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        self.path = bytes.get(..end).map(<[u8]>::to_vec);
    }

    fn take_pax(&mut self, bytes: &[u8]) {
        for record in tar::PaxExtensions::new(bytes).flatten() {
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                // A number that is none differs from every size.
                b"size" => self.size = Some(record.value().ok().and_then(|size| size.parse().ok()).unwrap_or(u64::MAX)),
                key => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
    }
}

/// Reads an extension, if it is as small as those of real files are.
fn read_extension(entry: &mut impl Read) -> io::Result<Result<Vec<u8>, SourceFault>> {
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION_BYTES + 1).read_to_end(&mut bytes)?;
    let is_small = u64::try_from(bytes.len()).is_ok_and(|size| size <= MAX_EXTENSION_BYTES);
    Ok(if is_small { Ok(bytes) } else { Err(damaged(&"an entry has a name or attributes of more than 64 KiB")) })
}

fn sparse(path: &[u8]) -> SourceFault {
    let path = String::from_utf8_lossy(path).into_owned();
    ContentFault::NotAFile { path, what: "a sparse file" }.into()
}

fn unzip(mut file: File, entries: &mut ArchiveEntries<'_>, limits: &Limits) -> Result<(), SourceFault> {
    count_entries(&mut file, limits)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
    let mut budget = ArchiveBudget::new(limits);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
                damaged(&"it is encrypted: pack it without a password")
            }
            error => damaged(&error),
        })?;
        budget.entry()?;
        let kind = match entry.unix_mode().map(|mode| mode & 0o170_000) {
            Some(0o120_000) => PathEntry::Link,
            _ if entry.is_dir() => PathEntry::Directory,
            None | Some(0 | 0o100_000 | 0o040_000) => PathEntry::File,
            Some(_) => PathEntry::Special,
        };
        let (path, size) = (entry.name_raw().to_vec(), entry.size());
        if let Some(path) = admit(entries, &mut budget, &path, kind, size)? {
            let bytes = read_entry(&mut entry, size).map_err(|error| damaged(&error))?;
            entries.keep(&path, bytes.ok_or_else(|| damaged(&format!("`{path}` is not as large as it claims")))?);
        }
    }
    Ok(())
}

/// Counts the entries of the directory before a list of them is allocated.
fn count_entries(file: &mut File, limits: &Limits) -> Result<(), SourceFault> {
    const ENTRY: &[u8] = b"PK\x01\x02";
    let mut budget = ArchiveBudget::new(limits);
    let mut window = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut chunk).map_err(|error| damaged(&error))?;
        if read == 0 {
            break;
        }
        window.extend_from_slice(chunk.get(..read).unwrap_or_default());
        for _ in window.windows(ENTRY.len()).filter(|bytes| *bytes == ENTRY) {
            budget.entry()?;
        }
        // The last bytes may be the beginning of an entry that goes on in the next chunk.
        let done = window.len().saturating_sub(ENTRY.len() - 1);
        window.drain(..done);
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
    Ok(())
}

/// A stream that ends with an error beyond a limit.
struct Bounded<'a, R> {
    stream: R,
    left: u64,
    exceeded: &'a Cell<bool>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        match u64::try_from(read).ok().and_then(|read| self.left.checked_sub(read)) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => {
                self.exceeded.set(true);
                Err(io::Error::other("more than allowed"))
            }
        }
    }
}

fn damaged(error: &impl ToString) -> SourceFault {
    ArchiveFault::Damaged(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::archive::unpack_archive;

    fn zipped() -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for path in ["rototo-workspace.toml", "variables/a.toml"] {
            archive.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(&[b'#'; 200]).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn tarred() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for path in ["rototo-workspace.toml", "variables/a.toml"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(200);
            archive.append_data(&mut header, path, &[b'#'; 200][..]).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn unpacked(bytes: &[u8], format: ArchiveFormat) -> Result<Tree, SourceFault> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let limits = Limits { unpacked_bytes: 1 << 20, entries: 100, ..Limits::default() };
        unpack(file, format, &WorkspacePart::default(), &limits)
    }

    #[test]
    fn a_file_of_another_format_than_its_name_says_is_named() {
        let mut encrypted = zipped();
        for at in 0..encrypted.len() - 8 {
            // The first bit of the flags of an entry, in its header and in the directory.
            match &encrypted[at..at + 4] {
                b"PK\x03\x04" => encrypted[at + 6] |= 1,
                b"PK\x01\x02" => encrypted[at + 8] |= 1,
                _ => {}
            }
        }
        for (bytes, format, words) in [
            (zipped(), ArchiveFormat::TarGz, "it is a zip archive"),
            (gzipped(&tarred()), ArchiveFormat::Zip, "it is packed with gzip"),
            (tarred(), ArchiveFormat::TarGz, "it is a tar archive without gzip"),
            (b"\xfd7zXZ\0...".to_vec(), ArchiveFormat::TarGz, "it is packed with xz"),
            (b"\x28\xb5\x2f\xfd...".to_vec(), ArchiveFormat::TarGz, "it is packed with zstd"),
            (Vec::new(), ArchiveFormat::Zip, "it is empty"),
            (encrypted, ArchiveFormat::Zip, "it is encrypted"),
        ] {
            let error = unpacked(&bytes, format).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    /// Programs that write to a pipe fill the last block: bsdtar, which macOS has, with zeros.
    #[test]
    fn zeros_behind_the_last_member_are_no_part_of_an_archive() {
        let tar = tarred();
        let (first, second) = tar.split_at(700);
        let whole = gzipped(&tar);
        let with = |rest: &[u8]| [&*whole, rest].concat();
        let read = |bytes: &[u8]| unpacked(bytes, ArchiveFormat::TarGz).map(|tree| tree.fingerprint());
        let expected = read(&whole).unwrap();
        for accepted in [with(&[0; 4096]), with(&[0]), with(&[0; 100_000]), [gzipped(first), gzipped(second)].concat()]
        {
            assert_eq!(read(&accepted).unwrap(), expected);
        }
        let padded = [gzipped(first), vec![0; 8], gzipped(second)].concat();
        for refused in [with(b"garbage"), with(b"\0\0garbage"), with(&whole[..9]), padded] {
            assert_eq!(read(&refused).unwrap_err().code(), "archive_damaged");
        }
    }

    #[test]
    fn whatever_is_changed_in_an_archive_nothing_panics() {
        assert!(unpacked(&gzipped(&tarred()), ArchiveFormat::TarGz).is_ok());
        assert!(unpacked(&zipped(), ArchiveFormat::Zip).is_ok());
        assert!(unpack_archive(&zipped(), ArchiveFormat::Zip, &Limits::default()).is_ok(), "as the fuzzer does it");
        for (whole, format) in [(tarred(), ArchiveFormat::TarGz), (zipped(), ArchiveFormat::Zip)] {
            for place in 0..whole.len() {
                for value in [0, 0xff] {
                    let mut changed = whole.clone();
                    changed[place] = value;
                    let changed = if format == ArchiveFormat::TarGz { gzipped(&changed) } else { changed };
                    let _ = unpacked(&changed, format);
                }
            }
        }
    }
}
