//! Supplies the programs of Prometheus: promtool, which checks and tests the alerts of the chart, and the server, against
//! which tests measure rollouts.
//!
//! Each is that of this machine, or that of Debian's package `prometheus`, which is downloaded once into the cache of the
//! project (`$ROTOTO_CACHE_DIR`, or `~/.cache/rototo`) and is not installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::command;
use crate::control_plane::cache_directory;

/// Debian's package with the programs.
const PACKAGE: &str = "prometheus";
/// The directory of the programs in that package.
const PROGRAMS: &str = "usr/bin";

/// Finds promtool, or downloads it.
pub fn promtool() -> anyhow::Result<PathBuf> {
    ensure("promtool")
}

/// Finds the server, or downloads it.
pub fn server() -> anyhow::Result<PathBuf> {
    ensure("prometheus")
}

fn ensure(name: &str) -> anyhow::Result<PathBuf> {
    let mut installed = Command::new(name);
    if installed.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
        return Ok(PathBuf::from(name));
    }
    let cache = cache_directory()?;
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let place = cache.join(name);
    // Several programs may start at once.
    let lock = File::create(cache.join(format!("{name}.lock")));
    let lock = lock.with_context(|| format!("create the lock of the download of {name}"))?;
    lock.lock().with_context(|| format!("lock the download of {name}"))?;
    let program = Path::new(PROGRAMS).join(name);
    if !place.join(&program).is_file() {
        eprintln!("{name} is not installed: downloading Debian's package `{PACKAGE}` into {}", place.display());
        let unpacked = cache.join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(&unpacked).with_context(|| format!("create {}", unpacked.display()))?;
        let fetched = fetch(&unpacked, &program).with_context(|| {
            format!(
                "{name} is neither installed nor downloaded: install it (it is part of Prometheus), or see why apt-get \
                 could not download it"
            )
        });
        let moved = fetched.and_then(|()| {
            fs::rename(unpacked.join("root"), &place).with_context(|| format!("write {}", place.display()))
        });
        let _ = fs::remove_dir_all(&unpacked);
        moved?;
    }
    Ok(place.join(program))
}

fn fetch(directory: &Path, program: &Path) -> anyhow::Result<()> {
    // A fresh machine has no package lists, or old ones.
    if run(directory, "apt-get", &["download", PACKAGE]).is_err() {
        run(directory, "apt-get", &["update", "--quiet"])?;
        run(directory, "apt-get", &["download", PACKAGE])?;
    }
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let package = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.context("apt-get downloaded no package")?.display().to_string();
    run(directory, "dpkg-deb", &["--extract", &package, "all"])?;
    let (from, to) = (directory.join("all").join(program), directory.join("root").join(program));
    fs::create_dir_all(to.parent().context("the program is in a folder")?).context("create the program's folder")?;
    fs::rename(&from, &to).with_context(|| format!("the package `{PACKAGE}` has no {}", program.display()))
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    command::output(Command::new(program).args(arguments).current_dir(directory)).map(drop)
}
