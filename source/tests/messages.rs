//! Messages for a person with an invalid source: the failure, the place, and the way out, in one sentence.

#![allow(clippy::unwrap_used)]

mod support;

use rototo_source::Source;
use support::{MANIFEST, Repository, reader};

fn refused(source: &str, expected: &str) {
    assert_eq!(source.parse::<Source>().unwrap_err().to_string(), expected, "{source}");
}

#[test]
fn a_text_that_is_no_source_says_how_to_write_one() {
    refused(
        "http://host/config.tar.gz",
        "`http` is not encrypted and not authenticated: use https, git+https or git+ssh",
    );
    refused(
        "git+http://host/config.git",
        "`git+http` is not encrypted and not authenticated: use https, git+https or git+ssh",
    );
    refused("git+https://host/config.git#--upload-pack=x", "the ref `--upload-pack=x` begins with `-`: no ref does");
    refused(
        "git+https://host/config.git#main:../etc",
        "the subdirectory `../etc` climbs with `..`: write the path from the root of the source",
    );
    refused(
        "git+https://host/config.git#main:/etc",
        "the subdirectory `/etc` is absolute: write it relative to the root of the source",
    );
    refused("git+ssh://git:hunter2@host/config.git", "ssh takes no password from an address: use a key");
    refused(
        "git+ssh://git@host:acme/config.git",
        "the host is followed by `:` and no port: an address is written ssh://host/path, or ssh://host:port/path, with `/` \
         before the path",
    );
    refused(
        "git+https://host/config.git?ref=main",
        "the address of a repository must not contain `?`: write a branch, a tag, or a commit after `#`",
    );
}

#[tokio::test]
async fn missing_parts_of_a_repository_are_named() {
    let repository = Repository::new();
    let commit = repository.commit(&[MANIFEST]);
    let path = repository.path().display();
    let failed = async |fragment: &str| reader().read(&repository.source(fragment)).await.unwrap_err().to_string();
    assert_eq!(
        failed("gone").await,
        format!("finding the commit of git+file://{path}#gone failed: it has no branch or tag named exactly `gone`")
    );
    assert_eq!(
        failed(&commit[..12]).await,
        format!(
            "finding the commit of git+file://{path}#{0} failed: it has no branch or tag named exactly `{0}`; \
             a commit is written with all its 40 digits",
            &commit[..12]
        )
    );
    assert_eq!(
        failed("main:envs/prod").await,
        format!("reading git+file://{path}#main:envs/prod failed: there is no directory `envs/prod` in it")
    );
    std::os::unix::fs::symlink("config", repository.path().join("linked")).unwrap();
    repository.commit(&[]);
    assert_eq!(
        failed("main:linked").await,
        format!(
            "reading git+file://{path}#main:linked failed: `linked` is a link, and links and submodules are not followed: \
             name the directory that it leads to"
        )
    );
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("rototo-workspace.toml.link")).unwrap();
    std::fs::create_dir(repository.path().join("variables")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("variables/a.toml")).unwrap();
    repository.commit(&[]);
    assert_eq!(
        failed("main").await,
        format!(
            "reading git+file://{path}#main failed: `variables/a.toml` is a link: a document is a plain file, \
             and links are not followed; documents that workspaces share belong in a layer, which `extends` names"
        )
    );
}
