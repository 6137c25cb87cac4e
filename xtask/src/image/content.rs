//! The content of each image: the files of Debian that its program runs or reads, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::debian::{BASE_FILES, Unpacked};
use super::elf;
use super::files::{Entry, Files, MERGED};
use super::lock;
use super::platform::Platform;

/// A container image of this project. Another one is an entry of [`IMAGES`].
pub(crate) struct Image {
    /// The name of the image, of its package, and of its program.
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The programs and files of Debian that the program runs or opens, besides its libraries.
    pub(crate) programs: &'static [&'static str],
    /// The shell that programs start as `/bin/sh`.
    shell: Option<&'static str>,
    /// Where the name of an unknown user id is found, or nothing if no program asks for it.
    users: Option<&'static UnknownUsers>,
}

/// A library for names of users, and a link from the file that it reads to one that can be written.
pub(crate) struct UnknownUsers {
    library: &'static str,
    service: &'static str,
    link: &'static str,
    target: &'static str,
}

/// Ssh refuses a user id without a name, and the root of a container can't be written. So names are also read from a
/// file below /tmp, which the operator writes if its own user id has no name (`operator/src/source/programs.rs`).
const EXTRA_USERS: UnknownUsers = UnknownUsers {
    library: "usr/lib/libnss_extrausers.so.2",
    service: "extrausers",
    link: "var/lib/extrausers/passwd",
    target: "/tmp/rototo-passwd",
};

/// The images.
pub(crate) const IMAGES: &[Image] = &[
    Image {
        name: "rototo-operator",
        description: "Publishes reviewed runtime configuration from git to the running processes of a Kubernetes cluster",
        programs: &[
            "usr/bin/git",
            // A link to git, by which it serves addresses of the scheme file.
            "usr/bin/git-upload-pack",
            "usr/lib/git-core/git-remote-http",
            "usr/lib/git-core/git-remote-https",
            "usr/bin/ssh",
            // Git verifies signatures with these two.
            "usr/bin/ssh-keygen",
            "usr/bin/gpgv",
            "etc/ssh/ssh_config",
        ],
        // Git runs GIT_SSH_COMMAND and credential helpers by it.
        shell: Some("usr/bin/dash"),
        users: Some(&EXTRA_USERS),
    },
    Image {
        name: "degradation-service",
        description: "An example service that asks rototo how hard it may work",
        programs: &[],
        shell: None,
        users: None,
    },
    Image {
        name: "rototo-agent",
        description: "Answers OpenFeature evaluations of any language from a workspace that rototo keeps current",
        // In a cluster it follows what the operator publishes, and needs no git.
        programs: &[],
        shell: None,
        users: None,
    },
];

/// The packages that `--update` resolves. The lock has those of their closure that an image takes files from.
pub(crate) const ROOT_PACKAGES: &[&str] =
    &[BASE_FILES, "ca-certificates", "dash", "git", "gpgv", "libgcc-s1", "libnss-extrausers", "openssh-client"];

/// The libraries of every program that Rust links.
pub(crate) const RUST_LIBRARIES: &[&str] = &["libc.so.6", "libm.so.6", "libgcc_s.so.1"];

/// The user and group of every image.
pub(crate) const USER: u32 = 65532;
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla/";
const CERTIFICATE_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Fewer certificates than this mean that the package changed.
const FEWEST_CERTIFICATES: usize = 100;

/// The part of an image that Debian supplies.
pub(crate) struct Base {
    pub(crate) files: Files,
    /// The names of the packages of which it takes files.
    pub(crate) packages: BTreeSet<String>,
}

/// Collects the files that `image` needs, with the libraries of its programs and `libraries`.
pub(crate) fn base(
    image: &Image,
    platform: Platform,
    libraries: &[String],
    packages: &[Unpacked],
) -> anyhow::Result<Base> {
    let mut base = Collector { platform, packages, taken: Base { files: Files::default(), packages: BTreeSet::new() } };
    for program in image.programs.iter().chain(&image.shell).chain(image.users.iter().map(|users| &users.library)) {
        base.take(program)?;
    }
    for library in libraries {
        base.take_library(library)?;
    }
    base.take_certificates()?;
    base.take("usr/lib/os-release")?;
    base.take_licences()?;
    base.note_packages();
    let Base { mut files, packages } = base.taken;
    generated(image, &mut files);
    Ok(Base { files, packages })
}

struct Collector<'a> {
    platform: Platform,
    packages: &'a [Unpacked],
    taken: Base,
}

impl Collector<'_> {
    /// Takes a file, the links that lead to it, and the libraries that it needs.
    fn take(&mut self, path: &str) -> anyhow::Result<()> {
        if self.taken.files.get(path).is_some() {
            return Ok(());
        }
        let owner = self.packages.iter().find_map(|unpacked| Some((unpacked, unpacked.files.way_to(path)?)));
        let (owner, way) =
            owner.with_context(|| format!("no package of {} has /{path}: run `{}`", lock::PATH, lock::UPDATE))?;
        self.taken.packages.insert(owner.package.name.clone());
        for step in &way {
            if let Some(entry) = owner.files.get(step) {
                self.taken.files.insert(step, entry.clone());
            }
        }
        let Some(Entry::File(_, content)) = way.last().and_then(|file| owner.files.get(file)) else { return Ok(()) };
        let Some(needs) = elf::needs(content).with_context(|| format!("read /{path}"))? else { return Ok(()) };
        for library in &needs.libraries {
            self.take_library(library).with_context(|| format!("/{path} needs {library}"))?;
        }
        if let Some(loader) = needs.loader {
            let loader = loader.trim_start_matches('/');
            let merged = MERGED.iter().any(|folder| loader.starts_with(&format!("{folder}/")));
            self.take(&if merged { format!("usr/{loader}") } else { loader.to_owned() })?;
        }
        Ok(())
    }

    fn take_library(&mut self, name: &str) -> anyhow::Result<()> {
        let places = [format!("usr/lib/{}/{name}", self.platform.library_folder()), format!("usr/lib/{name}")];
        let there = |place: &&String| self.packages.iter().any(|unpacked| unpacked.files.way_to(place).is_some());
        let place = places
            .iter()
            .find(there)
            .with_context(|| format!("no package of {} has the library {name}: run `{}`", lock::PATH, lock::UPDATE))?;
        self.take(place)
    }

    /// Joins all certificates of authorities in one file, as `update-ca-certificates` does.
    fn take_certificates(&mut self) -> anyhow::Result<()> {
        let (mut bundle, mut count) = (Vec::new(), 0);
        for unpacked in self.packages {
            for (path, entry) in unpacked.files.iter().filter(|(path, _)| path.starts_with(CERTIFICATES)) {
                let Entry::File(_, certificate) = entry else { continue };
                bundle.extend_from_slice(certificate);
                if !certificate.ends_with(b"\n") {
                    bundle.push(b'\n');
                }
                count += 1;
                self.taken.packages.insert(unpacked.package.name.clone());
                if !certificate.starts_with(b"-----BEGIN CERTIFICATE-----") {
                    bail!("/{path} is not a certificate in PEM");
                }
            }
        }
        if count < FEWEST_CERTIFICATES {
            bail!("the packages of {} have {count} certificates of authorities, not {FEWEST_CERTIFICATES}", lock::PATH);
        }
        self.taken.files.insert(CERTIFICATE_BUNDLE, Entry::File(0o644, bundle));
        Ok(())
    }

    /// Takes the texts of licences, which have to accompany the files.
    fn take_licences(&mut self) -> anyhow::Result<()> {
        for unpacked in self.packages {
            let name = &unpacked.package.name;
            if name == BASE_FILES {
                for (path, entry) in
                    unpacked.files.iter().filter(|(path, _)| path.starts_with("usr/share/common-licenses/"))
                {
                    self.taken.files.insert(path, entry.clone());
                }
            }
            if self.taken.packages.contains(name) {
                self.take_copyright(unpacked)?;
            }
        }
        Ok(())
    }

    /// Takes the file `copyright` of a package. The folder may be a link to that of another package.
    fn take_copyright(&mut self, unpacked: &Unpacked) -> anyhow::Result<()> {
        let folder = format!("usr/share/doc/{}", unpacked.package.name);
        let other = match unpacked.files.get(&folder) {
            Some(Entry::Link(target)) => format!("usr/share/doc/{target}"),
            _ => folder.clone(),
        };
        let path = format!("{other}/copyright");
        let owner = self.packages.iter().find_map(|owner| {
            let way = owner.files.way_to(&path)?;
            Some((owner, owner.files.get(way.last()?)?.clone()))
        });
        let (owner, text) = owner.with_context(|| {
            format!("no package of {} has the licence of {}: run `{}`", lock::PATH, unpacked.package.name, lock::UPDATE)
        })?;
        self.taken.packages.insert(owner.package.name.clone());
        self.taken.files.insert(&path, text.clone());
        self.taken.files.insert(&format!("{folder}/copyright"), text);
        Ok(())
    }

    /// Notes the packages where scanners for vulnerabilities find those of an image without dpkg.
    fn note_packages(&mut self) {
        for unpacked in self.packages.iter().filter(|unpacked| self.taken.packages.contains(&unpacked.package.name)) {
            let path = format!("var/lib/dpkg/status.d/{}", unpacked.package.name);
            self.taken.files.insert_text(&path, format!("{}\n", unpacked.control.trim_end()));
        }
    }
}

/// Adds what no package has.
fn generated(image: &Image, files: &mut Files) {
    for folder in MERGED {
        files.insert(folder, Entry::Link(format!("usr/{folder}")));
        files.insert(&format!("usr/{folder}"), Entry::Directory(0o755));
    }
    files.insert("etc/os-release", Entry::Link("../usr/lib/os-release".to_owned()));
    files.insert("tmp", Entry::Directory(0o1777));
    let shell = if image.shell.is_some() { "/bin/sh" } else { "/usr/sbin/nologin" };
    let users = [("root", 0, "/root"), ("rototo", USER, "/tmp"), ("nobody", 65534, "/nonexistent")];
    let line = |(name, id, home): (&str, u32, &str)| format!("{name}:x:{id}:{id}:{name}:{home}:{shell}\n");
    files.insert_text("etc/passwd", users.map(line).concat());
    files.insert_text("etc/group", users.map(|(name, id, _)| format!("{name}:x:{id}:\n")).concat());
    let service = image.users.map_or(String::new(), |users| format!(" {}", users.service));
    files.insert_text("etc/nsswitch.conf", format!("passwd: files{service}\ngroup: files\nhosts: files dns\n"));
    if image.shell.is_some() {
        files.insert("usr/bin/sh", Entry::Link("dash".to_owned()));
    }
    if let Some(users) = image.users {
        files.insert(users.link, Entry::Link(users.target.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::lock::Package;

    fn package(name: &str, entries: &[(&str, Entry)]) -> Unpacked {
        let (version, sha256) = ("1.0".to_owned(), String::new());
        let package = Package { platform: Platform::Amd64, name: name.to_owned(), version, sha256 };
        let mut files = Files::default();
        for (path, entry) in entries {
            files.insert(path, entry.clone());
        }
        files.insert_text(&format!("usr/share/doc/{name}/copyright"), format!("licence of {name}"));
        Unpacked { package, control: format!("Package: {name}\nVersion: 1.0"), files }
    }

    fn packages() -> Vec<Unpacked> {
        let certificate = |number: usize| {
            let text = format!("-----BEGIN CERTIFICATE-----\n{number}\n-----END CERTIFICATE-----");
            (format!("{CERTIFICATES}{number:03}.crt"), Entry::File(0o644, text.into_bytes()))
        };
        let certificates: Vec<_> = (0..FEWEST_CERTIFICATES).map(certificate).collect();
        let certificates: Vec<_> = certificates.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect();
        let file = |text: &str| Entry::File(0o644, text.as_bytes().to_vec());
        vec![
            package(
                BASE_FILES,
                &[("usr/lib/os-release", file("ID=debian")), ("usr/share/common-licenses/GPL-2", file("GPL"))],
            ),
            package("ca-certificates", &certificates),
            package("libc6", &[("usr/lib/x86_64-linux-gnu/libc.so.6", file("libc")), ("usr/bin/ldd", file("ldd"))]),
            package("perl", &[("usr/bin/perl", file("perl"))]),
        ]
    }

    #[test]
    fn an_image_has_what_its_program_needs_and_of_no_other_package() {
        let base = base(&IMAGES[1], Platform::Amd64, &["libc.so.6".to_owned()], &packages()).unwrap();
        assert_eq!(
            base.packages.iter().map(String::as_str).collect::<Vec<_>>(),
            [BASE_FILES, "ca-certificates", "libc6"]
        );
        let paths: Vec<_> = base.files.iter().map(|(path, _)| path).collect();
        for path in [
            "etc/passwd",
            "etc/ssl/certs/ca-certificates.crt",
            "usr/share/doc/libc6/copyright",
            "var/lib/dpkg/status.d/libc6",
        ] {
            assert!(paths.contains(&path), "{path}: {paths:?}");
        }
        for path in ["usr/bin/ldd", "usr/bin/perl", "usr/bin/sh", "var/lib/extrausers/passwd"] {
            assert!(!paths.contains(&path), "{path}: {paths:?}");
        }
    }

    #[test]
    fn a_library_that_no_package_has_is_named_with_the_command_that_helps() {
        let error = base(&IMAGES[1], Platform::Amd64, &["libz.so.1".to_owned()], &packages()).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("libz.so.1") && error.contains("cargo xtask image --update"), "{error}");
    }

    #[test]
    fn every_image_is_of_a_package_with_a_program_of_its_name() {
        let metadata = crate::cargo::metadata().unwrap();
        for image in IMAGES {
            let package = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == image.name);
            let targets = package.unwrap()["targets"].as_array().unwrap();
            assert!(
                targets.iter().any(|target| target["kind"][0] == "bin" && target["name"] == image.name),
                "{}",
                image.name
            );
        }
    }
}
