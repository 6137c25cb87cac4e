//! `cargo xtask image`: writes container images as OCI layouts, without a container engine, and the same bytes twice.
//!
//! An image has two layers: the files of Debian's packages that its program needs ([`content`], by the [`lock`] file), and
//! the program itself ([`build`]). [`layout`] writes both with their digests, with the list of all [`parts`] attached;
//! [`check`] runs the result, and [`push`] brings it to a registry.

pub(crate) mod build;
mod check;
pub(crate) mod content;
pub(crate) mod debian;
pub(crate) mod elf;
pub(crate) mod files;
pub(crate) mod layout;
mod lock;
pub(crate) mod parts;
pub(crate) mod platform;
pub(crate) mod push;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::{cargo, licences};
use build::Revision;
use content::{IMAGES, Image};
use debian::{Apt, Unpacked};
use files::{Entry, Files};
use layout::{Content, Layout, Sizes, Written};
use lock::{Lock, Package};
use platform::Platform;
use push::Destination;

/// The arguments of `cargo xtask image`.
#[derive(Args)]
pub struct ImageArguments {
    /// The images; all by default.
    names: Vec<String>,
    /// The directory of the layouts, each in a directory with the name of its image. The default is `oci` in the target
    /// directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    build: BuildArguments,
    /// Push the image. Only one image may be named with it.
    #[arg(long, value_name = "REGISTRY/REPOSITORY:TAG")]
    push: Option<Destination>,
    /// Run the programs of the images in their root, as two users. This needs root.
    #[arg(long)]
    check: bool,
    /// List every file.
    #[arg(long)]
    verbose: bool,
    /// Only write the lock file anew, with the newest packages of the release.
    #[arg(long, conflicts_with_all = ["names", "push", "check", "platforms", "programs"])]
    update: bool,
}

/// The arguments of every command that builds programs for images.
#[derive(Args, Default)]
pub(crate) struct BuildArguments {
    /// A platform; may be given several times. The default is that of this machine.
    #[arg(long = "platform", value_name = "OS/ARCHITECTURE")]
    platforms: Vec<Platform>,
    /// Take the programs from a directory, and build none. The bytes are then those of that build.
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
    /// The address of the repository, for the label `org.opencontainers.image.source` and the krew manifest.
    #[arg(long, env = "ROTOTO_IMAGE_SOURCE", value_name = "URL")]
    pub(crate) source: Option<String>,
}

impl BuildArguments {
    /// Returns the named platforms, or that of this machine if none is named.
    pub(crate) fn platforms(&self) -> anyhow::Result<BTreeSet<Platform>> {
        let platforms = match &self.platforms[..] {
            [] => Platform::ALL.into_iter().filter(|platform| platform.is_of_this_machine()).collect(),
            named => BTreeSet::from_iter(named.iter().copied()),
        };
        if platforms.is_empty() {
            bail!("images are for Linux: name a platform by --platform");
        }
        if self.programs.is_some() && platforms.len() > 1 {
            bail!("--programs has the programs of one platform: name one by --platform");
        }
        Ok(platforms)
    }
}

/// Writes the images, or the lock file.
pub fn run(arguments: &ImageArguments) -> anyhow::Result<()> {
    if arguments.update {
        return update();
    }
    let images = chosen(&arguments.names)?;
    if let (Some(_), [_, another, ..]) = (&arguments.push, &images[..]) {
        bail!(
            "--push has the name of one image: name that image too, such as `cargo xtask image {} --push …`",
            another.name
        );
    }
    let platforms = arguments.build.platforms()?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => cargo::binaries()?.with_file_name("oci"),
    };
    let Output { reports, written } = write(&Input {
        images: &images,
        platforms: &platforms,
        programs: arguments.build.programs.as_deref(),
        source: arguments.build.source.as_deref(),
        out: &out,
        verbose: arguments.verbose,
    })?;
    reports.iter().for_each(|report| println!("{report}"));
    for (name, layout) in &written {
        println!("{name}  {}  {}", layout.digest, layout.folder.display());
    }
    for image in images.iter().filter(|_| arguments.check) {
        for platform in platforms.iter().copied() {
            check::check(image, platform, &out.join(image.name))?;
        }
    }
    let not_run: Vec<_> = platforms.iter().filter(|platform| !platform.is_of_this_machine()).collect();
    for platform in not_run {
        println!("The images for {platform} were built and not run: this machine runs no programs of it.");
    }
    if let (Some(destination), Some(layout)) = (&arguments.push, written.values().next()) {
        println!("pushed {}", push::push(layout, destination)?);
    }
    Ok(())
}

/// The parts that images are made of.
pub(crate) struct Input<'a> {
    pub(crate) images: &'a [&'static Image],
    pub(crate) platforms: &'a BTreeSet<Platform>,
    /// The directory that has the programs, if they are not to be built.
    pub(crate) programs: Option<&'a Path>,
    /// The address of the repository.
    pub(crate) source: Option<&'a str>,
    /// The directory of the layouts.
    pub(crate) out: &'a Path,
    pub(crate) verbose: bool,
}

/// Images on the disk.
pub(crate) struct Output {
    /// The content of each image and platform, for people.
    pub(crate) reports: Vec<String>,
    /// The layouts by the names of their images.
    pub(crate) written: BTreeMap<&'static str, Written>,
}

/// Writes images as layouts.
pub(crate) fn write(input: &Input) -> anyhow::Result<Output> {
    let (lock, revision) = (Lock::read()?, Revision::read()?);
    let mut layouts: BTreeMap<&str, Layout> = BTreeMap::new();
    let mut reports = Vec::new();
    for platform in input.platforms.iter().copied() {
        let packages = Apt::prepare(platform)?.unpack(&lock.of(platform)?)?;
        debian::must_be_of_the_release(&packages)?;
        let programs = match input.programs {
            Some(directory) => directory.to_owned(),
            None => build::build(input.images, platform)?,
        };
        for image in input.images {
            let content = content(image, platform, &programs, &packages, &revision, input.source)?;
            let sizes = layouts.entry(image.name).or_default().add(&content)?;
            reports.push(report(&content, &sizes, &packages, input.verbose));
        }
    }
    let mut written = BTreeMap::new();
    for image in input.images {
        let layout = layouts.remove(image.name).context("an image was not made")?;
        written.insert(image.name, layout.write(&input.out.join(image.name), &build::version(image.name)?)?);
    }
    Ok(Output { reports, written })
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Image>> {
    if names.is_empty() {
        return Ok(IMAGES.iter().collect());
    }
    let all = || IMAGES.iter().map(|image| image.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        IMAGES
            .iter()
            .find(|image| image.name == name)
            .with_context(|| format!("there is no image `{name}`; there are {}", all()))
    };
    let mut images: Vec<_> = names.iter().map(find).collect::<anyhow::Result<_>>()?;
    images.dedup_by_key(|image| image.name);
    Ok(images)
}

/// Joins the two layers of an image, with its labels and the list of its parts.
fn content<'a>(
    image: &'a Image,
    platform: Platform,
    programs: &Path,
    packages: &[Unpacked],
    revision: &Revision,
    source: Option<&str>,
) -> anyhow::Result<Content<'a>> {
    let program = build::program(programs, image)?;
    let needs = elf::needs(&program)?.with_context(|| format!("{} is not an ELF file", image.name))?;
    must_run_with(&needs, packages).with_context(|| format!("the program {} does not fit the image", image.name))?;
    let base = content::base(image, platform, &needs.libraries, packages)?;
    let mut own = Files::default();
    own.insert(&format!("usr/bin/{}", image.name), Entry::File(0o755, program));
    licences::insert(&mut own, &format!("usr/share/doc/{}/", image.name))?;
    let version = build::version(image.name)?;
    let used: Vec<_> = packages.iter().filter(|unpacked| base.packages.contains(&unpacked.package.name)).collect();
    let parts = parts::list(image, platform, &version, revision, &used)?;
    let labels = labels(image, &version, revision, source, &used);
    Ok(Content { image, platform, layers: vec![base.files, own], labels, created: revision.time.clone(), parts })
}

/// Fails if the program was linked with a newer glibc than that of the image.
fn must_run_with(needs: &elf::Needs, packages: &[Unpacked]) -> anyhow::Result<()> {
    let libc = packages.iter().find(|unpacked| unpacked.package.name == "libc6");
    let version = libc.and_then(|libc| elf::glibc(&libc.package.version)).context("no package is libc6")?;
    if needs.glibc > version {
        let ((a, b), (c, d)) = (needs.glibc, version);
        bail!(
            "it needs glibc {a}.{b}, and the image has {c}.{d}: build it on Debian {}, or an older system",
            debian::RELEASE
        );
    }
    Ok(())
}

fn labels(
    image: &Image,
    version: &str,
    revision: &Revision,
    source: Option<&str>,
    packages: &[&Unpacked],
) -> BTreeMap<String, String> {
    let packages = packages.iter().map(|unpacked| format!("{}={}", unpacked.package.name, unpacked.package.version));
    let mut labels = BTreeMap::from([
        ("dev.rototo.image.debian".to_owned(), debian::RELEASE.to_owned()),
        ("dev.rototo.image.packages".to_owned(), packages.collect::<Vec<_>>().join(" ")),
    ]);
    let mut set = |name: &str, value: &str| labels.insert(format!("org.opencontainers.image.{name}"), value.to_owned());
    set("title", image.name);
    set("description", image.description);
    set("version", version);
    set("revision", &revision.name);
    set("created", &revision.time);
    set("licenses", "MIT OR Apache-2.0");
    if let Some(source) = source {
        set("source", source);
    }
    labels
}

/// Returns what is in an image: its size, its files, and the packages for which security trackers have advisories.
fn report(content: &Content, sizes: &Sizes, packages: &[Unpacked], verbose: bool) -> String {
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let all: u64 = sizes.compressed.iter().sum();
    let layers: Vec<_> = sizes.compressed.iter().map(|bytes| mega(*bytes)).collect();
    let files: usize = content.layers.iter().map(Files::count).sum();
    let hint = if verbose { "" } else { " (--verbose lists them)" };
    let mut text = format!("{} for {}\n", content.image.name, content.platform);
    text.push_str(&format!(
        "  revision  {} of {}\n",
        content.labels["org.opencontainers.image.revision"], content.created
    ));
    text.push_str(&format!(
        "  size      {} compressed ({}), {} unpacked\n",
        mega(all),
        layers.join(" + "),
        mega(sizes.unpacked)
    ));
    text.push_str(&format!("  files     {files}{hint}\n"));
    for (path, entry) in content.layers.iter().filter(|_| verbose).flat_map(Files::iter) {
        match entry {
            Entry::Directory(_) => {}
            Entry::File(mode, bytes) => text.push_str(&format!("    {mode:o} {:>9}  /{path}\n", bytes.len())),
            Entry::Link(target) => text.push_str(&format!("    link           /{path} -> {target}\n")),
        }
    }
    let names = &content.labels["dev.rototo.image.packages"];
    text.push_str("  packages, with their sources in Debian's security tracker\n");
    for unpacked in packages {
        let Package { name, version, .. } = &unpacked.package;
        if names.split(' ').any(|used| used == format!("{name}={version}")) {
            text.push_str(&format!("    {name} {version} ({})\n", unpacked.source().0));
        }
    }
    text
}

/// Writes the lock file: the newest version of each package of which an image takes files.
fn update() -> anyhow::Result<()> {
    let mut locked = Vec::new();
    for platform in Platform::ALL {
        let apt = Apt::prepare(platform)?;
        apt.update()?;
        let closure = apt.closure(content::ROOT_PACKAGES)?;
        let packages = apt.unpack(&closure.iter().collect::<Vec<_>>())?;
        debian::must_be_of_the_release(&packages)?;
        let libraries: Vec<String> = content::RUST_LIBRARIES.iter().map(|&library| library.to_owned()).collect();
        let mut used = BTreeSet::from([debian::BASE_FILES.to_owned()]);
        for image in IMAGES {
            used.extend(content::base(image, platform, &libraries, &packages)?.packages);
        }
        let all = closure.len();
        locked.extend(closure.into_iter().filter(|package| used.contains(&package.name)));
        println!("{platform}: {} of {all} packages are used", used.len());
    }
    let changed = Lock::new(locked).write()?;
    println!("{} {}", lock::PATH, if changed { "changed: build the images, and commit it" } else { "is up to date" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_image_is_refused_with_the_names_of_those_that_exist() {
        let error = chosen(&["agent".to_owned()]).err().unwrap().to_string();
        assert_eq!(error, "there is no image `agent`; there are rototo-operator, degradation-service, rototo-agent");
        assert_eq!(chosen(&[]).unwrap().len(), IMAGES.len());
    }

    #[test]
    fn a_name_for_the_registry_is_for_one_image() {
        let arguments = ImageArguments {
            names: Vec::new(),
            out: None,
            build: BuildArguments::default(),
            push: Some("127.0.0.1:1/acme/x:1".parse().unwrap()),
            check: false,
            verbose: false,
            update: false,
        };
        let error = run(&arguments).unwrap_err().to_string();
        assert!(error.contains("name that image too"), "{error}");
    }

    #[test]
    fn a_program_of_a_newer_system_is_refused() {
        let package = Package {
            platform: Platform::Amd64,
            name: "libc6".to_owned(),
            version: "2.36-9+deb12u14".to_owned(),
            sha256: String::new(),
        };
        let libc = [Unpacked { package, control: String::new(), files: Files::default() }];
        let needs = |glibc| elf::Needs { glibc, ..elf::Needs::default() };
        assert!(must_run_with(&needs((2, 36)), &libc).is_ok());
        let error = must_run_with(&needs((2, 39)), &libc).unwrap_err().to_string();
        assert!(error.contains("needs glibc 2.39, and the image has 2.36"), "{error}");
    }
}
