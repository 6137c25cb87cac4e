//! Supplies the programs of a real control plane: etcd, kube-apiserver, kube-controller-manager, kubectl, and helm.
//!
//! Each program is taken from `$KUBEBUILDER_ASSETS`, or else from the cache of the project, or else built into that
//! cache with Go, once. The cache is `$ROTOTO_CACHE_DIR`, or `~/.cache/rototo`. A directory below it is named by the
//! versions that it holds, and exists only when it is complete.

mod build;
mod go_module;

pub(crate) use build::build;
pub(crate) use go_module::GoModule;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use go_module::GO_MODULES;

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The path of etcd, which stores the data of the API server.
    pub etcd: PathBuf,
    /// The path of the API server.
    pub kube_apiserver: PathBuf,
    /// The path of the controllers, which collect garbage and delete namespaces.
    pub kube_controller_manager: PathBuf,
    /// The path of kubectl.
    pub kubectl: PathBuf,
    /// The path of helm, which installs the chart.
    pub helm: PathBuf,
}

impl Programs {
    /// Finds the programs without building any.
    pub fn locate() -> anyhow::Result<Self> {
        let places = ProgramDirectories::from_environment()?;
        Self::lookup(|program| places.find(program))
    }

    /// Finds the programs, and builds the missing ones: once, in minutes, with progress on stderr.
    pub fn ensure() -> anyhow::Result<Self> {
        let places = ProgramDirectories::from_environment()?;
        for module in GO_MODULES {
            if module.programs.iter().any(|program| places.find(program).is_none()) {
                build(module, &places.cache)?;
            }
        }
        Self::locate()
    }

    /// Finds one program, and builds only its module if it is missing.
    pub fn ensure_only(program: &str) -> anyhow::Result<PathBuf> {
        let places = ProgramDirectories::from_environment()?;
        if let Some(path) = places.find(program) {
            return Ok(path);
        }
        for module in GO_MODULES.iter().filter(|module| module.programs.contains(&program)) {
            build(module, &places.cache)?;
        }
        places.find(program).with_context(|| format!("no Go module of this project has `{program}`"))
    }

    fn lookup(find: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<Self> {
        let found = |program: &str| {
            find(program).with_context(|| {
                format!("`{program}` is neither in $KUBEBUILDER_ASSETS nor in the cache: `cargo xtask control-plane` supplies it")
            })
        };
        Ok(Self {
            etcd: found("etcd")?,
            kube_apiserver: found("kube-apiserver")?,
            kube_controller_manager: found("kube-controller-manager")?,
            kubectl: found("kubectl")?,
            helm: found("helm")?,
        })
    }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = [&self.etcd, &self.kube_apiserver, &self.kube_controller_manager, &self.kubectl, &self.helm];
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
        let built = GO_MODULES.iter().filter(|module| module.programs.contains(&program));
        let built = built.map(|module| module.directory(&self.cache));
        self.assets.clone().into_iter().chain(built).map(|place| place.join(program)).find(|path| path.is_file())
    }
}

impl GoModule {
    /// Returns the directory of its programs, which is named by their versions.
    pub(crate) fn directory(&self, cache: &Path) -> PathBuf {
        cache.join(self.versions().join("_"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
