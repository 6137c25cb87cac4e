//! Builds programs of one Go module into the cache: once, even if several processes ask, and either completely or not at
//! all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::go_module::{GoModule, build_flags};
use crate::progress::{self, MeasuredBuild};
use crate::{command, folder};

/// The time of one core for a usual package, in milliseconds.
const PACKAGE_MS: u64 = 220;

/// The memory up to which one process of Go's compiler, of which there is one for each core, collects no garbage. For two large
/// packages the processor time fell from 63 s to 54 s.
const GO_MEMORY: &str = "1536MiB";

/// The build of what is missing. While it exists, no other process builds into the same cache.
pub(crate) struct GoBuild {
    missing: Vec<&'static GoModule>,
    cache: PathBuf,
    staging: PathBuf,
    _lock: File,
}

/// Builds `module`, or waits if another process is building it.
pub(crate) fn build(module: &'static GoModule, cache: &Path) -> anyhow::Result<()> {
    let Some(build) = GoBuild::of(&[module], cache)? else { return Ok(()) };
    progress::run([build.begin()])?;
    build.finish()
}

impl GoBuild {
    /// Prepares the build of those of `modules`, which have one `go.mod`, that are missing in the cache. `None` if none is.
    pub(crate) fn of(modules: &[&'static GoModule], cache: &Path) -> anyhow::Result<Option<Self>> {
        fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
        let lock = lock(&cache.join("lock"))?;
        let missing = modules.iter().copied().filter(|module| !module.directory(cache).is_dir());
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let staging = cache.join("building");
        Ok(Some(Self { missing, cache: cache.to_owned(), staging, _lock: lock }))
    }

    /// Returns the build that makes all missing programs, so that what they share is compiled once.
    pub(crate) fn begin(&self) -> anyhow::Result<MeasuredBuild> {
        let programs: Vec<_> = self.programs().map(|(program, _)| program).collect();
        let programs = programs.join(", ");
        let versions: Vec<_> = self.missing.iter().flat_map(|module| module.versions()).collect();
        eprintln!("Building {} from Go modules, once, into {}.", versions.join(" and "), self.cache.display());
        folder::remove(&self.staging)?;
        let advice = format!(
            "run `go`, which builds {programs}: install Go 1.26 or newer, and run the command again. (For a control plane, \
             KUBEBUILDER_ASSETS may instead name a directory that has the programs.)"
        );
        eprintln!("  fetching the Go modules");
        let total = self.packages().with_context(|| advice.clone())?;
        let mut command = self.go("build");
        // Go treats a path that ends in a slash as a directory, and creates it.
        command.arg("-v").arg("-o").arg(self.staging.join("")).args(self.programs().map(|(_, package)| package));
        Ok(MeasuredBuild { what: "Go packages", command, total, step_ms: PACKAGE_MS, step: package, advice })
    }

    /// Returns the number of packages of all programs. This fetches their modules.
    fn packages(&self) -> anyhow::Result<usize> {
        let mut list = self.go("list");
        let packages = command::output(list.arg("-deps").args(self.programs().map(|(_, package)| package)))?;
        Ok(packages.lines().filter(|line| !line.is_empty()).count())
    }

    fn go(&self, command: &str) -> Command {
        let module = self.missing[0];
        let mut go = Command::new("go");
        go.arg(command).args(build_flags(module.go_mod)).current_dir(module.folder).env("CGO_ENABLED", "0");
        go.env("GOGC", "off").env("GOMEMLIMIT", GO_MEMORY);
        go
    }

    fn programs(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.missing.iter().flat_map(|module| module.programs.iter().copied())
    }

    /// Moves the programs into the cache.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        for module in &self.missing {
            let complete = self.staging.join("complete");
            fs::create_dir(&complete).with_context(|| format!("create {}", complete.display()))?;
            for (program, package) in module.programs {
                let built = self.staging.join(name_by_go(package));
                fs::rename(&built, complete.join(program)).with_context(|| format!("find {}", built.display()))?;
            }
            let finished = module.directory(&self.cache);
            let moved = fs::rename(&complete, &finished);
            moved.with_context(|| format!("move the programs to {}", finished.display()))?;
        }
        folder::remove(&self.staging)
    }
}

/// Returns the name that Go gives to the program of a package: the last part of its path that is no version.
fn name_by_go(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

/// Returns the package that a line of `go build -v` names.
fn package(line: &str) -> Option<&str> {
    Some(line).filter(|line| !line.contains(' ') && !line.starts_with('#') && !line.is_empty())
}

/// Returns a lock that is held until it is dropped. The kernel releases it when this process ends for any reason.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("Another process is building into the same cache; waiting for it.");
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_names_a_program_by_its_path() {
        assert_eq!(name_by_go("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(name_by_go("k8s.io/kubernetes/cmd/kubectl"), "kubectl");
        assert_eq!(name_by_go("helm.sh/helm/v4/cmd/helm"), "helm");
    }

    #[test]
    fn a_line_without_words_is_a_package() {
        assert_eq!(package("net/http"), Some("net/http"));
        for line in ["go: downloading k8s.io/api v0.36.3", "# k8s.io/api", "a.go:1:2: undefined: x", ""] {
            assert_eq!(package(line), None, "{line}");
        }
    }
}
