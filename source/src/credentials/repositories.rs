//! Decides which repositories the credentials of a workspace open besides its own.

use crate::spec::RemoteUrl;

/// The repositories below one path of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repositories {
    place: String,
    path: String,
}

impl Repositories {
    /// Parses `https://host/owner`, `ssh://host/owner`, or the same with `git+`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, address) = text.strip_prefix("git+").unwrap_or(text).split_once("://")?;
        let url = match scheme {
            "https" => RemoteUrl::https(address),
            "ssh" => RemoteUrl::ssh(address),
            _ => return None,
        };
        let url = url.ok().filter(|url| is_plain(url.path()) && url.query().is_none() && url.password().is_none())?;
        let path = url.path().trim_end_matches('/').to_owned();
        Some(Self { place: url.place(), path })
    }

    /// Returns whether `url` is one of them.
    pub(super) fn hold(&self, url: &RemoteUrl) -> bool {
        let without_git = |path: &str| path.strip_suffix(".git").unwrap_or(path).to_owned();
        let below = url.path().strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('/'));
        self.place == url.place()
            && is_plain(url.path())
            && (below || without_git(url.path()) == without_git(&self.path))
    }
}

/// Returns whether `parent` is the repository of `child`, or one in the same directory of the host or below it:
/// `/owner/child.git` and `/owner/parent.git`.
pub(super) fn is_of_the_same_owner(child: &RemoteUrl, parent: &RemoteUrl) -> bool {
    if child.place() != parent.place() {
        return false;
    }
    if child.path() == parent.path() {
        return true;
    }
    if !is_plain(child.path()) || !is_plain(parent.path()) {
        return false;
    }
    let owner = |url: &RemoteUrl| url.path().trim_end_matches('/').rsplit_once('/').map(|(owner, _)| owner.to_owned());
    match (owner(child), owner(parent)) {
        // A host without owners: only its repositories without owners are alike.
        (Some(own), Some(other)) if own.is_empty() => other.is_empty(),
        (Some(own), Some(other)) => other == own || other.starts_with(&format!("{own}/")),
        _ => false,
    }
}

/// Returns whether nobody reads the path as another one: it has no escapes, no backslashes, and no empty, `.`, or `..`
/// parts.
fn is_plain(path: &str) -> bool {
    let mut parts = path.trim_end_matches('/').split('/').skip(1);
    !path.contains(['%', '\\', ';']) && parts.all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Source;

    fn url(text: &str) -> RemoteUrl {
        text.parse::<Source>().unwrap().url().unwrap().clone()
    }

    #[test]
    fn an_owner_is_the_directory_of_a_repository() {
        for (child, parent, expected) in [
            ("git+https://h/acme/a.git", "git+https://h/acme/b.git#v1", true),
            ("git+https://h/acme/a.git", "git+https://h/acme/a.git#v1:x", true),
            ("git+https://h/acme/a.git", "git+https://h/acme/team/b.git", true),
            ("git+https://h/acme/a.git", "https://h/acme/b/archive/v1.zip", true),
            ("git+https://h/acme/team/a.git", "git+https://h/acme/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h/other/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h/acme-other/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h/acme/../other/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h/acme/%2e%2e/other/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h//acme/b.git", false),
            ("git+https://h/acme/a.git", "git+https://other/acme/b.git", false),
            ("git+https://h/acme/a.git", "git+https://h:444/acme/b.git", false),
            ("git+https://h/acme/a.git", "git+ssh://h/acme/b.git", false),
            ("git+https://h/a.git", "git+https://h/b.git", true),
            ("git+https://h/a.git", "git+https://h/other/b.git", false),
            ("git+ssh://git@h/acme/a.git", "git+ssh://git@h/acme/b.git", true),
        ] {
            assert_eq!(is_of_the_same_owner(&url(child), &url(parent)), expected, "{child} {parent}");
        }
    }

    #[test]
    fn repositories_are_named_by_a_path_that_they_are_below() {
        let named = Repositories::parse("https://h/platform/base").unwrap();
        for (source, expected) in [
            ("git+https://h/platform/base.git", true),
            ("git+https://h/platform/base/x.git", true),
            ("git+https://h/platform/baseless.git", false),
            ("git+https://h/platform/base/../x.git", false),
            ("git+https://other/platform/base.git", false),
            ("git+ssh://h/platform/base.git", false),
        ] {
            assert_eq!(named.hold(&url(source)), expected, "{source}");
        }
        for text in ["h/platform", "http://h/platform", "https://h", "https://h/a/../b", "file:///srv", ""] {
            assert_eq!(Repositories::parse(text), None, "{text}");
        }
    }
}
