//! The lock file: each Debian package of the images, by name, version, and digest.
//!
//! A line is `ARCHITECTURE NAME VERSION SHA256`. The digests come from the index that Debian signs, so a build needs to
//! trust no mirror, and makes the same bytes from the same commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::platform::Platform;
use crate::cargo;

/// The path of the lock file in the repository.
pub(crate) const PATH: &str = "xtask/image/packages.lock";
/// The command that writes it.
pub(crate) const UPDATE: &str = "cargo xtask image --update";

const HEADER: &str = "\
# The Debian packages of which the images take files, by architecture, name, version, and SHA-256.
# `cargo xtask image --update` writes this file.
";

/// A Debian package of one architecture, in one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) platform: Platform,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The digest of the package's file, in hexadecimal.
    pub(crate) sha256: String,
}

/// The packages of all platforms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    packages: BTreeSet<Package>,
}

impl Lock {
    pub(crate) fn new(packages: impl IntoIterator<Item = Package>) -> Self {
        Self { packages: packages.into_iter().collect() }
    }

    /// Reads the lock file of this repository.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(path()).with_context(|| format!("read {PATH}; `{UPDATE}` writes it"))?;
        Self::parse(&text)
    }

    /// Writes the lock file of this repository, and returns whether it changed.
    pub(crate) fn write(&self) -> anyhow::Result<bool> {
        let text = self.text();
        if fs::read_to_string(path()).is_ok_and(|before| before == text) {
            return Ok(false);
        }
        fs::write(path(), text).with_context(|| format!("write {PATH}"))?;
        Ok(true)
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut packages = BTreeSet::new();
        let mut names = BTreeSet::new();
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (number, line) in lines {
            let package =
                package(line).with_context(|| format!("{PATH}:{number}: `{line}`; `{UPDATE}` writes it anew"))?;
            if !names.insert((package.platform, package.name.clone())) {
                bail!("{PATH}:{number}: {} stands here a second time; `{UPDATE}` writes the file anew", package.name);
            }
            packages.insert(package);
        }
        if packages.is_empty() {
            bail!("{PATH} lists no package; `{UPDATE}` writes it");
        }
        Ok(Self { packages })
    }

    fn text(&self) -> String {
        let line = |package: &Package| {
            let Package { platform, name, version, sha256 } = package;
            format!("{} {name} {version} {sha256}\n", platform.architecture())
        };
        HEADER.chars().chain(self.packages.iter().map(line).collect::<String>().chars()).collect()
    }

    /// Returns the packages of one platform, by name.
    pub(crate) fn of(&self, platform: Platform) -> anyhow::Result<Vec<&Package>> {
        let packages: Vec<_> = self.packages.iter().filter(|package| package.platform == platform).collect();
        if packages.is_empty() {
            bail!("{PATH} lists no package for {platform}; `{UPDATE}` writes it");
        }
        Ok(packages)
    }
}

fn path() -> PathBuf {
    cargo::root().join(PATH)
}

/// Reads one line. Its words become arguments of apt-get, so they may contain only the characters that Debian allows.
fn package(line: &str) -> anyhow::Result<Package> {
    let words: Vec<&str> = line.split(' ').collect();
    let [architecture, name, version, sha256] = words[..] else {
        bail!("a line is ARCHITECTURE NAME VERSION SHA256");
    };
    let platform = Platform::of_architecture(architecture)
        .with_context(|| format!("`{architecture}` is not an architecture of the images"))?;
    let consists_of = |word: &str, others: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if !consists_of(name, "+.-") {
        bail!("`{name}` is not the name of a Debian package");
    }
    if !consists_of(version, "+.-:~") {
        bail!("`{version}` is not a version of a Debian package");
    }
    if sha256.len() != 64 || !sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        bail!("`{sha256}` is not a SHA-256 in lower-case hexadecimal");
    }
    Ok(Package { platform, name: name.to_owned(), version: version.to_owned(), sha256: sha256.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "435176549a9f5c8bbadaa126b64a036b38ea34ad9f3eb128dc40b8407a5b5620";

    #[test]
    fn the_lock_file_of_this_repository_is_as_it_would_be_written() {
        let text = fs::read_to_string(path()).unwrap();
        let lock = Lock::parse(&text).unwrap();
        assert_eq!(lock.text(), text);
        for platform in Platform::ALL {
            let names: Vec<_> = lock.of(platform).unwrap().into_iter().map(|package| package.name.as_str()).collect();
            for needed in ["git", "openssh-client", "ca-certificates", "dash", "libc6"] {
                assert!(names.contains(&needed), "{platform}: {names:?}");
            }
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named_together_with_the_command_that_writes_the_file() {
        for (line, expected) in [
            ("amd64 git 1:2.39.5", "a line is ARCHITECTURE NAME VERSION SHA256"),
            (&format!("s390x git 1:2.39.5 {DIGEST}"), "`s390x` is not an architecture"),
            (&format!("amd64 -oX 1:2.39.5 {DIGEST}"), "`-oX` is not the name of a Debian package"),
            (&format!("amd64 git -oX {DIGEST}"), "`-oX` is not a version"),
            ("amd64 git 1:2.39.5 ABC", "`ABC` is not a SHA-256"),
        ] {
            let error = format!("{:#}", Lock::parse(&format!("# comment\n{line}\n")).unwrap_err());
            assert!(error.contains("xtask/image/packages.lock:2") && error.contains(expected), "{error}");
            assert!(error.contains("cargo xtask image --update"), "{error}");
        }
    }

    #[test]
    fn a_package_stands_once_for_each_platform() {
        let twice = format!("amd64 git 1 {DIGEST}\namd64 git 2 {DIGEST}\n");
        let error = Lock::parse(&twice).unwrap_err().to_string();
        assert!(error.contains("packages.lock:2: git stands here a second time"), "{error}");
        let both = Lock::parse(&format!("amd64 git 1 {DIGEST}\narm64 git 1 {DIGEST}\n")).unwrap();
        assert_eq!(both.of(Platform::Arm64).unwrap().len(), 1);
        let error = Lock::parse("# nothing\n").unwrap_err().to_string();
        assert!(error.contains("lists no package"), "{error}");
    }
}
