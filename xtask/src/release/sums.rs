//! The digests of all files of a release in one file, and the signature of that file.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::ReleaseArtifact;
use crate::sha256::sha256;

/// The name of the file. `sha256sum --check` reads it.
pub(crate) const NAME: &str = "SHA256SUMS";
/// The purpose of a signature. One that was made for another purpose does not fit.
const NAMESPACE: &str = "rototo-release";

/// Returns the content of the file, sorted by name.
pub(crate) fn sums(artifacts: &[ReleaseArtifact]) -> String {
    let mut lines: Vec<_> = artifacts
        .iter()
        .map(|artifact| (&artifact.name, format!("{}  {}\n", sha256(&artifact.bytes), artifact.name)))
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Signs the file in `folder` with an ssh key, and checks the signature.
pub(crate) fn sign(folder: &Path, key: &Path) -> anyhow::Result<()> {
    let sums = folder.join(NAME);
    let mut sign = ssh_keygen("sign");
    sign.arg("-f").arg(key).arg(&sums);
    succeed(sign, &format!("sign {NAME} with {}", key.display()))?;
    let mut check = ssh_keygen("check-novalidate");
    check.arg("-s").arg(sums.with_extension("sig"));
    check.stdin(std::fs::File::open(&sums).with_context(|| format!("read {}", sums.display()))?);
    succeed(check, &format!("check the signature of {NAME}"))
}

fn ssh_keygen(operation: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", operation, "-n", NAMESPACE]).stdin(Stdio::null());
    command
}

fn succeed(mut command: Command, what: &str) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{what}: run ssh-keygen, which the Debian package openssh-client has"))?;
    if !output.status.success() {
        bail!("{what}: ssh-keygen failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn artifact(name: &str, text: &str) -> ReleaseArtifact {
        ReleaseArtifact { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn each_file_has_a_line_and_the_order_is_that_of_the_names() {
        let lines = sums(&[artifact("b.tar.gz", ""), artifact("a.yaml", "abc")]);
        assert_eq!(
            lines,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.yaml\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b.tar.gz\n"
        );
    }

    /// Runs what docs/releasing.md tells people to run.
    fn verifies(folder: &Path) -> bool {
        let mut verify = ssh_keygen("verify");
        verify.args(["-I", "releases", "-s", "SHA256SUMS.sig", "-f", "allowed_signers"]).current_dir(folder);
        verify.stdin(fs::File::open(folder.join(NAME)).unwrap()).output().unwrap().status.success()
    }

    #[test]
    fn a_signature_fits_the_signed_sums_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let key = folder.join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        let public = fs::read_to_string(folder.join("key.pub")).unwrap();
        fs::write(folder.join("allowed_signers"), format!("releases {public}")).unwrap();
        fs::write(folder.join(NAME), sums(&[artifact("a", "abc")])).unwrap();
        sign(folder, &key).unwrap();
        assert!(verifies(folder));
        fs::write(folder.join(NAME), sums(&[artifact("a", "abd")])).unwrap();
        assert!(!verifies(folder));
    }

    #[test]
    fn a_key_that_does_not_exist_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "").unwrap();
        let error = sign(folder.path(), Path::new("/nowhere/key")).unwrap_err().to_string();
        assert!(error.contains("sign SHA256SUMS with /nowhere/key"), "{error}");
    }
}
