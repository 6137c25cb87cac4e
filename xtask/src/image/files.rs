//! The files of a layer, and the archive of them: the same files give the same bytes.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context, bail};
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// An entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A directory with its mode.
    Directory(u32),
    /// A file with its mode.
    File(u32, Vec<u8>),
    /// A symbolic link with its target.
    Link(String),
}

/// Entries by their paths, which are relative to the root and have no `.` in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<String, Entry>);

/// The folders of the root that are links to those below `usr`, as in every Debian since 12.
pub(crate) const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];
/// The most links that are followed in a row, as in the kernel.
const MOST_LINKS: usize = 40;

impl Files {
    pub(crate) fn insert(&mut self, path: &str, entry: Entry) {
        self.0.insert(path.to_owned(), entry);
    }

    pub(crate) fn insert_text(&mut self, path: &str, text: impl Into<String>) {
        self.insert(path, Entry::File(0o644, text.into().into_bytes()));
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Returns the number of files and links.
    pub(crate) fn count(&self) -> usize {
        self.0.values().filter(|entry| !matches!(entry, Entry::Directory(_))).count()
    }

    pub(crate) fn bytes(&self) -> u64 {
        let size = |entry: &Entry| if let Entry::File(_, content) = entry { content.len() as u64 } else { 0 };
        self.0.values().map(size).sum()
    }

    /// Returns the paths on the way to a file: the links, and last the file itself. Links within other folders of the
    /// path are not followed: only [`MERGED`] has such, and its paths are stored below `usr`.
    pub(crate) fn way_to(&self, path: &str) -> Option<Vec<String>> {
        let mut way = vec![merged(path)];
        while way.len() <= MOST_LINKS {
            match self.get(way.last()?)? {
                Entry::File(..) => return Some(way),
                Entry::Link(target) => {
                    let folder = way.last()?.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                    way.push(merged(&joined(&folder, target)?));
                }
                Entry::Directory(_) => return None,
            }
        }
        None
    }

    /// Reads a tar archive. Files that are linked hard become files of their own.
    pub(crate) fn unpack(archive: impl Read) -> anyhow::Result<Self> {
        let mut files = Self::default();
        for entry in tar::Archive::new(archive).entries().context("read an archive")? {
            let mut entry = entry.context("read an entry of an archive")?;
            let written = String::from_utf8(entry.path_bytes().into_owned()).context("a path is not UTF-8")?;
            let path = merged(&joined("", &written).with_context(|| format!("`{written}` leads out of the root"))?);
            let mode = entry.header().mode().with_context(|| format!("read the mode of {path}"))?;
            let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
            let made = match (entry.header().entry_type(), target) {
                (EntryType::Directory, _) => Entry::Directory(mode),
                (EntryType::Regular, _) => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).with_context(|| format!("read {path}"))?;
                    Entry::File(mode, content)
                }
                (EntryType::Symlink, Some(target)) => Entry::Link(target),
                (EntryType::Link, Some(target)) => {
                    let target = merged(&joined("", &target).with_context(|| format!("{path} links to `{target}`"))?);
                    files.get(&target).with_context(|| format!("{path} links to {target}, which comes later"))?.clone()
                }
                (kind, _) => bail!("{path} is a {kind:?}, which an image does not have"),
            };
            if !path.is_empty() && !MERGED.contains(&path.as_str()) {
                files.insert(&path, made);
            }
        }
        Ok(files)
    }

    /// Returns a tar archive: sorted, owned by root, and without times.
    pub(crate) fn tar(&self) -> anyhow::Result<Vec<u8>> {
        let mut all = self.0.clone();
        for path in self.0.keys() {
            for (at, _) in path.match_indices('/') {
                all.entry(path[..at].to_owned()).or_insert(Entry::Directory(0o755));
            }
        }
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &all {
            append(&mut archive, path, entry).with_context(|| format!("archive {path}"))?;
        }
        archive.into_inner().context("end an archive")
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, entry: &Entry) -> anyhow::Result<()> {
    let mut header = Header::new_ustar();
    let (mode, content): (u32, &[u8]) = match entry {
        Entry::Directory(mode) => (*mode, &[]),
        Entry::File(mode, content) => (*mode, content),
        Entry::Link(_) => (0o777, &[]),
    };
    header.set_path(path)?;
    header.set_mode(mode & 0o7777);
    header.set_size(content.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match entry {
        Entry::Directory(_) => header.set_entry_type(EntryType::Directory),
        Entry::File(..) => header.set_entry_type(EntryType::Regular),
        Entry::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_link_name_literal(target)?;
        }
    }
    header.set_cksum();
    Ok(archive.append(&header, content)?)
}

/// Compresses without a time or a name.
pub(crate) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes).context("compress a layer")?;
    gzip.finish().context("compress a layer")
}

/// Returns `path` with the folders of the root in their place below `usr`.
fn merged(path: &str) -> String {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    if MERGED.contains(&first) && !rest.is_empty() { format!("usr/{path}") } else { path.to_owned() }
}

/// Returns `path` as it is seen from `folder`, without `.` and `..`, or nothing if it leads out of the root.
fn joined(folder: &str, path: &str) -> Option<String> {
    let start = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<(&'static str, Entry)> {
        vec![
            ("usr/bin/git", Entry::File(0o755, b"git".to_vec())),
            ("usr/bin/git-upload-pack", Entry::Link("git".to_owned())),
            ("tmp", Entry::Directory(0o1777)),
            ("etc/passwd", Entry::File(0o644, b"root:x:0:0::/:/bin/sh\n".to_vec())),
            ("bin", Entry::Link("usr/bin".to_owned())),
        ]
    }

    fn collected(entries: impl IntoIterator<Item = (&'static str, Entry)>) -> Files {
        let mut files = Files::default();
        entries.into_iter().for_each(|(path, entry)| files.insert(path, entry));
        files
    }

    #[test]
    fn the_same_files_in_another_order_are_the_same_bytes() {
        let (forth, back) = (collected(some()), collected(some().into_iter().rev()));
        let (forth, back) = (forth.tar().unwrap(), back.tar().unwrap());
        assert_eq!(forth, back);
        assert_eq!(gzip(&forth).unwrap(), gzip(&back).unwrap());
        // Bytes 4 to 7 of gzip are the time.
        assert_eq!(gzip(&forth).unwrap()[4..8], [0; 4]);
    }

    #[test]
    fn an_archive_has_owners_and_times_of_nobody_and_each_folder_before_its_files() {
        let tar = collected(some()).tar().unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            seen.push(entry.path().unwrap().display().to_string());
        }
        assert_eq!(
            seen,
            ["bin", "etc", "etc/passwd", "tmp", "usr", "usr/bin", "usr/bin/git", "usr/bin/git-upload-pack"]
        );
    }

    #[test]
    fn an_archive_is_read_as_it_was_written() {
        let files = collected(some().into_iter().filter(|(path, _)| *path != "bin"));
        let mut read = Files::unpack(files.tar().unwrap().as_slice()).unwrap();
        read.0.retain(|path, _| files.get(path).is_some());
        assert_eq!(read, files);
    }

    #[test]
    fn the_folders_of_the_root_are_those_below_usr() {
        let debian = collected([
            ("lib/x86_64-linux-gnu/ld.so", Entry::File(0o755, Vec::new())),
            ("lib64/ld-linux-x86-64.so.2", Entry::Link("/lib/x86_64-linux-gnu/ld.so".to_owned())),
        ]);
        let files = Files::unpack(debian.tar().unwrap().as_slice()).unwrap();
        let way = files.way_to("lib64/ld-linux-x86-64.so.2").unwrap();
        assert_eq!(way, ["usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld.so"]);
    }

    #[test]
    fn a_link_that_leads_out_nowhere_or_in_a_circle_has_no_way() {
        let files = collected([
            ("usr/out", Entry::Link("../../etc/passwd".to_owned())),
            ("usr/nowhere", Entry::Link("missing".to_owned())),
            ("usr/circle", Entry::Link("circle".to_owned())),
        ]);
        for path in ["usr/out", "usr/nowhere", "usr/circle", "usr/absent"] {
            assert_eq!(files.way_to(path), None, "{path}");
        }
    }
}
