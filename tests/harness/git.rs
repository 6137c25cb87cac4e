//! A git repository with a workspace, for tests that push changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::cluster::standard_output;
use super::scratch;

/// A bare repository, and a clone in which changes are made.
#[derive(Clone, Debug)]
pub struct GitRepo {
    bare: PathBuf,
    clone: PathBuf,
    subdirectory: String,
}

impl GitRepo {
    /// Creates a repository whose branch `main` has the files of `workspace` in `subdirectory`.
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

    /// Returns the source for the workspace on `main`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at("main")
    }

    /// Returns the source for the workspace at another ref.
    #[must_use]
    pub fn url_at(&self, reference: &str) -> String {
        format!("git+file://{}#{reference}:{}", self.bare.display(), self.subdirectory)
    }

    /// Returns the path of the bare repository.
    #[must_use]
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// Writes files of the workspace and commits them, without pushing. Returns the commit.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> anyhow::Result<String> {
        for (path, content) in files {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))
                .with_context(|| format!("create the folder of {}", path.display()))?;
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

    /// Writes a file at the root of the repository, outside of the workspace, and commits it without pushing. Returns
    /// the commit.
    pub fn commit_outside(&self, path: &str, content: &str) -> anyhow::Result<String> {
        fs::write(self.clone.join(path), content).with_context(|| format!("write {path}"))?;
        self.commit_all(&format!("Change {path}"))
    }

    /// Reverts a commit with a new one, without pushing. Returns the new commit.
    pub fn revert(&self, commit: &str) -> anyhow::Result<String> {
        self.git(&["revert", "--no-edit", commit])?;
        self.head()
    }

    /// Reads a file of the workspace from the clone.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Pushes `main`, even if that rewrites history.
    pub fn push(&self) -> anyhow::Result<()> {
        self.git(&["push", "--quiet", "--force", "origin", "main"]).map(drop)
    }

    /// Returns the newest commit of the clone.
    pub fn head(&self) -> anyhow::Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Removes the bare repository, as if its host were down, until [`GitRepo::bring_back`].
    pub fn take_away(&self) -> anyhow::Result<()> {
        fs::rename(&self.bare, self.bare.with_extension("away")).context("move the repository away")
    }

    /// Puts the bare repository back.
    pub fn bring_back(&self) -> anyhow::Result<()> {
        fs::rename(self.bare.with_extension("away"), &self.bare).context("move the repository back")
    }

    /// Runs git in the clone, and returns its output.
    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        git(&self.clone, arguments)
    }

    fn commit_all(&self, message: &str) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    /// Returns the path of a file of the workspace in the clone.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.clone.join(&self.subdirectory).join(path)
    }
}

/// Runs git without the configuration of the user.
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
        if entry.file_type().with_context(|| format!("read the type of {}", entry.path().display()))?.is_dir() {
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
    fn readers_of_the_url_see_a_commit_once_it_is_pushed() {
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
