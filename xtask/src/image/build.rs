//! Builds the programs of images and releases: optimized, stripped, and without a trace of the machine that builds them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::content::Image;
use super::platform::Platform;
use crate::cargo::{self, cargo};
use crate::command;

/// The commit of which images are built.
pub(crate) struct Revision {
    /// The commit, and `-dirty` if files differ from it.
    pub(crate) name: String,
    /// The time of the commit, as RFC 3339.
    pub(crate) time: String,
}

impl Revision {
    /// Reads the commit that is checked out.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let shown = git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%H %cd"])?;
        let words: Vec<&str> = shown.split_whitespace().collect();
        let [commit, time] = words[..] else { bail!("`git log` printed `{shown}`") };
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let name = if changed { format!("{commit}-dirty") } else { commit.to_owned() };
        Ok(Self { name, time: time.to_owned() })
    }
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    output(Command::new("git").args(arguments).env("TZ", "UTC"))
        .context("an image names the commit that it is built from")
}

/// Programs to build.
pub(crate) struct Build<'a> {
    pub(crate) packages: Vec<&'a str>,
    pub(crate) platform: Platform,
    /// The target of the Rust compiler.
    pub(crate) target: &'a str,
    /// The compiler for C code, if it is not the usual one of the target.
    pub(crate) c_compiler: Option<&'a str>,
    /// Flags of the Rust compiler.
    pub(crate) flags: &'a [&'a str],
    /// The folder below the target directory. Builds with the same flags may share one.
    pub(crate) folder: &'a str,
}

/// Builds the programs of images, and returns the directory in which they are.
pub(crate) fn build(images: &[&Image], platform: Platform) -> anyhow::Result<PathBuf> {
    let packages = images.iter().map(|image| image.name).collect();
    let target = platform.rust_target();
    build_programs(&Build { packages, platform, target, c_compiler: None, flags: &[], folder: "image" })
}

/// Builds programs, and returns the directory in which they are. Each has a build of its own: packages that are built
/// together share the features of their crates, so the bytes of each would depend on the others.
pub(crate) fn build_programs(programs: &Build) -> anyhow::Result<PathBuf> {
    let metadata = cargo::metadata()?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    let target = Path::new(target).join(programs.folder);
    let moved = moved_paths(&target)?;
    for package in &programs.packages {
        eprintln!("Building {package} for {} (minutes, if nothing was built before).", programs.platform);
        build_program(programs, package, &target, &moved)?;
    }
    Ok(target.join(programs.target).join("release"))
}

fn build_program(programs: &Build, package: &str, target: &Path, moved: &[(String, String)]) -> anyhow::Result<()> {
    let mut build = cargo(["build", "--release", "--locked", "--bins", "--target", programs.target]);
    build.args(["--package", package]).arg("--target-dir").arg(target);
    let mut compiler: Vec<String> = moved.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    compiler.extend(programs.flags.iter().map(|&flag| flag.to_owned()));
    let c: Vec<String> = moved.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    // A flag of the user's own would give other bytes.
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", compiler.join("\u{1f}"));
    // Not the time of the commit: a program names no time, and every C library would be compiled again.
    build.env("CFLAGS", c.join(" ")).env("SOURCE_DATE_EPOCH", "0");
    build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols").env("CARGO_INCREMENTAL", "0");
    build.env("ZERO_AR_DATE", "1").env("LC_ALL", "C").env("TZ", "UTC");
    if !programs.platform.is_of_this_machine() {
        cross(&mut build, programs.platform, programs.target)?;
    }
    if let Some(compiler) = programs.c_compiler {
        build.env(format!("CC_{}", programs.target.replace('-', "_")), compiler);
    }
    cargo::run(build)
}

/// Returns whether the standard library of Rust for a target is installed.
pub(crate) fn has_standard_library(target: &str) -> anyhow::Result<bool> {
    let library = output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(&library).is_dir())
}

/// Returns whether a program of this machine can be started.
pub(crate) fn starts(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Sets the C compiler and linker of another platform, or fails with what is missing.
fn cross(build: &mut Command, platform: Platform, target: &str) -> anyhow::Result<()> {
    let compiler = platform.cross_compiler();
    let mut missing = Vec::new();
    if !has_standard_library(target)? {
        missing.push(format!("the standard library of Rust for it: rustup target add {target}"));
    }
    if !starts(compiler) {
        let name = compiler.trim_end_matches("-gcc").replace('_', "-");
        missing.push(format!("a C compiler for it: apt-get install gcc-{name}"));
    }
    if !missing.is_empty() {
        bail!("this machine can't build for {platform}. It needs\n  {}", missing.join("\n  "));
    }
    let variable = target.replace('-', "_");
    build.env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), compiler);
    build.env(format!("CC_{variable}"), compiler);
    Ok(())
}

/// Returns the paths of this machine that a compiler would write into a program, and what it writes instead.
fn moved_paths(target: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut moved = vec![(cargo::root().display().to_string(), "/rototo".to_owned())];
    // The folder is named by the registry, which may be a mirror.
    for folder in registries()? {
        moved.push((folder.display().to_string(), "/crates".to_owned()));
    }
    let version = output(Command::new("rustc").arg("-vV"))?;
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if let Some(commit) = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")) {
        // With the component `rust-src`, the compiler finds its own source on this machine.
        moved.push((format!("{}/lib/rustlib/src/rust", sysroot), format!("/rustc/{commit}")));
    }
    // The last one that fits counts, and the target directory is usually below the root.
    moved.push((target.display().to_string(), "/target".to_owned()));
    Ok(moved)
}

/// Returns the folders in which cargo unpacks crates.
fn registries() -> anyhow::Result<Vec<PathBuf>> {
    let metadata = cargo::metadata_with_dependencies()?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    let foreign = packages.iter().filter(|package| !package["source"].is_null());
    // …/registry/src/REGISTRY/CRATE-VERSION/Cargo.toml
    let folders = foreign.filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent()?.parent());
    let mut folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
    folders.sort();
    folders.dedup();
    Ok(folders)
}

/// Returns the C flags and versions that matter for the bytes, for people who compare two builds.
pub(crate) fn compiler() -> anyhow::Result<String> {
    output(Command::new("rustc").arg("--version"))
}

fn output(program: &mut Command) -> anyhow::Result<String> {
    command::output(program.current_dir(cargo::root()))
}

/// Returns the version of a package of this cargo workspace.
pub(crate) fn version(package: &str) -> anyhow::Result<String> {
    let metadata = cargo::metadata()?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    let found = packages.iter().find(|found| found["name"] == package);
    let version = found.and_then(|package| package["version"].as_str());
    Ok(version.with_context(|| format!("`cargo metadata` has no version of {package}"))?.to_owned())
}

/// Returns the file of a built program.
pub(crate) fn program(directory: &Path, image: &Image) -> anyhow::Result<Vec<u8>> {
    let path = directory.join(OsString::from(image.name));
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}
