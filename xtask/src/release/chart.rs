//! The chart as a package that has the same bytes twice, and as an artifact for a registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use flate2::read::GzDecoder;

use super::ReleaseArtifact;
use super::chart_yaml::ChartYaml;
use crate::cargo;
use crate::control_plane::Programs;
use crate::folder;
use crate::image::files::{Files, gzip};
use crate::image::layout::{self, Layout, Written};

/// The name of the chart, and of its folder.
pub(crate) const CHART: &str = "rototo-operator";
/// The media types that Helm gives to a chart in a registry.
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Packages the chart with helm, which checks it and leaves out what `.helmignore` lists, and then without the times that
/// helm writes. The values name the image of `repository`, if there is one.
pub(crate) fn package(version: &str, repository: Option<&str>, scratch: &Path) -> anyhow::Result<ReleaseArtifact> {
    let mut chart = cargo::root().join("charts").join(CHART);
    if let Some(repository) = repository {
        let copy = scratch.join(CHART);
        folder::copy(&chart, &copy)?;
        name_image(&copy, repository)?;
        chart = copy;
    }
    let program = Programs::ensure_only("helm")?;
    helm(&program, &["lint", "--strict", "--quiet", &chart.to_string_lossy()])?;
    helm(&program, &["package", &chart.to_string_lossy(), "--destination", &scratch.to_string_lossy()])?;
    let name = format!("{CHART}-{version}.tgz");
    let path = scratch.join(&name);
    let packed = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(ReleaseArtifact { name, bytes: repacked(&packed)? })
}

/// Packs the files of an archive again: sorted, owned by root, and without times.
fn repacked(packed: &[u8]) -> anyhow::Result<Vec<u8>> {
    gzip(&Files::unpack(GzDecoder::new(packed))?.tar()?)
}

fn helm(helm: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(helm).args(arguments).output().with_context(|| format!("run {}", helm.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`helm {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

/// Sets the default of `image.repository`, in the values and in the README that shows them.
fn name_image(chart: &Path, repository: &str) -> anyhow::Result<()> {
    let replacements = [
        ("values.yaml", format!("\n  repository: {CHART}\n"), format!("\n  repository: {repository}\n")),
        (
            "README.md",
            format!("| `image.repository` | `\"{CHART}\"` |"),
            format!("| `image.repository` | `\"{repository}\"` |"),
        ),
    ];
    for (file, from, to) in replacements {
        let path = chart.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if text.matches(&from).count() != 1 {
            bail!("charts/{CHART}/{file} does not have `{}` once: correct xtask/src/release/chart.rs", from.trim());
        }
        fs::write(&path, text.replace(&from, &to)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Writes the package as a layout that a registry takes, and from which `helm install oci://…` installs.
pub(crate) fn layout(package: &[u8], created: &str, tag: &str, folder: &Path) -> anyhow::Result<Written> {
    let chart = ChartYaml::read()?;
    let text = |key: &str| chart.text(key).with_context(|| format!("Chart.yaml has no `{key}`")).map(str::to_owned);
    let annotation = |name: &str, value: String| (format!("org.opencontainers.image.{name}"), value);
    let annotations = BTreeMap::from([
        annotation("title", text("name")?),
        annotation("description", text("description")?),
        annotation("version", text("version")?),
        annotation("created", created.to_owned()),
        annotation("licenses", "MIT OR Apache-2.0".to_owned()),
    ]);
    let mut layout = Layout::default();
    layout.add_artifact(&layout::Artifact {
        config: chart.values(),
        config_type: CONFIG,
        content: package.to_vec(),
        content_type: CONTENT,
        annotations,
    })?;
    layout.write(folder, tag)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, GzBuilder};

    use super::*;

    /// Packs one file as helm does, with the time of the packing.
    fn packed_at(time: u32) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzBuilder::new().mtime(time).write(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_ustar();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_mtime(u64::from(time));
        archive.append_data(&mut header, "rototo-operator/Chart.yaml", &b"a\n"[..]).unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_package_has_the_same_bytes_whenever_it_is_packed() {
        assert_ne!(packed_at(1), packed_at(2));
        assert_eq!(repacked(&packed_at(1)).unwrap(), repacked(&packed_at(2)).unwrap());
    }

    #[test]
    fn a_chart_that_is_pushed_names_the_image_that_is_pushed_with_it() {
        let scratch = tempfile::tempdir().unwrap();
        let chart = scratch.path().join(CHART);
        folder::copy(&cargo::root().join("charts").join(CHART), &chart).unwrap();
        name_image(&chart, "registry.example.com/acme/rototo-operator").unwrap();
        let values: serde_json::Value =
            serde_saphyr::from_str(&fs::read_to_string(chart.join("values.yaml")).unwrap()).unwrap();
        assert_eq!(values["image"]["repository"], "registry.example.com/acme/rototo-operator");
        let again = name_image(&chart, "registry.example.com/acme/rototo-operator").unwrap_err().to_string();
        assert!(again.contains("values.yaml does not have `repository: rototo-operator` once"), "{again}");
    }

    #[test]
    fn the_artifact_has_the_media_types_of_helm() {
        let folder = tempfile::tempdir().unwrap();
        let written = layout(b"package", "2026-11-26T04:00:00Z", "0.1.0", &folder.path().join("chart")).unwrap();
        let blob = written.folder.join("blobs").join(written.digest.replace(':', "/"));
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(blob).unwrap()).unwrap();
        assert_eq!(manifest["config"]["mediaType"], CONFIG);
        assert_eq!(manifest["layers"][0]["mediaType"], CONTENT);
        assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], CHART);
    }
}
