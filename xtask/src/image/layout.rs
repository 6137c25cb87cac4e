//! An OCI image layout: blobs by digest, and an index that names the image and what is attached to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::content::{Image, USER};
use super::files::{Entry, Files, gzip};
use super::platform::Platform;
use crate::sha256::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The media type of the list of what an image consists of.
pub(crate) const CYCLONE_DX: &str = "application/vnd.cyclonedx+json";

/// The annotation with which an index names a tag.
const TAG: &str = "org.opencontainers.image.ref.name";

/// One image for one platform, before it is written.
pub(crate) struct Content<'a> {
    pub(crate) image: &'a Image,
    pub(crate) platform: Platform,
    /// The layers, from the bottom.
    pub(crate) layers: Vec<Files>,
    /// The facts that stand as annotations on the manifest, and as labels in the configuration.
    pub(crate) labels: BTreeMap<String, String>,
    /// The time of the commit, as RFC 3339.
    pub(crate) created: String,
    /// The list of all parts, as CycloneDX.
    pub(crate) parts: Value,
}

/// One file as an artifact, before it is written.
pub(crate) struct Artifact {
    /// The facts about the file, and their media type.
    pub(crate) config: Value,
    pub(crate) config_type: &'static str,
    /// The file, and its media type.
    pub(crate) content: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A layout in memory.
#[derive(Default)]
pub(crate) struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    images: Vec<Value>,
    attached: Vec<Value>,
}

/// The size of an added image.
pub(crate) struct Sizes {
    /// The compressed bytes of each layer.
    pub(crate) compressed: Vec<u64>,
    /// The bytes of the files of all layers.
    pub(crate) unpacked: u64,
}

impl Layout {
    /// Adds an image, and attaches its list of parts.
    pub(crate) fn add(&mut self, content: &Content) -> anyhow::Result<Sizes> {
        let (mut layers, mut differences, mut compressed) = (Vec::new(), Vec::new(), Vec::new());
        for files in &content.layers {
            let tar = files.tar()?;
            differences.push(digest(&tar));
            let packed = gzip(&tar)?;
            compressed.push(packed.len() as u64);
            layers.push(self.blob(LAYER, packed));
        }
        let config = self.json(CONFIG, &configuration(content, &differences))?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": content.labels,
        });
        let mut manifest = self.json(MANIFEST, &manifest)?;
        self.attach(content, &manifest)?;
        manifest["platform"] = json!({"os": "linux", "architecture": content.platform.architecture()});
        self.images.push(manifest);
        Ok(Sizes { compressed, unpacked: content.layers.iter().map(Files::bytes).sum() })
    }

    /// Adds an artifact that is one file, such as the package of a chart.
    pub(crate) fn add_artifact(&mut self, artifact: &Artifact) -> anyhow::Result<()> {
        let config = self.json(artifact.config_type, &artifact.config)?;
        let layer = self.blob(artifact.content_type, artifact.content.clone());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
            "annotations": artifact.annotations,
        });
        let manifest = self.json(MANIFEST, &manifest)?;
        self.images.push(manifest);
        Ok(())
    }

    /// Attaches the list of parts to the image: registries list it among what refers to the image's digest.
    fn attach(&mut self, content: &Content, subject: &Value) -> anyhow::Result<()> {
        let config = self.blob(EMPTY, b"{}".to_vec());
        let mut list = self.json(CYCLONE_DX, &content.parts)?;
        list["annotations"] = json!({"org.opencontainers.image.title": format!("{}.cdx.json", content.image.name)});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": CYCLONE_DX, "config": config, "layers": [list],
            "subject": subject, "annotations": {"org.opencontainers.image.created": content.created},
        });
        let mut manifest = self.json(MANIFEST, &manifest)?;
        manifest["artifactType"] = json!(CYCLONE_DX);
        self.attached.push(manifest);
        Ok(())
    }

    fn json(&mut self, media_type: &str, value: &Value) -> anyhow::Result<Value> {
        Ok(self.blob(media_type, serde_json::to_vec(&sorted(value)).context("write JSON")?))
    }

    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// Writes the layout in place of an earlier one, and returns the digest that names the image.
    pub(crate) fn write(mut self, folder: &Path, tag: &str) -> anyhow::Result<Written> {
        let mut image = match &self.images[..] {
            [image] => image.clone(),
            images => {
                let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images});
                self.json(INDEX, &index)?
            }
        };
        let digest = image["digest"].as_str().unwrap_or_default().to_owned();
        image["annotations"] = json!({TAG: tag});
        let manifests: Vec<Value> = std::iter::once(image).chain(self.attached.iter().cloned()).collect();
        let partial = folder.with_extension("partial");
        for earlier in [&partial, &folder.to_owned()] {
            remove(earlier)?;
        }
        let blobs = partial.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("create {}", blobs.display()))?;
        for (digest, bytes) in &self.blobs {
            write(&blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        }
        write_index(&partial, &manifests)?;
        fs::rename(&partial, folder)
            .with_context(|| format!("rename {} to {}", partial.display(), folder.display()))?;
        Ok(Written { folder: folder.to_owned(), digest, manifests })
    }
}

/// A layout on the disk.
pub(crate) struct Written {
    pub(crate) folder: PathBuf,
    /// The digest of the image, or of the index of its platforms.
    pub(crate) digest: String,
    /// The image or index, and then what is attached.
    manifests: Vec<Value>,
}

impl Written {
    /// Returns all files of the layout, by their paths in it.
    pub(crate) fn files(&self) -> anyhow::Result<Files> {
        let mut files = Files::default();
        for folder in ["", "blobs/sha256/"] {
            let path = self.folder.join(folder);
            for entry in fs::read_dir(&path).with_context(|| format!("read {}", path.display()))? {
                let entry = entry.with_context(|| format!("read {}", path.display()))?;
                if entry.path().is_file() {
                    let bytes = fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
                    files
                        .insert(&format!("{folder}{}", entry.file_name().to_string_lossy()), Entry::File(0o644, bytes));
                }
            }
        }
        Ok(files)
    }

    /// Returns the digests of what is attached.
    pub(crate) fn attached(&self) -> Vec<&str> {
        self.manifests.iter().skip(1).filter_map(|manifest| manifest["digest"].as_str()).collect()
    }

    /// Makes a layout in `folder` that names only the manifest `digest`, with the same blobs. Tools push a layout with
    /// one entry as it is.
    pub(crate) fn only(&self, digest: &str, folder: &Path) -> anyhow::Result<()> {
        let manifest = self.manifests.iter().find(|manifest| manifest["digest"] == digest);
        let manifest = manifest.with_context(|| format!("{} has no manifest {digest}", self.folder.display()))?;
        let blobs = fs::canonicalize(self.folder.join("blobs")).context("find the blobs of the layout")?;
        std::os::unix::fs::symlink(blobs, folder.join("blobs")).context("link the blobs of the layout")?;
        write_index(folder, std::slice::from_ref(manifest))
    }
}

fn write_index(folder: &Path, manifests: &[Value]) -> anyhow::Result<()> {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    write(&folder.join("index.json"), &serde_json::to_vec(&sorted(&index)).context("write JSON")?)?;
    write(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// Reads the layers of the image for `platform` from a layout, from the bottom. Checks every digest on the way.
pub(crate) fn layers(folder: &Path, platform: Platform) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = folder.join("index.json");
    let index = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let index: Value = serde_json::from_slice(&index).with_context(|| format!("read {}", path.display()))?;
    let of_platform = |index: &Value| {
        let manifests = index["manifests"].as_array()?;
        manifests.iter().find(|manifest| manifest["platform"]["architecture"] == platform.architecture()).cloned()
    };
    let manifest = match of_platform(&index) {
        Some(manifest) => Some(manifest),
        None => of_platform(&read_json(folder, &index["manifests"][0])?),
    };
    let manifest = manifest.with_context(|| format!("{} has no image for {platform}", folder.display()))?;
    let manifest = read_json(folder, &manifest)?;
    let layers = manifest["layers"].as_array().context("the manifest lists no layers")?;
    layers.iter().map(|layer| read(folder, layer)).collect()
}

fn read_json(folder: &Path, descriptor: &Value) -> anyhow::Result<Value> {
    serde_json::from_slice(&read(folder, descriptor)?).context("read a manifest")
}

fn read(folder: &Path, descriptor: &Value) -> anyhow::Result<Vec<u8>> {
    let named = descriptor["digest"].as_str().context("a descriptor has no digest")?;
    let path = folder.join("blobs").join(named.replace(':', "/"));
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    if digest(&bytes) != named || descriptor["size"] != bytes.len() {
        bail!("{} is not the blob that its name says", path.display());
    }
    Ok(bytes)
}

fn configuration(content: &Content, differences: &[String]) -> Value {
    let Content { image, platform, labels, created, .. } = content;
    let history = differences.iter().map(|_| json!({"created": created, "created_by": "cargo xtask image"}));
    json!({
        "os": "linux",
        "architecture": platform.architecture(),
        "created": created,
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": [format!("/usr/bin/{}", image.name)],
            "WorkingDir": "/",
            "Env": ["PATH=/usr/bin", "HOME=/tmp"],
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": differences},
        "history": history.collect::<Vec<_>>(),
    })
}

/// Sorts the keys of objects, whichever map serde_json was compiled with.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let keys: BTreeMap<&String, &Value> = object.iter().collect();
            Value::Object(keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// Removes an earlier layout, and nothing else.
fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let is_layout = folder.join("oci-layout").is_file() || folder.extension().is_some_and(|name| name == "partial");
    let is_empty = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?.next().is_none();
    if !is_layout && !is_empty {
        bail!("{} has other files than those of an image: name an empty directory by --out", folder.display());
    }
    fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::super::content::IMAGES;
    use super::*;

    fn content(platform: Platform) -> Content<'static> {
        let (mut base, mut program) = (Files::default(), Files::default());
        base.insert_text("etc/passwd", "root:x:0:0::/:/bin/sh\n");
        program.insert("usr/bin/rototo-operator", Entry::File(0o755, vec![7; 1 << 16]));
        let labels = [("org.opencontainers.image.version".to_owned(), "0.1.0".to_owned())].into();
        let (created, parts) = ("2026-11-26T04:00:00Z".to_owned(), json!({"bomFormat": "CycloneDX"}));
        Content { image: &IMAGES[0], platform, layers: vec![base, program], labels, created, parts }
    }

    fn written(platforms: &[Platform], folder: &Path) -> Written {
        let mut layout = Layout::default();
        for platform in platforms {
            layout.add(&content(*platform)).unwrap();
        }
        layout.write(folder, "0.1.0").unwrap()
    }

    fn all_bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let blobs = fs::read_dir(folder.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
        let files = [folder.join("index.json"), folder.join("oci-layout")].into_iter().chain(blobs);
        files.map(|file| (file.strip_prefix(folder).unwrap().display().to_string(), fs::read(file).unwrap())).collect()
    }

    #[test]
    fn two_layouts_of_the_same_files_have_the_same_bytes() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        let (first, second) = (written(&Platform::ALL, &one), written(&Platform::ALL, &two));
        assert_eq!(first.digest, second.digest);
        assert_eq!(all_bytes(&one), all_bytes(&two));
    }

    #[test]
    fn each_blob_is_named_by_its_digest_and_a_changed_one_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("layout");
        written(&Platform::ALL, &folder);
        for (path, bytes) in all_bytes(&folder).iter().filter(|(path, _)| path.starts_with("blobs")) {
            assert_eq!(path.rsplit('/').next().unwrap(), sha256(bytes));
        }
        let layers = layers(&folder, Platform::Arm64).unwrap();
        assert_eq!(layers.len(), 2);
        let blob = folder.join("blobs").join(digest(&layers[0]).replace(':', "/"));
        fs::write(blob, "changed").unwrap();
        let error = super::layers(&folder, Platform::Arm64).unwrap_err().to_string();
        assert!(error.contains("is not the blob that its name says"), "{error}");
    }

    #[test]
    fn the_list_of_parts_refers_to_the_image() {
        let root = tempfile::tempdir().unwrap();
        let layout = written(&[Platform::Amd64], &root.path().join("layout"));
        let [attached] = layout.attached()[..] else { panic!() };
        let manifest = read_json(&layout.folder, &layout.manifests[1]).unwrap();
        assert_eq!(manifest["subject"]["digest"], layout.digest.as_str());
        assert_eq!(manifest["artifactType"], CYCLONE_DX);
        let alone = root.path().join("alone");
        fs::create_dir(&alone).unwrap();
        layout.only(attached, &alone).unwrap();
        let index: Value = serde_json::from_slice(&fs::read(alone.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        assert!(read_json(&alone, &index["manifests"][0]).is_ok());
    }

    #[test]
    fn an_image_runs_as_nobody_in_particular_and_names_its_program() {
        let config = configuration(&content(Platform::Amd64), &["sha256:1".to_owned()]);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/rototo-operator"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "0.1.0");
    }

    #[test]
    fn an_earlier_layout_is_replaced_and_other_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("layout");
        written(&Platform::ALL, &folder);
        written(&[Platform::Amd64], &folder);
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("thesis"), "").unwrap();
        let mut layout = Layout::default();
        layout.add(&content(Platform::Amd64)).unwrap();
        let error = layout.write(&other, "0.1.0").err().unwrap().to_string();
        assert!(error.contains("other files") && other.join("thesis").exists(), "{error}");
    }
}
