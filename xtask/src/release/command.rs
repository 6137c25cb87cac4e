//! The `rototo` command as one static program, and the archives of it: for people, and for kubectl as a plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::ReleaseArtifact;
use crate::image::build::{self, Build};
use crate::image::files::{Entry, Files, gzip};
use crate::image::platform::Platform;
use crate::licences;

/// The package of the command.
pub(crate) const PACKAGE: &str = "rototo-cli";
/// The name of the command's program.
const PROGRAM: &str = "rototo";
/// The name under which kubectl finds the same program.
pub(crate) const PLUGIN: &str = "kubectl-rototo";

/// A way to build a program that needs no library of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StaticBuild {
    pub(crate) platform: Platform,
    /// The target of the Rust compiler, which names the archives.
    pub(crate) target: &'static str,
    c_compiler: Option<&'static str>,
    flags: &'static [&'static str],
}

/// Names of hosts are resolved by musl itself, so that the program runs on every distribution.
const MUSL: StaticBuild = StaticBuild {
    platform: Platform::Amd64,
    target: "x86_64-unknown-linux-musl",
    c_compiler: Some("musl-gcc"),
    flags: &[],
};

/// Returns the C library of GNU, linked statically.
const fn gnu(platform: Platform, target: &'static str) -> StaticBuild {
    StaticBuild { platform, target, c_compiler: None, flags: &["-Ctarget-feature=+crt-static"] }
}

/// Returns how the command is built for a platform on this machine.
pub(crate) fn static_build(platform: Platform) -> anyhow::Result<StaticBuild> {
    Ok(chosen(platform, build::has_standard_library(MUSL.target)?, build::starts("musl-gcc")))
}

/// Chooses musl if the machine has all that it needs. There is no C compiler for musl on arm64 in Debian.
fn chosen(platform: Platform, has_library: bool, has_compiler: bool) -> StaticBuild {
    match platform {
        Platform::Amd64 if has_library && has_compiler => MUSL,
        Platform::Amd64 | Platform::Arm64 => gnu(platform, platform.rust_target()),
    }
}

impl StaticBuild {
    /// Says what is lost in comparison with the best way, if anything is.
    pub(crate) fn note(&self) -> Option<String> {
        let prefix = format!("The command for {} is linked with the C library of GNU", self.platform);
        let why = match self.platform {
            _ if self.target == MUSL.target => return None,
            Platform::Amd64 => format!(
                "because this machine lacks the target or the compiler of musl (`rustup target add {}`, `apt-get install musl-tools`)",
                MUSL.target
            ),
            Platform::Arm64 => "and was not run: this machine runs no programs of it".to_owned(),
        };
        Some(format!("{prefix}, {why}."))
    }

    /// Builds the program, or takes it from a directory, and returns its bytes.
    pub(crate) fn program(&self, programs: Option<&Path>) -> anyhow::Result<Vec<u8>> {
        let folder: PathBuf = match programs {
            Some(programs) => programs.to_owned(),
            None => build::build_programs(&Build {
                packages: vec![PACKAGE],
                platform: self.platform,
                target: self.target,
                c_compiler: self.c_compiler,
                flags: self.flags,
                folder: "command",
            })?,
        };
        let path = folder.join(PROGRAM);
        let program = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        must_be_static(&program).with_context(|| format!("check {}", path.display()))?;
        Ok(program)
    }
}

/// Fails if a program asks for libraries of the system. A script, such as one that a test uses, asks for none.
fn must_be_static(program: &[u8]) -> anyhow::Result<()> {
    let libraries = crate::image::elf::needs(program)?.map(|needs| needs.libraries).unwrap_or_default();
    if !libraries.is_empty() {
        bail!("the program needs {}, and the command of a release needs no library", libraries.join(", "));
    }
    Ok(())
}

/// Returns the archive of the command, with one folder in it, and the archive of the plugin, which krew unpacks.
pub(crate) fn archives(version: &str, target: &str, program: &[u8]) -> anyhow::Result<[ReleaseArtifact; 2]> {
    let folder = format!("rototo-{version}-{target}");
    let archive = |name: String, folder: &str, program_name: &str| -> anyhow::Result<ReleaseArtifact> {
        let mut files = Files::default();
        files.insert(&format!("{folder}{program_name}"), Entry::File(0o755, program.to_vec()));
        licences::insert(&mut files, folder)?;
        Ok(ReleaseArtifact { name, bytes: gzip(&files.tar()?)? })
    };
    Ok([
        archive(format!("{folder}.tar.gz"), &format!("{folder}/"), PROGRAM)?,
        archive(plugin_archive(version, target), "", PLUGIN)?,
    ])
}

/// Returns the name of the plugin's archive.
pub(crate) fn plugin_archive(version: &str, target: &str) -> String {
    format!("{PLUGIN}-{version}-{target}.tar.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_is_chosen_where_library_and_compiler_are_there_and_arm_is_linked_with_gnu() {
        assert_eq!(chosen(Platform::Amd64, true, true), MUSL);
        for (library, compiler) in [(true, false), (false, true), (false, false)] {
            let way = chosen(Platform::Amd64, library, compiler);
            assert_eq!((way.target, way.flags), ("x86_64-unknown-linux-gnu", &["-Ctarget-feature=+crt-static"][..]));
            assert!(way.note().unwrap().contains("musl-tools"));
        }
        assert_eq!(chosen(Platform::Arm64, true, true).target, "aarch64-unknown-linux-gnu");
        assert_eq!(MUSL.note(), None);
    }

    #[test]
    fn both_archives_have_the_program_under_their_own_name_and_the_licences() {
        let target = "x86_64-unknown-linux-musl";
        let [command, plugin] = archives("0.1.0", target, b"#!/bin/sh\n").unwrap();
        assert_eq!(command.name, "rototo-0.1.0-x86_64-unknown-linux-musl.tar.gz");
        assert_eq!(plugin.name, "kubectl-rototo-0.1.0-x86_64-unknown-linux-musl.tar.gz");
        let files = |artifact: &ReleaseArtifact| {
            let files = Files::unpack(flate2::read::GzDecoder::new(artifact.bytes.as_slice())).unwrap();
            files.iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>()
        };
        let folder = format!("rototo-0.1.0-{target}");
        let expected = ["", "/LICENSE-APACHE", "/LICENSE-MIT", "/rototo"].map(|path| format!("{folder}{path}"));
        assert_eq!(files(&command), expected);
        assert_eq!(files(&plugin), ["LICENSE-APACHE", "LICENSE-MIT", "kubectl-rototo"]);
        let again = archives("0.1.0", target, b"#!/bin/sh\n").unwrap();
        assert!(again[0].bytes == command.bytes && again[1].bytes == plugin.bytes);
    }

    #[test]
    fn a_program_that_needs_libraries_is_refused_with_their_names() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = must_be_static(&own).unwrap_err().to_string();
        assert!(error.contains("libc.so.6"), "{error}");
    }
}
