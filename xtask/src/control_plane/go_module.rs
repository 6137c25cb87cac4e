//! The Go modules from which the programs are built, and the versions that their `go.mod` files pin.

use std::path::Path;

/// A Go module of this repository whose `tool` lines are programs of the control plane.
pub(crate) struct GoModule {
    /// The folder with its `go.mod` and `go.sum`.
    pub(crate) folder: &'static str,
    /// The programs that its build makes, by their final names.
    pub(crate) programs: &'static [&'static str],
    /// The programs that Go gives another name: Go's name and the final one.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
    /// The time of a build from scratch, measured on 2 cores.
    pub(crate) duration: &'static str,
    /// The parts whose versions name the directory: a short name and the path of the Go module.
    pub(crate) parts: &'static [(&'static str, &'static str)],
    /// The content of its `go.mod`.
    pub(crate) go_mod: &'static str,
}

pub(crate) const GO_MODULES: &[GoModule] = &[
    GoModule {
        folder: concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane/kubernetes"),
        programs: &["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"],
        renamed: &[("server", "etcd")],
        duration: "7 minutes",
        parts: &[("kubernetes", KUBERNETES), ("etcd", "go.etcd.io/etcd/server/v3")],
        go_mod: include_str!("../../control-plane/kubernetes/go.mod"),
    },
    GoModule {
        folder: concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane/helm"),
        programs: &["helm"],
        renamed: &[],
        duration: "2 minutes",
        parts: &[("helm", "helm.sh/helm/v4")],
        go_mod: include_str!("../../control-plane/helm/go.mod"),
    },
];

const KUBERNETES: &str = "k8s.io/kubernetes";

impl GoModule {
    /// Returns its parts with their versions, such as `kubernetes-1.36.3`.
    pub(crate) fn versions(&self) -> Vec<String> {
        let version = |module| required_version(self.go_mod, module).unwrap_or("unknown");
        self.parts.iter().map(|(name, module)| format!("{name}-{}", version(module))).collect()
    }

    /// Returns the folder in which `go` runs.
    pub(crate) fn folder(&self) -> &'static Path {
        Path::new(self.folder)
    }

    /// Returns the flags of the linker. They set the version of kubectl, without which kubectl can't read that of the
    /// API server.
    pub(crate) fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        if let Some(version) = required_version(self.go_mod, KUBERNETES) {
            let (major, rest) = version.split_once('.').unwrap_or((version, ""));
            let minor = rest.split('.').next().unwrap_or_default();
            for (name, value) in [("gitVersion", &*format!("v{version}")), ("gitMajor", major), ("gitMinor", minor)] {
                flags.push_str(&format!(" -X k8s.io/component-base/version.{name}={value}"));
            }
        }
        flags
    }
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
    fn every_module_pins_every_part_of_its_directory_name() {
        for module in GO_MODULES {
            for version in module.versions() {
                assert!(!version.ends_with("unknown"), "{}: {version}", module.folder);
            }
        }
    }

    #[test]
    fn the_linker_gets_the_version_of_kubernetes() {
        let flags = GO_MODULES[0].linker_flags();
        assert!(flags.contains("version.gitVersion=v1.") && flags.contains("version.gitMajor=1 "), "{flags}");
        assert_eq!(GO_MODULES[1].linker_flags(), "-s -w");
    }
}
