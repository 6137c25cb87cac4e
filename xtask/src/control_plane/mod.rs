//! Supplies the programs of a real control plane: etcd, kube-apiserver, kubectl, and helm, and kube-controller-manager for
//! those who need it.
//!
//! Each program is taken from `$KUBEBUILDER_ASSETS`, or else from the cache of the project, or else built into that
//! cache with Go, once. The cache is `$ROTOTO_CACHE_DIR`, or `~/.cache/rototo`. A directory below it is named by the
//! versions that it holds, and exists only when it is complete.

mod build;
mod go_module;

pub(crate) use build::{GoBuild, build};
pub(crate) use go_module::GoModule;

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::progress;
use go_module::{CONTROLLERS, GO_MODULES};

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The path of etcd, which stores the data of the API server.
    pub etcd: PathBuf,
    /// The path of the API server.
    pub kube_apiserver: PathBuf,
    /// The path of kubectl.
    pub kubectl: PathBuf,
    /// The path of helm, which installs the chart.
    pub helm: PathBuf,
}

/// Supplies all programs, and prints their paths.
pub fn run() -> anyhow::Result<()> {
    println!("{}", Programs::ensure_with_controllers()?);
    println!("{}", Programs::locate_controllers()?.display());
    Ok(())
}

impl Programs {
    /// Finds the programs without building any.
    pub fn locate() -> anyhow::Result<Self> {
        let places = ProgramDirectories::from_environment()?;
        Self::lookup(|program| places.find(program))
    }

    /// Returns the build of the programs that are missing, if one is.
    pub(crate) fn missing() -> anyhow::Result<Option<GoBuild>> {
        missing(|program| program != CONTROLLERS)
    }

    /// Finds the programs, and builds the missing ones: once, in minutes, with progress on stderr.
    pub fn ensure() -> anyhow::Result<Self> {
        ensure(|program| program != CONTROLLERS)?;
        Self::locate()
    }

    /// Does the same as [`Programs::ensure`], and finds or builds the controllers too.
    pub fn ensure_with_controllers() -> anyhow::Result<Self> {
        ensure(|_| true)?;
        Self::locate()
    }

    /// Finds one program, and builds only that if it is missing.
    pub fn ensure_only(program: &str) -> anyhow::Result<PathBuf> {
        ensure(|other| other == program)?;
        let found = ProgramDirectories::from_environment()?.find(program);
        found.with_context(|| format!("no Go module of this project has `{program}`"))
    }

    /// Finds the controllers, which collect garbage and delete namespaces, without building them.
    pub fn locate_controllers() -> anyhow::Result<PathBuf> {
        let places = ProgramDirectories::from_environment()?;
        found(CONTROLLERS, |program| places.find(program))
    }

    fn lookup(find: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            etcd: found("etcd", &find)?,
            kube_apiserver: found("kube-apiserver", &find)?,
            kubectl: found("kubectl", &find)?,
            helm: found("helm", &find)?,
        })
    }
}

fn found(program: &str, find: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    find(program).with_context(|| {
        format!(
            "`{program}` is neither in $KUBEBUILDER_ASSETS nor in the cache: `cargo xtask control-plane` supplies it"
        )
    })
}

/// Builds the missing ones of the programs that are wanted.
fn ensure(wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let Some(build) = missing(wanted)? else { return Ok(()) };
    progress::run([build.begin()])?;
    build.finish()
}

/// Returns the build of those programs that are wanted and missing, if there are any.
fn missing(wanted: impl Fn(&str) -> bool) -> anyhow::Result<Option<GoBuild>> {
    let places = ProgramDirectories::from_environment()?;
    let is_missing = |program: &str| wanted(program) && places.find(program).is_none();
    let modules = GO_MODULES.iter().filter(|module| module.programs.iter().any(|(program, _)| is_missing(program)));
    let modules: Vec<_> = modules.collect();
    if modules.is_empty() { Ok(None) } else { GoBuild::of(&modules, &places.cache) }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = [&self.etcd, &self.kube_apiserver, &self.kubectl, &self.helm];
        let lines: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Returns the directory for programs that are built once.
pub fn cache_directory() -> anyhow::Result<PathBuf> {
    match (env::var_os("ROTOTO_CACHE_DIR"), env::home_dir()) {
        (Some(directory), _) if !directory.is_empty() => Ok(PathBuf::from(directory)),
        (_, Some(home)) => Ok(home.join(".cache/rototo")),
        (_, None) => bail!("there is no home directory for the cache: set ROTOTO_CACHE_DIR"),
    }
}

/// The directories in which the programs may be.
struct ProgramDirectories {
    assets: Option<PathBuf>,
    cache: PathBuf,
}

impl ProgramDirectories {
    fn from_environment() -> anyhow::Result<Self> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self { assets, cache: cache_directory()?.join("control-plane") })
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let built = GO_MODULES.iter().map(|module| module.directory(&self.cache));
        self.assets.clone().into_iter().chain(built).map(|place| place.join(program)).find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn put(directory: &Path, program: &str) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        let path = directory.join(program);
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn a_program_from_the_assets_directory_takes_precedence_over_the_cached_one() {
        let root = tempfile::tempdir().unwrap();
        let places = ProgramDirectories { assets: Some(root.path().join("assets")), cache: root.path().join("cache") };
        let cached = put(&GO_MODULES[0].directory(&places.cache), "etcd");
        assert_eq!(places.find("etcd"), Some(cached));
        let asset = put(&root.path().join("assets"), "etcd");
        assert_eq!(places.find("etcd"), Some(asset));
    }

    #[test]
    fn a_missing_program_is_named_together_with_the_command_that_supplies_it() {
        let error = Programs::lookup(|program| (program != "helm").then(|| PathBuf::from(program))).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("`helm`") && message.contains("cargo xtask control-plane"), "{message}");
    }
}
