//! A git repository with a workspace in it, to push to and to read from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::cluster::standard_output;
use super::scratch;

/// A bare repository, and a clone of it in which changes are made.
#[derive(Clone, Debug)]
pub struct GitRepo {
    bare: PathBuf,
    clone: PathBuf,
    subdirectory: String,
}

impl GitRepo {
    /// A repository whose branch `main` has the files of `workspace` in `subdirectory`.
    pub fn with_workspace(workspace: &Path, subdirectory: &str) -> anyhow::Result<Self> {
        let directory = scratch::directory("git")?;
        let (bare, clone) = (directory.join("config.git"), directory.join("clone"));
        let repository = Self { bare, clone, subdirectory: subdirectory.to_owned() };
        git(&directory, &["init", "--quiet", "--bare", "--initial-branch=main", "config.git"])?;
        git(&directory, &["init", "--quiet", "--initial-branch=main", "clone"])?;
        repository.git(&["remote", "add", "origin", "../config.git"])?;
        copy(workspace, &repository.path(""))?;
        repository.commit_all("Begin")?;
        repository.push()?;
        Ok(repository)
    }

    /// The source that names the workspace on `main`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at("main")
    }

    /// The source that names the workspace at another ref.
    #[must_use]
    pub fn url_at(&self, reference: &str) -> String {
        format!("git+file://{}#{reference}:{}", self.bare.display(), self.subdirectory)
    }

    /// Where the bare repository is.
    #[must_use]
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// Writes files of the workspace and commits them, without pushing. Returns the commit.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> anyhow::Result<String> {
        for (path, content) in files {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))
                .with_context(|| format!("make room for {}", path.display()))?;
            fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        }
        self.commit_all(message)
    }

    /// Replaces `from` by `to` in one file of the workspace and commits that, without pushing. Returns the commit.
    pub fn edit(&self, path: &str, from: &str, to: &str) -> anyhow::Result<String> {
        let content = self.read(path)?;
        anyhow::ensure!(content.contains(from), "`{from}` is not in {path}:\n{content}");
        self.commit(&[(path, &content.replacen(from, to, 1))], &format!("Change {from} to {to} in {path}"))
    }

    /// Removes files of the workspace and commits that, without pushing. Returns the commit.
    pub fn remove(&self, files: &[&str], message: &str) -> anyhow::Result<String> {
        for file in files {
            let path = self.path(file);
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        self.commit_all(message)
    }

    /// Commits what is not of the workspace: a file at the root of the repository, without pushing. Returns the commit.
    pub fn commit_outside(&self, path: &str, content: &str) -> anyhow::Result<String> {
        fs::write(self.clone.join(path), content).with_context(|| format!("write {path}"))?;
        self.commit_all(&format!("Change {path}"))
    }

    /// Undoes a commit by a new one, without pushing. Returns the new one.
    pub fn revert(&self, commit: &str) -> anyhow::Result<String> {
        self.git(&["revert", "--no-edit", commit])?;
        self.head()
    }

    /// A file of the workspace as it is in the clone.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Pushes `main`, also where that rewrites history.
    pub fn push(&self) -> anyhow::Result<()> {
        self.git(&["push", "--quiet", "--force", "origin", "main"]).map(drop)
    }

    /// The newest commit of the clone.
    pub fn head(&self) -> anyhow::Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Takes the bare repository away, as a host that is down, until [`GitRepo::bring_back`].
    pub fn take_away(&self) -> anyhow::Result<()> {
        fs::rename(&self.bare, self.bare.with_extension("away")).context("take the repository away")
    }

    /// Puts the bare repository back.
    pub fn bring_back(&self) -> anyhow::Result<()> {
        fs::rename(self.bare.with_extension("away"), &self.bare).context("bring the repository back")
    }

    /// Runs git in the clone, and returns what it prints.
    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        git(&self.clone, arguments)
    }

    fn commit_all(&self, message: &str) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    /// Where a file of the workspace is in the clone.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.clone.join(&self.subdirectory).join(path)
    }
}

/// Git without the configuration of whoever runs this.
fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(directory);
    command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")]);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A Reviewer").env(format!("GIT_{role}_EMAIL"), "reviewer@example.com");
    }
    standard_output(command.output(), &command)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry.with_context(|| format!("list {}", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.file_type().with_context(|| format!("look at {}", entry.path().display()))?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_what_readers_of_the_url_see() {
        let workspace = scratch::directory("workspace").unwrap();
        fs::write(workspace.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        let repository = GitRepo::with_workspace(&workspace, "workspaces/prod").unwrap();
        assert!(repository.url().ends_with("config.git#main:workspaces/prod"), "{}", repository.url());

        let seen = || git(repository.bare(), &["ls-tree", "-r", "--name-only", "main"]).unwrap();
        let commit = repository.commit(&[("variables/a.toml", "x")], "Add a").unwrap();
        assert_eq!(seen(), "workspaces/prod/rototo-workspace.toml\n");
        repository.push().unwrap();
        assert_eq!(seen(), "workspaces/prod/rototo-workspace.toml\nworkspaces/prod/variables/a.toml\n");
        assert_eq!(commit, repository.head().unwrap());
    }
}
