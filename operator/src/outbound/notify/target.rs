//! Finds the API of a git host, and the repository there, from a source and the spec. Pure.

use percent_encoding::{percent_decode_str, utf8_percent_encode};
use rototo_api::notify::{CommitStatusSpec, GitHostType, main_host};
use rototo_source::{HttpAddress, InvalidAddress, InvalidSource, Source};

use crate::outbound::UNRESERVED;

/// A repository in the API of its git host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host_type: GitHostType,
    /// The address of the API.
    pub(super) address: HttpAddress,
    /// The directories of the repository and its name.
    repository: Vec<String>,
}

/// The reason why a source has no repository in an API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTarget {
    /// The source is none.
    #[error(transparent)]
    Source(#[from] InvalidSource),
    /// The address is none.
    #[error("spec.notify.commitStatus.address: {0}")]
    Address(#[from] InvalidAddress),
    /// The source has no commits.
    #[error("the source is no git repository")]
    NoRepository,
    /// The host says nothing about its kind.
    #[error("the kind of the git host is not known: write spec.notify.commitStatus.type")]
    UnknownHost,
    /// The source names no host.
    #[error("the source has no host: write spec.notify.commitStatus.address")]
    NoHost,
    /// The address of the repository does not name what the API needs.
    #[error("the address of the source does not end with an owner and a repository")]
    NoOwner,
}

impl Target {
    /// Finds the repository of a source.
    pub(super) fn find(source: &str, spec: &CommitStatusSpec) -> Result<Self, NoTarget> {
        let source: Source = source.parse()?;
        let Source::Git(git) = &source else { return Err(NoTarget::NoRepository) };
        let host = source.host();
        let name = host.map(without_port);
        let known = name.and_then(GitHostType::of_host);
        let host_type = spec.host_type.or(known).ok_or(NoTarget::UnknownHost)?;
        let parts = parts(git.remote().path());
        let (before, repository) = split(host_type, &parts, spec.address.as_deref());
        let climbs = repository.iter().any(|part| part == "." || part == "..");
        if repository.len() < 2 || climbs {
            return Err(NoTarget::NoOwner);
        }
        let address: HttpAddress = match &spec.address {
            Some(address) => address.parse()?,
            None => {
                let host = host.ok_or(NoTarget::NoHost)?;
                // The port of ssh is that of another server.
                let is_https = source.to_string().starts_with("git+https://");
                let host = if is_https { host } else { main_host(without_port(host)) };
                default_address(host_type, host, before).parse()?
            }
        };
        Ok(Self { host_type, address, repository: repository.to_vec() })
    }

    /// The directory of the repository, and its name, as parts of a path.
    pub(super) fn owner_and_name(&self) -> (String, String) {
        let (name, owner) = self.repository.split_last().map_or(("", [].as_slice()), |(name, owner)| (name, owner));
        (encoded(&owner.join("/")), encoded(name))
    }

    /// The whole path of the repository as one part of a path.
    pub(super) fn encoded_path(&self) -> String {
        encoded(&self.repository.join("/"))
    }
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, &UNRESERVED).to_string()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns the parts of the path of a repository, as its host means them.
fn parts(path: &str) -> Vec<String> {
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
}

/// Splits the path of a repository into the path of its host, and what the API calls the repository.
fn split<'a>(host_type: GitHostType, parts: &'a [String], address: Option<&str>) -> (&'a [String], &'a [String]) {
    if host_type != GitHostType::GitLab {
        let (before, repository) = parts.split_at(parts.len().saturating_sub(2));
        // The address for git of Bitbucket Data Center is https://host/scm/PROJECT/repository.git.
        let before = match before.split_last() {
            Some((last, before)) if host_type == GitHostType::BitbucketServer && last == "scm" => before,
            _ => before,
        };
        return (before, repository);
    }
    // The groups of GitLab nest, so only the address of the API shows where they begin.
    let path = address.and_then(|address| address.split_once("://")?.1.split_once('/')).map(|(_, path)| path);
    let below = path.and_then(|path| path.trim_end_matches('/').strip_suffix("api/v4")).unwrap_or_default();
    let below: Vec<_> = below.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() > below.len() && parts.iter().zip(&below).all(|(part, below)| part == below) {
        parts.split_at(below.len())
    } else {
        (&[], parts)
    }
}

/// Returns the address of the API of a host whose pages are below `before`.
fn default_address(host_type: GitHostType, host: &str, before: &[String]) -> String {
    let below: String = before.iter().map(|part| format!("/{}", encoded(part))).collect();
    match (host_type, without_port(host)) {
        (GitHostType::GitHub, "github.com") => "https://api.github.com".to_owned(),
        // GitHub Enterprise Cloud with data residency.
        (GitHostType::GitHub, name) if name.ends_with(".ghe.com") => format!("https://api.{name}"),
        (GitHostType::GitHub, _) => format!("https://{host}{below}/api/v3"),
        (GitHostType::GitLab, _) => format!("https://{host}{below}/api/v4"),
        (GitHostType::Gitea, _) => format!("https://{host}{below}/api/v1"),
        (GitHostType::Bitbucket, _) => "https://api.bitbucket.org/2.0".to_owned(),
        (GitHostType::BitbucketServer, _) => format!("https://{host}{below}/rest/api/latest"),
    }
}

#[cfg(test)]
mod tests {
    use rototo_api::workspace::SecretRef;

    use super::*;

    fn spec(host_type: Option<GitHostType>, address: Option<&str>) -> CommitStatusSpec {
        CommitStatusSpec {
            host_type,
            address: address.map(ToOwned::to_owned),
            context: None,
            secret_ref: SecretRef { name: "rototo-commit-status".to_owned() },
        }
    }

    /// Returns the address of the API and the path of the repository there, or the error.
    fn find(source: &str, host_type: Option<GitHostType>, address: Option<&str>) -> Result<(String, String), String> {
        let target = Target::find(source, &spec(host_type, address)).map_err(|error| error.to_string())?;
        Ok((target.address.to_string(), target.repository.join("/")))
    }

    #[test]
    fn the_api_of_a_host_is_found_from_the_source() {
        use GitHostType::{Bitbucket, BitbucketServer, GitHub, GitLab, Gitea};
        for (source, host_type, address, repository) in [
            ("git+https://github.com/acme/config.git#main:prod", None, "https://api.github.com", "acme/config"),
            ("git+ssh://git@GitHub.com/acme/config", None, "https://api.github.com", "acme/config"),
            ("git+https://gitlab.com/acme/team/config.git", None, "https://gitlab.com/api/v4", "acme/team/config"),
            ("git+ssh://git@bitbucket.org/acme/config.git", None, "https://api.bitbucket.org/2.0", "acme/config"),
            ("git+ssh://git@ssh.github.com:443/acme/config.git", None, "https://api.github.com", "acme/config"),
            ("git+ssh://git@ssh.github.com:443/acme/config", Some(GitHub), "https://api.github.com", "acme/config"),
            ("git+ssh://git@altssh.gitlab.com:443/a/b/c.git", None, "https://gitlab.com/api/v4", "a/b/c"),
            ("git+ssh://git@altssh.bitbucket.org:443/a/b.git", None, "https://api.bitbucket.org/2.0", "a/b"),
            ("git+https://x.example/acme/config.git", Some(GitHub), "https://x.example/api/v3", "acme/config"),
            ("git+https://acme.ghe.com/acme/config.git", Some(GitHub), "https://api.acme.ghe.com", "acme/config"),
            ("git+ssh://acme@acme.ghe.com:22/acme/config", Some(GitHub), "https://api.acme.ghe.com", "acme/config"),
            ("git+https://acmeghe.com/acme/config.git", Some(GitHub), "https://acmeghe.com/api/v3", "acme/config"),
            ("git+https://x.example:3000/git/a/b.git", Some(Gitea), "https://x.example:3000/git/api/v1", "a/b"),
            ("git+ssh://git@x.example:2222/a/b.git", Some(Gitea), "https://x.example/api/v1", "a/b"),
            (
                "git+ssh://git@x.example:7999/~ann/b.git",
                Some(BitbucketServer),
                "https://x.example/rest/api/latest",
                "~ann/b",
            ),
            ("git+https://x.example/scm/P/b.git", Some(BitbucketServer), "https://x.example/rest/api/latest", "P/b"),
            ("git+https://x.example/scm/P/b.git", Some(Bitbucket), "https://api.bitbucket.org/2.0", "P/b"),
            ("git+ssh://git@x.example:2222/a/b/c.git", Some(GitLab), "https://x.example/api/v4", "a/b/c"),
        ] {
            let found = find(source, host_type, None);
            assert_eq!(found, Ok((address.to_owned(), repository.to_owned())), "{source}");
        }
    }

    #[test]
    fn an_address_replaces_what_is_found() {
        let api = "https://x.example/tools/gitlab/api/v4";
        let gitlab = Some(GitHostType::GitLab);
        let below = find("git+https://x.example/tools/gitlab/a/b.git", gitlab, Some(api)).unwrap();
        assert_eq!(below, (api.to_owned(), "a/b".to_owned()));
        let elsewhere = find("git+ssh://git@x.example/a/b/c.git", gitlab, Some(api)).unwrap();
        assert_eq!(elsewhere.1, "a/b/c");
        let own = find("git+file:///srv/acme/config", Some(GitHostType::Gitea), Some("https://127.0.0.1:1/api/v1"));
        assert_eq!(own.unwrap().1, "acme/config");
    }

    #[test]
    fn a_source_without_a_repository_in_an_api_says_what_to_write() {
        let gitea = Some(GitHostType::Gitea);
        for (source, host_type, address, expected) in [
            ("https://x.example/a.tar.gz", gitea, None, "no git repository"),
            ("git+https://x.example/a/b.git", None, None, "commitStatus.type"),
            ("git+https://github.com.evil.example/a/b.git", None, None, "commitStatus.type"),
            ("git+ssh://git@ssh.github.com.evil.example/a/b.git", None, None, "commitStatus.type"),
            ("git+ssh://git@altssh.github.com/a/b.git", None, None, "commitStatus.type"),
            ("git+file:///a/b", gitea, None, "commitStatus.address"),
            ("git+https://x.example/b.git", gitea, None, "an owner and a repository"),
            ("git+https://x.example/a/%2e%2e", gitea, None, "an owner and a repository"),
            ("git+https://x.example/a/b.git", gitea, Some("ftp://x"), "commitStatus.address"),
        ] {
            let error = find(source, host_type, address).unwrap_err();
            assert!(error.contains(expected), "{source}: {error}");
        }
    }
}
