//! The Go modules from which programs are built, and the versions that their `go.mod` files pin.

use std::path::{Path, PathBuf};

/// Programs that are built from a Go module of this repository, and kept in one directory.
pub(crate) struct GoModule {
    /// The folder with its `go.mod` and `go.sum`.
    pub(crate) folder: &'static str,
    /// The programs, each with its Go package.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    /// The parts whose versions name the directory: a short name and the path of the Go module.
    pub(crate) parts: &'static [(&'static str, &'static str)],
    /// The content of its `go.mod`.
    pub(crate) go_mod: &'static str,
}

/// The name of the program that only some tests need.
pub(super) const CONTROLLERS: &str = "kube-controller-manager";

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane");
const GO_MOD: &str = include_str!("../../control-plane/go.mod");
const KUBERNETES: &str = "k8s.io/kubernetes";

/// The programs of the control plane. They are of one Go module, so Helm and kubectl share what they have in common with
/// the API server.
pub(super) const GO_MODULES: &[GoModule] = &[
    GoModule {
        folder: FOLDER,
        programs: &[
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
        parts: &[("kubernetes", KUBERNETES), ("etcd", "go.etcd.io/etcd/server/v3")],
        go_mod: GO_MOD,
    },
    GoModule {
        folder: FOLDER,
        programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
        parts: &[("helm", "helm.sh/helm/v4")],
        go_mod: GO_MOD,
    },
    GoModule {
        folder: FOLDER,
        programs: &[(CONTROLLERS, "k8s.io/kubernetes/cmd/kube-controller-manager")],
        parts: &[(CONTROLLERS, KUBERNETES)],
        go_mod: GO_MOD,
    },
];

impl GoModule {
    /// Returns its parts with their versions, such as `kubernetes-1.36.3`.
    pub(crate) fn versions(&self) -> Vec<String> {
        let version = |module| required_version(self.go_mod, module).unwrap_or("unknown");
        self.parts.iter().map(|(name, module)| format!("{name}-{}", version(module))).collect()
    }

    /// Returns the directory of its programs, which is named by their versions.
    pub(crate) fn directory(&self, cache: &Path) -> PathBuf {
        cache.join(self.versions().join("_"))
    }
}

/// Returns the flags of `go build` for the module with this `go.mod`: those of Kubernetes' own releases. The linker sets
/// the version of kubectl, without which kubectl can't read that of the API server.
pub(super) fn build_flags(go_mod: &str) -> Vec<String> {
    let mut linker = "-s -w".to_owned();
    if let Some(version) = required_version(go_mod, KUBERNETES) {
        let (major, rest) = version.split_once('.').unwrap_or((version, ""));
        let minor = rest.split('.').next().unwrap_or_default();
        for (name, value) in [("gitVersion", &*format!("v{version}")), ("gitMajor", major), ("gitMinor", minor)] {
            linker.push_str(&format!(" -X k8s.io/component-base/version.{name}={value}"));
        }
    }
    // Without the tracing of gRPC the linker leaves out what nobody calls. The linker drops what debuggers read (`-w`), and
    // a tenth of the build is making it.
    let flags = ["-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-tags=grpcnotrace", "-ldflags", &linker];
    flags.map(str::to_owned).into()
}

/// Returns the version of `module` that a `go.mod` requires, without its `v`.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next() == Some(module)).then(|| words.next()).flatten()?.strip_prefix('v')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_a_require_line_and_in_a_block() {
        let go_mod = "module x\ntool k8s.io/kubernetes/cmd/kubectl\nrequire k8s.io/kubernetes v1.36.3 // indirect\nrequire (\n\ta.b/c v2.0.0\n)";
        assert_eq!(required_version(go_mod, "k8s.io/kubernetes"), Some("1.36.3"));
        assert_eq!(required_version(go_mod, "a.b/c"), Some("2.0.0"));
        assert_eq!(required_version(go_mod, "a.b"), None);
    }

    #[test]
    fn every_module_pins_every_part_of_its_directory_name_and_its_programs() {
        for module in GO_MODULES {
            for version in module.versions() {
                assert!(!version.ends_with("unknown"), "{}: {version}", module.folder);
            }
            for (_, package) in module.programs {
                assert!(
                    module.go_mod.contains(&format!("\t{package}\n")),
                    "{package} is no `tool` of {}",
                    module.folder
                );
            }
        }
    }

    #[test]
    fn helm_has_the_libraries_of_the_control_plane() {
        let version = required_version(GO_MOD, KUBERNETES).unwrap();
        let library = version.replacen("1.", "0.", 1);
        assert!(GO_MOD.contains(&format!("\tk8s.io/client-go => k8s.io/client-go v{library}\n")));
    }

    #[test]
    fn the_linker_gets_the_version_of_kubernetes() {
        let flags = build_flags(GO_MOD).join(" ");
        assert!(flags.contains("version.gitVersion=v1.") && flags.contains("version.gitMajor=1 "), "{flags}");
        assert!(build_flags("module x").join(" ").ends_with("-ldflags -s -w"));
    }
}
