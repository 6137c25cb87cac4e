//! Reads from an ELF file which libraries and which glibc it needs.

use anyhow::Context;

/// The needs of a program or library.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The program that the kernel starts to load this one.
    pub(crate) loader: Option<String>,
    /// The names of libraries.
    pub(crate) libraries: Vec<String>,
    /// The newest version of glibc of which it uses symbols.
    pub(crate) glibc: (u32, u32),
}

const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const INTERPRETER: u64 = 3;
const TAG_NEEDED: u64 = 1;
const TAG_STRINGS: u64 = 5;
const TAG_STRINGS_SIZE: u64 = 10;

/// Returns the needs of a file, or nothing if it is not ELF. Images have 64-bit little-endian files only.
pub(crate) fn needs(file: &[u8]) -> anyhow::Result<Option<Needs>> {
    if !file.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    read(file).map(Some).context("the ELF file is damaged, or not 64-bit little-endian")
}

struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

fn read(file: &[u8]) -> Option<Needs> {
    if file.get(4..6)? != [2, 1] {
        return None;
    }
    let (table, entry, count) = (number(file, 32, 8)?, number(file, 54, 2)?, number(file, 56, 2)?);
    let segment = |index: u64| {
        let at = table.checked_add(index.checked_mul(entry)?)?;
        let field = |offset, size| number(file, at.checked_add(offset)?, size);
        Some(Segment { kind: field(0, 4)?, offset: field(8, 8)?, address: field(16, 8)?, size: field(32, 8)? })
    };
    let segments: Vec<Segment> = (0..count).map(segment).collect::<Option<_>>()?;
    let mut needs = Needs::default();
    if let Some(Segment { offset, size, .. }) = segments.iter().find(|segment| segment.kind == INTERPRETER) {
        needs.loader = Some(text(slice(file, *offset, *size)?, 0)?);
    }
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == DYNAMIC) else { return Some(needs) };
    let entries = slice(file, dynamic.offset, dynamic.size)?;
    let entries: Vec<(u64, u64)> = entries
        .chunks_exact(16)
        .map(|entry| Some((number(entry, 0, 8)?, number(entry, 8, 8)?)))
        .collect::<Option<_>>()?;
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let address = value(TAG_STRINGS)?;
    let holds = |segment: &&Segment| {
        segment.kind == LOAD
            && segment.address.checked_add(segment.size).is_some_and(|end| (segment.address..end).contains(&address))
    };
    let load = segments.iter().find(holds)?;
    let offset = address.checked_sub(load.address)?.checked_add(load.offset)?;
    let strings = slice(file, offset, value(TAG_STRINGS_SIZE)?)?;
    let names = entries.iter().filter(|(tag, _)| *tag == TAG_NEEDED);
    needs.libraries = names.map(|(_, offset)| text(strings, *offset)).collect::<Option<_>>()?;
    // The names of needed versions are among the strings.
    let names = strings.split(|byte| *byte == 0).filter(|name| name.starts_with(b"GLIBC_"));
    let versions = names.filter_map(|name| glibc(std::str::from_utf8(name).ok()?));
    needs.glibc = versions.max().unwrap_or_default();
    Some(needs)
}

/// Reads `GLIBC_2.34`, and any other text that begins with a version, such as `2.36-9+deb12u14`.
pub(crate) fn glibc(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.strip_prefix("GLIBC_").unwrap_or(text).split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    file.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

fn number(file: &[u8], offset: u64, size: u64) -> Option<u64> {
    Some(slice(file, offset, size)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text(strings: &[u8], offset: u64) -> Option<String> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn the_needs_of_this_program_are_its_libraries_and_its_loader() {
        let needs = needs(&this_program()).unwrap().unwrap();
        assert!(needs.libraries.iter().any(|library| library == "libc.so.6"), "{needs:?}");
        assert!(needs.loader.as_ref().is_some_and(|loader| loader.contains("ld-linux")), "{needs:?}");
        assert!(needs.glibc >= (2, 17), "{needs:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_cut_or_changed_anywhere_is_an_error_or_other_needs() {
        let mut file = this_program();
        file.truncate(1 << 16);
        for end in (0..4096).step_by(7) {
            let _ = needs(&file[..end]);
        }
        for at in 0..1024 {
            let before = std::mem::replace(&mut file[at], 0xff);
            let _ = needs(&file);
            file[at] = before;
        }
        assert_eq!(needs(b"#!/bin/sh\n").unwrap(), None);
    }

    #[test]
    fn versions_of_glibc_are_compared_by_number() {
        assert_eq!(glibc("GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc("2.36-9+deb12u14"), Some((2, 36)));
        assert!(glibc("GLIBC_2.4") < glibc("GLIBC_2.34"));
        assert_eq!(glibc("GLIBC_PRIVATE"), None);
        assert_eq!(glibc("libc.so.6"), None);
    }
}
