//! Verifies signatures of commits and annotated tags with git, `ssh-keygen`, and `gpgv`.
//!
//! Git's exit code decides, and never its words: for a signature by an unknown key git prints that it is good, too. Only
//! the signers of the policy are trusted, because git gets a file with them, and programs that know no others.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::error::{GitFault, SignatureFault, SourceFault, UntrustedObject, folded};
use crate::signatures::SignaturePolicy;
use crate::spec::{Commit, GitReference};

use crate::git::cached_repository::CachedRepository;
use crate::git::credentials::{Setting, quoted};
use crate::git::failure::is_refused_by_name;
use crate::git::group::GitExit;
use crate::git::ls_remote::has_branch;
use crate::git::program::Program;

/// The longest reason that is shown, in characters.
const SHOWN: usize = 200;

/// Verifies a commit that is in the cached repository, and the tag that named it. Returns the signer of the last one
/// that was verified.
pub(super) async fn verify(
    program: &Program,
    kept: &CachedRepository,
    commit: &Commit,
    reference: &GitReference,
    policy: &SignaturePolicy,
) -> Result<String, SourceFault> {
    let trusted = TrustedFiles::write(policy).await.map_err(|error| disk(&std::env::temp_dir(), &error))?;
    let check = SignatureCheck { program, repository: kept.path(), trusted };
    let mut signer = String::new();
    if policy.objects().includes_tag() {
        signer = check.tag(kept, commit, reference).await?;
    }
    if policy.objects().includes_commit() {
        signer = check.commit(commit).await?;
    }
    Ok(signer)
}

struct SignatureCheck<'a> {
    program: &'a Program,
    repository: &'a Path,
    trusted: TrustedFiles,
}

/// The outcome of a run of git.
struct Ran {
    success: bool,
    stdout: String,
    stderr: String,
}

impl SignatureCheck<'_> {
    async fn commit(&self, commit: &Commit) -> Result<String, SourceFault> {
        let checked = self.git(&["verify-commit", "--raw", commit.as_str()]).await?;
        if checked.success {
            return Ok(signer(&checked.stderr));
        }
        let object = self.object("commit", commit.as_str()).await?;
        let header = object.split("\n\n").next().unwrap_or_default();
        Err(refusal(UntrustedObject::Commit(commit.clone()), header.contains("\ngpgsig"), &checked.stderr))
    }

    /// Verifies the tag object, which has to carry the name that the source has, and to name the commit.
    async fn tag(
        &self,
        kept: &CachedRepository,
        commit: &Commit,
        reference: &GitReference,
    ) -> Result<String, SourceFault> {
        let GitReference::Name(name) = reference else {
            return Err(SignatureFault::NoTag(reference.to_string()).into());
        };
        let name = name.strip_prefix("refs/tags/").unwrap_or(name);
        let no_tag = || SourceFault::from(SignatureFault::NoTag(name.to_owned()));
        let kept_ref = kept.bring_tag(self.program, name).await.map_err(|fault| match fault {
            SourceFault::Git(GitFault::NoReference(_)) => no_tag(),
            SourceFault::Git(GitFault::Other(said)) if is_refused_by_name(&said) => no_tag(),
            other => other,
        })?;
        let id = self.git(&["rev-parse", "--verify", "--quiet", &kept_ref]).await?.stdout.trim().to_owned();
        // A lightweight tag names the commit itself.
        if matches!(self.git(&["cat-file", "-t", &id]).await?.stdout.trim(), "commit" | "tree" | "blob") {
            return Err(no_tag());
        }
        let object = self.object("tag", &id).await?;
        let signed = object.lines().find_map(|line| line.strip_prefix("tag ")).unwrap_or_default();
        if signed != name {
            let (asked, signed) = (name.to_owned(), signed.to_owned());
            return Err(SignatureFault::OtherTag { asked, signed }.into());
        }
        let names = self.git(&["rev-parse", "--verify", "--quiet", &format!("{id}^{{commit}}")]).await?.stdout;
        if names.trim() != commit.as_str() {
            // The pin prefers the branch, so this does not end by itself.
            if reference.to_string() == name && has_branch(self.program, name).await? {
                return Err(SignatureFault::Ambiguous(name.to_owned()).into());
            }
            // The tag has moved since it was pinned. The next poll finds where it is now.
            return Err(GitFault::NoCommit(commit.clone()).into());
        }
        let checked = self.git(&["verify-tag", "--raw", &id]).await?;
        if checked.success {
            return Ok(signer(&checked.stderr));
        }
        let is_signed = object.contains("\n-----BEGIN ");
        Err(refusal(UntrustedObject::Tag(name.to_owned()), is_signed, &checked.stderr))
    }

    /// Returns the text of an object that the cached repository should have.
    async fn object(&self, kind: &str, name: &str) -> Result<String, SourceFault> {
        let object = self.git(&["cat-file", kind, name]).await?;
        if object.success {
            return Ok(object.stdout);
        }
        let said = folded(object.stderr.lines());
        Err(GitFault::KeptCopy(format!("the {kind} {name} can't be read: {said}")).into())
    }

    async fn git(&self, arguments: &[&str]) -> Result<Ran, SourceFault> {
        let (program, trusted) = (self.program, &self.trusted);
        let mut git = program.verify(self.repository, trusted.0.path(), trusted.settings(), arguments)?;
        let limit = program.timeout();
        let ended = tokio::time::timeout(limit, git.run(&[], false)).await;
        let GitExit { status, stdout, stderr, .. } = ended.map_err(|_| GitFault::TimedOut(limit))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { success: status.success(), stdout: text(&stdout), stderr: text(&stderr.text()) })
    }
}

fn refusal(object: UntrustedObject, is_signed: bool, stderr: &str) -> SourceFault {
    if !is_signed {
        return SignatureFault::Unsigned(object).into();
    }
    // The last line says what is missing. The words of `gpgv` are codes.
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no program accepts it");
    let reason = last.strip_prefix("[GNUPG:] ").unwrap_or(last);
    SignatureFault::NotTrusted { object, reason: shown(reason) }.into()
}

/// Returns the signer from what git printed about a signature that it accepts.
fn signer(printed: &str) -> String {
    let ssh = printed.lines().find_map(|line| line.split_once("signature for ").map(|(_, signer)| signer));
    let status = |code: &str| {
        let found = printed.lines().find_map(|line| line.strip_prefix("[GNUPG:] ")?.strip_prefix(code));
        found.map(str::trim)
    };
    let openpgp = || {
        let (_, name) = status("GOODSIG ")?.split_once(' ')?;
        let fingerprint = status("VALIDSIG ")?.split(' ').next()?;
        Some(format!("{name} with OpenPGP key {fingerprint}"))
    };
    shown(&ssh.map(str::to_owned).or_else(openpgp).unwrap_or_default())
}

fn shown(text: &str) -> String {
    folded(text.lines()).chars().take(SHOWN).collect()
}

/// The signers in files, as the programs want them. They are removed when this is dropped.
struct TrustedFiles(TempDir);

impl TrustedFiles {
    /// Writes the files on another thread: the disk may be slow.
    async fn write(policy: &SignaturePolicy) -> io::Result<Self> {
        let policy = policy.clone();
        tokio::task::spawn_blocking(move || Self::write_now(&policy)).await.map_err(io::Error::other)?
    }

    fn write_now(policy: &SignaturePolicy) -> io::Result<Self> {
        let files = Self(tempfile::Builder::new().prefix("rototo-signers-").tempdir()?);
        fs::write(files.0.path().join("allowed_signers"), policy.ssh_signers())?;
        fs::write(files.0.path().join("keyring.gpg"), policy.keyring())?;
        // Git calls `gpg --keyid-format=long --status-fd=1 --verify SIGNATURE -`. `gpgv` knows no keys but these, and
        // has no agent, no home, and no web of trust.
        let keyring = files.0.path().join("keyring.gpg");
        let keyring = quoted(&keyring);
        let verify = format!(
            "#!/bin/sh\nwhile [ $# -gt 3 ]; do shift; done\n[ \"$1\" = --verify ] || exit 2\n\
             exec gpgv --status-fd=1 --keyring {keyring} \"$2\" -\n"
        );
        let program = files.0.path().join("gpg");
        fs::write(&program, verify)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
        Ok(files)
    }

    fn settings(&self) -> impl Iterator<Item = Setting> {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let settings = [
            ("gpg.ssh.allowedSignersFile", path("allowed_signers")),
            ("gpg.ssh.program", "ssh-keygen".to_owned()),
            ("gpg.program", path("gpg")),
            ("gpg.openpgp.program", path("gpg")),
            ("gpg.x509.program", "/bin/false".to_owned()),
            ("gpg.minTrustLevel", "undefined".to_owned()),
        ];
        settings.into_iter().map(|(key, value)| (key.to_owned(), value))
    }
}

fn disk(path: &Path, error: &io::Error) -> SourceFault {
    SourceFault::Disk { path: path.display().to_string(), error: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signer_is_named_with_the_key() {
        let ssh = "Good \"git\" signature for alice@example.com with ED25519 key SHA256:abc\n";
        assert_eq!(signer(ssh), "alice@example.com with ED25519 key SHA256:abc");
        let openpgp = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123456789ABCDEF Alice <alice@example.com>\n\
                       [GNUPG:] VALIDSIG 00112233 2026-11-26 1795651200 0 4 0 22 8 00 00112233\n";
        assert_eq!(signer(openpgp), "Alice <alice@example.com> with OpenPGP key 00112233");
        let hidden = "Good \"git\" signature for al\u{202e}ice\u{1b}[31m with a key";
        assert_eq!(signer(hidden), "alice with a key");
    }
}
