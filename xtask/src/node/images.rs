//! Brings images into the form that containerd loads: an archive of an OCI layout with one named image.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::sha256::sha256;

/// The images of `cargo xtask image` that a node gets.
pub(crate) const NAMES: [&str; 3] = ["rototo-operator", "degradation-service", "rototo-agent"];
/// The image with nothing but the program that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "localhost/pause:1";

/// Fails if a layout is missing.
pub(crate) fn must_exist(layouts: &Path) -> anyhow::Result<()> {
    let missing = NAMES.iter().find(|name| !layouts.join(name).join("index.json").is_file());
    match missing {
        Some(name) => bail!("{} has no layout {name}: `cargo xtask image --out DIR` writes it", layouts.display()),
        None => Ok(()),
    }
}

/// Writes an archive of a layout that `cargo xtask image` wrote, with the image under the name `localhost/NAME:node`.
/// What is attached to the image stays out: a node runs nothing of it.
pub(crate) fn archive(layout: &Path, name: &str, to: &Path) -> anyhow::Result<PathBuf> {
    let path = layout.join("index.json");
    let index = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let index: Value = serde_json::from_slice(&index).with_context(|| format!("read {}", path.display()))?;
    let mut image = index["manifests"][0].clone();
    image["annotations"] = json!({"io.containerd.image.name": reference(name)});
    let index = json!({"schemaVersion": 2, "mediaType": index["mediaType"], "manifests": [image]});
    let mut archive = Archive::create(to)?;
    archive.add("oci-layout", &fs::read(layout.join("oci-layout")).context("read oci-layout")?)?;
    archive.add("index.json", index.to_string().as_bytes())?;
    let blobs = layout.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).with_context(|| format!("read {}", blobs.display()))?.flatten() {
        let content = fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
        archive.add(&format!("blobs/sha256/{}", entry.file_name().to_string_lossy()), &content)?;
    }
    archive.finish(to)
}

/// Returns the name of an image on the node.
pub(crate) fn reference(name: &str) -> String {
    format!("localhost/{name}:node")
}

/// Writes an archive of the image with the one program that holds a pod's namespaces.
pub(crate) fn pause(program: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let mut layer = Layer::default();
    layer.add(program, Path::new("pause"))?;
    layer.into_image(PAUSE, &json!({"Entrypoint": ["/pause"], "User": "65535:65535"}), to)
}

/// Files of this machine that become an image.
#[derive(Default)]
pub(crate) struct Layer(Vec<(PathBuf, PathBuf)>);

impl Layer {
    /// Adds a file, or a directory with all that is in it. Links are followed.
    pub(crate) fn add(&mut self, file: &Path, path: &Path) -> anyhow::Result<()> {
        if !file.is_dir() {
            self.0.push((file.to_owned(), path.to_owned()));
            return Ok(());
        }
        for entry in fs::read_dir(file).with_context(|| format!("read {}", file.display()))? {
            let entry = entry.with_context(|| format!("read {}", file.display()))?;
            self.add(&entry.path(), &path.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Writes an archive of an image of these files, with this name and configuration.
    pub(crate) fn into_image(self, reference: &str, configuration: &Value, to: &Path) -> anyhow::Result<PathBuf> {
        let mut layer = Builder::new(Vec::new());
        for (file, path) in self.0 {
            let content = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            layer.append_data(&mut header(content.len(), 0o755), path, &*content).context("write a layer")?;
        }
        let layer = layer.into_inner().context("write a layer")?;
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": configuration,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
        })
        .to_string();
        let name = format!("{}.json", sha256(config.as_bytes()));
        let manifest = json!([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]);
        let mut archive = Archive::create(to)?;
        archive.add("layer.tar", &layer)?;
        archive.add(&name, config.as_bytes())?;
        archive.add("manifest.json", manifest.to_string().as_bytes())?;
        archive.finish(to)
    }
}

fn architecture() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }
}

fn header(length: usize, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(length as u64);
    header.set_mode(mode);
    header
}

/// An archive on the disk, while it is written.
struct Archive(Builder<File>);

impl Archive {
    fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(Builder::new(File::create(path).with_context(|| format!("create {}", path.display()))?)))
    }

    fn add(&mut self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut header = header(content.len(), 0o644);
        self.0.append_data(&mut header, path, content).with_context(|| format!("write {path} into an archive"))
    }

    fn finish(mut self, path: &Path) -> anyhow::Result<PathBuf> {
        self.0.finish().with_context(|| format!("write {}", path.display()))?;
        Ok(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn file(archive: &Path, path: &str) -> Value {
        let mut archive = tar::Archive::new(File::open(archive).unwrap());
        let mut found =
            archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new(path));
        let mut text = String::new();
        found.as_mut().unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_archive_names_the_image_and_leaves_out_what_is_attached() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        fs::write(folder.path().join("oci-layout"), "{}").unwrap();
        let index = json!({"mediaType": "m", "manifests": [{"digest": "sha256:1"}, {"digest": "sha256:2"}]});
        fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
        let archive = archive(folder.path(), "rototo-operator", &folder.path().join("x.tar")).unwrap();
        let manifests = file(&archive, "index.json")["manifests"].clone();
        assert_eq!(manifests.as_array().unwrap().len(), 1);
        assert_eq!(manifests[0]["annotations"]["io.containerd.image.name"], "localhost/rototo-operator:node");
    }

    #[test]
    fn the_image_of_a_pods_namespaces_has_one_program() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pause"), "program").unwrap();
        let archive = pause(&folder.path().join("pause"), &folder.path().join("pause.tar")).unwrap();
        assert_eq!(file(&archive, "manifest.json")[0]["RepoTags"][0], "localhost/pause:1");
    }
}
