//! The signatures that a git source must have: whose, and on what. [`SignaturePolicy`] is parsed from a Secret; the room
//! `git` verifies.

mod armor;

use std::collections::BTreeMap;

use rototo_engine::Digest;

/// The objects that must be signed, in Flux's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignedObject {
    /// The commit.
    Commit,
    /// The annotated tag that the source names.
    Tag,
    /// The tag, and the commit that it names.
    TagAndCommit,
}

impl SignedObject {
    pub(crate) fn includes_tag(self) -> bool {
        matches!(self, Self::Tag | Self::TagAndCommit)
    }

    pub(crate) fn includes_commit(self) -> bool {
        matches!(self, Self::Commit | Self::TagAndCommit)
    }
}

/// The signatures that a source must have. Only the signers in it are trusted: no key of this machine counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePolicy {
    objects: SignedObject,
    /// The lines of an `allowed_signers` file of ssh.
    ssh_signers: Vec<u8>,
    /// The OpenPGP keys as a binary keyring.
    keyring: Vec<u8>,
}

/// A fault in the keys of trusted signers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigners {
    /// There is no signer.
    #[error(
        "it has no key that names signers: add `allowed_signers`, a public ssh key as `NAME.sshpub`, or an OpenPGP key as `NAME.asc`"
    )]
    None,
    /// A key has a form that its name does not allow.
    #[error("its key `{key}` is not {expected}")]
    Malformed {
        /// The key in the Secret.
        key: String,
        /// The form that it must have.
        expected: &'static str,
    },
}

impl SignaturePolicy {
    /// Reads the trusted signers from the keys of a Secret:
    ///
    /// - `allowed_signers`: a file in the format of `ssh-keygen`, with validity periods and authorities.
    /// - `NAME.sshpub`: public ssh keys of the signer NAME, one in a line.
    /// - `NAME.asc`: OpenPGP keys in ASCII armor.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use rototo_source::{SignaturePolicy, SignedObject};
    ///
    /// let keys = BTreeMap::from([("alice.sshpub".to_owned(), b"ssh-ed25519 AAAAC3Nz".to_vec())]);
    /// assert!(SignaturePolicy::from_keys(SignedObject::Commit, &keys).is_ok());
    /// assert!(SignaturePolicy::from_keys(SignedObject::Commit, &BTreeMap::new()).is_err());
    /// ```
    ///
    /// # Errors
    /// When no key names a signer, or one of them is malformed.
    pub fn from_keys(objects: SignedObject, keys: &BTreeMap<String, Vec<u8>>) -> Result<Self, InvalidSigners> {
        let mut policy = Self { objects, ssh_signers: Vec::new(), keyring: Vec::new() };
        for (key, value) in keys {
            let malformed = |expected| InvalidSigners::Malformed { key: key.clone(), expected };
            if key == "allowed_signers" {
                let text = std::str::from_utf8(value).map_err(|_| malformed("text"))?;
                policy.allow(text);
            } else if let Some(name) = key.strip_suffix(".sshpub") {
                let lines = public_keys(name, value).ok_or_else(|| malformed("a public ssh key: `ssh-… AAAA…`"))?;
                policy.allow(&lines);
            } else if key.ends_with(".asc") {
                let packets = armor::decode(value).ok_or_else(|| malformed("an OpenPGP public key in ASCII armor"))?;
                policy.keyring.extend(packets);
            }
        }
        if policy.ssh_signers.is_empty() && policy.keyring.is_empty() {
            return Err(InvalidSigners::None);
        }
        Ok(policy)
    }

    fn allow(&mut self, lines: &str) {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            self.ssh_signers.extend_from_slice(line.as_bytes());
            self.ssh_signers.push(b'\n');
        }
    }

    /// Returns what must be signed.
    #[must_use]
    pub fn objects(&self) -> SignedObject {
        self.objects
    }

    pub(crate) fn ssh_signers(&self) -> &[u8] {
        &self.ssh_signers
    }

    pub(crate) fn keyring(&self) -> &[u8] {
        &self.keyring
    }

    /// Returns a digest of the policy, to notice that it has changed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let parts =
            [format!("{:?} {} ", self.objects, self.ssh_signers.len()).as_bytes(), &self.ssh_signers, &self.keyring]
                .concat();
        Digest::of(&parts)
    }
}

/// Returns the keys of `NAME.sshpub` as lines of `allowed_signers`, for signatures of git alone.
fn public_keys(name: &str, value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut signers = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let (kind, key) = (words.next()?, words.next()?);
        let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| kind.starts_with(prefix));
        // A principal with a wildcard or a comma would be a pattern.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !known || name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        signers.push_str(&format!("{name} namespaces=\"git\" {kind} {key}\n"));
    }
    (!signers.is_empty()).then_some(signers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(keys: &[(&str, &str)]) -> Result<SignaturePolicy, InvalidSigners> {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        SignaturePolicy::from_keys(SignedObject::Commit, &keys)
    }

    #[test]
    fn signers_of_every_form_are_collected_for_git() {
        let both = policy(&[
            ("alice.sshpub", "ssh-ed25519 AAAA alice@laptop\n# old\n\nssh-rsa BBBB"),
            ("allowed_signers", "# team\nbob@example.com valid-before=\"20270101\" ssh-ed25519 CCCC\n"),
            ("username", "rototo"),
        ])
        .unwrap();
        assert_eq!(
            String::from_utf8_lossy(both.ssh_signers()),
            "alice namespaces=\"git\" ssh-ed25519 AAAA\nalice namespaces=\"git\" ssh-rsa BBBB\n\
             bob@example.com valid-before=\"20270101\" ssh-ed25519 CCCC\n"
        );
    }

    #[test]
    fn a_policy_without_signers_is_none() {
        for keys in [&[][..], &[("username", "x")], &[("allowed_signers", "# nobody\n")]] {
            assert_eq!(policy(keys), Err(InvalidSigners::None));
        }
        for keys in [("a.sshpub", "AAAA"), ("a.sshpub", ""), ("a.asc", "not armored"), ("*.sshpub", "ssh-ed25519 A")] {
            assert!(matches!(policy(&[keys]), Err(InvalidSigners::Malformed { .. })), "{keys:?}");
        }
    }

    #[test]
    fn another_signer_is_another_policy() {
        let digest = |key: &str| policy(&[("a.sshpub", key)]).unwrap().digest();
        assert_eq!(digest("ssh-ed25519 A"), digest("ssh-ed25519 A comment"));
        assert_ne!(digest("ssh-ed25519 A"), digest("ssh-ed25519 B"));
    }
}
