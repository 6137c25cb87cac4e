//! `cargo xtask release`: makes all files of a release, the same bytes twice, and brings images and chart to a registry.
//!
//! [`versions`] decides whether there is one version to release. Then come the [`command`] and the [`krew`] manifest, the
//! [`chart`], the images (by [`crate::image`]), and in the end the [`sums`] of everything.

mod chart;
mod chart_yaml;
mod command;
mod krew;
mod sums;
mod versions;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::cargo;
use crate::folder;
use crate::image::build::Revision;
use crate::image::content::IMAGES;
use crate::image::layout::{self, Written};
use crate::image::parts;
use crate::image::platform::Platform;
use crate::image::push::{self, Destination};
use crate::image::{self, BuildArguments};
use crate::sha256::sha256;
use versions::{Agreed, Stated};

/// The arguments of `cargo xtask release`.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["dry_run", "push"]))]
pub struct ReleaseArguments {
    /// Make all files, and push nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make all files, and push images and chart. The registry may have a path.
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// The tag of the release, which must be `v` and the version.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// The directory of the files. The default is `release-artifacts` in the target directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    build: BuildArguments,
    /// Make no images.
    #[arg(long, conflicts_with = "push")]
    skip_images: bool,
    /// Sign the sums with this ssh key.
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

/// A file of a release.
pub(crate) struct ReleaseArtifact {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The files for a registry.
struct Pushed {
    /// The path below the registry.
    path: String,
    layout: Written,
}

/// Makes the files, and pushes what is to be pushed.
pub fn run(arguments: &ReleaseArguments) -> anyhow::Result<()> {
    let agreed = versions::agreed(&Stated::read()?, arguments.tag.as_deref()).map_err(|wrong| {
        anyhow::anyhow!("nothing was released, because the versions disagree:\n  {}", wrong.join("\n  "))
    })?;
    let revision = Revision::read()?;
    let hindrances = hindrances(&agreed, &revision, arguments.build.source.as_deref());
    if arguments.push.is_some() && !hindrances.is_empty() {
        bail!("nothing was released:\n  {}", hindrances.join("\n  "));
    }
    let platforms = arguments.build.platforms()?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => cargo::binaries()?.with_file_name("release-artifacts"),
    };
    let release =
        Release { arguments, version: &agreed.version, tag: agreed.version.replace('+', "_"), revision, platforms };
    let destinations = release.destinations()?;
    let partial = empty_folder(&out)?;
    let (mut artifacts, mut pushed) = release.make(&partial, &agreed)?;
    let sums = ReleaseArtifact { name: sums::NAME.to_owned(), bytes: sums::sums(&artifacts).into_bytes() };
    for ReleaseArtifact { name, bytes } in artifacts.iter().chain([&sums]) {
        write(&partial.join(name), bytes)?;
    }
    if let Some(key) = &arguments.sign_key {
        sums::sign(&partial, key)?;
    }
    folder::remove(&out)?;
    fs::rename(&partial, &out).with_context(|| format!("rename {} to {}", partial.display(), out.display()))?;
    for Pushed { path, layout } in &mut pushed {
        layout.folder = out.join("oci").join(path);
    }

    artifacts.push(sums);
    print!("{}", table(&artifacts));
    println!("\nrototo {} at {}, in {}", agreed.version, release.revision.name, out.display());
    release.notes(&hindrances)?.iter().for_each(|note| println!("- {note}"));
    push(&pushed, &destinations.unwrap_or_default())
}

/// Pushes all layouts, unless the registry has something else under one of their names: a version is released once.
fn push(pushed: &[Pushed], destinations: &[Destination]) -> anyhow::Result<()> {
    let mut others = Vec::new();
    for (Pushed { path, layout }, destination) in pushed.iter().zip(destinations) {
        if let Some(digest) = destination.digest()?.filter(|digest| *digest != layout.digest) {
            others.push(format!("{path} is {digest} there, and {} here", layout.digest));
        }
    }
    if !others.is_empty() {
        bail!(
            "nothing was pushed, because the registry has other content under this version:\n  {}\nRelease a new version, \
             or, if nobody can have used that one, delete it in the registry.",
            others.join("\n  ")
        );
    }
    for (Pushed { layout, .. }, destination) in pushed.iter().zip(destinations) {
        println!("pushed {}", push::push(layout, destination)?);
    }
    Ok(())
}

/// Returns what keeps a dry run from being a release, each with its remedy.
fn hindrances(agreed: &Agreed, revision: &Revision, source: Option<&str>) -> Vec<String> {
    let mut all = Vec::new();
    if agreed.is_unreleased {
        let version = &agreed.version;
        all.push(format!(
            "CHANGELOG.md: the newest section is `Unreleased`: name it `## {version} - DATE` in the commit of the release"
        ));
    }
    if revision.name.ends_with("-dirty") {
        all.push("the files differ from the commit: commit the changes, or take them back".to_owned());
    }
    if source.is_none() {
        all.push("the krew manifest has example addresses: name the repository by --source URL".to_owned());
    }
    all
}

struct Release<'a> {
    arguments: &'a ReleaseArguments,
    version: &'a str,
    /// The version as a tag of a registry, which may have no `+`.
    tag: String,
    revision: Revision,
    platforms: BTreeSet<Platform>,
}

impl Release<'_> {
    /// Returns the paths in a registry: those of the images, and last that of the chart, so that no chart is there before
    /// its image.
    fn paths(&self) -> Vec<String> {
        let images = IMAGES.iter().filter(|_| !self.arguments.skip_images).map(|image| image.name.to_owned());
        images.chain([format!("charts/{}", chart::CHART)]).collect()
    }

    fn destinations(&self) -> anyhow::Result<Option<Vec<Destination>>> {
        let Some(registry) = &self.arguments.push else { return Ok(None) };
        let destination = |path: &String| {
            let name = format!("{}/{path}:{}", registry.trim_end_matches('/'), self.tag);
            name.parse().map_err(|error: String| anyhow::anyhow!("--push {registry}: {error}"))
        };
        Ok(Some(self.paths().iter().map(destination).collect::<anyhow::Result<_>>()?))
    }

    /// Makes all files but the sums, and the layouts below `folder`.
    fn make(&self, folder: &Path, agreed: &Agreed) -> anyhow::Result<(Vec<ReleaseArtifact>, Vec<Pushed>)> {
        let mut artifacts = self.commands()?;
        let layouts = folder.join("oci");
        let mut pushed = Vec::new();
        if !self.arguments.skip_images {
            let mut images = image::write(&image::Input {
                images: &IMAGES.iter().collect::<Vec<_>>(),
                platforms: &self.platforms,
                programs: self.arguments.build.programs.as_deref(),
                source: self.arguments.build.source.as_deref(),
                out: &layouts,
                verbose: false,
            })?;
            for image in IMAGES {
                let layout = images.written.remove(image.name).context("an image was not made")?;
                pushed.push(Pushed { path: image.name.to_owned(), layout });
            }
        }
        let package = self.chart(folder)?;
        let path = format!("charts/{}", chart::CHART);
        fs::create_dir_all(layouts.join("charts")).with_context(|| format!("create {}", layouts.display()))?;
        let layout = chart::layout(&package.bytes, &self.revision.time, &self.tag, &layouts.join(&path))?;
        artifacts.push(package);
        pushed.push(Pushed { path, layout });
        for Pushed { path, layout } in &pushed {
            let kind = if path.starts_with("charts/") { "chart" } else { "image" };
            let name = path.rsplit('/').next().unwrap_or_default();
            let name = format!("{name}-{}-{kind}.oci.tar", self.version);
            artifacts.push(ReleaseArtifact { name, bytes: layout.files()?.tar()? });
        }
        let digests = pushed.iter().map(|pushed| format!("{}  {}:{}\n", pushed.layout.digest, pushed.path, self.tag));
        let digests: String = digests.collect();
        artifacts.push(ReleaseArtifact { name: "DIGESTS".to_owned(), bytes: digests.into_bytes() });
        let crd = cargo::root().join("crds/rototo.dev_rototoworkspaces.yaml");
        let bytes = fs::read(&crd).with_context(|| format!("read {}", crd.display()))?;
        artifacts.push(ReleaseArtifact { name: "rototo.dev_rototoworkspaces.yaml".to_owned(), bytes });
        let changes = format!("{}\n", agreed.changes);
        artifacts.push(ReleaseArtifact { name: "CHANGES.md".to_owned(), bytes: changes.into_bytes() });
        artifacts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((artifacts, pushed))
    }

    /// Returns the archives of the command for each platform, the lists of their parts, and the krew manifest.
    fn commands(&self) -> anyhow::Result<Vec<ReleaseArtifact>> {
        let (version, mut artifacts, mut downloads) = (self.version, Vec::new(), Vec::new());
        for platform in self.platforms.iter().copied() {
            let build = command::static_build(platform)?;
            let program = build.program(self.arguments.build.programs.as_deref())?;
            let [archive, plugin] = command::archives(version, build.target, &program)?;
            downloads.push(krew::Download { platform, name: plugin.name.clone(), sha256: sha256(&plugin.bytes) });
            let parts = parts::list_of_program("rototo", command::PACKAGE, build.target, version, &self.revision)?;
            let mut bytes = serde_json::to_vec_pretty(&layout::sorted(&parts)).context("write JSON")?;
            bytes.push(b'\n');
            let name = format!("rototo-{version}-{}.cdx.json", build.target);
            artifacts.extend([archive, plugin, ReleaseArtifact { name, bytes }]);
        }
        let addresses = krew::Addresses::of(self.arguments.build.source.as_deref(), version);
        let bytes = krew::manifest(version, &addresses, &downloads).into_bytes();
        artifacts.push(ReleaseArtifact { name: krew::NAME.to_owned(), bytes });
        Ok(artifacts)
    }

    fn chart(&self, folder: &Path) -> anyhow::Result<ReleaseArtifact> {
        let registry = self.arguments.push.as_deref().map(|registry| registry.trim_end_matches('/'));
        let repository = registry.map(|registry| format!("{registry}/{}", chart::CHART));
        let scratch = folder.join("scratch");
        fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
        let package = chart::package(self.version, repository.as_deref(), &scratch)?;
        folder::remove(&scratch)?;
        Ok(package)
    }

    /// Returns what the reader must know about the files.
    fn notes(&self, hindrances: &[String]) -> anyhow::Result<Vec<String>> {
        let mut notes = hindrances.to_vec();
        for platform in self.platforms.iter().copied() {
            notes.extend(command::static_build(platform)?.note());
        }
        let foreign: Vec<_> = self.platforms.iter().filter(|platform| !platform.is_of_this_machine()).collect();
        for platform in foreign {
            notes.push(format!("The files for {platform} were made and not run: this machine runs no programs of it."));
        }
        if !self.platforms.contains(&Platform::Arm64) {
            notes.push(
                "There are no files for linux/arm64: --platform linux/amd64 --platform linux/arm64 makes them."
                    .to_owned(),
            );
        }
        if let Some(programs) = &self.arguments.build.programs {
            notes.push(format!(
                "The programs are those in {}; nothing says of which commit they are.",
                programs.display()
            ));
        }
        if self.arguments.skip_images {
            notes.push("There are no images: --skip-images.".to_owned());
        }
        if self.arguments.sign_key.is_none() {
            notes.push(format!("{} is not signed: --sign-key FILE signs it with an ssh key.", sums::NAME));
        }
        if self.arguments.push.is_none() {
            notes.push(
                "Nothing was pushed. The chart names no registry: a release sets it to that of --push.".to_owned(),
            );
        }
        Ok(notes)
    }
}

/// Returns name, size, and digest of each file, in columns.
fn table(artifacts: &[ReleaseArtifact]) -> String {
    let width = artifacts.iter().map(|artifact| artifact.name.len()).max().unwrap_or_default();
    let line = |artifact: &ReleaseArtifact| {
        let ReleaseArtifact { name, bytes } = artifact;
        format!("{name:width$}  {:>10}  {}\n", bytes.len(), sha256(bytes))
    };
    artifacts.iter().map(line).collect()
}

/// Returns an empty folder that will take the place of `out`, if that has nothing but an earlier release.
fn empty_folder(out: &Path) -> anyhow::Result<PathBuf> {
    let partial = out.with_extension("partial");
    if out.exists() {
        let is_empty = fs::read_dir(out).with_context(|| format!("read {}", out.display()))?.next().is_none();
        if !is_empty && !out.join(sums::NAME).is_file() {
            bail!("{} has other files than those of a release: name an empty directory by --out", out.display());
        }
    }
    folder::remove(&partial)?;
    fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
    Ok(partial)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dirty_unreleased_tree_without_an_address_is_hindered_three_times() {
        let revision = |name: &str| Revision { name: name.to_owned(), time: "2026-11-26T04:00:00Z".to_owned() };
        let agreed =
            |is_unreleased| Agreed { version: "0.1.0".to_owned(), is_unreleased, changes: "- New.".to_owned() };
        let all = hindrances(&agreed(true), &revision("4d123d61-dirty"), None);
        assert_eq!(all.len(), 3, "{all:#?}");
        assert!(all[0].contains("`## 0.1.0 - DATE`") && all[1].contains("commit the changes"), "{all:#?}");
        assert!(hindrances(&agreed(false), &revision("4d123d61"), Some("https://git.example.com/acme")).is_empty());
    }

    #[test]
    fn the_table_has_a_line_for_each_file() {
        let artifact = |name: &str, bytes: &[u8]| ReleaseArtifact { name: name.to_owned(), bytes: bytes.to_vec() };
        let table = table(&[artifact("a.yaml", b"abc"), artifact("rototo.tar.gz", b"")]);
        assert_eq!(
            table,
            "a.yaml                  3  ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\
             rototo.tar.gz           0  e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        );
    }

    #[test]
    fn only_the_files_of_an_earlier_release_give_way() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("letter.txt"), "").unwrap();
        let error = empty_folder(&out).unwrap_err().to_string();
        assert!(error.contains("name an empty directory by --out"), "{error}");
        fs::write(out.join(sums::NAME), "").unwrap();
        let partial = empty_folder(&out).unwrap();
        // An earlier release stays until the next one is complete.
        assert!(out.exists() && fs::read_dir(partial).unwrap().next().is_none());
    }
}
