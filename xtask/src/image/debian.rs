//! Debian packages: found and fetched by the ordinary apt client, and read by dpkg-deb.
//!
//! Apt gets a state of its own, so what is installed on this machine does not matter. Its sources are those of this
//! machine, or of the file that `ROTOTO_APT_SOURCES` names; they must serve Debian 12.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::files::Files;
use super::lock::{self, Package};
use super::platform::Platform;
use crate::control_plane::cache_directory;
use crate::folder;
use crate::sha256::sha256;

/// The variable with the path of a file of apt sources.
const SOURCES: &str = "ROTOTO_APT_SOURCES";
/// The release of Debian: `VERSION_ID` of its `os-release`.
pub(crate) const RELEASE: &str = "12";
/// A package that no image needs to run, with the name of the release and the texts of licences.
pub(crate) const BASE_FILES: &str = "base-files";

/// A package with its content in memory.
pub(crate) struct Unpacked {
    pub(crate) package: Package,
    /// The fields of the package, as dpkg keeps them.
    pub(crate) control: String,
    pub(crate) files: Files,
}

impl Unpacked {
    /// Returns the source package and its version, by which security trackers know it.
    pub(crate) fn source(&self) -> (String, String) {
        let field = self.control.lines().find_map(|line| line.strip_prefix("Source: "));
        let Some(field) = field else { return (self.package.name.clone(), self.package.version.clone()) };
        match field.split_once(" (") {
            Some((name, version)) => (name.to_owned(), version.trim_end_matches(')').to_owned()),
            None => (field.to_owned(), self.package.version.clone()),
        }
    }
}

/// The files of packages on this machine, by their digests, and the state of apt for one platform.
pub(crate) struct Apt {
    platform: Platform,
    packages: PathBuf,
    state: PathBuf,
    // Released when this is dropped, or when this process ends.
    _lock: File,
}

impl Apt {
    /// Prepares directories in the cache of the project, and waits for another process that uses them.
    pub(crate) fn prepare(platform: Platform) -> anyhow::Result<Self> {
        let cache = cache_directory()?.join("image");
        let (packages, state) = (cache.join("packages"), cache.join(format!("apt-{}", platform.architecture())));
        for folder in [&packages, &state.join("lists/partial"), &state.join("archives/partial")] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let status = state.join("status");
        fs::write(&status, "").with_context(|| format!("write {}", status.display()))?;
        let path = cache.join("lock");
        let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        lock.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(Self { platform, packages, state, _lock: lock })
    }

    /// Returns the content of the packages. Fetches those that the cache lacks.
    pub(crate) fn unpack(&self, packages: &[&Package]) -> anyhow::Result<Vec<Unpacked>> {
        let missing: Vec<&Package> = packages.iter().copied().filter(|package| !self.file(package).exists()).collect();
        if !missing.is_empty() {
            eprintln!("Fetching {} Debian packages for {}.", missing.len(), self.platform);
            self.update()?;
            self.must_serve(&missing)?;
            self.download(&missing)?;
        }
        packages.iter().map(|package| self.unpack_one(package)).collect()
    }

    /// Reads the signed index of the sources.
    pub(crate) fn update(&self) -> anyhow::Result<()> {
        self.output(self.command("apt-get").args(["update", "--quiet", "--error-on=any"]))
            .context("the index of Debian packages can't be read")
            .map(drop)
    }

    /// Returns what installing `names` on an empty machine would install, in the newest versions.
    pub(crate) fn closure(&self, names: &[&str]) -> anyhow::Result<Vec<Package>> {
        let output = self
            .output(self.command("apt-get").args(["install", "--simulate", "--no-install-recommends"]).args(names))
            .context("these packages can't be had from the sources of apt")?;
        let installed = installed(&output);
        let mut digests = self.digests(installed.iter().map(|(name, version)| (name.as_str(), version.as_str())))?;
        let all = installed.into_iter().map(|(name, version)| {
            let key = (name.clone(), version.clone());
            let sha256 =
                digests.remove(&key).with_context(|| format!("the index has no SHA-256 of {name} {version}"))?;
            Ok(Package { platform: self.platform, name, version, sha256 })
        });
        all.collect()
    }

    /// Fails if the sources no longer serve a package in the version of the lock.
    fn must_serve(&self, packages: &[&Package]) -> anyhow::Result<()> {
        let served = self.digests(packages.iter().map(|package| (&*package.name, &*package.version)))?;
        let mut gone = Vec::new();
        for Package { name, version, sha256, .. } in packages {
            match served.get(&(name.clone(), version.clone())) {
                Some(served) if served == sha256 => {}
                Some(served) => gone.push(format!("{name} {version} is served with the digest {served}, not {sha256}")),
                None => gone.push(format!("{name} {version} is no longer served")),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        bail!(
            "{} does not agree with the sources of apt:\n  {}\nDebian replaces a version when it fixes something. Run \
             `{}`, and commit the file.",
            lock::PATH,
            gone.join("\n  "),
            lock::UPDATE
        )
    }

    /// Returns the SHA-256 of each of these packages that is served, by name and version, from the signed index.
    fn digests<'a>(
        &self,
        packages: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<BTreeMap<(String, String), String>> {
        // One run for all: apt reads the whole index each time. It fails if one of them is not served, and shows the rest.
        let names = packages.map(|(name, version)| format!("{name}={version}"));
        let output = self.command("apt-cache").arg("show").args(names).output().context("run apt-cache")?;
        Ok(digests(&String::from_utf8_lossy(&output.stdout)))
    }

    fn download(&self, packages: &[&Package]) -> anyhow::Result<()> {
        let folder = self.state.join("download");
        folder::remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let names = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        self.output(self.command("apt-get").args(["download", "--quiet"]).args(names).current_dir(&folder))
            .context("Debian packages can't be fetched")?;
        let entries = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        let mut fetched = BTreeMap::new();
        for entry in entries {
            let path = entry?.path();
            fetched.insert(digest_of(&path)?, path);
        }
        for package in packages {
            let Some(path) = fetched.get(&package.sha256) else {
                bail!(
                    "{} {} was fetched, but no file has the digest {}",
                    package.name,
                    package.version,
                    package.sha256
                );
            };
            let to = self.file(package);
            fs::rename(path, &to).with_context(|| format!("move {} to {}", path.display(), to.display()))?;
        }
        Ok(())
    }

    fn unpack_one(&self, package: &Package) -> anyhow::Result<Unpacked> {
        let path = self.file(package);
        if digest_of(&path)? != package.sha256 {
            bail!("{} is damaged: remove it, and run the command again", path.display());
        }
        let control = self.output(Command::new("dpkg-deb").arg("--field").arg(&path))?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--fsys-tarfile").arg(&path).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = unpack.spawn().context("run dpkg-deb, which is part of Debian's package dpkg")?;
        let archive = child.stdout.take().context("read the output of dpkg-deb")?;
        let files = Files::unpack(std::io::BufReader::new(archive)).with_context(|| format!("unpack {}", package.name));
        let status = child.wait().context("wait for dpkg-deb")?;
        let files = files?;
        if !status.success() {
            bail!("dpkg-deb can't unpack {} ({status})", path.display());
        }
        Ok(Unpacked { package: package.clone(), control, files })
    }

    fn file(&self, package: &Package) -> PathBuf {
        self.packages.join(format!("{}.deb", package.sha256))
    }

    /// Returns a program of apt that sees an empty machine of the platform.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let architecture = self.platform.architecture();
        let mut set = |name: &str, value: &str| {
            command.arg("-o").arg(format!("{name}={value}"));
        };
        set("Dir::State", &self.state.to_string_lossy());
        set("Dir::State::lists", &self.state.join("lists").to_string_lossy());
        set("Dir::State::status", &self.state.join("status").to_string_lossy());
        set("Dir::Cache", &self.state.to_string_lossy());
        // Machines that are images themselves often switch these caches off.
        set("Dir::Cache::pkgcache", "pkgcache.bin");
        set("Dir::Cache::srcpkgcache", "srcpkgcache.bin");
        set("APT::Architecture", architecture);
        set("APT::Architectures::", architecture);
        // Only root has another user for downloads, and that user can't write here.
        set("APT::Sandbox::User", "root");
        set("Acquire::Languages", "none");
        set("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false");
        if let Some(sources) = env::var_os(SOURCES).filter(|sources| !sources.is_empty()) {
            set("Dir::Etc::sourcelist", &sources.to_string_lossy());
            set("Dir::Etc::sourceparts", "-");
        }
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }

    fn output(&self, command: &mut Command) -> anyhow::Result<String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().with_context(|| {
            format!("run {program}: images are made of Debian packages, on a machine with apt and dpkg")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{program} failed ({}): {}", output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Reads lines such as `Inst git (1:2.39.5-0+deb12u3 Debian:12.12/oldstable [amd64])`, which apt prints for a simulation.
fn installed(simulation: &str) -> Vec<(String, String)> {
    let lines = simulation.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_once(" ("));
    let word = |text: &str, ends: &[char]| text.split(ends).next().unwrap_or_default().to_owned();
    lines.map(|(name, rest)| (word(name, &[':', ' ']), word(rest, &[' ', ')']))).collect()
}

/// Reads what `apt-cache show` prints: a paragraph for each package.
fn digests(shown: &str) -> BTreeMap<(String, String), String> {
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.trim().to_owned()))
    };
    let package = |paragraph| {
        let key = (field(paragraph, "Package")?, field(paragraph, "Version")?);
        Some((key, field(paragraph, "SHA256")?))
    };
    shown.split("\n\n").filter_map(package).collect()
}

/// Fails if the packages are of another release.
pub(crate) fn must_be_of_the_release(packages: &[Unpacked]) -> anyhow::Result<()> {
    let base = packages.iter().find(|unpacked| unpacked.package.name == BASE_FILES);
    let base = base.with_context(|| format!("{} lacks {BASE_FILES}: run `{}`", lock::PATH, lock::UPDATE))?;
    // A version of base-files begins with that of the release, as in 12.4+deb12u12.
    let version = &base.package.version;
    if version.split('.').next() != Some(RELEASE) {
        bail!(
            "the sources of apt serve {BASE_FILES} {version}, and images are made of Debian {RELEASE}: name a file of \
             sources in {SOURCES}"
        );
    }
    Ok(())
}

fn digest_of(path: &Path) -> anyhow::Result<String> {
    let content = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(sha256(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(name: &str, version: &str, control: &str) -> Unpacked {
        let (name, version, sha256) = (name.to_owned(), version.to_owned(), String::new());
        let package = Package { platform: Platform::Amd64, name, version, sha256 };
        Unpacked { package, control: control.to_owned(), files: Files::default() }
    }

    #[test]
    fn the_source_of_a_package_is_named_where_it_differs() {
        let source = |control| unpacked("libgcc-s1", "12.2.0-14", control).source();
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(source("Package: libgcc-s1\n"), pair("libgcc-s1", "12.2.0-14"));
        assert_eq!(source("Package: libgcc-s1\nSource: gcc-12\n"), pair("gcc-12", "12.2.0-14"));
        assert_eq!(source("Source: gcc-12 (12.2.0-13)\n"), pair("gcc-12", "12.2.0-13"));
    }

    #[test]
    fn a_simulation_and_an_index_are_read_by_name_and_version() {
        let simulation = "Reading package lists...\nInst libc6 (2.36-9+deb12u14 Debian:12.12/oldstable [amd64])\n\
            Inst git [1:2] (1:2.39.5-0+deb12u3 Debian:12.12/oldstable [amd64])\nConf libc6 (2.36)\n";
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(installed(simulation), [pair("libc6", "2.36-9+deb12u14"), pair("git", "1:2.39.5-0+deb12u3")]);
        let shown = "Package: git\nVersion: 1:2\nSHA256: aa\nDescription: x\n\nPackage: dash\nVersion: 3\nSHA256: bb\n";
        assert_eq!(
            digests(shown).into_iter().collect::<Vec<_>>(),
            [(pair("dash", "3"), "bb".to_owned()), (pair("git", "1:2"), "aa".to_owned()),]
        );
    }

    #[test]
    fn packages_of_another_release_are_refused_with_the_setting_that_helps() {
        assert!(must_be_of_the_release(&[unpacked(BASE_FILES, "12.4+deb12u12", "")]).is_ok());
        let error = must_be_of_the_release(&[unpacked(BASE_FILES, "13ubuntu10", "")]).unwrap_err().to_string();
        assert!(error.contains("13ubuntu10") && error.contains("ROTOTO_APT_SOURCES"), "{error}");
        let error = must_be_of_the_release(&[unpacked("git", "1", "")]).unwrap_err().to_string();
        assert!(error.contains("cargo xtask image --update"), "{error}");
    }
}
