//! The manifest by which krew, the package manager of kubectl, installs the plugin.

use std::fmt::Write;

use super::command::PLUGIN;
use crate::image::platform::Platform;
use crate::licences::LICENCES;

/// The name of the file, which in an index of krew is that of the plugin.
pub(crate) const NAME: &str = "rototo.yaml";

/// An archive of the plugin.
pub(crate) struct Download {
    pub(crate) platform: Platform,
    /// The file name of the archive.
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// The addresses at which a release can be found.
pub(crate) struct Addresses {
    /// The address of the repository.
    pub(crate) homepage: String,
    /// The address of the release's files, without the slash at its end.
    pub(crate) files: String,
}

impl Addresses {
    /// Returns the addresses of a repository whose host serves the files of a release below `releases/download/TAG`. Without
    /// a repository they are examples.
    pub(crate) fn of(source: Option<&str>, version: &str) -> Self {
        let homepage = source.unwrap_or("https://example.com/rototo").trim_end_matches('/').to_owned();
        Self { files: format!("{homepage}/releases/download/v{version}"), homepage }
    }
}

/// Returns the manifest.
pub(crate) fn manifest(version: &str, addresses: &Addresses, downloads: &[Download]) -> String {
    let mut text = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\n\
         kind: Plugin\n\
         metadata:\n\
         \x20 name: rototo\n\
         spec:\n\
         \x20 version: {version}\n\
         \x20 homepage: {homepage}\n\
         \x20 shortDescription: Shows whether every process runs a change\n\
         \x20 description: |\n\
         \x20   Shows which processes of a Kubernetes cluster run a change of their runtime configuration, waits until all\n\
         \x20   of them do, and names those that do not. It also checks workspaces, resolves variables, and compares two\n\
         \x20   versions of a workspace.\n\
         \x20 caveats: |\n\
         \x20   `kubectl rototo status`, `wait`, and `history` need the rototo operator in the cluster. The other commands\n\
         \x20   need no cluster. kubectl can't complete the words of the plugin; a shell completes those of the same program\n\
         \x20   under the name `rototo`, by the script that `rototo completions` prints.\n\
         \x20 platforms:\n",
        version = quoted(&format!("v{version}")),
        homepage = quoted(&addresses.homepage),
    );
    for Download { platform, name, sha256 } in downloads {
        let _ = write!(
            text,
            "\x20 - selector:\n\
             \x20     matchLabels:\n\
             \x20       os: linux\n\
             \x20       arch: {architecture}\n\
             \x20   uri: {uri}\n\
             \x20   sha256: {sha256}\n\
             \x20   bin: {PLUGIN}\n\
             \x20   files:\n",
            architecture = platform.architecture(),
            uri = quoted(&format!("{}/{name}", addresses.files)),
            sha256 = quoted(sha256),
        );
        for file in [PLUGIN].iter().chain(&LICENCES) {
            let _ = writeln!(text, "    - from: {file}\n      to: .");
        }
    }
    text
}

/// Quotes a text for YAML, which reads JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_manifest_has_an_archive_for_each_platform_with_its_digest() {
        let download = |platform, name: &str| Download { platform, name: name.to_owned(), sha256: "12".repeat(32) };
        let downloads = [download(Platform::Amd64, "a.tar.gz"), download(Platform::Arm64, "b.tar.gz")];
        let addresses = Addresses::of(Some("https://git.example.com/acme/rototo/"), "0.1.0");
        let manifest: Value = serde_saphyr::from_str(&manifest("0.1.0", &addresses, &downloads)).unwrap();
        assert_eq!(manifest["metadata"]["name"], "rototo");
        assert_eq!(manifest["spec"]["version"], "v0.1.0");
        assert_eq!(manifest["spec"]["homepage"], "https://git.example.com/acme/rototo");
        let platforms = manifest["spec"]["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), 2);
        assert_eq!(
            platforms[1],
            json!({
                "selector": {"matchLabels": {"os": "linux", "arch": "arm64"}},
                "uri": "https://git.example.com/acme/rototo/releases/download/v0.1.0/b.tar.gz",
                "sha256": "12".repeat(32),
                "bin": "kubectl-rototo",
                "files": [
                    {"from": "kubectl-rototo", "to": "."},
                    {"from": "LICENSE-APACHE", "to": "."},
                    {"from": "LICENSE-MIT", "to": "."},
                ],
            })
        );
        let caveats = manifest["spec"]["caveats"].as_str().unwrap();
        assert!(
            caveats.contains("`rototo completions`") && !caveats.contains("kubectl rototo completions"),
            "{caveats}"
        );
        // Krew refuses a longer one.
        assert!(manifest["spec"]["shortDescription"].as_str().unwrap().len() <= 50);
    }

    #[test]
    fn a_digest_of_digits_stays_a_text() {
        let downloads = [Download { platform: Platform::Amd64, name: "a".to_owned(), sha256: "1".repeat(64) }];
        let manifest: Value =
            serde_saphyr::from_str(&manifest("0.1.0", &Addresses::of(None, "0.1.0"), &downloads)).unwrap();
        assert_eq!(manifest["spec"]["platforms"][0]["sha256"], "1".repeat(64));
        assert_eq!(manifest["spec"]["homepage"], "https://example.com/rototo");
    }
}
