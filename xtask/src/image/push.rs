//! Pushes a layout to a registry with `crane`, which is built from its Go module into the cache of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail};

use super::layout::Written;
use crate::command;
use crate::control_plane::{self, GoModule, cache_directory};

const CRANE: GoModule = GoModule {
    folder: concat!(env!("CARGO_MANIFEST_DIR"), "/image/crane"),
    programs: &[("crane", "github.com/google/go-containerregistry/cmd/crane")],
    parts: &[("crane", "github.com/google/go-containerregistry")],
    go_mod: include_str!("../../image/crane/go.mod"),
};

/// Returns the path of crane. Builds it if necessary.
pub(crate) fn crane() -> anyhow::Result<PathBuf> {
    let cache = cache_directory()?.join("crane");
    let folder = CRANE.directory(&cache);
    if !folder.join("crane").is_file() {
        control_plane::build(&CRANE, &cache)?;
    }
    Ok(folder.join("crane"))
}

/// The name under which a registry keeps an image: `HOST[:PORT]/REPOSITORY:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    repository: String,
    tag: String,
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not REGISTRY/REPOSITORY:TAG");
        let (repository, tag) = text.rsplit_once(':').ok_or_else(wrong)?;
        let is_tag = !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let is_repository = repository.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty())
            && repository.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c));
        if !is_tag || !is_repository || repository.starts_with('-') {
            return Err(wrong());
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

impl Destination {
    fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// Returns the digest of what the registry has under this name, or nothing if it has nothing.
    pub(crate) fn digest(&self) -> anyhow::Result<Option<String>> {
        match run(&crane()?, &["digest", &self.name()]) {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if is_absent(&error.to_string()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads from the message of crane whether the registry answered that it has no such repository or tag.
fn is_absent(message: &str) -> bool {
    ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "404 Not Found"].iter().any(|code| message.contains(code))
}

fn run(crane: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    command::output(Command::new(crane).args(arguments))
        .map_err(|error| anyhow!("{error:#}\n`crane auth login` logs in to a registry."))
}

/// Pushes the image, and then what is attached to it. Returns the name with the digest that the registry reports.
pub(crate) fn push(layout: &Written, to: &Destination) -> anyhow::Result<String> {
    let crane = crane()?;
    let name = to.name();
    let folder = Folder::beside(layout)?;
    let pushed = std::iter::once((layout.digest.as_str(), name.clone()))
        .chain(layout.attached().into_iter().map(|digest| (digest, format!("{}@{digest}", to.repository))));
    for (digest, name) in pushed {
        let only = folder.path.join(digest.replace(':', "-"));
        std::fs::create_dir_all(&only).with_context(|| format!("create {}", only.display()))?;
        layout.only(digest, &only)?;
        run(&crane, &["push", &only.to_string_lossy(), &name])?;
    }
    let there = run(&crane, &["digest", &name])?;
    if there != layout.digest {
        bail!("the registry reports {there} for {name}, and {} was pushed", layout.digest);
    }
    Ok(format!("{}@{there}", to.repository))
}

/// A folder that is removed when this is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn beside(layout: &Written) -> anyhow::Result<Self> {
        let path = layout.folder.with_extension(format!("push-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_names_registry_repository_and_tag() {
        let Destination { repository, tag } = "127.0.0.1:5000/acme/rototo-operator:0.1.0".parse().unwrap();
        assert_eq!((repository.as_str(), tag.as_str()), ("127.0.0.1:5000/acme/rototo-operator", "0.1.0"));
        for wrong in ["rototo-operator:0.1.0", "h/r", "127.0.0.1:5000/r", "h/r:", "h/R:1", "--insecure/r:1", "h/r:a/b"]
        {
            let error = wrong.parse::<Destination>().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_registry_that_lacks_a_name_differs_from_one_that_does_not_answer() {
        assert!(is_absent("GET http://h/v2/acme/r/manifests/0.1.0: MANIFEST_UNKNOWN: Unknown manifest"));
        assert!(is_absent("HEAD http://h/v2/acme/r/manifests/0.1.0: unexpected status code 404 Not Found"));
        assert!(!is_absent("Get \"http://h/v2/\": dial tcp 127.0.0.1:1: connect: connection refused"));
        assert!(!is_absent("UNAUTHORIZED: authentication required"));
    }

    #[test]
    fn crane_has_a_version() {
        assert_eq!(CRANE.versions(), ["crane-0.22.1"]);
    }
}
