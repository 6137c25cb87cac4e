//! Free space on the disk of the build.

use std::path::Path;
use std::process::Command;

use crate::cargo::root;

/// The space that the build of all tests and their runs take, in GiB, where nothing is built yet.
const NEEDED_GIB: u64 = 10;

/// Says so if the disk may become full. Tests whose API server can't write fail with other words.
pub(crate) fn warn_if_short() {
    let Some(free) = free_gib(root()).filter(|free| *free < NEEDED_GIB) else { return };
    eprintln!(
        "Only {free} GiB are free on the disk of {}. Where nothing is built yet, the build and the tests take some \
         {NEEDED_GIB} GiB: `cargo clean` removes earlier builds.",
        root().display()
    );
}

/// Returns the free space in GiB, as POSIX `df` prints it.
fn free_gib(path: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(path).output().ok()?;
    available(&String::from_utf8_lossy(&output.stdout)).map(|kibibytes| kibibytes >> 20)
}

/// Returns the fourth column of the last line.
fn available(table: &str) -> Option<u64> {
    table.lines().last()?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_available_space_is_the_fourth_column() {
        let table =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263174212 88080384 7130316 93% /\n";
        assert_eq!(available(table).map(|kibibytes| kibibytes >> 20), Some(6));
        assert_eq!(available(""), None);
        assert!(free_gib(root()).is_some());
    }
}
